"""A real runtime with its managers, on the simulator: money, tokens, sessions, checkpoints, resume."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow import build_runtime, run_sync
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.settings import Settings
from sdk_workflow.core.caching.request_key import RequestKeys
from sdk_workflow.events import BudgetReached, ContextFilling, ModelCallFinished, RunStarted
from sdk_workflow.exceptions import (
    BudgetExceeded,
    OverloadedError,
    StorageError,
    UnpricedModel,
    UsageError,
)
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.storage.session_journal import SessionJournal
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.types import Call, JournalRecord, Usage
from sdk_workflow.wiring import client as wiring
from sdk_workflow.wiring.budgets import session_scope
from sdk_workflow.wiring.journals import remembered_limit
from sdk_workflow.wiring.transports import make_transport
from tests.cli.program import Program
from tests.integration.fault_matrix import HurriedClock
from tests.scripted import ScriptedTransport, text_reply, tool_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.runtime import Runtime
    from sdk_workflow.types import Reply

MODEL = "claude-haiku-4-5"
CALL = Call(model=MODEL, max_tokens=100, messages=({"role": "user", "content": "Hello"},))
HOLD_USD = 0.001_065  # what CALL may cost at the most
COST_USD = 0.000_15  # what `answer` has cost
PICO = 10**12
BUSY = OverloadedError("busy", status=529)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedTransport:
    """Stand in for the API."""
    transport = ScriptedTransport()

    def choose(settings: Any, backend: Any, clock: Any) -> Any:
        return make_transport(settings, backend, clock) if backend == "simulator" else transport

    monkeypatch.setattr(wiring, "make_transport", choose)
    return transport


def simulated(home: Path, **options: Any) -> Runtime:
    return build_runtime(backend="simulator", home=home, cache_mode="off", **options)


def real(home: Path, **options: Any) -> Runtime:
    """Return a runtime that takes the scripted transport for the API."""
    arguments = {
        name: options.pop(name)
        for name in ("clock", "sinks", "max_cost_usd", "cost_scope")
        if name in options
    }
    settings = Settings(api_key="sk-ant-not-a-real-key", home=home, cache_mode="off", **options)
    return build_runtime(settings, **arguments)


def files_of(home: Path) -> list[Path]:
    """Return what the managers have written; `run` is the monitor's."""
    return [path for path in home.rglob("*") if path.relative_to(home).parts[0] != "run"]


def answer(number: int = 1, **facts: Any) -> Reply:
    return text_reply("Hi", **{"id": f"msg_{number}", "served_by": "api", "model": MODEL, **facts})


@contextmanager
def ledger_of(home: Path) -> Iterator[LedgerFile]:
    ledger = LedgerFile(home / "ledger.sqlite")
    try:
        yield ledger
    finally:
        ledger.close()


def spent_usd(home: Path, scope: str) -> tuple[float, float]:
    """Return what a scope of the ledger on disk has spent, and what it holds."""
    with ledger_of(home) as ledger:
        standing = ledger.standing(scope, now=1_800_000_000.0)
    return standing.spent / PICO, standing.held / PICO


# ---------------------------------------------------------------------- what every call came to


@pytest.mark.anyio
async def test_the_books_agree_with_the_result_of_a_run_with_tools(home: Path) -> None:
    def stock(item: str) -> int:
        """Tell how many are in stock."""
        return len(item)

    async with simulated(home) as runtime, runtime.session(tools=[stock]) as session:
        result = await session.message('Call stock with item "beans"')
        report, totals = runtime.costs.report(), runtime.tokens.get_analytics()["totals"]

    assert result.turns == report.calls == totals["calls"] == 2
    assert report.total.usd == result.cost_usd
    assert totals["output_tokens"] == result.usage.output_tokens
    assert runtime.costs.get_cost_breakdown("session") == {result.session_id: result.cost_usd}
    assert runtime.costs.get_cost_breakdown("tool").keys() == {"stock", "(none)"}
    assert runtime.token_counter.accuracy()[0].observations == 2


@pytest.mark.anyio
async def test_the_books_agree_with_the_result_where_a_price_depends_on_more(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [answer()]
    async with real(home, model="sonnet") as runtime, runtime.session() as session:
        result = await session.message("Hello", parameters={"inference_geo": "us"})

        assert result.cost_usd == runtime.costs.report().total.usd
        plain = runtime.catalog.price(result.model, result.usage)
    assert plain is not None
    assert result.cost_usd == pytest.approx(1.1 * plain.usd)


@pytest.mark.anyio
async def test_the_model_that_answered_is_the_one_that_is_billed(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [BUSY, answer()]
    options = {"model": "opus", "max_retries": 0, "fallback_models": (MODEL,)}
    async with real(home, **options) as runtime, runtime.session() as session:
        result = await session.message("Hello")

        assert runtime.costs.get_cost_breakdown("model") == {MODEL: result.cost_usd}
        assert list(runtime.tokens.get_analytics()["by_model"]) == [MODEL]


@pytest.mark.anyio
@pytest.mark.parametrize("max_cost_usd", [None, 1.0])
async def test_a_call_counts_at_the_time_at_which_it_ended(
    home: Path, max_cost_usd: float | None
) -> None:
    clock = VirtualClock()
    async with simulated(home, clock=clock, max_cost_usd=max_cost_usd) as runtime:
        started = clock.now()
        await runtime.client.create(CALL)
        clock.advance(3600)

        assert [entry.at for entry in runtime.costs.get_cost_history()] == [started]
        assert [record.at for record in runtime.tokens.get_usage_history()] == [started]
        assert runtime.tokens.check_rate_limit(60, 0)
        await runtime.client.create(CALL)
        assert runtime.costs.get_cost_history()[-1].at == started + 3600
        assert not runtime.tokens.check_rate_limit(60, 0)


@pytest.mark.anyio
async def test_a_window_that_fills_is_told_without_anybody_asking(
    home: Path, scripted: ScriptedTransport
) -> None:
    events: list[Any] = []
    scripted.script[:] = [answer(usage=Usage(input_tokens=190_000, output_tokens=1))]
    async with real(home, sinks=[events.append]) as runtime:
        await runtime.client.create(CALL)

    (told,) = [event for event in events if isinstance(event, ContextFilling)]
    assert told.used_tokens == 190_001


@pytest.mark.anyio
async def test_many_calls_are_counted_as_they_come(home: Path) -> None:
    async with simulated(home) as runtime:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(runtime.client.create, CALL)

        assert runtime.managers._in_hand == []
        assert runtime.costs.report().calls == 20
        assert runtime.tokens.get_analytics()["totals"]["calls"] == 20


@pytest.mark.anyio
async def test_the_pacing_asks_the_counter_that_learns(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def count(_counter: Any, params: Any) -> int:
        asked.append(params)
        return 1

    monkeypatch.setattr("sdk_workflow.core.token_counter.CalibratingTokenCounter.count", count)
    async with simulated(home) as runtime:
        await runtime.client.create(CALL)
    assert asked == [CALL.to_params()]


@pytest.mark.anyio
async def test_the_clock_of_the_managers_waits_as_the_true_one_does(home: Path) -> None:
    clock = HurriedClock()
    async with simulated(home, clock=clock) as runtime:
        await runtime.managers._clock.sleep(3)
    assert clock.waits == [3]


@pytest.mark.anyio
async def test_without_a_limit_nothing_is_written(home: Path) -> None:
    async with simulated(home) as runtime:
        await runtime.client.create(CALL)
        assert runtime.costs.report().calls == 1
    assert files_of(home) == []


# ----------------------------------------------------------------------------- limits


@pytest.mark.anyio
async def test_a_runtime_spends_no_more_than_it_may(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [answer(number) for number in range(9)]
    events: list[Any] = []
    async with real(home, max_cost_usd=0.0015, sinks=[events.append]) as runtime:
        for _ in range(3):
            await runtime.client.create(CALL)
        with pytest.raises(BudgetExceeded, match=r"the limit of \$0\.0015") as caught:
            await runtime.client.create(CALL)

        assert "max_cost_usd" in caught.value.hint
        spent = runtime.costs.check_budget_status(0.0015)["spent_usd"]
        assert 0.0015 - HOLD_USD < spent == 3 * COST_USD
        assert len(scripted.calls) == 3
        (reached,) = [event for event in events if isinstance(event, BudgetReached)]
        assert (reached.limit, reached.spent_usd) == ("hard", spent)
        hard = runtime.metrics.get_summary()["budgets"]["hard"]
        assert (hard["reached"], hard["limit_usd"], hard["spent_usd"]) == (1, 0.0015, spent)
    assert files_of(home) == []


@pytest.mark.anyio
async def test_the_soft_limit_is_told_once(home: Path, scripted: ScriptedTransport) -> None:
    scripted.script[:] = [answer(number) for number in range(3)]
    events: list[Any] = []
    async with real(home, budget_soft_usd=0.0002, sinks=[events.append]) as runtime:
        for _ in range(3):
            await runtime.client.create(CALL)

    (reached,) = [event for event in events if isinstance(event, BudgetReached)]
    assert (reached.limit, reached.spent_usd) == ("soft", 0.0003)


@pytest.mark.anyio
async def test_the_limit_of_the_settings_is_shared_by_all_that_use_the_state_folder(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [answer(number) for number in range(9)]
    for _ in range(3):
        async with real(home, budget_usd=0.0015) as runtime:
            await runtime.client.create(CALL)
    async with real(home, budget_usd=0.0015) as runtime:
        with pytest.raises(BudgetExceeded, match=r"\$0\.00045 is spent") as caught:
            await runtime.client.create(CALL)
        assert "budget_usd" in caught.value.hint
    async with real(home, budget_usd=0.0015, budget_scope="another") as runtime:
        await runtime.client.create(CALL)
    async with simulated(home, budget_usd=0.0015) as runtime:
        await runtime.client.create(CALL)

    assert spent_usd(home, "shared/default") == (0.00045, 0.0)
    assert spent_usd(home, "shared/another") == (0.00015, 0.0)
    assert spent_usd(home, "simulated/shared/default")[0] > 0


@pytest.mark.anyio
async def test_both_limits_hold_and_the_one_in_the_way_gives_back(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [answer(number) for number in range(9)]
    async with real(home, budget_usd=0.0017, max_cost_usd=1.0) as runtime:
        for _ in range(4):
            await runtime.client.create(CALL)
        with pytest.raises(BudgetExceeded) as caught:
            await runtime.client.create(CALL)
        assert "budget_usd" in caught.value.hint
        status = runtime.costs.check_budget_status(1.0)
        assert (status["spent_usd"], status["held_usd"]) == (0.0006, 0.0)
        assert runtime.costs.report().total.usd == 0.0006
    assert spent_usd(home, "shared/default") == (0.0006, 0.0)

    async with real(home, budget_usd=9.0, max_cost_usd=0.0001) as runtime:
        with pytest.raises(BudgetExceeded) as caught:
            await runtime.client.create(CALL)
        assert "max_cost_usd" in caught.value.hint
    assert spent_usd(home, "shared/default") == (0.0006, 0.0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("way", "code"), [("reject", "budget_busy"), ("wait", None), ("clamp", None)]
)
async def test_what_happens_without_room_is_a_setting(
    way: str, code: str | None, home: Path, scripted: ScriptedTransport
) -> None:
    codes: list[str] = []
    first_is_asked = anyio.Event()

    async def slowly(_call: Call) -> Reply:
        first_is_asked.set()
        await anyio.sleep(0.01)
        return answer(0)

    scripted.script[:] = [slowly, answer(1)]
    asked = Call(model=MODEL, max_tokens=1000, messages=CALL.messages)

    async def ask() -> None:
        try:
            await runtime.client.create(asked)
        except BudgetExceeded as error:
            codes.append(error.code)

    async with (
        real(home, max_cost_usd=0.0085, on_exhausted=way) as runtime,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask)
        await first_is_asked.wait()
        tasks.start_soon(ask)

    assert codes == ([] if code is None else [code])
    assert [call.max_tokens < 1000 for call in scripted.calls] == [False, way == "clamp"][
        : len(scripted.calls)
    ]


@pytest.mark.anyio
async def test_a_model_without_a_price_is_refused_under_a_limit(
    home: Path, scripted: ScriptedTransport
) -> None:
    own = {"model": "my-own-model", "base_url": "http://localhost:11434"}
    async with real(home, max_cost_usd=1.0, **own) as runtime, runtime.session() as session:
        with pytest.raises(UnpricedModel, match="my-own-model"):
            await session.message("Hello")
    assert scripted.calls == []


@pytest.mark.anyio
async def test_each_attempt_holds_for_itself(home: Path, scripted: ScriptedTransport) -> None:
    cut = OverloadedError("in the stream", status=200)
    scripted.script[:] = [cut, BUSY, answer()]
    options = {"max_cost_usd": 1.0, "cost_scope": session_scope("a"), "clock": HurriedClock()}
    async with (
        real(home, **options) as runtime,
        runtime.session(journal=True, session_id="a", model=MODEL) as session,
    ):
        result = await session.message("Hello", max_tokens=100)

    held = {name.rpartition("/")[2]: cost for name, cost in costs_of_holds(home).items()}
    assert held.keys() == {"0.0", "0.0+2", "0.0+3"}
    assert held["0.0"] > HOLD_USD * PICO / 2, "its outcome is unknown: it counts in full"
    assert held["0.0+2"] == 0
    assert held["0.0+3"] == (result.cost_usd or 0) * PICO


@pytest.mark.anyio
async def test_an_answer_that_is_made_up_takes_nothing_of_a_limit(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [BUSY]
    options = {"max_retries": 0, "fallback_to_simulator": True, "budget_usd": 1.0}
    async with real(home, **options) as runtime, runtime.session() as session:
        result = await session.message("Hello")
        assert result.served_by == "simulator"
        assert runtime.costs.report().total.usd == result.cost_usd
    assert spent_usd(home, "shared/default") == (0.0, 0.0)


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit: float, home: Path) -> None:
    with pytest.raises(UsageError, match="no amount of dollars"):
        simulated(home, max_cost_usd=limit)


def test_a_scope_without_a_limit_is_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="without a limit"):
        simulated(home, cost_scope="mine")


def test_a_run_takes_a_limit(home: Path) -> None:
    assert run_sync("Hello", backend="simulator", home=home, max_cost_usd=1.0).cost_usd
    with pytest.raises(BudgetExceeded):
        run_sync("Hello", backend="simulator", home=home, max_cost_usd=0.0001)


# ------------------------------------------------------------------------- names of holds


def test_the_name_of_a_hold_is_no_part_of_the_request() -> None:
    named = Call(model=MODEL, messages=CALL.messages, max_tokens=100, hold_id="a/run_1/0.0")

    assert named == CALL
    assert named.to_params() == CALL.to_params()
    assert "hold_id" not in repr(named)
    keys = RequestKeys(bytes(32), "")
    assert keys.key_of(named) == keys.key_of(CALL)


@pytest.mark.anyio
async def test_a_kept_run_holds_under_the_names_that_its_journal_tells(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [tool_reply(("shout", {"text": "x"})), answer()]

    def shout(text: str) -> str:
        """Say it loudly."""
        return text.upper()

    options = {"max_cost_usd": 1.0, "cost_scope": session_scope("a")}
    async with (
        real(home, **options) as runtime,
        runtime.session(journal=True, session_id="a", tools=[shout]) as session,
    ):
        await session.message("Hello")

    journal = SessionJournal.open(home, "a")
    named = [
        record.body["hold_id"] for record in journal.records() if record.kind == "model_intent"
    ]
    journal.close()
    assert len(named) == 2
    assert costs_of_holds(home).keys() == set(named)


@pytest.mark.anyio
async def test_a_session_that_is_not_kept_leaves_the_names_to_the_budget(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [answer()]
    async with real(home, budget_usd=1.0) as runtime, runtime.session() as session:
        await session.message("Hello")
    assert all(name.startswith("hold_") for name in costs_of_holds(home))
    assert scripted.calls[0].hold_id is None


def costs_of_holds(home: Path) -> dict[str, int]:
    """Return the holds in the ledger with what each counts."""
    import sqlite3

    connection = sqlite3.connect(home / "ledger.sqlite")
    rows = connection.execute("SELECT hold_id, cost FROM holds").fetchall()
    connection.close()
    return {name.decode(): cost for name, cost in rows}


@pytest.mark.anyio
@pytest.mark.parametrize("scope", ["session/a", "shared/default"])
async def test_a_hold_of_a_process_that_died_counts_in_full_when_its_session_is_opened(
    home: Path, scope: str
) -> None:
    """The hold of the second attempt: the first one was refused and given back."""
    journal = SessionJournal.open(home, "a", create=True)
    bodies: list[tuple[Any, str, dict[str, Any]]] = [
        ("run_started", "", {"text": "Hello", "options": {}}),
        ("model_intent", "0.0", {"hold_id": "a/run_1/0.0"}),
    ]
    state: dict[str, Any] = {"model": MODEL, "system": None, "tools": [], "history": []}
    journal.append(
        *(
            JournalRecord(run_id="run_1", step=0, kind=kind, key=key, body=body)
            for kind, key, body in bodies
        ),
        state=state,
    )
    journal.close()
    name = f"simulated/{scope}"
    with ledger_of(home) as ledger:
        for hold, amount in (("a/run_1/0.0+2", 5 * PICO), ("somebody-elses", PICO)):
            ledger.reserve(name, hold, amount, limit=9 * PICO, expires_at=2e9, now=1.8e9)

    limits = {"max_cost_usd": 9.0, "cost_scope": "session/a"}
    if scope == "shared/default":
        limits = {"budget_usd": 9.0}
    async with simulated(home, **limits) as runtime, runtime.resume("a") as session:
        assert spent_usd(home, name) == (5.0, 1.0)
        result = await session.resume()

    cost = result.cost_usd or 0.0
    spent, held = spent_usd(home, name)
    assert spent == pytest.approx(5.0 + cost)
    assert held == 1.0
    assert "a/run_1/0.1" in costs_of_holds(home)


@pytest.mark.anyio
async def test_a_resumed_session_goes_on_with_what_it_has_spent(home: Path) -> None:
    options: dict[str, Any] = {"max_cost_usd": 1.0, "cost_scope": session_scope("a")}
    total = 0.0
    for _ in range(2):
        async with (
            simulated(home, **options) as runtime,
            runtime.session(journal=True, session_id="a") as session,
        ):
            total += (await session.message("Hello")).cost_usd or 0.0
            assert runtime.costs.check_budget_status(1.0)["spent_usd"] == pytest.approx(total)
    assert spent_usd(home, "simulated/session/a")[0] == pytest.approx(total)


@pytest.mark.anyio
async def test_a_session_remembers_its_limit_until_it_gets_another(home: Path) -> None:
    async def talk(**limits: Any) -> None:
        async with (
            simulated(home, **limits) as runtime,
            runtime.session(journal=True, session_id="a") as session,
        ):
            await session.message("Hello")

    assert remembered_limit(home, "a") is None
    scope = {"cost_scope": session_scope("a")}
    await talk(max_cost_usd=1.0, **scope)
    assert remembered_limit(home, "a") == 1.0
    await talk()
    assert remembered_limit(home, "a") == 1.0, "a runtime without a limit does not lift it"
    await talk(max_cost_usd=5.0)
    assert remembered_limit(home, "a") == 1.0, "nor does one whose limit is its own"
    await talk(max_cost_usd=2.0, **scope)
    assert remembered_limit(home, "a") == 2.0


# ------------------------------------------------------------------------------- sessions


@pytest.mark.anyio
async def test_a_kept_session_is_listed_as_it_goes(home: Path) -> None:
    seen: list[str] = []

    def look() -> str:
        """Look at the sessions."""
        (info,) = runtime.sessions.search_sessions({"status": "active"})
        seen.append(info.title)
        return "ok"

    async with (
        simulated(home) as runtime,
        runtime.session(journal=True, session_id="a", tools=[look]) as session,
    ):
        result = await session.message("Call look")
        await runtime.session().message("This one is not kept")

    assert seen == ["Call look"]
    with SessionManager(home) as sessions:
        (info,) = sessions.search_sessions()
    assert (info.session_id, info.status, info.turns) == ("a", "completed", 2)
    assert info.cost_usd == result.cost_usd
    assert info.spent.output_tokens == result.usage.output_tokens
    assert info.model == result.model
    assert info.last_version > 0


@pytest.mark.anyio
async def test_a_run_that_fails_is_listed_with_its_error_and_what_it_took(
    home: Path, scripted: ScriptedTransport
) -> None:
    scripted.script[:] = [tool_reply(("look", {})), BUSY]

    def look() -> str:
        """Look."""
        return "ok"

    async with (
        real(home, max_retries=0) as runtime,
        runtime.session(journal=True, session_id="a", tools=[look]) as session,
    ):
        with pytest.raises(OverloadedError):
            await session.message("Call look")

    with SessionManager(home) as sessions:
        info = sessions.get_session("a")
        assert not sessions.is_cut_off(info)
    assert (info.status, info.turns, info.cost_usd) == ("failed", 1, 0.000015)
    assert "overloaded" in (info.last_error or "")


@pytest.mark.anyio
async def test_a_session_nobody_runs_any_more_was_cut_off(home: Path) -> None:
    with SessionManager(home) as sessions:
        sessions.start_session(session_id="by-hand")
        assert not sessions.is_cut_off(sessions.get_session("by-hand"))
        journal = SessionJournal.open(home, "a", create=True)
        sessions.on_event(RunStarted(session_id="a", text="Hello", model=MODEL))
        assert not sessions.is_cut_off(sessions.get_session("a"))
        journal.close()
        assert sessions.is_cut_off(sessions.get_session("a"))


@pytest.mark.anyio
async def test_a_resumed_run_says_so(home: Path, scripted: ScriptedTransport) -> None:
    scripted.script[:] = [BUSY, answer()]
    events: list[Any] = []
    async with (
        real(home, max_retries=0) as runtime,
        runtime.session(journal=True, session_id="a", sinks=[events.append]) as session,
    ):
        with pytest.raises(OverloadedError):
            await session.message("Hello")
        await session.resume()

    assert [event.resumed for event in events if isinstance(event, RunStarted)] == [False, True]
    with SessionManager(home) as sessions:
        assert (sessions.get_session("a").status, sessions.get_session("a").turns) == (
            "completed",
            1,
        )


@pytest.mark.anyio
async def test_no_manager_keeps_a_broken_stream_from_being_asked_for_again(home: Path) -> None:
    async with (
        simulated(home, max_cost_usd=1.0) as runtime,
        runtime.session(journal=True, session_id="a") as session,
    ):
        assert not session._sinks.take_text


@pytest.mark.anyio
async def test_a_session_file_that_got_shorter_is_noticed(home: Path, tmp_path: Path) -> None:
    path = session_path(home, "a")

    async def talk() -> None:
        async with (
            simulated(home) as runtime,
            runtime.session(journal=True, session_id="a") as session,
        ):
            await session.message("Hello")
            runtime.sessions.get_session("a")  # whoever made the catalogue is done with the file

    await talk()
    for suffix in (".sqlite", ".head"):  # an older copy, with all that vouches for it
        shutil.copy(path.with_suffix(suffix), tmp_path / f"old{suffix}")
    await talk()
    for suffix in (".sqlite", ".head"):
        shutil.copy(tmp_path / f"old{suffix}", path.with_suffix(suffix))

    async with simulated(home) as runtime:
        with pytest.raises(CheckpointCorrupt, match="saved but are missing"):
            runtime.resume("a")
        runtime.sessions.persist_session("a")
        runtime.resume("a").close_sync()


# ---------------------------------------------------------------------------- checkpoints


@pytest.mark.anyio
async def test_the_checkpoints_of_a_running_session_are_open_to_its_own_runtime(
    home: Path,
) -> None:
    async with simulated(home) as runtime:
        runtime.checkpoints.save_checkpoint("a", notes=[])
        async with runtime.session(journal=True, session_id="b") as session:
            await session.message("Hello")
            before = len(runtime.checkpoints.list_checkpoint_versions("b"))
            runtime.checkpoints.save_checkpoint("b", history=[], notes=["mine"])
            runtime.checkpoints.close()
            assert (runtime.checkpoints.load_checkpoint("b") or {})["notes"] == ["mine"]
            runtime.sessions.persist_session("b")
            await session.message("And again")
            assert len(runtime.checkpoints.list_checkpoint_versions("b")) == before + 2
            with pytest.raises(StorageError) as caught:
                runtime.resume("b")
            assert caught.value.code == "session_in_use"
        runtime.checkpoints.save_checkpoint("b", history=[])
        runtime.resume("b").close_sync()


@pytest.mark.anyio
async def test_a_file_that_was_open_before_its_session_is_shared_as_well(home: Path) -> None:
    async with simulated(home) as runtime:
        runtime.checkpoints.save_checkpoint("b", history=[])
        async with runtime.resume("b") as session:
            runtime.checkpoints.save_checkpoint("b", history=[])
            await session.message("Hello")
        assert runtime.checkpoints.get_analytics().open_files == 0


@pytest.mark.anyio
async def test_a_file_that_is_being_read_when_its_session_is_opened_is_closed_later(
    home: Path,
) -> None:
    async with simulated(home) as runtime:
        runtime.checkpoints.save_checkpoint("b", history=[])
        with runtime.managers.files.lend("b") as file:
            async with runtime.resume("b") as session:
                await session.message("Hello")
                assert len(file.versions()) == len(
                    runtime.checkpoints.list_checkpoint_versions("b")
                )
        with pytest.raises(UsageError, match="was closed"):
            file.append_records([JournalRecord(run_id="r", step=0, kind="run_finished")])
        runtime.checkpoints.save_checkpoint("b", history=[])


# ---------------------------------------------------------------------------- processes


def test_four_runtimes_in_threads_share_one_ledger(home: Path) -> None:
    limit = 0.006
    done: list[int] = []
    refused: list[BudgetExceeded] = []

    def work(number: int) -> None:
        async def ask() -> None:
            async with simulated(home, budget_usd=limit) as runtime:
                for turn in range(10):
                    text = f"{number} {turn} " + "word " * 20
                    message = {"role": "user", "content": text}
                    try:
                        reply = await runtime.client.create(
                            Call(model=MODEL, max_tokens=100, messages=(message,))
                        )
                    except BudgetExceeded as error:
                        refused.append(error)
                    else:
                        price = runtime.catalog.price(reply.model, reply.usage)
                        assert price is not None
                        done.append(price.pico)

        anyio.run(ask)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    spent, held = spent_usd(home, "simulated/shared/default")
    assert (spent, held) == (sum(done) / PICO, 0.0)
    assert spent <= limit
    assert done
    assert refused


def test_four_processes_share_one_ledger(tmp_path: Path) -> None:
    program = Program.in_folder(tmp_path)
    (program.folder / "b.jsonl").write_text(
        "".join(f'"{number}: {"word " * 20}"\n' for number in range(12)), "utf-8"
    )
    command = ["run", "--input", "b.jsonl", "--output", "json", "--tools", "none"]
    limits = {"SDK_WORKFLOW_BUDGET_USD": "0.02", "SDK_WORKFLOW_MAX_TOKENS": "256"}
    processes = [program.start(*command, env=limits) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    results = [item for output in outputs for item in json.loads(output)["results"]]
    done = [item["cost_usd"] for item in results if item["ok"]]
    spent, held = spent_usd(program.state, "simulated/shared/default")
    assert spent == pytest.approx(sum(done))
    assert held == 0.0
    assert 0.01 < spent <= 0.02
    refused = [item["error"]["code"] for item in results if not item["ok"]]
    assert refused == ["budget_exceeded"] * (len(results) - len(done)) != []
    assert {process.returncode for process in processes} <= {0, 5}


def test_events_of_calls_reach_the_managers_once(home: Path) -> None:
    runtime = simulated(home)
    event = ModelCallFinished(call=CALL, reply=answer(), duration_ms=1.0)
    for _ in range(2):
        runtime.managers.on_event(event)
    assert runtime.costs.report().calls == 1
    assert json.loads(runtime.costs.export_cost_report())["calls"] == 1

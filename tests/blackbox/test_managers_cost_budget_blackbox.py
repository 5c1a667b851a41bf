"""Whether a hard limit holds, seen from outside: holds, waiting, crashes, threads and processes."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import (
    BudgetExceeded,
    OverloadedError,
    SdkWorkflowError,
    StorageError,
    StreamInterrupted,
)
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.middleware.budget import BudgetMiddleware
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.testing import LoopClock, run_virtual
from sdk_workflow.types import Call, Money, Reply, Usage
from tests.blackbox.processes import start, wait_for_all

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.cost_records import Reservation

HAIKU = "claude-haiku-4-5"  # $1 in and $5 out per million tokens
SEED = 20261121


def call(max_tokens: int = 1000, **changes: Any) -> Call:
    facts: dict[str, Any] = {"model": HAIKU, "messages": ({"role": "user", "content": "Hi"},)}
    return Call(**{**facts, "max_tokens": max_tokens, **changes})


def cost_of_hold(max_tokens: int = 1000) -> int:
    return CostManager(hard_limit_usd=1000).reserve(call(max_tokens)).held.pico


def limited(pico: int, **options: Any) -> CostManager:
    return CostManager(hard_limit_usd=Money(pico), **options)


def standing(costs: CostManager) -> tuple[int, int]:
    report = costs.report()
    return report.spent.pico, report.held.pico


# -- reserve, settle, forfeit, release ---------------------------------------------------------


def test_a_call_fits_into_its_exact_hold_and_not_into_one_pico_dollar_less() -> None:
    hold = cost_of_hold()
    assert limited(hold).reserve(call()).held == Money(hold)
    with pytest.raises(BudgetExceeded) as caught:
        limited(hold - 1).reserve(call())
    assert caught.value.hint
    assert not caught.value.retryable


def test_settling_frees_what_was_not_used_and_a_second_time_changes_nothing() -> None:
    costs = limited(cost_of_hold())
    reservation = costs.reserve(call())
    usage = Usage(input_tokens=10, output_tokens=20)
    for _ in range(3):
        costs.settle(reservation, usage)
    assert standing(costs) == (10 * 10**6 + 20 * 5 * 10**6, 0)
    assert costs.report().calls == 1


def test_forfeiting_spends_the_whole_hold_until_the_true_cost_is_known() -> None:
    hold = cost_of_hold()
    costs = limited(hold)
    reservation = costs.reserve(call())
    for _ in range(2):
        cost = costs.forfeit(reservation)
        assert cost.is_upper_bound
        assert standing(costs) == (hold, 0)
    with pytest.raises(BudgetExceeded):
        costs.reserve(call(1))
    costs.settle(reservation, Usage(input_tokens=3))
    assert standing(costs) == (3 * 10**6, 0)
    assert costs.report().total == Money(3 * 10**6)


def test_releasing_gives_all_back_and_only_once() -> None:
    hold = cost_of_hold()
    costs = limited(2 * hold)
    first, _second = costs.reserve(call()), costs.reserve(call())
    for _ in range(3):
        costs.release(first)
    assert standing(costs) == (0, hold)


def test_a_second_settle_returns_what_stands_in_the_books() -> None:
    costs = limited(cost_of_hold())
    reservation = costs.reserve(call())
    first = costs.settle(reservation, Usage(input_tokens=10))
    assert costs.settle(reservation, Usage(input_tokens=99)).total == first.total


def test_a_late_release_of_a_settled_call_gives_nothing_back() -> None:
    costs = limited(cost_of_hold())
    reservation = costs.reserve(call())
    costs.settle(reservation, Usage(input_tokens=10))
    costs.release(reservation)
    assert standing(costs) == (10 * 10**6, 0)


def test_an_expired_hold_is_spent_and_never_free() -> None:
    hold, clock = cost_of_hold(), VirtualClock()
    costs = limited(hold, clock=clock, hold_seconds=60)
    reservation = costs.reserve(call())
    clock.advance(61)
    assert standing(costs) == (hold, 0)
    with pytest.raises(BudgetExceeded):
        costs.reserve(call(1))
    costs.settle(reservation, Usage(input_tokens=3))
    assert standing(costs) == (3 * 10**6, 0)


def test_without_a_limit_nothing_is_held_and_everything_counts() -> None:
    costs = CostManager()
    reservation = costs.reserve(call())
    assert reservation.held == Money(0)
    costs.settle(reservation, Usage(input_tokens=5))
    assert standing(costs) == (5 * 10**6, 0)


def test_a_soft_limit_is_told_once_and_refuses_nothing() -> None:
    costs = CostManager(soft_limit_usd="0.00001", hard_limit_usd=1)
    for _ in range(3):
        costs.settle(costs.reserve(call()), Usage(input_tokens=10))
    crossings = costs.take_crossings()
    assert [crossing.limit for crossing in crossings] == ["soft"]
    assert costs.take_crossings() == ()
    assert costs.check_budget_status(1)["state"] == "soft"


def test_the_status_tells_ok_busy_and_exhausted_apart() -> None:
    hold = cost_of_hold()
    costs = limited(hold)
    limit = hold / 10**12
    assert costs.check_budget_status(limit)["state"] == "ok"
    reservation = costs.reserve(call())
    assert costs.check_budget_status(limit)["state"] == "busy"
    costs.forfeit(reservation)
    assert costs.check_budget_status(limit)["state"] == "exhausted"


# -- the hold is an upper bound ----------------------------------------------------------------

IMAGE = {"type": "image", "source": {"type": "url", "url": "http://x/a.png"}}
DOCUMENT = {"type": "document", "source": {"type": "url", "url": "http://x/a.pdf"}}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
WEB = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": ({"role": "user", "content": [DOCUMENT]},)},
        {"messages": ({"role": "user", "content": [FILE]},)},
        {"tools": (WEB,)},
        {"parameters": {"mcp_servers": [{"type": "url", "url": "http://x", "name": "m"}]}},
    ],
    ids=["document by url", "file by id", "web search", "mcp server"],
)
def test_what_only_the_server_can_measure_is_refused_or_held_at_a_full_window(
    changes: dict[str, Any],
) -> None:
    window = 200_000 * 10**6
    try:
        held = CostManager(hard_limit_usd=1000).reserve(call(**changes)).held.pico
    except SdkWorkflowError as error:
        assert error.hint  # noqa: PT017 - either way will do
    else:
        assert held >= window


def test_an_image_by_url_is_refused_or_held_at_the_most_that_an_image_can_have() -> None:
    try:
        held = (
            CostManager(hard_limit_usd=1000)
            .reserve(call(1, messages=({"role": "user", "content": [IMAGE]},)))
            .held.pico
        )
    except SdkWorkflowError as error:
        assert error.hint  # noqa: PT017 - either way will do
    else:
        assert held >= 1600 * 10**6


def test_fast_mode_and_region_raise_the_hold_as_they_raise_the_price() -> None:
    world = {"inference_geo": "global"}
    asked = call(model="claude-opus-5", parameters=world)
    plain = CostManager(hard_limit_usd=1000).reserve(asked).held.pico
    for parameters, factor in [({**world, "speed": "fast"}, 2), ({"inference_geo": "us"}, 1.1)]:
        costs = CostManager(hard_limit_usd=1000)
        reservation = costs.reserve(call(model="claude-opus-5", parameters=parameters))
        assert reservation.held.pico >= 0.99 * plain * factor  # the shorter name is held, too
        cost = costs.settle(reservation, Usage(output_tokens=1000))
        assert cost.total == Money(round(1000 * 25 * 10**6 * factor))


def test_a_call_without_a_region_is_held_at_the_dearest_and_billed_where_it_ran() -> None:
    costs = CostManager(hard_limit_usd=1000)
    dearest = costs.reserve(call(model="claude-opus-5", parameters={"inference_geo": "us"}))
    unsaid = costs.reserve(call(model="claude-opus-5"))
    assert unsaid.held.pico >= 0.99 * dearest.held.pico
    usage = Usage(output_tokens=1000)
    assert costs.settle(unsaid, usage, geo="global").total == Money(25 * 10**9)
    assert costs.settle(dearest, usage, geo="us").total == Money(275 * 10**8)


@pytest.mark.parametrize("model", [HAIKU, "claude-haiku-5-5", "claude-opus-5"])
@given(text=st.text(max_size=300), cached=st.booleans(), tools=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_no_call_to_the_simulator_ever_costs_more_than_its_hold(
    model: str, text: str, cached: bool, tools: int  # noqa: FBT001 - drawn
) -> None:
    block: dict[str, Any] = {"type": "text", "text": text or "x"}
    if cached:
        block["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    made = tuple(
        {"name": f"t{n}", "description": text[:50] or "x", "input_schema": schema}
        for n in range(tools)
    )
    costs = CostManager(hard_limit_usd=1000)
    asked = call(300, model=model, messages=({"role": "user", "content": [block]},), tools=made)
    reservation = costs.reserve(asked)
    transport = SimulatorTransport()
    try:
        reply = anyio.run(transport.send, asked)
    except SdkWorkflowError:
        return
    total = costs.settle(reservation, reply.usage).total
    assert total is not None
    assert total <= reservation.held


# -- never a pico-dollar over ------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    limit=st.integers(0, 12),
    steps=st.lists(st.tuples(st.sampled_from("rsfxt"), st.integers(0, 30)), max_size=60),
)
def test_no_order_of_reserving_settling_forfeiting_and_expiring_passes_the_limit(
    limit: int, steps: list[tuple[str, int]]
) -> None:
    clock, hold = VirtualClock(), cost_of_hold(100)
    ceiling = limit * hold + hold // 3
    costs = limited(ceiling, clock=clock, hold_seconds=50, on_exhausted="reject")
    open_holds: list[Reservation] = []
    for step, number in steps:
        if step == "r":
            try:
                open_holds.append(costs.reserve(call(100)))
            except BudgetExceeded:
                assert sum(standing(costs)) + hold > ceiling
        elif step == "t":
            clock.advance(number)
        elif open_holds:
            chosen = open_holds.pop(number % len(open_holds))
            if step == "s":
                costs.settle(chosen, Usage(output_tokens=min(number * 3, 100)))
            elif step == "f":
                costs.forfeit(chosen)
                open_holds.append(chosen)
            else:
                costs.release(chosen)
        spent, held = standing(costs)
        assert spent >= 0
        assert held >= 0
        assert spent + held <= ceiling


def test_threads_never_pass_the_limit_and_use_nearly_all_of_it() -> None:
    hold = cost_of_hold()
    costs = limited(16 * hold)

    def work(seed: int) -> None:
        source = random.Random(seed)  # noqa: S311 - a repeatable order of work
        while True:
            try:
                reservation = costs.reserve(call())
            except BudgetExceeded as error:
                if error.retryable:
                    continue
                return
            costs.settle(reservation, Usage(output_tokens=source.randrange(100, 1000)))

    threads = [threading.Thread(target=work, args=(SEED + n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    spent, held = standing(costs)
    assert held == 0
    assert spent <= 16 * hold
    assert spent >= 0.94 * 16 * hold


def test_tasks_that_wait_use_at_least_94_percent_of_sixteen_maximal_calls() -> None:
    hold = cost_of_hold()

    async def scene() -> tuple[int, int]:
        costs = limited(16 * hold, clock=LoopClock())
        source = random.Random(SEED)  # noqa: S311 - a repeatable order of work

        async def work() -> None:
            while True:
                try:
                    reservation = await costs_in_turn(costs)
                except BudgetExceeded:
                    return
                assert sum(standing(costs)) <= 16 * hold
                await anyio.sleep(source.random())
                costs.settle(reservation, Usage(output_tokens=source.randrange(50, 1000)))

        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(work)
        return standing(costs)

    spent, held = run_virtual(scene)
    assert held == 0
    assert 0.94 * 16 * hold <= spent <= 16 * hold


async def costs_in_turn(costs: CostManager, max_tokens: int = 1000) -> Reservation:
    return await costs.reserve_in_turn(call(max_tokens))


# -- who waits, and for how long ---------------------------------------------------------------


def test_calls_that_wait_are_served_first_come_first_served_even_a_large_one() -> None:
    small, large = cost_of_hold(100), cost_of_hold(3000)

    async def scene() -> list[str]:
        costs = limited(large, clock=LoopClock())
        first = costs.reserve(call(3000))
        served: list[str] = []

        async def work(name: str, max_tokens: int) -> None:
            reservation = await costs_in_turn(costs, max_tokens)
            served.append(name)
            await anyio.sleep(1)
            costs.settle(reservation, Usage())

        async with anyio.create_task_group() as group:
            for name, size in [("a", 100), ("large", 3000), ("b", 100), ("c", 100)]:
                group.start_soon(work, name, size)
                await anyio.sleep(0.1)
            costs.settle(first, Usage())
        assert small < large
        return served

    assert run_virtual(scene) == ["a", "large", "b", "c"]


def test_a_call_that_gives_up_waiting_does_not_hold_up_those_behind_it() -> None:
    async def scene() -> list[str]:
        costs = limited(cost_of_hold(), clock=LoopClock())
        first = costs.reserve(call())
        served: list[str] = []

        async def work(name: str, patience: float) -> None:
            with anyio.move_on_after(patience):
                costs.settle(await costs_in_turn(costs), Usage())
                served.append(name)

        async with anyio.create_task_group() as group:
            for name, patience in [("a", 5), ("b", 100), ("c", 100)]:
                group.start_soon(work, name, patience)
                await anyio.sleep(0.1)
            await anyio.sleep(10)
            costs.settle(first, Usage())
        assert standing(costs) == (0, 0)
        return served

    assert run_virtual(scene) == ["b", "c"]


@pytest.mark.parametrize("policy", ["wait", "reject", "clamp"])
def test_a_call_that_no_hold_in_flight_can_free_room_for_is_refused_at_once(policy: Any) -> None:
    async def scene() -> float:
        costs = limited(cost_of_hold(), on_exhausted=policy, clock=LoopClock())
        costs.forfeit(costs.reserve(call()))
        began = anyio.current_time()
        with pytest.raises(BudgetExceeded):
            await costs_in_turn(costs, 100)
        return anyio.current_time() - began

    assert run_virtual(scene) == 0


def test_those_who_wait_are_refused_as_soon_as_waiting_has_become_useless() -> None:
    async def scene() -> float:
        costs = limited(cost_of_hold(), clock=LoopClock())
        first = costs.reserve(call())
        began = anyio.current_time()
        refused: list[float] = []

        async def work() -> None:
            with pytest.raises(BudgetExceeded):
                await costs_in_turn(costs)
            refused.append(anyio.current_time() - began)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(work)
            await anyio.sleep(3)
            costs.forfeit(first)
        assert len(refused) == 5
        return max(refused)

    assert run_virtual(scene) <= 4


def test_nobody_waits_longer_than_they_were_told_to() -> None:
    async def scene() -> float:
        costs = limited(cost_of_hold(), clock=LoopClock(), max_wait_seconds=20)
        costs.reserve(call())
        began = anyio.current_time()
        with pytest.raises(BudgetExceeded) as caught:
            await costs_in_turn(costs)
        assert caught.value.hint
        return anyio.current_time() - began

    assert 20 <= run_virtual(scene) <= 21


def test_rejecting_never_waits_and_says_that_waiting_may_help() -> None:
    async def scene() -> float:
        costs = limited(cost_of_hold(), on_exhausted="reject", clock=LoopClock())
        costs.reserve(call())
        began = anyio.current_time()
        with pytest.raises(BudgetExceeded) as caught:
            await costs_in_turn(costs)
        assert caught.value.retryable
        return anyio.current_time() - began

    assert run_virtual(scene) == 0


def test_clamping_cuts_the_answer_to_the_room_and_never_the_room_to_the_answer() -> None:
    half = cost_of_hold(500)
    costs = limited(half, on_exhausted="clamp")
    reservation = costs.reserve(call(1000))
    assert reservation.is_clamped
    assert reservation.max_tokens == 500
    assert reservation.held.pico <= half
    costs.settle(reservation, Usage(output_tokens=500))
    with pytest.raises(BudgetExceeded):
        limited(1000, on_exhausted="clamp").reserve(call())


def test_a_call_that_fits_is_not_clamped() -> None:
    reservation = limited(cost_of_hold(), on_exhausted="clamp").reserve(call())
    assert not reservation.is_clamped
    assert reservation.max_tokens == 1000


# -- the middleware ----------------------------------------------------------------------------


class Model:
    """A model that answers, fails or hangs as it was told, and remembers what it was sent."""

    def __init__(self, outcome: str) -> None:
        self.outcome = outcome
        self.calls: list[Call] = []

    async def send(self, sent: Call) -> Reply:
        self.calls.append(sent)
        if self.outcome == "overloaded":
            raise OverloadedError("busy", status=529)
        if self.outcome == "broken":
            raise StreamInterrupted("broken", partial_text="Half")
        if self.outcome == "hangs":
            await anyio.sleep(3600)
        usage = Usage(input_tokens=5, output_tokens=7)
        return Reply(id="m", model=HAIKU, content=(), stop_reason="end_turn", usage=usage)


@pytest.mark.parametrize(
    ("outcome", "spent"),
    [("answers", 5 + 35), ("overloaded", 0), ("broken", None), ("hangs", None)],
)
def test_the_middleware_settles_releases_or_forfeits_by_what_became_of_the_call(
    outcome: str, spent: int | None
) -> None:
    hold = cost_of_hold()
    costs, model = limited(hold), Model(outcome)

    async def scene() -> None:
        with anyio.move_on_after(10):
            await BudgetMiddleware(costs)(call(), model.send)

    try:
        run_virtual(scene)
    except SdkWorkflowError:
        assert outcome in {"overloaded", "broken"}
    assert standing(costs) == (hold if spent is None else spent * 10**6, 0)


def test_the_middleware_sends_a_clamped_call_with_the_clamped_limit() -> None:
    costs, model = limited(cost_of_hold(500), on_exhausted="clamp"), Model("answers")
    anyio.run(BudgetMiddleware(costs), call(1000), model.send)
    assert [sent.max_tokens for sent in model.calls] == [500]


def test_the_middleware_sends_nothing_where_there_is_no_room() -> None:
    costs, model = limited(cost_of_hold() - 1), Model("answers")
    with pytest.raises(BudgetExceeded):
        anyio.run(BudgetMiddleware(costs), call(), model.send)
    assert model.calls == []


# -- a ledger on disk --------------------------------------------------------------------------

SPEND = """
import random, sys
from pathlib import Path
from sdk_workflow.exceptions import BudgetExceeded
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.types import Call, Money, Usage
source = random.Random(int(sys.argv[3]))
costs = CostManager(hard_limit_usd=Money(int(sys.argv[2])), ledger=LedgerFile(Path(sys.argv[1])))
call = Call(model="claude-haiku-4-5", max_tokens=1000, messages=({"role": "user", "content": "Hi"},))
total = 0
while True:
    try:
        reservation = costs.reserve(call)
    except BudgetExceeded as error:
        if error.retryable:
            continue
        break
    total += costs.settle(reservation, Usage(output_tokens=source.randrange(100, 1000))).total.pico
print(total)
"""


def test_four_processes_on_one_ledger_never_pass_the_limit_and_use_nearly_all(
    tmp_path: Path,
) -> None:
    limit = 16 * cost_of_hold()
    path = tmp_path / "ledger.sqlite"
    outputs = wait_for_all(
        [start(SPEND, tmp_path, str(path), str(limit), str(SEED + n)) for n in range(4)]
    )
    costs = limited(limit, ledger=LedgerFile(path))
    spent, held = standing(costs)
    assert held == 0
    assert spent == sum(int(out) for out in outputs)
    assert 0.94 * limit <= spent <= limit


RESERVE_AND_DIE = SPEND.split("total = 0", maxsplit=1)[0] + (
    "import os\ncosts.reserve(call)\nos._exit(0)\n"
)


def test_the_hold_of_a_process_that_died_is_held_and_then_spent_and_never_free(
    tmp_path: Path,
) -> None:
    hold, path = cost_of_hold(), tmp_path / "ledger.sqlite"
    wait_for_all([start(RESERVE_AND_DIE, tmp_path, str(path), str(2 * hold), "1")])
    costs = limited(2 * hold, ledger=LedgerFile(path))
    assert standing(costs) == (0, hold)
    clock = VirtualClock(start=costs.report().made_at + 100_000)
    later = limited(2 * hold, ledger=LedgerFile(path), clock=clock)
    assert standing(later) == (hold, 0)
    later.settle(later.reserve(call()), Usage(output_tokens=1000))
    with pytest.raises(BudgetExceeded):
        later.reserve(call())


def test_a_restart_remembers_what_was_spent_and_scopes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first = limited(10**12, ledger=LedgerFile(path), scope="a")
    first.settle(first.reserve(call()), Usage(input_tokens=7))
    assert standing(limited(10**12, ledger=LedgerFile(path), scope="a")) == (7 * 10**6, 0)
    assert standing(limited(10**12, ledger=LedgerFile(path), scope="b")) == (0, 0)
    assert path.stat().st_mode & 0o077 == 0


def test_the_clock_going_backwards_frees_nothing(tmp_path: Path) -> None:
    hold, path = cost_of_hold(), tmp_path / "ledger.sqlite"
    future = limited(2 * hold, ledger=LedgerFile(path), clock=VirtualClock(2e9))
    future.forfeit(future.reserve(call()))
    future.reserve(call())
    past = limited(2 * hold, ledger=LedgerFile(path), clock=VirtualClock(1e9))
    assert sum(standing(past)) == 2 * hold
    with pytest.raises(BudgetExceeded):
        past.reserve(call(1))


def full_ledger(path: Path) -> tuple[int, int]:
    """Fill a ledger to its limit; return the limit, and what is spent of it."""
    hold = cost_of_hold()
    costs = limited(20 * hold, ledger=LedgerFile(path))
    for number in range(20):
        reservation = costs.reserve(call())
        if number % 3 == 0:
            costs.forfeit(reservation)
        else:
            costs.settle(reservation, Usage(input_tokens=1, output_tokens=990))
    return 20 * hold, standing(costs)[0]


def assert_no_free_money(path: Path, limit: int, spent: int) -> None:
    try:
        costs = limited(limit, ledger=LedgerFile(path))
        assert standing(costs)[0] >= spent
    except StorageError as error:
        assert error.hint  # noqa: PT017 - either way will do


def test_no_flipped_bit_of_a_ledger_makes_money_free(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    limit, spent = full_ledger(path)
    whole, source = path.read_bytes(), random.Random(SEED)  # noqa: S311 - repeatable damage
    for _ in range(60):
        place = source.randrange(len(whole))
        flipped = bytes([whole[place] ^ 1 << source.randrange(8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert_no_free_money(path, limit, spent)


def test_no_cut_of_a_ledger_makes_money_free(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    limit, spent = full_ledger(path)
    whole = path.read_bytes()
    for share in range(1, 40):
        path.write_bytes(whole[: len(whole) * share // 40])
        assert_no_free_money(path, limit, spent)


def test_a_ledger_that_was_emptied_does_not_make_money_free(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    limit, spent = full_ledger(path)
    path.write_bytes(b"")
    assert_no_free_money(path, limit, spent)


def test_a_ledger_that_was_deleted_does_not_make_money_free(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    limit, spent = full_ledger(path)
    path.unlink()
    assert_no_free_money(path, limit, spent)
    for mark in tmp_path.iterdir():
        mark.unlink()
    assert standing(limited(limit, ledger=LedgerFile(path))) == (0, 0)

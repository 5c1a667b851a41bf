"""The budget layer: a call is sent when its worst case fits, and settled at what it has cost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.held_emit import UnseenEmit, is_seen
from sdk_workflow.core.budgeting import waiting
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import (
    BudgetExceeded,
    ConfigError,
    LLMError,
    OverloadedError,
    RateLimitError,
    RequestRejected,
    ServiceUnavailable,
    StorageError,
    StreamInterrupted,
    UnpricedModel,
    UsageError,
)
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.middleware.budget import BudgetMiddleware, hold_names
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.testing.virtual_time import LoopClock, run_virtual
from sdk_workflow.types import Call, Money, Usage
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.events import Event
    from sdk_workflow.types import Reply, StreamEvent

MODEL = "claude-sonnet-5-5"
USAGE = Usage(input_tokens=1000, output_tokens=100)  # $0.003
GLOBAL = {"inference_geo": "global"}  # else the dearest region counts
HOLD_USD = 0.011184  # what `call()` may cost at the most


class ConnectError(Exception):
    """Named like the error of the HTTP stack for a connection that was never there."""


def call(**changes: Any) -> Call:
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "parameters": GLOBAL}
    return Call(messages=({"role": "user", "content": "Hello"},), **{**asked, **changes})


def answer(**facts: Any) -> Reply:
    return text_reply("Hi", **{"usage": USAGE, "model": MODEL, **facts})


def budget(limit: float | None = 1.0, **options: Any) -> CostManager:
    return CostManager(hard_limit_usd=limit, clock=LoopClock(), **options)


def figures(costs: CostManager) -> tuple[float, float]:
    status = costs.check_budget_status(1.0)
    return status["spent_usd"], status["held_usd"]


class Model:
    """Answers after a while, and counts how many calls it is asked at once."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.running = self.most = 0
        self.order: list[str] = []

    async def send(self, asked: Call) -> Reply:
        self.running += 1
        self.most = max(self.most, self.running)
        self.order.append(asked.operation)
        try:
            await anyio.sleep(self.seconds)
        finally:
            self.running -= 1
        return answer(id=f"msg_{len(self.order)}")


@pytest.mark.anyio
async def test_a_reply_settles_the_hold_at_what_was_billed() -> None:
    costs = budget()
    held: list[float] = []

    async def send(_call: Call) -> Reply:
        held.append(figures(costs)[1])
        return answer()

    reply = await BudgetMiddleware(costs)(call(), send)
    assert reply.text == "Hi"
    assert held == [HOLD_USD]
    assert figures(costs) == (0.003, 0.0)


@pytest.mark.anyio
async def test_without_a_hard_limit_every_call_passes_and_is_counted() -> None:
    costs = budget(None)
    transport = ScriptedTransport(answer(model="mystery"))
    await BudgetMiddleware(costs)(call(model="mystery"), transport.send)
    await BudgetMiddleware(costs)(call(), ScriptedTransport(answer()).send)
    assert figures(costs) == (0.003, 0.0)


@pytest.mark.anyio
async def test_the_model_that_answered_is_billed() -> None:
    costs = budget()
    haiku = answer(model="claude-haiku-5-5")
    await BudgetMiddleware(costs)(call(), ScriptedTransport(haiku).send)
    assert costs.get_cost_breakdown("model") == {"claude-haiku-5-5": figures(costs)[0]}


@pytest.mark.anyio
async def test_an_answer_of_a_model_without_a_price_counts_as_one_of_the_model_asked() -> None:
    costs = budget()
    await BudgetMiddleware(costs)(call(), ScriptedTransport(answer(model="mystery")).send)
    expected = budget()
    await BudgetMiddleware(expected)(call(), ScriptedTransport(answer()).send)
    assert figures(costs) == figures(expected)


class Names:
    """Notes under which names a budget holds."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.names: list[str] = []
        self.is_shared = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def reserve(self, scope: str, hold_id: str, amount: int, **facts: Any) -> Any:
        self.names.append(hold_id)
        return self.ledger.reserve(scope, hold_id, amount, **facts)


@pytest.mark.anyio
async def test_each_attempt_of_a_named_call_is_held_under_a_name_of_its_own() -> None:
    ledger: Any = Names()
    middleware = BudgetMiddleware(budget(ledger=ledger))
    named = call(hold_id="a/run_1/0.0")
    for script in (StreamInterrupted("cut"), RateLimitError("slow", status=429)):
        with pytest.raises(type(script)):
            await middleware(named, ScriptedTransport(script).send)
    await middleware(named, ScriptedTransport(answer()).send)
    await middleware(call(hold_id="a/run_1/1.0"), ScriptedTransport(answer(id="msg_2")).send)

    assert ledger.names == [*hold_names("a/run_1/0.0", 3), "a/run_1/1.0"]


@pytest.mark.anyio
async def test_a_name_that_is_used_again_is_not_free() -> None:
    costs = budget()
    middleware = BudgetMiddleware(costs)
    for number in range(3):
        reply = answer(id=f"msg_{number}")
        await middleware(call(hold_id="a/run_1/0.0"), ScriptedTransport(reply).send)
    once = budget()
    await BudgetMiddleware(once)(call(), ScriptedTransport(answer()).send)
    assert figures(costs)[0] == pytest.approx(3 * figures(once)[0])


@pytest.mark.anyio
async def test_a_budget_takes_back_its_hold_where_one_inside_gives_up_before_sending() -> None:
    class Full(CostManager):
        async def reserve_in_turn(self, *_: Any, **__: Any) -> Any:
            raise StorageError("The ledger is gone.", code="ledger_missing")

    outer, inner = budget(), BudgetMiddleware(Full(hard_limit_usd=1.0))
    transport = ScriptedTransport(answer())

    async def proceed(given: Call) -> Any:
        return await inner(given, transport.send)

    with pytest.raises(StorageError):
        await BudgetMiddleware(outer)(call(), proceed)
    assert figures(outer) == (0.0, 0.0)
    assert transport.calls == []


@pytest.mark.anyio
async def test_names_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sdk_workflow.middleware.budget._MAX_NAMES", 2)
    middleware = BudgetMiddleware(budget())
    for number in range(5):
        transport = ScriptedTransport(StreamInterrupted("cut"))
        with pytest.raises(StreamInterrupted):
            await middleware(call(hold_id=f"a/{number}"), transport.send)
    assert list(middleware._attempts) == ["a/3", "a/4"]


@pytest.mark.anyio
async def test_a_hint_of_ones_own_says_how_the_limit_is_raised() -> None:
    with pytest.raises(BudgetExceeded) as caught:
        await BudgetMiddleware(budget(0.001), hint="Ask Ada.")(call(), ScriptedTransport().send)
    assert caught.value.hint == "Ask Ada."


@pytest.mark.anyio
async def test_where_waiting_helps_the_hint_says_so() -> None:
    costs = budget(1.5 * HOLD_USD, on_exhausted="reject")
    costs.reserve(call())
    with pytest.raises(BudgetExceeded) as caught:
        await BudgetMiddleware(costs, hint="Ask Ada.")(call(), ScriptedTransport().send)
    assert caught.value.hint == "Try again when a call has ended."


def failed_to_connect() -> LLMError:
    error = ServiceUnavailable("no connection", code="connection_failed")
    error.__cause__ = OSError("wrapped")
    error.__cause__.__cause__ = ConnectError()
    return error


def broken_connection() -> LLMError:
    error = ServiceUnavailable("reset", code="connection_failed")
    error.__cause__ = ConnectionResetError()
    return error


@pytest.mark.parametrize(
    "error",
    [
        RequestRejected("bad", status=400),
        RateLimitError("slow down", status=429),
        OverloadedError("busy", status=529),
        failed_to_connect(),
        ConfigError("no key"),
        BudgetExceeded("another budget"),
        UnpricedModel("another budget"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.anyio
async def test_what_was_provably_not_billed_is_given_back(error: Exception) -> None:
    costs = budget()
    with pytest.raises(type(error)):
        await BudgetMiddleware(costs)(call(), ScriptedTransport(error).send)
    assert figures(costs) == (0.0, 0.0)
    assert costs.report().calls == 0


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("oops", status=500),
        ServiceUnavailable("too slow", status=408),
        RequestRejected("the caller left", status=499),
        ServiceUnavailable("gateway", status=504),
        OverloadedError("busy in the stream", status=200),
        OverloadedError("busy in the stream"),
        StreamInterrupted("cut"),
        broken_connection(),
        LLMError("not JSON", status=200),
        RuntimeError("a fault of ours"),
    ],
    ids=lambda error: f"{type(error).__name__} {getattr(error, 'status', None)}",
)
@pytest.mark.anyio
async def test_an_unknown_outcome_counts_in_full(error: Exception) -> None:
    costs = budget()
    with pytest.raises(type(error)):
        await BudgetMiddleware(costs)(call(), ScriptedTransport(error).send)
    assert figures(costs) == (HOLD_USD, 0.0)
    assert costs.report().upper_bound_calls == 1


@pytest.mark.parametrize(
    "error",
    [UsageError("the listener's own"), RateLimitError("another call's", status=429)],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.anyio
async def test_once_a_reply_arrives_no_error_gives_the_hold_back(error: Exception) -> None:
    costs = budget()

    async def listen(_event: StreamEvent) -> None:
        raise error

    async def send(asked: Call) -> Reply:
        assert asked.emit is not None
        await asked.emit({"type": "message_start"})
        raise AssertionError

    for emit in (listen, UnseenEmit(listen)):
        with pytest.raises(type(error)):
            await BudgetMiddleware(costs)(call(emit=emit), send)
    assert figures(costs) == (2 * HOLD_USD, 0.0)


@pytest.mark.anyio
async def test_a_stream_reaches_its_listener_through_the_budget() -> None:
    heard: list[StreamEvent] = []
    seen: list[bool] = []

    async def listen(event: StreamEvent) -> None:
        heard.append(event)

    async def send(asked: Call) -> Reply:
        assert asked.emit is not None
        seen.append(is_seen(asked.emit))
        await asked.emit({"type": "ping"})
        return answer()

    for emit in (listen, UnseenEmit(listen)):
        await BudgetMiddleware(budget())(call(emit=emit), send)
    assert heard == [{"type": "ping"}] * 2
    assert seen == [True, False]


@pytest.mark.anyio
async def test_a_call_is_billed_as_the_model_and_the_region_of_its_reply() -> None:
    costs = budget()
    reply = answer(model="claude-opus-5-5", inference_geo="us")
    await BudgetMiddleware(costs)(call(), ScriptedTransport(reply).send)
    (entry,) = costs.get_cost_history()
    assert (entry.model, entry.cost) == ("claude-opus-5-5", Money(6_600_000_000))


def test_a_call_cancelled_on_its_way_counts_in_full() -> None:
    costs, model = budget(), Model(seconds=60)

    async def main() -> None:
        with anyio.move_on_after(1):
            await BudgetMiddleware(costs)(call(), model.send)

    run_virtual(main)
    assert figures(costs) == (HOLD_USD, 0.0)


@pytest.mark.anyio
async def test_a_reply_with_nonsense_for_usage_counts_in_full() -> None:
    costs = budget()
    reply = answer(usage=Usage(output_tokens=-5))
    assert await BudgetMiddleware(costs)(call(), ScriptedTransport(reply).send) is reply
    assert figures(costs) == (HOLD_USD, 0.0)


@pytest.mark.anyio
async def test_a_call_without_room_is_never_sent() -> None:
    transport = ScriptedTransport()
    with pytest.raises(BudgetExceeded):
        await BudgetMiddleware(budget(0.001))(call(), transport.send)
    with pytest.raises(UnpricedModel):
        await BudgetMiddleware(budget())(call(model="mystery"), transport.send)
    assert transport.calls == []


def test_callers_wait_for_room_and_are_served_in_their_order() -> None:
    costs, model = budget(3 * HOLD_USD), Model()
    middleware = BudgetMiddleware(costs)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(middleware, call(operation=str(number)), model.send)
                await anyio.lowlevel.checkpoint()

    run_virtual(main)
    assert model.order == [str(number) for number in range(8)]
    assert 1 < model.most <= 3
    assert figures(costs) == (0.024, 0.0)


def test_who_waits_in_vain_is_refused_as_soon_as_that_is_certain() -> None:
    costs, model = budget(1.2 * HOLD_USD), Model()
    middleware = BudgetMiddleware(costs)
    refused: list[tuple[str, float]] = []

    async def ask() -> None:
        try:
            await middleware(call(), model.send)
        except BudgetExceeded as error:
            refused.append((error.code, anyio.current_time()))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)

    run_virtual(main)
    assert refused == [("budget_exceeded", 1.0)] * 4
    assert figures(costs) == (0.003, 0.0)


def test_a_large_call_is_not_overtaken_by_small_ones() -> None:
    costs, model = budget(1.5 * HOLD_USD), Model()
    middleware = BudgetMiddleware(costs)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for name, tokens in (("first", 1000), ("large", 1000), ("small", 10)):
                asked = call(operation=name, max_tokens=tokens)
                tasks.start_soon(middleware, asked, model.send)
                await anyio.lowlevel.checkpoint()

    run_virtual(main)
    assert model.order == ["first", "large", "small"]


def test_a_waiter_that_is_cancelled_makes_way_and_leaves_nothing_behind() -> None:
    costs, model = budget(1.5 * HOLD_USD), Model()
    middleware = BudgetMiddleware(costs)

    async def impatient() -> None:
        with anyio.move_on_after(0.5):
            await middleware(call(operation="impatient"), model.send)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(middleware, call(operation="first"), model.send)
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(impatient)
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(middleware, call(operation="patient"), model.send)

    run_virtual(main)
    assert model.order == ["first", "patient"]
    assert figures(costs) == (0.006, 0.0)


def test_a_waiter_gives_up_when_its_longest_wait_is_over() -> None:
    costs, model = budget(1.5 * HOLD_USD, max_wait_seconds=5.0), Model(seconds=60)
    middleware = BudgetMiddleware(costs)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(middleware, call(), model.send)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(BudgetExceeded, match="within 5 s") as caught:
                await middleware(call(), model.send)
            assert (caught.value.code, caught.value.retryable) == ("budget_wait_timeout", True)
            assert anyio.current_time() == 5.0

    run_virtual(main)
    assert figures(costs) == (0.003, 0.0)


def test_a_waiter_learns_by_itself_that_a_hold_has_expired() -> None:
    costs = budget(1.5 * HOLD_USD, hold_seconds=90.0)
    middleware = BudgetMiddleware(costs)

    async def main() -> None:
        costs.reserve(call())  # as if its owner had died
        with pytest.raises(BudgetExceeded) as caught:
            await middleware(call(), Model().send)
        assert not caught.value.retryable
        assert 90.0 <= anyio.current_time() <= 120.0

    run_virtual(main)


def test_rejecting_does_not_wait() -> None:
    costs, model = budget(1.5 * HOLD_USD, on_exhausted="reject"), Model()
    middleware = BudgetMiddleware(costs)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(middleware, call(), model.send)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(BudgetExceeded) as caught:
                await middleware(call(), model.send)
            assert (caught.value.code, anyio.current_time()) == ("budget_busy", 0.0)

    run_virtual(main)


@pytest.mark.anyio
async def test_a_clamped_call_asks_for_less_and_says_so_in_its_span() -> None:
    costs = budget(0.008, on_exhausted="clamp")
    transport, tracer = ScriptedTransport(answer()), PerformanceTracer()
    with tracer.span("call"):
        await BudgetMiddleware(costs)(call(), transport.send)
    (asked,) = transport.calls
    assert 256 <= asked.max_tokens < 1000
    span = tracer.finished_spans()[-1]
    assert span.events is not None
    assert span.events[0][1:] == ("budget_clamped", {"max_tokens": asked.max_tokens})
    costs = budget(0.008, on_exhausted="clamp")
    await BudgetMiddleware(costs)(call(), ScriptedTransport(answer()).send)
    assert costs.get_cost_history()[0].is_clamped


@pytest.mark.anyio
async def test_reaching_a_limit_is_told_once() -> None:
    seen: list[Event] = []
    costs = budget(HOLD_USD + 0.002, soft_limit_usd=0.002)
    middleware = BudgetMiddleware(costs, on_event=seen.append)
    await middleware(call(session_id="s"), ScriptedTransport(answer()).send)
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            await middleware(call(session_id="s"), ScriptedTransport().send)
    assert [(event.limit, event.session_id) for event in seen] == [  # type: ignore[attr-defined]
        ("soft", "s"),
        ("hard", "s"),
    ]
    await BudgetMiddleware(budget(1, soft_limit_usd=0.001))(
        call(), ScriptedTransport(answer()).send
    )


@pytest.mark.anyio
async def test_the_prompt_is_counted_only_where_its_bytes_leave_no_room() -> None:
    counted: list[Call] = []

    async def count(asked: Call) -> int:
        counted.append(asked)
        return 10

    costs = budget(0.013)
    middleware = BudgetMiddleware(costs, count_tokens=count)
    await middleware(call(), ScriptedTransport(answer(usage=Usage(output_tokens=200))).send)
    assert counted == []
    await middleware(call(), ScriptedTransport(answer()).send)
    assert len(counted) == 1


@pytest.mark.anyio
async def test_where_the_prompt_cannot_be_counted_its_bytes_have_to_do() -> None:
    async def count(_call: Call) -> int:
        raise ServiceUnavailable("no counting today")

    with pytest.raises(BudgetExceeded):
        await BudgetMiddleware(budget(0.005), count_tokens=count)(call(), ScriptedTransport().send)


class Callers:
    """Tasks of several event loops, each loop in a thread of its own, that use one budget."""

    def __init__(self, middleware: BudgetMiddleware) -> None:
        self.middleware = middleware
        self.lock = threading.Lock()
        self.running = self.most = 0
        self.outcomes: list[str] = []

    async def send(self, _call: Call) -> Reply:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        await anyio.sleep(0.002)
        with self.lock:
            self.running -= 1
        return answer()

    async def one(self) -> None:
        try:
            await self.middleware(call(), self.send)
        except BudgetExceeded:
            self.outcomes.append("refused")
        else:
            self.outcomes.append("answered")

    async def several(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(self.one)

    def run(self, loops: int) -> None:
        threads = [threading.Thread(target=anyio.run, args=(self.several,)) for _ in range(loops)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_several_event_loops_in_threads_share_one_budget() -> None:
    costs = CostManager(hard_limit_usd=4 * HOLD_USD)
    callers = Callers(BudgetMiddleware(costs))
    callers.run(loops=4)
    spent, held = figures(costs)
    assert len(callers.outcomes) == 24
    assert held == 0.0
    assert spent == pytest.approx(0.003 * callers.outcomes.count("answered"))
    assert 3 * HOLD_USD < spent <= 4 * HOLD_USD
    assert callers.most <= 4


def test_a_waiter_whose_loop_has_ended_holds_nobody_up() -> None:
    costs = CostManager(hard_limit_usd=1.5 * HOLD_USD)
    first = costs.reserve(call())
    abandoned: list[Any] = []

    async def start_and_leave() -> None:
        waiter = costs.reserve_in_turn(call()).__await__()
        abandoned.append(waiter)
        waiter.send(None)  # it waits in the queue now

    anyio.run(start_and_leave)
    costs.settle(first, USAGE)
    assert costs.reserve(call()).held.usd == HOLD_USD
    with pytest.raises(RuntimeError):  # its loop is gone, so it cannot even leave in order
        abandoned[0].throw(RuntimeError())


# ------------------------------------------------------------------------------ a ledger on disk


@pytest.fixture
def shared(tmp_path: Path) -> Callable[..., CostManager]:
    def make(limit: float = 1.0, **options: Any) -> CostManager:
        ledger = LedgerFile(tmp_path / "ledger.sqlite")
        return CostManager(hard_limit_usd=limit, ledger=ledger, **options)

    return make


@pytest.mark.anyio
async def test_a_ledger_on_disk_never_runs_on_the_event_loop(
    shared: Callable[..., CostManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, threads = threading.get_ident(), set[int]()
    for name in ("reserve", "settle", "forfeit", "standing"):
        method = getattr(LedgerFile, name)

        def watched(*args: Any, _method: Any = method, **options: Any) -> Any:
            threads.add(threading.get_ident())
            return _method(*args, **options)

        monkeypatch.setattr(LedgerFile, name, watched)
    costs = shared()

    async def count(_call: Call) -> int:
        return 10

    middleware = BudgetMiddleware(costs, count_tokens=count)
    await middleware(call(), ScriptedTransport(answer()).send)
    with pytest.raises(StreamInterrupted):
        await middleware(call(), ScriptedTransport(StreamInterrupted("cut")).send)
    assert threads
    assert here not in threads


@pytest.mark.anyio
async def test_a_waiter_sees_the_room_that_another_process_makes(
    shared: Callable[..., CostManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_AGAIN_SHARED_SECONDS", 0.001)
    theirs, ours = shared(1.5 * HOLD_USD), shared(1.5 * HOLD_USD)
    reservation = theirs.reserve(call())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(BudgetMiddleware(ours), call(), ScriptedTransport(answer()).send)
        await anyio.to_thread.run_sync(theirs.settle, reservation, USAGE)
    assert figures(ours) == (0.006, 0.0)


@pytest.mark.anyio
async def test_a_call_cancelled_before_it_was_sent_gives_its_hold_back(
    shared: Callable[..., CostManager],
) -> None:
    costs, transport = shared(), ScriptedTransport()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await BudgetMiddleware(costs)(call(), transport.send)
    assert transport.calls == []
    assert figures(costs) == (0.0, 0.0)


@pytest.mark.anyio
async def test_a_call_cancelled_on_its_way_counts_in_full_on_disk_as_well(
    shared: Callable[..., CostManager],
) -> None:
    costs = shared()
    with anyio.CancelScope() as scope:

        async def send(_call: Call) -> Reply:
            scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        await BudgetMiddleware(costs)(call(), send)
    assert figures(costs) == (HOLD_USD, 0.0)


@pytest.mark.anyio
async def test_a_reply_is_kept_when_the_ledger_fails_afterwards(
    shared: Callable[..., CostManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = shared()

    def fail(*_args: Any, **_options: Any) -> None:
        raise StorageError("The disk is full.", code="disk_full")

    with monkeypatch.context() as patch:
        patch.setattr(LedgerFile, "settle", fail)
        reply = await BudgetMiddleware(costs)(call(), ScriptedTransport(answer()).send)
    assert reply.text == "Hi"
    assert figures(costs) == (0.0, HOLD_USD)


@pytest.mark.anyio
async def test_a_call_is_not_sent_when_the_ledger_cannot_hold_it(
    shared: Callable[..., CostManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise StorageError("The disk is full.", code="disk_full")

    monkeypatch.setattr(LedgerFile, "reserve", fail)
    transport = ScriptedTransport()
    with pytest.raises(StorageError):
        await BudgetMiddleware(shared())(call(), transport.send)
    assert transport.calls == []

"""The middleware of the prompt cache: breakpoints on the way out, one call ahead, events of changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from benchmarks._virtual_time import LoopClock, VirtualTimeLoop
from sdk_workflow._internal.held_emit import HeldEmit
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.events import PrefixMoved
from sdk_workflow.exceptions import OverloadedError
from sdk_workflow.middleware.prompt_cache import PromptCacheMiddleware, prewarm
from tests.prompt_caching.prompts import RULES, call, marks_of, reply, user, words

if TYPE_CHECKING:
    from sdk_workflow.types import Call, Reply

pytestmark = pytest.mark.anyio

ANSWER = reply(cache_write_5m_input_tokens=2_000)


@pytest.fixture
def anyio_backend() -> Any:
    """Let hours pass in a moment."""
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def layer(**options: Any) -> PromptCacheMiddleware:
    return PromptCacheMiddleware(PromptCacheOptimizer(clock=LoopClock()), **options)


def lone(number: int, **fields: Any) -> Call:
    return call(user(words(f"Question {number}")), **{"session_id": None, **fields})


class Server:
    """Begins to answer after a second, is done after three, and notes when each call came."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.started: list[float] = []

    async def send(self, sent: Call) -> Reply:
        self.started.append(anyio.current_time())
        await anyio.sleep(1)
        if self.failures:
            raise self.failures.pop(0)
        if sent.emit is not None:
            await sent.emit({"type": "message_start"})
            await sent.emit({"type": "content_block_delta"})
        await anyio.sleep(2)
        return ANSWER


async def ask_all(
    middleware: PromptCacheMiddleware, server: Server, calls: list[Call]
) -> list[Reply | BaseException]:
    found: list[Reply | BaseException] = []

    async def ask(each: Call) -> None:
        try:
            found.append(await middleware(each, server.send))
        except OverloadedError as error:
            found.append(error)

    async with anyio.create_task_group() as tasks:
        for each in calls:
            tasks.start_soon(ask, each)
    return found


async def ignore(_event: Any) -> None:
    """Take an event."""


async def test_the_call_goes_out_with_its_breakpoints() -> None:
    sent: list[Call] = []

    async def send(each: Call) -> Reply:
        sent.append(each)
        return ANSWER

    assert await layer()(call(), send) is ANSWER
    assert marks_of(sent[0]) == {"system.0": "5m", "automatic": "5m"}


async def test_one_call_goes_ahead_and_the_others_wait_for_its_end() -> None:
    server = Server()
    await ask_all(layer(), server, [lone(number) for number in range(40)])
    assert server.started == [0.0, *[3.0] * 39]


async def test_the_others_wait_for_the_first_event_where_it_is_streamed() -> None:
    server = Server()
    await ask_all(layer(), server, [lone(number, emit=ignore) for number in range(5)])
    assert server.started == [0.0, 1.0, 1.0, 1.0, 1.0]


async def test_every_event_of_the_one_ahead_is_handed_on() -> None:
    seen: list[str] = []

    async def emit(event: Any) -> None:
        seen.append(event["type"])

    await layer()(lone(1, emit=HeldEmit(emit)), Server().send)
    assert seen == ["message_start", "content_block_delta"]


async def test_the_next_one_goes_ahead_where_the_first_fails() -> None:
    server = Server(OverloadedError("busy"), OverloadedError("busy"))
    found = await ask_all(layer(), server, [lone(number) for number in range(4)])
    assert server.started == [0.0, 1.0, 2.0, 5.0]
    assert sum(isinstance(each, OverloadedError) for each in found) == 2


async def test_the_next_one_goes_ahead_where_the_first_is_cancelled() -> None:
    server, middleware = Server(), layer()

    async def impatient() -> None:
        with anyio.move_on_after(0.5):
            await middleware(lone(0), server.send)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(impatient)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(ask_all, middleware, server, [lone(1), lone(2)])
    assert server.started == [0.0, 0.5, 3.5]


async def test_one_that_stops_waiting_disturbs_nobody() -> None:
    server, middleware = Server(), layer()

    async def impatient() -> None:
        with anyio.move_on_after(0.5):
            await middleware(lone(1), server.send)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all, middleware, server, [lone(0)])
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(impatient)
        tasks.start_soon(ask_all, middleware, server, [lone(2)])
    assert server.started == [0.0, 3.0]


async def test_nobody_waits_longer_than_allowed() -> None:
    server = Server()
    await ask_all(layer(max_wait_seconds=2), server, [lone(0), lone(1)])
    assert server.started == [0.0, 2.0]


async def test_nobody_waits_where_waiting_is_off() -> None:
    server = Server()
    await ask_all(layer(max_wait_seconds=0), server, [lone(0), lone(1)])
    assert server.started == [0.0, 0.0]


async def test_nobody_waits_for_a_prefix_that_can_be_read() -> None:
    server, middleware = Server(), layer()
    await ask_all(middleware, server, [lone(0)])
    await ask_all(middleware, server, [lone(1), lone(2)])
    assert server.started == [0.0, 3.0, 3.0]


async def test_one_goes_ahead_again_once_the_prefix_has_expired() -> None:
    server, middleware = Server(), layer()
    await ask_all(middleware, server, [lone(0), lone(1)])
    await anyio.sleep(1_000)
    await ask_all(middleware, server, [lone(2), lone(3)])
    assert server.started[2:] == [1_006.0, 1_009.0]


async def test_calls_with_other_prefixes_do_not_wait_for_one_another() -> None:
    server = Server()
    await ask_all(layer(), server, [lone(n, system=f"{'abc'[n]} {RULES}") for n in range(3)])
    assert server.started == [0.0, 0.0, 0.0]


async def test_short_prompts_do_not_wait() -> None:
    server = Server()
    await ask_all(layer(), server, [lone(number, system="Be brief.") for number in range(3)])
    assert server.started == [0.0, 0.0, 0.0]


async def test_a_moved_prefix_is_told_once() -> None:
    told: list[Any] = []
    middleware = layer(on_event=told.append)
    for hour in range(3):
        await middleware(call(system=f"It is {hour}:00. {RULES}"), Server().send)
    (event,) = told
    assert isinstance(event, PrefixMoved)
    assert (event.part, event.reason) == ("system", "a date or a time in the text")
    assert event.session_id == "s"
    assert event.call == call(system=f"It is 1:00. {RULES}")


async def test_a_moved_prefix_may_have_no_listener() -> None:
    middleware = layer()
    for hour in range(2):
        assert await middleware(call(system=f"It is {hour}:00. {RULES}"), Server().send) is ANSWER


async def test_after_prewarming_nobody_waits() -> None:
    server, optimizer = Server(), PromptCacheOptimizer(clock=LoopClock())
    middleware = PromptCacheMiddleware(optimizer)
    await prewarm(optimizer, lone(0), server.send)
    await ask_all(middleware, server, [lone(number) for number in range(3)])
    assert server.started == [0.0, 3.0, 3.0, 3.0]


async def test_prewarming_may_go_through_the_middleware_itself() -> None:
    server, optimizer = Server(), PromptCacheOptimizer(clock=LoopClock())
    middleware = PromptCacheMiddleware(optimizer)
    sent: list[Call] = []

    async def through(each: Call) -> Reply:
        sent.append(each)
        return await middleware(each, server.send)

    await prewarm(optimizer, lone(0), through, ttl="1h")
    assert marks_of(sent[0]) == {"system.0": "1h"}
    assert sent[0].max_tokens == 0


async def test_a_middleware_makes_its_own_optimizer() -> None:
    assert await PromptCacheMiddleware()(lone(0), Server().send) is ANSWER


def test_callers_in_other_event_loops_wait_as_well() -> None:
    middleware = PromptCacheMiddleware()
    started: list[str] = []
    is_ahead, may_answer = threading.Event(), threading.Event()

    async def first(_call: Call) -> Reply:
        started.append("first")
        is_ahead.set()
        await anyio.to_thread.run_sync(may_answer.wait)
        started.append("answered")
        return ANSWER

    async def second(_call: Call) -> Reply:
        started.append("second")
        return ANSWER

    ahead = threading.Thread(target=anyio.run, args=(middleware, lone(0), first))
    ahead.start()
    assert is_ahead.wait(10)
    behind = threading.Thread(target=anyio.run, args=(middleware, lone(1), second))
    behind.start()
    while not any(lead._waiters for lead in middleware._leads.values()):
        pass
    may_answer.set()
    ahead.join()
    behind.join()
    assert started == ["first", "answered", "second"]


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    middleware = PromptCacheMiddleware()
    lead, is_ours = middleware._enter("prefix")
    assert is_ours

    def gone(_function: Any) -> None:
        raise RuntimeError("Event loop is closed")

    lead._waiters.append((gone, anyio.Event()))
    middleware._end(lead, has_answered=True)
    middleware._end(lead, has_answered=False)
    assert anyio.run(lead.has_answered) is True

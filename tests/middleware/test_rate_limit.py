"""The rate limiter: one queue for all callers, in the order they came, that loses nobody."""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from benchmarks._virtual_time import LoopClock, VirtualTimeLoop
from sdk_workflow._internal.clock import SystemClock, VirtualClock
from sdk_workflow.core.pacing import Pacer
from sdk_workflow.exceptions import (
    OverloadedError,
    RateLimitError,
    RequestRejected,
)
from sdk_workflow.middleware.rate_limit import RateLimitMiddleware
from sdk_workflow.types import Call, Usage
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.types import Reply

pytestmark = pytest.mark.anyio

SHOWN = {
    "anthropic-ratelimit-requests-limit": "600",
    "anthropic-ratelimit-requests-remaining": "600",
}


@pytest.fixture
def anyio_backend() -> Any:
    """Let hours pass in a moment."""
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def call(number: int = 0, model: str = "claude-haiku-5-5") -> Call:
    message = {"role": "user", "content": "Hi"}
    return Call(model=model, messages=(message,), parameters={"number": number})


def limiter(window: int = 1, **options: Any) -> RateLimitMiddleware:
    return RateLimitMiddleware(
        clock=LoopClock(),
        new_pacer=lambda clock: Pacer(clock, first_window=window),
        **options,
    )


def pacer_of(middleware: RateLimitMiddleware, name: str = "haiku-5") -> Pacer:
    return middleware._lanes[name].pacer


class Server:
    """Takes a second for each call and notes the order in which they start."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.headers = SHOWN if headers is None else headers
        self.started: list[int] = []
        self.running = 0
        self.most = 0

    async def send(self, call: Call) -> Reply:
        self.started.append(call.parameters["number"])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(1)
        finally:
            self.running -= 1
        return text_reply("Hi", headers=self.headers)


async def test_callers_start_in_the_order_they_came() -> None:
    server, middleware = Server(), limiter()
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(middleware, call(number), server.send)
    assert server.started == list(range(20))


async def test_no_more_calls_run_than_the_window_lets() -> None:
    server = Server()
    middleware = RateLimitMiddleware(
        clock=LoopClock(), new_pacer=lambda clock: Pacer(clock, first_window=3, max_window=3)
    )
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(middleware, call(number), server.send)
    assert server.most == 3
    assert anyio.current_time() == pytest.approx(7, abs=0.01)


async def test_a_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    server, middleware = Server(), limiter()
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def one(number: int) -> None:
        with scopes[number]:
            await middleware(call(number), server.send)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)
        await anyio.sleep(0.5)
        scopes[1].cancel()
        scopes[2].cancel()
    assert server.started == [0, 3]
    assert pacer_of(middleware).in_flight == 0


async def test_a_running_call_that_is_cancelled_gives_its_slot_back() -> None:
    server, middleware = Server(), limiter()
    with anyio.move_on_after(0.5):
        await middleware(call(0), server.send)
    await middleware(call(1), server.send)
    assert server.started == [0, 1]
    assert pacer_of(middleware).in_flight == 0


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("slow"),
        OverloadedError("busy"),
        RequestRejected("wrong"),
        ValueError("mine"),
        RateLimitError("spent", retryable=False, retry_after_seconds=1e6),
    ],
)
async def test_every_kind_of_failure_gives_the_slot_back(error: Exception) -> None:
    middleware = limiter()
    with pytest.raises(type(error)) as caught:
        await middleware(call(), ScriptedTransport(error).send)
    assert caught.value is error
    assert pacer_of(middleware).in_flight == 0
    assert pacer_of(middleware).wait_seconds(pacer_of(middleware).cost(
        estimated_tokens=1, max_tokens=1
    )) == 0  # fmt: skip


async def test_a_refusal_pauses_all_callers_of_that_class_and_no_others() -> None:
    middleware = limiter(window=4)
    error = RateLimitError("slow", retry_after_seconds=30)
    with pytest.raises(RateLimitError):
        await middleware(call(), ScriptedTransport(error).send)
    server = Server()
    await middleware(call(1, "claude-opus-5-5"), server.send)
    assert anyio.current_time() == pytest.approx(1)
    await middleware(call(2, "claude-haiku-5-1"), server.send)
    assert anyio.current_time() == pytest.approx(31)


async def test_the_limits_of_the_headers_are_kept() -> None:
    middleware = limiter(window=100)
    shown = {**SHOWN, "anthropic-ratelimit-requests-remaining": "0"}
    await middleware(call(), ScriptedTransport(text_reply("Hi", headers=shown)).send)
    server = Server(headers={})
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(middleware, call(number), server.send)
    assert anyio.current_time() == pytest.approx(1.8 + 10 + 1, abs=0.2), "10 a second, and a margin"


async def test_a_turn_that_cannot_come_in_time_is_refused_at_once() -> None:
    middleware = limiter()
    error = RateLimitError("slow", retry_after_seconds=500)
    with pytest.raises(RateLimitError):
        await middleware(call(), ScriptedTransport(error).send)
    with pytest.raises(RateLimitError, match="haiku-5 let no call start for 500 s") as caught:
        with anyio.fail_after(60):
            await middleware(call(), ScriptedTransport().send)
    assert caught.value.code == "paced"
    assert caught.value.retry_after_seconds == pytest.approx(500)
    assert anyio.current_time() == 0


async def test_without_a_time_limit_the_longest_wait_holds() -> None:
    middleware = limiter(max_wait_seconds=60)
    with pytest.raises(RateLimitError):
        await middleware(
            call(), ScriptedTransport(RateLimitError("slow", retry_after_seconds=61)).send
        )
    with pytest.raises(RateLimitError, match="61 s"):
        await middleware(call(), ScriptedTransport().send)


async def test_the_longest_wait_bounds_one_for_a_full_window_too() -> None:
    middleware = limiter(max_wait_seconds=60)

    async def hang(_call: Call) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(middleware, call(), hang)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimitError, match="let no call start for 60 s") as caught:
            await middleware(call(), ScriptedTransport().send)
        assert (caught.value.code, anyio.current_time()) == ("paced", 60)
        tasks.cancel_scope.cancel()
    assert (await middleware(call(), ScriptedTransport(text_reply("Hi")).send)).text == "Hi"


async def test_what_was_read_from_the_prompt_cache_does_not_count() -> None:
    middleware = limiter()
    shown = {
        "anthropic-ratelimit-input-tokens-limit": "1000000",
        "anthropic-ratelimit-input-tokens-remaining": "1000000",
    }
    usage = Usage(input_tokens=10, cache_read_input_tokens=9_000, cache_write_5m_input_tokens=5)
    reply = text_reply("Hi", headers=shown, usage=usage)
    before = middleware._cost(call(), middleware._add_lane("claude-haiku-5-5"))
    await middleware(call(), ScriptedTransport(reply).send)
    after = middleware._cost(call(), middleware._add_lane("claude-haiku-5-5"))
    seen = 15 / before.estimated_tokens
    assert after.input_tokens / before.input_tokens == pytest.approx(1 + 0.2 * (seen - 1))


async def test_a_server_without_limits_is_not_paced_and_its_prompts_are_not_counted() -> None:
    class Counter:
        counted = 0

        def count(self, _params: object) -> int:
            self.counted += 1
            return 1

    counter = Counter()
    middleware = limiter(counter=counter)
    transport = ScriptedTransport(*[text_reply("Hi") for _ in range(50)])
    for _ in range(50):
        await middleware(call(), transport.send)
    assert counter.counted == 1


# Several event loops


def in_threads(count: int, run: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()


def test_callers_in_event_loops_of_their_own_share_one_window() -> None:
    middleware = RateLimitMiddleware(
        clock=SystemClock(), new_pacer=lambda clock: Pacer(clock, first_window=2, max_window=2)
    )
    running, most, done = 0, 0, 0
    lock = threading.Lock()

    async def send(_call: Call) -> Reply:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        await anyio.sleep(0.002)
        with lock:
            running -= 1
            done += 1
        return text_reply("Hi", headers=SHOWN)

    async def several() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(middleware, call(number), send)

    in_threads(4, lambda _number: anyio.run(several))
    assert (most, done) == (2, 20)


def test_a_waiter_whose_loop_is_gone_does_not_block_the_others() -> None:
    middleware = RateLimitMiddleware(clock=VirtualClock())
    lane = middleware._add_lane("claude-haiku-5-5")

    async def stand_and_vanish() -> None:
        lane.join()

    async def ask() -> str:
        lane._wake_first()
        return (await middleware(call(), ScriptedTransport(text_reply("Hi")).send)).text

    anyio.run(stand_and_vanish)
    assert len(lane._queue) == 1
    assert anyio.run(ask) == "Hi"


async def test_only_the_first_in_the_queue_asks_the_pacer() -> None:
    lane = limiter(window=5)._add_lane("claude-haiku-5-5")
    first, second = lane.join(), lane.join()
    cost = lane.pacer.cost(estimated_tokens=1, max_tokens=1)
    assert lane.try_start(cost) is None, "nobody overtakes the queue"
    assert lane.try_turn(second, cost) == inf
    lane.leave(first)
    lane.leave(first)
    assert not isinstance(lane.try_turn(second, cost), float)


async def test_a_call_that_is_given_up_while_the_lane_is_locked_blocks_nobody() -> None:
    async def hang(_call: Call) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    middleware = limiter(window=2)
    given_up: Any = middleware(call(), hang)
    given_up.send(None)  # it is under way, in no task
    lane = middleware._lanes["haiku-5"]
    with lane._lock:  # as where the garbage collector comes in the middle of the arithmetic
        given_up.close()
    assert lane.pacer.in_flight == 0

"""Waits for a server are bounded, those for a listener are not, and giving up closes the socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import pytest

from benchmarks._virtual_time import VirtualTimeLoop
from sdk_workflow.exceptions import (
    DeadlineExceeded,
    LLMError,
    ServiceUnavailable,
    StreamInterrupted,
)
from sdk_workflow.transports.anthropic_sdk import AnthropicTransport
from sdk_workflow.transports.timeouts import Timeouts, Watch
from sdk_workflow.types import Call
from tests.stub_api import TEXT, silent, streamed, stub_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.types import StreamEvent
    from tests.stub_api import Answer, Exchange

pytestmark = pytest.mark.anyio

CLIENTS: list[Callable[[], Any]] = [
    anthropic.DefaultAsyncHttpxClient,
    anthropic.DefaultAioHttpClient,
]


class Virtual:
    """Marks a class of tests whose time is virtual."""

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": VirtualTimeLoop}


LIMITS = Timeouts(first_token_seconds=120, idle_seconds=60, total_seconds=600)


class TestWatch(Virtual):
    """The limits by themselves, in virtual time."""

    async def test_the_first_content_has_a_limit_of_its_own(self) -> None:
        with (watch := Watch(LIMITS)):
            for _ in range(100):  # pieces without content buy no time
                await anyio.sleep(7)
                watch.rest()
                watch.wait(has_content=False)
        assert anyio.current_time() == 120
        error = watch.error("")
        assert (type(error), error.code) == (ServiceUnavailable, "first_token_timeout")
        assert error.retryable
        assert "120 s" in str(error)

    async def test_each_piece_buys_time_for_the_next(self) -> None:
        with (watch := Watch(LIMITS)):
            for _ in range(5):
                watch.wait(has_content=True)
                await anyio.sleep(50)
            watch.wait(has_content=True)
            await anyio.sleep_forever()
        assert anyio.current_time() == 5 * 50 + 60
        error = watch.error("half", request_id="req_1")
        assert error.request_id == "req_1"
        assert isinstance(error, StreamInterrupted)
        assert (error.code, error.partial_text, error.retryable) == ("idle_timeout", "half", True)
        assert "60 s" in str(error)

    async def test_pieces_do_not_buy_time_beyond_the_total(self) -> None:
        with (watch := Watch(LIMITS)):
            while True:
                watch.wait(has_content=True)
                await anyio.sleep(50)
        assert anyio.current_time() == 600
        error = watch.error("half")
        assert (type(error), error.retryable) == (DeadlineExceeded, False)
        assert "600 s" in str(error)

    async def test_the_listener_may_take_any_time(self) -> None:
        with (watch := Watch(LIMITS)):
            watch.rest()
            await anyio.sleep(500)
            watch.wait(has_content=True)
            await anyio.sleep(59)
            watch.rest()
            await anyio.sleep(5_000)
        assert anyio.current_time() == 5_559

    async def test_the_callers_own_limit_stays_the_callers(self) -> None:
        with anyio.move_on_after(5) as scope, Watch(LIMITS):
            await anyio.sleep_forever()
        assert scope.cancelled_caught

    async def test_errors_pass_through(self) -> None:
        with pytest.raises(ValueError, match="mine"), Watch(LIMITS):
            raise ValueError("mine")


def ask(**fields: Any) -> Call:
    message = {"role": "user", "content": "Hi"}
    return Call(**{"model": "claude-haiku-5-5", "messages": (message,), **fields})


async def ignore(_event: StreamEvent) -> None: ...


def transport_to(url: str, http_client: Any = None, **limits: float) -> AnthropicTransport:
    return AnthropicTransport(
        api_key="sk-ant-not-a-real-key",
        base_url=url,
        max_retries=0,
        timeouts=Timeouts(**limits),
        http_client=http_client,
    )


async def failure(answer: Answer, call: Call, **limits: float) -> LLMError:
    async with stub_api(answer) as api:
        transport = transport_to(api.url, **limits)
        with pytest.raises(LLMError) as caught:
            await transport.send(call)
        with anyio.fail_after(5):
            await api.disconnected.wait()
        await transport.aclose()
    return caught.value


@pytest.mark.socket
async def test_a_server_that_sends_no_headers_ends_with_the_limit_of_the_first_token() -> None:
    error = await failure(silent, ask(emit=ignore), first_token_seconds=0.1)
    assert (type(error), error.code) == (ServiceUnavailable, "first_token_timeout")


@pytest.mark.socket
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_what_is_no_content_does_not_count_as_a_first_token(count: int) -> None:
    error = await failure(streamed(count, silent), ask(emit=ignore), first_token_seconds=0.1)
    assert error.code == "first_token_timeout"


@pytest.mark.socket
async def test_a_server_that_falls_silent_in_the_middle_interrupts_the_stream() -> None:
    error = await failure(streamed(4, silent), ask(emit=ignore), idle_seconds=0.1)
    assert isinstance(error, StreamInterrupted)
    assert (error.code, error.partial_text) == ("idle_timeout", TEXT[:9])


@pytest.mark.socket
async def test_a_long_reply_without_a_listener_is_watched_too() -> None:
    error = await failure(streamed(4, silent), ask(max_tokens=20_000), idle_seconds=0.1)
    assert error.code == "idle_timeout"


@pytest.mark.socket
async def test_the_total_bounds_a_plain_reply() -> None:
    error = await failure(silent, ask(), total_seconds=0.1)
    assert type(error) is DeadlineExceeded


@pytest.mark.socket
async def test_a_plain_reply_that_trickles_in_is_bounded_as_a_whole() -> None:
    async def trickle(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        while True:
            await exchange.write(b" ")  # each piece comes in time
            await anyio.sleep(0.02)

    async with stub_api(trickle) as api:
        transport = transport_to(api.url, total_seconds=0.15)
        with pytest.raises(DeadlineExceeded, match=r"0\.15 s"):
            await transport.send(ask())
        await transport.aclose()


@pytest.mark.socket
async def test_a_slow_listener_is_no_idle_server() -> None:
    async def slow(_event: StreamEvent) -> None:
        await anyio.sleep(0.05)

    async with stub_api() as api:
        transport = transport_to(api.url, first_token_seconds=0.3, idle_seconds=0.1)
        assert (await transport.send(ask(emit=slow))).text == TEXT
        await transport.aclose()


@pytest.mark.socket
@pytest.mark.parametrize("new_client", CLIENTS, ids=["httpx2", "aiohttp"])
@pytest.mark.parametrize("emit", [None, ignore], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    "answer", [silent, streamed(4, silent)], ids=["no headers", "in the middle"]
)
async def test_cancelling_a_call_closes_its_socket(
    answer: Answer, emit: Any, new_client: Callable[[], Any]
) -> None:
    async with stub_api(answer) as api:
        transport = transport_to(api.url, http_client=new_client())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, ask(emit=emit))
            with anyio.fail_after(5):
                await api.asked.wait()
            await anyio.sleep(0.01)
            assert not api.disconnected.is_set()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await api.disconnected.wait()
        await transport.aclose()


def test_the_sdk_gets_the_limits_of_connecting_and_of_the_whole() -> None:
    transport = transport_to("http://127.0.0.1:1", connect_seconds=3, total_seconds=44)
    timeout: Any = transport._new_client().timeout
    assert (timeout.connect, timeout.read) == (3, 44)

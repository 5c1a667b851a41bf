"""The official SDK as a transport, against a server that answers from a script."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import httpx2
import pytest
from typing_extensions import override

from sdk_workflow._internal.sse import encode_event
from sdk_workflow.exceptions import (
    AuthenticationFailed,
    ConfigError,
    LLMError,
    OverloadedError,
    RateLimitError,
    RequestRejected,
    ServiceUnavailable,
    StreamInterrupted,
)
from sdk_workflow.transports.anthropic_sdk import (
    _MAX_TOKENS_UNSTREAMED,
    AnthropicTransport,
    _quick_http_client,
)
from sdk_workflow.transports.sdk_errors import typed_errors
from sdk_workflow.types import Call, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sdk_workflow.types import Reply, StreamEvent

pytestmark = pytest.mark.anyio

KEY = "sk-ant-not-a-real-key"
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-5-5",
    "content": [{"type": "text", "text": "Hello there"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 7}},
    },
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]
ARRIVED = ["", "", "", "", "Hello ", "Hello there", "Hello there", "Hello there"]
"""The text that has arrived when the stream breaks off before the event of that index."""


class Body(httpx2.AsyncByteStream):
    """A response's body in chunks, which may end in an error; it remembers that it was closed."""

    def __init__(self, chunks: Sequence[bytes], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.sent = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await anyio.lowlevel.checkpoint()
            self.sent += 1
            yield chunk
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.is_closed = True


class Server:
    """Answers each request with the next item of the script: a response, or an error to raise."""

    def __init__(self, *script: httpx2.Response | Exception) -> None:
        self.script = list(script)
        self.requests: list[httpx2.Request] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def transport(self, **options: Any) -> AnthropicTransport:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
        fields = {"api_key": KEY, "max_retries": 0, "http_client": client, **options}
        return AnthropicTransport(**fields)

    def body(self, index: int = 0) -> dict[str, Any]:
        """Return what was sent with a request."""
        sent: dict[str, Any] = json.loads(self.requests[index].content)
        return sent


class Collector:
    def __init__(self) -> None:
        self.events: list[StreamEvent] = []

    async def __call__(self, event: StreamEvent) -> None:
        self.events.append(event)


def streamed(
    chunks: Sequence[bytes], error: Exception | None = None, *, encoding: str = "identity"
) -> tuple[httpx2.Response, Body]:
    body = Body(chunks, error)
    fields = {
        "content-type": "text/event-stream",
        "request-id": "req_1",
        "content-encoding": encoding,
    }
    return httpx2.Response(200, headers=fields, stream=body), body


def encoded(events: Sequence[StreamEvent] = EVENTS) -> list[bytes]:
    return [encode_event(event) for event in events]


def refused(status: int, kind: str, text: str = "why", **headers: str) -> httpx2.Response:
    body = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_b"}
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=body, headers={"request-id": "req_h", **fields})


def ask(**fields: Any) -> Call:
    messages = ({"role": "user", "content": "Hi"},)
    return Call(**{"model": "claude-haiku-5-5", "messages": messages, **fields})


async def failure(transport: AnthropicTransport, call: Call) -> LLMError:
    """Return the error that a call comes to."""
    with pytest.raises(LLMError) as caught:
        await transport.send(call)
    await transport.aclose()
    return caught.value


# What is sent


async def test_a_call_goes_out_with_key_version_and_body() -> None:
    server = Server(httpx2.Response(200, json=MESSAGE))
    transport = server.transport(base_url="http://models.example/prefix")
    await transport.send(ask(system="Be brief.", parameters={"stop_sequences": ["END"]}))
    await transport.aclose()
    (request,) = server.requests
    assert (request.method, str(request.url)) == (
        "POST",
        "http://models.example/prefix/v1/messages",
    )
    sent = request.headers
    assert KEY in {sent.get("x-api-key"), sent.get("authorization", "").removeprefix("Bearer ")}
    assert sent["anthropic-version"]
    assert sent["content-type"] == "application/json"
    assert server.body() == {
        "model": "claude-haiku-5-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}],
        "system": "Be brief.",
        "stop_sequences": ["END"],
    }


async def test_a_token_goes_out_as_a_bearer() -> None:
    server = Server(httpx2.Response(200, json=MESSAGE))
    transport = server.transport(api_key=None, auth_token="tok-1")
    await transport.send(ask())
    assert server.requests[0].headers["authorization"] == "Bearer tok-1"
    assert "x-api-key" not in server.requests[0].headers
    await transport.aclose()


async def test_the_calls_own_facts_stay_in_the_process() -> None:
    server = Server(httpx2.Response(200, json=MESSAGE))
    transport = server.transport()
    await transport.send(ask(session_id="ses_secret", tenant="acme", operation="title"))
    (request,) = server.requests
    sent = request.content.decode() + repr(request.headers)
    assert not any(word in sent for word in ("ses_secret", "acme", "title"))
    await transport.aclose()


async def test_a_streamed_call_asks_for_events() -> None:
    response, _ = streamed(encoded())
    server = Server(response)
    transport = server.transport()
    await transport.send(ask(emit=Collector()))
    assert server.body()["stream"] is True
    assert server.requests[0].headers["accept"] == "text/event-stream"
    await transport.aclose()


async def test_counting_asks_without_max_tokens() -> None:
    server = Server(httpx2.Response(200, json={"input_tokens": 12}))
    transport = server.transport()
    assert await transport.count_tokens(ask()) == 12
    assert server.requests[0].url.path == "/v1/messages/count_tokens"
    assert "max_tokens" not in server.body()
    await transport.aclose()


def test_the_sdk_would_take_every_reply_that_is_not_streamed() -> None:
    # It refuses what may take longer than ten minutes: 3600 s * max_tokens / 128,000 > 600 s.
    assert _MAX_TOKENS_UNSTREAMED <= 21_333


@pytest.mark.parametrize(
    ("max_tokens", "is_streamed"),
    [(_MAX_TOKENS_UNSTREAMED, False), (_MAX_TOKENS_UNSTREAMED + 1, True), (21_334, True)],
)
async def test_a_long_reply_is_streamed_although_nobody_listens(
    max_tokens: int, *, is_streamed: bool
) -> None:
    response = streamed(encoded())[0] if is_streamed else httpx2.Response(200, json=MESSAGE)
    server = Server(response)
    transport = server.transport()
    reply = await transport.send(ask(max_tokens=max_tokens))
    assert reply.text == "Hello there"
    assert server.body().get("stream", False) is is_streamed
    await transport.aclose()


# What comes back


async def test_a_plain_reply_keeps_the_facts_of_its_response() -> None:
    response = httpx2.Response(200, json=MESSAGE, headers={"Request-Id": "req_1", "X-Limit": "9"})
    transport = Server(response).transport()
    reply = await transport.send(ask())
    assert (reply.text, reply.id, reply.request_id) == ("Hello there", "msg_1", "req_1")
    assert reply.usage == Usage(input_tokens=7, output_tokens=3)
    assert (reply.served_by, reply.headers["x-limit"]) == ("api", "9")
    await transport.aclose()


async def test_a_streamed_reply_hands_over_every_event_and_closes_the_response() -> None:
    response, body = streamed(encoded())
    collector = Collector()
    transport = Server(response).transport()
    reply = await transport.send(ask(emit=collector))
    assert collector.events == EVENTS
    assert (reply.text, reply.request_id, reply.served_by) == ("Hello there", "req_1", "api")
    assert reply.usage == Usage(input_tokens=7, output_tokens=3)
    assert reply.time_to_first_token_ms is not None
    assert body.is_closed
    await transport.aclose()


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_may_be_cut_into_chunks_anywhere(size: int) -> None:
    data = b"".join(encoded())
    response, _ = streamed([data[at : at + size] for at in range(0, len(data), size)])
    collector = Collector()
    transport = Server(response).transport()
    assert (await transport.send(ask(emit=collector))).text == "Hello there"
    assert collector.events == EVENTS
    await transport.aclose()


async def test_a_compressed_stream_is_read() -> None:
    response, _ = streamed([gzip.compress(b"".join(encoded()))], encoding="gzip")
    transport = Server(response).transport()
    assert (await transport.send(ask(emit=Collector()))).text == "Hello there"
    await transport.aclose()


# What is refused


@pytest.mark.parametrize(
    ("status", "kind", "expected", "retryable"),
    [
        (400, "invalid_request_error", RequestRejected, False),
        (401, "authentication_error", AuthenticationFailed, False),
        (403, "permission_error", AuthenticationFailed, False),
        (404, "not_found_error", RequestRejected, False),
        (413, "request_too_large", RequestRejected, False),
        (429, "rate_limit_error", RateLimitError, True),
        (500, "api_error", ServiceUnavailable, True),
        (504, "timeout_error", ServiceUnavailable, True),
        (529, "overloaded_error", OverloadedError, True),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_a_refusal_becomes_the_typed_error(
    status: int, kind: str, expected: type[LLMError], *, retryable: bool, is_streamed: bool
) -> None:
    transport = Server(refused(status, kind)).transport()
    error = await failure(transport, ask(emit=Collector() if is_streamed else None))
    assert type(error) is expected
    assert (error.status, error.request_id, error.retryable) == (status, "req_b", retryable)
    assert str(error) == f"The API answered {status} {kind}: why"
    assert error.hint or expected is RequestRejected
    assert error.__cause__ is not None


async def test_a_refusal_to_count_is_typed_too() -> None:
    transport = Server(refused(404, "not_found_error")).transport()
    with pytest.raises(RequestRejected):
        await transport.count_tokens(ask())
    await transport.aclose()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({}, None),
    ],
)
async def test_the_wait_that_the_server_asks_for_is_handed_on(
    headers: dict[str, str], seconds: float | None
) -> None:
    transport = Server(refused(429, "rate_limit_error", **headers)).transport()
    error = await failure(transport, ask())
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "{broken", "[]", '"text"', ""])
async def test_a_refusal_that_is_no_envelope_goes_by_its_status(body: str) -> None:
    response = httpx2.Response(502, text=body, headers={"request-id": "req_h"})
    error = await failure(Server(response).transport(), ask())
    assert type(error) is ServiceUnavailable
    assert (error.status, error.request_id) == (502, "req_h")
    assert str(error).startswith("The API answered 502: ")


async def test_a_refused_stream_is_closed() -> None:
    body = Body([b'{"type": "error", "error": {"type": "overloaded_error", "message": "full"}}'])
    response = httpx2.Response(529, stream=body, headers={"content-type": "application/json"})
    error = await failure(Server(response).transport(), ask(emit=Collector()))
    assert type(error) is OverloadedError
    assert body.is_closed


# Answers that are none


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "", "[]", "null", "{broken", "\x00"])
@pytest.mark.parametrize("is_count", [False, True], ids=["send", "count"])
async def test_an_answer_that_is_no_json_object_is_an_error(body: str, *, is_count: bool) -> None:
    transport = Server(httpx2.Response(200, text=body)).transport()
    with pytest.raises(LLMError, match="200") as caught:
        await (transport.count_tokens(ask()) if is_count else transport.send(ask()))
    assert (caught.value.code, caught.value.status) == ("malformed_response", 200)
    assert caught.value.retryable
    assert "base URL" in caught.value.hint
    await transport.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**MESSAGE, "content": None},
        {**MESSAGE, "usage": "some"},
        {name: value for name, value in MESSAGE.items() if name != "id"},
    ],
    ids=["empty", "no content", "no usage", "no id"],
)
async def test_an_answer_that_is_no_message_is_an_error(body: dict[str, Any]) -> None:
    error = await failure(Server(httpx2.Response(200, json=body)).transport(), ask())
    assert (error.code, error.status) == ("malformed_response", 200)


@pytest.mark.parametrize("body", [{}, {"input_tokens": None}, {"input_tokens": "many"}])
async def test_a_count_that_is_no_number_is_an_error(body: dict[str, Any]) -> None:
    transport = Server(httpx2.Response(200, json=body)).transport()
    with pytest.raises(LLMError) as caught:
        await transport.count_tokens(ask())
    assert caught.value.code == "malformed_response"
    await transport.aclose()


# Streams that break off


@pytest.mark.parametrize("length", range(len(EVENTS)))
async def test_a_stream_that_ends_early_is_no_reply(length: int) -> None:
    response, body = streamed(encoded(EVENTS[:length]))
    collector = Collector()
    error = await failure(Server(response).transport(), ask(emit=collector))
    assert isinstance(error, StreamInterrupted)
    assert error.partial_text == ARRIVED[length]
    assert error.request_id == "req_1"
    assert error.retryable
    assert "Send the request again" in error.hint
    assert collector.events == EVENTS[:length]
    assert body.is_closed


@pytest.mark.parametrize("length", range(len(EVENTS)))
@pytest.mark.parametrize(
    "fault",
    [httpx2.ReadError("reset"), httpx2.RemoteProtocolError("cut"), httpx2.ReadTimeout("slow")],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_connection_that_breaks_interrupts_the_stream(
    length: int, fault: Exception
) -> None:
    response, body = streamed(encoded(EVENTS[:length]), fault)
    error = await failure(Server(response).transport(), ask(emit=Collector()))
    assert isinstance(error, StreamInterrupted)
    assert error.partial_text == ARRIVED[length]
    assert error.request_id == "req_1"
    assert str(fault) in str(error)
    assert error.__cause__ is fault
    assert body.is_closed


@pytest.mark.parametrize("garbage", [b"data: {oops\n\n", b"data: [1]\n\n", b"data: \xff\xfe\n\n"])
async def test_an_event_that_is_not_json_interrupts_the_stream(garbage: bytes) -> None:
    response, body = streamed([*encoded(EVENTS[:4]), garbage, *encoded(EVENTS[4:])])
    collector = Collector()
    error = await failure(Server(response).transport(), ask(emit=collector))
    assert isinstance(error, StreamInterrupted)
    assert "not JSON" in str(error)
    assert (error.partial_text, error.request_id) == ("Hello ", "req_1")
    assert collector.events == EVENTS[:4]
    assert body.is_closed


async def test_a_body_that_does_not_decompress_interrupts_the_stream() -> None:
    response, body = streamed([b"this is no gzip"], encoding="gzip")
    error = await failure(Server(response).transport(), ask(emit=Collector()))
    assert isinstance(error, StreamInterrupted)
    assert body.is_closed


async def test_an_error_event_in_the_middle_becomes_the_typed_error() -> None:
    fault = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    response, body = streamed(encoded([*EVENTS[:4], fault]))
    error = await failure(Server(response).transport(), ask(emit=Collector()))
    assert type(error) is OverloadedError
    assert (error.retryable, error.request_id) == (True, "req_1")
    assert body.is_closed


async def test_an_answer_that_is_no_stream_is_no_reply() -> None:
    response = httpx2.Response(200, html="<html>Welcome</html>")
    error = await failure(Server(response).transport(), ask(emit=Collector()))
    assert isinstance(error, StreamInterrupted)


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("tired"),
        KeyError("tired"),
        httpx2.ReadError("tired"),
        anthropic.APIConnectionError(request=httpx2.Request("GET", "http://elsewhere.example")),
        RequestRejected("tired"),
        StopAsyncIteration("tired"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_an_error_of_the_listener_comes_out_as_it_is(fault: Exception) -> None:
    async def tired(event: StreamEvent) -> None:
        if event["type"] == "content_block_delta":
            raise fault

    response, body = streamed(encoded())
    transport = Server(response).transport()
    caught: BaseException | None = None
    try:
        await transport.send(ask(emit=tired))
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is tested
        caught = error
    assert caught is fault
    assert body.is_closed
    assert body.sent < len(EVENTS)
    await transport.aclose()


async def test_a_cancelled_stream_is_closed() -> None:
    response, body = streamed(encoded())
    transport = Server(response).transport()
    with anyio.CancelScope() as scope:

        async def cancel(_event: StreamEvent) -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        await transport.send(ask(emit=cancel))
    assert scope.cancelled_caught
    assert body.is_closed
    await transport.aclose()


# The way there


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (httpx2.ConnectError("All connection attempts failed"), "connection_failed"),
        (httpx2.ReadError("reset by peer"), "connection_failed"),
        (httpx2.RemoteProtocolError("disconnected"), "connection_failed"),
        (httpx2.ReadTimeout("slow"), "timeout"),
        (httpx2.PoolTimeout("full"), "timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_a_server_that_cannot_be_reached_is_unavailable(
    fault: Exception, code: str, *, is_streamed: bool
) -> None:
    transport = Server(fault).transport()
    error = await failure(transport, ask(emit=Collector() if is_streamed else None))
    assert type(error) is ServiceUnavailable
    assert (error.code, error.status, error.retryable) == (code, None, True)
    assert error.hint
    if code == "connection_failed":
        assert str(fault) in str(error)


@pytest.mark.socket
async def test_a_refused_connection_names_what_to_check() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        port = taken.getsockname()[1]
        transport = AnthropicTransport(
            api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0
        )
        error = await failure(transport, ask())
    assert type(error) is ServiceUnavailable
    assert error.code == "connection_failed"
    assert "ANTHROPIC_BASE_URL" in error.hint


async def test_a_body_that_never_comes_whole_is_unavailable() -> None:
    body = Body([b'{"id": "msg_1", '], httpx2.ReadError("reset by peer"))
    response = httpx2.Response(200, stream=body, headers={"content-type": "application/json"})
    error = await failure(Server(response).transport(), ask())
    assert (type(error), error.code) == (ServiceUnavailable, "connection_failed")
    assert body.is_closed


async def test_without_credentials_nothing_is_sent() -> None:
    server = Server(httpx2.Response(200, json=MESSAGE))
    transport = server.transport(api_key=None)
    with pytest.raises(ConfigError) as caught:
        await transport.send(ask())
    assert caught.value.code == "sdk_refused"
    assert "ANTHROPIC_API_KEY" in caught.value.hint
    assert server.requests == []
    await transport.aclose()


async def test_what_the_sdk_itself_refuses_is_a_matter_of_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nobody")
    server = Server(httpx2.Response(200, json=MESSAGE))
    with pytest.raises(ConfigError) as caught:
        await server.transport(api_key=None).send(ask())
    assert caught.value.code == "sdk_refused"


@pytest.mark.parametrize("value", [float("nan"), "\ud800", object()], ids=["nan", "half", "object"])
@pytest.mark.parametrize("way", ["plain", "streamed", "counted"])
async def test_what_json_cannot_carry_is_refused_with_its_place_and_nothing_is_sent(
    value: object, way: str
) -> None:
    server = Server()
    transport = server.transport()
    block = {"type": "text", "text": value}
    call = ask(
        messages=({"role": "user", "content": [block]},),
        emit=Collector() if way == "streamed" else None,
    )
    with pytest.raises(RequestRejected, match=r"messages\.0\.content\.0\.text holds") as caught:
        await (transport.count_tokens(call) if way == "counted" else transport.send(call))
    await transport.aclose()
    assert (caught.value.code, caught.value.retryable) == ("unencodable_request", False)
    assert server.requests == []


async def send(transport: AnthropicTransport) -> Reply:
    return await transport.send(ask())


async def count(transport: AnthropicTransport) -> int:
    return await transport.count_tokens(ask())


@pytest.mark.parametrize("action", [send, count])
async def test_the_sdk_repeats_what_failed_as_often_as_it_is_told(
    action: Callable[[AnthropicTransport], Any],
) -> None:
    faults = [refused(529, "overloaded_error", retry_after_ms="1") for _ in range(3)]
    server = Server(*faults)
    transport = server.transport(max_retries=2)
    with pytest.raises(OverloadedError):
        await action(transport)
    assert len(server.requests) == 3
    assert [request.headers["x-stainless-retry-count"] for request in server.requests] == [
        "0",
        "1",
        "2",
    ]
    await transport.aclose()


async def test_a_repeated_request_that_succeeds_is_a_reply() -> None:
    fault = refused(500, "api_error", retry_after_ms="1")
    server = Server(fault, httpx2.Response(200, json=MESSAGE))
    transport = server.transport(max_retries=1)
    assert (await transport.send(ask())).text == "Hello there"
    assert len(server.requests) == 2
    await transport.aclose()


async def test_a_stream_that_has_begun_is_never_repeated() -> None:
    response, _ = streamed(encoded(EVENTS[:4]))
    server = Server(response)
    error = await failure(server.transport(max_retries=2), ask(emit=Collector()))
    assert isinstance(error, StreamInterrupted)
    assert len(server.requests) == 1


# The one client


async def test_all_calls_share_one_client_until_it_is_closed() -> None:
    server = Server(*[httpx2.Response(200, json=MESSAGE) for _ in range(2)])
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
    transport = server.transport(http_client=client)
    await transport.send(ask())
    await transport.send(ask())
    is_closed = [client.is_closed]
    await transport.aclose()
    is_closed.append(client.is_closed)
    await transport.aclose()
    assert is_closed == [False, True]


async def test_the_quick_client_is_taken_where_it_can_do_all() -> None:
    from anthropic import DefaultAioHttpClient

    client = _quick_http_client()
    assert isinstance(client, DefaultAioHttpClient)
    await client.aclose()


async def test_behind_a_proxy_the_client_that_knows_all_kinds_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    assert _quick_http_client() is None


async def test_an_exception_to_no_proxy_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    client = _quick_http_client()
    assert client is not None
    await client.aclose()


def test_outside_its_event_loop_the_quick_client_is_not_taken() -> None:
    assert _quick_http_client() is None


def test_a_mistake_that_is_not_about_credentials_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="ours"), typed_errors((), now=0.0):
        raise TypeError("a mistake of ours")


# After the whole reply


@pytest.mark.parametrize(
    "fault", [httpx2.ReadError("reset"), httpx2.RemoteProtocolError("cut")], ids=repr
)
async def test_what_breaks_after_a_whole_reply_does_not_matter(fault: Exception) -> None:
    response, body = streamed(encoded(), fault)
    collector = Collector()
    transport = Server(response).transport()
    assert (await transport.send(ask(emit=collector))).text == "Hello there"
    assert collector.events == EVENTS
    assert body.is_closed
    await transport.aclose()


async def test_what_follows_a_whole_reply_is_read_so_that_its_connection_is_kept() -> None:
    response, body = streamed([*encoded(), b": bye\n\n", b"event: odd\ndata: {oops\n\n"])
    collector = Collector()
    transport = Server(response).transport()
    assert (await transport.send(ask(emit=collector))).text == "Hello there"
    assert collector.events == EVENTS
    assert body.sent == len(body.chunks)
    await transport.aclose()


async def test_a_server_that_never_ends_its_answer_holds_up_a_whole_reply_only_briefly() -> None:
    class Endless(Body):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self.chunks:
                yield chunk
            await anyio.sleep_forever()

    body = Endless(encoded())
    transport = Server(httpx2.Response(200, stream=body)).transport()
    with anyio.fail_after(5):
        assert (await transport.send(ask(emit=Collector()))).text == "Hello there"
    assert body.is_closed
    await transport.aclose()


# Odd refusals


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_a_refusal_whose_body_cannot_be_read_is_typed(*, is_streamed: bool) -> None:
    body = Body([b"no gzip"])
    fields = {"content-type": "application/json", "content-encoding": "gzip"}
    transport = Server(httpx2.Response(529, headers=fields, stream=body)).transport()
    error = await failure(transport, ask(emit=Collector() if is_streamed else None))
    assert (type(error), error.code) == (ServiceUnavailable, "connection_failed")
    assert error.retryable


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_a_connection_that_takes_too_long_is_told_as_such(*, is_streamed: bool) -> None:
    transport = Server(httpx2.ConnectTimeout("slow")).transport()
    error = await failure(transport, ask(emit=Collector() if is_streamed else None))
    assert (type(error), error.code) == (ServiceUnavailable, "connection_failed")
    assert "no connection within the time limit" in error.message


async def test_an_error_under_status_200_goes_by_its_type() -> None:
    answer = {"type": "error", "error": {"type": "overloaded_error", "message": "full"}}
    error = await failure(Server(httpx2.Response(200, json=answer)).transport(), ask())
    assert (type(error), error.status) == (OverloadedError, 200)


async def test_a_short_key_does_not_spoil_the_error_of_a_server_of_ones_own() -> None:
    response = refused(429, "rate_limit_error", "slow down")
    error = await failure(Server(response).transport(api_key="error"), ask())
    assert error.message == "The API answered 429 rate_limit_error: slow down"


async def test_an_answer_that_is_no_message_shows_no_key() -> None:
    response = httpx2.Response(200, json={"hello": KEY})
    error = await failure(Server(response).transport(), ask())
    assert KEY not in str(error)


async def test_a_count_asks_only_about_the_prompt() -> None:
    server = Server(httpx2.Response(200, json={"input_tokens": 12}))
    transport = server.transport()
    extras = {"stop_sequences": ["x"], "metadata": {}, "temperature": 1, "speed": "fast"}
    assert await transport.count_tokens(ask(parameters=extras)) == 12
    assert sorted(server.body()) == ["messages", "model", "speed"]
    await transport.aclose()

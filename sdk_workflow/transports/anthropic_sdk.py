"""The official SDK as a transport; the one module that makes a client of `anthropic`.

The SDK keeps what it is best at: credentials, base URL, headers and connections. The reply is read
here, because the SDK takes a stream that breaks off for a finished message, and because plain
dictionaries are all that the rest of the library needs.
"""

from __future__ import annotations

import json
import os
from contextlib import aclosing, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from sdk_workflow._internal.api_errors import error_from_response
from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.per_loop import PerLoop
from sdk_workflow._internal.redaction import redact_text
from sdk_workflow._internal.reply_builder import ReplyBuilder, read_message
from sdk_workflow._internal.request_body import encode_body
from sdk_workflow._internal.sse import SSEDecoder
from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow._internal.tracing import note_event
from sdk_workflow.exceptions import LLMError
from sdk_workflow.transports.adaptation import Endpoint
from sdk_workflow.transports.capabilities import profile_of
from sdk_workflow.transports.sdk_errors import plain_headers, typed_errors
from sdk_workflow.transports.timeouts import Timeouts, Watch, out_of_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    import anthropic
    import httpx2

    from sdk_workflow.protocols import Clock
    from sdk_workflow.transports.capabilities import CapabilityProfile
    from sdk_workflow.types import Call, Emit, Reply, StreamEvent

__all__ = ["AnthropicTransport"]

ResultT = TypeVar("ResultT")

# Above this a reply may take minutes in which nothing is sent, and some networks drop a connection
# that is silent for that long; a stream never is. (The SDK itself refuses more than 21,333.)
_MAX_TOKENS_UNSTREAMED = 8_192
_MAX_END_SECONDS = 0.25
# What the endpoint that counts does not take, because it says nothing about the prompt.
_NOT_COUNTED = frozenset(
    {"max_tokens", "stop_sequences", "metadata", "service_tier", "inference_geo", "container",
     "diagnostics", "temperature", "top_p", "top_k"}
)  # fmt: skip


class AnthropicTransport:
    """Sends calls through one shared client of the official SDK, loaded at the first call.

    Callers in several event loops may share a transport: each loop has a client of its own.

    Args:
        api_key: Sent as a bearer token or `x-api-key`, whichever the SDK's version uses.
        auth_token: Sent as a bearer token.
        base_url: Another server that speaks the Messages API; the first party by default.
        max_retries: How often the SDK itself repeats a request that failed before its reply began;
            0 where a layer around the transport does.
        timeouts: How long to wait for the server.
        profile: What the server can do; found by its address by default.
        clock: Tells the time against which a `retry-after` that is a date is read.
        http_client: An `httpx2.AsyncClient` to use. By default the SDK's own: the one on aiohttp
            where that is installed (the extra `fast`) and can be used, and else the one on httpx2.
            One of your own belongs to one event loop, and is closed with the transport.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        max_retries: int = 2,
        timeouts: Timeouts | None = None,
        profile: CapabilityProfile | None = None,
        clock: Clock | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._clock: Clock = clock or SystemClock()
        address = base_url or os.environ.get("ANTHROPIC_BASE_URL")  # as the SDK does
        self._endpoint = Endpoint(profile or profile_of(address), address or "The API")
        self._secrets = tuple(secret for secret in (api_key, auth_token) if secret)
        self._options: dict[str, Any] = {
            "api_key": api_key,
            "auth_token": auth_token,
            "base_url": base_url,
            "max_retries": max_retries,
            "http_client": http_client,
            # Our own span covers the call; the SDK's would be a second one for the same thing.
            "open_telemetry": False,
        }
        self._clients = PerLoop(self._new_client, lambda client: client.close())

    async def send(self, call: Call) -> Reply:
        """Send one request and return the finished reply.

        Raises:
            LLMError: Whatever the API or the way to it answered.
            ConfigError: If the SDK finds no usable credentials.
        """
        if call.emit is None and call.max_tokens <= _MAX_TOKENS_UNSTREAMED:
            return await self._endpoint.send(call.to_params(), self._send_plain)
        return await self._endpoint.send(
            call.to_params(), lambda body: self._send_streaming(body, call.emit)
        )

    async def count_tokens(self, call: Call) -> int:
        """Ask the API for the size of the prompt in tokens; free, but with a rate limit.

        A server without such an endpoint is asked once; from then on sizes are estimated, with the
        error that `CharacterTokenCounter` names.
        """
        body = {name: value for name, value in call.to_params().items() if name not in _NOT_COUNTED}
        if self._endpoint.counts_tokens:
            try:
                return await self._endpoint.send(body, self._count)
            except LLMError as error:
                if not self._endpoint.lacks_counting(error, call.model):
                    raise
            self._endpoint.note_no_counting()
        return CharacterTokenCounter().count(body)

    async def aclose(self) -> None:
        """Close the SDK's client of this event loop; a second call does nothing."""
        await self._clients.aclose()

    async def _send_plain(self, body: dict[str, Any]) -> Reply:
        response = await self._post("/v1/messages", body)
        facts = _facts(response)
        return _read_json(response, lambda message: read_message(message, **facts))

    async def _count(self, body: dict[str, Any]) -> int:
        response = await self._post("/v1/messages/count_tokens", body)
        return _read_json(response, lambda answer: int(answer["input_tokens"]))

    async def _send_streaming(self, body: dict[str, Any], emit: Emit | None) -> Reply:
        started, builder = perf_counter(), ReplyBuilder()
        with (watch := Watch(self._timeouts)):
            response = await self._open_stream(body)
            builder.request_id = response.headers.get("request-id")
            try:
                return await _read_stream(response, builder, watch, emit=emit, started=started)
            finally:
                await response.aclose()
        raise watch.error(builder.partial_text, request_id=builder.request_id)

    @trace_function(name="transport.open_stream")
    async def _open_stream(self, body: dict[str, Any]) -> httpx2.Response:
        from anthropic import AsyncStream

        with typed_errors(self._secrets, now=self._clock.now()):
            client = await self._clients.get()
            stream: AsyncStream[object] = await client.post(
                "/v1/messages",
                cast_to=object,
                content=encode_body({**body, "stream": True}),
                options={"headers": {"Accept": "text/event-stream"}},
                stream=True,
                stream_cls=AsyncStream[object],
            )
        return stream.response

    @trace_function(name="transport.request")
    async def _post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        import anyio
        import httpx2

        # The SDK's own limit is one for each piece that arrives.
        limit = anyio.CancelScope(deadline=anyio.current_time() + self._timeouts.total_seconds)
        with limit, typed_errors(self._secrets, now=self._clock.now()):
            client = await self._clients.get()
            response: httpx2.Response = await client.post(
                path, cast_to=httpx2.Response, content=encode_body(body)
            )
            return response
        raise out_of_time(self._timeouts)

    def _new_client(self) -> anthropic.AsyncAnthropic:
        import httpx2
        from anthropic import AsyncAnthropic

        limits = self._timeouts
        http_client = self._options["http_client"] or _quick_http_client()
        timeout = httpx2.Timeout(limits.total_seconds, connect=limits.connect_seconds)
        return AsyncAnthropic(**{**self._options, "http_client": http_client, "timeout": timeout})


def _quick_http_client() -> httpx2.AsyncClient | None:
    """Return the SDK's client on aiohttp, where it can do all that the default one can.

    A call takes 0.7 of the time, and at 100 at once it carries 2.3 times as many.
    """
    from asyncio import get_running_loop
    from urllib.request import getproxies

    from anthropic import DefaultAioHttpClient

    if getproxies().keys() - {"no"}:  # it knows no SOCKS proxies
        return None
    try:
        get_running_loop()  # it knows no other event loop
        return DefaultAioHttpClient()
    except RuntimeError:  # another event loop, or no aiohttp
        return None


@trace_function(name="transport.read_stream")
async def _read_stream(
    response: httpx2.Response,
    builder: ReplyBuilder,
    watch: Watch,
    *,
    emit: Emit | None,
    started: float,
) -> Reply:
    first_ms: float | None = None
    async with aclosing(_events(response, builder, watch)) as events:
        async for event in events:
            builder.add(event)
            if first_ms is None and builder.has_content:
                first_ms = (perf_counter() - started) * 1000
                note_event("first_token")
            if emit is not None:
                await emit(event)
    return builder.finish(**_facts(response), time_to_first_token_ms=first_ms)


async def _events(
    response: httpx2.Response, builder: ReplyBuilder, watch: Watch
) -> AsyncGenerator[StreamEvent, None]:
    """Yield the events of a response; what breaks on the way is an interrupted stream."""
    import httpx2

    decoder = SSEDecoder()
    chunks = response.aiter_bytes()
    while True:
        watch.wait(has_content=builder.has_content)
        try:
            events = list(decoder.feed(await chunks.__anext__()))
        except StopAsyncIteration:
            return
        except ValueError as error:
            raise builder.interrupted("The stream holds an event that is not JSON.") from error
        except httpx2.RequestError as error:  # what breaks the connection or the compression
            raise builder.interrupted(f"The connection broke: {error}") from error
        watch.rest()
        for event in events:
            yield event
        if builder.is_finished:
            await _let_end(chunks)
            return


async def _let_end(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows a whole reply, so that its connection can be used again.

    Whatever happens there, the reply is whole.
    """
    import anyio
    import httpx2

    with anyio.move_on_after(_MAX_END_SECONDS), suppress(httpx2.RequestError):
        async for _ in chunks:
            pass


def _facts(response: httpx2.Response) -> dict[str, Any]:
    headers = plain_headers(response)
    # The simulator says so in its answers; a made-up answer must not pass for a real one.
    served_by = "simulator" if headers.get("x-sdk-workflow-backend") == "simulator" else "api"
    return {"request_id": headers.get("request-id"), "headers": headers, "served_by": served_by}


def _read_json(response: httpx2.Response, read: Callable[[Any], ResultT]) -> ResultT:
    """Return what `read` finds in the answer; an answer of another form is an error."""
    try:
        answer = json.loads(response.content)
        if isinstance(answer, dict) and answer.get("type") == "error":
            # Some gateways put every answer under status 200: the envelope's own type decides.
            raise error_from_response(response.status_code, answer, plain_headers(response))
        return read(answer)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LLMError(
            f"The server answered {response.status_code} with something that is no answer of the "
            f"Messages API: {redact_text(response.text[:80])!r}",
            status=response.status_code,
            request_id=response.headers.get("request-id"),
            code="malformed_response",
            retryable=True,
            hint="Check that the base URL points at a server that speaks the Messages API.",
        ) from error

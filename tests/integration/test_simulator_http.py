"""The simulator over a real socket, spoken to by the unmodified official SDK."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.sse import SSEDecoder
from sdk_workflow.exceptions import ConfigError
from sdk_workflow.simulator.app import SimulatorServer
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.http_request import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.socket

MODEL = "claude-haiku-4-5"
NOVEMBER_21 = 1_795_219_200.0  # 2026-11-21T00:00:00Z
HEADERS = {"x-api-key": "any", "anthropic-version": "2026-10-21"}
READ: Any = {
    "name": "read",
    "description": "Reads a file.",
    "input_schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
}


def ask(text: str) -> Any:
    return [{"role": "user", "content": text}]


@contextmanager
def running(server: SimulatorServer) -> Iterator[str]:
    """Serve in a thread; a failure to start or to stop fails the test."""
    ready = threading.Event()
    urls: list[str] = []

    def note(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(target=lambda: server.run(on_ready=note), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield urls[0]
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(SimulatorServer(Engine(clock=VirtualClock(start=NOVEMBER_21)))) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as made:
        yield made


def test_the_sdk_gets_a_message(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model=MODEL, max_tokens=100, messages=ask("Hello"))
    assert message.content[0].type == "text"
    assert "“Hello”" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert str(message._request_id).startswith("req_")
    counted = client.messages.count_tokens(model=MODEL, messages=ask("Hello"))
    assert counted.input_tokens == message.usage.input_tokens


def test_the_sdk_gets_a_stream_that_adds_up_to_the_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=100, messages=ask("Hello ü😀")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces) == final.content[0].text  # type: ignore[union-attr]
    assert "“Hello ü😀”" in "".join(pieces)
    assert (final.stop_reason, final.usage.output_tokens > 10) == ("end_turn", True)


def test_the_sdk_holds_a_tool_loop_by_hand(client: anthropic.Anthropic) -> None:
    messages = ask("What does notes.txt say?")
    first = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[READ])
    assert first.stop_reason == "tool_use"
    call = next(block for block in first.content if block.type == "tool_use")
    assert (call.name, call.input) == ("read", {"path": "notes.txt"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "buy milk\n"}
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    last = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[READ])
    assert last.stop_reason == "end_turn"
    assert last.content[0].text == "notes.txt begins with:\n\n> buy milk"  # type: ignore[union-attr]


def test_the_sdk_streams_a_tool_call(client: anthropic.Anthropic) -> None:
    params: Any = {"model": MODEL, "max_tokens": 200, "tools": [READ]}
    with client.messages.stream(messages=ask("What does notes.txt say?"), **params) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.content[1].input == {"path": "notes.txt"}  # type: ignore[union-attr]


def test_the_sdk_lists_the_models(client: anthropic.Anthropic) -> None:
    names = [model.id for model in client.models.list(limit=2)]
    assert MODEL in names
    assert len(names) > 5
    model = client.models.retrieve(MODEL)
    assert (model.max_input_tokens, model.lifecycle) == (200_000, "active")


def test_the_sdk_raises_its_own_errors(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-0") as missing:
        client.messages.create(model="claude-0", max_tokens=9, messages=ask("Hello"))
    assert str(missing.value.request_id).startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model=MODEL, max_tokens=-1, messages=ask("Hello"))
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-0")


@pytest.mark.anyio
async def test_the_asynchronous_sdk_is_served_too(url: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, auth_token="any", max_retries=0) as client:
        message = await client.messages.create(model=MODEL, max_tokens=99, messages=ask("Hello"))
        assert message.usage.input_tokens > 0
        async with client.messages.stream(model=MODEL, max_tokens=99, messages=ask("Hi")) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        assert "“Hi”" in text
        counted = await client.messages.count_tokens(model=MODEL, messages=ask("Hello"))
        assert counted.input_tokens == message.usage.input_tokens
        assert (await client.models.retrieve(MODEL)).id == MODEL


def post(url: str, body: bytes, headers: Mapping[str, str] = HEADERS) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/messages", content=body, headers=dict(headers))


def test_without_credentials_the_answer_is_401(url: str) -> None:
    answer = post(url, b"{}", {"anthropic-version": "2026-10-21"})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nowhere", 404), ("PATCH", "/v1/messages", 404), ("HEAD", "/v1/nothing", 404)],
)
def test_what_does_not_exist_is_a_json_404(url: str, method: str, path: str, status: int) -> None:
    answer = httpx2.request(method, url + path, headers=HEADERS)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")


def test_an_escaped_model_name_is_resolved(url: str) -> None:
    answer = httpx2.get(f"{url}/v1/models/no%3Fsuch?x=1", headers=HEADERS)
    assert answer.json()["error"]["message"] == "model: no?such"


def test_a_body_over_32_megabytes_is_refused(url: str) -> None:
    answer = post(url, b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def test_a_body_over_the_limit_is_refused_before_it_has_arrived(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        length = 4 * MAX_BODY_BYTES
        connection.sendall(
            f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode()
        )
        connection.sendall(b" " * (MAX_BODY_BYTES + 1))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_each_event_is_sent_as_a_chunk_of_its_own(url: str) -> None:
    params = {"model": MODEL, "max_tokens": 50, "messages": ask("Hello"), "stream": True}
    body = json.dumps(params).encode()
    host, port = url.removeprefix("http://").split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}"
            f"content-length: {len(body)}\r\n\r\n".encode()
        )
        connection.sendall(body)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    _, _, wire = raw.partition(b"\r\n\r\n")
    # In the chunked encoding every second line is one chunk's length.
    chunks = [part for part in _chunks(wire) if part]
    decoded = [list(SSEDecoder().feed(chunk)) for chunk in chunks]
    assert [len(events) for events in decoded] == [1] * len(chunks)
    assert [events[0]["type"] for events in decoded][-1] == "message_stop"


def _chunks(wire: bytes) -> Iterator[bytes]:
    while wire:
        size, _, wire = wire.partition(b"\r\n")
        yield wire[: int(size, 16)]
        wire = wire[int(size, 16) + 2 :]


def test_a_client_that_leaves_early_disturbs_nobody(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    assert httpx2.get(f"{url}/v1/models", headers=HEADERS).status_code == 200
    assert not caplog.records


def test_a_fault_of_the_simulator_is_an_api_error(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def think(self, params: Mapping[str, Any]) -> Any:
            raise RuntimeError(f"no idea what {params['model']} would say")

    engine = Engine(clock=VirtualClock(start=NOVEMBER_21), brain=Broken())
    body = {"model": MODEL, "max_tokens": 9, "messages": ask("Hello")}
    with running(SimulatorServer(engine)) as found:
        answer = post(found, json.dumps(body).encode())
    assert answer.status_code == 500
    assert answer.json()["error"] == {"type": "api_error", "message": "Internal server error"}
    assert "no idea" in caplog.text


def test_a_port_that_is_taken_is_an_error_that_says_so(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match=f"port {port}") as caught:
        SimulatorServer(Engine(clock=VirtualClock()), port=port).run()
    assert caught.value.code == "address_unavailable"
    assert caught.value.hint.startswith("Choose another port")


@pytest.mark.parametrize("host", ["x" * 70, "192.0.2.1", "nope.invalid"])
def test_an_address_that_is_not_this_machines_is_an_error_that_says_so(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if host == "nope.invalid":  # without a question to a name server

        def unknown(*_: object, **__: object) -> None:
            raise OSError(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "create_server", unknown)
    with pytest.raises(ConfigError, match=host) as caught:
        SimulatorServer(Engine(clock=VirtualClock()), host=host).run()
    assert caught.value.hint == "Give an address of this machine, such as 127.0.0.1."


def test_the_ipv6_loopback_is_served_where_there_is_one() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"No IPv6 loopback here: {error}")
    with running(SimulatorServer(host="::1")) as found:
        assert found.startswith("http://[::1]:")
        assert httpx2.get(f"{found}/v1/models", headers=HEADERS).status_code == 200


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(number: signal.Signals) -> None:
    program = (
        "from sdk_workflow.simulator.app import serve\n"
        "serve(on_ready=lambda url: print(url, flush=True))\n"
        "print('ended', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = process.stdout.readline().strip()
        assert httpx2.get(f"{found}/v1/models", headers=HEADERS).status_code == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "ended\n", "")

"""The same command, in process and through the official SDK over a real socket."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.cli.program import (
    KEY,
    NOTICE,
    QUESTION,
    Program,
    assert_error,
    serving_simulator,
)
from tests.strict_otlp import parsed_spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.program import (
        Server,
    )

pytestmark = pytest.mark.socket


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.in_folder(tmp_path_factory.mktemp("over-http"))


@pytest.fixture(scope="module")
def server(program: Program) -> Iterator[Server]:
    with serving_simulator(program) as running:
        yield running


@pytest.fixture(scope="module")
def in_process(program: Program) -> Any:
    return program.run("run", "--output", "json", QUESTION).document


@pytest.mark.parametrize("flag", [None, "--stream", "--no-stream"])
def test_the_official_sdk_gets_the_same_answer_over_http(
    flag: str | None, program: Program, server: Server, in_process: Any
) -> None:
    flags = [] if flag is None else [flag]

    outcome = program.run("run", *flags, QUESTION, env=server.client_variables)

    assert outcome.code == 0
    assert outcome.out.rstrip("\n").endswith(in_process["text"])
    assert "Lighthouse of Alexandria" in outcome.out
    assert NOTICE not in outcome.message
    assert KEY not in outcome.out + outcome.err


@pytest.mark.parametrize("output", ["json", "jsonl"], ids=["whole", "streamed"])
def test_the_result_over_http_differs_only_in_who_served_it(
    output: str, program: Program, server: Server, in_process: Any
) -> None:
    forget_everything(server)  # a prompt that the server has cached costs less
    outcome = program.run("run", "--output", output, QUESTION, env=server.client_variables)

    result = outcome.records[-1]
    same = ("text", "stop_reason", "usage", "cost_usd", "saved_usd", "model", "turns")
    assert {name: result[name] for name in same} == {name: in_process[name] for name in same}
    assert _calls(result) == _calls(in_process)
    assert result["served_by"] == "simulator", "a made-up answer never passes for a real one"
    assert result["backend"] == "simulator"


def forget_everything(server: Server) -> None:
    httpx2.post(f"{server.url}/__sim/reset").raise_for_status()


def _calls(result: Any) -> list[tuple[str, Any, bool]]:
    return [(call["name"], call["input"], call["is_error"]) for call in result["tool_calls"]]


def test_text_streams_over_http_piece_by_piece(
    program: Program, server: Server, in_process: Any
) -> None:
    outcome = program.run("run", "--output", "jsonl", QUESTION, env=server.client_variables)

    *events, result = outcome.records
    pieces = [event["text"] for event in events if event["type"] == "text_delta"]
    assert len(pieces) > 3
    assert "".join(pieces).endswith(in_process["text"])
    assert result["text"] == in_process["text"]
    assert result["time_to_first_token_ms"] > 0


def test_a_trace_over_http_has_one_root_and_a_child_per_call(
    program: Program, server: Server, tmp_path: Path
) -> None:
    trace = tmp_path / "t.json"

    outcome = program.run(
        "run", "--trace-output", str(trace), QUESTION, env=server.client_variables
    )

    spans = parsed_spans(trace.read_text("utf-8"))
    [root] = [span for span in spans if not span.parent_span_id]
    assert outcome.code == 0
    calls = [span for span in spans if span.name.startswith(("chat", "execute_tool"))]
    assert [span.parent_span_id for span in calls] == [root.span_id] * 4
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert KEY not in trace.read_text("utf-8")


def test_a_batch_over_http_is_answered_in_order(
    program: Program, server: Server, tmp_path: Path
) -> None:
    questions = [f"Question number {number}?" for number in range(40)]
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(map(json.dumps, questions)), "utf-8")

    outcome = program.run(
        "run", "--input", str(prompts), "--concurrency", "10", "--output", "jsonl",
        env=server.client_variables,
    )  # fmt: skip

    assert outcome.code == 0
    assert len(outcome.records) == 40
    for question, record in zip(questions, outcome.records, strict=True):
        assert question in record["text"]
        assert record["served_by"] == "simulator"


def _open_models(url: str) -> Any:
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(f"{url}/v1/models", headers=headers)  # noqa: S310 - loopback
    return urllib.request.urlopen(request, timeout=10)  # noqa: S310 - loopback


def test_the_first_line_of_the_server_is_its_address(server: Server) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    with _open_models(server.url) as reply:
        assert json.load(reply)["data"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(number: signal.Signals, program: Program) -> None:
    process = program.start("simulate", "--port", "0")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://")
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode in ({0, 130} if number == signal.SIGINT else {0, -15, 143})
    assert b"Traceback" not in err
    assert out == b""


def test_ctrl_c_during_an_open_connection_ends_the_server_too(program: Program) -> None:
    process = program.start("simulate", "--port", "0")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        with _open_models(url):
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        pytest.fail("The server did not end.")
    finally:
        process.kill()
        process.communicate()

    assert process.returncode in {0, 130}
    assert b"Traceback" not in err


def test_a_port_in_use_is_a_clear_error(program: Program, server: Server) -> None:
    port = server.url.rpartition(":")[2]

    outcome = program.run("simulate", "--port", port)

    assert outcome.code != 0
    assert_error(outcome, outcome.code, port, "in use", "port")
    assert outcome.out == ""


def test_an_answer_without_tools_works_over_http(program: Program, server: Server) -> None:
    outcome = program.run(
        "run", "--tools", "none", "--model", "haiku", "--output", "json", "Hello",
        env=server.client_variables,
    )  # fmt: skip

    assert outcome.code == 0
    assert outcome.document["turns"] == 1
    assert "haiku" in outcome.document["model"]

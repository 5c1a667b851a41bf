"""What stdout and stderr hold in each form of output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.program import NOTICE, QUESTION, assert_error

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Outcome, Program

RESULT_FIELDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "stop_reason": (str,),
    "usage": (dict,),
    "cost_usd": (float,),
    "saved_usd": (float,),
    "served_by": (str,),
    "session_id": (str,),
    "trace_id": (str,),
    "turns": (int,),
    "tool_calls": (list,),
    "duration_ms": (float, int),
    "time_to_first_token_ms": (float, int, type(None)),
}
USAGE_FIELDS = {
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
}


def assert_result(result: Any) -> None:
    assert result["schema"] == "sdk_workflow.run/1"
    assert result["backend"] == "simulator"
    assert result["ok"] is True
    for name, kinds in RESULT_FIELDS.items():
        assert isinstance(result[name], kinds), name
    assert set(result["usage"]) >= USAGE_FIELDS
    assert all(type(count) is int and count >= 0 for count in result["usage"].values())
    assert re.fullmatch(r"[0-9a-f]{32}", result["trace_id"])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", result["session_id"])


def test_json_output_is_one_document_with_every_field_of_a_result(program: Program) -> None:
    outcome = program.run("run", "--output", "json", QUESTION)

    result = outcome.document
    assert outcome.code == 0
    assert_result(result)
    assert result["served_by"] == "simulator"
    assert result["stop_reason"] == "end_turn"
    assert result["turns"] == 2
    assert {call["name"] for call in result["tool_calls"]} == {"bash", "read"}
    assert sum(count for name, count in result["usage"].items() if "input" in name) > 0
    assert result["usage"]["output_tokens"] > 0
    assert result["cost_usd"] > 0
    assert result["duration_ms"] > 0
    assert "Lighthouse of Alexandria" in result["text"]


def test_json_lines_end_with_the_result_and_their_text_adds_up(program: Program) -> None:
    outcome = program.run("run", "--output", "jsonl", QUESTION)

    *events, result = outcome.records
    assert outcome.code == 0
    assert_result(result)
    assert result["type"] == "result"
    assert all(event["schema"] == "sdk_workflow.run/1" for event in events)
    assert all(event["type"] != "result" for event in events)
    streamed = "".join(event["text"] for event in events if event["type"] == "text_delta")
    assert streamed.endswith(result["text"])
    assert result["time_to_first_token_ms"] > 0


def test_json_lines_tell_of_every_tool_call(invoke: Invoke) -> None:
    *events, result = invoke("run", "--output", "jsonl", QUESTION).records

    started = {event["id"] for event in events if event["type"] == "tool_started"}
    finished = {event["id"] for event in events if event["type"] == "tool_finished"}
    assert started == finished == {call["id"] for call in result["tool_calls"]}
    assert len(started) == 2


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_an_error_is_the_last_json_document_with_code_message_and_hint(
    output: str, invoke: Invoke
) -> None:
    outcome = invoke("run", "--output", output, "   ")

    last = outcome.records[-1]
    assert outcome.code == 2
    assert last["schema"] == "sdk_workflow.run/1"
    assert last["type"] == "error"
    assert last["ok"] is False
    assert last["backend"] is None, "nobody was asked"
    assert {"code", "message", "hint", "retryable"} <= set(last["error"])
    assert "empty" in last["error"]["message"]
    assert last["error"]["hint"]
    assert last["error"]["message"] in outcome.message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "sonet", "Hi"],
        ["--tools", "reed", "Hi"],
        ["--cwd", "/no/such/folder", "Hi"],
        ["--trace-output", "/no/such/folder/t.json", "Hi"],
        ["--backend", "anthropic", "Hi"],
    ],
    ids=["model", "tool", "cwd", "trace", "key"],
)
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_a_refusal_never_puts_anything_but_json_on_stdout(
    output: str, arguments: list[str], invoke: Invoke
) -> None:
    outcome = invoke("run", "--output", output, *arguments)

    assert outcome.code in {2, 3}
    assert outcome.message
    assert [record["ok"] for record in outcome.records] in ([], [False])


def test_a_run_that_hits_its_limit_of_turns_is_a_failed_run(invoke: Invoke) -> None:
    outcome = invoke("run", "--output", "json", "--max-turns", "1", "What files are here?")

    assert outcome.code == 1
    assert outcome.document["ok"] is False
    assert outcome.document["stop_reason"] == "max_turns"
    assert outcome.document["turns"] == 1
    assert "max_turns" in outcome.message


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_quiet_leaves_stderr_empty_on_success(output: str, program: Program) -> None:
    outcome = program.run("run", "-q", "--output", output, QUESTION)

    assert outcome.code == 0
    assert outcome.err == ""
    assert "Lighthouse of Alexandria" in outcome.out


def test_quiet_still_shows_errors(invoke: Invoke) -> None:
    outcome = invoke("run", "-q", "--tools", "reed", "Hi")

    assert outcome.code == 2
    assert "reed" in outcome.message


def test_verbose_shows_more_than_the_default_and_only_on_stderr(invoke: Invoke) -> None:
    plain, verbose = invoke("run", QUESTION), invoke("run", "-v", QUESTION)

    assert verbose.code == 0
    assert verbose.out == plain.out
    assert len(verbose.err) > len(plain.err)
    assert "executing_tool" in verbose.message
    assert "executing_tool" not in plain.message


@pytest.mark.parametrize("flag", ["--stream", "--no-stream"])
def test_the_answer_is_on_stdout_whether_streamed_or_not(flag: str, invoke: Invoke) -> None:
    whole = invoke("run", "--output", "json", QUESTION).document["text"]

    outcome = invoke("run", flag, QUESTION)

    assert outcome.code == 0
    assert outcome.out.rstrip("\n").endswith(whole)
    assert NOTICE in outcome.message


def test_json_output_is_one_document_without_streaming(invoke: Invoke) -> None:
    outcome = invoke("run", "--no-stream", "--output", "json", QUESTION)

    assert_result(outcome.document)
    assert outcome.document["time_to_first_token_ms"] is None


def test_a_stream_of_one_document_is_refused(invoke: Invoke) -> None:
    outcome = invoke("run", "--stream", "--output", "json", QUESTION)

    assert_error(outcome, 2, "--stream", "--output json", "jsonl")
    assert outcome.document["error"]["code"] == "usage_error"


def test_the_same_prompt_gives_the_same_answer_twice(invoke: Invoke) -> None:
    first, second = (invoke("run", "--output", "json", QUESTION).document for _ in range(2))

    assert first["text"] == second["text"]
    assert first["usage"] == second["usage"]
    assert first["session_id"] != second["session_id"]
    assert first["trace_id"] != second["trace_id"]


def test_the_model_flag_takes_a_tier_and_changes_the_price(invoke: Invoke) -> None:
    costs: dict[str, float] = {}
    for tier in ("haiku", "sonnet", "opus"):
        result = invoke("run", "--model", tier, "--output", "json", "Hello").document
        assert tier in result["model"]
        costs[tier] = result["cost_usd"]

    assert costs["haiku"] < costs["sonnet"] < costs["opus"]


def test_max_tokens_ends_the_answer_early(invoke: Invoke) -> None:
    result = invoke("run", "--max-tokens", "5", "--output", "json", "Hello").document

    assert result["usage"]["output_tokens"] <= 5
    assert result["stop_reason"] == "max_tokens"


def test_a_system_prompt_is_sent_along(invoke: Invoke) -> None:
    plain = invoke("run", "--tools", "none", "--output", "json", "Hello").document
    longer = invoke(
        "run", "--tools", "none", "--system", "Speak briefly. " * 20, "--output", "json", "Hello"
    ).document

    assert longer["usage"]["input_tokens"] > plain["usage"]["input_tokens"] + 40


def _is_silent(outcome: Outcome) -> bool:
    return outcome.out == "" and outcome.err == ""


def test_nothing_succeeds_silently(invoke: Invoke) -> None:
    assert not _is_silent(invoke("run", "Hello"))

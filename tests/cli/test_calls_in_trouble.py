"""Retries and fallbacks are told: a line each for people, an event each for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.failing_api import error_body, serving_failures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Invoke
    from tests.cli.failing_api import FailingApi
    from tests.cli.program import Program

pytestmark = pytest.mark.socket

FALLBACK = "SDK_WORKFLOW_FALLBACK_TO_SIMULATOR"


@pytest.fixture
def busy_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingApi]:
    """Serve an API that is always overloaded, in words that take two lines."""
    with serving_failures(529, error_body("overloaded_error", "try\nlater")) as api:
        for name, value in api.client_variables.items():
            monkeypatch.setenv(name, value)
        yield api


@pytest.mark.usefixtures("busy_api")
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_retry_is_one_line_that_says_what_failed_and_how_long_it_waits(
    output: str, invoke: Invoke
) -> None:
    outcome = invoke("run", "--output", output, "Hi")

    (line,) = (line for line in outcome.err.splitlines() if line.startswith("  ~"))
    assert line.startswith("  ~ attempt 1 failed, next in 0.")
    assert "529 overloaded_error: try later" in line


@pytest.mark.usefixtures("busy_api")
def test_a_retry_is_not_told_where_quiet_was_asked_for(invoke: Invoke) -> None:
    assert "attempt" not in invoke("run", "-q", "Hi").err


@pytest.mark.usefixtures("busy_api")
def test_another_model_that_answers_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_FALLBACK_MODELS", "haiku")
    monkeypatch.setenv("SDK_WORKFLOW_MAX_RETRIES", "0")

    told = invoke("run", "Hi").err
    assert "  ~ claude-haiku-5-5 answers instead, because claude-sonnet-5-5 could not" in told
    assert "answers instead" not in invoke("run", "-q", "Hi").err


@pytest.mark.parametrize("flags", [[], ["-q"], ["--output", "json"]], ids=["text", "quiet", "json"])
def test_an_answer_that_is_made_up_is_announced_once_also_with_quiet(
    flags: list[str], program: Program
) -> None:
    with serving_failures(529, error_body("overloaded_error")) as api:
        variables = {**api.client_variables, FALLBACK: "1", "SDK_WORKFLOW_MAX_RETRIES": "0"}
        outcome = program.run("run", *flags, "Hi", env=variables)

    assert outcome.code == 0
    assert outcome.err.count("simulator makes an answer up") == 1
    assert "  ~ The simulator makes an answer up, because claude-sonnet-5-5" in outcome.err


@pytest.mark.usefixtures("busy_api")
def test_programs_get_both_as_events(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FALLBACK, "1")

    outcome = invoke("run", "--output", "jsonl", "Hi")

    retried, fallback = outcome.records[:2]
    assert retried["schema"] == fallback["schema"] == "sdk_workflow.run/1"
    assert (retried["type"], retried["attempt"]) == ("call_retried", 1)
    assert retried["wait_seconds"] > 0
    assert (fallback["type"], fallback["fallback"]) == ("fallback_used", "simulator")
    for event in (retried, fallback):
        assert event["model"] == "claude-sonnet-5-5"
        assert (event["error"]["code"], event["error"]["retryable"]) == ("overloaded", True)
    assert "  ~" not in outcome.err


@pytest.mark.usefixtures("busy_api")
def test_a_batch_tells_of_its_retries_beside_its_results(invoke: Invoke, program: Program) -> None:
    (program.folder / "prompts.jsonl").write_text('"Hi"\n', "utf-8")

    outcome = invoke("run", "--input", "prompts.jsonl", "--output", "jsonl")

    assert "  ~ attempt 1 failed" in outcome.err
    (record,) = outcome.records
    assert record["type"] == "error"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_batch_tells_of_them_above_its_progress_bar(program: Program) -> None:
    from tests.cli.test_terminal import on_terminal

    (program.folder / "prompts.jsonl").write_text('"Hi"\n', "utf-8")
    with serving_failures(529, error_body("overloaded_error")) as api:
        variables = {**api.client_variables, "TERM": "xterm-256color"}
        _, shown, _ = on_terminal(program, "run", "--input", "prompts.jsonl", env=variables)

    line = next(line for line in shown.split(b"\n") if b"attempt 1 failed" in line)
    assert "━".encode() not in line.rpartition(b"\x1b[2K")[2], "the bar is erased before"


def test_a_window_that_fills_is_told(invoke: Invoke) -> None:
    outcome = invoke("run", "--model", "claude-haiku-4-5", "--tools", "none", "word " * 140_000)

    assert outcome.code == 0, outcome.err[-500:]
    assert "% of the model's context window" in outcome.message

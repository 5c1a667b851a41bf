"""`run --budget`, and the limits of the settings: nobody spends more than they may."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.program import assert_error, assert_refused, wait_until

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program


def listed(invoke: Invoke) -> dict[str, str]:
    """Return the status of every session by its id."""
    found = invoke("sessions", "list", "--json").document["sessions"]
    return {session["session_id"]: session["status"] for session in found}


def write_prompts(program: Program, count: int) -> None:
    lines = [f'"Prompt {number}"\n' for number in range(1, count + 1)]
    (program.folder / "b.jsonl").write_text("".join(lines), "utf-8")


def test_a_run_without_room_is_refused_and_says_what_to_do(invoke: Invoke) -> None:
    outcome = invoke("run", "--budget", "0.001", "--session", "a", "Hello")

    assert_error(
        outcome, 5, "the limit of $0.0010", "is spent", "is held", "--budget",
        "run --resume a --budget USD",
    )  # fmt: skip
    assert outcome.out == ""
    assert listed(invoke) == {"a": "failed"}

    assert invoke("run", "--resume", "a", "--budget", "1").code == 0
    assert listed(invoke) == {"a": "completed"}


def test_a_session_keeps_its_limit_and_what_it_has_spent(invoke: Invoke) -> None:
    first = invoke("run", "--session", "a", "--budget", "0.055", "--output", "json", "Hello")
    spent = first.document["cost_usd"]

    again = invoke("run", "--session", "a", "Hello")
    assert_error(again, 5, f"${0.055 - spent:.4f} of the limit of $0.0550 is left", "--budget USD")
    assert_error(invoke("run", "--resume", "a"), 5, "the limit of $0.0550")
    assert_error(invoke("sessions", "resume", "a"), 5, "the limit of $0.0550")

    assert invoke("sessions", "resume", "a", "--budget", "1", "--output", "json").code == 0
    assert invoke("run", "--session", "b", "--budget", "0.055", "Hello").code == 0


def test_a_limit_that_a_session_is_given_later_is_kept_though_its_run_fails(invoke: Invoke) -> None:
    assert invoke("run", "--session", "b", "Hello").code == 0
    assert_error(invoke("run", "--session", "b", "--budget", "0.00001", "Hi"), 5, "limit")

    assert_error(invoke("run", "--session", "b", "Hi"), 5, "limit")
    assert invoke("run", "--session", "b", "--budget", "1", "Hi").code == 0


def test_a_run_without_a_name_keeps_its_limit_as_well(invoke: Invoke) -> None:
    first = invoke("run", "--budget", "0.001", "--output", "json", "Hello")
    name = first.document["session_id"]

    assert_error(invoke("run", "--resume", name), 5, "the limit of $0.0010", name)


def test_a_session_without_a_limit_gets_none(invoke: Invoke, program: Program) -> None:
    assert invoke("run", "--session", "a", "Hello").code == 0
    assert invoke("run", "--session", "a", "Hello").code == 0
    assert not (program.state / "ledger.sqlite").exists()


def test_the_error_of_a_run_names_its_session(invoke: Invoke) -> None:
    outcome = invoke("run", "--budget", "0", "--session", "a", "--output", "json", "Hello")
    assert (outcome.code, outcome.document["session_id"]) == (5, "a")
    assert outcome.document["error"]["code"] == "budget_exceeded"

    lines = invoke("run", "--budget", "0", "--output", "jsonl", "Hello").records
    assert [line["type"] for line in lines] == ["budget_reached", "error"]
    assert lines[0]["limit"] == "hard"
    assert lines[1]["session_id"] in listed(invoke)

    refused = invoke("run", "--resume", "nobody", "--output", "json")
    assert refused.document["session_id"] is None


@pytest.mark.parametrize("budget", ["-1", "nan", "inf", "much"])
def test_a_budget_that_is_none_is_refused(budget: str, invoke: Invoke) -> None:
    assert_refused(invoke("run", "--budget", budget, "Hello"), 2, "--budget")


def test_a_model_without_a_price_is_refused_under_a_limit(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-not-a-real-key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    assert_error(invoke("run", "--model", "own", "--budget", "1", "Hi"), 5, "no known price")


def test_the_limit_of_the_settings_holds_over_runs(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_BUDGET_USD", "0.055")
    monkeypatch.setenv("SDK_WORKFLOW_BUDGET_SOFT_USD", "0.001")
    first = invoke("run", "Hello")
    assert first.code == 0
    assert "The soft limit of $0.0010 is reached" in first.message

    assert_error(invoke("run", "Another one"), 5, "the limit of $0.0550", "budget_usd")
    assert_error(invoke("run", "--budget", "5", "Another one"), 5, "the limit of $0.0550")


def test_a_batch_shares_one_budget(invoke: Invoke, program: Program) -> None:
    write_prompts(program, 200)
    outcome = invoke(
        "run", "--input", "b.jsonl", "--concurrency", "50", "--budget", "0.05", "--tools", "none",
        "--max-tokens", "256", "--output", "jsonl",
    )  # fmt: skip

    records: list[dict[str, Any]] = outcome.records
    done = [record for record in records if record["ok"]]
    refused = [record["line"] for record in records if not record["ok"]]
    assert (outcome.code, len(records)) == (5, 200)
    assert 0.045 < sum(record["cost_usd"] for record in done) <= 0.05
    assert 50 < len(done) < 150
    assert {record["error"]["code"] for record in records if not record["ok"]} == {
        "budget_exceeded"
    }
    assert f"{len(done)} of 200 prompts answered" in outcome.message
    assert f"The budget left no room for line {refused[0]}" in outcome.message
    assert outcome.message.count("the limit of $0.0500") == 1
    assert listed(invoke) == {}


def test_a_batch_names_the_lines_that_found_no_room(invoke: Invoke, program: Program) -> None:
    prompts = ["Hi", "x" * 40_000, "Hi you", "x" * 40_001, "x" * 40_002, "x" * 40_003]
    (program.folder / "b.jsonl").write_text("".join(f'"{prompt}"\n' for prompt in prompts), "utf-8")
    outcome = invoke(
        "run", "--input", "b.jsonl", "--budget", "0.02", "--tools", "none", "--max-tokens", "64",
    )  # fmt: skip
    assert outcome.code == 5
    assert "no room for line 2, 4 to 6. Of the last one" in outcome.message


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_run_is_shown_as_interrupted_and_goes_on(program: Program) -> None:
    process = program.start(
        "run", "--session", "nap", "--budget", "1", "--tools", "bash",
        "run `touch started; sleep 30`",
    )  # fmt: skip
    try:
        wait_until((program.folder / "started").exists)
        assert status_of(program) == "active"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()

    assert status_of(program) == "interrupted"
    shown = program.run("sessions", "show", "nap")
    assert "interrupted" in shown.out
    assert "run --resume nap" in shown.err
    assert "nap\tinterrupted" in program.run("sessions", "list").out

    assert_error(program.run("run", "--resume", "nap", "--budget", "0.001"), 5, "is spent")
    outcome = program.run("run", "--resume", "nap", "--budget", "1", "--output", "json")
    assert (outcome.code, outcome.document["turns"]) == (0, 2)
    assert status_of(program) == "completed"


def status_of(program: Program) -> str:
    (session,) = program.run("sessions", "list", "--json").document["sessions"]
    return str(session["status"])

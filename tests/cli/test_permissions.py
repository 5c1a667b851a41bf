"""`--permissions` and `--allow`: which tool calls run, who is asked, and what the exit code says."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.cli import permission_prompt
from sdk_workflow.cli.console import Console
from sdk_workflow.cli.permission_prompt import PermissionPrompt
from sdk_workflow.types import ToolCall
from tests.cli.program import KEY, assert_refused

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

WRITE = 'Write a file named hello.txt containing "Hello there"'
ASK = ("run", "--tools", "write", "--permissions", "ask", WRITE)


def test_a_call_without_a_rule_is_denied_and_the_run_goes_on(
    program: Program, invoke: Invoke
) -> None:
    outcome = invoke("run", "--tools", "write", "--permissions", "deny", "--output", "json", WRITE)

    assert outcome.code == 0
    calls = outcome.document["tool_calls"]
    assert {call["error_code"] for call in calls} == {"permission_denied"}
    assert not (program.folder / "hello.txt").exists()


def test_a_call_with_a_rule_runs(program: Program, invoke: Invoke) -> None:
    rules = ("--allow", "read", "--allow", "write")
    outcome = invoke("run", "--tools", "write", "--permissions", "deny", *rules, WRITE)

    assert outcome.code == 0
    assert (program.folder / "hello.txt").read_text("utf-8") == "Hello there"


def test_the_settings_of_the_user_hold_the_rules(
    program: Program, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_PERMISSIONS", "deny")
    invoke("run", "--tools", "write", WRITE)
    assert not (program.folder / "hello.txt").exists()

    monkeypatch.setenv("SDK_WORKFLOW_ALLOW", "write,bash(git log *)")
    invoke("run", "--tools", "write", WRITE)
    assert (program.folder / "hello.txt").exists()


def test_a_question_without_a_terminal_is_refused_before_anything_runs(invoke: Invoke) -> None:
    assert_refused(invoke(*ASK), 2, "needs a terminal", "--permissions deny")


def test_a_question_about_many_prompts_is_refused(program: Program, invoke: Invoke) -> None:
    (program.folder / "prompts.jsonl").write_text('"Hi"\n')
    outcome = invoke("run", "--permissions", "ask", "--input", "prompts.jsonl")

    assert_refused(outcome, 2, "--input goes without --permissions ask")


def test_rules_that_nothing_looks_at_are_refused(invoke: Invoke) -> None:
    assert_refused(invoke("run", "--allow", "read", "Hi"), 2, "--allow goes with --permissions")


def test_a_malformed_rule_is_refused_with_its_source(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--permissions", "deny", "--allow", "bash(a;b)")
    assert_refused(invoke("run", *flags, "Hi"), 2, "'bash(a;b)' is no rule")

    monkeypatch.setenv("SDK_WORKFLOW_ALLOW", "read(x)")
    assert_refused(invoke("run", "Hi"), 3, "'read(x)' is no rule", "SDK_WORKFLOW_ALLOW")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("answer", "code", "is_written"),
    [(b"y\n", 0, True), (b"what?\nA\n", 0, True), (b"n\n", 0, False), (b"q\n", 6, False)],
)
def test_the_user_is_asked_on_the_terminal(
    program: Program, answer: bytes, code: int, *, is_written: bool
) -> None:
    terminal, side = os.openpty()
    process = subprocess.Popen(
        [*program.command, *ASK],
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=side,
        cwd=program.folder,
        env=program.environment({"MY_TOKEN": KEY}),
    )
    os.close(side)
    shown = b""
    while b"[q]uit the run" not in shown:
        shown += os.read(terminal, 65536)
    os.write(terminal, answer)
    while process.poll() is None:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
    os.close(terminal)
    process.communicate(timeout=30)

    assert process.returncode == code
    assert b"The model wants to call write:" in shown
    assert b'"path": "hello.txt"' in shown
    assert KEY.encode() not in shown
    assert (b"was stopped at a call of tool 'write'" in shown) is (code == 6)
    assert (program.folder / "hello.txt").exists() is is_written


def test_a_command_is_shown_in_full_and_cannot_paint_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    prompt = PermissionPrompt(Console(None, sys.stderr))
    long = "x" * 50_000
    call = ToolCall(
        id="1", name="bash", input={"command": f"ls \x1b[2J\n{long}", "timeout_seconds": 3}
    )

    assert prompt(call) == "stop"

    shown = capsys.readouterr().err
    assert "    ls \\x1b[2J\n" in shown
    assert long in shown
    assert '"timeout_seconds": 3' in shown


def test_a_process_without_streams_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not permission_prompt._is_terminal()

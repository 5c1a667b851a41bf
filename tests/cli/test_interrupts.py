"""Runs that end early: time limit, Ctrl-C, a reader that leaves, a disk that is full."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.program import QUESTION, Outcome, assert_error, wait_until

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")


@pytest.fixture
def nap() -> str:
    """Return a command that sleeps for a time which no other process sleeps."""
    return f"sleep 3{random.randint(0, 10**9):09d}"  # noqa: S311 - a name, not a secret


def _is_running(command: str) -> bool:
    wanted = command.encode().replace(b" ", b"\0")
    return any(wanted in _command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def _runs_or_failed(process: subprocess.Popen[bytes], command: str) -> bool:
    assert process.poll() is None, "It ended before it ran the command."
    return _is_running(command)


def _command_line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _interrupted(program: Program, nap: str, *arguments: str) -> Outcome:
    """Run the program until it runs the command, send Ctrl-C, and return what it left behind."""
    process = program.start("run", "--tools", "bash", *arguments)
    try:
        wait_until(lambda: _runs_or_failed(process, nap))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()
    return Outcome(code=process.returncode, out=out.decode(), err=err.decode())


needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


@needs_proc
def test_the_time_limit_ends_the_run_and_its_command(program: Program, nap: str) -> None:
    outcome = program.run("run", "--tools", "bash", "--timeout", "1", f"run `{nap}`")

    assert_error(outcome, 7, "1 s", "timeout")
    assert outcome.out == ""
    assert nap in outcome.message
    wait_until(lambda: not _is_running(nap))


@needs_proc
@pytest.mark.parametrize(
    "arguments", [[], ["--output", "jsonl"], ["-q"]], ids=["text", "jsonl", "quiet"]
)
def test_ctrl_c_ends_the_run_and_its_command(
    arguments: list[str], program: Program, nap: str
) -> None:
    outcome = _interrupted(program, nap, *arguments, f"run `{nap}`")

    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    wait_until(lambda: not _is_running(nap))


@needs_proc
def test_ctrl_c_ends_a_batch_with_the_answers_so_far(program: Program, nap: str) -> None:
    (program.folder / "prompts.jsonl").write_text(f'"Who goes there?"\n"run `{nap}`"\n', "utf-8")
    outcome = _interrupted(program, nap, "--input", "prompts.jsonl")

    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert "Who goes there?" in outcome.out
    wait_until(lambda: not _is_running(nap))


@needs_proc
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_ctrl_c_keeps_what_a_batch_has_finished(output: str, program: Program, nap: str) -> None:
    (program.folder / "prompts.jsonl").write_text(f'"Who goes there?"\n"run `{nap}`"\n', "utf-8")
    outcome = _interrupted(program, nap, "--input", "prompts.jsonl", "--output", output)

    assert outcome.code == 130
    assert "Who goes there?" in outcome.out
    assert "1 of 2 prompts answered" in outcome.err
    assert "Not answered: line 2." in outcome.err


@needs_proc
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_ctrl_c_is_told_to_programs_too(output: str, program: Program, nap: str) -> None:
    outcome = _interrupted(program, nap, "--output", output, f"run `{nap}`")

    assert outcome.records[-1]["error"]["code"] == "interrupted"


@needs_full
def test_a_report_that_cannot_be_written_adds_no_second_document(program: Program) -> None:
    outcome = program.run("run", "--output", "json", "--trace-output", "/dev/full", QUESTION)

    assert outcome.code == 1
    assert outcome.document["type"] == "result"
    assert "/dev/full" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", QUESTION],
        ["run", "--stream", QUESTION],
        ["run", "--output", "json", QUESTION],
        ["run", "--output", "jsonl", QUESTION],
        ["--version"],
        ["run", "--help"],
        ["config", "show"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_a_reader_that_leaves_early_is_no_error_worth_a_word(
    arguments: list[str], program: Program
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        process = program.start(*arguments, stdout=write_end)
    finally:
        os.close(write_end)
    _, err = process.communicate(timeout=30)

    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
    assert b"Broken pipe" not in err
    assert b"0x" not in err, err
    assert b"failed" not in err, err


def test_head_gets_its_first_byte(program: Program) -> None:
    outcome = program.run_in_shell('"$@" | head -c 1', "run", "--output", "jsonl", QUESTION)

    assert outcome.out == "{"
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [["run", "Hi"], ["run", "--output", "json", "Hi"], ["--version"], ["config", "show"]],
    ids=" ".join,
)
def test_a_closed_stdout_gives_no_traceback(arguments: list[str], program: Program) -> None:
    outcome = program.run_in_shell('exec "$@" >&-', *arguments)

    assert "Traceback" not in outcome.err, outcome.err


@needs_full
@pytest.mark.parametrize(
    "arguments",
    [["run", "Hi"], ["run", "--output", "json", "Hi"], ["--version"], ["config", "show"]],
    ids=" ".join,
)
def test_a_full_disk_under_stdout_gives_a_clear_error(
    arguments: list[str], program: Program
) -> None:
    outcome = program.run_in_shell('exec "$@" >/dev/full', *arguments)

    assert_error(outcome, 1, "No space left on device")


@needs_full
def test_a_full_disk_under_the_trace_is_a_clear_error_after_the_answer(program: Program) -> None:
    outcome = program.run("run", "--trace-output", "/dev/full", QUESTION)

    assert_error(outcome, 1, "/dev/full", "No space left on device")
    assert "Lighthouse of Alexandria" in outcome.out


def _on_a_small_disk(program: Program, *arguments: str) -> Outcome:
    # Without byte code: a module compiled under the limit would leave a cut file for later tests.
    script = 'export PYTHONDONTWRITEBYTECODE=1; ulimit -f 1; exec "$@"'
    return program.run_in_shell(script, "run", *arguments, QUESTION)


@pytest.mark.parametrize(
    ("option", "name"), [("--trace-output", "t.json"), ("--profile-output", "p.html")]
)
def test_a_report_that_does_not_fit_leaves_nothing_half_written(
    option: str, name: str, program: Program
) -> None:
    before = program.files()

    outcome = _on_a_small_disk(program, option, name)

    assert_error(outcome, 1, name)
    assert "Lighthouse of Alexandria" in outcome.out
    assert program.files() == before


@pytest.mark.parametrize(
    ("option", "name"), [("--trace-output", "t.json"), ("--profile-output", "p.html")]
)
def test_a_report_that_does_not_fit_leaves_the_old_one_untouched(
    option: str, name: str, program: Program
) -> None:
    (program.folder / name).write_text("the old report", "utf-8")

    outcome = _on_a_small_disk(program, option, name)

    assert_error(outcome, 1, name)
    assert (program.folder / name).read_text("utf-8") == "the old report"


def test_a_failed_command_does_not_fail_the_run(invoke: Invoke) -> None:
    outcome = invoke("run", "--tools", "bash", "--output", "json", "run `exit 3`")

    assert outcome.code == 0
    assert [call["name"] for call in outcome.document["tool_calls"]] == ["bash"]


def test_ctrl_c_before_anything_happens_is_an_interrupt_too(program: Program) -> None:
    read_end, write_end = os.pipe()  # standard input that never ends
    process = subprocess.Popen(
        [*program.command, "run", "-"],
        stdin=read_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=program.folder,
        env=program.environment(),
    )
    try:
        wait_until(lambda: _waits_for_input(process.pid))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()
        os.close(read_end)
        os.close(write_end)

    assert process.returncode == 130
    assert b"Traceback" not in err


def _waits_for_input(pid: int) -> bool:
    try:
        return b"pipe" in Path(f"/proc/{pid}/wchan").read_bytes()
    except OSError:
        pytest.skip("the system does not tell what a process waits for")

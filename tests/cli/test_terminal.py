"""Terminals and what is none: colours, progress, and the width of a line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.program import QUESTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cli.program import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

ESCAPE = b"\x1b"
COLOUR = b"\x1b[3"


def on_terminal(
    program: Program, *arguments: str, env: Mapping[str, str], with_stdout: bool = False
) -> tuple[bytes, bytes, int]:
    """Return stdout, what the terminal showed, and the exit code; stderr is the terminal."""
    terminal, side = os.openpty()
    try:
        stdout = side if with_stdout else subprocess.PIPE
        process = program.start(*arguments, env=env, stdout=stdout, stderr=side)
    finally:
        os.close(side)
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    out, _ = process.communicate(timeout=30)
    return out or b"", shown, process.returncode


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


@pytest.fixture
def batch(program: Program) -> list[str]:
    lines = "".join(f'"Question {number}?"\n' for number in range(12))
    (program.folder / "prompts.jsonl").write_text(lines, "utf-8")
    return ["run", "--input", "prompts.jsonl", "--concurrency", "4"]


def test_a_batch_shows_a_progress_bar_on_a_terminal(program: Program, batch: list[str]) -> None:
    out, shown, code = on_terminal(program, *batch, env={"TERM": "xterm-256color"})

    assert code == 0
    assert b"12/12" in shown
    assert "━".encode() in shown
    assert "━".encode() not in out
    assert ESCAPE not in out
    assert out.count(b"Question") == 12


def test_a_batch_shows_no_progress_bar_where_stderr_is_no_terminal(
    program: Program, batch: list[str]
) -> None:
    outcome = program.run(*batch, env={"TERM": "xterm-256color"})

    assert outcome.code == 0
    assert "━" not in outcome.err
    assert "12/12" not in outcome.err
    assert "\x1b" not in outcome.err + outcome.out


def test_a_quiet_batch_shows_nothing_on_a_terminal(program: Program, batch: list[str]) -> None:
    _, shown, code = on_terminal(program, *batch, "-q", env={"TERM": "xterm-256color"})

    assert (code, shown) == (0, b"")


def test_a_dumb_terminal_gets_no_escape_codes(program: Program, batch: list[str]) -> None:
    _, shown, code = on_terminal(program, *batch, env={"TERM": "dumb"})

    assert code == 0
    assert ESCAPE not in shown


def test_no_color_is_respected_on_a_terminal(program: Program, batch: list[str]) -> None:
    _, shown, code = on_terminal(program, *batch, env={"TERM": "xterm-256color", "NO_COLOR": "1"})

    assert code == 0
    assert b"12/12" in shown
    assert COLOUR not in shown


def test_an_answer_is_streamed_to_a_terminal_and_the_notice_with_it(program: Program) -> None:
    _, shown, code = on_terminal(
        program, "run", QUESTION, env={"TERM": "xterm-256color"}, with_stdout=True
    )

    assert code == 0
    assert b"the built-in simulator answers" in shown
    assert b"Lighthouse of Alexandria" in shown


@pytest.mark.parametrize(
    "arguments",
    [["run", QUESTION], ["run", "--help"], ["rum"], ["doctor"], ["config", "show", "--origin"]],
    ids=" ".join,
)
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["plain", "no-color"])
def test_no_escape_codes_where_there_is_no_terminal(
    env: dict[str, str], arguments: list[str], program: Program
) -> None:
    outcome = program.run(*arguments, env={"TERM": "xterm-256color", **env})

    assert "\x1b" not in outcome.out
    assert "\x1b" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["run", "Hi"], 0), (["run", "--help"], 0), (["--help"], 0), (["doctor"], 0), (["rum"], 2)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_terminal_that_knows_only_ascii_gets_readable_text(
    arguments: list[str], expected: int, program: Program
) -> None:
    outcome = program.run(*arguments, env={"PYTHONIOENCODING": "ascii"})

    assert outcome.code == expected
    assert "Traceback" not in outcome.err
    assert outcome.out or outcome.err

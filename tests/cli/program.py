"""Starts the real program as its user would: in a folder and a home of its own.

It knows how to start, feed and stop the program, not what the program should answer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "KEY",
    "NOTICE",
    "QUESTION",
    "Outcome",
    "Program",
    "Server",
    "assert_error",
    "assert_refused",
    "serving_simulator",
    "wait_until",
]

QUESTION = "What files are here, and what does README.md say first?"
README = "# Lighthouse of Alexandria\n\nIt stood on the island of Pharos.\n"
KEY = "sk-ant-api03-PLANTED-planted-PLANTED-planted-PLANTED-7351"
NOTICE = "the built-in simulator answers"
REPOSITORY = Path(__file__).parents[2]
# What the interpreter needs, and what measures the coverage of subprocesses.
_KEPT_VARIABLES = ("PATH", "TMPDIR", "SYSTEMROOT")
_KEPT_PREFIX = "COVERAGE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """Return stderr as one line of words, without boxes and line breaks of a terminal."""
        return " ".join(re.sub(r"[\u2500-\u257f]", " ", self.err).split())

    @property
    def document(self) -> Any:
        """Return stdout, which must be exactly one JSON document."""
        return json.loads(self.out)

    @property
    def records(self) -> list[Any]:
        """Return stdout, each line of which must be one JSON document."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The program, and the folder, home and state folder that it sees."""

    folder: Path
    home: Path
    state: Path

    @classmethod
    def in_folder(cls, root: Path) -> Program:
        """Return a program that stands in a small project below `root`."""
        program = cls(folder=root / "project", home=root / "home", state=root / "state")
        program.home.mkdir()
        program.folder.mkdir()
        (program.folder / "README.md").write_text(README, encoding="utf-8")
        (program.folder / "keeper.txt").write_text("Sostratus of Cnidus\n", encoding="utf-8")
        (program.folder / "stones").mkdir()
        return program

    @property
    def command(self) -> list[str]:
        """Return how to start the program, without any argument."""
        return [sys.executable, "-m", "sdk_workflow"]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a clean environment, plus some variables."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIX)
        }
        own = {
            "HOME": str(self.home),
            "SDK_WORKFLOW_HOME": str(self.state),
            "PYTHONPATH": str(REPOSITORY),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        return {**kept, **own, **(extra or {})}

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = 40,
    ) -> Outcome:
        """Run the program to its end, by default with nothing on standard input."""
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(
            [*self.command, *arguments],
            **feed,
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=self.environment(env),
            timeout=timeout_seconds,
        )
        return Outcome(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def run_in_shell(self, script: str, *arguments: str) -> Outcome:
        """Run a line of shell in which "$@" is the program and its arguments.

        Such a line may take streams or disk space away, where no coverage file could be written.
        """
        variables = {
            name: value
            for name, value in self.environment().items()
            if not name.startswith(_KEPT_PREFIX)
        }
        done = subprocess.run(
            ["/bin/bash", "-c", script, "shell", *self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=variables,
            timeout=40,
        )
        return Outcome(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, **streams: Any
    ) -> subprocess.Popen[bytes]:
        """Start the program; both of its output streams are pipes unless given."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.environment(env),
            **options,
        )

    def files(self) -> list[str]:
        """Return the names of everything in the project, the state folder and the home.

        The sessions that each run keeps in the state folder, their catalogue, and what the monitor
        reads are left out.
        """
        roots = (self.folder, self.state, self.home)
        names = ("sessions", "catalog.sqlite", "catalog.lock", "catalog.unfinished", "run")
        kept = {self.state / name for name in names}
        return sorted(
            str(path.relative_to(self.folder.parent))
            for root in roots
            for path in root.rglob("*")
            if kept.isdisjoint((path, *path.parents))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A `simulate` process that listens."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def client_variables(self) -> dict[str, str]:
        """Return what a client sets to talk to it."""
        return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.url}


@contextmanager
def serving_simulator(program: Program) -> Iterator[Server]:
    """Serve the simulator on a free port of the loopback interface."""
    process = program.start("simulate", "--port", "0")
    assert process.stdout is not None
    try:
        yield Server(process=process, url=process.stdout.readline().decode().strip())
    finally:
        process.terminate()
        process.communicate(timeout=20)


def assert_error(outcome: Outcome, code: int, *words: str) -> None:
    """Expect an exit code and a message with all of the words, and no traceback."""
    assert "Traceback" not in outcome.err, outcome.err
    assert outcome.code == code, outcome
    missing = [word for word in words if word not in outcome.message]
    assert not missing, f"{missing} not in {outcome.message!r}"


def assert_refused(outcome: Outcome, code: int, *words: str) -> None:
    """Expect an error before anything was asked or answered: no result at all."""
    assert_error(outcome, code, *words)
    assert outcome.out == "", outcome.out


def wait_until(condition: Callable[[], bool], *, seconds: float = 15) -> None:
    """Wait for another process to do something; there is no other way to hear of it."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "It did not happen in time."
        pause.wait(0.02)

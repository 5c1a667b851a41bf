"""Real processes for tests that look from outside: programs in a line or two of Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REPOSITORY", "environment", "start", "wait_for_all"]

REPOSITORY = Path(__file__).parents[2]


def environment(state: Path) -> dict[str, str]:
    """Return the variables of a program that keeps its state in a folder and has no key."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR"}}
    return {
        **kept,
        "HOME": str(state.parent),
        "SDK_WORKFLOW_HOME": str(state),
        "PYTHONPATH": str(REPOSITORY),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }


def start(program: str, state: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program given as text; its output is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(state),
    )


def wait_for_all(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Return what each wrote, and insist that each has ended well."""
    outputs = []
    for process in processes:
        out, err = process.communicate(timeout=40)
        assert process.returncode == 0, err
        outputs.append(out)
    return outputs

"""Checkpoints under load: a conversation that grows, beside peers, and eight processes at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.peers.growth import measure, turn
from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

__all__ = ["PEERS", "PROCESSES", "grow", "save_at_once"]

PEERS = ("langgraph", "openai_agents")
PROCESSES = 8
_SAVES = 25
_ROOT = Path(__file__).parent.parent
_STATE_TURNS = 50
_started: Barrier | None = None


class OurStore:
    """One session of a checkpoint manager."""

    def __init__(self, folder: Path) -> None:
        self._checkpoints = CheckpointManager(folder)

    def save(self, messages: list[dict[str, Any]]) -> None:
        """Save the next version, synced to the disk."""
        self._checkpoints.save_checkpoint("growing", messages=messages)

    def load(self) -> int:
        """Return how many messages the latest version has."""
        state = self._checkpoints.load_checkpoint("growing")
        return len(state["messages"]) if state else 0

    def load_version(self, version: int) -> int | None:
        """Return how many messages a version has."""
        state = self._checkpoints.load_checkpoint_version("growing", version)
        return len(state["messages"]) if state else None

    def close(self) -> None:
        """Close the session's file."""
        self._checkpoints.close()


def grow(name: str) -> dict[str, Any] | None:
    """Return the figures of a contender; None where its environment is absent.

    Args:
        name: "ours" or one of `PEERS`.
    """
    if name == "ours":
        with TemporaryDirectory() as folder:
            return measure(OurStore, Path(folder))
    python = _environment(name)
    if python is None:
        return None
    done = subprocess.run(
        [str(python), "-m", f"benchmarks.peers.checkpoint_{name}"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"The program of {name} failed: {done.stderr.decode(errors='replace')}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _environment(name: str) -> Path | None:
    folder = Path(os.environ.get("PEER_ENVIRONMENTS", _ROOT))
    home = folder / f".venv-peer-{name.replace('_', '-')}"
    for python in (home / "bin" / "python", home / "Scripts" / "python.exe"):
        if python.exists():
            return python
    return None


def save_at_once(*, is_shared: bool) -> tuple[list[float], int]:
    """Let eight processes save together; return the times in milliseconds, and the failures.

    Args:
        is_shared: Whether all save to one session, instead of to one each.
    """
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as folder:
        names = ["shared" if is_shared else f"session-{index}" for index in range(PROCESSES)]
        barrier = context.Barrier(PROCESSES)
        with context.Pool(PROCESSES, initializer=_remember, initargs=(barrier,)) as pool:
            work = [(folder, name) for name in names]
            found = pool.starmap(_save_many, work, chunksize=1)
    times = [taken for each, _ in found for taken in each]
    return times, sum(failures for _, failures in found)


def _remember(barrier: Barrier) -> None:
    global _started  # noqa: PLW0603 - a barrier reaches a process only while it is started
    _started = barrier


def _save_many(folder: str, session_id: str) -> tuple[list[float], int]:
    """Save a state of 100 KB that grows, as soon as all processes are ready."""
    messages = [turn(number) for number in range(_STATE_TURNS)]
    times, failures = [], 0
    with CheckpointManager(Path(folder)) as checkpoints:
        checkpoints.save_checkpoint(session_id, messages=messages)  # so that the file is there
        assert _started is not None
        _started.wait()
        for number in range(_SAVES):
            messages.append(turn(number))
            started = perf_counter()
            try:
                checkpoints.save_checkpoint(session_id, messages=messages)
            except StorageError:
                failures += 1
            times.append(1000 * (perf_counter() - started))
    return times, failures

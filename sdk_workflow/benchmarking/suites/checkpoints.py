"""Checkpoints of a conversation of 1 MB, and of one that has just begun, on the disk as it is."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, Ratio, Target, each_of, times
from sdk_workflow.managers.checkpoint_manager import CheckpointManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry

__all__ = ["checkpoint_entries"]

_SMALL, _LARGE = "small", "large"
_SMALL_TURNS, _LARGE_TURNS = 10, 500
_TURN_BYTES = 2_000
_VERSIONS = 40
_LOAD = "checkpoint: open, load, 1 MB"
_ANY = "checkpoint: open, load any version"
_WORDS = ("order", "price", "stock", "page", "line", "count", "test", "reads", "writes", "harbour")


def checkpoint_entries(checkpoints: CheckpointManager, home: Path, *, plan: Target) -> list[Entry]:
    """Return the operations on checkpoints, with two conversations saved for them.

    Args:
        checkpoints: The manager.
        home: Its folder, for others that open it anew.
        plan: What the plan asks of each.
    """
    source = random.Random(1)  # noqa: S311 # nosec B311 # text, not a secret
    checkpoints.save_checkpoint(_SMALL, messages=[_turn(source) for _ in range(_SMALL_TURNS)])
    messages = [_turn(source) for _ in range(_LARGE_TURNS - _VERSIONS)]
    for _ in range(_VERSIONS):
        messages.append(_turn(source))
        checkpoints.save_checkpoint(_LARGE, messages=messages)
    versions = source.sample(range(1, _VERSIONS + 1), _VERSIONS)

    def load(version: int | None) -> None:
        """Load as a new process does: one that has saved still has the latest state at hand."""
        with CheckpointManager(home) as opened:
            if version is None:
                opened.load_checkpoint(_LARGE)
            else:
                opened.load_checkpoint_version(_LARGE, version)

    return [
        Operation(name="checkpoint: save, 20 KB", repeat=_saves(checkpoints, _SMALL), plan=plan),
        Operation(
            name="checkpoint: load again, 20 KB",
            repeat=times(lambda: checkpoints.load_checkpoint(_SMALL)),
            plan=plan,
        ),
        Operation(name="checkpoint: save, 1 MB", repeat=_saves(checkpoints, _LARGE), plan=plan),
        Operation(
            name="checkpoint: save, 1 MB, CPU",
            repeat=_saves(checkpoints, _LARGE),
            timer="cpu",
            goal=Target(2e6),
        ),
        Operation(
            name="checkpoint: load, 1 MB",
            repeat=times(lambda: checkpoints.load_checkpoint(_LARGE)),
            plan=plan,
            goal=Target(5e6),
        ),
        Operation(name=_LOAD, repeat=times(lambda: load(None)), plan=plan),
        Operation(name=_ANY, repeat=each_of(load, versions)),
        Ratio(name="checkpoint: any version / latest", over=_ANY, under=_LOAD, goal=Target(2.0)),
    ]


def _saves(checkpoints: CheckpointManager, name: str) -> Callable[[int], None]:
    """Return what saves a state again and again, its last turn another each time."""
    state = checkpoints.load_checkpoint(name) or {}
    messages, number = state["messages"], itertools.count()

    def save() -> None:
        messages[-1] = {"role": "user", "content": f"{next(number)} {'and so on ' * 200}"}
        checkpoints.save_checkpoint(name, messages=messages)

    return times(save)


def _turn(source: random.Random) -> dict[str, Any]:
    words = " ".join(source.choice(_WORDS) for _ in range(_TURN_BYTES // 6))
    return {"role": "user", "content": words[:_TURN_BYTES]}

"""A conversation that grows turn by turn, saved after each: the same work for every contender.

It runs in environments where only the contender is installed, so it uses the standard library only.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TURNS", "Store", "measure", "run", "turn"]

TURNS = 500
TURN_BYTES = 2_000
_NUMBERS = 0.35
_MORE_TURNS = 40  # saved at the full size, one by one
_LOADS = 11
_OPENINGS = 5
_SAMPLED_VERSIONS = 25
_WORDS = (
    "the",
    "tide",
    "comes",
    "in",
    "at",
    "seven",
    "and",
    "leaves",
    "harbour",
    "dry",
    "again",
    "by",
    "noon",
    "while",
    "boats",
    "lie",
    "on",
    "their",
    "sides",
    "wait",
    "for",
    "water",
    "that",
    "nobody",
    "has",
    "to",
    "ask",
)

Message = dict[str, Any]


class Store(Protocol):
    """What is measured: a way to keep the states of one conversation."""

    def save(self, messages: list[Message]) -> None:
        """Keep the conversation as its next version."""

    def load(self) -> int:
        """Read the latest version and return how many messages it has."""

    def load_version(self, version: int) -> int | None:
        """Read one version, from 1; None where the store keeps the latest only."""

    def close(self) -> None:
        """Let go of the files."""


def turn(number: int) -> Message:
    """Return the message of one turn: 2 KB of prose, the same in every run."""
    rng = random.Random(number)  # noqa: S311 - prose, not secrets
    text = ""
    while len(text) < TURN_BYTES:
        # As much to compress as English prose has: a turn becomes half its size.
        text += f"{rng.choice(_WORDS)} "
        if rng.random() < _NUMBERS:
            text += f"{rng.randrange(1_000_000)} "
    role = "assistant" if number % 2 else "user"
    return {"role": role, "content": [{"type": "text", "text": text[:TURN_BYTES]}]}


def measure(open_store: Callable[[Path], Store], folder: Path) -> dict[str, Any]:
    """Return sizes in bytes and times in milliseconds.

    Args:
        open_store: Opens the store in a folder; a second time, with what is there.
        folder: An empty folder.
    """
    store, messages = open_store(folder), list[Message]()
    save_ms = [_timed(_grow, store, messages, number)[0] for number in range(TURNS)]
    store.close()
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    raw = len(json.dumps(messages, separators=(",", ":")))
    opened = [_timed(_open_and_load, open_store, folder)[0] for _ in range(_OPENINGS)]
    store = open_store(folder)
    latest = [_timed(store.load) for _ in range(_LOADS)]
    if latest[0][2] != TURNS:
        sys.exit(f"{latest[0][2]} of {TURNS} messages came back.")
    versions = _version_times(store)
    at_full_size = [_timed(_grow, store, messages, TURNS + number) for number in range(_MORE_TURNS)]
    store.close()
    return {
        "stored_bytes": stored,
        "raw_bytes": raw,
        "save_ms": median(save_ms),
        "full_size_save_ms": median(wall for wall, _, _ in at_full_size),
        "full_size_save_cpu_ms": median(cpu for _, cpu, _ in at_full_size),
        "open_and_load_ms": median(opened),
        "load_ms": median(wall for wall, _, _ in latest),
        "worst_version_ms": max(versions) if versions else None,
    }


def run(open_store: Callable[[Path], Store]) -> None:
    """Measure in a temporary folder and print the figures as JSON: the program of a contender."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(open_store, Path(folder))))


def _open_and_load(open_store: Callable[[Path], Store], folder: Path) -> None:
    store = open_store(folder)
    store.load()
    store.close()


def _grow(store: Store, messages: list[Message], number: int) -> None:
    messages.append(turn(number))
    store.save(messages)


def _version_times(store: Store) -> list[float]:
    """Return how long each of some versions takes at its best of three."""
    if store.load_version(TURNS) is None:
        return []
    step = TURNS // _SAMPLED_VERSIONS
    return [
        min(_timed(store.load_version, version)[0] for _ in range(3))
        for version in range(step, TURNS + 1, step)
    ]


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    wall, cpu = perf_counter(), process_time()
    found = work(*arguments)
    return 1000 * (perf_counter() - wall), 1000 * (process_time() - cpu), found

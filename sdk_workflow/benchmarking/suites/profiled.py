"""What the sampling profiler adds to work: the same work with it and without it, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.benchmarking.operations import Operation, Ratio, Target, times
from sdk_workflow.core.profiling import Profiler

if TYPE_CHECKING:
    from sdk_workflow.benchmarking.operations import Entry

__all__ = ["profiler_entries"]

_WITHOUT, _WITH = "work, not profiled", "work, profiled at 5 ms"
_PIECES = 400  # some 60 ms: to start and to stop the profiler takes 0.5 ms of it
_MOST = 1.05


def profiler_entries() -> list[Entry]:
    """Return the work without the profiler and with it, in CPU time, and their ratio."""
    return [
        Operation(name=_WITHOUT, repeat=times(_work), timer="cpu"),
        Operation(name=_WITH, repeat=times(_profiled), timer="cpu"),
        Ratio(name="profiled / not profiled", over=_WITH, under=_WITHOUT, goal=Target(_MOST)),
    ]


def _work() -> None:
    """Do a bit of everything that Python programs do: numbers, text, small objects, calls."""
    for piece in range(_PIECES):
        words = [f"{number:x}" for number in range(1_000)]
        _count(words, piece)


def _count(words: list[str], piece: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word[-1]] = counts.get(word[-1], 0) + len(word) + piece
    return dict(sorted(counts.items()))


def _profiled() -> None:
    with Profiler(profile_memory=False, interval_ms=5):
        _work()

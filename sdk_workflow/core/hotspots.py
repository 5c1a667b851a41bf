"""Which functions the CPU time of a sampled profile went to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.core.stacks import Frame, StackProfile

__all__ = ["Hotspot", "find_hotspots", "own_times_ns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotspot:
    """One function: its own share of the CPU time (0..1), and the one with all that it called.

    `count` is the number of samples that caught the function itself at work, or, in a
    deterministic profile, the number of calls.
    """

    function: str
    file: str
    line: int
    self_share: float
    total_share: float
    self_ms: float
    total_ms: float
    count: int


def find_hotspots(profile: StackProfile) -> list[Hotspot]:
    """Return every function of a sampled profile, the one with the most CPU time of its own first."""
    own_ns = own_times_ns(profile)
    total_ns, samples = _tally(profile)
    whole_ns = profile.cpu_ns or 1
    found = [
        Hotspot(
            function=frame.function,
            file=frame.file,
            line=frame.line,
            self_share=own_ns[frame] / whole_ns,
            total_share=frame_ns / whole_ns,
            self_ms=own_ns[frame] / 1e6,
            total_ms=frame_ns / 1e6,
            count=samples[frame],
        )
        for frame, frame_ns in total_ns.items()
        if not frame.is_root
    ]
    return sorted(found, key=lambda spot: (-spot.self_share, -spot.total_share, spot.function))


def own_times_ns(profile: StackProfile) -> Counter[Frame]:
    """Return the CPU time that each function used itself, in nanoseconds."""
    own_ns: Counter[Frame] = Counter()
    for stack, weight in profile.stacks.items():
        own_ns[stack[-1]] += weight.cpu_ns
    return own_ns


def _tally(profile: StackProfile) -> tuple[Counter[Frame], Counter[Frame]]:
    total_ns: Counter[Frame] = Counter()
    samples: Counter[Frame] = Counter()
    for stack, weight in profile.stacks.items():
        samples[stack[-1]] += weight.samples
        for frame in set(stack):  # a recursive function counts once
            total_ns[frame] += weight.cpu_ns
    return total_ns, samples

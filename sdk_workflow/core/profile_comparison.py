"""Whether two profiles differ by more than noise, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdk_workflow.core.hotspots import own_times_ns
from sdk_workflow.core.noise_bound import NoiseBound
from sdk_workflow.core.stacks import StackProfile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.core.stacks import Frame

__all__ = ["ProfileComparison", "ShareChange", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareChange:
    """How the share of one function's own CPU time changed, and how much of that noise explains."""

    function: str
    file: str
    line: int
    share_before: float
    share_after: float
    noise_bound: float

    @property
    def delta(self) -> float:
        """The change of the share: positive where the function got dearer."""
        return self.share_after - self.share_before


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileComparison:
    """The changes that noise does not explain, largest first.

    Args:
        changes: Functions whose share changed by more than their noise bound.
        functions_tested: How many functions were compared.
        samples_before: Effective samples of the first profile.
        samples_after: Effective samples of the second profile.
        before: The stacks of the first profile.
        after: The stacks of the second profile.

    Example:
        >>> print(ProfileComparison(changes=(), functions_tested=3, samples_before=9, samples_after=9))
        No significant change among 3 functions.
    """

    changes: tuple[ShareChange, ...]
    functions_tested: int
    samples_before: float
    samples_after: float
    before: StackProfile = field(default_factory=StackProfile, repr=False)
    after: StackProfile = field(default_factory=StackProfile, repr=False)

    def __str__(self) -> str:
        """Return the changes as a table."""
        if not self.changes:
            return f"No significant change among {self.functions_tested} functions."
        rows = [
            f"{change.share_before:8.1%} {change.share_after:8.1%} {change.delta:+8.1%}"
            f" ±{change.noise_bound:6.1%}  {change.function} ({change.file}:{change.line})"
            for change in self.changes
        ]
        return "\n".join(["  before    after    delta   noise  function", *rows])

    def export_flamegraph(self, output_path: Path) -> None:
        """Write both profiles as one differential flame graph: `.html`, `.svg` or `.collapsed`.

        Widths are those of the second profile. Red boxes take a larger share of the CPU time than
        before, blue ones a smaller share, pale ones one that noise explains. What has vanished
        is listed below. Collapsed stacks carry both counts, as difffolded.pl writes them.

        Raises:
            UsageError: If the suffix names no format.
            StorageError: If the file cannot be written.
        """
        from sdk_workflow.core.profile_export import write_difference

        title = (
            f"CPU time, {self.samples_before:.0f} samples before, {self.samples_after:.0f} after:"
            " red grew, blue shrank"
        )
        write_difference(self.before, self.after, output_path, title)


def compare(before: StackProfile, after: StackProfile) -> ProfileComparison:
    """Return the functions whose own share changed by more than noise."""
    shares_before, shares_after = _self_shares(before), _self_shares(after)
    tested = sorted({*shares_before, *shares_after})
    noise = NoiseBound(before, after, comparisons=len(tested))
    changes = [
        _change(frame, shares_before.get(frame, 0.0), shares_after.get(frame, 0.0), noise)
        for frame in tested
    ]
    significant = [change for change in changes if abs(change.delta) > change.noise_bound]
    return ProfileComparison(
        changes=_largest_first(significant),
        functions_tested=len(tested),
        samples_before=before.effective_samples,
        samples_after=after.effective_samples,
        before=before,
        after=after,
    )


def _change(frame: Frame, before: float, after: float, noise: NoiseBound) -> ShareChange:
    return ShareChange(
        function=frame.function,
        file=frame.file,
        line=frame.line,
        share_before=before,
        share_after=after,
        noise_bound=noise.of(before, after),
    )


def _largest_first(changes: Sequence[ShareChange]) -> tuple[ShareChange, ...]:
    return tuple(sorted(changes, key=lambda change: -abs(change.delta)))


def _self_shares(profile: StackProfile) -> Mapping[Frame, float]:
    whole_ns = profile.cpu_ns or 1
    return {frame: own_ns / whole_ns for frame, own_ns in own_times_ns(profile).items()}

"""The profiler: where CPU time and memory go, and what changed between two runs.

It shows work, not waiting: a thread that waits uses no CPU and does not appear. Spans show waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.hotspots import Hotspot
from sdk_workflow.core.profile_comparison import ProfileComparison, compare
from sdk_workflow.core.profile_run import Mode, ProfileReport, ProfileRun
from sdk_workflow.core.sampler import Sampler
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from sdk_workflow.core.stacks import StackProfile

__all__ = ["Hotspot", "Mode", "ProfileComparison", "ProfileReport", "Profiler"]

_SHORTEST_INTERVAL_MS = 0.1


class Profiler:
    """Finds out where CPU time and memory go, between start and stop or inside a `with`.

    Sampling costs a few per cent at 5 ms and sees all threads. Memory is traced by tracemalloc at
    one frame, only while the profiler runs: that slows allocation-heavy code down about ten times
    (measured), so pass `profile_memory=False` where speed matters.

    Args:
        profile_cpu: Whether to find out where CPU time goes.
        profile_memory: Whether to find out which lines hold new memory.
        mode: `sampling`, or `deterministic` for exact call counts (cProfile) at two to three times
            the run time, of the calling thread only and without flame graph.
        interval_ms: Time between two samples.
        new_sampler: Makes the sampler of one run, from its interval in seconds.

    Raises:
        UsageError: If nothing is to be profiled, the mode is unknown or the interval too short.

    Example:
        >>> with Profiler(profile_memory=False) as profiler:
        ...     _ = sum(range(1000))
        >>> profiler.report.mode
        'sampling'
    """

    def __init__(
        self,
        profile_cpu: bool = True,  # noqa: FBT001, FBT002 - promised to be positional
        profile_memory: bool = True,  # noqa: FBT001, FBT002 - promised to be positional
        *,
        mode: Mode = "sampling",
        interval_ms: float = 5,
        new_sampler: Callable[[float], Sampler] = Sampler,
    ) -> None:
        _check_options(profile_cpu or profile_memory, mode, interval_ms)
        self._profile_cpu = profile_cpu
        self._profile_memory = profile_memory
        self._mode: Mode = mode
        self._interval_seconds = interval_ms / 1000
        self._new_sampler = new_sampler
        self._run: ProfileRun | None = None
        self._report: ProfileReport | None = None
        self._stacks: StackProfile | None = None

    @property
    def report(self) -> ProfileReport:
        """What the last finished run found.

        Raises:
            UsageError: If there is none yet.
        """
        if self._report is None:
            raise UsageError(
                "There is no profile yet: the profiler has not finished a run.",
                hint="Call start_profiling, do the work, then call stop_profiling.",
            )
        return self._report

    def __enter__(self) -> Self:
        """Start profiling."""
        self.start_profiling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop profiling, unless it was stopped inside."""
        if self._run is not None:
            self.stop_profiling()

    def start_profiling(self) -> None:
        """Begin a run; what an earlier run found is forgotten.

        Raises:
            UsageError: If a run is going on, or calls are to be counted while another profiler is
                active.
        """
        if self._run is not None:
            raise UsageError(
                "The profiler is running already.", hint="Call stop_profiling before a new run."
            )
        self._report = self._stacks = None
        run = self._new_run()
        run.start()
        self._run = run

    def stop_profiling(self) -> ProfileReport:
        """End the run and return what it found.

        Raises:
            UsageError: If no run is going on.
        """
        if self._run is None:
            raise UsageError(
                "The profiler is not running.", hint="Call start_profiling before the work."
            )
        run, self._run = self._run, None
        self._report, self._stacks = run.stop()
        return self._report

    def get_hotspots(self, top_n: int = 10) -> list[Hotspot]:
        """Return the functions with the most CPU time of their own, the dearest first.

        Raises:
            UsageError: If no run has finished, or `top_n` is negative.
        """
        if top_n < 0:
            raise UsageError(f"There are no top {top_n!r} functions.", hint="Pass 0 or more.")
        return list(self.report.hotspots[:top_n])

    def export_flamegraph(self, output_path: Path) -> None:
        """Write the last run as `.html`, `.svg`, `.collapsed` or `.speedscope.json`.

        A deterministic profile holds calls, not stacks, so there is none to draw.

        Raises:
            UsageError: If no run has finished, or it sampled no stacks, or the suffix names no format.
            StorageError: If the file cannot be written.
        """
        from sdk_workflow.core.profile_export import write_flamegraph

        report = self.report
        title = f"CPU time, {report.sample_count} samples, {report.cpu_ms:.0f} ms"
        write_flamegraph(self._sampled("draw a flame graph"), output_path, title)

    def compare_profiles(self, other: Profiler) -> ProfileComparison:
        """Return what changed from this profile to `other`, beyond what noise explains.

        Raises:
            UsageError: If one of the two has no finished run that sampled the CPU.
        """
        return compare(self._sampled("compare"), other._sampled("compare"))

    def _new_run(self) -> ProfileRun:
        """Load and make what a run needs, before anything is measured."""
        sampler = calls = memory = None
        if self._profile_cpu and self._mode == "sampling":
            sampler = self._new_sampler(self._interval_seconds)
        elif self._profile_cpu:
            from sdk_workflow.core.call_profile import CallProfile

            calls = CallProfile()
        if self._profile_memory:
            from sdk_workflow.core.memory_profile import MemoryTrace

            memory = MemoryTrace()
        return ProfileRun(sampler=sampler, calls=calls, memory=memory)

    def _sampled(self, purpose: str) -> StackProfile:
        _ = self.report
        if self._stacks is None:
            raise UsageError(
                f"This profile has no sampled stacks to {purpose}.",
                hint='Profile with profile_cpu=True and mode="sampling".',
            )
        return self._stacks


def _check_options(has_work: bool, mode: str, interval_ms: float) -> None:  # noqa: FBT001 - private
    if not has_work:
        raise UsageError(
            "The profiler has nothing to do: neither CPU nor memory is to be profiled.",
            hint="Leave profile_cpu or profile_memory on.",
        )
    if mode not in ("sampling", "deterministic"):
        raise UsageError(
            f"There is no profiler mode {mode!r}.", hint='Choose "sampling" or "deterministic".'
        )
    if interval_ms < _SHORTEST_INTERVAL_MS:
        raise UsageError(
            f"An interval of {interval_ms!r} ms is too short to sample at.",
            hint=f"Pass interval_ms of at least {_SHORTEST_INTERVAL_MS}; 5 is a good choice.",
        )

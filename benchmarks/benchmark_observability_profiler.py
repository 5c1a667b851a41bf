"""The profiler on a workload whose CPU shares are known, beside cProfile and pyinstrument.

    python benchmarks/benchmark_observability_profiler.py [--rounds N] [--json FILE]

Truth is the CPU clock read around every turn of each of twelve functions, in the same run that is
profiled. A function counts with what it calls. Costs are CPU time of the same work, as ratios of
neighbours in one round; accuracy is over runs of 20 s, so that 5 ms make 2,000 samples and more.
"""

from __future__ import annotations

import cProfile
import gc
import importlib.util
import pstats
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._planted_workload import NAMES, run
from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, interleave, ratio_of
from sdk_workflow.core.profiling import Profiler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Shares = Mapping[str, float]
    Found = tuple[Shares, Shares]

_TRUTH_SECONDS, _COST_SECONDS, _COMPARE_SECONDS = 20.0, 1.5, 5.0
_TRUTH_RUNS, _EQUAL_PAIRS = 3, 10
_DOUBLED = "planted_06"
_TOP = 10


def _main() -> None:
    arguments = parse_arguments("The profiler beside cProfile and pyinstrument.", rounds=7)
    report = Report("Profiler: a planted workload of twelve functions")
    report.begin()
    profilers = {"ours, 5 ms": _ours, "cProfile": _exact}
    if importlib.util.find_spec("pyinstrument"):
        profilers["pyinstrument, 1 ms"] = _pyinstrument
    else:
        report.note("pyinstrument is not installed: no figures of it.")
    cycles_per_second = _cycles_per_second()
    cycles = round(_COST_SECONDS * cycles_per_second)
    report.add("CPU time of the same work", _cost_rows(profilers, cycles, arguments.rounds))
    cycles = round(_TRUTH_SECONDS * cycles_per_second)
    for name, profile in profilers.items():
        report.add(f"truth: {name}", _truth_rows(profile, cycles, is_ours=name.startswith("ours")))
    cycles = round(_COMPARE_SECONDS * cycles_per_second)
    report.add("comparison", _comparison_rows(cycles))
    report.finish(arguments.json)


# Each profiler runs so many cycles, and returns the true shares and those that it found.


def _ours(cycles: int) -> Found:
    profiler, truth = _profiled(cycles)
    return truth, {spot.function: spot.total_share for spot in profiler.report.hotspots}


def _profiled(cycles: int, **options: Any) -> tuple[Profiler, Shares]:
    with Profiler(profile_memory=False, interval_ms=5) as profiler:
        truth = run(cycles, **options)
    return profiler, truth


def _exact(cycles: int) -> Found:
    profile = cProfile.Profile()
    profile.enable()
    truth = run(cycles)
    profile.disable()
    stats: Mapping[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return truth, _normalised({key[2]: entry[3] for key, entry in stats.items()})


def _pyinstrument(cycles: int) -> Found:
    import pyinstrument  # type: ignore[import-not-found]

    profiler = pyinstrument.Profiler(interval=0.001)
    profiler.start()
    truth = run(cycles)
    session = profiler.stop()
    times: dict[str, float] = {}
    pending = [session.root_frame()]
    while pending:
        frame = pending.pop()
        if frame is None:
            continue
        times[frame.function] = times.get(frame.function, 0.0) + frame.time
        pending.extend(frame.children)
    return truth, _normalised(times)


def _normalised(times: Shares) -> Shares:
    whole = sum(times.get(name, 0.0) for name in NAMES) or 1.0
    return {name: times.get(name, 0.0) / whole for name in NAMES}


# Rows


def _cost_rows(
    profilers: Mapping[str, Callable[[int], Found]], cycles: int, rounds: int
) -> list[Row]:
    def timed(work: Callable[[int], object]) -> Callable[[], tuple[float, float]]:
        def once() -> tuple[float, float]:
            gc.collect()
            wall, cpu = perf_counter(), process_time()
            work(cycles)
            return perf_counter() - wall, process_time() - cpu

        return once

    contenders = {"none": timed(run), **{name: timed(work) for name, work in profilers.items()}}
    times = interleave(contenders, rounds=rounds)
    return [
        Row(
            name=f"{name} / none",
            series=ratio_of(times[name].cpu, times["none"].cpu),
            at_most=1.05 if name.startswith("ours") else None,
        )
        for name in profilers
    ]


def _truth_rows(profile: Callable[[int], Found], cycles: int, *, is_ours: bool) -> list[Row]:
    found = [profile(cycles) for _ in range(_TRUTH_RUNS)]
    ranks = Series([_spearman(truth, seen) for truth, seen in found])
    tops = Series([float(_found_of_top(truth, seen)) for truth, seen in found])
    worst = Series([100 * _worst_error(truth, seen) for truth, seen in found])
    return [
        Row(
            name="rank correlation (Spearman)",
            series=ranks,
            at_least=0.95 if is_ours else None,
            digits=3,
        ),
        Row(
            name="of the ten dearest found",
            series=tops,
            at_least=_TOP if is_ours else None,
            digits=0,
        ),
        Row(
            name="worst error of a share",
            series=worst,
            unit="points",
            at_most=3 if is_ours else None,
        ),
    ]


def _comparison_rows(cycles: int) -> list[Row]:
    before, _ = _profiled(cycles)
    after, _ = _profiled(cycles, doubled=_DOUBLED)
    changes = before.compare_profiles(after).changes
    names = [change.function for change in changes]
    place = float(names.index(_DOUBLED) + 1) if _DOUBLED in names else float("inf")
    equal = [
        _profiled(cycles)[0].compare_profiles(_profiled(cycles, seed=8)[0]).changes
        for _ in range(_EQUAL_PAIRS)
    ]
    rows = Series([float(len(changes)) for changes in equal])
    return [
        Row(
            name="row of a function made twice as dear", series=Series([place]), at_most=1, digits=0
        ),
        Row(name=f"rows of {_EQUAL_PAIRS} pairs of equal runs", series=rows, at_most=0, digits=0),
    ]


# Figures


def _spearman(truth: Shares, seen: Shares) -> float:
    ranks_true, ranks_seen = _ranks(truth), _ranks(seen)
    count = len(NAMES)
    squares = sum((ranks_true[name] - ranks_seen[name]) ** 2 for name in NAMES)
    return 1 - 6 * squares / (count * (count**2 - 1))


def _ranks(shares: Shares) -> dict[str, int]:
    ordered = sorted(NAMES, key=lambda name: -shares.get(name, 0.0))
    return {name: rank for rank, name in enumerate(ordered)}


def _found_of_top(truth: Shares, seen: Shares) -> int:
    ranks_true, ranks_seen = _ranks(truth), _ranks(seen)
    return sum(ranks_true[name] < _TOP and ranks_seen[name] < _TOP for name in NAMES)


def _worst_error(truth: Shares, seen: Shares) -> float:
    return max(abs(truth[name] - seen.get(name, 0.0)) for name in NAMES)


def _cycles_per_second() -> float:
    taken = []
    for _ in range(3):
        started = process_time()
        run(50)
        taken.append(process_time() - started)
    return 50 / median(taken)


if __name__ == "__main__":
    _main()

"""What it costs to watch, beside those who offer the same: spans, log lines, durations, profiles.

    python benchmarks/benchmark_observability.py [--rounds N] [--json FILE]

Runs the operations of `sdk_workflow benchmark --suite observability` in one process with their
peers, turn by turn. `make bench-peers` makes an environment that has them all: run this with its
interpreter and PYTHONPATH=. Figures are CPU time of one operation, the quickest of several goes in
each round; every verdict on a ratio is one of neighbours in the same round.
"""

from __future__ import annotations

import importlib.util
import random
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._observability_peers import (
    PEERS,
    histogram_peers,
    log_peers,
    official_call,
    profiler_peers,
    span_peers,
)
from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import interleave, ratio_of
from sdk_workflow.benchmarking.operations import Operation, Skipped
from sdk_workflow.benchmarking.suites.observability import WHOLE_STACK, open_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks._timing import Times

    Repeat = Callable[[int], object]

_GOES = 5
_NS = 1e9
_WITHOUT, _WITH = "work, not profiled", "work, profiled at 5 ms"
_OTLP, _PROMETHEUS = "OTLP export, one span", "Prometheus text, 20 operations"
_MOST_OF_A_CALL = 0.01
_CALL = "a call through the official SDK, no network"


def main() -> None:
    """Measure, and show one table for each part."""
    arguments = parse_arguments("Observability beside its peers.", rounds=15)
    report = Report("Observability: CPU time of one operation, interleaved")
    report.begin()
    for peer in PEERS:
        if not _is_installed(peer):
            report.note(f"{peer} is not installed: no ratio.")
    if not _is_installed("sdk_workflow.core.otel_bridge"):
        report.note(
            "There is no bridge to OpenTelemetry in this version: no span with its context."
        )
    unused: Any = None  # the suite needs nothing of other layers
    with tempfile.TemporaryDirectory() as name, open_suite(Path(name), unused) as entries:
        ours = {entry.name: entry for entry in entries if isinstance(entry, Operation)}
        for entry in entries:
            if isinstance(entry, Skipped):
                report.note(f"{entry.name} is left out: {entry.reason}")
        _add_sections(report, ours, Path(name), arguments.rounds)
    report.finish(arguments.json)


def _add_sections(report: Report, ours: Mapping[str, Operation], folder: Path, rounds: int) -> None:
    spans = _picked(ours, "span, 3 attributes", "span, disabled", "trace_function, one call")
    found = _measured(spans, span_peers(), calls=2_000, rounds=rounds)
    goals = {"OTel SDK": 12.0}
    report.add("Span", [*_figures(spans, found), *_ratios(spans, found, goals)])

    entries = _picked(ours, "log entry, buffered", "log entry, below the level")
    if entries:
        peers = log_peers(folder)
        found = _measured(entries, peers, calls=1_000, rounds=rounds)
        goals = {"structlog": 4.0, "loguru": 12.0}
        report.add("Log entry", [*_figures(entries, found), *_ratios(entries, found, goals)])

    dice = random.Random(7)  # noqa: S311 - a distribution, not a secret
    seconds = [dice.lognormvariate(-0.7, 1.0) for _ in range(10_000)]
    observed = _picked(ours, "histogram: observe", "metrics: a finished call")
    found = _measured(observed, histogram_peers(seconds), calls=5_000, rounds=rounds)
    report.add("A duration", [*_figures(observed, found), *_ratios(observed, found, {})])

    exported = _picked(ours, _OTLP, _PROMETHEUS)
    found = _measured(exported, {}, calls=1, rounds=rounds)
    report.add("Exports", _figures(exported, found))

    _add_profiler(report, ours, rounds)
    _add_whole_stack(report, ours, rounds)


def _add_profiler(report: Report, ours: Mapping[str, Operation], rounds: int) -> None:
    work = _picked(ours, _WITHOUT, _WITH)
    peers = profiler_peers(ours[_WITHOUT].repeat)
    found = _measured(work, peers, calls=1, rounds=rounds)
    rows = _figures(work, found)
    for name in (_WITH, *peers):
        ratio = ratio_of(found[name].cpu, found[_WITHOUT].cpu)
        most = 1.05 if name == _WITH else None
        rows.append(Row(name=f"{name} / not profiled", series=ratio, at_most=most))
    report.add("Profiler, 60 ms of work", rows)


def _add_whole_stack(report: Report, ours: Mapping[str, Operation], rounds: int) -> None:
    name = next(each for each in ours if each.startswith(WHOLE_STACK))
    contenders = {name: _timed(ours[name].repeat, calls=1_000)}
    if _is_installed("anthropic"):
        call = official_call()
        call(20)  # loads what loads at first use
        contenders[_CALL] = _timed(call, calls=30)
    else:
        report.note("The official SDK is not installed: no share of a call.")
    found = interleave(contenders, rounds=rounds)
    rows = _figures({name: ours[name]}, found)
    if _CALL in found:
        share = ratio_of(found[name].cpu, found[_CALL].cpu)
        rows.append(Row(name="share of it", series=share, at_most=_MOST_OF_A_CALL, digits=4))
    report.add("All of it, for one call", rows)


def _picked(ours: Mapping[str, Operation], *names: str) -> dict[str, Operation]:
    return {name: ours[name] for name in names if name in ours}


def _measured(
    ours: Mapping[str, Operation], peers: Mapping[str, Repeat], *, calls: int, rounds: int
) -> dict[str, Times]:
    work: dict[str, Repeat] = {name: entry.repeat for name, entry in ours.items()}
    items = {name: entry.items for name, entry in ours.items()}
    return interleave(
        {
            name: _timed(repeat, calls=calls, items=items.get(name, 1))
            for name, repeat in {**work, **peers}.items()
        },
        rounds=rounds,
    )


def _figures(ours: Mapping[str, Operation], found: Mapping[str, Times]) -> list[Row]:
    rows = []
    for name, times in found.items():
        goal = ours[name].goal if name in ours else None
        most = goal.limit / 1000 if goal else None
        rows.append(Row(name=name, series=times.cpu.per(1000), unit="us", at_most=most, digits=3))
    return rows


def _ratios(
    ours: Mapping[str, Operation], found: Mapping[str, Times], goals: Mapping[str, float]
) -> list[Row]:
    """Return how many times the first of ours is faster than each peer."""
    first, *_ = ours
    return [
        Row(
            name=f"{name} / {first}",
            series=ratio_of(times.cpu, found[first].cpu),
            at_least=goals.get(name),
            digits=1,
        )
        for name, times in found.items()
        if name not in ours
    ]


def _timed(repeat: Repeat, *, calls: int, items: int = 1) -> Callable[[], tuple[float, float]]:
    """Return a contender: the quickest of several goes, in nanoseconds of one item."""

    def measure() -> tuple[float, float]:
        goes = []
        for _ in range(_GOES):
            wall, cpu = perf_counter(), process_time()
            repeat(calls)
            goes.append((perf_counter() - wall, process_time() - cpu))
        scale = _NS / calls / items
        return min(wall for wall, _ in goes) * scale, min(cpu for _, cpu in goes) * scale

    return measure


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()

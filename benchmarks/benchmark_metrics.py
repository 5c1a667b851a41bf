"""MetricsEngine and its histogram beside prometheus_client and ddsketch, where they are installed.

    python benchmarks/benchmark_metrics.py [--rounds N] [--json FILE]

Figures are CPU time of one operation, every verdict on a ratio is one of neighbours in the same
round. The distribution is log-normal, as latencies are; its worst error is over five quantiles.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
from math import ceil
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, interleave, ratio_of
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.events import CacheLookedUp, ModelCallFinished, ToolFinished
from sdk_workflow.types import Call, Reply, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk_workflow.events import Event

_OURS = "Histogram.observe"
_OBSERVE_NS, _ERROR_PERCENT = 500.0, 0.4
_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
_COUNT = 10_000
_REPEATS = 5
_random = random.Random(7)  # noqa: S311 - a distribution, not a secret
_NANOSECONDS = [int(_random.lognormvariate(20.0, 1.0)) for _ in range(_COUNT)]
_SECONDS = [value / 1e9 for value in _NANOSECONDS]


def _main() -> None:
    arguments = parse_arguments("Metrics beside prometheus_client and ddsketch.", rounds=15)
    report = Report("MetricsEngine: CPU time of one operation, interleaved")
    report.begin()
    for peer in ("prometheus_client", "ddsketch"):
        if not importlib.util.find_spec(peer):
            report.note(f"{peer} is not installed: no ratio.")
    report.add("one duration", _observe_rows(arguments.rounds))
    report.add(f"worst error of {len(_SHARES)} quantiles, {_COUNT:,} values", _error_rows())
    report.add("one event", _event_rows(arguments.rounds))
    report.add("reading, 60 minutes of slots and 20 operations", _read_rows(arguments.rounds))
    report.finish(arguments.json)


# One duration


def _observe_rows(rounds: int) -> list[Row]:
    engine = MetricsEngine()
    milliseconds = [value * 1000 for value in _SECONDS]
    contenders: dict[str, Callable[[], tuple[float, float]]] = {
        _OURS: _each(Histogram().observe, _NANOSECONDS),
        "MetricsEngine.track_latency": _each(
            lambda value: engine.track_latency("parse", value), milliseconds
        ),
        **_peers(),
    }
    found = interleave(contenders, rounds=rounds)
    rows = [
        Row(
            name=name,
            series=times.cpu,
            unit="ns",
            at_most=_OBSERVE_NS if name == _OURS else None,
            digits=0,
        )
        for name, times in found.items()
    ]
    for name in _peers():
        ratio = ratio_of(found[name].cpu, found[_OURS].cpu)
        rows.append(Row(name=f"times faster than {name}", series=ratio, digits=1))
    return rows


def _peers() -> dict[str, Callable[[], tuple[float, float]]]:
    contenders: dict[str, Callable[[], tuple[float, float]]] = {}
    if importlib.util.find_spec("ddsketch"):
        sketch = _sketch()
        contenders["ddsketch 1 %"] = _each(sketch.add, _SECONDS)
    if importlib.util.find_spec("prometheus_client"):
        prometheus: Any = importlib.import_module("prometheus_client")
        family = prometheus.Histogram("d", "D.", ["name"], registry=prometheus.CollectorRegistry())
        contenders["prometheus_client, bound child"] = _each(
            family.labels("parse").observe, _SECONDS
        )
        contenders["prometheus_client, labels()"] = _each(
            lambda value: family.labels("parse").observe(value), _SECONDS
        )
    return contenders


def _sketch() -> Any:
    module: Any = importlib.import_module("ddsketch")
    return module.DDSketch(0.01)


def _error_rows() -> list[Row]:
    histogram = Histogram()
    for value in _NANOSECONDS:
        histogram.observe(value)
    ours = _worst_error(histogram.quantiles(_SHARES), _NANOSECONDS)
    rows = [Row(name="Histogram", series=Series([ours]), unit="%", at_most=_ERROR_PERCENT)]
    if importlib.util.find_spec("ddsketch"):
        sketch = _sketch()
        for seconds in _SECONDS:
            sketch.add(seconds)
        theirs = [sketch.get_quantile_value(share) for share in _SHARES]
        error = _worst_error(theirs, _SECONDS)
        rows.append(Row(name="ddsketch 1 %", series=Series([error]), unit="%"))
    return rows


def _worst_error(found: Sequence[float], values: Sequence[float]) -> float:
    ascending = sorted(values)
    exact = [ascending[ceil(share * len(values)) - 1] for share in _SHARES]
    return max(abs(a - b) / b for a, b in zip(found, exact, strict=True)) * 100


# Events


def _event_rows(rounds: int) -> list[Row]:
    engine = MetricsEngine()
    streams: dict[str, Sequence[Event]] = {
        "ModelCallFinished, streamed": _replies(),
        "CacheLookedUp, miss": _lookups(),
        "ToolFinished, with the loop alarm": _tools(),
    }
    contenders = {name: _each(engine.on_event, events) for name, events in streams.items()}
    found = interleave(contenders, rounds=rounds)
    return [Row(name=name, series=times.cpu, unit="ns", digits=0) for name, times in found.items()]


def _call() -> Call:
    return Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hello"},))


def _replies() -> list[ModelCallFinished]:
    usage = Usage(input_tokens=100, output_tokens=50, cache_read_input_tokens=1000)
    reply = Reply(
        id="msg_1",
        model="claude-haiku-5-5",
        content=(),
        stop_reason="end_turn",
        usage=usage,
        time_to_first_token_ms=300.0,
    )
    call = _call()
    return [
        ModelCallFinished(call=call, reply=reply, duration_ms=300.0 + value * 1000)
        for value in _SECONDS
    ]


def _lookups() -> list[CacheLookedUp]:
    event = CacheLookedUp(call=_call(), tier="lru", outcome="miss", reason="absent")
    return [event] * _COUNT


def _tools() -> list[ToolFinished]:
    result = ToolResult(tool_call_id="t", content="")
    return [
        ToolFinished(
            session_id="session",
            tool_call=ToolCall(id="t", name="read", input={"path": f"file-{n}", "limit": 100}),
            result=result,
            duration_ms=12.0,
        )
        for n in range(_COUNT)
    ]


# Reading


def _read_rows(rounds: int) -> list[Row]:
    clock = VirtualClock()
    engine = MetricsEngine(clock=clock)
    replies = _replies()
    for second in range(3700):
        clock.advance(1.0)
        for event in replies[second % 500 : second % 500 + 20]:
            engine.on_event(event)
    for index, value in enumerate(_SECONDS):
        engine.track_latency(f"operation-{index % 20}", value * 1000)
    reads: dict[str, Callable[[], object]] = {
        "get_summary": engine.get_summary,
        "to_prometheus": engine.to_prometheus,
        "get_realtime_dashboard": engine.get_realtime_dashboard,
        "get_latency_percentiles": lambda: engine.get_latency_percentiles("message"),
        "what readers hold the lock for": engine._copy,  # noqa: SLF001 - nothing public shows it
    }
    found = interleave(
        {name: _timed(read, count=1) for name, read in reads.items()},
        rounds=rounds,
    )
    return [
        Row(name=name, series=times.cpu.per(1000), unit="us", digits=0)
        for name, times in found.items()
    ]


def _each(take: Callable[[Any], object], items: Sequence[Any]) -> Callable[[], tuple[float, float]]:
    def work() -> None:
        for item in items:
            take(item)

    return _timed(work, count=len(items))


def _timed(work: Callable[[], object], *, count: int) -> Callable[[], tuple[float, float]]:
    """Return a contender: the quickest of several goes, in nanoseconds of one operation."""

    def measure() -> tuple[float, float]:
        goes = []
        for _ in range(_REPEATS):
            wall, cpu = perf_counter(), process_time()
            work()
            goes.append((perf_counter() - wall, process_time() - cpu))
        return (
            min(wall for wall, _ in goes) / count * 1e9,
            min(cpu for _, cpu in goes) / count * 1e9,
        )

    return measure


if __name__ == "__main__":
    _main()

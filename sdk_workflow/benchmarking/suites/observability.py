"""What it costs to watch: spans, metrics, exports, log lines, profiles, and all of them in one call."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

from sdk_workflow.benchmarking.operations import Operation, Target, each_of, times
from sdk_workflow.benchmarking.suites.logged import log_entries, open_log
from sdk_workflow.benchmarking.suites.profiled import profiler_entries
from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.core.performance import PerformanceTracer, trace_function
from sdk_workflow.events import ModelCallFinished
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry
    from sdk_workflow.benchmarking.parts import Parts
    from sdk_workflow.benchmarking.suites.logged import Log

__all__ = ["WHOLE_STACK", "open_suite", "whole_stack"]

WHOLE_STACK = "whole stack, one call"
_KEPT_SPANS = 10_000
_EXPORTED_SPANS = 1_000
_LATENCIES = 10_000
_OPERATIONS = 20
_MODEL = "claude-haiku-5-5"
_CALL = Call(model=_MODEL, messages=({"role": "user", "content": "Hello"},), session_id="session-1")
_REPLY = Reply(
    id="msg_1",
    model=_MODEL,
    content=(),
    stop_reason="end_turn",
    usage=Usage(input_tokens=100, output_tokens=50, cache_read_input_tokens=1000),
    time_to_first_token_ms=300.0,
)


@contextmanager
def open_suite(folder: Path, _parts: Parts) -> Iterator[Sequence[Entry]]:
    """Prepare tracers, metrics and, in a folder, a log."""
    with ExitStack() as stack:
        log = open_log(stack, folder)
        yield [
            *_of_tracer(),
            *_of_metrics(),
            *log_entries(log),
            _of_stack(log),
            *profiler_entries(),
        ]


def _of_tracer() -> list[Entry]:
    tracer = PerformanceTracer(max_spans=_KEPT_SPANS)
    disabled = PerformanceTracer(enable_tracing=False)
    exported = PerformanceTracer()
    _spans(exported)(_EXPORTED_SPANS)

    def traced(count: int) -> None:
        with tracer.span("request"):
            for _ in repeat(None, count):
                _traced()

    return [
        Operation(name="span, 3 attributes", repeat=_spans(tracer), goal=Target(1_200)),
        Operation(name="span, disabled", repeat=_spans(disabled), goal=Target(300)),
        Operation(name="trace_function, one call", repeat=traced),
        Operation(
            name="OTLP export, one span",
            repeat=times(exported.export_traces),
            items=_EXPORTED_SPANS,
            goal=Target(13_000),
        ),
    ]


def _spans(tracer: PerformanceTracer) -> Callable[[int], None]:
    def loop(count: int) -> None:
        for _ in repeat(None, count):
            with tracer.span("chat", model=_MODEL, tokens=150, streamed=True):
                pass

    return loop


@trace_function
def _traced() -> None: ...


def _of_metrics() -> list[Entry]:
    dice = random.Random(7)  # noqa: S311 # nosec B311 # a distribution, not a secret
    latencies_ns = [int(dice.lognormvariate(20.0, 1.0)) for _ in range(_LATENCIES)]
    metrics = MetricsEngine()
    events = [_finished(value / 1e6) for value in latencies_ns]
    for index, event in enumerate(events):
        metrics.on_event(event)
        metrics.track_latency(f"operation-{index % _OPERATIONS}", event.duration_ms)
    return [
        Operation(
            name="histogram: observe",
            repeat=each_of(Histogram().observe, latencies_ns),
            goal=Target(500),
        ),
        Operation(name="metrics: a finished call", repeat=each_of(metrics.on_event, events)),
        Operation(
            name=f"Prometheus text, {_OPERATIONS} operations", repeat=times(metrics.to_prometheus)
        ),
    ]


def _finished(duration_ms: float) -> ModelCallFinished:
    return ModelCallFinished(
        session_id="session-1", call=_CALL, reply=_REPLY, duration_ms=duration_ms
    )


def _of_stack(log: Log | None) -> Entry:
    """Return what all instruments together take for one call to the model."""
    name = WHOLE_STACK if log else f"{WHOLE_STACK}, without a log"
    repeat_all = times(whole_stack(log.line if log else None))
    return Operation(name=name, repeat=repeat_all, goal=Target(10_000))


def whole_stack(log_line: Callable[[], object] | None) -> Callable[[], None]:
    """Return what does for one call all that is done to watch it: a span, metrics, a log line."""
    tracer, metrics = PerformanceTracer(max_spans=_KEPT_SPANS), MetricsEngine()

    def watch() -> None:
        with tracer.span("chat", model=_MODEL, max_tokens=1024, streamed=True) as span:
            span.set(input_tokens=100, output_tokens=50, stop_reason="end_turn")
            metrics.on_event(_finished(300.0))
            if log_line is not None:
                log_line()

    return watch

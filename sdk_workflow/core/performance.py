"""The tracer: keeps finished spans in a bounded buffer and writes them out.

It knows nothing of calls, sessions or agents: whoever does work hangs spans under the ambient one
(`trace_span`, `trace_function`), and a tracer only opens the trace that they land in.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from datetime import datetime, timezone
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypedDict

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.ids import new_span_id
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow._internal.tracing import NOOP_SPAN, Span, UnsampledSpan, ambient_of
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from sdk_workflow._internal.tracing import Ambient, NoopSpan
    from sdk_workflow.core.genai_names import Semconv
    from sdk_workflow.protocols import Clock

__all__ = ["Metric", "PerformanceTracer", "SpanSummary", "trace_function"]

NOT_RECORDED = "0" * 16
"""The id of a span that is not recorded: W3C's invalid span id."""

_METRIC_VALUE = "sdk_workflow.metric.value"
_METRIC_UNIT = "sdk_workflow.metric.unit"
_ALL_IDS = 2**64


class Metric(TypedDict):
    """One figure that was recorded inside a span."""

    name: str
    value: float
    unit: str


class SpanSummary(TypedDict):
    """One span; ids are hex, `status` is `running`, `ok` or `error`."""

    name: str
    span_id: str
    trace_id: str
    parent_id: str | None
    status: str
    error: str | None
    started_at: str
    duration_ms: float
    child_count: int
    attributes: dict[str, Any]
    metrics: list[Metric]


class PerformanceTracer:
    """Opens traces, keeps what they record, and exports it.

    Args:
        enable_tracing: False turns every method into one that does nothing.
        max_spans: How many finished spans are kept; the oldest goes first, and is counted.
        sample_ratio: The share of traces to record, decided once at the root of each.
        clock: Says when the trace took place; durations come from the performance counter.
        semconv: The version of the GenAI attribute names that an export writes.

    Raises:
        UsageError: If `max_spans` is below 1 or `sample_ratio` is outside 0..1.

    Example:
        >>> tracer = PerformanceTracer()
        >>> with tracer.span("request", tenant="a") as request:
        ...     with tracer.span("parse"):
        ...         tracer.record_metric("input_size", 12, "By")
        >>> [span.name for span in tracer.finished_spans()]
        ['parse', 'request']
    """

    def __init__(
        self,
        enable_tracing: bool = True,  # noqa: FBT001, FBT002 - promised to be positional
        *,
        max_spans: int = 100_000,
        sample_ratio: float = 1.0,
        clock: Clock | None = None,
        semconv: Semconv = "2026.11",
    ) -> None:
        _check_limits(max_spans, sample_ratio)
        self._is_enabled = enable_tracing
        self._sampled_ids = int(sample_ratio * _ALL_IDS)
        self._semconv: Semconv = semconv
        self._finished: deque[Span] = deque(maxlen=max_spans)
        self._open: dict[str, Span] = {}
        # Counting must not take a lock in the hot path: `next` is atomic, `+= 1` is not.
        self._recorded = itertools.count()
        self._looks = 0
        self._look_lock = threading.Lock()
        self._offset_ns = int((clock or SystemClock()).now() * 1e9) - perf_counter_ns()

    @property
    def dropped_spans(self) -> int:
        """How many finished spans had to make room for newer ones."""
        with self._look_lock:
            recorded = next(self._recorded) - self._looks
            self._looks += 1
        return max(recorded - len(self._finished), 0)

    def record(self, span: Span) -> None:
        """Keep one finished span; a span calls this itself when it ends."""
        self._finished.append(span)
        next(self._recorded)

    def span(
        self, name: str, /, *, parent: str | Span | NoopSpan | None = None, **attributes: Any
    ) -> Span | NoopSpan:
        """Return a span for `with` or `async with`; it is ambient for what runs inside.

        Args:
            name: What is done, such as `"parse"`.
            parent: The span above, or the id of one that `start_span` opened; defaults to the
                innermost running span of this tracer, and else a new trace begins.
            attributes: Facts about the operation.

        Raises:
            UsageError: If `parent` is not a span of this tracer.
        """
        return self._new_span(name, parent, attributes, activate=True)

    def start_span(self, name: str, parent: str | None = None) -> str:
        """Open a span that is never ambient, and return its id: 16 hex digits.

        The id is all zeros where the span is not recorded; it is accepted wherever an id is.

        Args:
            name: What is done.
            parent: The id of the span above; defaults as in `span`.

        Raises:
            UsageError: If `parent` is not a span of this tracer.
        """
        span = self._new_span(name, parent, {}, activate=False)
        if not isinstance(span, Span):
            return NOT_RECORDED
        span_id = f"{span.span_id:016x}"
        self._open[span_id] = span
        return span_id

    def end_span(self, span_id: str, metadata: dict[str, Any] | None = None) -> None:
        """End a span that `start_span` opened; to end it again is harmless.

        Args:
            span_id: What `start_span` returned.
            metadata: Facts about the operation, to be added before it ends.

        Raises:
            UsageError: If this tracer does not know the span.
        """
        if span_id == NOT_RECORDED:
            return
        span = self._open.pop(span_id, None)
        if span is None:
            self._known(span_id)
            return
        span.set(**(metadata or {}))
        span.end()

    def record_metric(self, name: str, value: float, unit: str) -> None:
        """Note a figure: an event of the ambient span, and else a span of its own without length.

        Args:
            name: What was measured.
            value: The figure.
            unit: Its unit, preferably a UCUM code such as `ms` or `By`.
        """
        figure: dict[str, Any] = {_METRIC_VALUE: value, _METRIC_UNIT: unit}
        around = ambient_of(self)
        if around is None:
            self.span(name, **figure).end()
        else:
            around.add_event(name, **figure)

    def finished_spans(self) -> list[Span]:
        """Return the spans that are kept, in the order in which they finished."""
        return list(self._finished.copy())

    def latest_spans(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the spans that finished last as plain rows, the oldest of them first."""
        from sdk_workflow.core.span_rows import latest_of, span_row

        found = latest_of(self._finished, limit)
        return [span_row(span, offset_ns=self._offset_ns) for span in found]

    def get_span_summary(self, span_id: str) -> SpanSummary:
        """Return what is known of a span, running or finished.

        Args:
            span_id: 16 hex digits.

        Raises:
            UsageError: If this tracer does not know the span.
        """
        span = self._known(span_id)
        start_ns = span.start_ns
        status = "running" if not span.is_done else "ok" if span.error is None else "error"
        started = datetime.fromtimestamp((start_ns + self._offset_ns) / 1e9, tz=timezone.utc)
        return {
            "name": span.name,
            "span_id": span_id,
            "trace_id": f"{span.trace_id:032x}",
            "parent_id": f"{span.parent_id:016x}" if span.parent_id else None,
            "status": status,
            "error": span.error,
            "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "duration_ms": ((span.end_ns or perf_counter_ns()) - start_ns) / 1e6,
            "child_count": self._child_count(span),
            "attributes": span.attributes.copy(),
            "metrics": _metrics(span),
        }

    def export_traces(self, format: str = "json") -> str:  # noqa: A002 - the promised name
        """Return the finished spans as text.

        Args:
            format: `json` is one OTLP/JSON document, `jsonl` one per trace and line, `chrome` is
                for Perfetto and chrome://tracing, `speedscope` for speedscope.app.

        Raises:
            UsageError: If `format` is none of these.
        """
        from sdk_workflow.core.trace_export import export_spans

        return export_spans(
            self.finished_spans(),
            format,
            offset_ns=self._offset_ns,
            resource={"sdk_workflow.dropped_spans": self.dropped_spans},
            semconv=self._semconv,
        )

    def _new_span(
        self,
        name: str,
        parent: str | Span | NoopSpan | None,
        attributes: dict[str, Any],
        *,
        activate: bool,
    ) -> Span | NoopSpan:
        if not self._is_enabled:
            return NOOP_SPAN
        above = ambient_of(self) if parent is None else self._resolve(parent)
        if isinstance(above, Span):
            return Span(name, self, above, attributes, activate=activate)
        if above is not None:
            return NOOP_SPAN
        if self._sampled_ids < _ALL_IDS and new_span_id() > self._sampled_ids:
            return UnsampledSpan(self)
        return Span(name, self, None, attributes, activate=activate)

    def _resolve(self, parent: str | Span | NoopSpan) -> Ambient | NoopSpan:
        if isinstance(parent, str):
            return NOOP_SPAN if parent == NOT_RECORDED else self._known(parent)
        if isinstance(parent, Span) and parent.recorder is not self:
            raise UsageError(
                f"The parent {parent.name!r} belongs to another tracer.",
                hint="Open both spans with the same tracer, or leave the parent out.",
            )
        return parent

    def _known(self, span_id: str) -> Span:
        span = self._open.get(span_id)
        if span is not None:
            return span
        for finished in reversed(self._finished.copy()):
            if f"{finished.span_id:016x}" == span_id:
                return finished
        raise UsageError(
            f"No span {span_id!r} is known: it was not recorded here, or had to make room.",
            hint="Pass an id that start_span of this tracer returned, or a larger max_spans.",
        )

    def _child_count(self, span: Span) -> int:
        recorded = (*self._finished.copy(), *self._open.copy().values())
        return sum(other.parent_id == span.span_id for other in recorded)


def _check_limits(max_spans: int, sample_ratio: float) -> None:
    if max_spans < 1:
        raise UsageError(
            f"A tracer cannot keep {max_spans!r} spans.", hint="Pass max_spans of at least 1."
        )
    if not 0 <= sample_ratio <= 1:
        raise UsageError(
            f"{sample_ratio!r} is not a share of traces.",
            hint="Pass a sample_ratio from 0 (no trace) to 1 (every trace).",
        )


def _metrics(span: Span) -> list[Metric]:
    return [
        {"name": name, "value": facts[_METRIC_VALUE], "unit": facts[_METRIC_UNIT]}
        for _, name, facts in span.events or ()
        if _METRIC_VALUE in facts
    ]

"""The tracer: keeps finished spans in a bounded buffer and writes them out.

It knows nothing of calls, sessions or agents: whoever does work hangs spans under the ambient one
(`trace_span`, `trace_function`), and a tracer only opens the trace that they land in.
"""

from __future__ import annotations

import sys
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal, get_args

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.ids import random_bits
from sdk_workflow._internal.trace_context import parse_traceparent
from sdk_workflow._internal.trace_function import bind, trace_function
from sdk_workflow._internal.tracing import NOOP_SPAN, NoopSpan, Span, UnsampledSpan, ambient_of
from sdk_workflow.core.span_buffer import SpanBuffer
from sdk_workflow.core.span_summary import Metric, SpanSummary, metric_facts, span_summary
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow._internal.trace_context import RemoteParent
    from sdk_workflow.core.genai_names import Semconv
    from sdk_workflow.core.otel_bridge import OtelBridge
    from sdk_workflow.core.otlp_http import OtlpSender
    from sdk_workflow.protocols import Clock

__all__ = [
    "Metric",
    "OpenTelemetryMode",
    "PerformanceTracer",
    "SpanSummary",
    "bind",
    "trace_function",
]

OpenTelemetryMode = Literal["off", "export", "bridge"]
"""What happens to spans beside being kept; see `PerformanceTracer`."""

NOT_RECORDED = "0" * 16
"""The id of a span that is not recorded: W3C's invalid span id."""

_ALL_IDS = 2**64
_OTEL_SDK = "opentelemetry.sdk.trace"


class PerformanceTracer:
    """Opens traces, keeps what they record, and exports it.

    Args:
        enable_tracing: False turns every method into one that does nothing.
        max_spans: How many finished spans are kept; the oldest goes first, and is counted.
        max_age_seconds: How long a finished span is kept at most; None for as long as there is
            room.
        sample_ratio: The share of traces to record, decided once at the root of each. A trace with
            a parent elsewhere is recorded where its parent is.
        record_content: Whether prompts, replies, arguments and results of tools are noted too.
        clock: Times the spans. With the machine's own, durations come from the performance counter.
        semconv: The version of the GenAI attribute names that an export writes.
        resource: Facts about the process for the exports, such as `{"service.name": "shop"}`; goes
            before `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
        open_telemetry: "off"; "export" sends every trace as OTLP/JSON over HTTP to the collector
            that the standard `OTEL_EXPORTER_OTLP_*` variables name; "bridge" joins the tracing of
            an application that has registered a provider of the OpenTelemetry SDK, and does
            nothing where none has.

    Raises:
        UsageError: If a number is out of its range, or there is no such mode.
        ConfigError: If the collector's address is none of HTTP.

    Example:
        >>> tracer = PerformanceTracer()
        >>> with tracer.span("request", tenant="a") as request:
        ...     with tracer.span("parse"):
        ...         tracer.record_metric("input_size", 12, "By")
        >>> [span.name for span in tracer.finished_spans()]
        ['parse', 'request']
    """

    def __init__(  # noqa: PLR0913 - all but the first by keyword, and each stands for itself
        self,
        enable_tracing: bool = True,  # noqa: FBT001, FBT002 - promised to be positional
        *,
        max_spans: int = 100_000,
        max_age_seconds: float | None = None,
        sample_ratio: float = 1.0,
        record_content: bool = False,
        clock: Clock | None = None,
        semconv: Semconv = "2026.11",
        resource: Mapping[str, Any] | None = None,
        open_telemetry: OpenTelemetryMode = "off",
    ) -> None:
        _check_options(sample_ratio, open_telemetry)
        clock = clock or SystemClock()
        self.now_ns: Callable[[], int] = _timer(clock)
        self.record_content = record_content
        self._is_enabled = enable_tracing
        self._sampled_ids = int(sample_ratio * _ALL_IDS)
        self._semconv: Semconv = semconv
        self._resource = dict(resource or {})
        self._mode: OpenTelemetryMode = open_telemetry
        self._bridge: OtelBridge | None = None
        self._max_open = max_spans
        self._open: dict[str, Span] = {}
        self._offset_ns = int(clock.now() * 1e9) - self.now_ns()
        self._finished = SpanBuffer(
            max_spans=max_spans, max_age_seconds=max_age_seconds, now_ns=self.now_ns
        )
        self._sender: OtlpSender | None = None
        self.record: Callable[[Span], None] = self._finished.add
        """Keep one finished span; a span calls this itself when it ends."""
        if open_telemetry == "export" and enable_tracing:
            from sdk_workflow.core.otlp_http import OtlpSender

            self._sender = OtlpSender(self._exported, max_spans=max_spans)
            self.record = _both(self._finished.add, self._sender.add)

    @property
    def dropped_spans(self) -> int:
        """How many finished spans had to make room for newer ones."""
        return self._finished.dropped

    @property
    def expired_spans(self) -> int:
        """How many finished spans were let go because they were older than `max_age_seconds`."""
        return self._finished.expired

    @property
    def unsent_spans(self) -> int:
        """How many spans the collector did not get, with `open_telemetry="export"`."""
        return 0 if self._sender is None else self._sender.unsent

    def span(
        self, name: str, /, *, parent: str | Span | NoopSpan | None = None, **attributes: Any
    ) -> Span | NoopSpan:
        """Return a span for `with` or `async with`; it is ambient for what runs inside.

        Args:
            name: What is done, such as `"parse"`.
            parent: The span above, the id of one that `start_span` opened, or the W3C
                `traceparent` of one in another process; defaults to the innermost running span of
                this tracer, and else a new trace begins. A `traceparent` that is not valid begins
                a new trace too, as its specification has it.
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
            parent: The id of the span above, or a `traceparent`; defaults as in `span`. A span
                that is left open is ended when as many as are kept have been opened since.

        Raises:
            UsageError: If `parent` is not a span of this tracer.
        """
        span = self._new_span(name, parent, {}, activate=False)
        if not isinstance(span, Span):
            return NOT_RECORDED
        span_id = f"{span.span_id:016x}"
        self._open[span_id] = span
        if len(self._open) > self._max_open:
            self._give_up_oldest()
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
        figure = metric_facts(value, unit)
        around = ambient_of(self)
        if around is None:
            self.span(name, **figure).end()
        else:
            around.add_event(name, **figure)

    def finished_spans(self) -> list[Span]:
        """Return the spans that are kept, in the order in which they finished."""
        return self._finished.spans()

    def latest_spans(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the spans that finished last as plain rows, the oldest of them first."""
        from sdk_workflow.core.span_rows import span_row

        found = self._finished.latest(limit)
        return [span_row(span, offset_ns=self._offset_ns) for span in found]

    def get_span_summary(self, span_id: str) -> SpanSummary:
        """Return what is known of a span, running or finished.

        Args:
            span_id: 16 hex digits.

        Raises:
            UsageError: If this tracer does not know the span.
        """
        span = self._known(span_id)
        children = self._child_count(span)
        return span_summary(
            span, now_ns=self.now_ns(), offset_ns=self._offset_ns, child_count=children
        )

    def export_traces(self, format: str = "json") -> str:  # noqa: A002 - the promised name
        """Return the finished spans as text.

        Args:
            format: `json` is one OTLP/JSON document, `jsonl` one per trace and line, `chrome` is
                for Perfetto and chrome://tracing, `speedscope` for speedscope.app.

        Raises:
            UsageError: If `format` is none of these.
        """
        return self._exported(self.finished_spans(), format)

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until the collector has every span that has finished; return whether it does.

        Only with `open_telemetry="export"` is there anything to wait for.
        """
        return self._sender is None or self._sender.flush(timeout_seconds)

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
            return above.__class__(name, self, above, attributes, activate=activate)
        if isinstance(above, NoopSpan):
            return NOOP_SPAN
        return self._open_trace(name, above, attributes, activate=activate)

    def _open_trace(
        self, name: str, above: RemoteParent | None, attributes: dict[str, Any], *, activate: bool
    ) -> Span | NoopSpan:
        bridge = self._bridged()
        if above is None and bridge is not None:
            above = bridge.current_parent()
        if not (self._samples() if above is None else above.is_sampled):
            return UnsampledSpan(self)
        if bridge is None:
            return Span(name, self, above, attributes, activate=activate)
        span = bridge.open(name, above, attributes, activate=activate)
        return UnsampledSpan(self) if span is None else span

    def _samples(self) -> bool:
        return self._sampled_ids >= _ALL_IDS or random_bits(64) < self._sampled_ids

    def _bridged(self) -> OtelBridge | None:
        """Return the way to the application's tracing; its library is not loaded on its account."""
        if self._mode != "bridge" or _OTEL_SDK not in sys.modules:
            return None
        if self._bridge is None:
            from sdk_workflow.core.otel_bridge import OtelBridge

            self._bridge = OtelBridge(self, offset_ns=self._offset_ns, semconv=self._semconv)
        return self._bridge if self._bridge.has_provider() else None

    def _exported(self, spans: list[Span], form: str = "json") -> str:
        from sdk_workflow.core.trace_export import export_spans

        return export_spans(
            spans,
            form,
            offset_ns=self._offset_ns,
            resource=self._process_facts(),
            semconv=self._semconv,
        )

    def _process_facts(self) -> dict[str, Any]:
        from sdk_workflow.core.resource import resource_attributes

        dropped = {"sdk_workflow.dropped_spans": self.dropped_spans}
        return {**resource_attributes(self._resource), **dropped}

    def _resolve(self, parent: str | Span | NoopSpan) -> Span | NoopSpan | RemoteParent | None:
        if isinstance(parent, str):
            if "-" in parent:
                return parse_traceparent(parent)
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
        for finished in reversed(self._finished.spans()):
            if f"{finished.span_id:016x}" == span_id:
                return finished
        raise UsageError(
            f"No span {span_id!r} is known: it was not recorded here, or had to make room.",
            hint="Pass an id that start_span of this tracer returned, or a larger max_spans.",
        )

    def _give_up_oldest(self) -> None:
        """End the span that has been open longest, so that what nobody ends cannot fill memory."""
        span = self._open.pop(next(iter(self._open)))
        span.fail("never_ended")
        span.end()

    def _child_count(self, span: Span) -> int:
        recorded = (*self._finished.spans(), *self._open.copy().values())
        return sum(other.parent_id == span.span_id for other in recorded)


def _check_options(sample_ratio: float, open_telemetry: str) -> None:
    if not 0 <= sample_ratio <= 1:
        raise UsageError(
            f"{sample_ratio!r} is not a share of traces.",
            hint="Pass a sample_ratio from 0 (no trace) to 1 (every trace).",
        )
    modes = get_args(OpenTelemetryMode)
    if open_telemetry not in modes:
        raise UsageError(
            f"There is no mode {open_telemetry!r} of open_telemetry.",
            hint=f"Choose one of {', '.join(modes)}.",
        )


def _both(first: Callable[[Span], None], second: Callable[[Span], None]) -> Callable[[Span], None]:
    def record(span: Span) -> None:
        first(span)
        second(span)

    return record


def _timer(clock: Clock) -> Callable[[], int]:
    """Return what times the spans: nanoseconds above 0, because 0 is the end of a running span."""
    if type(clock) is SystemClock:
        return perf_counter_ns
    return lambda: max(round(clock.monotonic() * 1e9), 1)

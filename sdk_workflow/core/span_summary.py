"""One span as plain values, for people and for JSON; and figures as events of a span."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from sdk_workflow._internal.tracing import Span

__all__ = ["Metric", "SpanSummary", "metric_facts", "span_summary"]

_METRIC_VALUE = "sdk_workflow.metric.value"
_METRIC_UNIT = "sdk_workflow.metric.unit"


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


def metric_facts(value: float, unit: str) -> dict[str, Any]:
    """Return the attributes of an event that is a figure.

    Example:
        >>> metric_facts(12, "By")
        {'sdk_workflow.metric.value': 12, 'sdk_workflow.metric.unit': 'By'}
    """
    return {_METRIC_VALUE: value, _METRIC_UNIT: unit}


def span_summary(span: Span, *, now_ns: int, offset_ns: int, child_count: int) -> SpanSummary:
    """Return what is known of a span, running or finished.

    Args:
        span: The span.
        now_ns: The time on the span's own clock; a running one has lasted until then.
        offset_ns: Nanoseconds from that clock to the Unix epoch.
        child_count: How many spans hang directly under it.
    """
    status = "running" if not span.is_done else "ok" if span.error is None else "error"
    started = datetime.fromtimestamp((span.start_ns + offset_ns) / 1e9, tz=timezone.utc)
    return {
        "name": span.name,
        "span_id": f"{span.span_id:016x}",
        "trace_id": f"{span.trace_id:032x}",
        "parent_id": f"{span.parent_id:016x}" if span.parent_id else None,
        "status": status,
        "error": span.error,
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration_ms": ((span.end_ns or now_ns) - span.start_ns) / 1e6,
        "child_count": child_count,
        "attributes": span.attributes.copy(),
        "metrics": _metrics(span),
    }


def _metrics(span: Span) -> list[Metric]:
    return [
        {"name": name, "value": facts[_METRIC_VALUE], "unit": facts[_METRIC_UNIT]}
        for _, name, facts in span.events or ()
        if _METRIC_VALUE in facts
    ]

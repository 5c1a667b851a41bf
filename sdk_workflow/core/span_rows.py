"""A finished span as a plain row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_text
from sdk_workflow._internal.redaction import redact_text

if TYPE_CHECKING:
    from sdk_workflow._internal.tracing import Span

__all__ = ["span_row"]

_MAX_CHARACTERS = 120


def span_row(span: Span, *, offset_ns: int) -> dict[str, Any]:
    """Return a finished span as plain values.

    Args:
        span: The span.
        offset_ns: What makes its times nanoseconds since the Unix epoch.
    """
    return {
        "name": span.name[:_MAX_CHARACTERS],
        "started_at": utc_text((span.start_ns + offset_ns) / 1e9),
        "duration_ms": round((span.end_ns - span.start_ns) / 1e6, 3),
        "status": "ok" if span.error is None else "error",
        "error": None if span.error is None else redact_text(span.error)[:_MAX_CHARACTERS],
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
    }

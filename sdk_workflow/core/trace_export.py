"""The formats in which a tracer writes its spans; each is a pure function of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.chrome_trace import chrome_trace
from sdk_workflow.core.otlp import traces_text
from sdk_workflow.core.span_privacy import without_secrets
from sdk_workflow.core.speedscope import spans_document
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow._internal.tracing import Span
    from sdk_workflow.core.genai_names import Semconv

__all__ = ["FORMATS", "export_spans"]

FORMATS = ("json", "jsonl", "chrome", "speedscope")


def export_spans(
    spans: Sequence[Span],
    format_name: str,
    *,
    offset_ns: int,
    resource: Mapping[str, Any],
    semconv: Semconv,
) -> str:
    """Return spans as text, without secrets.

    Args:
        spans: Finished spans, in the order in which they finished.
        format_name: One of `FORMATS`.
        offset_ns: Nanoseconds from the performance counter to the Unix epoch.
        resource: Facts about the process.
        semconv: The version of the GenAI names that OTLP is written with.

    Raises:
        UsageError: If there is no such format.
    """
    spans = without_secrets(spans)
    if format_name == "chrome":
        return _dumps(chrome_trace(spans, offset_ns=offset_ns, resource=resource))
    if format_name == "speedscope":
        return _dumps(spans_document(spans))
    if format_name not in FORMATS:
        raise UsageError(
            f"Traces cannot be exported as {format_name!r}: there is no such format.",
            hint=f"Choose one of {', '.join(FORMATS)}.",
        )
    parts = [spans] if format_name == "json" else _by_trace(spans)
    documents = [
        traces_text(part, offset_ns=offset_ns, resource=resource, semconv=semconv) for part in parts
    ]
    return documents[0] if format_name == "json" else "".join(f"{line}\n" for line in documents)


def _by_trace(spans: Sequence[Span]) -> list[Sequence[Span]]:
    traces: dict[int, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return list(traces.values())


def _dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)

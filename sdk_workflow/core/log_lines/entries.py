"""What every entry says beside its message: when, where, and which span, session and request.

Schema of a line, in this order; what is unknown is left out:
ts, level, logger, message, trace_id, span_id, session_id, correlation_id, context, error, stack.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.redaction import Redactor
from sdk_workflow._internal.tracing import ambient_span, current_span
from sdk_workflow.core.genai_names import NAMES
from sdk_workflow.core.log_lines.values import ValueCleaner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow._internal.tracing import Ambient, Span

__all__ = ["add_ids", "correlation_id", "set_correlation_id", "span_ids"]

_redactor = Redactor()
_SESSION = NAMES["conversation_id"]
_correlation: ContextVar[str | None] = ContextVar("sdk_workflow_correlation", default=None)
_correlated = _correlation.get
# Entries of one span tend to follow one another: 1.4 us -> 0.1 us.
_latest: tuple[Span | None, Mapping[str, str]] = (None, {})


def set_correlation_id(value: str | None) -> None:
    """Let all further entries of the running task or thread carry an id; None for no id."""
    _correlation.set(value)


def add_ids(entry: dict[str, Any]) -> None:
    """Add to an entry the ids that are known where it is made."""
    if ambient_span() is not None:
        entry.update(span_ids())
    correlated = _correlated()
    if correlated is not None:
        entry["correlation_id"] = correlated


def correlation_id() -> str | None:
    """Return the id that the entries of the running task or thread carry."""
    return _correlation.get()


def span_ids() -> Mapping[str, str]:
    """Return `trace_id`, `span_id` and `session_id` of the ambient span, as far as there are any."""
    global _latest  # noqa: PLW0603 - one pair, replaced whole
    span = current_span()
    if span is None:
        return {}
    known, ids = _latest
    if known is span:
        return ids
    found = {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    session_id = _session_id(span)
    if session_id is not None:
        found["session_id"] = session_id
    _latest = (span, found)
    return found


def _session_id(span: Ambient) -> str | None:
    while span is not None:
        attributes = getattr(span, "attributes", None)
        if attributes and _SESSION in attributes:
            return ValueCleaner(_redactor).id(attributes[_SESSION])
        span = span.outer
    return None

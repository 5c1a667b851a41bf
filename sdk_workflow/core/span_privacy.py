"""Takes secrets out of spans before they are written, in whatever format."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.redaction import Redactor
from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow._internal.tracing import Span, SpanEvent

__all__ = ["without_secrets"]

_AS_IT_IS = frozenset({int, float, bool, type(None)})
_LONGEST_NUMBER = 10**12  # a longer one may be a card's
_redactor = Redactor()


def without_secrets(spans: Sequence[Span]) -> list[Span]:
    """Return the spans, and in place of each that may hold a secret a copy that does not.

    Example:
        >>> from sdk_workflow.core.performance import PerformanceTracer
        >>> tracer = PerformanceTracer()
        >>> tracer.span("ask", api_key="any", model="opus").end()
        >>> without_secrets(tracer.finished_spans())[0].attributes
        {'api_key': '[redacted]', 'model': 'opus'}
    """
    return [span if _is_clean(span) else _cleaned(span) for span in spans]


def _is_clean(span: Span) -> bool:
    if _redactor.suspects(str(span.name)) or (span.error and _redactor.suspects(str(span.error))):
        return False
    return _are_clean(span.attributes) and all(
        not _redactor.suspects(str(name)) and _are_clean(facts)
        for _, name, facts in span.events or ()
    )


def _are_clean(facts: Mapping[str, Any]) -> bool:
    for name, value in facts.copy().items() if isinstance(facts, dict) else facts.items():
        kind = type(value)
        if kind is str:
            if _redactor.suspects(value):
                return False
        elif kind not in _AS_IT_IS or (kind is int and abs(value) >= _LONGEST_NUMBER):
            return False
        if type(name) is not str or not _redactor.allows_name(name):
            return False
    return True


def _cleaned(span: Span) -> Span:
    cleaned = copy.copy(span)
    cleaned.name = _redactor.text(plain(span.name))
    cleaned.attributes = _redactor.value(plain(span.attributes.copy()))
    cleaned.error = None if span.error is None else _redactor.text(plain(span.error))
    if span.events:
        cleaned.events = [_event(event) for event in span.events]
    return cleaned


def _event(event: SpanEvent) -> SpanEvent:
    at_ns, name, facts = event
    return at_ns, _redactor.text(plain(name)), _redactor.value(plain(facts))

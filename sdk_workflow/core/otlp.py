"""Spans as OTLP/JSON: the file format that collectors and trace viewers load unchanged.

Ids are lower-case hex, 64-bit integers are decimal strings, enums are integers. Everything that
the hot path leaves out happens here: wall-clock time, hex, names of older conventions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_context import RemoteId
from sdk_workflow._internal.version import __version__
from sdk_workflow.core.genai_names import is_client_operation, renamed
from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sdk_workflow._internal.tracing import Span, SpanEvent
    from sdk_workflow.core.genai_names import Semconv

__all__ = ["exported_attributes", "key_values", "span_message", "traces_data", "traces_text"]

_SCOPE = "sdk_workflow"
_KIND_INTERNAL = 1
_KIND_CLIENT = 3
_STATUS_UNSET = 0
_STATUS_ERROR = 2
# Whether it is sampled (1), whether it is known if the parent is remote (0x100), and if so (0x200).
_FLAGS = 0x101
_FLAGS_REMOTE = 0x301
_INT64_LIMIT = 2**63
_NO_SPANS = '"spans":[]'
_ERROR_TYPE = "error.type"
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def traces_data(
    spans: Iterable[Span],
    *,
    offset_ns: int,
    resource: Mapping[str, Any],
    semconv: Semconv = "2026.11",
) -> dict[str, Any]:
    """Return one OTLP `TracesData` message.

    Args:
        spans: Finished spans.
        offset_ns: Nanoseconds from the spans' clock to the Unix epoch.
        resource: Facts about the process, its `service.name` among them.
        semconv: The version of the GenAI names to write.
    """
    scope = {"name": _SCOPE, "version": __version__}
    messages = [span_message(span, offset_ns, semconv) for span in spans]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(resource)},
                "scopeSpans": [{"scope": scope, "spans": messages}],
            }
        ]
    }


def traces_text(
    spans: Iterable[Span],
    *,
    offset_ns: int,
    resource: Mapping[str, Any],
    semconv: Semconv = "2026.11",
) -> str:
    """Return `traces_data` as JSON.

    Each span is encoded by itself, so that its message is free again before the next one is made:
    a list of 20,000 costs the garbage collector as much as all the rest.
    """
    frame = _encode(traces_data((), offset_ns=offset_ns, resource=resource))
    head, tail = frame.rsplit(_NO_SPANS, 1)
    texts = [_encode(span_message(span, offset_ns, semconv)) for span in spans]
    return f'{head}"spans":[{",".join(texts)}]{tail}'


def span_message(span: Span, offset_ns: int, semconv: Semconv = "2026.11") -> dict[str, Any]:
    """Return one span as OTLP/JSON; `parentSpanId` is absent at the root of a trace."""
    message: dict[str, Any] = {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        "flags": _FLAGS,
        "name": plain(span.name),
        "kind": _KIND_CLIENT if is_client_operation(span.attributes) else _KIND_INTERNAL,
        "startTimeUnixNano": str(span.start_ns + offset_ns),
        "endTimeUnixNano": str(span.end_ns + offset_ns),
        "attributes": key_values(exported_attributes(span, semconv)),
        "status": {"code": _STATUS_UNSET},
    }
    if span.parent_id:
        message["parentSpanId"] = f"{span.parent_id:016x}"
        if isinstance(span.parent_id, RemoteId):
            message["flags"] = _FLAGS_REMOTE
    if span.events:
        message["events"] = [_event_message(event, offset_ns) for event in span.events]
    if span.error is not None:
        message["status"] = {"code": _STATUS_ERROR, "message": plain(span.error)}
    return message


def exported_attributes(span: Span, semconv: Semconv) -> Mapping[str, Any]:
    """Return a span's attributes under the names of a version, with the type of its error."""
    attributes = renamed(span.attributes.copy(), semconv)
    if span.error is None:
        return attributes
    return {**attributes, _ERROR_TYPE: plain(span.error).partition(":")[0]}


def key_values(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP key-value pairs; those whose value is None are left out.

    Example:
        >>> key_values({"ok": True, "tokens": 130, "none": None})
        [{'key': 'ok', 'value': {'boolValue': True}}, {'key': 'tokens', 'value': {'intValue': '130'}}]
    """
    return [
        {"key": str(plain(name)), "value": _value(value)}
        for name, value in attributes.items()
        if value is not None
    ]


def _value(value: Any) -> dict[str, Any]:
    # The three that nearly all values are, before the general way: 9 -> 7 us a span.
    kind = type(value)
    if kind is str and value.isascii():
        return {"stringValue": value}
    if kind is bool:
        return {"boolValue": value}
    if kind is int and -_INT64_LIMIT <= value < _INT64_LIMIT:
        return {"intValue": str(value)}
    return _any_value(plain(value))


def _event_message(event: SpanEvent, offset_ns: int) -> dict[str, Any]:
    at_ns, name, attributes = event
    return {
        "timeUnixNano": str(at_ns + offset_ns),
        "name": plain(name),
        "attributes": key_values(attributes),
    }


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):  # before int, of which it is a subclass
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": key_values(value)}}
    # A None among the items is the empty value; at the top level None never gets here.
    items = [{} if item is None else _any_value(item) for item in value]
    return {"arrayValue": {"values": items}}

"""Turns one answer of the engine into steps, at its pace and with what goes wrong on its way.

It knows no clock and no socket, and does not decide which fault strikes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.sse import encode_event
from sdk_workflow.simulator.steps import Answer, Head, Raw, Reset, Send, Stall, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdk_workflow.simulator.engine_response import EngineResponse
    from sdk_workflow.simulator.faults import Fault
    from sdk_workflow.simulator.physics import Tempo
    from sdk_workflow.simulator.steps import Step, Steps

__all__ = ["early_steps", "encode_body", "plain_steps", "stream_steps", "unwatched_steps"]

_SLOW_HEADERS_SECONDS = 5.0
_BREAKS: dict[str, Step] = {"stall": Stall(), "reset": Reset()}


def encode_body(body: Mapping[str, Any] | bytes) -> bytes:
    """Return the body of an answer as bytes."""
    if isinstance(body, bytes):
        return body
    # A model may be made to say half a surrogate pair; the wire cannot carry it.
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def early_steps(fault: Fault | None) -> Iterator[Step]:
    """Yield what happens before the answer begins; a `Stall` or `Reset` is all there is."""
    if fault is None:
        return
    if fault.kind == "slow_headers":
        yield Wait(_SLOW_HEADERS_SECONDS if fault.seconds is None else fault.seconds)
    elif fault.before_headers and fault.kind in _BREAKS:
        yield _BREAKS[fault.kind]


def plain_steps(answer: Answer, fault: Fault | None) -> Iterator[Step]:
    """Yield an answer that is not streamed."""
    if fault is None or fault.kind == "slow_headers":
        yield answer
        return
    whole = encode_body(answer.body)
    if fault.kind in {"malformed_event", "malformed_body"}:
        yield Answer(answer.status, answer.headers, _broken(whole))
        return
    size = len(whole) // 2 if fault.after_bytes is None else min(fault.after_bytes, len(whole) - 1)
    if fault.kind == "truncate":
        yield Answer(answer.status, answer.headers, whole[:size])
        return
    yield Head(answer.status, {**answer.headers, "content-length": str(len(whole))})
    yield Raw(whole[:size])
    yield _BREAKS[fault.kind]


def unwatched_steps(response: EngineResponse) -> Steps:
    """Yield an answer as it is: no fault, no pace, nobody who looks on."""
    if response.events is None:
        response.begin()
        yield Answer(response.status, response.headers, response.body)
        return
    yield Head(response.status, response.headers)
    yield from stream_steps(response.events, None, None)


def stream_steps(
    events: Iterator[dict[str, Any]], fault: Fault | None, tempo: Tempo | None
) -> Iterator[Step]:
    """Yield the events of a stream.

    A fault whose moment never comes strikes before the last event, so that each one strikes.
    """
    items = events if tempo is None else tempo.paced(events)
    if fault is None or fault.kind == "slow_headers":
        for item in items:
            yield item if isinstance(item, Wait) else Send(item)
        return
    sent = size = 0
    is_over = False
    for item in items:
        if isinstance(item, Wait):
            yield item
            continue
        encoded = encode_event(item)
        if not is_over and _strikes(fault, item, sent, size + len(encoded)):
            is_over = True
            yield from _strike(fault, encoded, size)
            if fault.kind not in {"malformed_event", "malformed_body"}:
                return
            continue
        yield Send(item)
        sent += 1
        size += len(encoded)


def _strikes(fault: Fault, event: Mapping[str, Any], sent: int, size_with_it: int) -> bool:
    if event["type"] == "message_stop" or fault.kind == "malformed_body":
        return True
    if fault.after_bytes is not None:
        return size_with_it > fault.after_bytes
    return sent >= fault.after_events


def _strike(fault: Fault, encoded: bytes, size: int) -> Iterator[Step]:
    """Yield what happens in place of an event that would begin at byte `size`."""
    if fault.kind in {"malformed_event", "malformed_body"}:
        yield Raw(_broken_event(encoded))
        return
    if fault.kind == "error_event":
        yield Send({"type": "error", "error": fault.error().envelope()["error"]})
        return
    if fault.after_bytes is not None and fault.after_bytes > size:
        yield Raw(encoded[: min(fault.after_bytes - size, len(encoded) - 1)])
    if fault.kind in _BREAKS:
        yield _BREAKS[fault.kind]


def _broken(whole: bytes) -> bytes:
    """Return JSON that no parser takes, however short it is."""
    return whole[: len(whole) // 2] + b'\x00{"'


def _broken_event(encoded: bytes) -> bytes:
    head, _, data = encoded.partition(b"\ndata: ")
    return head + b"\ndata: " + data[: len(data) // 2].replace(b"\n", b"") + b"\n\n"

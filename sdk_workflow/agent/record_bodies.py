"""What a journal's records hold of replies and tool results, as plain JSON and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.types import Reply, ToolRecord, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.types import ToolCall

__all__ = ["RecordedResult", "reply_body", "reply_of", "result_body", "result_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResult:
    """The result of a tool call, and how long the call took."""

    result: ToolResult
    duration_ms: float

    def record_of(self, call: ToolCall) -> ToolRecord:
        """Return what a run's result says of the call."""
        return ToolRecord(
            id=call.id,
            name=call.name,
            input=call.input,
            is_error=self.result.is_error,
            error_code=self.result.error_code,
            duration_ms=self.duration_ms,
        )


def reply_body(reply: Reply) -> dict[str, Any]:
    """Return what is kept of a reply: what the model said, who it was and what it was billed."""
    return {
        "id": reply.id,
        "model": reply.model,
        "content": list(reply.content),
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "usage": reply.usage.to_api(),
        "served_by": reply.served_by,
        "request_id": reply.request_id,
    }


def reply_of(body: Mapping[str, Any]) -> Reply:
    """Return the reply of a body."""
    return Reply.from_api(body, served_by=body["served_by"], request_id=body["request_id"])


def result_body(result: ToolResult, duration_ms: float) -> dict[str, Any]:
    """Return what is kept of a tool's result."""
    body = dataclasses.asdict(result)
    del body["tool_call_id"]  # the key of the record
    return {**body, "duration_ms": duration_ms}


def result_of(tool_call_id: str, body: Mapping[str, Any]) -> RecordedResult:
    """Return the result of a body."""
    return RecordedResult(
        result=ToolResult(
            tool_call_id=tool_call_id,
            content=body["content"],
            is_error=body["is_error"],
            error_code=body["error_code"],
        ),
        duration_ms=body["duration_ms"],
    )

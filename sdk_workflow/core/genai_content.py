"""Prompts, replies and tool calls as the GenAI conventions write them; only where asked for.

They are JSON in the shape of the published schemas (`gen_ai.input.messages` and its siblings), as
text: what collectors store. Whether anything of this is recorded is the tracer's `record_content`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.genai_names import NAMES
from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.types import Call, Message, Reply, ToolCall, ToolResult

__all__ = ["call_content", "reply_content", "tool_input_content", "tool_result_content"]

# https://github.com/open-telemetry/semantic-conventions-genai, the schemas of messages
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def call_content(call: Call) -> dict[str, Any]:
    """Return what a call asks: its messages, system prompt and tool definitions.

    Example:
        >>> from sdk_workflow.types import Call
        >>> question = {"role": "user", "content": "Hi"}
        >>> call_content(Call(model="m", messages=(question,)))["gen_ai.input.messages"]
        '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'
    """
    return _present(
        input_messages=[_message(message) for message in call.messages],
        system_instructions=_parts(call.system or ()),
        tool_definitions=[_tool(tool) for tool in call.tools],
    )


def reply_content(reply: Reply) -> dict[str, Any]:
    """Return what a reply says, as one message."""
    reason = reply.stop_reason or ""
    message = {
        "role": "assistant",
        "parts": _parts(reply.content),
        "finish_reason": _FINISH_REASONS.get(reason, reason),
    }
    return _present(output_messages=[message])


def tool_input_content(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a tool call."""
    return {NAMES["tool_call_arguments"]: _json(dict(call.input))}


def tool_result_content(result: ToolResult) -> dict[str, Any]:
    """Return what a tool has answered."""
    return {NAMES["tool_call_result"]: result.content}


def _message(message: Message) -> dict[str, Any]:
    return {"role": message["role"], "parts": _parts(message["content"])}


def _parts(content: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(block) for block in content]


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "content": block.get("text")}
    if kind == "thinking":
        return {"type": "reasoning", "content": block.get("thinking")}
    if kind == "tool_use":
        facts = {"id": block.get("id"), "name": block.get("name")}
        return {"type": "tool_call", **facts, "arguments": block.get("input")}
    if kind == "tool_result":
        facts = {"id": block.get("tool_use_id"), "response": block.get("content")}
        return {"type": "tool_call_response", **facts}
    return {**block}  # a part of a kind that the schema leaves open


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"type": "function", "name": tool.get("name"), "description": tool.get("description")}
    return {**facts, "parameters": tool.get("input_schema")}


def _present(**contents: list[Any]) -> dict[str, Any]:
    return {NAMES[key]: _json(content) for key, content in contents.items() if content}


def _json(value: Any) -> str:
    return json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False)

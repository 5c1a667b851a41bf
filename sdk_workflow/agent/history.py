"""What makes a history one that the API accepts: each `tool_use` is followed by its `tool_result`.

Pure functions over messages; they know no session and no journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.types import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.types import Block, Message, Reply, ToolCall

__all__ = [
    "UNKNOWN_OUTCOME",
    "append_answer",
    "append_tool_turn",
    "asks_for_tools",
    "failed_results",
    "paired",
]

UNKNOWN_OUTCOME = "The run was interrupted; whether this tool ran is unknown."
"""What the model is told of a call whose result was lost."""


def asks_for_tools(reply: Reply) -> bool:
    """Return whether the reply waits for the results of tools."""
    return reply.stop_reason == "tool_use" and bool(reply.tool_calls)


def append_answer(history: list[Message], reply: Reply) -> None:
    """Append a reply that asks for no tools."""
    # Without tool calls that nobody will answer: the API refuses a history that holds one.
    _append(
        history, "assistant", [block for block in reply.content if block.get("type") != "tool_use"]
    )


def append_tool_turn(history: list[Message], reply: Reply, results: Sequence[ToolResult]) -> None:
    """Append a reply together with the results of its tools, in the order of its calls."""
    _append(history, "assistant", reply.content)
    _append(history, "user", [result.to_block() for result in results])


def failed_results(
    calls: Sequence[ToolCall], text: str, *, known: Mapping[str, ToolResult] | None = None
) -> list[ToolResult]:
    """Return a result for each call: the known one, or an error with the given text."""
    found = known or {}
    return [
        found.get(call.id) or ToolResult(tool_call_id=call.id, content=text, is_error=True)
        for call in calls
    ]


def _append(history: list[Message], role: str, content: Sequence[Any]) -> None:
    if content:
        history.append({"role": role, "content": list(content)})


def paired(history: Sequence[Message]) -> Sequence[Message]:
    """Return a history in which each tool call is answered right behind it, once, and nothing else.

    A missing result becomes an error that says so; a result that answers no call is left out. A
    memory that forgets messages, or another program that wrote the history, may have torn them
    apart. What is whole already is returned as it is.

    Example:
        >>> call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
        >>> [message["role"] for message in paired([{"role": "assistant", "content": [call]}])]
        ['assistant', 'user']
    """
    if _is_paired(history):
        return history
    whole: list[Message] = []
    open_ids: list[str] = []
    for message in history:
        blocks = _blocks(message)
        if message.get("role") == "user":
            repaired = [*_answers(open_ids, blocks), *_without_results(blocks)]
        else:
            if open_ids:
                whole.append({"role": "user", "content": _answers(open_ids, [])})
            repaired = _without_results(blocks)
        if repaired:
            whole.append(message if repaired == blocks else {**message, "content": repaired})
        open_ids = _wanted(message)
    if open_ids:
        whole.append({"role": "user", "content": _answers(open_ids, [])})
    return whole


def _is_paired(history: Sequence[Message]) -> bool:
    """Return whether every message answers exactly the calls of the one before, and does so first."""
    open_ids: list[str] = []
    for message in history:
        blocks = message.get("content")
        # By far most messages hold neither calls nor results: 0.3 us each.
        kinds = [] if isinstance(blocks, str) else [block.get("type") for block in blocks or ()]
        if (open_ids or "tool_result" in kinds) and not _is_answer(message, kinds, open_ids):
            return False
        open_ids = _wanted(message) if "tool_use" in kinds else []
    return not open_ids


def _is_answer(message: Message, kinds: Sequence[Any], ids: Sequence[str]) -> bool:
    count = len(ids)
    if message.get("role") != "user" or kinds.count("tool_result") != count:
        return False
    return [block.get("tool_use_id") for block in _blocks(message)[:count]] == list(ids)


def _answers(ids: Sequence[str], blocks: Sequence[Block]) -> list[Block]:
    """Return the results of these calls, found among the blocks or made up."""
    found = {block.get("tool_use_id"): block for block in reversed(blocks) if _is_result(block)}
    lost = ToolResult(tool_call_id="", content=UNKNOWN_OUTCOME, is_error=True).to_block()
    return [found.get(name) or {**lost, "tool_use_id": name} for name in ids]


def _wanted(message: Message) -> list[str]:
    """Return the ids of the calls that wait for an answer, each once."""
    if message.get("role") != "assistant":
        return []
    calls = (block for block in _blocks(message) if block.get("type") == "tool_use")
    return list(dict.fromkeys(block["id"] for block in calls))


def _without_results(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if not _is_result(block)]


def _is_result(block: Block) -> bool:
    return block.get("type") == "tool_result"


def _blocks(message: Message) -> list[Block]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content or ())

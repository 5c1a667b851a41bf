"""Takes a finished reply apart into the events of the API's stream: the inverse of `ReplyBuilder`.

    build(reply_events(reply)) == reply

It holds for every reply that the builder can make; facts that no stream carries (who served it,
headers, times) are given to the builder again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.types import Block, Reply, StreamEvent

__all__ = ["reply_events"]

# Blocks whose text comes in deltas; of any other block only the input of a tool does.
_TEXT_DELTAS = {"text": "text_delta", "thinking": "thinking_delta"}


def reply_events(
    reply: Reply, *, characters_per_delta: int = 256, stop_details: Any = None
) -> Iterator[StreamEvent]:
    """Yield the events as which the API could have streamed a reply.

    Args:
        reply: The finished reply.
        characters_per_delta: How much text one delta carries at the most.
        stop_details: What the API said about the stop reason.

    Example:
        >>> from sdk_workflow.types import Reply, Usage
        >>> block = {"type": "text", "text": "Hello"}
        >>> reply = Reply(id="msg_1", model="m", content=(block,), stop_reason="end_turn", usage=Usage())
        >>> [event["type"] for event in reply_events(reply)][1:4]
        ['content_block_start', 'content_block_delta', 'content_block_stop']
    """
    usage = reply.usage.to_api()
    message: dict[str, Any] = {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": min(1, reply.usage.output_tokens)},
    }
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(reply.content):
        opened, deltas = _opened(block, characters_per_delta)
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {
            "stop_reason": reply.stop_reason,
            "stop_sequence": reply.stop_sequence,
            "stop_details": stop_details,
        },
        "usage": {"output_tokens": reply.usage.output_tokens},
    }
    yield {"type": "message_stop"}


def _opened(block: Block, size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it is opened, and the deltas that fill it."""
    kind = str(block.get("type"))
    opened, deltas = dict(block), list[dict[str, Any]]()
    name = kind if kind in _TEXT_DELTAS else ""
    if isinstance(opened.get(name), str):
        deltas += [
            {"type": _TEXT_DELTAS[kind], name: piece} for piece in _pieces(opened[name], size)
        ]
        opened[name] = ""
    if kind == "thinking" and opened.get("signature"):
        deltas.append({"type": "signature_delta", "signature": opened["signature"]})
        opened["signature"] = ""
    if kind == "text" and opened.get("citations"):
        deltas += [{"type": "citations_delta", "citation": each} for each in opened["citations"]]
        opened["citations"] = []
    if opened.get("input"):
        text = json.dumps(opened["input"], ensure_ascii=False)
        deltas += [
            {"type": "input_json_delta", "partial_json": piece} for piece in _pieces(text, size)
        ]
        opened["input"] = {}
    return opened, deltas


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]

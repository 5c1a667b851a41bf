"""Reads a call the way the API renders it: tools, system, messages, and the breakpoints in them.

It knows where a breakpoint may stand, and nothing of what one is worth.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sdk_workflow.types import Block, Call, Message

__all__ = [
    "LOOKBACK",
    "MARK",
    "MAX_BREAKPOINTS",
    "Mark",
    "Place",
    "Tier",
    "Ttl",
    "TurnKind",
    "automatic_ttl",
    "bare",
    "blocks_after",
    "can_hold_mark",
    "explicit_marks",
    "fingerprint",
    "is_markable",
    "last_markable",
    "message_at",
    "next_markable",
    "opening_text",
    "prefix_end",
    "system_end",
    "tool_place",
    "tools_end",
    "turn_kind",
]

MARK = "cache_control"
MAX_BREAKPOINTS = 4
LOOKBACK = 20
"""How many blocks a breakpoint walks back to an entry that an earlier request wrote."""

Ttl = Literal["5m", "1h"]
TurnKind = Literal["opening", "user", "tool"]

_HOLDERS = ("content", "source")
_UNMARKABLE = frozenset({"thinking", "redacted_thinking"})
# The last version of the format whose bytes depend on the values alone, not on shared references.
_MARSHAL_VERSION = 2


class Tier:
    """The tiers of a prompt, in the order in which they are rendered."""

    TOOLS = 0
    SYSTEM = 1
    MESSAGES = 2


class Prompt(Protocol):
    """Whatever begins with tools and a system prompt."""

    @property
    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """The tools, in their order."""
        ...

    @property
    def system(self) -> str | tuple[Block, ...] | None:
        """The system prompt."""
        ...


class Place(NamedTuple):
    """A block of the prompt; places compare in the order in which the prompt is rendered."""

    tier: int
    item: int
    block: int = 0


class Mark(NamedTuple):
    """An explicit breakpoint."""

    place: Place
    ttl: Ttl


def fingerprint(value: Any) -> bytes:
    """Return bytes that are equal for equal JSON values with their keys in the same order.

    Ten tools take 4 microseconds; as JSON text they would take 60.
    """
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:  # a mapping that is no dictionary
        return json.dumps(value, default=_plain).encode()


def explicit_marks(call: Call) -> list[Mark]:
    """Return the breakpoints that stand on blocks, in the order in which they are rendered."""
    marks = _marks_in_front(call)
    # Nearly every block is passed over: in one expression, 59 messages take 8 microseconds.
    suspects = [
        (Place(Tier.MESSAGES, index, number), block)
        for index, message in enumerate(call.messages)
        if (content := message["content"]).__class__ is not str
        for number, block in enumerate(content)
        if MARK in block
        or (
            (inner := block.get("content") or block.get("source")) is not None
            and inner.__class__ is not str
        )
    ]
    for place, block in suspects:
        marks += [Mark(place, _ttl(marker)) for marker in _markers_in(block)]
    return marks


def automatic_ttl(call: Call) -> Ttl | None:
    """Return the lifetime of the call's top-level `cache_control`; None where there is none."""
    marker = call.parameters.get(MARK)
    return None if marker is None else _ttl(marker)


def tools_end(tools: Sequence[Mapping[str, Any]]) -> Place | None:
    """Return the last tool that belongs to the tools' own tier."""
    for index in range(len(tools) - 1, -1, -1):
        if not tools[index].get("defer_loading") and not _is_web_search(tools[index]):
            return Place(Tier.TOOLS, index)
    return None


def system_end(system: str | tuple[Block, ...] | None) -> Place | None:
    """Return the last block of the system prompt that has text."""
    if not system:
        return None
    if isinstance(system, str):
        return Place(Tier.SYSTEM, 0)
    for index in range(len(system) - 1, -1, -1):
        if is_markable(system[index]):
            return Place(Tier.SYSTEM, index)
    return None


def prefix_end(prompt: Prompt) -> Place | None:
    """Return the last block in front of the messages that may carry a breakpoint."""
    return system_end(prompt.system) or tools_end(prompt.tools)


def last_markable(messages: Sequence[Message]) -> Place | None:
    """Return the last block of messages that may carry a breakpoint."""
    for index in range(len(messages) - 1, -1, -1):
        content = messages[index]["content"]
        if isinstance(content, str):
            if content:
                return Place(Tier.MESSAGES, index)
            continue
        for number in range(len(content) - 1, -1, -1):
            if is_markable(content[number]):
                return Place(Tier.MESSAGES, index, number)
    return None


def next_markable(messages: Sequence[Message], place: Place) -> Place | None:
    """Return the first block behind a place that may carry a breakpoint."""
    first = place.block + 1
    for index in range(place.item, len(messages)):
        content = messages[index]["content"]
        blocks = ({"type": "text", "text": content},) if isinstance(content, str) else content
        for number in range(first, len(blocks)):
            if is_markable(blocks[number]):
                return Place(Tier.MESSAGES, index, number)
        first = 0
    return None


def can_hold_mark(messages: Sequence[Message], place: Place) -> bool:
    """Return whether there is a block at a place, and one that may carry a breakpoint."""
    if place.item >= len(messages):
        return False
    content = messages[place.item]["content"]
    if isinstance(content, str):
        return place.block == 0 and bool(content)
    return place.block < len(content) and is_markable(content[place.block])


def blocks_after(messages: Sequence[Message], place: Place) -> int:
    """Return how many positions follow a place: the look-back counts each block."""
    count = -place.block - 1
    for index in range(place.item, len(messages)):
        content = messages[index]["content"]
        count += 1 if isinstance(content, str) else len(content) or 1
    return count


def message_at(messages: Sequence[Message], place: Place) -> dict[str, Any]:
    """Return a message that holds the block at a place, and nothing else."""
    message = messages[place.item]
    content = message["content"]
    return {
        "role": message["role"],
        "content": content if isinstance(content, str) else [content[place.block]],
    }


def is_markable(block: Block) -> bool:
    """Return whether a block may carry a breakpoint: no thinking, no empty text."""
    kind = block.get("type")
    return kind not in _UNMARKABLE and not (kind == "text" and not block.get("text"))


def turn_kind(messages: Sequence[Message]) -> TurnKind:
    """Return what a call continues: nothing, the results of tools, or what the user said."""
    if all(message["role"] != "assistant" for message in messages):
        return "opening"
    last = next(message for message in reversed(messages) if message["role"] != "system")
    content = last["content"]
    is_result = not isinstance(content, str) and any(
        block.get("type") == "tool_result" for block in content
    )
    return "tool" if is_result else "user"


def opening_text(messages: Sequence[Message]) -> str:
    """Return the first text of a conversation, which stays the same as long as it goes on."""
    if not messages:
        return ""
    content = messages[0]["content"]
    if isinstance(content, str):
        return content
    return next((str(block["text"]) for block in content if "text" in block), "")


def bare(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a tool or a block without its breakpoint."""
    if MARK not in block:
        return block
    return {name: value for name, value in block.items() if name != MARK}


def _marks_in_front(call: Call) -> list[Mark]:
    marks = [Mark(tool_place(i, tool), _ttl(tool[MARK])) for i, tool in _marked(call.tools)]
    marks.sort()  # web search is rendered behind the other tools
    system = call.system
    if system and not isinstance(system, str):
        marks += [Mark(Place(Tier.SYSTEM, i), _ttl(b[MARK])) for i, b in _marked(system)]
    return marks


def _marked(
    blocks: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return ((i, block) for i, block in enumerate(blocks) if block.get(MARK) is not None)


def _markers_in(block: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the markers of a block and of the blocks within it: they mark the outer one."""
    for holder in _HOLDERS:
        inner = block.get(holder)
        if inner.__class__ is str:
            continue
        for each in inner if isinstance(inner, (list, tuple)) else (inner,):
            if isinstance(each, Mapping):
                yield from _markers_in(each)
    if block.get(MARK) is not None:
        yield block[MARK]


def tool_place(index: int, tool: Mapping[str, Any]) -> Place:
    """Return where a tool is rendered: web search stands between the other tools and the system."""
    return Place(Tier.SYSTEM, -1, index) if _is_web_search(tool) else Place(Tier.TOOLS, index)


def _is_web_search(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type", "")).startswith("web_search")


def _ttl(marker: Mapping[str, Any]) -> Ttl:
    return "1h" if marker.get("ttl") == "1h" else "5m"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)

"""Puts breakpoints into a copy of a call, beside those that the user has set himself.

A user's breakpoint stays where it is and as it is; it counts towards the four that a request may
have, and what is added keeps the API's order: an hour never behind five minutes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.prompt_caching.anatomy import (
    MARK,
    MAX_BREAKPOINTS,
    Mark,
    Tier,
    automatic_ttl,
    explicit_marks,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sdk_workflow.core.prompt_caching.anatomy import Place, Ttl
    from sdk_workflow.core.prompt_caching.records import Plan
    from sdk_workflow.types import Block, Call, Message

__all__ = ["marked", "place_marks", "with_breakpoints"]

_MARKERS: dict[Ttl, dict[str, str]] = {
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
}


def with_breakpoints(call: Call, plan: Plan, *, uses_automatic: bool) -> Call:
    """Return the call with the plan's breakpoints; the call itself where none can be added.

    Args:
        call: Never changed; what carries no new breakpoint is shared with it.
        plan: Where to put them.
        uses_automatic: Whether the one at the end is left to the API's automatic caching.
    """
    standing, automatic = explicit_marks(call), automatic_ttl(call)
    room = MAX_BREAKPOINTS - len(standing)
    if automatic is not None:
        room -= 1
        if plan.tail is not None:
            standing.append(Mark(plan.tail, automatic))
    wanted = list(plan.marks)
    if plan.tail is not None and plan.tail_ttl is not None:
        wanted.insert(0, Mark(plan.tail, plan.tail_ttl))
    added: list[Mark] = []
    for mark in wanted:
        if len(added) < room and all(each.place != mark.place for each in standing):
            fitted = Mark(mark.place, _fitting_ttl(mark, standing))
            added.append(fitted)
            standing.append(fitted)
    if not added:
        return call
    if uses_automatic and added[0].place == plan.tail:
        tail, *added = added
        return place_marks(call, added, automatic=tail.ttl)
    return place_marks(call, added)


def marked(block: Mapping[str, Any], ttl: Ttl) -> dict[str, Any]:
    """Return a copy of a tool or a block with a breakpoint.

    Example:
        >>> marked({"type": "text", "text": "Hi"}, "5m")
        {'type': 'text', 'text': 'Hi', 'cache_control': {'type': 'ephemeral'}}
    """
    return {**block, MARK: dict(_MARKERS[ttl])}


def place_marks(call: Call, marks: Sequence[Mark], *, automatic: Ttl | None = None) -> Call:
    """Return the call with breakpoints on blocks, and with an automatic one where one is given."""
    changes: dict[str, Any] = {}
    for place, ttl in marks:
        if place.tier == Tier.TOOLS:
            changes["tools"] = _with_block(call.tools, place.item, ttl)
        elif place.tier == Tier.SYSTEM:
            changes["system"] = _with_block(_blocks(call.system or ()), place.item, ttl)
        else:
            messages = changes.get("messages", call.messages)
            changes["messages"] = _with_message(messages, place, ttl)
    if automatic is not None:
        changes["parameters"] = {**call.parameters, MARK: dict(_MARKERS[automatic])}
    return dataclasses.replace(call, **changes)


def _fitting_ttl(mark: Mark, standing: Iterable[Mark]) -> Ttl:
    """Return the lifetime nearest to the wanted one that the others allow in this place."""
    ttl = mark.ttl
    for each in standing:
        if each.place > mark.place and each.ttl == "1h":
            return "1h"
        if each.place < mark.place and each.ttl == "5m":
            ttl = "5m"
    return ttl


def _with_message(messages: tuple[Message, ...], place: Place, ttl: Ttl) -> tuple[Message, ...]:
    message = messages[place.item]
    content = list(_with_block(_blocks(message["content"]), place.block, ttl))
    return _replaced(messages, place.item, {**message, "content": content})


def _with_block(
    blocks: Sequence[Mapping[str, Any]], index: int, ttl: Ttl
) -> tuple[Mapping[str, Any], ...]:
    return _replaced(blocks, index, marked(blocks[index], ttl))


def _replaced(
    items: Sequence[Mapping[str, Any]], index: int, item: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    return (*items[:index], item, *items[index + 1 :])


def _blocks(content: str | Sequence[Block]) -> Sequence[Block]:
    return ({"type": "text", "text": content},) if isinstance(content, str) else content

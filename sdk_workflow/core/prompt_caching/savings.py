"""Works out what calls would cost with and without breakpoints, by the API's published rules.

A small set of books of its own: prefixes by digest, entries with lifetimes, the look-back. Sizes are
those of a token counter; time is given with each call.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from sdk_workflow.core.prompt_caching.anatomy import (
    LOOKBACK,
    MARK,
    Place,
    Tier,
    automatic_ttl,
    bare,
    explicit_marks,
    fingerprint,
    last_markable,
    prefix_end,
    tool_place,
)
from sdk_workflow.core.prompt_caching.turn_gaps import TTL_SECONDS
from sdk_workflow.types import Money, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.prompt_caching.anatomy import Ttl
    from sdk_workflow.protocols import TokenCounter
    from sdk_workflow.types import Block, Call

__all__ = ["CacheBooks", "SavingsEstimate", "estimate_savings", "without_breakpoints"]


class SavingsEstimate(TypedDict):
    """What the prompts of some calls cost; answers are not counted, as caching leaves them alone.

    Dollars are None where a model has no known price. `saved_share` is 0 to 1, and below 0 where
    the breakpoints would cost more than they save.
    """

    calls: int
    prompt_tokens: int
    read_tokens: int
    written_tokens: int
    uncached_tokens: int
    without_usd: float | None
    with_usd: float | None
    automatic_usd: float | None
    saved_usd: float | None
    saved_share: float | None


@dataclass(slots=True)
class _Entry:
    ttl: Ttl
    expires: float


class CacheBooks:
    """The entries that some calls leave behind, and what each call is billed for its prompt.

    Calls are taken one after the other, each answered before the next one starts.

    Args:
        counter: Measures prompts.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._entries: dict[bytes, _Entry] = {}

    def bill(self, call: Call, *, now: float, min_tokens: int) -> Usage:
        """Return the books of a call that starts now."""
        places = _places(call)
        keys = _keys(call, places)
        total = self._size(call, len(places))
        marks = {
            places.index(place): (ttl, self._size(call, places.index(place) + 1))
            for place, ttl in _breakpoints(call)
        }
        usable = {at: mark for at, mark in sorted(marks.items()) if mark[1] >= min_tokens}
        if not usable:
            return Usage(input_tokens=total)
        hit = max((self._find(keys, at, now) for at in usable), default=-1)
        read = self._size(call, hit + 1) if hit >= 0 else 0
        end = max(size for _, size in usable.values())
        hour = max((size for ttl, size in usable.values() if ttl == "1h"), default=0)
        self._renew(keys, hit, {at: ttl for at, (ttl, _) in usable.items()}, now)
        written, written_1h = max(0, end - read), max(0, hour - read)
        return Usage(
            input_tokens=total - read - written,
            cache_read_input_tokens=read,
            cache_write_5m_input_tokens=written - written_1h,
            cache_write_1h_input_tokens=written_1h,
        )

    def _find(self, keys: Sequence[bytes], at: int, now: float) -> int:
        for position in range(at, max(-1, at - LOOKBACK - 1), -1):
            entry = self._entries.get(keys[position])
            if entry is not None and entry.expires > now:
                return position
        return -1

    def _renew(self, keys: Sequence[bytes], hit: int, marks: Mapping[int, Ttl], now: float) -> None:
        if hit >= 0:
            entry = self._entries[keys[hit]]
            entry.expires = max(entry.expires, now + TTL_SECONDS[entry.ttl])
        for at, ttl in marks.items():
            if at > hit:
                self._entries[keys[at]] = _Entry(ttl, now + TTL_SECONDS[ttl])

    def _size(self, call: Call, count: int) -> int:
        return self._counter.count(_cut(call, _places(call)[:count]))


def estimate_savings(
    plain: Sequence[Call],
    built: Sequence[Call],
    *,
    catalog: ModelCatalog,
    counter: TokenCounter,
    gap_seconds: float,
    day: date,
    min_tokens_of: Callable[[str], int],
) -> SavingsEstimate:
    """Bill calls as they are without any breakpoint, as they were built, and with automatic ones."""
    variants = (
        [without_breakpoints(call) for call in plain],
        list(built),
        [_automatic(without_breakpoints(call)) for call in plain],
    )
    usages: list[Usage] = []
    costs: list[float | None] = []
    for calls in variants:
        books, total, cost = CacheBooks(counter), Usage(), _Sum()
        for number, call in enumerate(calls):
            usage = books.bill(call, now=number * gap_seconds, min_tokens=min_tokens_of(call.model))
            total += usage
            cost.add(catalog.price(call.model, usage, at=day))
        usages.append(total)
        costs.append(cost.usd)
    return _estimate(len(plain), usages[1], costs)


def _estimate(calls: int, usage: Usage, costs: Sequence[float | None]) -> SavingsEstimate:
    without_usd, with_usd, automatic_usd = costs
    saved = None if without_usd is None or with_usd is None else without_usd - with_usd
    return SavingsEstimate(
        calls=calls,
        prompt_tokens=usage.prompt_tokens,
        read_tokens=usage.cache_read_input_tokens,
        written_tokens=usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens,
        uncached_tokens=usage.input_tokens,
        without_usd=without_usd,
        with_usd=with_usd,
        automatic_usd=automatic_usd,
        saved_usd=saved,
        saved_share=saved / without_usd if saved is not None and without_usd else None,
    )


class _Sum:
    """Adds prices up; one that is not known makes the sum unknown."""

    def __init__(self) -> None:
        self._total: Money | None = Money()

    def add(self, price: Money | None) -> None:
        self._total = None if price is None or self._total is None else self._total + price

    @property
    def usd(self) -> float | None:
        return None if self._total is None else self._total.usd


def without_breakpoints(call: Call) -> Call:
    """Return a call that asks the same and caches nothing."""
    system = call.system
    return dataclasses.replace(
        call,
        tools=tuple(bare(tool) for tool in call.tools),
        system=tuple(map(bare, system)) if isinstance(system, tuple) else system,
        messages=tuple(
            (
                message
                if isinstance(message["content"], str)
                else {**message, "content": [_bare_inside(block) for block in message["content"]]}
            )
            for message in call.messages
        ),
        parameters={name: value for name, value in call.parameters.items() if name != MARK},
    )


def _bare_inside(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a block without its breakpoint, and without those of what it holds."""
    held = block.get("content")
    if isinstance(held, (list, tuple)):
        block = {**block, "content": [bare(each) for each in held]}
    return bare(block)


def _automatic(call: Call) -> Call:
    return dataclasses.replace(call, parameters={**call.parameters, MARK: {"type": "ephemeral"}})


def _places(call: Call) -> list[Place]:
    # A deferred tool is no part of the prompt; web search is rendered behind the other tools.
    places = sorted(
        tool_place(index, tool)
        for index, tool in enumerate(call.tools)
        if not tool.get("defer_loading")
    )
    if isinstance(call.system, str):
        places += [Place(Tier.SYSTEM, 0)] if call.system else []
    else:
        places += [Place(Tier.SYSTEM, index) for index in range(len(call.system or ()))]
    for index, message in enumerate(call.messages):
        content = message["content"]
        count = 1 if isinstance(content, str) else len(content)
        places += [Place(Tier.MESSAGES, index, number) for number in range(count)]
    return places


def _breakpoints(call: Call) -> list[tuple[Place, Ttl]]:
    marks: list[tuple[Place, Ttl]] = list(explicit_marks(call))
    automatic = automatic_ttl(call)
    if automatic is not None:
        end = last_markable(call.messages) or prefix_end(call)
        if end is not None and all(place != end for place, _ in marks):
            marks.append((end, automatic))
    return marks


def _keys(call: Call, places: Sequence[Place]) -> list[bytes]:
    """Return the key of the prefix that ends at each place."""
    keys: list[bytes] = []
    key = fingerprint([call.model, call.tenant])
    for place in places:
        role = call.messages[place.item]["role"] if place.tier == Tier.MESSAGES else place.tier
        block = fingerprint([role, bare(_block_at(call, place))])
        key = hashlib.blake2b(key + block, digest_size=16).digest()
        keys.append(key)
    return keys


def _block_at(call: Call, place: Place) -> Mapping[str, Any]:
    if place.tier == Tier.TOOLS:
        return call.tools[place.item]
    if place.item < 0:
        return call.tools[place.block]
    if place.tier == Tier.SYSTEM:
        return _blocks(call.system or ())[place.item]
    return _blocks(call.messages[place.item]["content"])[place.block]


def _blocks(content: str | Sequence[Block]) -> Sequence[Block]:
    return ({"type": "text", "text": content},) if isinstance(content, str) else content


def _cut(call: Call, places: Sequence[Place]) -> dict[str, Any]:
    """Return the parameters of the prompt up to the last of the places."""
    tools = [bare(_block_at(call, p)) for p in places if p.tier == Tier.TOOLS or p.item < 0]
    system = [bare(_block_at(call, p)) for p in places if p.tier == Tier.SYSTEM and p.item >= 0]
    messages: list[dict[str, Any]] = []
    for place in places:
        if place.tier != Tier.MESSAGES:
            continue
        if place.block == 0:
            messages.append({"role": call.messages[place.item]["role"], "content": []})
        messages[-1]["content"].append(bare(_block_at(call, place)))
    return {"model": call.model, "tools": tools, "system": system, "messages": messages}

"""The prompt cache: what of a prompt is read, what is written, and for how long it stays.

Pure: prompts come as digests with sizes, time comes as a number. It knows no request and no model.
Three cases that are not published are decided so: a 1h breakpoint on a live 5m entry reads that
entry and leaves its lifetime as it is; reading an entry refreshes that entry alone, not the shorter
ones on its way; the look-back counts every rendered block, parallel tool calls one by one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "LOOKBACK",
    "TTL_SECONDS",
    "Block",
    "Books",
    "Breakpoint",
    "Lookup",
    "PromptCache",
    "keys_of",
]

LOOKBACK = 20
TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}

_TIERS = ("tools", "system", "messages")
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Block:
    """One position of a prompt: its tier, the digest of what is rendered, its tokens."""

    tier: str
    digest: bytes
    tokens: int


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place up to which the prompt is to be cached; `ttl` is `"5m"` or `"1h"`."""

    position: int
    ttl: str
    is_automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A question to the cache.

    `scope` holds model and workspace, and whatever the model renders before the tools; `salts` what
    invalidates a tier (`"system"`, `"messages"`) without being a block of it.
    """

    scope: bytes
    blocks: Sequence[Block]
    breakpoints: Sequence[Breakpoint] = ()
    salts: Mapping[str, bytes] = field(default_factory=dict)
    min_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a lookup came to; the four token counts add up to the whole prompt.

    `hit` is the last position that was read, `hit_breakpoint` the number of the breakpoint that
    found it. `pending` is what the request writes once its answer begins; `refreshed` the entry that
    was read, with when it would have expired and when it does now.
    """

    read_tokens: int = 0
    write_5m_tokens: int = 0
    write_1h_tokens: int = 0
    uncached_tokens: int = 0
    hit: int | None = None
    hit_breakpoint: int | None = None
    cacheable: tuple[Breakpoint, ...] = ()
    pending: tuple[tuple[bytes, str, float], ...] = ()
    refreshed: tuple[bytes, float, float] | None = None

    @property
    def total_tokens(self) -> int:
        """The size of the prompt."""
        written = self.write_5m_tokens + self.write_1h_tokens
        return self.read_tokens + written + self.uncached_tokens


@dataclass(slots=True)
class _Entry:
    ttl: str
    expires: float


class PromptCache:
    """Entries of cached prefixes, across all models and workspaces.

    Args:
        lookback: How many blocks a breakpoint walks back to an earlier entry.
        max_entries: Beyond this many, the entries that were used longest ago are forgotten.

    Example:
        >>> cache = PromptCache()
        >>> ask = Lookup(
        ...     scope=b"",
        ...     blocks=[Block("messages", b"a", 600)],
        ...     breakpoints=[Breakpoint(0, "5m")],
        ... )
        >>> first = cache.look_up(ask, now=0.0)
        >>> cache.commit(first.pending)
        >>> first.write_5m_tokens, cache.look_up(ask, now=299.0).read_tokens
        (600, 600)
    """

    def __init__(self, *, lookback: int = LOOKBACK, max_entries: int = 100_000) -> None:
        self._lookback = lookback
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are held, those included that have expired unnoticed."""
        return len(self._entries)

    def look_up(self, lookup: Lookup, *, now: float) -> Books:
        """Find the longest live prefix, refresh it, and say what is read and written.

        Args:
            lookup: The prompt and its breakpoints.
            now: When the request started, in seconds.
        """
        sums = _sums(lookup.blocks)
        total = sums[-1] if sums else 0
        cacheable = tuple(
            each for each in lookup.breakpoints if sums[each.position] >= lookup.min_tokens
        )
        if not cacheable:
            return Books(uncached_tokens=total)
        keys = keys_of(lookup)
        hit, by = self._find(cacheable, keys, now)
        read = 0 if hit is None else sums[hit]
        refreshed = None if hit is None else self._refresh(keys[hit], now)
        written = max(0, sums[max(each.position for each in cacheable)] - read)
        hours = [each.position for each in cacheable if each.ttl == "1h"]
        written_1h = max(0, sums[max(hours)] - read) if hours else 0
        return Books(
            read_tokens=read,
            write_5m_tokens=written - written_1h,
            write_1h_tokens=written_1h,
            uncached_tokens=total - read - written,
            hit=hit,
            hit_breakpoint=None if by is None else list(lookup.breakpoints).index(by),
            cacheable=cacheable,
            pending=tuple(
                (keys[each.position], each.ttl, now)
                for each in cacheable
                if hit is None or each.position > hit
            ),
            refreshed=refreshed,
        )

    def take_back(self, books: Books) -> None:
        """Undo the refresh of a lookup whose request was not let in: it has read nothing."""
        if books.refreshed is None:
            return
        key, before, after = books.refreshed
        entry = self._entries.get(key)
        if entry is not None and entry.expires == after:
            entry.expires = before

    def commit(self, pending: Iterable[tuple[bytes, str, float]]) -> None:
        """Make entries readable, each for its lifetime from the start of its request."""
        for key, ttl, started in pending:
            expires = started + TTL_SECONDS[ttl]
            found = self._entries.get(key)
            if found is None or found.expires <= expires:
                self._entries[key] = _Entry(ttl, expires)
            self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def _find(
        self, cacheable: Sequence[Breakpoint], keys: Sequence[bytes], now: float
    ) -> tuple[int | None, Breakpoint | None]:
        best: tuple[int | None, Breakpoint | None] = (None, None)
        for each in cacheable:
            first = max(0, each.position - self._lookback)
            walk = range(each.position, first - 1, -1)
            found = next((at for at in walk if self._is_live(keys[at], now)), None)
            if found is not None and (best[0] is None or found > best[0]):
                best = (found, each)
        return best

    def _is_live(self, key: bytes, now: float) -> bool:
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.expires <= now:
            del self._entries[key]
            return False
        return True

    def _refresh(self, key: bytes, now: float) -> tuple[bytes, float, float]:
        entry = self._entries[key]
        before = entry.expires
        entry.expires = max(before, now + TTL_SECONDS[entry.ttl])
        self._entries.move_to_end(key)
        return key, before, entry.expires


def keys_of(lookup: Lookup) -> list[bytes]:
    """Return the key of each prefix: equal keys are equal prefixes in the same scope."""
    keys: list[bytes] = []
    key, level = _digest(b"scope", lookup.scope), 0
    for block in lookup.blocks:
        tier = _TIERS.index(block.tier)
        # A tier that has no block of its own still invalidates what comes behind it.
        salt = b"".join(lookup.salts.get(name, b"") for name in _TIERS[level + 1 : tier + 1])
        level = max(level, tier)
        key = _digest(key, salt, block.digest)
        keys.append(key)
    return keys


def _digest(*parts: bytes) -> bytes:
    state = hashlib.blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        state.update(len(part).to_bytes(4, "big"))
        state.update(part)
    return state.digest()


def _sums(blocks: Sequence[Block]) -> list[int]:
    sums: list[int] = []
    total = 0
    for block in blocks:
        total += block.tokens
        sums.append(total)
    return sums

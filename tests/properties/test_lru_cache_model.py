"""Whatever is done to it, the cache holds what the simplest possible model of it holds."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.lru_cache import LRUCache

MAX_SIZE, MAX_WEIGHT, TTL_SECONDS = 4, 12, 10
KEYS = st.sampled_from(["a", "b", "c", b"d", b"e", "f", ("g", 1)])
VALUES = st.one_of(st.none(), st.integers(0, 15))


def weight_of(_: object, value: int | None) -> int:
    return value or 0


class LRUMachine(RuleBasedStateMachine):
    """Compares with a list of (key, value, expiry), oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.told: list[tuple[object, int | None, str]] = []
        self.expected_told: list[tuple[object, int | None, str]] = []
        self.cache: LRUCache[object, int | None] = LRUCache(
            MAX_SIZE,
            TTL_SECONDS,
            max_weight=MAX_WEIGHT,
            weigher=weight_of,
            on_evict=lambda *eviction: self.told.append(eviction),
            clock=self.clock,
        )
        self.model: list[tuple[object, int | None, float]] = []
        self.hits = self.misses = 0

    def find(self, key: object) -> int | None:
        return next((index for index, row in enumerate(self.model) if row[0] == key), None)

    def is_live(self, index: int | None) -> bool:
        return index is not None and self.model[index][2] > self.clock.now()

    def leave(self, index: int, reason: str) -> None:
        key, value, _ = self.model.pop(index)
        self.expected_told.append((key, value, reason))

    def remove(self, key: object, reason: str) -> bool:
        index = self.find(key)
        if index is None:
            return False
        was_live = self.is_live(index)
        self.leave(index, reason if was_live else "ttl")
        return was_live

    def store(self, key: object, value: int | None, ttl: float) -> None:
        if weight_of(key, value) > MAX_WEIGHT or ttl <= 0:
            self.remove(key, "weight" if ttl > 0 else "explicit")
            return
        index = self.find(key)
        if index is not None:
            self.model.pop(index)
        self.model.append((key, value, self.clock.now() + ttl))
        while len(self.model) > MAX_SIZE:
            self.leave(0, "size")
        while sum(weight_of(key, value) for key, value, _ in self.model) > MAX_WEIGHT:
            self.leave(0, "weight")

    @rule(key=KEYS, value=VALUES, ttl=st.sampled_from([None, -1, 0, 3, 20]))
    def set(self, key: object, value: int | None, ttl: int | None) -> None:
        self.cache.set(key, value, ttl)
        self.store(key, value, TTL_SECONDS if ttl is None else ttl)

    @rule(key=KEYS)
    def get(self, key: object) -> None:
        found = self.cache.get(key, "absent")
        index = self.find(key)
        if index is not None and self.is_live(index):
            self.hits += 1
            assert found == self.model[index][1]
            self.model.append(self.model.pop(index))
        else:
            self.misses += 1
            assert found == "absent"
            self.remove(key, "ttl")

    @rule(key=KEYS, value=VALUES, fails=st.booleans())
    def load(self, key: object, value: int | None, *, fails: bool) -> None:
        def loader() -> int | None:
            if fails:
                raise LookupError
            return value

        index = self.find(key)
        if index is not None and self.is_live(index):
            assert self.cache.get_or_load(key, loader) == self.model[index][1]
            self.model.append(self.model.pop(index))
            self.hits += 1
            return
        self.misses += 1
        self.remove(key, "ttl")
        if fails:
            with pytest.raises(LookupError):
                self.cache.get_or_load(key, loader)
            return
        assert self.cache.get_or_load(key, loader) == value
        self.store(key, value, TTL_SECONDS)

    @rule(key=KEYS)
    def invalidate(self, key: object) -> None:
        assert self.cache.invalidate(key) == self.remove(key, "explicit")

    @rule(key=KEYS)
    def contains(self, key: object) -> None:
        assert (key in self.cache) == self.is_live(self.find(key))

    @rule()
    def purge(self) -> None:
        expired = [row[0] for row in self.model if row[2] <= self.clock.now()]
        assert self.cache.purge_expired() == len(expired)
        for key in expired:
            self.remove(key, "ttl")

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        while self.model:
            self.leave(0, "explicit")

    @rule(seconds=st.integers(0, 8))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agrees(self) -> None:
        stats = self.cache.get_stats()
        assert [(key, entry[0]) for key, entry in self.cache._entries.items()] == [
            (key, value) for key, value, _ in self.model
        ]
        assert self.told == self.expected_told
        assert stats.weight == sum(weight_of(key, value) for key, value, _ in self.model)
        assert (stats.hits, stats.misses, stats.entries) == (
            self.hits,
            self.misses,
            len(self.model),
        )
        reasons = [reason for _, _, reason in self.told]
        assert stats.expirations == reasons.count("ttl")


TestLRUCache = LRUMachine.TestCase

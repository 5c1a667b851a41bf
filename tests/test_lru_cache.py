from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core import forks, lru_cache
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.exceptions import UsageError

PATIENCE_SECONDS = 20.0


class Key:
    """A key whose comparison runs Python code."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.name == self.name


class Evicted:
    """An eviction callback that remembers, and sees whether the cache's lock is free."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any, str]] = []
        self.cache: LRUCache[Any, Any] | None = None
        self.was_locked = False

    def __call__(self, key: Any, value: Any, reason: str) -> None:
        self.seen.append((key, value, reason))
        if self.cache is not None:
            with ThreadPoolExecutor(1) as pool:
                is_free = pool.submit(self.cache._lock.acquire, blocking=False)
                self.was_locked |= not is_free.result()
                if is_free.result():
                    pool.submit(self.cache._lock.release).result()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["str", "bytes", "object", "free-threaded"])
def keyed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make keys for the path without a lock, and for the two with one."""
    if request.param == "free-threaded":
        monkeypatch.setattr(lru_cache, "_HAS_GIL", False)
    makers = {"bytes": str.encode, "object": Key}
    return makers.get(request.param, str)


# What a map does


def test_get_returns_what_was_set_and_counts_both_outcomes(keyed: Any) -> None:
    cache: LRUCache[Any, int] = LRUCache()
    cache.set(keyed("a"), 1)
    assert (cache.get(keyed("a")), cache.get(keyed("b")), cache.get(keyed("b"), 7)) == (1, None, 7)
    stats = cache.get_stats()
    assert (stats.hits, stats.misses, stats.entries, stats.weight) == (1, 2, 1, 1)
    assert stats.hit_rate == 1 / 3


def test_stored_none_is_a_hit_and_is_not_loaded_again() -> None:
    cache: LRUCache[str, None] = LRUCache()
    cache.set("a", None)
    assert cache.get("a", "default") is None
    assert cache.get_or_load("a", partial(pytest.fail, "loaded")) is None
    assert "a" in cache


def test_oldest_in_order_of_use_leaves_when_there_are_too_many(keyed: Any) -> None:
    cache: LRUCache[Any, int] = LRUCache(max_size=2)
    for name in ("a", "b"):
        cache.set(keyed(name), 1)
    cache.get(keyed("a"))
    cache.set(keyed("c"), 1)
    assert [keyed(name) in cache for name in "abc"] == [True, False, True]
    assert (len(cache), cache.get_stats().evictions) == (2, 1)


def test_overwriting_makes_an_entry_the_youngest_and_evicts_nothing() -> None:
    evicted = Evicted()
    cache: LRUCache[str, int] = LRUCache(max_size=2, on_evict=evicted)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        cache.set(key, value)
    assert (cache.get("a"), evicted.seen) == (3, [("b", 2, "size")])


def test_contains_changes_neither_order_nor_counts(clock: VirtualClock) -> None:
    cache: LRUCache[str, int] = LRUCache(max_size=2, ttl_seconds=10, clock=clock)
    cache.set("a", 1)
    cache.set("b", 1)
    assert "a" in cache
    cache.set("c", 1)
    assert "a" not in cache
    clock.advance(10)
    assert "c" not in cache
    assert (cache.get_stats().hits, cache.get_stats().misses, len(cache)) == (0, 0, 2)


def test_invalidate_says_whether_there_was_a_live_entry(clock: VirtualClock) -> None:
    evicted = Evicted()
    cache: LRUCache[str, int] = LRUCache(ttl_seconds=10, clock=clock, on_evict=evicted)
    cache.set("a", 1)
    cache.set("b", 2)
    assert (cache.invalidate("a"), cache.invalidate("a")) == (True, False)
    clock.advance(10)
    assert cache.invalidate("b") is False
    assert evicted.seen == [("a", 1, "explicit"), ("b", 2, "ttl")]
    assert (cache.get_stats().weight, cache.get_stats().expirations) == (0, 1)


def test_clear_removes_everything_and_tells_of_each_entry() -> None:
    evicted = Evicted()
    cache: LRUCache[str, int] = LRUCache(on_evict=evicted)
    cache.set("a", 1)
    cache.set("b", 2)
    cache.clear()
    assert evicted.seen == [("a", 1, "explicit"), ("b", 2, "explicit")]
    assert (len(cache), cache.get_stats().weight, cache.get("a")) == (0, 0, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_size": 0}, "max_size is 0"),
        ({"jitter": 1.5}, "jitter is 1.5"),
        ({"jitter": -0.1}, "jitter is -0.1"),
        ({"max_weight": 5}, "max_weight is 5, but nothing"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        LRUCache(**options)
    assert caught.value.hint


# Lifetimes


def test_entry_lives_until_its_lifetime_is_over_and_not_at_its_end(
    keyed: Any, clock: VirtualClock
) -> None:
    cache: LRUCache[Any, int] = LRUCache(ttl_seconds=10, clock=clock)
    cache.set(keyed("default"), 1)
    cache.set(keyed("short"), 2, ttl=5)
    clock.advance(5)
    assert (cache.get(keyed("default")), cache.get(keyed("short"))) == (1, None)
    clock.advance(5)
    assert cache.get(keyed("default")) is None
    stats = cache.get_stats()
    assert (stats.expirations, stats.misses, stats.entries, stats.weight) == (2, 2, 0, 0)


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
@pytest.mark.parametrize("is_default", [True, False])
def test_value_without_a_lifetime_is_not_stored_and_replaces_what_was_there(
    ttl: float, *, is_default: bool
) -> None:
    evicted = Evicted()
    cache: LRUCache[str, int] = LRUCache(ttl_seconds=ttl if is_default else 60, on_evict=evicted)
    cache.set("a", 1, ttl=60)
    cache.set("a", 2, ttl=None if is_default else ttl)
    assert (cache.get("a"), cache.get_stats().refusals) == (None, 1)
    assert evicted.seen == [("a", 1, "explicit")]


def test_lifetime_is_spread_by_the_jitter(clock: VirtualClock) -> None:
    shares = iter([0.0, 0.5, 1.0])
    cache: LRUCache[str, int] = LRUCache(
        ttl_seconds=100, jitter=0.1, random_share=lambda: next(shares), clock=clock
    )
    for key in ("early", "middle", "late"):
        cache.set(key, 1)
    alive = []
    for seconds in (89, 2, 10, 10):
        clock.advance(seconds)
        alive.append([key for key in ("early", "middle", "late") if key in cache])
    assert alive == [["early", "middle", "late"], ["middle", "late"], ["late"], []]


def test_purge_removes_only_what_has_expired_and_gives_up_the_lock_between(
    clock: VirtualClock,
) -> None:
    evicted = Evicted()
    cache: LRUCache[int, int] = LRUCache(max_size=2000, clock=clock, on_evict=evicted)
    for number in range(1000):
        cache.set(number, number, ttl=10 if number % 2 else 20)
    clock.advance(10)
    assert (cache.purge_expired(), cache.purge_expired(), len(cache)) == (500, 0, 500)
    assert {reason for _, _, reason in evicted.seen} == {"ttl"}
    assert (cache.get_stats().expirations, cache.get_stats().weight) == (500, 500)


def test_purge_passes_over_what_left_meanwhile(clock: VirtualClock) -> None:
    cache: LRUCache[int, int] = LRUCache(ttl_seconds=10, clock=clock)
    cache.set(1, 1)
    clock.advance(10)
    assert cache._drop_all_expired([1, 2]) == [(1, 1, "ttl")]


def test_fresh_value_survives_the_removal_of_the_expired_one(clock: VirtualClock) -> None:
    """A thread saw the old entry expired; before it gets the lock another one writes a new value."""
    cache: LRUCache[str, int] = LRUCache(ttl_seconds=10, clock=clock)
    cache.set("a", 1)
    seen_by_slow_thread = cache._entries["a"]
    clock.advance(10)
    cache.set("a", 2)
    cache._expire("a", seen_by_slow_thread)
    assert (cache.get("a"), cache.get_stats().expirations) == (2, 0)


def test_hit_survives_an_eviction_between_its_steps() -> None:
    cache: LRUCache[str, int] = LRUCache()

    class EvictingClock(VirtualClock):
        def monotonic(self) -> float:
            cache._entries.pop("a", None)
            return 0.0

    cache.set("a", 1)
    cache._now = EvictingClock().monotonic
    assert (cache.get("a"), cache.get_stats().hits) == (1, 1)


# Weights


def by_length(_: str, value: str) -> int:
    return len(value)


def test_oldest_leave_until_the_weight_fits() -> None:
    evicted = Evicted()
    cache: LRUCache[str, str] = LRUCache(max_weight=10, weigher=by_length, on_evict=evicted)
    for key in ("a", "b", "c"):
        cache.set(key, "xxx")
    cache.set("d", "yyyyyyy")
    assert evicted.seen == [("a", "xxx", "weight"), ("b", "xxx", "weight")]
    assert (cache.get_stats().weight, cache.get_stats().evictions) == (10, 2)


def test_overwriting_takes_off_the_old_weight() -> None:
    cache: LRUCache[str, str] = LRUCache(max_weight=10, weigher=by_length)
    cache.set("a", "xxxxxxxx")
    cache.set("a", "xx")
    assert (cache.get_stats().weight, len(cache)) == (2, 1)


def test_entry_heavier_than_the_cache_is_refused_and_empties_nothing_else() -> None:
    evicted = Evicted()
    cache: LRUCache[str, str] = LRUCache(max_weight=4, weigher=by_length, on_evict=evicted)
    cache.set("a", "xx")
    cache.set("b", "xx")
    cache.set("b", "too heavy")
    assert (cache.get("a"), cache.get("b"), cache.get_stats().refusals) == ("xx", None, 1)
    assert evicted.seen == [("b", "xx", "weight")]


def test_negative_weight_is_an_error_and_changes_nothing() -> None:
    cache: LRUCache[str, str] = LRUCache(weigher=lambda _, value: -len(value))
    with pytest.raises(UsageError, match="returned -1") as caught:
        cache.set("a", "x")
    assert (len(cache), bool(caught.value.hint)) == (0, True)


def test_weigher_runs_outside_of_the_lock() -> None:
    locked = []

    def weigher(_: str, __: int) -> int:
        locked.append(cache._lock._is_owned())  # type: ignore[attr-defined]
        return 1

    cache: LRUCache[str, int] = LRUCache(weigher=weigher)
    cache.set("a", 1)
    cache.get_or_load("b", lambda: 1)
    assert locked == [False, False]


# The callback


def test_callback_runs_outside_of_the_lock_whatever_the_reason(
    keyed: Any, clock: VirtualClock
) -> None:
    evicted = Evicted()
    cache: LRUCache[Any, int] = LRUCache(2, 10, on_evict=evicted, clock=clock)
    evicted.cache = cache
    for name in ("a", "b", "c"):
        cache.set(keyed(name), 1)
    cache.invalidate(keyed("b"))
    clock.advance(10)
    cache.get(keyed("c"))
    cache.set(keyed("d"), 1)
    clock.advance(10)
    cache.purge_expired()
    cache.set(keyed("e"), 1)
    cache.clear()
    reasons = [reason for _, _, reason in evicted.seen]
    assert reasons == ["size", "explicit", "ttl", "ttl", "explicit"]
    assert not evicted.was_locked


def test_callback_that_raises_is_counted_and_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ValueError("broken")

    cache: LRUCache[str, int] = LRUCache(max_size=1, on_evict=broken)
    for key in ("a", "b", "c"):
        cache.set(key, 1)
    assert (cache.get("c"), cache.get_stats().callback_errors) == (1, 2)
    assert len(caplog.records) == 1


def test_finalizer_that_calls_the_cache_does_not_hang_it() -> None:
    cache: LRUCache[str, Any] = LRUCache(max_size=1)

    class Calling:
        def __del__(self) -> None:
            cache.invalidate("other")

    cache.set("a", Calling())
    cache.set("b", 1)
    gc.collect()
    assert cache.get("b") == 1


# Threads


def test_key_that_runs_python_code_makes_every_lookup_take_the_lock() -> None:
    cache: LRUCache[Any, int] = LRUCache()
    cache.set("a", 1)
    before = cache._unlocked
    cache.set(Key("b"), 2)
    assert (before is cache._entries, cache._unlocked is None) == (True, True)
    assert (cache.get("a"), cache.get(Key("b")), cache.get(b"c")) == (1, 2, None)


def test_hit_takes_no_lock_under_the_gil() -> None:
    cache: LRUCache[str, int] = LRUCache()
    cache.set("a", 1)
    with cache._lock, ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.get, "a").result(PATIENCE_SECONDS) == 1
        assert pool.submit(cache.get, "b").result(PATIENCE_SECONDS) is None


def test_counts_of_many_threads_add_up_exactly() -> None:
    cache: LRUCache[str, int] = LRUCache(max_size=500)
    threads, rounds = 8, 20_000

    def work(number: int) -> tuple[int, int]:
        hits = misses = 0
        for index in range(rounds):
            cache.set(f"{number}-{index}", index)
            for back in (0, 30, 300, 100_000):
                if cache.get(f"{number}-{index - back}") is None:
                    misses += 1
                else:
                    hits += 1
        return hits, misses

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(work, range(threads)))
    stats = cache.get_stats()
    assert (stats.hits, stats.misses) == (sum(h for h, _ in found), sum(m for _, m in found))
    assert stats.hits + stats.misses == threads * rounds * 4
    assert stats.evictions + stats.entries == threads * rounds
    assert stats.weight == stats.entries == len(cache) == 500
    assert cache.get_stats() == stats


def test_child_process_gets_free_locks_and_the_right_weight() -> None:
    cache: LRUCache[str, int] = LRUCache()
    cache.set("a", 1)
    parts = (cache, cache._flights, cache._async_flights, cache._hits, cache._misses, cache._loads)
    locks = [part._lock for part in parts]
    cache._weight = 99  # a thread of the parent was in the middle of something
    forks._renew_all()
    assert not {id(part._lock) for part in parts} & {id(lock) for lock in locks}
    assert (cache.get("a"), cache.get_stats().weight) == (1, 1)

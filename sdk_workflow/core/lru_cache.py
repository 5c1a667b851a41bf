"""The exact tier: a bounded map in order of use, with a lifetime for each entry.

It owns entries, their order and weight, and the counts. Loads under way live in `single_flight`
and `async_single_flight`. It knows no requests, no replies and no other cache.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from sdk_workflow.core.async_single_flight import AsyncSingleFlight
from sdk_workflow.core.flights import ABSENT, Absent
from sdk_workflow.core.forks import renew_after_fork
from sdk_workflow.core.lru_records import EvictionListener, LoadCounts, LRUStats, check_options
from sdk_workflow.core.single_flight import SingleFlight
from sdk_workflow.core.tally import Tally
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sdk_workflow.core.flights import Flight
    from sdk_workflow.core.lru_records import Eviction, EvictReason
    from sdk_workflow.protocols import Clock

__all__ = ["LRUCache"]

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
_PURGE_STEP = 256
_MAX_WAIT_SECONDS = 600.0

# value, expires_at (monotonic seconds), weight: a plain tuple, which one C call replaces.
_Entry = tuple[V, float, int]


class LRUCache(Generic[K, V]):
    """Keeps the entries that were used last, each for its lifetime.

    Safe for threads. Under the GIL a hit takes no lock, because each of its steps is one C call;
    keys other than `str` and `bytes`, whose comparison may run Python code, take the lock. So does
    every lookup on a free-threaded build.

    Args:
        max_size: Entries to keep at the most.
        ttl_seconds: Lifetime of an entry that is stored without one of its own.
        max_weight: What all entries may weigh together; needs a `weigher`.
        weigher: Returns the weight of a key and its value, 0 or more. It runs outside of the lock.
        on_evict: Told of each entry that left (not of one that was overwritten), outside of the
            lock. One that raises is counted and logged once.
        jitter: Share by which lifetimes are spread at random, such as 0.1 for +-10 %, so that what
            was stored together does not expire together.
        random_share: Draws the numbers for `jitter`, from 0 up to 1.
        clock: Where the time comes from.

    Raises:
        UsageError: If `max_size` is below 1, `jitter` not within 0..1, or `max_weight` given
            without a `weigher`.

    Example:
        >>> cache: LRUCache[str, int] = LRUCache(max_size=2)
        >>> for number, word in enumerate(["one", "two", "three"], start=1):
        ...     cache.set(word, number)
        >>> cache.get("one"), cache.get("three"), cache.get_stats().evictions
        (None, 3, 1)
        >>> cache.get_or_load("four", lambda: 4)
        4
    """

    # A hit takes 7 ns less than with a dictionary in each instance.
    __slots__ = (
        "__weakref__", "_acquire", "_async_flights", "_count_hit", "_count_miss", "_entries",
        "_evictions", "_expirations", "_flights", "_hits", "_is_plain", "_jitter",
        "_listener", "_loads", "_lock", "_max_size", "_max_weight", "_misses", "_now",
        "_random_share", "_refusals", "_release", "_ttl_seconds", "_unlocked", "_weigher", "_weight",
    )  # fmt: skip

    def __init__(
        self,
        max_size: int = 1000,
        ttl_seconds: float = 3600,
        *,
        max_weight: int | None = None,
        weigher: Callable[[K, V], int] | None = None,
        on_evict: Callable[[K, V, EvictReason], object] | None = None,
        jitter: float = 0.0,
        random_share: Callable[[], float] = random.random,  # noqa: S311 # nosec B311 # no secret
        clock: Clock | None = None,
    ) -> None:
        check_options(max_size, jitter, max_weight, has_weigher=weigher is not None)
        self._max_size = max_size
        self._ttl_seconds = ttl_seconds
        # An integer, because comparing it with a float takes 30 ns longer.
        self._max_weight = sys.maxsize if max_weight is None else max_weight
        self._weigher = weigher
        self._listener = EvictionListener(on_evict)
        self._jitter = jitter
        self._random_share = random_share
        # Without a clock to inject, time.monotonic itself: a method around it adds 50 ns to a hit.
        self._now = time.monotonic if clock is None else clock.monotonic
        # Where no weight, spread or refusal is possible, `set` skips the questions: 70 ns.
        self._is_plain = weigher is None and not jitter and ttl_seconds > 0
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        # The same, until a key comes whose comparison may run Python code.
        self._unlocked = self._entries if _HAS_GIL else None
        self._weight = 0
        self._new_lock()
        self._flights: SingleFlight[Any, V] = SingleFlight()
        self._async_flights: AsyncSingleFlight[Any, V] = AsyncSingleFlight()
        self._hits, self._misses = Tally(), Tally()
        self._count_hit, self._count_miss = self._hits.add, self._misses.add
        self._evictions = self._expirations = self._refusals = 0
        self._loads = LoadCounts(self._now)
        renew_after_fork(self)

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """Return the live value of a key, else `default`; the entry becomes the youngest."""
        entries = self._unlocked
        if entries is not None and (type(key) is str or type(key) is bytes):
            entry = entries.get(key)
            if entry is not None and entry[1] > self._now():
                try:  # noqa: SIM105 - contextlib.suppress takes longer than the whole lookup
                    entries.move_to_end(key)
                except KeyError:
                    pass  # another thread has just removed it; the value is good all the same
                self._count_hit()
                return entry[0]
            self._count_miss()
        else:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None and entry[1] > self._now():
                    self._entries.move_to_end(key)
                    self._count_hit()
                    return entry[0]
                self._count_miss()
        if entry is not None:
            self._expire(key, entry)
        return default

    def set(self, key: K, value: V, ttl: float | None = None) -> None:
        """Store a value as the youngest entry; a load of the key that is under way is not stored.

        A value that is heavier than `max_weight` is not stored, and neither is one whose lifetime
        is 0 or less; what the key held before is removed all the same.

        Args:
            key: Any hashable value.
            value: Anything, None included.
            ttl: Lifetime in seconds; None takes the cache's own.
        """
        if self._flights.by_key or self._async_flights.by_key:
            self._flights.forget(key)
            self._async_flights.forget(key)
        if self._is_plain and ttl is None:
            evicted = self._insert(key, value, self._ttl_seconds, 1, None)
            if evicted:
                self._listener.tell(evicted)
        else:
            self._store(key, value, ttl, None)

    def invalidate(self, key: K) -> bool:
        """Remove an entry, and keep a load of it that is under way from being stored.

        Returns:
            Whether there was a live entry.
        """
        self._flights.forget(key)
        self._async_flights.forget(key)
        return self._remove(key)

    def clear(self) -> None:
        """Remove every entry, and keep loads that are under way from being stored."""
        self._flights.forget_all()
        self._async_flights.forget_all()
        with self._lock:
            removed = list(self._entries.items())
            self._entries.clear()
            self._weight = 0
        self._listener.tell([(key, entry[0], "explicit") for key, entry in removed])

    def purge_expired(self) -> int:
        """Remove what has outlived its lifetime, and return how many entries that were.

        The lock is given up after every 256 entries, so that nobody waits long for it.
        """
        with self._lock:
            keys = list(self._entries)
        expired: list[Eviction] = []
        for start in range(0, len(keys), _PURGE_STEP):
            expired += self._drop_all_expired(keys[start : start + _PURGE_STEP])
        self._listener.tell(expired)
        return len(expired)

    def get_or_load(
        self,
        key: K,
        loader: Callable[[], V],
        *,
        ttl: float | None = None,
        timeout_seconds: float | None = _MAX_WAIT_SECONDS,
    ) -> V:
        """Return the value of a key, and load and store it where it is absent.

        Of all threads that ask for an absent key at once, one runs its loader; the others wait for
        it and get the same value, or the same error. An error is not stored.

        Args:
            key: What is asked for.
            loader: Returns the value. It runs outside of every lock.
            ttl: Lifetime in seconds, counted from the end of the load; None takes the cache's own.
            timeout_seconds: How long to wait for another thread's load; None waits for its end.

        Raises:
            Exception: What the loader raised.
            SdkWorkflowError: If another thread's load did not end in time (`load_timeout`).
            UsageError: If a loader asks for a key whose load waits for it (`load_circle`).
        """
        value = self.get(key, ABSENT)
        if not isinstance(value, Absent):
            return value

        def load(flight: Flight[V]) -> V:
            with self._loads.counted():
                loaded = loader()
            self._store(key, loaded, ttl, flight)
            return loaded

        return self._flights.run(
            key, look=lambda: self._peek(key), load=load, timeout_seconds=timeout_seconds
        )

    async def aget_or_load(
        self, key: K, loader: Callable[[], Awaitable[V]], *, ttl: float | None = None
    ) -> V:
        """Do what `get_or_load` does among the tasks of an event loop.

        The load runs in a task of its own. It goes on when the caller that started it is cancelled,
        and is cancelled with the last caller that waits for it.

        Raises:
            Exception: What the loader raised.
            SdkWorkflowError: If the load was cancelled from outside (`load_interrupted`).
            UsageError: If a loader asks for a key whose load waits for it (`load_circle`).
        """
        value = self.get(key, ABSENT)
        if not isinstance(value, Absent):
            return value

        async def load(flight: Flight[V]) -> V:
            with self._loads.counted():
                loaded = await loader()
            self._store(key, loaded, ttl, flight)
            return loaded

        return await self._async_flights.run(key, look=lambda: self._peek(key), load=load)

    def get_stats(self) -> LRUStats:
        """Return the counts; what was done before the call is in them exactly."""
        with self._lock:
            return LRUStats(
                hits=self._hits.read(),
                misses=self._misses.read(),
                evictions=self._evictions,
                expirations=self._expirations,
                refusals=self._refusals,
                loads=self._loads.finished,
                load_errors=self._loads.errors,
                load_seconds=self._loads.seconds,
                callback_errors=self._listener.error_count,
                weight=self._weight,
                entries=len(self._entries),
            )

    def __len__(self) -> int:
        """Return how many entries there are, expired ones that nobody has asked for included."""
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Return whether a key has a live entry; neither its age nor the counts change."""
        return self._peek(key) is not ABSENT

    def _peek(self, key: K) -> V | Absent:
        with self._lock:
            entry = self._entries.get(key)
        return entry[0] if entry is not None and entry[1] > self._now() else ABSENT

    def _store(self, key: K, value: V, ttl: float | None, flight: Flight[V] | None) -> None:
        lifetime = self._ttl_seconds if ttl is None else ttl
        weight = 1 if self._weigher is None else self._weigh(key, value)
        if not lifetime > 0 or weight > self._max_weight:
            with self._lock:
                self._refusals += 1
            self._remove(key, "weight" if lifetime > 0 else "explicit")
            return
        if self._jitter:
            lifetime *= 1 + self._jitter * (2 * self._random_share() - 1)
        evicted = self._insert(key, value, lifetime, weight, flight)
        if evicted:
            self._listener.tell(evicted)

    def _insert(  # noqa: PLR0917 - the hot path of `set`, where keywords cost
        self, key: K, value: V, lifetime: float, weight: int, flight: Flight[V] | None
    ) -> list[Eviction]:
        evicted: list[Eviction] = []
        entries = self._entries
        self._acquire()  # 60 ns faster than a with statement
        try:
            if flight is not None and not flight.is_wanted:
                return evicted
            if type(key) is not str and type(key) is not bytes:
                self._unlocked = None
            old = entries.get(key)
            entries[key] = (value, self._now() + lifetime, weight)
            if old is not None:
                weight -= old[2]
                entries.move_to_end(key)
            self._weight += weight
            while len(entries) > self._max_size or self._weight > self._max_weight:
                old_key, old = entries.popitem(last=False)
                self._weight -= old[2]
                self._evictions += 1
                if self._listener.listens:
                    reason: EvictReason = "size" if len(entries) >= self._max_size else "weight"
                    evicted.append((old_key, old[0], reason))
        finally:
            self._release()
        return evicted

    def _weigh(self, key: K, value: V) -> int:
        weight = 0 if self._weigher is None else self._weigher(key, value)
        if weight < 0:
            raise UsageError(
                f"The weigher returned {weight!r}, and a weight cannot be negative.",
                hint="Return the size of the entry in whatever unit max_weight has.",
            )
        return weight

    def _remove(self, key: K, reason: EvictReason = "explicit") -> bool:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False
            if entry[1] <= self._now():
                evicted, was_live = self._drop_expired(key, entry), False
            else:
                del self._entries[key]
                self._weight -= entry[2]
                evicted, was_live = (key, entry[0], reason), True
        self._listener.tell([evicted])
        return was_live

    def _expire(self, key: K, entry: _Entry[V]) -> None:
        with self._lock:
            # Another thread may have written a fresh value since: only the same object may go.
            if self._entries.get(key) is not entry:
                return
            expired = self._drop_expired(key, entry)
        self._listener.tell([expired])

    def _drop_all_expired(self, keys: list[K]) -> list[Eviction]:
        with self._lock:
            now = self._now()
            entries = [(key, self._entries.get(key)) for key in keys]
            return [
                self._drop_expired(key, entry)
                for key, entry in entries
                if entry is not None and entry[1] <= now
            ]

    def _drop_expired(self, key: K, entry: _Entry[V]) -> Eviction:
        del self._entries[key]
        self._weight -= entry[2]
        self._expirations += 1
        return key, entry[0], "ttl"

    def _new_lock(self) -> None:
        # Re-entrant: the collector may run a finalizer that calls the cache while it holds the lock.
        self._lock = threading.RLock()
        self._acquire, self._release = self._lock.acquire, self._lock.release

    def renew(self) -> None:
        """Start with free locks and no loads, in a forked process, where their threads are not."""
        self._new_lock()
        for part in (self._flights, self._async_flights, self._hits, self._misses, self._loads):
            part.renew()
        self._weight = sum(entry[2] for entry in self._entries.values())

"""What an `LRUCache` takes and reports: its options, its counts, and why an entry left."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["EvictReason", "Eviction", "EvictionListener", "LRUStats", "LoadCounts", "check_options"]

EvictReason = Literal["size", "weight", "ttl", "explicit"]
"""Why an entry left: too many entries, too much weight, its lifetime, or somebody's order."""

Eviction = tuple[Any, Any, EvictReason]
"""Key, value and reason."""

_logger = logging.getLogger("sdk_workflow.lru_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class LRUStats:
    """What an `LRUCache` has done so far.

    Attributes:
        hits: Lookups that found a live entry.
        misses: Lookups that did not.
        evictions: Entries that left for want of space or weight.
        expirations: Entries that were removed after their lifetime.
        refusals: Values that were not stored: heavier than the whole cache, or without a lifetime.
        loads: Loaders that ran to their end, those that raised included.
        load_errors: Loaders that raised or were cancelled.
        load_seconds: What all loaders took together.
        callback_errors: Calls of `on_evict` that raised.
        weight: The sum of the weights of all entries.
        entries: How many entries there are, expired ones that nobody has asked for included.

    Example:
        >>> from sdk_workflow.core.lru_cache import LRUCache
        >>> cache: LRUCache[str, int] = LRUCache()
        >>> cache.set("one", 1)
        >>> _ = cache.get("one"), cache.get("two")
        >>> cache.get_stats().hit_rate
        0.5
    """

    hits: int
    misses: int
    evictions: int
    expirations: int
    refusals: int
    loads: int
    load_errors: int
    load_seconds: float
    callback_errors: int
    weight: int
    entries: int

    @property
    def hit_rate(self) -> float:
        """The share of lookups that were hits, 0..1; 0 before the first lookup."""
        return self.hits / ((self.hits + self.misses) or 1)


class EvictionListener:
    """Tells a callback of entries that left, and contains what it raises.

    Args:
        callback: Gets key, value and reason; None listens to nothing.
    """

    __slots__ = ("_callback", "error_count", "listens")

    def __init__(self, callback: Callable[[Any, Any, EvictReason], object] | None) -> None:
        self._callback = callback
        self.listens = callback is not None
        self.error_count = 0

    def tell(self, evictions: Iterable[Eviction]) -> None:
        """Hand over what left; to be called without holding a lock."""
        if self._callback is None:
            return
        for eviction in evictions:
            try:
                self._callback(*eviction)
            except Exception:
                if not self.error_count:
                    _logger.warning("on_evict failed; later failures are counted.", exc_info=True)
                self.error_count += 1


class LoadCounts:
    """Counts loads and the time that they take.

    Args:
        now: Where seconds come from.
    """

    __slots__ = ("_lock", "_now", "errors", "finished", "seconds")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.finished = self.errors = 0
        self.seconds = 0.0
        self.renew()

    @contextmanager
    def counted(self) -> Generator[None, None, None]:
        """Count the block as one load, and as an error where it raises or is cancelled."""
        started, failed = self._now(), 1
        try:
            yield
            failed = 0
        finally:
            with self._lock:
                self.finished += 1
                self.errors += failed
                self.seconds += self._now() - started

    def renew(self) -> None:
        """Start with a free lock."""
        self._lock = threading.Lock()


def check_options(
    max_size: int, jitter: float, max_weight: int | None, *, has_weigher: bool
) -> None:
    """Refuse options that no cache can keep.

    Raises:
        UsageError: If one of them is out of its range.
    """
    if max_size < 1:
        raise UsageError(
            f"max_size is {max_size!r}, and a cache holds at least one entry.",
            hint="Use no cache at all where nothing is to be kept.",
        )
    if not 0 <= jitter <= 1:
        raise UsageError(
            f"jitter is {jitter!r}, and it is a share of the lifetime.",
            hint="Pass a number from 0 (none) to 1, such as 0.1 for +-10 %.",
        )
    if max_weight is not None and not has_weigher:
        raise UsageError(
            f"max_weight is {max_weight!r}, but nothing says what an entry weighs.",
            hint="Pass a weigher too: a function of the key and the value.",
        )

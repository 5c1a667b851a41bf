"""Counts what the response caches did and saved; it holds numbers and names of rules, never text."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Literal, TypedDict

from sdk_workflow.core.forks import renew_after_fork
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.types import CacheHit, CacheTier

__all__ = ["CacheCounts", "CacheReport", "CallOutcome", "TierReport"]

CallOutcome = Literal["hit", "miss", "skipped"]
"""What the caches made of a call: answered it, did not, or were not allowed to."""


class TierReport(TypedDict):
    """What one tier did.

    `miss_reasons` counts why a lookup was no hit ("absent", "below_threshold", names of vetoes),
    `skipped` which rules kept calls out of the tier. `saved_usd` leaves out what has no price.
    """

    hits: int
    misses: int
    skipped: dict[str, int]
    miss_reasons: dict[str, int]
    hit_rate: float
    saved_tokens: int
    saved_usd: float
    mean_hit_age_seconds: float | None
    reported_wrong: int
    entries: int


class CacheReport(TypedDict):
    """What the response caches did since they were made.

    `hits` and `misses` count calls, not lookups: a call that the exact tier missed and the
    semantic one answered is a hit. A call that no tier may answer is `skipped`. `hit_rate` is
    hits / (hits + misses). `vetoes` are the semantic tier's refusals of a close question, by rule.
    `not_stored` counts replies that were not kept, by reason. `breaker` is the state of the
    semantic tier's breaker; None without that tier.
    """

    hits: int
    misses: int
    skipped: int
    hit_rate: float
    shared: int
    stored: int
    not_stored: dict[str, int]
    vetoes: dict[str, int]
    saved_tokens: int
    saved_usd: float
    oldest_entry_seconds: float | None
    breaker: str | None
    dropped_records: int
    refused_files: int
    tiers: dict[CacheTier, TierReport]


class CacheCounts:
    """The counts of a `CacheManager`; safe for threads, and exact.

    Example:
        >>> counts = CacheCounts()
        >>> counts.note_miss("lru", "absent")
        >>> counts.note_call("miss")
        >>> counts.report(entries={"lru": 0}, oldest_entry_seconds=None, breaker=None)["misses"]
        1
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[CallOutcome] = Counter()
        self._tiers: dict[CacheTier, _TierCounts] = {
            "lru": _TierCounts(),
            "semantic": _TierCounts(),
        }
        self._vetoes: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._shared = self._stored = self._dropped_records = self._refused_files = 0
        renew_after_fork(self)

    def renew(self) -> None:
        """Start with a free lock in a forked process."""
        self._lock = threading.Lock()

    def note_call(self, outcome: CallOutcome, *, shared: bool = False) -> None:
        """Count a call by what the caches made of it; `shared` is an answer it only waited for."""
        with self._lock:
            self._calls[outcome] += 1
            self._shared += shared

    def note_hit(self, hit: CacheHit) -> None:
        """Count an answer that a tier gave."""
        with self._lock:
            self._tiers[hit.tier].add(hit)

    def note_miss(self, tier: CacheTier, reason: str, *, is_veto: bool = False) -> None:
        """Count a lookup that found nothing to serve."""
        with self._lock:
            self._tiers[tier].misses[reason] += 1
            if is_veto:
                self._vetoes[reason] += 1

    def note_skip(self, tier: CacheTier, reason: str) -> None:
        """Count a call that a rule kept out of a tier."""
        with self._lock:
            self._tiers[tier].skipped[reason] += 1

    def note_stored(self) -> None:
        """Count a reply that was kept."""
        with self._lock:
            self._stored += 1

    def note_not_stored(self, reason: str) -> None:
        """Count a reply that was not kept."""
        with self._lock:
            self._not_stored[reason] += 1

    def note_wrong(self, tier: CacheTier) -> None:
        """Count a hit that somebody found wrong."""
        with self._lock:
            self._tiers[tier].reported_wrong += 1

    def note_dropped_records(self, count: int) -> None:
        """Count damaged records of a cache file."""
        with self._lock:
            self._dropped_records += count

    def note_refused_file(self) -> None:
        """Count a cache file that could not be used."""
        with self._lock:
            self._refused_files += 1

    def report(
        self,
        *,
        entries: Mapping[CacheTier, int],
        oldest_entry_seconds: float | None,
        breaker: str | None,
    ) -> CacheReport:
        """Return all counts at one moment.

        Args:
            entries: How many entries each tier that is there holds.
            oldest_entry_seconds: The age of the oldest entry; None where there is none.
            breaker: The state of the semantic tier's breaker.
        """
        with self._lock:
            hits, misses = self._calls["hit"], self._calls["miss"]
            tiers = {tier: self._tiers[tier].report(count) for tier, count in entries.items()}
            return CacheReport(
                hits=hits,
                misses=misses,
                skipped=self._calls["skipped"],
                hit_rate=hits / ((hits + misses) or 1),
                shared=self._shared,
                stored=self._stored,
                not_stored=dict(self._not_stored),
                vetoes=dict(self._vetoes),
                saved_tokens=sum(tier.saved_tokens for tier in self._tiers.values()),
                saved_usd=sum((tier.saved for tier in self._tiers.values()), Money()).usd,
                oldest_entry_seconds=oldest_entry_seconds,
                breaker=breaker,
                dropped_records=self._dropped_records,
                refused_files=self._refused_files,
                tiers=tiers,
            )


class _TierCounts:
    """The counts of one tier; its owner locks."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.saved_tokens = 0
        self.saved = Money()
        self.age_seconds = 0.0
        self.reported_wrong = 0

    def add(self, hit: CacheHit) -> None:
        self.hits += 1
        self.saved_tokens += hit.usage.prompt_tokens + hit.usage.output_tokens
        self.saved += hit.saved or Money()
        self.age_seconds += hit.age_seconds

    def report(self, entries: int) -> TierReport:
        misses = self.misses.total()
        return TierReport(
            hits=self.hits,
            misses=misses,
            skipped=dict(self.skipped),
            miss_reasons=dict(self.misses),
            hit_rate=self.hits / ((self.hits + misses) or 1),
            saved_tokens=self.saved_tokens,
            saved_usd=self.saved.usd,
            mean_hit_age_seconds=self.age_seconds / self.hits if self.hits else None,
            reported_wrong=self.reported_wrong,
            entries=entries,
        )

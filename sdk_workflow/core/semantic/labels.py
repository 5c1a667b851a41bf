"""What became of hits: which pair a hit id names, and what labels say about each scope.

Locks for itself, because labels come from other threads than lookups, and much later. What takes
long, which is to learn, has a lock of its own that no lookup waits for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.ids import new_id
from sdk_workflow.core.semantic.calibrator import Calibrator
from sdk_workflow.core.semantic.feedback import Breaker, LabelWindow
from sdk_workflow.exceptions import StorageError, UsageError

if TYPE_CHECKING:
    from sdk_workflow.core.semantic.feedback import BreakerState, FalseHitRate
    from sdk_workflow.core.semantic.guard import PreparedText
    from sdk_workflow.core.semantic.scopes import Entry
    from sdk_workflow.protocols import Clock

__all__ = ["FeedbackPolicy", "Labels", "Pair"]

_MAX_PAIRS = 10_000
_MAX_SCOPES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackPolicy:
    """How many wrong answers are accepted, and what is done to notice them.

    Attributes:
        error_budget: The share of similar hits that may be wrong, above 0 and below 1.
        shadow_share: The share of similar hits that `lookup` turns into VERIFY, so that the fresh
            answer labels the pair; 0 for none, 0.01 to 0.05 are usual.
        cool_down_seconds: How long a scope serves nothing similar once it broke the budget, before
            new labels may clear it.

    Raises:
        UsageError: If one of them is out of its range.

    Example:
        >>> FeedbackPolicy(shadow_share=0.05).error_budget
        0.05
    """

    error_budget: float = 0.05
    shadow_share: float = 0.02
    cool_down_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        is_good = 0 < self.error_budget < 1 and 0 <= self.shadow_share <= 1
        if not is_good or not self.cool_down_seconds >= 0:
            raise UsageError(
                f"No feedback goes by {self!r}.",
                hint="Give an error_budget above 0 and below 1, a shadow_share from 0 to 1, and a "
                "cool_down_seconds of 0 or more.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question and the stored text that answered it, or nearly did.

    `similarity` is None where both are the same text: then a label says nothing about matching.
    """

    entry: Entry
    question: PreparedText | None = None
    similarity: float | None = None


class Labels:
    """The pairs that may still be labelled, and the breaker of each scope.

    Args:
        policy: What is accepted.
        calibrator: Learns from every label; None starts with an empty one.
        clock: Where the time comes from.
    """

    def __init__(self, policy: FeedbackPolicy, calibrator: Calibrator | None, clock: Clock) -> None:
        self._policy = policy
        self._calibrator = calibrator or Calibrator()
        self._calibrator_tag: str | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._learning = threading.Lock()
        self._pairs: OrderedDict[str, Pair] = OrderedDict()
        self._prefix, self._next_id = new_id("hit", length=12), 0
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()
        self._window = LabelWindow()

    def remember(self, pair: Pair) -> str:
        """Return the id under which a pair can be labelled; the last 10,000 are known."""
        with self._lock:
            self._next_id += 1
            hit_id = f"{self._prefix}_{self._next_id}"
            self._pairs[hit_id] = pair
            if len(self._pairs) > _MAX_PAIRS:
                self._pairs.popitem(last=False)
        return hit_id

    def settle(self, hit_id: str, *, is_error: bool) -> Pair | None:
        """Count a label of a pair, once; return it, or None where the id is not known (any more)."""
        with self._lock:
            pair = self._pairs.pop(hit_id, None)
            if pair is not None and pair.similarity is not None:
                self._window.add(is_error=is_error)
                self._breaker(pair.entry.scope).add(is_error=is_error)
        return pair

    def learn(self, pair: Pair, *, is_error: bool) -> None:
        """Teach the calibrator the label of a pair, which may take 25 ms; lookups go on meanwhile."""
        if pair.question is None or pair.similarity is None:
            return
        with self._learning:
            self._calibrator.learn(
                pair.question, pair.entry.prepared, pair.similarity, is_same=not is_error
            )

    def probability(self, question: PreparedText, entry: Entry, similarity: float) -> float | None:
        """Return how likely it is that both texts want the same answer; None if nobody knows."""
        # No lock: a fit ends by putting new weights in place of the old ones, in one step.
        return self._calibrator.probability(question, entry.prepared, similarity)

    def calibrator_json(self) -> str:
        """Return what the calibrator has learnt."""
        with self._learning:
            return self._calibrator.to_json()

    def restore_calibrator(self, text: str, tag: str, *, known_tag: str | None) -> None:
        """Take over what a calibrator had learnt from the cosines of the embedder named `tag`.

        Raises:
            StorageError: If it cannot be read, or is not from the embedder named `known_tag`.
        """
        if known_tag not in {None, tag}:
            raise StorageError(
                f"The saved calibrator has learnt from the cosines of {tag!r}, and the vectors here "
                f"are those of {known_tag!r}.",
                hint="Leave it out: the calibrator starts afresh and learns from the next labels.",
            )
        restored = Calibrator.from_json(text)
        with self._lock:
            self._calibrator, self._calibrator_tag = restored, tag

    def adopt_tag(self, tag: str) -> None:
        """Start afresh where the restored calibrator knows the cosines of another embedder."""
        if self._calibrator_tag in {None, tag}:
            return
        with self._lock:
            self._calibrator, self._calibrator_tag = Calibrator(), None

    def is_tripped(self, scope: str) -> bool:
        """Return whether nothing similar may be served in a scope."""
        breaker = self._breakers.get(scope)
        return breaker is not None and breaker.state != "closed"

    def states(self) -> list[BreakerState]:
        """Return the state of every scope's breaker that is not closed."""
        with self._lock:
            states = [breaker.state for breaker in self._breakers.values()]
        return [state for state in states if state != "closed"]

    def rate(self) -> FalseHitRate:
        """Return the error rate of all scopes together."""
        with self._lock:
            return self._window.rate(self._policy.error_budget)

    def renew(self) -> None:
        """Start with free locks in a forked process."""
        self._lock = threading.Lock()
        self._learning = threading.Lock()

    def _breaker(self, scope: str) -> Breaker:
        breaker = self._breakers.pop(scope, None)
        if breaker is None:
            breaker = Breaker(
                self._clock,
                error_budget=self._policy.error_budget,
                cool_down_seconds=self._policy.cool_down_seconds,
            )
        self._breakers[scope] = breaker
        if len(self._breakers) > _MAX_SCOPES:
            self._breakers.popitem(last=False)
        return breaker

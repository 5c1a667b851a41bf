"""What a semantic lookup says, and the one rule by which it decides. Holds no state and no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.core.semantic.feedback import FalseHitRate

__all__ = [
    "MatchExplanation",
    "Outcome",
    "SemanticEntry",
    "SemanticStats",
    "check_options",
    "decide",
    "reasons_of",
]

Outcome = Literal["HIT", "VERIFY", "MISS"]
"""Serve the answer; ask the model, whose fresh answer labels the pair; or just ask the model."""

_FLOOR = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchExplanation:
    """What a lookup found, and why it may be served or not.

    Attributes:
        outcome: What to do.
        reason: "exact" or "similar" for a hit. Else "absent", "below_threshold", "too_long",
            "no_vector" (the encoder is missing, late or failed), "removed" (by another thread
            meanwhile), the rule that vetoed, "probability", "breaker" or "shadow".
        threshold: The cosine that a text has to reach.
        hit_id: Names the pair for `report_wrong` and `report_right`; None at a miss.
        response: What to serve at a hit, or to compare with at VERIFY; None at a miss.
        similarity: Cosine of the nearest text of the scope; 1 where it is the same text; None
            where none was looked for or found.
        probability: The calibrator's, that both texts want the same answer; None where it was not
            asked or has too few labels.
        veto: The rule that spoke against serving the nearest text.
        age_seconds: How long ago the nearest text was stored.
        matched_text: The nearest text.
    """

    outcome: Outcome
    reason: str
    threshold: float
    hit_id: str | None = None
    response: Any = field(default=None, repr=False)
    similarity: float | None = None
    probability: float | None = None
    veto: str | None = None
    age_seconds: float | None = None
    matched_text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticEntry:
    """One stored text as it may be written down; times are wall time, seconds since the epoch.

    `vector` is the text's float32 numbers in native byte order; None where there are none.
    """

    scope: str
    text: str = field(repr=False)
    response: Any = field(repr=False)
    vector: bytes | None = field(repr=False)
    created: float
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticStats:
    """What a `SemanticCache` has done so far.

    Attributes:
        exact_hits: Lookups answered by the same text.
        similar_hits: Lookups answered by another text.
        verifications: Lookups that ended with VERIFY, by reason.
        misses: Lookups that ended with MISS, by reason; vetoes are among them by their rule.
        entries: How many texts there are, expired ones that nobody has come near to included.
        scopes: How many scopes they belong to.
        evictions: Texts that left for want of space.
        expirations: Texts that were removed after their lifetime.
        reported_wrong: Hits that were reported wrong.
        encoder: How often the encoder gave a vector, and how often not, by reason.
        false_hits: The error rate of all scopes together, as far as it is known.
        tripped_scopes: Scopes in which nothing similar is served at present.
        breaker: "open" where any scope is tripped, "half_open" where one is on trial, else "closed".
    """

    exact_hits: int
    similar_hits: int
    verifications: Mapping[str, int]
    misses: Mapping[str, int]
    entries: int
    scopes: int
    evictions: int
    expirations: int
    reported_wrong: int
    encoder: Mapping[str, int]
    false_hits: FalseHitRate
    tripped_scopes: int
    breaker: str


def decide(
    *,
    similarity: float,
    threshold: float,
    veto: str | None,
    probability: float | None,
    error_budget: float,
    is_tripped: bool,
) -> tuple[Outcome, str]:
    """Return what to do about the nearest text, and the reason.

    A veto ends it: the next best text is never looked at, because falling through to it served
    more wrong answers in every measurement.

    Example:
        >>> decide(similarity=0.97, threshold=0.95, veto="number", probability=None,
        ...        error_budget=0.05, is_tripped=False)
        ('MISS', 'number')
    """
    if similarity < threshold:
        return "MISS", "below_threshold"
    if veto is not None:
        return "MISS", veto
    if probability is not None and probability < 1 - error_budget:
        return "VERIFY", "probability"
    if is_tripped:
        return "VERIFY", "breaker"
    return "HIT", "similar"


def reasons_of(wanted: Outcome, counts: Mapping[tuple[Outcome, str], int]) -> dict[str, int]:
    """Return how often lookups ended with one outcome, by reason."""
    return {reason: count for (outcome, reason), count in counts.items() if outcome == wanted}


def check_options(similarity_threshold: float, max_entries: int) -> None:
    """Refuse options that no cache can go by.

    Raises:
        UsageError: If one of them is out of its range.
    """
    if not _FLOOR <= similarity_threshold <= 1:
        raise UsageError(
            f"similarity_threshold is {similarity_threshold!r}; below {_FLOOR} texts of other "
            "meanings come near, and above 1 nothing does.",
            hint=f"Pass a number from {_FLOOR} to 1; 0.95 is the usual one.",
        )
    if max_entries < 1:
        raise UsageError(
            f"max_entries is {max_entries!r}, and a cache holds at least one entry.",
            hint="Use no cache at all where nothing is to be kept.",
        )

"""What a semantic lookup says, and the one rule by which it decides. Holds no state and no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.core.semantic.guard import measure_overlap
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sdk_workflow.core.semantic.feedback import BreakerState, FalseHitRate
    from sdk_workflow.core.semantic.guard import PreparedText
    from sdk_workflow.core.semantic.scopes import Entry, ScopeTable

__all__ = [
    "Candidate",
    "MatchExplanation",
    "Outcome",
    "SemanticEntry",
    "SemanticStats",
    "check_options",
    "check_shares",
    "choose",
    "collect_stats",
    "decide",
]

Outcome = Literal["HIT", "VERIFY", "MISS"]
"""Serve the answer; ask the model, whose fresh answer labels the pair; or just ask the model."""

_FLOOR = 0.90
"""Already here one answer in ten that passes the guard is wrong: 70 of 672 Quora pairs."""
_FLOOR_WITHOUT_GUARDS = 0.50


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchExplanation:
    """What a lookup found, and why it may be served or not.

    Attributes:
        outcome: What to do.
        reason: "exact" or "similar" for a hit. Else "absent", "below_threshold", "too_long",
            "no_vector" (the encoder is missing, late or failed), "removed" (by another thread
            meanwhile), the rule that vetoed, "margin", "probability", "breaker" or "shadow".
        threshold: The cosine that a text has to reach.
        hit_id: Names the pair for `report_wrong` and `report_right`; None at a miss.
        response: What to serve at a hit, or to compare with at VERIFY; None at a miss.
        similarity: Cosine of the chosen text, which is the nearest one of the scope unless the
            overlap ranks another one higher; 1 where it is the same text; None where none was
            looked for or found.
        overlap: The part of the concepts that the chosen text shares; None where no weight asks
            for it.
        margin: By how much the chosen text leads the best one with another answer; None where no
            margin is asked for, or no such text is among the nearest.
        probability: The calibrator's, that both texts want the same answer; None where it was not
            asked or has too few labels.
        veto: The rule that spoke against serving the chosen text.
        age_seconds: How long ago the chosen text was stored.
        matched_text: The chosen text.
    """

    outcome: Outcome
    reason: str
    threshold: float
    hit_id: str | None = None
    response: Any = field(default=None, repr=False)
    similarity: float | None = None
    overlap: float | None = None
    margin: float | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The one stored text that may be served, and what is known of it: see `MatchExplanation`."""

    entry: Entry
    cosine: float
    overlap: float | None = None
    margin: float | None = None

    def explained(
        self,
        verdict: tuple[Outcome, str],
        threshold: float,
        now: float,
        *,
        veto: str | None = None,
        probability: float | None = None,
    ) -> MatchExplanation:
        """Return what a lookup says that chose this text; `now` is wall time."""
        outcome, reason = verdict
        return MatchExplanation(
            outcome=outcome,
            reason=reason,
            threshold=threshold,
            response=None if outcome == "MISS" else self.entry.response,
            similarity=min(self.cosine, 1.0),
            overlap=self.overlap,
            margin=self.margin,
            probability=probability,
            veto=veto,
            age_seconds=now - self.entry.created,
            matched_text=self.entry.text,
        )


def choose(
    question: PreparedText,
    found: Sequence[tuple[Entry, float]],
    *,
    overlap_weight: float,
    has_margin: bool,
) -> Candidate:
    """Return the text with the best score: its cosine and the weighted overlap with the question.

    Args:
        question: What was asked.
        found: The nearest texts with their cosines, nearest first; at least one.
        overlap_weight: What a full overlap adds to the cosine; 0 takes the nearest text.
        has_margin: Whether to look for the best text with another answer; answers are told apart
            by `==`.
    """
    if not overlap_weight and not has_margin:
        entry, cosine = found[0]
        return Candidate(entry=entry, cosine=cosine)
    overlaps: list[float | None] = [None] * len(found)
    scores = [cosine for _, cosine in found]
    if overlap_weight:
        shared = [measure_overlap(question, entry.prepared) for entry, _ in found]
        scores = [
            cosine + overlap_weight * part for cosine, part in zip(scores, shared, strict=True)
        ]
        overlaps = [*shared]
    best = scores.index(max(scores))
    entry, cosine = found[best]
    margin = None
    if has_margin:
        rivals = [
            score
            for score, (other, _) in zip(scores, found, strict=True)
            if other is not entry and other.response != entry.response
        ]
        margin = scores[best] - max(rivals) if rivals else None
    return Candidate(entry=entry, cosine=cosine, overlap=overlaps[best], margin=margin)


def decide(
    *,
    similarity: float,
    threshold: float,
    veto: str | None,
    margin: float | None,
    min_margin: float,
    probability: float | None,
    error_budget: float,
    is_tripped: bool,
) -> tuple[Outcome, str]:
    """Return what to do about the chosen text, and the reason.

    A veto ends it: the next best text is never looked at, because falling through to it served
    more wrong answers in every measurement.

    Example:
        >>> decide(similarity=0.97, threshold=0.95, veto="number", margin=None, min_margin=0.0,
        ...        probability=None, error_budget=0.05, is_tripped=False)
        ('MISS', 'number')
    """
    if similarity < threshold:
        return "MISS", "below_threshold"
    if veto is not None:
        return "MISS", veto
    if margin is not None and margin < min_margin:
        return "MISS", "margin"
    if probability is not None and probability < 1 - error_budget:
        return "VERIFY", "probability"
    if is_tripped:
        return "VERIFY", "breaker"
    return "HIT", "similar"


def collect_stats(
    outcomes: Mapping[tuple[Outcome, str], int],
    table: ScopeTable,
    encoder: Mapping[str, int],
    *,
    reported_wrong: int,
    false_hits: FalseHitRate,
    states: Collection[BreakerState],
) -> SemanticStats:
    """Return the counts of all parts together; `states` are the breakers that are not closed."""
    return SemanticStats(
        exact_hits=outcomes.get(("HIT", "exact"), 0),
        similar_hits=outcomes.get(("HIT", "similar"), 0),
        verifications=_reasons_of("VERIFY", outcomes),
        misses=_reasons_of("MISS", outcomes),
        entries=len(table),
        scopes=table.scope_count,
        evictions=table.evictions,
        expirations=table.expirations,
        reported_wrong=reported_wrong,
        encoder={**encoder, "index_failed": table.index_failures},
        false_hits=false_hits,
        tripped_scopes=len(states),
        breaker="open" if "open" in states else "half_open" if states else "closed",
    )


def _reasons_of(wanted: Outcome, counts: Mapping[tuple[Outcome, str], int]) -> dict[str, int]:
    return {reason: count for (outcome, reason), count in counts.items() if outcome == wanted}


def check_options(similarity_threshold: float, max_entries: int, *, guards: bool) -> None:
    """Refuse options that no cache can go by.

    Raises:
        UsageError: If one of them is out of its range.
    """
    floor = _FLOOR if guards else _FLOOR_WITHOUT_GUARDS
    if not floor <= similarity_threshold <= 1:
        raise UsageError(
            f"similarity_threshold is {similarity_threshold!r}; below {floor} texts of other "
            "meanings come near, and above 1 nothing does.",
            hint=f"Pass a number from {_FLOOR} to 1; 0.95 is the usual one. Only guards=False "
            f"takes one down to {_FLOOR_WITHOUT_GUARDS}, at your own risk of wrong answers.",
        )
    if max_entries < 1:
        raise UsageError(
            f"max_entries is {max_entries!r}, and a cache holds at least one entry.",
            hint="Use no cache at all where nothing is to be kept.",
        )


def check_shares(**shares: float) -> None:
    """Refuse what is no part of a cosine.

    Raises:
        UsageError: If one is not from 0 to 1.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(
                f"{name} is {share!r}, and no two cosines worth a match differ by that.",
                hint=f"Pass a {name} from 0, which leaves it out, to 1.",
            )

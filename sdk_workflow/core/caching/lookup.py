"""What a lookup found: the values that travel between the manager and whoever asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.core.caching.analytics import CallOutcome
    from sdk_workflow.core.caching.request_key import RequestKey
    from sdk_workflow.core.caching.stored_reply import StoredReply
    from sdk_workflow.core.semantic.matches import MatchExplanation
    from sdk_workflow.types import CacheHit, CacheTier, Call, Reply

__all__ = ["OFF", "CacheExplanation", "CacheLookup", "SharedAnswer", "ToCheck"]

OFF = "off"
"""The reason of a tier that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCheck:
    """A stored answer to a similar question, which the model's fresh answer shows right or wrong."""

    hit_id: str
    stored: StoredReply


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAnswer:
    """What a call came to, for those who waited for it; `hit` is set where a cache answered it."""

    stored: StoredReply
    hit: CacheHit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLookup:
    """What one tier said about one call.

    Attributes:
        call: The call.
        tier: The tier that was asked.
        outcome: Whether it answered, did not, or was not allowed to.
        key: The call's key; None where no tier may know the call.
        reason: Why it is no hit: "absent", "below_threshold", a veto or a rule. Never text.
        is_veto: Whether a question came near enough and a rule spoke against it.
        reply: The answer of a hit.
        stored: What the answer of a hit was made of.
        to_check: A pair that the fresh answer labels.
    """

    call: Call
    tier: CacheTier
    outcome: CallOutcome
    key: RequestKey | None = None
    reason: str | None = None
    is_veto: bool = False
    reply: Reply | None = None
    stored: StoredReply | None = None
    to_check: ToCheck | None = None

    @property
    def is_off(self) -> bool:
        """Whether the tier is not there at all, so that there is nothing to tell of."""
        return self.reason == OFF

    @property
    def is_open(self) -> bool:
        """Whether the call may be answered from a cache, and has not been so far."""
        return self.key is not None and self.reply is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheExplanation:
    """What the tiers would make of a request, and why; nothing was counted or served.

    Attributes:
        key: The request's key; None where no tier may know it.
        exact_refusal: The rule that keeps it out of every tier.
        exact: The reply that the exact tier holds.
        age_seconds: The age of that reply.
        semantic_refusal: The rule that keeps it out of the semantic tier.
        match: What the semantic tier says about its text, with every number.
    """

    key: RequestKey | None
    exact_refusal: str | None = None
    exact: StoredReply | None = None
    age_seconds: float | None = None
    semantic_refusal: str | None = None
    match: MatchExplanation | None = None

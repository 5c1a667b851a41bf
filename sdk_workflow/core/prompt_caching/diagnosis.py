"""Says what the prompt cache did for a call, and why it did not do more.

Sources, the surest first: the API's own diagnostics, the books of the reply, and what the optimiser
remembers of earlier calls. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.core.prompt_caching.records import Plan
    from sdk_workflow.core.prompt_caching.trails import Change, Comparison
    from sdk_workflow.types import Usage

__all__ = ["CacheDiagnosis", "CacheReason", "diagnose"]

CacheReason = Literal[
    "hit",
    "below_minimum",
    "not_worth_it",
    "first_sight",
    "expired",
    "prefix_moved",
    "not_yet_readable",
    "model_changed",
    "parameters_changed",
    "unavailable",
    "entry_gone",
]
"""Why a call read what it read."""

PromptPart = Literal["tools", "system", "messages"]

_SENTENCES: dict[CacheReason, str] = {
    "hit": "Everything that earlier calls left in the cache was read.",
    "below_minimum": "The prompt is shorter than the shortest prefix that the model caches.",
    "not_worth_it": "No breakpoint was set: by the gaps seen so far, writing would cost more.",
    "first_sight": "Nothing of the prompt had been sent before.",
    "expired": "Entries had expired: the last call was too long ago.",
    "prefix_moved": "The prompt changed in a part that should stay the same.",
    "not_yet_readable": "A call with the same prefix had not begun to answer yet.",
    "model_changed": "The last call went to another model or speed.",
    "parameters_changed": "A setting changed that the cached prompt depends on: the tool choice, "
    "thinking, effort, the output format, or whether there are images or citations.",
    "unavailable": "The API could not compare the call with the one before.",
    "entry_gone": "The entry was not found: earlier messages differ, or the API dropped it.",
}
_BY_DIAGNOSTICS: dict[str, tuple[CacheReason, PromptPart | None]] = {
    "model_changed": ("model_changed", None),
    "tools_changed": ("prefix_moved", "tools"),
    "system_changed": ("prefix_moved", "system"),
    "messages_changed": ("prefix_moved", "messages"),
    "previous_message_not_found": ("unavailable", None),
    "unavailable": ("unavailable", None),
}
_BY_CHANGE: dict[Change, tuple[CacheReason, PromptPart | None]] = {
    "model": ("model_changed", None),
    "tools": ("prefix_moved", "tools"),
    "system": ("prefix_moved", "system"),
    "parameters": ("parameters_changed", None),
    "messages": ("prefix_moved", "messages"),
}
# Sizes are estimates; a miss of one tier is far larger than their error.
_HIT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDiagnosis:
    """What was read, written and missed, in tokens, and why.

    Attributes:
        reason: Why no more was read.
        read_tokens: Read from the cache.
        written_tokens: Written for later calls.
        uncached_tokens: Neither.
        missed_tokens: In the cache when the call before had been answered, and paid for all the
            same. Taken from that reply's books, or from the API's diagnostics; an estimate only
            where no earlier reply of the conversation was explained.
        part: Where the prompt moved.
        explanation: One sentence, without any text of the prompt.
    """

    reason: CacheReason
    read_tokens: int
    written_tokens: int
    uncached_tokens: int
    missed_tokens: int = 0
    part: PromptPart | None = None

    @property
    def explanation(self) -> str:
        """The reason as a sentence."""
        where = "" if self.part is None else f" It was the {self.part}."
        return _SENTENCES[self.reason] + where


def diagnose(
    usage: Usage,
    plan: Plan | None,
    *,
    comparison: Comparison | None = None,
    moved_part: PromptPart | None = None,
    diagnostics: Mapping[str, Any] | None = None,
) -> CacheDiagnosis:
    """Explain the books of one reply.

    Args:
        usage: The books.
        plan: What the optimiser expected; None where it never saw the call.
        comparison: What an earlier reply of the conversation had left in the cache.
        moved_part: What differs from the conversation's last call, where the plan says that
            something does.
        diagnostics: The API's `diagnostics` of the reply.
    """
    written = usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens
    read = usage.cache_read_input_tokens
    reason: CacheReason
    part: PromptPart | None
    if comparison is not None and comparison.left_tokens:
        missed = max(0, comparison.left_tokens - read)
        reason, part = _compared(comparison, plan) if missed else ("hit", None)
    else:
        reason = _reason(usage, plan)
        part = moved_part if reason == "prefix_moved" else None
        expected = 0 if plan is None else plan.expected_read_tokens
        missed = max(0, expected - read) if read < expected * _HIT_SHARE else 0
    told = (diagnostics or {}).get("cache_miss_reason") or {}
    if told.get("type") in _BY_DIAGNOSTICS:
        reason, part = _BY_DIAGNOSTICS[told["type"]]
        missed = told.get("cache_missed_input_tokens", missed)
    return CacheDiagnosis(
        reason=reason,
        read_tokens=read,
        written_tokens=written,
        uncached_tokens=usage.input_tokens,
        missed_tokens=missed,
        part=part,
    )


def _compared(comparison: Comparison, plan: Plan | None) -> tuple[CacheReason, PromptPart | None]:
    """Return why something was missed that an earlier reply had left."""
    if comparison.change is not None:
        return _BY_CHANGE[comparison.change]
    if comparison.is_late:
        return "expired", None
    if plan is not None and plan.cold_reason == "not_worth_it":
        return "not_worth_it", None
    return "entry_gone", None


def _reason(usage: Usage, plan: Plan | None) -> CacheReason:
    read = usage.cache_read_input_tokens
    if plan is None:
        return "hit" if read else "first_sight"
    cold, expected = plan.cold_reason, plan.expected_read_tokens
    is_as_expected = read > 0 and read >= expected * _HIT_SHARE
    if is_as_expected and (cold in {None, "not_yet_readable"} or not expected):
        return "hit"
    return cold or "entry_gone"

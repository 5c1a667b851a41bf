"""Compares a prompt with an earlier one: where they part, and what the API's diagnostics say of it.

Remembers the prompts of answered requests, a bounded number of blocks in all: digests and labels.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.records import Divergence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.simulator.prompt import Prompt
    from sdk_workflow.simulator.records import Position

__all__ = ["Fingerprint", "FingerprintStore", "cache_miss_reason", "divergence"]

_TIERS = ("tools", "system", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is remembered of a request; `cached_tokens` is the prefix that it left in the cache."""

    message_id: str
    workspace: str
    prompt: Prompt
    cached_tokens: int

    @property
    def conversation(self) -> tuple[str, str]:
        """What requests of one conversation have in common: workspace and first message."""
        first = next((p for p in self.prompt.positions if p.tier == "messages"), None)
        return self.workspace, first.digest if first is not None else ""


class FingerprintStore:
    """The prompts of earlier requests, by response and by conversation.

    Args:
        max_positions: Beyond this many blocks in all, the oldest prompts are forgotten.
    """

    def __init__(self, *, max_positions: int = 50_000) -> None:
        self._max_positions = max_positions
        self._positions = 0
        self._by_message: OrderedDict[str, Fingerprint] = OrderedDict()
        self._latest: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        """Return how many requests are remembered."""
        return len(self._by_message)

    def add(self, fingerprint: Fingerprint) -> None:
        """Remember a request."""
        self._by_message[fingerprint.message_id] = fingerprint
        self._latest[fingerprint.conversation] = fingerprint.message_id
        self._positions += len(fingerprint.prompt.positions)
        while self._positions > self._max_positions and len(self._by_message) > 1:
            name, oldest = self._by_message.popitem(last=False)
            self._positions -= len(oldest.prompt.positions)
            if self._latest.get(oldest.conversation) == name:
                del self._latest[oldest.conversation]

    def get(self, message_id: str, workspace: str) -> Fingerprint | None:
        """Return the request behind a response of the same workspace."""
        found = self._by_message.get(message_id)
        return found if found is not None and found.workspace == workspace else None

    def latest(self, conversation: tuple[str, str]) -> Fingerprint | None:
        """Return the last request of a conversation."""
        name = self._latest.get(conversation)
        return None if name is None else self._by_message.get(name)


def divergence(previous: Fingerprint, prompt: Prompt) -> Divergence | None:
    """Return where a prompt stops being the continuation of an earlier one; None where it is one."""
    before = previous.prompt
    if before.model != prompt.model:
        return _about(previous, "tools", f"the model changed from {before.model} to {prompt.model}")
    old, new = before.settings, prompt.settings
    changed = _changed_setting(old["model"], new["model"])
    if changed is not None:
        return _about(previous, "tools", changed)
    index = _first_difference(before.positions, prompt.positions)
    differing_tier = "" if index is None else _tier_at(index, before.positions, prompt.positions)
    for tier in _TIERS:
        changed = _changed_setting(old.get(tier, {}), new.get(tier, {}))
        if changed is not None:
            return _about(previous, tier, changed)
        if tier == differing_tier and index is not None:
            return _block_divergence(previous, prompt, index, tier)
    return None


def cache_miss_reason(
    previous: Fingerprint | None, prompt: Prompt, read_tokens: int
) -> dict[str, Any] | None:
    """Return the API's `cache_miss_reason`; None where nothing diverged."""
    if previous is None:
        return {"type": "previous_message_not_found"}
    before = previous.prompt
    missed = max(0, previous.cached_tokens - read_tokens)
    is_same_speed = before.settings["system"]["speed"] == prompt.settings["system"]["speed"]
    if before.model != prompt.model or not is_same_speed:
        return {"type": "model_changed", "cache_missed_input_tokens": missed}
    for tier in _TIERS:
        old = [each.digest for each in before.positions if each.tier == tier]
        new = [each.digest for each in prompt.positions if each.tier == tier]
        # Messages may be appended to; tools and system have to stay as they are.
        if old != (new[: len(old)] if tier == "messages" else new):
            return {"type": f"{tier}_changed", "cache_missed_input_tokens": missed}
    return {"type": "unavailable"} if before.settings != prompt.settings else None


def _first_difference(old: tuple[Position, ...], new: tuple[Position, ...]) -> int | None:
    """Return the first index at which `new` does not continue `old`."""
    for index, (before, now) in enumerate(zip_longest(old, new)):
        if before is None:
            # What is appended is no difference, unless it came in between two tiers.
            return None
        if now is None or (before.digest, before.tier) != (now.digest, now.tier):
            return index
    return None


def _tier_at(index: int, old: tuple[Position, ...], new: tuple[Position, ...]) -> str:
    tiers = [each[index].tier for each in (old, new) if index < len(each)]
    return min(tiers, key=_TIERS.index)


def _changed_setting(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    for name in new:
        if old.get(name) != new[name]:
            return f"{name} changed from {old.get(name)!r} to {new[name]!r}"
    return None


def _about(previous: Fingerprint, tier: str, description: str) -> Divergence:
    tiers = _TIERS[: _TIERS.index(tier)]
    kept = sum(each.tokens for each in previous.prompt.positions if each.tier in tiers)
    return Divergence(
        previous_message_id=previous.message_id,
        tier=tier,
        position=None,
        path=tier,
        description=description,
        lost_tokens=max(0, previous.cached_tokens - kept),
    )


def _block_divergence(previous: Fingerprint, prompt: Prompt, index: int, tier: str) -> Divergence:
    old, new = previous.prompt.positions, prompt.positions
    before, now = old[index], new[index] if index < len(new) else None
    # A prompt that only ends earlier has changed nothing that was cached.
    kept = sum(each.tokens for each in old[:index]) if now else previous.cached_tokens
    if now is None:
        path, description = before.path, f"the prompt ends before {before.label}"
    elif before.label == now.label:
        path, description = now.path, f"{now.label} differs beyond its beginning"
    else:
        path, description = now.path, f"was {before.label}, is {now.label}"
    return Divergence(
        previous_message_id=previous.message_id,
        tier=tier,
        position=index,
        path=path,
        description=description,
        lost_tokens=max(0, previous.cached_tokens - kept),
    )

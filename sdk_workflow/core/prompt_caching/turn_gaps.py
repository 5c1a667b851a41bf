"""Learns how soon a prompt is used again, from the gaps between the starts of calls.

It counts; what a count is worth is `economics`' business. Whoever uses it brings the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow.core.prompt_caching.economics import Odds

if TYPE_CHECKING:
    from sdk_workflow.core.prompt_caching.anatomy import Ttl, TurnKind

__all__ = ["TTL_SECONDS", "Tally", "TurnTallies", "turn_odds"]

TTL_SECONDS: dict[Ttl, float] = {"5m": 300.0, "1h": 3600.0}
"""Lifetimes of entries, from the start of the request that wrote or read them."""

# What is assumed before anything was seen. They decide the first few calls only.
_PREFIX = Odds(0.5, 0.55)
_TURN: dict[TurnKind, Odds] = {
    "opening": Odds(0.5, 0.55),
    "user": Odds(0.8, 0.85),
    "tool": Odds(0.93, 0.96),
}
_LONE_QUESTION = Odds(0.1, 0.102)
# How many calls an assumption counts for. Conversations differ from one another far more than the
# turns of one do: as long as nothing came soon, the first pause decides against what is usual.
_WEIGHT = 2.0
_WEIGHT_AGAINST_PAUSES = 0.5


class Tally(NamedTuple):
    """How many calls there were, and how many were followed in time to read what they wrote.

    Example:
        >>> tally = Tally()
        >>> for gap in (20.0, 30.0, 1_200.0):
        ...     tally = tally.with_call().with_gap(gap)
        >>> tally
        Tally(calls=3, within_5m=2, within_1h=3)
        >>> tally.odds(Odds(0.5, 0.5))
        Odds(within_5m=0.6, within_1h=0.8)
    """

    calls: int = 0
    within_5m: int = 0
    within_1h: int = 0

    def with_call(self) -> Tally:
        """Return the tally with one more call that may be followed."""
        return Tally(self.calls + 1, self.within_5m, self.within_1h)

    def with_gap(self, seconds: float) -> Tally:
        """Return the tally with one of its calls followed after so many seconds."""
        return Tally(
            self.calls,
            self.within_5m + (seconds < TTL_SECONDS["5m"]),
            self.within_1h + (seconds < TTL_SECONDS["1h"]),
        )

    def odds(self, prior: Odds, weight: float = _WEIGHT) -> Odds:
        """Return the chances for the next call, where `prior` counts as `weight` calls."""
        whole = self.calls + weight
        return Odds(
            (self.within_5m + weight * prior.within_5m) / whole,
            (self.within_1h + weight * prior.within_1h) / whole,
        )


class TurnTallies:
    """How the calls of a conversation, or of an operation, went on, by what they continued.

    `prefix` counts the uses of tools and system by conversations that have no entry of their own.
    """

    __slots__ = ("by_kind", "prefix")

    def __init__(self) -> None:
        self.by_kind: dict[TurnKind, Tally] = dict.fromkeys(_TURN, Tally())
        self.prefix = Tally()

    def add_call(self, kind: TurnKind) -> None:
        """Count a call that may be followed."""
        self.by_kind[kind] = self.by_kind[kind].with_call()

    def add_gap(self, kind: TurnKind, seconds: float) -> None:
        """Count that a call was followed after so many seconds."""
        self.by_kind[kind] = self.by_kind[kind].with_gap(seconds)

    def prefix_odds(self, own: Tally) -> Odds:
        """Return the chances of a prefix, whose own uses are given."""
        return own.odds(self.prefix.odds(_PREFIX), _WEIGHT_AGAINST_PAUSES)


def turn_odds(
    kind: TurnKind, own: TurnTallies, operation: TurnTallies, *, is_conversation: bool
) -> Odds:
    """Return the chances after a call, from its conversation and from others of its operation.

    A first question without tools and without a session is mostly the last one, too.
    """
    is_lone = kind == "opening" and not is_conversation
    mine, all_of_them = own.by_kind[kind], operation.by_kind[kind]
    # A session may do the work of several operations.
    others = Tally(*(max(0, a - b) for a, b in zip(all_of_them, mine, strict=True)))
    prior = others.odds(_LONE_QUESTION if is_lone else _TURN[kind])
    if kind == "user":  # who answered the first answer slowly will do so again
        mine = Tally(*(a + b for a, b in zip(mine, own.by_kind["opening"], strict=True)))
    return mine.odds(prior, _WEIGHT if mine.within_5m else _WEIGHT_AGAINST_PAUSES)

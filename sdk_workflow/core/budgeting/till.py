"""The money of one budget: holds for calls, what they become, and the limits on the way.

It joins the ledger, the queue and the prices. What was bought is none of its business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.core.budgeting.calls import CallClaim, new_hold_id, reservation_of
from sdk_workflow.core.budgeting.desk import HoldDesk
from sdk_workflow.core.budgeting.waiting import wait_for_room
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from sdk_workflow.core.budgeting.limits import LimitWatch
    from sdk_workflow.core.budgeting.pricing import Pricing
    from sdk_workflow.core.cost_records import Reservation
    from sdk_workflow.protocols import Clock, Ledger, Standing
    from sdk_workflow.types import Call

__all__ = ["Till"]


class Till:
    """Holds, settles and forfeits against one counter of a ledger.

    Args:
        ledger: Counts.
        scope: Which of its counters.
        pricing: Bounds what a call can cost.
        watch: Knows the limits, and is told how the budget stands.
        clock: Where times come from.
        hold_seconds: After so long a hold counts as spent.
        may_clamp: Whether a call may get fewer output tokens than it asks for.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        scope: str,
        pricing: Pricing,
        watch: LimitWatch,
        clock: Clock,
        hold_seconds: float,
        may_clamp: bool,
    ) -> None:
        self.is_shared = ledger.is_shared
        self._ledger = ledger
        self._scope = scope
        self._pricing = pricing
        self._watch = watch
        self._clock = clock
        self._may_clamp = may_clamp
        self._desk: HoldDesk | None = None
        if watch.hard is not None:
            self._desk = HoldDesk(
                ledger,
                scope=scope,
                limit=watch.hard.pico,
                clock=clock,
                hold_seconds=hold_seconds,
                on_no_room=watch.no_room,
            )

    @property
    def is_limited(self) -> bool:
        """Whether there is a hard limit: without one, nothing is held."""
        return self._desk is not None

    def standing(self) -> Standing:
        """Return what is spent and held."""
        return self._ledger.standing(self._scope, now=self._clock.now())

    def for_report(self) -> dict[str, Any]:
        """Return the fields of a `CostReport` that say how the budget stands."""
        standing = self.standing()
        return {
            "scope": self._scope,
            "soft_limit": self._watch.soft,
            "hard_limit": self._watch.hard,
            "spent": Money(standing.spent),
            "held": Money(standing.held),
        }

    def has_room(self, call: Call) -> bool:
        """Return whether a call would find room now."""
        if self._desk is None:
            return True
        amount = self._claim(call, self._clock.now(), None).amount
        standing = self.standing()
        return standing.spent + standing.held + amount <= self._desk.limit

    def reserve(self, call: Call, counted_prompt_tokens: int | None) -> Reservation:
        """Hold back the most that a call can cost; never waits."""
        now = self._clock.now()
        if self._desk is None:
            return reservation_of(call, None, now=now)
        claim = self._claim(call, now, counted_prompt_tokens)
        if self._desk.ask(claim) == "refused":
            raise self._desk.refusal(claim)
        self._watch.had_room()
        return reservation_of(call, claim, now=now)

    async def reserve_in_turn(
        self,
        call: Call,
        counted_prompt_tokens: int | None,
        *,
        waits: bool,
        max_wait_seconds: float,
    ) -> Reservation:
        """Hold back the most that a call can cost, when its turn has come."""
        now = self._clock.now()
        if self._desk is None:
            return reservation_of(call, None, now=now)
        claim = self._claim(call, now, counted_prompt_tokens)
        had_to_wait = await wait_for_room(
            self._desk, claim, waits=waits, max_wait_seconds=max_wait_seconds
        )
        if not had_to_wait:
            self._watch.had_room()
        return reservation_of(call, claim, now=now)

    def spend(self, hold_id: str, pico: int) -> Standing:
        """Replace a hold by what was spent; return what counts now, and whether that was new."""
        if self._desk is None:
            standing = self._ledger.settle(self._scope, hold_id, pico, now=self._clock.now())
        else:
            standing = self._desk.settle(hold_id, pico)
        self._watch.spent(standing)
        return standing

    def forfeit(self, hold_id: str) -> bool:
        """Count a hold as spent in full; return whether that was new to the ledger."""
        if self._desk is None:
            return True
        standing = self._desk.forfeit(hold_id)
        self._watch.spent(standing)
        return standing.is_done

    def _claim(self, call: Call, now: float, counted_prompt_tokens: int | None) -> CallClaim:
        quote = self._pricing.quote(call, at=now, counted_prompt_tokens=counted_prompt_tokens)
        return CallClaim(call.hold_id or new_hold_id(), quote, may_clamp=self._may_clamp)

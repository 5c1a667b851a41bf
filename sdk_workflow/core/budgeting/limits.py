"""Watching the limits of a budget: each is told once when it is reached."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Literal

from sdk_workflow.events import BudgetReached
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from sdk_workflow.core.cost_records import BudgetStatus
    from sdk_workflow.protocols import Standing

__all__ = ["LimitWatch", "budget_status"]


class LimitWatch:
    """Notes when a limit is reached, once until it is reached anew.

    Args:
        soft: Reached when so much is spent.
        hard: Reached when a call finds no room; again after a call has found room at once.

    Raises:
        UsageError: If the soft limit is above the hard one.

    Example:
        >>> from sdk_workflow.protocols import Standing
        >>> watch = LimitWatch(Money.from_usd("1"), None)
        >>> watch.spent(Standing(is_done=True, spent=2 * 10**12, held=0))
        >>> [event.limit for event in watch.take()], watch.take()
        (['soft'], ())
    """

    def __init__(self, soft: Money | None, hard: Money | None) -> None:
        if soft is not None and hard is not None and soft > hard:
            raise UsageError(
                f"The soft limit of {soft} is above the hard limit of {hard}.",
                hint="Set a soft limit that is reached first.",
            )
        self.soft = soft
        self.hard = hard
        self._lock = Lock()
        self._reached: set[str] = set()
        self._untold: list[BudgetReached] = []

    def spent(self, standing: Standing) -> None:
        """Look at the soft limit after something was spent."""
        if self.soft is None:
            return
        if standing.spent >= self.soft.pico:
            self._reach("soft", self.soft, standing)
        else:
            self._leave("soft")

    def no_room(self, standing: Standing) -> None:
        """Note that a call found no room under the hard limit."""
        if self.hard is not None:
            self._reach("hard", self.hard, standing)

    def had_room(self) -> None:
        """Note that a call found room at once."""
        self._leave("hard")

    def take(self) -> tuple[BudgetReached, ...]:
        """Return what was reached since the last call."""
        if not self._untold:
            return ()
        with self._lock:
            found, self._untold = tuple(self._untold), []
        return found

    def _reach(self, limit: Literal["soft", "hard"], amount: Money, standing: Standing) -> None:
        with self._lock:
            if limit in self._reached:
                return
            self._reached.add(limit)
            self._untold.append(
                BudgetReached(
                    limit=limit,
                    limit_usd=amount.usd,
                    spent_usd=Money(standing.spent).usd,
                    held_usd=Money(standing.held).usd,
                )
            )

    def _leave(self, limit: Literal["soft", "hard"]) -> None:
        if limit in self._reached:
            with self._lock:
                self._reached.discard(limit)


def budget_status(standing: Standing, limit: Money, soft: Money | None) -> BudgetStatus:
    """Return how spending stands against a limit.

    Example:
        >>> from sdk_workflow.protocols import Standing
        >>> standing = Standing(is_done=False, spent=10**12, held=10**12)
        >>> budget_status(standing, Money.from_usd("4"), None)["used_pct"]
        25.0
    """
    left = limit.pico - standing.spent
    state: Literal["ok", "soft", "busy", "exhausted"] = "ok"
    if left <= 0:
        state = "exhausted"
    elif left <= standing.held:
        state = "busy"
    elif soft is not None and standing.spent >= soft.pico:
        state = "soft"
    return {
        "limit_usd": limit.usd,
        "spent_usd": Money(standing.spent).usd,
        "held_usd": Money(standing.held).usd,
        "remaining_usd": Money(max(left - standing.held, 0)).usd,
        "used_pct": 100.0 * standing.spent / limit.pico if limit.pico else 100.0,
        "state": state,
    }

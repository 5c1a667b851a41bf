"""What was spent lately, and how the budget stands, from the books of the cost manager.

The manager knows sums and no times: a look once a second makes windows of them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.config.settings import Settings
    from sdk_workflow.managers.cost_manager import CostManager
    from sdk_workflow.protocols import Clock
    from sdk_workflow.wiring.managers import Managers

__all__ = ["Spending"]

_WINDOWS = {"1m": 60.0, "5m": 300.0, "1h": 3_600.0}
_HOUR = 3_600.0
_PER_CENT = 100
_FURTHEST_SECONDS = 10 * 365 * 86_400.0  # beyond that a date says nothing


class Spending:
    """Looks at the books again and again; for one reader at a time.

    Before the managers count (from the fifth call on, or with a limit), nothing is known here:
    making them for the sake of a look would take 20 ms.

    Args:
        managers: Of the runtime; None where it has none.
        settings: The limits that runtimes share.
        clock: Where times come from.
    """

    def __init__(self, managers: Managers | None, settings: Settings, clock: Clock) -> None:
        self._managers = managers
        self._clock = clock
        allowance = None if managers is None else managers.budgets.allowance.max_cost_usd
        self._hard = settings.budget_usd if allowance is None else allowance
        self._soft = settings.budget_soft_usd if allowance is None else None
        # When, and the sum until then; the oldest first, and up to an hour old.
        self._times: list[float] = [clock.monotonic()]
        self._sums: list[float] = [0.0]
        self._by_model: dict[str, float] | None = None

    def look(self) -> None:
        """Note the sums as they are now."""
        costs = self._costs()
        if costs is None:
            return
        self._by_model = costs.get_cost_breakdown("model")
        total, now = sum(self._by_model.values()), self._clock.monotonic()
        if total != self._sums[-1]:
            self._times.append(now)
            self._sums.append(total)
        # One sum from before the longest window stays, for its beginning.
        old = max(bisect_right(self._times, now - _HOUR) - 1, 0)
        del self._times[:old], self._sums[:old]

    def by_model(self) -> Mapping[str, float] | None:
        """Return dollars by model; None where nothing is known."""
        return self._by_model

    def by_session(self, session_ids: Sequence[str]) -> Mapping[str, float]:
        """Return dollars by session, of those that are known."""
        costs = self._costs()
        return {} if costs is None else costs.aggregate_costs(session_ids)["by_session"]

    def within(self, window: str) -> float:
        """Return the dollars of a window, "1m", "5m" or "1h", or of all time."""
        seconds = _WINDOWS.get(window)
        return self._sums[-1] - (0.0 if seconds is None else self._before(seconds))

    def usd_per_hour(self) -> float | None:
        """Return the pace of the last five minutes; None where nothing is known."""
        if self._by_model is None:
            return None
        seconds = _WINDOWS["5m"]
        covered = min(max(self._clock.monotonic() - self._times[0], 1.0), seconds)
        return self.within("5m") * _HOUR / covered

    def budget(self) -> dict[str, Any] | None:
        """Return how the limits stand and, at the pace of now, when the budget ends."""
        costs, limit = self._costs(), self._hard if self._hard is not None else self._soft
        if costs is None or limit is None:
            return None
        status = costs.check_budget_status(limit)
        has_limit = self._hard is not None
        return {
            "limit_usd": self._hard,
            "soft_limit_usd": self._soft,
            "spent_usd": status["spent_usd"],
            "held_usd": status["held_usd"],
            "used_share": status["used_pct"] / _PER_CENT,
            "projected_end_at": self._end(status["remaining_usd"]) if has_limit else None,
            "is_exhausted": has_limit and status["state"] == "exhausted",
        }

    def _end(self, remaining_usd: float) -> str | None:
        pace = self.usd_per_hour()
        if not pace:
            return None
        seconds = remaining_usd / pace * _HOUR
        return utc_text(self._clock.now() + seconds) if seconds < _FURTHEST_SECONDS else None

    def _before(self, seconds: float) -> float:
        place = bisect_right(self._times, self._clock.monotonic() - seconds) - 1
        return self._sums[max(place, 0)]

    def _costs(self) -> CostManager | None:
        return None if self._managers is None else self._managers.made_costs

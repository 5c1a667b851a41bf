"""The ledger of one process: who holds what and what is spent, in memory.

It counts; who may wait for what is `desk`'s business. `storage.ledger_file` is its twin on disk.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from sdk_workflow.exceptions import UsageError
from sdk_workflow.protocols import Standing

__all__ = ["MemoryLedger"]

_MAX_ENDED = 65_536
_MOST = 2**62  # what a ledger on disk can hold
_NEVER = float("inf")


def _check_amount(amount: int) -> None:
    """Refuse what is no amount of pico-dollars.

    Raises:
        UsageError: If it is negative, not a whole number, or beyond all reason.
    """
    if type(amount) is not int or not 0 <= amount <= _MOST:
        raise UsageError(
            f"{amount!r} is no amount of pico-dollars.", hint="Give a whole number from 0 to 2**62."
        )


class MemoryLedger:
    """A `Ledger` without a file; thread-safe.

    Of the holds that have ended, the last 65,536 are remembered: to settle one of them again
    changes nothing. One that was forgotten would count a second time, never too little.

    Example:
        >>> ledger = MemoryLedger()
        >>> ledger.reserve("run", "a", 60, limit=100, expires_at=900.0, now=0.0).is_done
        True
        >>> ledger.reserve("run", "b", 60, limit=100, expires_at=900.0, now=0.0).is_done
        False
        >>> ledger.settle("run", "a", 10, now=1.0)
        Standing(is_done=True, spent=10, held=0, amount=10)
    """

    is_shared = False

    def __init__(self) -> None:
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}

    def reserve(
        self, scope: str, hold_id: str, amount: int, *, limit: int, expires_at: float, now: float
    ) -> Standing:
        """Hold an amount if there is room; see `protocols.Ledger`."""
        _check_amount(amount)
        with self._lock:
            return self._account(scope).reserve(
                hold_id, amount, limit=limit, expires_at=expires_at, now=now
            )

    def settle(self, scope: str, hold_id: str, cost: int, *, now: float) -> Standing:
        """Replace a hold by what was spent; see `protocols.Ledger`."""
        _check_amount(cost)
        with self._lock:
            return self._account(scope).settle(hold_id, cost, now)

    def forfeit(self, scope: str, hold_id: str, *, now: float) -> Standing:
        """Count a hold as spent in full; see `protocols.Ledger`."""
        with self._lock:
            return self._account(scope).forfeit(hold_id, now)

    def standing(self, scope: str, *, now: float) -> Standing:
        """Return how the budget of a scope stands."""
        with self._lock:
            return self._account(scope).standing(now, is_done=False, amount=0)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _account(self, scope: str) -> _Account:
        found = self._accounts.get(scope)
        if found is None:
            found = self._accounts[scope] = _Account()
        return found


class _Account:
    """The counter of one scope.

    `spent` counts settled and forfeited holds. `live` are the others, those included that have
    expired: they only count differently.
    """

    __slots__ = ("earliest", "ended", "held", "live", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.held = 0
        self.live: dict[str, tuple[int, float]] = {}
        self.ended: OrderedDict[str, tuple[int, bool]] = OrderedDict()  # what it counts, is final
        self.earliest = _NEVER

    def reserve(
        self, hold_id: str, amount: int, *, limit: int, expires_at: float, now: float
    ) -> Standing:
        known = self.live.get(hold_id) or self.ended.get(hold_id)
        if known is not None:
            return self.standing(now, is_done=True, amount=known[0])
        if self.spent + self.held + amount > limit:
            return self.standing(now, is_done=False, amount=0)
        self.live[hold_id] = (amount, expires_at)
        self.held += amount
        self.earliest = min(self.earliest, expires_at)
        return self.standing(now, is_done=True, amount=amount)

    def settle(self, hold_id: str, cost: int, now: float) -> Standing:
        counted, is_final = self.ended.get(hold_id, (0, False))
        if is_final:
            return self.standing(now, is_done=False, amount=counted)
        self._drop(hold_id)
        self.spent += cost - counted
        self._remember(hold_id, cost, is_final=True)
        return self.standing(now, is_done=True, amount=cost)

    def forfeit(self, hold_id: str, now: float) -> Standing:
        ended = self.ended.get(hold_id)
        if ended is not None or hold_id not in self.live:
            return self.standing(now, is_done=False, amount=ended[0] if ended else 0)
        amount = self._drop(hold_id)
        self.spent += amount
        self._remember(hold_id, amount, is_final=False)
        return self.standing(now, is_done=True, amount=amount)

    def standing(self, now: float, *, is_done: bool, amount: int) -> Standing:
        expired = 0
        if now >= self.earliest:
            expired = sum(held for held, expires_at in self.live.values() if expires_at <= now)
            # Of a hold that has ended in time, `earliest` is out of date.
            self.earliest = min((expires for _, expires in self.live.values()), default=_NEVER)
        return Standing(is_done, self.spent + expired, self.held - expired, amount)

    def _drop(self, hold_id: str) -> int:
        amount, _ = self.live.pop(hold_id, (0, _NEVER))
        self.held -= amount
        return amount

    def _remember(self, hold_id: str, counted: int, *, is_final: bool) -> None:
        self.ended[hold_id] = (counted, is_final)
        if len(self.ended) > _MAX_ENDED:
            self.ended.popitem(last=False)

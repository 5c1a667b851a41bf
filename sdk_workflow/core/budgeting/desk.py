"""Who gets money next: one queue for everybody in this process who shares a budget.

It decides and wakes; it does not wait itself. The ledger counts, and prices are none of its
business. The lock is held for one question to the ledger, never across a wait.
"""

from __future__ import annotations

import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Literal

from sdk_workflow.exceptions import BudgetExceeded
from sdk_workflow.protocols import Standing
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.protocols import Clock, Ledger

__all__ = ["Answer", "Claim", "HoldDesk"]

Answer = Literal["granted", "wait", "refused"]

_NOTHING = Standing(is_done=False, spent=0, held=0)


class Claim:
    """One caller's wish for money.

    Args:
        hold_id: Names the hold.
        amount: What it wants, in pico-dollars.
        least: The least that would do, where it may be given less.
        shrink: Returns the largest amount that it can use of so much room; None where it takes
            the whole amount or nothing.
        wake: Called, in any thread, when it should ask again; None for one that does not wait.
    """

    __slots__ = (
        "amount", "granted", "has_left", "hold_id", "is_queued", "least", "shrink", "standing", "wake",
    )  # fmt: skip

    def __init__(
        self,
        hold_id: str,
        amount: int,
        *,
        least: int | None = None,
        shrink: Callable[[int], int | None] | None = None,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.hold_id = hold_id
        self.amount = amount
        self.least = amount if least is None else least
        self.shrink = shrink
        self.wake = wake
        self.granted = 0
        self.is_queued = False
        self.has_left = False
        self.standing = _NOTHING  # of the budget, when it asked last


class HoldDesk:
    """Gives out what a limit leaves, first come, first served.

    A claim waits only while that can help: while what is spent for good leaves room for it, and
    holds in flight may still come back. Otherwise it is refused at once. A process that was forked
    off starts with an empty queue: who waits in the parent is served there.

    Args:
        ledger: Counts.
        scope: Which of its counters.
        limit: What is never exceeded, in pico-dollars.
        clock: Tells when holds expire.
        hold_seconds: After so long a hold counts as spent.
        on_no_room: Told how the budget stands whenever a claim finds no room.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
        >>> desk = HoldDesk(MemoryLedger(), scope="run", limit=100, clock=VirtualClock())
        >>> first, second = Claim("a", 60), Claim("b", 60, wake=lambda: print("b may ask again"))
        >>> desk.ask(first), desk.ask(second, may_wait=True)
        ('granted', 'wait')
        >>> _ = desk.settle("a", 10)
        b may ask again
        >>> desk.ask(second, may_wait=True)
        'granted'
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        scope: str,
        limit: int,
        clock: Clock,
        hold_seconds: float = 900.0,
        on_no_room: Callable[[Standing], None] | None = None,
    ) -> None:
        self.is_shared = ledger.is_shared
        self._ledger = ledger
        self._scope = scope
        self.limit = limit
        self._clock = clock
        self._hold_seconds = hold_seconds
        self._on_no_room = on_no_room
        self._process = os.getpid()
        self._lock = Lock()
        self._queue: deque[Claim] = deque()

    def ask(self, claim: Claim, *, may_wait: bool = False) -> Answer:
        """Return whether the claim has got its money, has to ask again when woken, or is refused.

        A claim that has to wait keeps its place until it gets its money, is refused or leaves.
        """
        self._leave_parent()
        with self._lock:
            if claim.has_left:  # its caller was cancelled while a thread was on the way here
                return "refused"
            is_first = not self._queue or self._queue[0] is claim
            standing = self._reserve(claim) if is_first else self._standing()
            answer = self._answer(claim, standing, is_first=is_first, may_wait=may_wait)
            claim.standing = standing
            if answer == "wait":
                self._join(claim)
            else:
                self._remove(claim)
        if answer != "granted" and self._on_no_room is not None:
            self._on_no_room(standing)
        if answer != "wait" and self._queue:
            self._wake_first()
        return answer

    def refusal(self, claim: Claim) -> BudgetExceeded:
        """Return the error for a claim that was refused.

        Its code is "budget_exceeded" where waiting cannot help, else "budget_busy", which is
        retryable.
        """
        standing = claim.standing
        left = max(self.limit - standing.spent - standing.held, 0)
        facts = (
            f"The call may cost up to {Money(claim.least)}, and {Money(left)} of the limit of "
            f"{Money(self.limit)} is left: {Money(standing.spent)} is spent, "
            f"{Money(standing.held)} is held for calls in flight."
        )
        if standing.spent + claim.least > self.limit:
            return BudgetExceeded(
                facts, hint="Raise the hard limit, lower max_tokens, or shorten the prompt."
            )
        return BudgetExceeded(
            facts, code="budget_busy", retryable=True, hint="Try again when a call has ended."
        )

    def is_first(self, claim: Claim) -> bool:
        """Return whether a claim is the next to be served."""
        with self._lock:
            return bool(self._queue) and self._queue[0] is claim

    def leave(self, claim: Claim) -> None:
        """Give up the place in the queue, and give back what was granted: it was not used."""
        self._leave_parent()
        with self._lock:
            claim.has_left = True
            self._remove(claim)
        if claim.granted:
            self.settle(claim.hold_id, 0)
        else:
            self._wake_first()

    def settle(self, hold_id: str, cost: int) -> Standing:
        """Replace a hold by what was spent, and wake who waits for room."""
        standing = self._ledger.settle(self._scope, hold_id, cost, now=self._clock.now())
        self._wake_first()
        return standing

    def forfeit(self, hold_id: str) -> Standing:
        """Count a hold as spent in full, and wake the first: it may have nothing to wait for."""
        standing = self._ledger.forfeit(self._scope, hold_id, now=self._clock.now())
        self._wake_first()
        return standing

    def _reserve(self, claim: Claim) -> Standing:
        standing = self._try(claim, claim.amount)
        while not standing.is_done and claim.shrink is not None:
            room = self.limit - standing.spent - standing.held
            amount = claim.shrink(room) if room >= claim.least else None
            if amount is None:
                break
            # Another process may take the room in between: then what is left is looked at anew.
            standing = self._try(claim, amount)
        return standing

    def _try(self, claim: Claim, amount: int) -> Standing:
        now = self._clock.now()
        standing = self._ledger.reserve(
            self._scope,
            claim.hold_id,
            amount,
            limit=self.limit,
            expires_at=now + self._hold_seconds,
            now=now,
        )
        claim.granted = standing.amount
        return standing

    def _standing(self) -> Standing:
        return self._ledger.standing(self._scope, now=self._clock.now())

    def _answer(
        self, claim: Claim, standing: Standing, *, is_first: bool, may_wait: bool
    ) -> Answer:
        if standing.is_done:
            return "granted"
        # Those further back need not see a hold: the first may be about to take the last room.
        helps = standing.spent + claim.least <= self.limit and (standing.held > 0 or not is_first)
        return "wait" if helps and may_wait else "refused"

    def _join(self, claim: Claim) -> None:
        if not claim.is_queued:
            claim.is_queued = True
            self._queue.append(claim)

    def _remove(self, claim: Claim) -> None:
        if claim.is_queued:
            claim.is_queued = False
            self._queue.remove(claim)

    def _wake_first(self) -> None:
        self._leave_parent()
        while self._queue:
            with self._lock:
                first = self._queue[0] if self._queue else None
            if first is None or first.wake is None:
                return
            try:
                first.wake()
            except RuntimeError:  # its loop is closed, and nobody will ever come back from there
                with self._lock:
                    self._remove(first)
            else:
                return

    def _leave_parent(self) -> None:
        if os.getpid() != self._process:
            # Whoever stood here waits in the parent, where a thread may have held the lock.
            self._process, self._lock, self._queue = os.getpid(), Lock(), deque()

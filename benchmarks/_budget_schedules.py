"""Random schedules of calls under one budget, in virtual time, on the library's own queue and ledger.

Each schedule draws a budget, a number of callers, and what becomes of their calls: answered,
refused unbilled, unknown, crashed with the hold left behind, cancelled while waiting. Beside the
ledger it keeps true books, exact to the pico-dollar, and compares both after every step.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.budgeting.desk import Claim, HoldDesk
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from random import Random

__all__ = ["CALLERS", "Outcome", "Schedule", "simulate"]

CALLERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SCOPE = "run"
_HOLD_SECONDS = 900.0
_MAXIMAL = 61_440_000_000  # 4096 tokens at $15 per million
_MAX_CALLS = 2_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is drawn for one run.

    Attributes:
        callers: How many calls are made at once.
        limit: The budget in pico-dollars.
        is_plain: Every call is maximal and answered, none fails: the case that usage is
            measured on.
        failures: The chances of: refused unbilled, unknown, crashed, cancelled while waiting.
        clamps: Whether calls make do with less.
        mean_share: What an answer costs of its hold, on average.
    """

    callers: int
    limit: int
    is_plain: bool
    failures: tuple[float, float, float, float]
    clamps: bool
    mean_share: float

    @classmethod
    def draw(cls, random: Random) -> Schedule:
        """Draw a schedule; every fourth one is plain, with a budget of 16 maximal calls."""
        callers = random.choice(CALLERS)
        if random.random() < 0.25:
            return cls(callers, 16 * _MAXIMAL, is_plain=True, failures=(0,) * 4, clamps=False,
                       mean_share=0.1)  # fmt: skip
        failures = tuple(random.choice((0.0, 0.02, 0.2)) for _ in range(4))
        return cls(
            callers,
            random.randrange(16 * _MAXIMAL),
            is_plain=False,
            failures=(failures[0], failures[1], failures[2], failures[3]),
            clamps=random.random() < 0.25,
            mean_share=random.choice((0.1, 0.5, 1.0)),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one schedule, in pico-dollars.

    Attributes:
        schedule: What was drawn.
        billed: What the calls have truly cost.
        counted: What the ledger counts as spent.
        calls: How many calls were sent.
        fault: What went wrong; empty where nothing did.
    """

    schedule: Schedule
    billed: int
    counted: int
    calls: int
    fault: str


def simulate(random: Random) -> Outcome:
    """Run one random schedule to its end."""
    return _Run(Schedule.draw(random), random).outcome()


class _Caller:
    """Makes one call after the other; `turn` is when it joined the queue, 0 where it did not."""

    __slots__ = ("claim", "turn")

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.turn = 0


class _Run:
    """One schedule under way: callers ask, calls end, the clock jumps from one end to the next."""

    def __init__(self, schedule: Schedule, random: Random) -> None:
        self.schedule = schedule
        self.random = random
        self.clock = VirtualClock(0.0)
        self.ledger = MemoryLedger()
        self.desk = HoldDesk(
            self.ledger,
            scope=_SCOPE,
            limit=schedule.limit,
            clock=self.clock,
            hold_seconds=_HOLD_SECONDS,
        )
        self.ends: list[tuple[float, int, _Caller, Claim]] = []
        self.woken: list[_Caller] = []
        self.waiting: dict[int, _Caller] = {}  # by turn, in the order in which they joined
        self.turns = 0
        self.calls = self.billed = self.counted = 0
        self.fault = ""
        self._median = math.log(schedule.mean_share) - 0.18

    def outcome(self) -> Outcome:
        for _ in range(self.schedule.callers):
            self.begin(_Caller())
        while not self.fault and (self.ends or self.waiting or self.woken):
            self.step()
        self.check()
        standing = self.ledger.standing(_SCOPE, now=self.clock.now() + 2 * _HOLD_SECONDS)
        if not self.fault and (standing.spent, standing.held) != (self.counted, 0):
            self.fault = f"the ledger counts {standing}, and {self.counted} is right"
        return Outcome(self.schedule, self.billed, standing.spent, self.calls, self.fault)

    def step(self) -> None:
        """Let those who were woken ask again, else end the next call."""
        if self.woken:
            self.ask(self.woken.pop())
        elif self.ends:
            when, _, caller, claim = heapq.heappop(self.ends)
            self.clock.advance(when - self.clock.now())
            self.end(caller, claim)
        else:
            # Only holds of callers that crashed are left; who waits looks again by the time.
            self.clock.advance(_HOLD_SECONDS)
            self.ask(next(iter(self.waiting.values())))
        if self.calls % 16 == 0:
            self.check()

    def begin(self, caller: _Caller) -> None:
        """Start the next call of a caller."""
        if self.calls >= _MAX_CALLS:
            return
        random = self.random
        amount = _MAXIMAL if self.schedule.is_plain else random.randrange(1, _MAXIMAL + 1)
        claim = Claim(str(random.getrandbits(64)), amount, wake=lambda: self.woken.append(caller))
        if self.schedule.clamps:
            claim.least = min(amount, _MAXIMAL // 16)
            claim.shrink = lambda room: min(room, amount)
        caller.claim = claim
        self.ask(caller)

    def ask(self, caller: _Caller) -> None:
        """Ask for money, and send the call if it is granted."""
        claim = caller.claim
        if claim is None:  # it has left the queue since it was woken
            return
        answer = self.desk.ask(claim, may_wait=True)
        if answer == "wait":
            if not caller.turn:
                self.join(caller)
            return
        if caller.turn:
            if next(iter(self.waiting)) != caller.turn:
                self.fault = "somebody was served out of turn"
            self.leave_line(caller)
        caller.claim = None
        if answer == "granted":
            self.calls += 1
            self.counted += claim.granted  # until it ends
            when = self.clock.now() + self.random.random() * 20
            heapq.heappush(self.ends, (when, self.calls, caller, claim))

    def join(self, caller: _Caller) -> None:
        """Stand in the queue, or lose patience at once and come back with another call."""
        self.turns += 1
        caller.turn = self.turns
        self.waiting[caller.turn] = caller
        claim = caller.claim
        if claim is not None and self.random.random() < self.schedule.failures[3]:
            caller.claim = None
            self.leave_line(caller)
            self.desk.leave(claim)
            self.begin(caller)

    def leave_line(self, caller: _Caller) -> None:
        """Stand in the queue no more."""
        del self.waiting[caller.turn]
        caller.turn = 0

    def end(self, caller: _Caller, claim: Claim) -> None:
        """Let a call end in one of the ways that calls end."""
        draw, (free, unknown, crash, _) = self.random.random(), self.schedule.failures
        cost = min(
            int(claim.granted * self.random.lognormvariate(self._median, 0.6)), claim.granted
        )
        if draw < free:
            self.desk.settle(claim.hold_id, 0)
            self.counted -= claim.granted
        elif draw < free + unknown:
            self.billed += cost
            self.desk.forfeit(claim.hold_id)
        elif draw < free + unknown + crash:
            self.billed += cost
            return  # nobody settles its hold, and the caller is gone
        else:
            self.billed += cost
            self.desk.settle(claim.hold_id, cost)
            self.counted += cost - claim.granted
        self.begin(caller)

    def check(self) -> None:
        """Compare the ledger with the truth."""
        standing = self.ledger.standing(_SCOPE, now=self.clock.now())
        if not self.fault and standing.spent + standing.held != self.counted:
            self.fault = f"the ledger counts {standing}, and {self.counted} is right"
        if max(self.counted, self.billed) > self.schedule.limit:
            self.fault = f"{self.counted} counted, {self.billed} billed: over the limit"

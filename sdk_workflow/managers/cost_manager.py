"""What everything costs, and the limits that are never exceeded.

It prices, holds, settles and keeps the books. It sends nothing and knows no other manager: the
parts it is made of are in `core.budgeting`, how a report looks is `core.cost_report`'s business.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.counting import check_limit
from sdk_workflow.core.budgeting.books import Books
from sdk_workflow.core.budgeting.calls import as_booked, entry_of, new_hold_id, unknown_cost
from sdk_workflow.core.budgeting.checks import OnExhausted, check_names, check_options, seconds_of
from sdk_workflow.core.budgeting.dollars import read_dollars
from sdk_workflow.core.budgeting.limits import LimitWatch, budget_status
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.core.budgeting.pricing import Pricing
from sdk_workflow.core.budgeting.summary import summary_text
from sdk_workflow.core.budgeting.till import Till
from sdk_workflow.core.cost_records import Cost, CostReport
from sdk_workflow.events import ModelCallFinished, shows_no_text
from sdk_workflow.types import Money, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.cost_records import (
        AggregatedCosts,
        BudgetStatus,
        CacheEfficiency,
        CostEntry,
        Dimension,
        Projection,
        Reservation,
    )
    from sdk_workflow.events import BudgetReached, Event
    from sdk_workflow.protocols import Clock, Ledger
    from sdk_workflow.types import Call

__all__ = ["CostManager", "OnExhausted"]

_logger = logging.getLogger("sdk_workflow.costs")


class CostManager:
    """Prices calls, keeps the books, and holds money back before it is spent.

    Under a hard limit every call is given the most that it can cost (`reserve`) before it is sent,
    and gives back what it did not use (`settle`). So the limit holds under any number of threads,
    tasks, event loops and, with a ledger that they share, processes. What a call whose outcome is
    unknown has cost is unknown too: it counts in full (`forfeit`).

    A budget has a name, the scope. A ledger on disk keeps what a scope has spent across restarts;
    a budget for one run is a scope of that run, a budget per tenant a manager per tenant.

    Args:
        soft_limit_usd: A warning is due when this is spent.
        hard_limit_usd: What is never exceeded; None counts without limiting.
        on_exhausted: What happens to a call that finds no room.
        ledger: Counts spend and holds; in memory by default.
        price_book: Models and prices; the packaged ones and the user's by default.
        scope: The budget's name in the ledger.
        clock: Where times come from; the machine's clock by default.
        hold_seconds: A hold that nobody settles counts as spent after so long.
        max_wait_seconds: How long a call waits for room at the most.
        max_entries: How many of the latest calls are kept one by one; sums are exact for ever.

    Raises:
        UsageError: If a limit is no amount of dollars, the soft one is above the hard one, or
            another option makes no sense.

    Example:
        >>> from sdk_workflow.types import Call
        >>> costs = CostManager(hard_limit_usd=0.05)
        >>> message = {"role": "user", "content": "Hello"}
        >>> call = Call(model="sonnet", max_tokens=1000, messages=(message,))
        >>> reservation = costs.reserve(call)
        >>> str(reservation.held)
        '$0.0122'
        >>> str(costs.settle(reservation, Usage(input_tokens=9, output_tokens=20)).total)
        '$0.00022'
    """

    def __init__(  # noqa: PLR0913 - one keyword for each fact of a budget
        self,
        *,
        soft_limit_usd: float | str | Decimal | Money | None = None,
        hard_limit_usd: float | str | Decimal | Money | None = None,
        on_exhausted: OnExhausted = "wait",
        ledger: Ledger | None = None,
        price_book: ModelCatalog | None = None,
        scope: str = "default",
        clock: Clock | None = None,
        hold_seconds: float = 900.0,
        max_wait_seconds: float = 600.0,
        max_entries: int = 10_000,
    ) -> None:
        check_options(
            on_exhausted=on_exhausted,
            scope=scope,
            hold_seconds=hold_seconds,
            max_wait_seconds=max_wait_seconds,
            max_entries=max_entries,
        )
        soft = None if soft_limit_usd is None else read_dollars(soft_limit_usd, "soft_limit_usd")
        hard = None if hard_limit_usd is None else read_dollars(hard_limit_usd, "hard_limit_usd")
        self._clock: Clock = clock or SystemClock()
        self._waits = on_exhausted != "reject"
        self._max_wait_seconds = max_wait_seconds
        self._max_entries = max_entries
        self._pricing = Pricing(price_book)
        self._watch = LimitWatch(soft, hard)
        self._till = Till(
            MemoryLedger() if ledger is None else ledger,
            scope=scope,
            pricing=self._pricing,
            watch=self._watch,
            clock=self._clock,
            hold_seconds=hold_seconds,
            may_clamp=on_exhausted == "clamp",
        )
        self._lock = Lock()
        self._books = Books(max_entries=max_entries)

    @property
    def is_shared(self) -> bool:
        """Whether the ledger is on disk: then every change may wait for it."""
        return self._till.is_shared

    def calculate_cost(
        self,
        usage: Usage,
        model: str,
        *,
        at: datetime | None = None,
        operation: str = "message",
        session_id: str | None = None,
        batch: bool = False,
    ) -> Cost:
        """Price a usage and enter it in the books and the ledger: it was spent.

        Args:
            usage: The tokens, as the API reports them.
            model: Any name of the model.
            at: When it was spent, UTC where it has no zone; now by default.
            operation: What it was spent for.
            session_id: Whose call it was.
            batch: Whether the Message Batches API ran it, at half the price.

        Raises:
            UsageError: If `usage` is none, a name no text, or `at` no datetime.
        """
        check_names(model=model, operation=operation, session_id=session_id)
        moment = self._clock.now() if at is None else seconds_of(at)
        cost = self._pricing.cost(model, usage, at=moment, batch=batch)
        entry = entry_of(cost, None, at=moment, operation=operation, session_id=session_id)
        self._spend(cost, entry, new_hold_id())
        return cost

    def reserve(self, call: Call, *, counted_prompt_tokens: int | None = None) -> Reservation:
        """Hold back the most that a call can cost; never waits.

        Without a hard limit nothing is held.

        Args:
            call: The call that is about to be sent.
            counted_prompt_tokens: What `count_tokens` said about it, for a hold that is tighter
                than the bytes of its text allow.

        Raises:
            BudgetExceeded: If there is no room. Waiting may help where the error is retryable.
            UnpricedModel: If the model has no price, or uses what only the server can bound.
        """
        return self._till.reserve(call, counted_prompt_tokens)

    async def reserve_in_turn(
        self, call: Call, *, counted_prompt_tokens: int | None = None
    ) -> Reservation:
        """Do what `reserve` does, and wait for room where that can help: first come, first served.

        Where `on_exhausted` is "reject", it does not wait.

        Raises:
            BudgetExceeded: If there is no room and waiting cannot help, or not in time.
            UnpricedModel: As `reserve`.
        """
        return await self._till.reserve_in_turn(
            call, counted_prompt_tokens, waits=self._waits, max_wait_seconds=self._max_wait_seconds
        )

    def has_room(self, call: Call) -> bool:
        """Return whether a call would find room now, as far as the bytes of its text tell.

        Raises:
            UnpricedModel: As `reserve`.
        """
        return self._till.has_room(call)

    def settle(
        self,
        reservation: Reservation,
        usage: Usage,
        *,
        message_id: str | None = None,
        model: str | None = None,
        geo: str | None = None,
    ) -> Cost:
        """Replace a hold by what the call has cost, and return what counts: the first time decides.

        A call that was forfeited before counts at its true cost from now on. Of a price that
        changes meanwhile, the dearer counts; where there is none, the whole hold.

        Args:
            reservation: What `reserve` returned.
            usage: The tokens that were billed.
            message_id: The id of the reply, so that `on_event` does not count it again.
            model: The model that answered; the one that was asked where that has no price.
            geo: Where it ran, as the reply reports it.

        Raises:
            UsageError: If a count of tokens is negative or no whole number.
        """
        now = self._clock.now()
        cost = self._pricing.bill(usage, reservation, model=model, geo=geo, now=now)
        with self._lock:
            self._books.is_new(message_id)
        if self._till.is_limited and cost.total is None:
            return self.forfeit(reservation)
        cost = self._spend(cost, entry_of(cost, reservation, at=now), reservation.hold_id)
        if self._till.is_limited and cost.total is not None and cost.total > reservation.held:
            _logger.error("%s cost more than its hold: %s.", reservation, cost)
        return cost

    def forfeit(self, reservation: Reservation) -> Cost:
        """Count a hold as spent in full, because nobody knows what the call has cost.

        Without a hard limit nothing was held, and the call counts as one without a known price.
        """
        cost = unknown_cost(reservation, is_held=self._till.is_limited)
        if self._till.forfeit(reservation.hold_id):
            entry = entry_of(cost, reservation, at=self._clock.now())
            self._enter(entry, hold_id=reservation.hold_id)
        return cost

    def release(self, reservation: Reservation) -> None:
        """Give a hold back whole, because the call was provably not billed."""
        if not self._till.is_limited or self._till.spend(reservation.hold_id, 0).is_done:
            with self._lock:
                self._books.drop_bound(reservation.hold_id)

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Enter the calls that no budget has settled; an event sink.

        A message is counted once, whoever reports it, under the model that answered. A hit of a
        response cache was not billed: it counts as saved. Where the simulator stood in for a model
        under a limit, nothing was billed either: that is in the books alone. With a ledger on disk,
        a call that no budget has settled waits for it here.
        """
        if not isinstance(event, ModelCallFinished):
            return
        call, reply, now = event.call, event.reply, self._clock.now()
        hit = reply.cache_hit
        if hit is not None:
            cost = Cost(model=reply.model, usage=Usage(), total=Money(), saved=hit.saved)
            self._enter(entry_of(cost, call, at=now, is_cache_hit=True))
            return
        with self._lock:
            if not self._books.is_new(reply.id):
                return
        geo = reply.inference_geo
        cost = self._pricing.bill(reply.usage, call, model=reply.model, geo=geo, now=now)
        entry = entry_of(cost, call, at=now)
        if (self._till.is_limited or self.is_shared) and reply.served_by == "simulator":
            self._enter(entry, write_surcharge=cost.write_surcharge.pico)
        else:
            self._spend(cost, entry, new_hold_id())

    def take_crossings(self) -> tuple[BudgetReached, ...]:
        """Return the limits that were reached since the last call: each once per crossing."""
        return self._watch.take()

    def check_budget_status(self, budget_limit: float) -> BudgetStatus:
        """Return how the spend of this scope stands against a limit in dollars.

        Raises:
            UsageError: If the limit is no amount of dollars.
        """
        limit = read_dollars(budget_limit, "budget_limit")
        return budget_status(self._till.standing(), limit, self._watch.soft)

    def project_session_cost(self, estimated_turns: int) -> float:
        """Return the expected dollars of so many more calls; 0.0 where nothing was seen yet.

        `project` says how sure that is.

        Raises:
            UsageError: If the number of turns is negative or no whole number.
        """
        found = self.project(estimated_turns)
        return 0.0 if found is None else found.mean_usd

    def project(self, turns: int, *, confidence: float = 0.9) -> Projection | None:
        """Return what so many more calls will cost, with an interval; None before the first call.

        Raises:
            UsageError: If the number of turns or the confidence makes no sense.
        """
        with self._lock:
            return self._books.moments.project(turns, confidence=confidence)

    def get_cost_breakdown(self, by: Dimension = "operation") -> dict[str, float]:
        """Return dollars by operation, model, session, tenant or tool, the dearest first.

        Raises:
            UsageError: If there is no such dimension.
        """
        with self._lock:
            return self._books.breakdown(by)

    def calculate_cache_efficiency(self) -> CacheEfficiency:
        """Return what the prompt cache and the response caches did for the bill."""
        with self._lock:
            return self._books.cache_efficiency()

    def aggregate_costs(self, session_ids: Sequence[str]) -> AggregatedCosts:
        """Return the costs of several sessions, each counted once."""
        with self._lock:
            return self._books.aggregate(session_ids)

    def get_cost_history(self, limit: int = 10) -> list[CostEntry]:
        """Return the latest calls, the oldest of them first.

        Raises:
            UsageError: If the limit is no whole number that makes sense.
        """
        check_limit(limit)
        with self._lock:
            return self._books.latest(limit)

    def report(self) -> CostReport:
        """Return everything that a report shows."""
        budget, now = self._till.for_report(), self._clock.now()
        with self._lock:
            return CostReport(made_at=now, **budget, **self._books.for_report())

    def export_cost_report(
        self,
        format: str = "json",  # noqa: A002 - the promised name
        *,
        output_path: Path | str | None = None,
    ) -> str:
        """Return the report as a document, or write it and return its path.

        Args:
            format: "json", "csv" or "pdf" (extra `pdf`, needs an output path).
            output_path: The file to write.

        Raises:
            UsageError: If there is no such format, or no usable path for one that is no text.
            StorageError: If the file cannot be written.
        """
        from sdk_workflow.core.cost_report import render

        return render(format, self.report(), output_path)

    def get_summary(self) -> str:
        """Return a few lines for people to read."""
        return summary_text(self.report())

    def reset(self) -> None:
        """Forget the books; what the ledger counts stays, because a new budget is a new scope."""
        with self._lock:
            self._books = Books(max_entries=self._max_entries)

    def _spend(self, cost: Cost, entry: CostEntry, hold_id: str) -> Cost:
        """Count a cost in the ledger and, if that is new to it, in the books; return what counts."""
        standing = self._till.spend(hold_id, 0 if cost.total is None else cost.total.pico)
        if not standing.is_done:
            return as_booked(cost, standing.amount)
        self._enter(entry, hold_id=hold_id, write_surcharge=cost.write_surcharge.pico)
        return cost

    def _enter(self, entry: CostEntry, **facts: Any) -> None:
        with self._lock:
            self._books.add(entry, **facts)

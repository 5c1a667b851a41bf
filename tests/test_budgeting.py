"""The queue for money and what waits in it: places, wake-ups, and callers that vanish."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.budgeting import memory_ledger
from sdk_workflow.core.budgeting import waiting as waiting_module
from sdk_workflow.core.budgeting.calls import CallClaim
from sdk_workflow.core.budgeting.desk import Claim, HoldDesk
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.core.budgeting.upper_bound import Quote, prompt_bound
from sdk_workflow.core.budgeting.waiting import off_loop, wait_for_room
from sdk_workflow.exceptions import BudgetExceeded
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.budgeting.desk import Answer
    from sdk_workflow.protocols import Ledger, Standing


def desk(limit: int = 100, ledger: Ledger | None = None) -> HoldDesk:
    return HoldDesk(ledger or MemoryLedger(), scope="run", limit=limit, clock=VirtualClock(0.0))


class Woken(list[str]):
    def claim(self, name: str, amount: int = 60, **options: Any) -> Claim:
        return Claim(name, amount, wake=lambda: self.append(name), **options)


def test_the_first_in_the_queue_is_woken_and_the_next_when_it_is_served() -> None:
    counter, woken = desk(), Woken()
    first, second, third = (woken.claim(name, 50) for name in ("b", "c", "d"))
    counter.ask(Claim("a", 100))
    for claim in (first, second, third):
        assert counter.ask(claim, may_wait=True) == "wait"
    counter.settle("a", 0)
    assert woken == ["b"]
    assert counter.ask(first, may_wait=True) == "granted"
    assert woken == ["b", "c"]
    assert counter.ask(third, may_wait=True) == "wait"
    assert counter.ask(second, may_wait=True) == "granted"


def test_asking_again_does_not_cost_the_place() -> None:
    counter, woken = desk(), Woken()
    first, second = woken.claim("b"), woken.claim("c")
    counter.ask(Claim("a", 60))
    for claim in (first, second, first, first):
        counter.ask(claim, may_wait=True)
    counter.settle("a", 0)
    counter.settle("x", 0)
    assert woken == ["b", "b"]


def test_a_claim_that_does_not_wait_never_passes_those_who_do() -> None:
    counter, woken = desk(), Woken()
    counter.ask(Claim("a", 60))
    counter.ask(woken.claim("b"), may_wait=True)
    small = Claim("c", 1)
    assert counter.ask(small) == "refused"
    assert counter.refusal(small).code == "budget_busy"


def test_a_claim_that_can_never_fit_is_refused_behind_others_as_well() -> None:
    counter, woken = desk(), Woken()
    counter.ask(Claim("a", 60))
    counter.ask(woken.claim("b"), may_wait=True)
    huge = Claim("c", 101)
    assert counter.ask(huge, may_wait=True) == "refused"
    assert counter.refusal(huge).code == "budget_exceeded"


def test_who_comes_while_the_first_is_about_to_be_served_waits_behind_it() -> None:
    counter, woken = desk(), Woken()
    first = woken.claim("b")
    counter.ask(Claim("a", 60))
    counter.ask(first, may_wait=True)
    counter.settle("a", 0)
    assert counter.ask(woken.claim("c"), may_wait=True) == "wait"
    assert counter.ask(first, may_wait=True) == "granted"


def test_a_refusal_wakes_the_next_one() -> None:
    counter, woken = desk(), Woken()
    first, second = woken.claim("b", 90), woken.claim("c", 30)
    counter.ask(Claim("a", 60))
    counter.ask(first, may_wait=True)
    counter.ask(second, may_wait=True)
    counter.settle("a", 50)
    assert counter.ask(first, may_wait=True) == "refused"
    assert woken == ["b", "c"]
    assert counter.ask(second, may_wait=True) == "granted"


def test_a_forfeit_wakes_who_has_nothing_to_wait_for_any_more() -> None:
    counter, woken = desk(), Woken()
    waiting = woken.claim("b")
    counter.ask(Claim("a", 60))
    counter.ask(waiting, may_wait=True)
    counter.forfeit("a")
    assert woken == ["b"]
    assert counter.ask(waiting, may_wait=True) == "refused"


def test_who_leaves_makes_way_and_gives_back_what_it_got() -> None:
    counter, woken = desk(), Woken()
    first, second = woken.claim("a"), woken.claim("b")
    counter.ask(first)
    counter.ask(second, may_wait=True)
    counter.leave(first)
    assert woken == ["b"]
    assert counter.ask(second, may_wait=True) == "granted"
    assert counter.ask(first, may_wait=True) == "refused"  # a thread that came too late


def test_a_waiter_whose_loop_is_closed_is_passed_over() -> None:
    def closed() -> None:
        raise RuntimeError

    counter, woken = desk(), Woken()
    counter.ask(Claim("a", 60))
    counter.ask(Claim("b", 60, wake=closed), may_wait=True)
    alive = woken.claim("c")
    counter.ask(alive, may_wait=True)
    counter.settle("a", 0)
    assert woken == ["c"]
    assert counter.ask(alive, may_wait=True) == "granted"


def test_a_waiter_that_looks_by_itself_needs_no_waking() -> None:
    counter = desk()
    claim = Claim("b", 60)
    counter.ask(Claim("a", 60))
    assert counter.ask(claim, may_wait=True) == "wait"
    counter.settle("a", 0)
    assert counter.ask(claim, may_wait=True) == "granted"


class Contested(MemoryLedger):
    """Another process takes some of the room between a look and a try, once."""

    def reserve(self, scope: str, hold_id: str, amount: int, **options: Any) -> Standing:
        standing = super().reserve(scope, hold_id, amount, **options)
        if not standing.is_done and hold_id == "b":
            super().reserve(scope, "theirs", 20, **options)
        return standing


def test_a_clamped_claim_takes_what_others_leave() -> None:
    counter = desk(ledger=Contested())
    counter.ask(Claim("a", 50))
    claim = Claim("b", 90, least=10, shrink=lambda room: room)
    assert counter.ask(claim) == "granted"
    assert claim.granted == 30


def test_a_claim_that_cannot_be_cut_to_the_room_is_refused() -> None:
    counter = desk()
    counter.ask(Claim("a", 50))
    assert counter.ask(Claim("b", 90, least=10, shrink=lambda _room: None)) == "refused"
    assert counter.ask(Claim("c", 90, least=51, shrink=lambda room: room)) == "refused"


def test_a_claim_waits_for_nobody_where_nothing_is_held() -> None:
    counter = desk()
    counter.settle("x", 50)
    claim = Claim("b", 90, least=10, shrink=lambda _room: None)
    assert counter.ask(claim, may_wait=True) == "refused"
    assert counter.refusal(claim).retryable


def test_a_quote_that_fits_no_room_cuts_nothing() -> None:
    quote = Quote(Call(model="sonnet", messages=()), ModelCatalog.load(), date(2026, 11, 21))
    claim = CallClaim("a", quote, may_clamp=True)
    assert claim.shrink is not None
    assert claim.shrink(0) is None


def test_a_claim_that_gets_all_in_the_end_is_not_clamped_by_an_earlier_look() -> None:
    quote = Quote(Call(model="sonnet", messages=()), ModelCatalog.load(), date(2026, 11, 21))
    claim = CallClaim("a", quote, may_clamp=True)
    assert claim.shrink is not None
    claim.granted = claim.shrink(quote.amount(1000)) or 0
    assert claim.max_tokens == 1000
    claim.granted = claim.amount
    assert claim.max_tokens == 4096


def test_only_the_latest_ends_are_remembered_and_a_forgotten_one_counts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_ledger, "_MAX_ENDED", 2)
    ledger = MemoryLedger()
    for name in ("a", "b", "c", "c", "a"):
        ledger.settle("run", name, 5, now=0.0)
    assert ledger.standing("run", now=0.0).spent == 20


class Slow(MemoryLedger):
    """Is asked in a thread, which goes on when it is told to."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    def reserve(self, scope: str, hold_id: str, amount: int, **options: Any) -> Standing:
        self.asked.set()
        self.go.wait(5)
        return super().reserve(scope, hold_id, amount, **options)


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.anyio
async def test_a_task_that_is_cancelled_while_a_thread_asks_leaves_no_hold_behind(
    *, waits: bool
) -> None:
    """Native cancellation passes the shield; the thread goes on and is granted the money."""
    ledger = Slow()
    counter = desk(ledger=ledger)
    waiting = wait_for_room(counter, Claim("a", 60), waits=waits, max_wait_seconds=5)
    task = asyncio.ensure_future(waiting)
    await anyio.to_thread.run_sync(ledger.asked.wait)
    task.cancel()
    ledger.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.standing("run", now=0.0).held == 0


@pytest.mark.anyio
async def test_only_the_first_in_the_queue_keeps_asking_a_ledger_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_module, "_LOOK_AGAIN_SHARED_SECONDS", 0.001)
    asked: list[str] = []

    class Watched(HoldDesk):
        def ask(self, claim: Claim, *, may_wait: bool = False) -> Answer:
            asked.append(claim.hold_id)
            return super().ask(claim, may_wait=may_wait)

    ledger = MemoryLedger()
    monkeypatch.setattr(ledger, "is_shared", True)
    counter = Watched(ledger, scope="run", limit=100, clock=VirtualClock(0.0))
    counter.ask(Claim("a", 100))
    async with anyio.create_task_group() as tasks:
        for name in ("b", "c"):
            wait = functools.partial(wait_for_room, waits=True, max_wait_seconds=60)
            tasks.start_soon(wait, counter, Claim(name, 100))
            while name not in asked:
                await anyio.lowlevel.checkpoint()
        while asked.count("b") < 20:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert asked.count("c") == 1


def test_a_child_process_does_not_stand_behind_those_who_wait_in_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter, woken = desk(), Woken()
    counter.ask(Claim("a", 60))
    counter.ask(woken.claim("b"), may_wait=True)
    counter._lock.acquire()  # as a thread of the parent would have at the fork
    monkeypatch.setattr(os, "getpid", lambda: -7)
    assert counter.ask(Claim("c", 40)) == "granted"
    counter.settle("c", 0)
    assert woken == []


@pytest.mark.anyio
async def test_without_waiting_a_refusal_is_raised_at_once() -> None:
    counter = desk()
    counter.ask(Claim("a", 60))
    with pytest.raises(BudgetExceeded):
        await wait_for_room(counter, Claim("b", 60), waits=False, max_wait_seconds=5)


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.anyio
async def test_an_error_comes_back_from_wherever_it_was_raised(*, is_shared: bool) -> None:
    failing: Callable[[], None] = {}.popitem  # type: ignore[assignment]
    with pytest.raises(KeyError):
        await off_loop(failing, is_shared=is_shared)


def test_read_only_mappings_in_a_request_are_counted() -> None:
    schema = MappingProxyType({"type": "object", "title": "x" * 100})
    tool = {"name": "t", "input_schema": schema}
    assert prompt_bound(Call(model="m", messages=(), tools=(tool,)), 10**6) > 1600

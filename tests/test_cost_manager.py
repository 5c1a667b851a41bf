"""The cost manager: exact money, limits that hold, and books that add up."""

from __future__ import annotations

import sys
import threading
from datetime import date, datetime, timezone
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.budgeting import books as books_module
from sdk_workflow.core.budgeting.books import OTHERS, Books
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.core.cost_records import CostEntry
from sdk_workflow.events import ModelCallFinished, TextDelta
from sdk_workflow.exceptions import BudgetExceeded, UnpricedModel, UsageError
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.types import CacheHit, Call, Money, Reply, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.cost_records import CostReport

NOVEMBER = datetime(2026, 11, 21, 12, tzinfo=timezone.utc).timestamp()
USAGE = Usage(input_tokens=1000, output_tokens=100)
MODEL = "claude-sonnet-5-5"
ASK = {"role": "user", "content": "Hello"}
GLOBAL = {"inference_geo": "global"}  # else the dearest region counts


@pytest.fixture(scope="module")
def catalog() -> ModelCatalog:
    return ModelCatalog.load()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOVEMBER)


def manager(clock: VirtualClock | None = None, **options: Any) -> CostManager:
    return CostManager(clock=clock or VirtualClock(NOVEMBER), **options)


def call(**changes: Any) -> Call:
    asked = {"model": MODEL, "messages": (ASK,), "max_tokens": 1000, "parameters": GLOBAL}
    return Call(**{**asked, **changes})


def reply(usage: Usage = USAGE, **facts: Any) -> Reply:
    fields = {"id": "msg_1", "model": MODEL, "content": (), "stop_reason": "end_turn"}
    return Reply(**{**fields, "usage": usage, **facts})


def finished(asked: Call | None = None, answered: Reply | None = None) -> ModelCallFinished:
    return ModelCallFinished(call=asked or call(), reply=answered or reply(), duration_ms=1.0)


def held(costs: CostManager) -> float:
    return costs.check_budget_status(1.0)["held_usd"]


def spent(costs: CostManager) -> float:
    return costs.check_budget_status(1.0)["spent_usd"]


# ---------------------------------------------------------------------------------------- prices


def test_a_cost_is_exact_to_the_pico_dollar() -> None:
    cost = manager().calculate_cost(USAGE, MODEL)
    assert cost.total == Money(1000 * 2_000_000 + 100 * 10_000_000)
    assert cost.usd == 0.003


def test_a_cost_goes_by_the_price_of_its_day(catalog: ModelCatalog) -> None:
    usage = Usage(input_tokens=300_000)
    costs = manager(price_book=catalog)
    changed = 0
    for name in catalog.names():
        found = []
        for day in (date(2026, 3, 12), date(2026, 3, 13)):
            at = datetime(day.year, day.month, day.day, 23, 59, tzinfo=timezone.utc)
            found.append(costs.calculate_cost(usage, name, at=at).total)
            assert found[-1] == catalog.price(name, usage, at=day)
        changed += found[0] != found[1]
    assert changed


def test_a_batch_costs_half() -> None:
    costs = manager()
    whole = costs.calculate_cost(USAGE, MODEL).total
    half = costs.calculate_cost(USAGE, MODEL, batch=True).total
    assert whole is not None
    assert half == Money(whole.pico // 2)


def test_region_and_fast_mode_are_billed_as_they_were_asked_for(catalog: ModelCatalog) -> None:
    parameters = {"inference_geo": "us", "speed": "fast"}
    asked = call(model="claude-fable-5-2", parameters=parameters)
    costs = manager(hard_limit_usd=10, price_book=catalog)
    cost = costs.settle(costs.reserve(asked), USAGE)
    day = date(2026, 11, 21)
    assert cost.total == catalog.price("claude-fable-5-2", USAGE, at=day, geo="us", fast=True)


@pytest.mark.parametrize("count", [-1, 0.5, float("nan"), True, "7", None])
def test_nonsense_tokens_are_refused_and_nothing_is_lost(count: Any) -> None:
    costs = manager(hard_limit_usd=1)
    costs.calculate_cost(USAGE, MODEL)
    reservation = costs.reserve(call())
    for usage in (Usage(output_tokens=count), Usage(cache_read_input_tokens=count)):
        with pytest.raises(UsageError, match="no count of tokens"):
            costs.calculate_cost(usage, MODEL)
        with pytest.raises(UsageError, match="no count of tokens"):
            costs.settle(reservation, usage)
    assert spent(costs) == 0.003
    assert held(costs) == reservation.held.usd


def test_a_model_without_a_price_is_counted_and_said() -> None:
    costs = manager()
    assert costs.calculate_cost(USAGE, "mystery").usd is None
    assert costs.settle(costs.reserve(call(model="mystery")), USAGE).total is None
    assert costs.report().unpriced_calls == 2
    assert "2 calls have no known price" in costs.get_summary()


# ---------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "much", True, 1e10, [1]])
def test_a_limit_that_is_no_amount_is_refused(amount: Any) -> None:
    for name in ("soft_limit_usd", "hard_limit_usd"):
        with pytest.raises(UsageError, match=name):
            manager(**{name: amount})
    with pytest.raises(UsageError, match="budget_limit"):
        manager().check_budget_status(amount)


@pytest.mark.parametrize("amount", [0.1, "0.1", Decimal("0.1"), Money(10**11)])
def test_a_limit_means_what_it_shows(amount: Any) -> None:
    assert manager(hard_limit_usd=amount).report().hard_limit == Money(10**11)


def test_a_soft_limit_above_the_hard_one_is_refused() -> None:
    with pytest.raises(UsageError, match="above"):
        manager(soft_limit_usd=2, hard_limit_usd=1)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UsageError, match="'hope'"):
        manager(on_exhausted="hope")


def test_a_hold_becomes_what_was_billed() -> None:
    costs = manager(hard_limit_usd="0.05")
    reservation = costs.reserve(call())
    assert held(costs) == reservation.held.usd > 0.01
    cost = costs.settle(reservation, USAGE)
    assert (held(costs), spent(costs), cost.usd) == (0.0, 0.003, 0.003)


def test_settling_and_forfeiting_again_changes_nothing() -> None:
    costs = manager(hard_limit_usd=1)
    reservation = costs.reserve(call())
    costs.settle(reservation, USAGE)
    costs.settle(reservation, Usage(output_tokens=999))
    costs.forfeit(reservation)
    costs.release(reservation)
    assert spent(costs) == 0.003
    assert costs.report().calls == 1


def test_an_unknown_outcome_counts_in_full_until_the_truth_is_known() -> None:
    costs = manager(hard_limit_usd=1)
    costs.calculate_cost(USAGE, MODEL)
    reservation = costs.reserve(call())
    cost = costs.forfeit(reservation)
    costs.forfeit(reservation)
    assert cost.is_upper_bound
    assert cost.total == reservation.held
    assert costs.report().upper_bound_calls == 1
    assert costs.report().total == Money(3 * 10**9) + reservation.held
    assert spent(costs) == costs.report().total.usd
    costs.settle(reservation, USAGE)
    report = costs.report()
    assert (report.upper_bound_calls, report.calls, report.total.usd) == (0, 2, 0.006)
    assert [entry.cost for entry in report.entries] == [Money(3 * 10**9)] * 2
    assert report.projection is not None
    assert (report.projection.samples, report.projection.mean_usd) == (2, 0.3)
    assert spent(costs) == 0.006


def test_a_released_hold_was_never_spent() -> None:
    costs = manager(hard_limit_usd=1)
    costs.release(costs.reserve(call()))
    assert (held(costs), spent(costs), costs.report().calls) == (0.0, 0.0, 0)


def test_without_a_hard_limit_nothing_is_held() -> None:
    costs = manager()
    assert costs.has_room(call(model="mystery"))
    reservation = costs.reserve(call())
    assert (reservation.held, held(costs)) == (Money(), 0.0)
    costs.release(reservation)
    assert costs.forfeit(reservation).total is None
    costs.settle(reservation, USAGE)
    assert (spent(costs), costs.report().calls, costs.report().unpriced_calls) == (0.003, 1, 0)


def test_a_call_that_can_never_fit_is_refused_at_once() -> None:
    costs = manager(hard_limit_usd="0.001")
    with pytest.raises(BudgetExceeded) as caught:
        costs.reserve(call())
    assert (caught.value.code, caught.value.retryable) == ("budget_exceeded", False)
    assert "$0.0112" in caught.value.message
    assert not costs.has_room(call())


def test_a_call_that_may_fit_later_is_refused_for_now() -> None:
    costs = manager(hard_limit_usd="0.02")
    first = costs.reserve(call())
    with pytest.raises(BudgetExceeded) as caught:
        costs.reserve(call())
    assert (caught.value.code, caught.value.retryable) == ("budget_busy", True)
    costs.settle(first, USAGE)
    assert costs.reserve(call()).held == first.held


def test_a_hold_nobody_settles_counts_as_spent_for_ever(clock: VirtualClock) -> None:
    costs = manager(clock, hard_limit_usd="0.02", hold_seconds=60)
    costs.reserve(call())
    clock.advance(61)
    with pytest.raises(BudgetExceeded) as caught:
        costs.reserve(call())
    assert not caught.value.retryable


def test_a_limit_of_nothing_lets_nothing_through() -> None:
    costs = manager(hard_limit_usd=0)
    with pytest.raises(BudgetExceeded):
        costs.reserve(call())
    assert costs.check_budget_status(0)["used_pct"] == 100.0


def test_a_counted_prompt_needs_less() -> None:
    costs = manager(hard_limit_usd=1)
    long = call(messages=({"role": "user", "content": "word " * 10_000},))
    by_bytes, by_count = costs.reserve(long), costs.reserve(long, counted_prompt_tokens=10_000)
    assert by_count.held.pico == (10_000 + 200 + 64) * 2_000_000 + 1000 * 10_000_000
    assert by_count.held < by_bytes.held
    assert costs.reserve(call(), counted_prompt_tokens=10**6).held == costs.reserve(call()).held


def test_an_unpriced_model_is_refused_under_a_hard_limit() -> None:
    costs = manager(hard_limit_usd=1)
    with pytest.raises(UnpricedModel, match="mystery"):
        costs.reserve(call(model="mystery"))
    with pytest.raises(UnpricedModel):
        costs.reserve(call(parameters={"inference_geo": "mars"}))
    assert held(costs) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": ({"type": "web_search_20250305", "name": "web_search"},)},
        {"tools": ({"type": "mcp_toolset"},)},
        {"parameters": {"mcp_servers": [{"url": "https://example.com"}]}},
        {"parameters": {"context_management": {"edits": [{"type": "compact_20260112"}]}}},
    ],
)
def test_what_only_the_server_can_bound_is_refused_under_a_hard_limit(changes: Any) -> None:
    with pytest.raises(UnpricedModel) as caught:
        manager(hard_limit_usd=1).reserve(call(**changes))
    assert caught.value.code == "unbounded_call"
    manager().reserve(call(**changes))


def test_clearing_old_results_and_client_tools_are_fine_under_a_hard_limit() -> None:
    edits = {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}
    tools = ({"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "mine"})
    assert manager(hard_limit_usd=1).reserve(call(parameters=edits, tools=tools)).held > Money()


def test_a_clamped_call_gets_the_output_that_is_left() -> None:
    costs = manager(hard_limit_usd="0.02", on_exhausted="clamp")
    first = costs.reserve(call())
    second = costs.reserve(call())
    assert (first.is_clamped, second.is_clamped) == (False, True)
    assert 256 <= second.max_tokens < 1000
    room = Money.from_usd("0.02") - first.held - second.held
    assert Money() <= room < Money(10_000_000)
    costs.settle(second, USAGE)
    assert costs.get_cost_history(1)[0].is_clamped


def test_a_clamped_call_gets_no_less_than_makes_sense() -> None:
    costs = manager(hard_limit_usd="0.00376", on_exhausted="clamp")
    assert costs.reserve(call()).max_tokens == 257
    with pytest.raises(BudgetExceeded):
        costs.reserve(call())
    thinking = {**GLOBAL, "thinking": {"type": "enabled", "budget_tokens": 300}}
    with pytest.raises(BudgetExceeded):
        manager(hard_limit_usd="0.0041", on_exhausted="clamp").reserve(call(parameters=thinking))
    fits = manager(hard_limit_usd="0.0044", on_exhausted="clamp").reserve(call(parameters=thinking))
    assert fits.max_tokens > 300


def test_a_small_call_is_not_clamped_below_what_it_asks_for() -> None:
    costs = manager(hard_limit_usd="0.002", on_exhausted="clamp")
    assert costs.reserve(call(max_tokens=10)).max_tokens == 10
    with pytest.raises(BudgetExceeded):
        costs.reserve(call(max_tokens=100))


def test_a_soft_limit_is_told_once() -> None:
    costs = manager(soft_limit_usd="0.005")
    costs.calculate_cost(USAGE, MODEL)
    assert costs.take_crossings() == ()
    costs.calculate_cost(USAGE, MODEL)
    costs.calculate_cost(USAGE, MODEL)
    (event,) = costs.take_crossings()
    assert (event.limit, event.limit_usd, event.spent_usd) == ("soft", 0.005, 0.006)
    assert costs.take_crossings() == ()
    assert costs.check_budget_status(1)["state"] == "soft"


def test_a_soft_limit_is_told_again_when_it_is_passed_anew() -> None:
    costs = manager(soft_limit_usd="0.005", hard_limit_usd=1)
    reservation = costs.reserve(call())
    costs.forfeit(reservation)
    assert len(costs.take_crossings()) == 1
    costs.settle(reservation, USAGE)
    costs.calculate_cost(USAGE, MODEL)
    assert len(costs.take_crossings()) == 1


def test_a_hard_limit_is_told_once_until_there_was_room_again() -> None:
    costs = manager(hard_limit_usd="0.02")
    first = costs.reserve(call())
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            costs.reserve(call())
    assert [event.limit for event in costs.take_crossings()] == ["hard"]
    costs.settle(first, USAGE)
    costs.reserve(call())
    with pytest.raises(BudgetExceeded):
        costs.reserve(call())
    assert [event.limit for event in costs.take_crossings()] == ["hard"]


def test_the_status_says_how_a_budget_stands() -> None:
    costs = manager(hard_limit_usd=1)
    costs.calculate_cost(USAGE, MODEL)
    reservation = costs.reserve(call())
    status = costs.check_budget_status(0.03)
    assert status["remaining_usd"] == pytest.approx(0.03 - 0.003 - reservation.held.usd)
    assert status["state"] == "ok"
    assert status["used_pct"] == pytest.approx(10.0)
    assert costs.check_budget_status(0.013)["state"] == "busy"
    assert costs.check_budget_status(0.003)["state"] == "exhausted"


def test_scopes_of_one_ledger_are_budgets_of_their_own() -> None:
    ledger = MemoryLedger()
    one, two = (manager(ledger=ledger, scope=name, hard_limit_usd=1) for name in ("a", "b"))
    one.calculate_cost(USAGE, MODEL)
    assert (spent(one), spent(two)) == (0.003, 0.0)
    assert spent(manager(ledger=ledger, scope="a")) == 0.003


def test_eight_threads_never_pass_the_limit_and_the_books_add_up() -> None:
    costs = manager(hard_limit_usd="0.2")
    seen: list[Money] = []

    def work() -> None:
        for _ in range(100):
            try:
                reservation = costs.reserve(call(operation=threading.current_thread().name))
            except BudgetExceeded:
                continue
            status = costs.check_budget_status(0.2)
            assert status["spent_usd"] + status["held_usd"] <= 0.2 + 1e-12
            cost = costs.settle(reservation, USAGE).total
            assert cost is not None
            seen.append(cost)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Money(sum(cost.pico for cost in seen))
    assert costs.report().total == costs.report().spent == total <= Money.from_usd("0.2")
    assert sum(group.calls for group in costs.report().groups["operation"]) == len(seen)


# ---------------------------------------------------------------------------------------- events


def test_a_call_that_no_budget_has_settled_is_entered_by_its_event() -> None:
    costs = manager()
    costs.on_event(finished(call(operation="plan", session_id="s", tenant="t")))
    (entry,) = costs.get_cost_history()
    assert (entry.operation, entry.session_id, entry.tenant, entry.at) == (
        "plan", "s", "t", NOVEMBER,
    )  # fmt: skip
    assert spent(costs) == 0.003


def test_a_message_is_counted_once_whoever_reports_it() -> None:
    costs = manager(hard_limit_usd=1)
    costs.settle(costs.reserve(call()), USAGE, message_id="msg_1")
    costs.on_event(finished())
    costs.on_event(finished())
    assert spent(costs) == 0.003
    costs.on_event(finished(answered=reply(id="msg_2")))
    assert spent(costs) == 0.006


def test_a_hit_of_a_response_cache_is_not_billed_but_saved() -> None:
    costs = manager()
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1.0, usage=USAGE, saved=Money(3 * 10**9))
    for _ in range(2):
        costs.on_event(finished(answered=reply(Usage(), cache_hit=hit)))
    assert spent(costs) == 0.0
    efficiency = costs.calculate_cache_efficiency()
    assert (efficiency["response_cache_hits"], efficiency["net_saved_usd"]) == (2, 0.006)
    assert costs.project(10) is None


def test_what_the_simulator_made_up_under_a_limit_is_in_the_books_alone() -> None:
    costs = manager(hard_limit_usd=1)
    costs.on_event(finished(answered=reply(id="msg_9", served_by="simulator")))
    assert spent(costs) == 0.0
    assert costs.report().total.usd == 0.003


def test_other_events_mean_nothing() -> None:
    costs = manager()
    costs.on_event(TextDelta(text="x"))
    assert costs.report().calls == 0


def test_only_the_latest_message_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_module, "_MAX_MESSAGE_IDS", 2)
    books = Books()
    assert [books.is_new(name) for name in ("a", "b", "b", "c", "a")] == [
        True, True, False, True, True,
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------- books


def test_costs_break_down_by_every_dimension() -> None:
    costs = manager()
    use = {"type": "tool_use", "id": "t1", "name": "read", "input": {}}
    other = {"type": "tool_use", "id": "t2", "name": "bash", "input": {}}
    results = [{"type": "tool_result", "tool_use_id": name, "content": ""} for name in ("t1", "t2")]
    turns = (
        ASK,
        {"role": "assistant", "content": [use, other]},
        {"role": "user", "content": results},
    )
    asked = call(operation="plan", session_id="s", tenant="t", messages=turns)
    costs.settle(costs.reserve(asked), USAGE)
    costs.calculate_cost(USAGE, "haiku", session_id="s")
    assert list(costs.get_cost_breakdown()) == ["plan", "message"]
    assert costs.get_cost_breakdown("model")[MODEL] == 0.003
    assert costs.get_cost_breakdown("tenant")["t"] == 0.003
    assert costs.get_cost_breakdown("tool")["bash+read"] == 0.003
    assert sum(costs.get_cost_breakdown("session").values()) == costs.report().total.usd
    with pytest.raises(UsageError, match="'colour'"):
        costs.get_cost_breakdown("colour")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (ASK,),
        ({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]},),
        (ASK, {"role": "user", "content": [{"type": "text", "text": "x"}]}),
        (ASK, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}),
        (ASK, {"role": "user", "content": None}),
    ],
)
def test_a_call_that_reads_no_known_result_belongs_to_no_tool(messages: Any) -> None:
    assert manager().reserve(call(messages=messages)).tool is None


def test_names_beyond_the_most_are_counted_together() -> None:
    books = Books(max_names=2)
    for name in ("a", "b", "c", "d", "a"):
        books.add(CostEntry(at=0.0, operation=name, model="m", cost=Money(10**12)))
    assert books.breakdown("operation") == {OTHERS: 2.0, "a": 2.0, "b": 1.0}


def test_the_history_is_bounded_and_the_sums_are_not() -> None:
    costs = manager(max_entries=3)
    for _ in range(5):
        costs.calculate_cost(USAGE, MODEL)
    assert len(costs.get_cost_history(10)) == 3
    assert costs.get_cost_history(0) == []
    assert len(costs.get_cost_history(2)) == 2
    assert costs.report().total.usd == 0.015


def test_a_bound_is_taken_back_even_when_its_entry_is_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(books_module, "_MAX_BOUNDS", 1)
    costs = manager(hard_limit_usd=1, max_entries=1)
    forgotten, known = costs.reserve(call()), costs.reserve(call())
    costs.forfeit(forgotten)
    costs.forfeit(known)
    costs.calculate_cost(USAGE, MODEL)
    costs.settle(known, USAGE)
    assert costs.report().total == forgotten.held + Money(6 * 10**9)


def test_cache_efficiency_counts_reads_writes_and_what_they_cost() -> None:
    costs = manager()
    usage = Usage(
        input_tokens=100,
        cache_read_input_tokens=800,
        cache_write_5m_input_tokens=60,
        cache_write_1h_input_tokens=40,
    )
    costs.calculate_cost(usage, MODEL)
    costs.calculate_cost(Usage(cache_write_5m_input_tokens=10), "mystery")
    found = costs.calculate_cache_efficiency()
    assert found["hit_rate"] == 800 / 1010
    assert found["written_tokens"] == 110
    assert found["write_surcharge_usd"] == pytest.approx((60 * 0.5 + 40 * 2) / 1e6)
    assert found["saved_usd"] > found["net_saved_usd"] > 0
    assert manager().calculate_cache_efficiency()["hit_rate"] == 0.0


def test_sessions_are_added_up_and_missing_ones_named() -> None:
    costs = manager()
    costs.calculate_cost(USAGE, MODEL, session_id="a")
    costs.calculate_cost(USAGE, MODEL, session_id="b")
    found = costs.aggregate_costs(["a", "b", "a", "c"])
    assert found == {
        "total_usd": 0.006,
        "calls": 2,
        "by_session": {"a": 0.003, "b": 0.003},
        "missing": ["c"],
    }


def test_resetting_forgets_the_books_and_frees_no_money() -> None:
    costs = manager(hard_limit_usd=1)
    costs.calculate_cost(USAGE, MODEL)
    costs.reset()
    assert (costs.report().calls, spent(costs)) == (0, 0.003)


# ----------------------------------------------------------------------------- reports, projection


def test_a_projection_before_the_first_call_knows_nothing() -> None:
    costs = manager()
    assert costs.project_session_cost(10) == 0.0
    assert costs.project(10) is None


def test_a_projection_from_one_call_has_no_interval() -> None:
    costs = manager()
    costs.calculate_cost(USAGE, MODEL)
    found = costs.project(10)
    assert found is not None
    assert (found.mean_usd, found.low_usd, found.high_usd) == (0.03, 0.0, None)
    assert "one call" in found.method
    assert "Next 100 calls: $0.3000" in costs.get_summary()


def test_an_interval_narrows_with_what_was_seen() -> None:
    costs = manager()
    widths = []
    for _ in range(3):
        for tokens in (100, 200, 300, 400):
            costs.calculate_cost(Usage(output_tokens=tokens), MODEL)
        found = costs.project(10, confidence=0.9)
        assert found is not None
        assert found.high_usd is not None
        assert found.low_usd < found.mean_usd == 0.025 < found.high_usd
        widths.append(found.high_usd - found.low_usd)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("turns", [-1, 1.5, True, "7"])
def test_a_projection_of_nonsense_is_refused(turns: Any) -> None:
    with pytest.raises(UsageError, match="number of turns"):
        manager().project_session_cost(turns)


@pytest.mark.parametrize("confidence", [0, 1, -1, float("nan")])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(UsageError, match="confidence"):
        manager().project(1, confidence=confidence)


def test_the_summary_says_what_matters() -> None:
    costs = manager(hard_limit_usd=1)
    assert costs.get_summary().startswith("0 calls, $0.0000\nBudget 'default'")
    costs.settle(costs.reserve(call(operation="plan")), Usage(cache_read_input_tokens=100))
    costs.forfeit(costs.reserve(call()))
    text = costs.get_summary()
    assert "1 call counts at the most" in text
    assert "By operation: message $0.0112, plan" in text
    assert "Prompt cache: 100% read" in text
    assert "Next 100 calls" in text
    assert " to $" in text


def test_a_report_is_handed_to_the_renderer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[tuple[str, CostReport, Path | None]] = []

    def render(form: str, report: CostReport, output_path: Path | None = None) -> str:
        shown.append((form, report, output_path))
        return "rendered"

    renderer = ModuleType("sdk_workflow.core.cost_report")
    renderer.render = render  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, renderer.__name__, renderer)
    costs = manager(soft_limit_usd=1)
    costs.calculate_cost(USAGE, MODEL)
    assert costs.export_cost_report("csv", output_path=tmp_path / "c.csv") == "rendered"
    ((form, report, path),) = shown
    assert (form, path, report.total.usd) == ("csv", tmp_path / "c.csv", 0.003)
    assert (report.soft_limit, report.made_at, len(report.entries)) == (Money(10**12), NOVEMBER, 1)


def test_a_second_settle_returns_what_counts_and_says_nothing_of_the_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    costs = manager(hard_limit_usd=1)
    reservation = costs.reserve(call())
    first = costs.settle(reservation, Usage(output_tokens=5))
    assert costs.settle(reservation, Usage(output_tokens=5)) == first
    again = costs.settle(reservation, Usage(output_tokens=10**9))
    assert (again.total, again.usage) == (first.total, Usage())
    assert costs.report().total == first.total
    assert caplog.records == []


@pytest.mark.parametrize("name", ["model", "operation", "session_id"])
def test_a_name_that_is_no_text_is_refused_before_anything_is_booked(name: str) -> None:
    costs = manager()
    given: dict[str, Any] = {"model": "haiku", name: 5}
    with pytest.raises(UsageError, match="=5 is no text"):
        costs.calculate_cost(USAGE, **given)
    assert costs.report().calls == 0


def test_an_odd_name_that_a_call_brings_breaks_no_report() -> None:
    costs = manager(hard_limit_usd=1)
    for operation in (5, "5", "plan"):
        asked = call(operation=operation)
        costs.settle(costs.reserve(asked), USAGE)
    assert set(costs.get_cost_breakdown()) == {"5", "plan"}
    assert costs.export_cost_report("csv")


@pytest.mark.parametrize("limit", [float("nan"), 1.5, "a", None, True, 2**80])
def test_a_history_of_no_length_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError, match="limit="):
        manager().get_cost_history(limit)


def test_a_report_is_written_to_a_path_named_as_text(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    assert manager().export_cost_report(output_path=str(path)) == str(path)
    assert path.read_text().startswith("{")
    with pytest.raises(UsageError, match="is no path"):
        manager().export_cost_report(output_path=5)  # type: ignore[arg-type]


def test_a_call_that_cost_more_than_its_hold_is_booked_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    costs = manager(hard_limit_usd=1)
    cost = costs.settle(costs.reserve(call()), Usage(output_tokens=2_000))
    assert costs.report().total == cost.total
    assert "cost more than its hold" in caplog.text

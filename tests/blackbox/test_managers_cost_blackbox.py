"""What anybody can see of the cost manager from outside, checked against its promises alone."""

from __future__ import annotations

import contextlib
import csv
import importlib
import inspect
import io
import json
import math
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sdk_workflow
from sdk_workflow.events import ModelCallFinished
from sdk_workflow.exceptions import StorageError, UnpricedModel, UsageError
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.types import CacheHit, Call, Money, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
FACTS = tomllib.loads(
    (Path(sdk_workflow.__file__).parent / "config" / "models.toml").read_text(encoding="utf-8")
)
HAIKU = "claude-haiku-4-5"
FIELDS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_write_5m_input_tokens": "cache_write_5m",
    "cache_write_1h_input_tokens": "cache_write_1h",
}


def call(**changes: Any) -> Call:
    facts: dict[str, Any] = {
        "model": HAIKU, "max_tokens": 100, "messages": ({"role": "user", "content": "Hi"},),
    }  # fmt: skip
    return Call(**{**facts, **changes})


def periods() -> list[tuple[str, dict[str, Any]]]:
    found = [(name, period) for name, table in FACTS["prices"].items() for period in table]
    for name, model in FACTS["models"].items():
        found += [(name, period) for period in model.get("prices", [])]
    return found


def a_day_of(period: dict[str, Any]) -> date:
    if "valid_to" in period:
        return period["valid_to"] - timedelta(days=1)  # type: ignore[no-any-return]
    return period.get("valid_from", date(2026, 11, 1))  # type: ignore[no-any-return]


def exact_pico(period: dict[str, Any], usage: Usage, *, batch: bool = False) -> Fraction:
    """Return what the price table says, by the book: dollars per million tokens, all in fractions."""
    rates = period
    for tier in sorted(period.get("tiers", []), key=lambda tier: tier["above_prompt_tokens"]):
        if usage.prompt_tokens > tier["above_prompt_tokens"]:
            rates = tier
    dollars = sum(
        (Fraction(rates[rate]) * getattr(usage, field) for field, rate in FIELDS.items()),
        Fraction(0),
    ) / 10**6  # fmt: skip
    if batch:
        dollars *= Fraction(FACTS["multipliers"]["batch"])
    return dollars * 10**12


USAGES = st.builds(Usage, **{field: st.integers(0, 400_000) for field in FIELDS})


# -- signatures and prices ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("calculate_cost", ["usage", "model", "at", "operation", "session_id"]),
        ("reserve", ["call"]),
        ("settle", ["reservation", "usage"]),
        ("forfeit", ["reservation"]),
        ("check_budget_status", ["budget_limit"]),
        ("project_session_cost", ["estimated_turns"]),
        ("get_cost_breakdown", []),
        ("calculate_cache_efficiency", []),
        ("export_cost_report", ["format", "output_path"]),
        ("aggregate_costs", ["session_ids"]),
        ("get_cost_history", ["limit"]),
        ("get_summary", []),
        ("reset", []),
    ],
)
def test_every_promised_method_takes_its_promised_arguments(method: str, names: list[str]) -> None:
    parameters = inspect.signature(getattr(CostManager, method)).parameters
    assert list(parameters)[1 : 1 + len(names)] == names
    rest = list(parameters.values())[1 + len(names) :]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in rest)


def test_the_constructor_takes_what_was_promised_and_waits_by_default() -> None:
    parameters = inspect.signature(CostManager).parameters
    for name in ("soft_limit_usd", "hard_limit_usd", "on_exhausted", "ledger", "price_book"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["on_exhausted"].default == "wait"


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize(("model", "period"), periods(), ids=lambda value: str(value)[:28])
@given(usage=USAGES, batch=st.booleans())
def test_every_price_is_exact_to_the_pico_dollar(
    model: str, period: dict[str, Any], usage: Usage, batch: bool  # noqa: FBT001 - drawn
) -> None:
    noon = datetime.combine(a_day_of(period), datetime.min.time(), timezone.utc) + timedelta(
        hours=12
    )
    cost = CostManager().calculate_cost(usage, model, at=noon, batch=batch)
    assert cost.total == Money(math.ceil(exact_pico(period, usage, batch=batch)))


def test_a_price_changes_at_midnight_utc() -> None:
    usage = Usage(cache_read_input_tokens=10**6)
    costs = CostManager()
    for at, dollars in [
        (datetime(2026, 10, 6, 23, 59, 59, tzinfo=timezone.utc), "0.2"),
        (datetime(2026, 10, 7, 0, 0, 0, tzinfo=timezone.utc), "0.1"),
        (datetime(2026, 10, 7, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))), "0.2"),
    ]:
        cost = costs.calculate_cost(usage, "claude-sonnet-5-5", at=at)
        assert cost.total == Money.from_usd(dollars)


def test_the_tier_of_a_long_prompt_holds_from_the_first_token_beyond() -> None:
    costs = CostManager()
    at_limit = costs.calculate_cost(Usage(input_tokens=100_000), "claude-haiku-5-5")
    beyond = costs.calculate_cost(Usage(input_tokens=100_001), "claude-haiku-5-5")
    assert at_limit.total == Money.from_usd("0.01")
    assert beyond.total == Money.from_usd("0.0500005")


@settings(max_examples=50, deadline=None)
@given(usages=st.lists(USAGES, min_size=1, max_size=30))
def test_sums_of_any_many_calls_are_exact(usages: list[Usage]) -> None:
    costs = CostManager(max_entries=3)
    total = sum((exact_pico(FACTS["prices"][HAIKU][0], usage) for usage in usages), Fraction(0))
    for usage in usages:
        costs.calculate_cost(usage, HAIKU)
    assert costs.report().total == Money(int(total))
    assert costs.report().calls == len(usages)


def test_a_million_tenths_of_a_cent_are_a_thousand_dollars_and_not_a_hair_off() -> None:
    costs = CostManager()
    for _ in range(2000):
        costs.calculate_cost(Usage(input_tokens=1000), HAIKU)
    assert costs.report().total == Money.from_usd("2")
    assert costs.check_budget_status(2)["remaining_usd"] == 0.0


@pytest.mark.parametrize("model", ["nope", "", "claude-mythos-preview", "HAIKU"])
def test_a_model_without_a_price_counts_as_one_and_is_refused_under_a_hard_limit(
    model: str,
) -> None:
    free = CostManager()
    assert free.calculate_cost(Usage(input_tokens=1), model).total is None
    assert free.report().unpriced_calls == 1
    with pytest.raises(UnpricedModel) as caught:
        CostManager(hard_limit_usd=1).reserve(call(model=model))
    assert caught.value.hint


def test_all_names_of_a_model_have_one_price() -> None:
    usage = Usage(input_tokens=17, output_tokens=3)
    prices = {
        CostManager().calculate_cost(usage, name).total
        for name in (HAIKU, "claude-haiku-4-5-20251001")
    }
    assert prices == {Money(17 * 10**6 + 3 * 5 * 10**6)}


# -- books -------------------------------------------------------------------------------------


def booked() -> CostManager:
    costs = CostManager()
    for number in range(6):
        costs.calculate_cost(
            Usage(input_tokens=1000 * number, output_tokens=100, cache_read_input_tokens=500),
            HAIKU if number % 2 else "claude-opus-5",
            operation="plan" if number < 2 else "act",
            session_id=f"s-{number % 3}",
        )
    return costs


@pytest.mark.parametrize("by", ["operation", "model", "session", "tenant", "tool"])
def test_every_breakdown_adds_up_to_the_total_the_dearest_first(by: Any) -> None:
    costs = booked()
    shares = costs.get_cost_breakdown(by)
    assert sum(shares.values()) == pytest.approx(costs.report().total.usd)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_the_breakdown_is_by_operation_unless_asked_otherwise() -> None:
    assert set(booked().get_cost_breakdown()) == {"plan", "act"}


def test_a_call_that_reads_results_of_a_tool_is_booked_under_that_tool() -> None:
    costs = CostManager(hard_limit_usd=1)
    use = {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
    messages = (
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    )
    costs.settle(costs.reserve(call(messages=messages, tenant="pharos")), Usage(input_tokens=10))
    assert list(costs.get_cost_breakdown("tool")) == ["bash"]
    assert list(costs.get_cost_breakdown("tenant")) == ["pharos"]


def test_sessions_add_up_each_once_and_those_that_nobody_knows_are_named() -> None:
    costs = booked()
    both = costs.aggregate_costs(["s-0", "s-1", "s-0", "nobody"])
    assert set(both["by_session"]) == {"s-0", "s-1"}
    assert both["total_usd"] == pytest.approx(sum(both["by_session"].values()))
    assert both["calls"] == 4
    assert both["missing"] == ["nobody"]


def test_cache_efficiency_tells_what_reading_saved_and_writing_cost() -> None:
    costs = CostManager()
    costs.calculate_cost(
        Usage(
            input_tokens=1000,
            cache_read_input_tokens=6000,
            cache_write_5m_input_tokens=2000,
            cache_write_1h_input_tokens=1000,
        ),
        HAIKU,
    )
    figures = costs.calculate_cache_efficiency()
    assert figures["hit_rate"] == pytest.approx(0.6)
    assert figures["saved_usd"] == pytest.approx(6000 * 0.9e-6)
    assert figures["write_surcharge_usd"] == pytest.approx(2000 * 0.25e-6 + 1000 * 1e-6)
    assert figures["net_saved_usd"] == pytest.approx(6000 * 0.9e-6 - 1500e-6)


def finished(message_id: str, usage: Usage, hit: CacheHit | None = None) -> ModelCallFinished:
    reply = Reply(
        id=message_id, model=HAIKU, content=(), stop_reason="end_turn", usage=usage, cache_hit=hit
    )
    return ModelCallFinished(call=call(), reply=reply, duration_ms=1.0)


def test_a_message_is_booked_once_whoever_reports_it() -> None:
    costs = CostManager(hard_limit_usd=1)
    usage = Usage(input_tokens=10)
    costs.settle(costs.reserve(call()), usage, message_id="msg_1")
    for _ in range(2):
        costs.on_event(finished("msg_1", usage))
        costs.on_event(finished("msg_2", usage))
    assert costs.report().calls == 2
    assert costs.report().spent == Money(20 * 10**6)


def test_a_hit_of_a_response_cache_is_saved_and_not_spent() -> None:
    costs = CostManager()
    hit = CacheHit(
        tier="lru", hit_id="h", age_seconds=1.0, usage=Usage(input_tokens=10), saved=Money(10**7)
    )
    costs.on_event(finished("msg_1", Usage(), hit))
    assert costs.report().spent == Money(0)
    assert costs.calculate_cache_efficiency()["response_cache_hits"] == 1
    assert costs.calculate_cache_efficiency()["response_cache_saved_usd"] == 0.00001


def test_a_reset_forgets_the_books_and_not_the_money() -> None:
    costs = CostManager(hard_limit_usd=1)
    costs.settle(costs.reserve(call()), Usage(input_tokens=10))
    costs.reset()
    assert costs.get_cost_history() == []
    assert costs.report().calls == 0
    assert costs.report().spent == Money(10 * 10**6)


# -- projection --------------------------------------------------------------------------------


def test_nothing_is_projected_from_nothing() -> None:
    assert CostManager().project(10) is None
    assert CostManager().project_session_cost(10) == 0.0


def test_a_projection_is_a_mean_with_an_interval_that_widens_with_confidence() -> None:
    costs = booked()
    some, more = costs.project(20, confidence=0.5), costs.project(20, confidence=0.99)
    assert some is not None
    assert more is not None
    assert some.high_usd is not None
    assert more.high_usd is not None
    assert more.low_usd <= some.low_usd <= some.mean_usd <= some.high_usd <= more.high_usd
    assert costs.project_session_cost(20) == pytest.approx(some.mean_usd)
    assert some.mean_usd == pytest.approx(20 * costs.report().total.usd / 6)


def test_a_projection_of_equal_calls_is_certain() -> None:
    costs = CostManager()
    for _ in range(10):
        costs.calculate_cost(Usage(input_tokens=1000), HAIKU)
    projection = costs.project(5)
    assert projection is not None
    assert projection.low_usd == pytest.approx(projection.mean_usd)
    assert projection.high_usd == pytest.approx(projection.mean_usd)


# -- reports -----------------------------------------------------------------------------------


def test_the_json_report_is_exact_and_adds_up() -> None:
    document = json.loads(booked().export_cost_report())
    assert document["schema"].startswith("sdk_workflow.")
    assert sum(entry["cost_pico"] for entry in document["entries"]) == document["total_pico"]
    for groups in document["groups"].values():
        assert sum(group["cost_pico"] for group in groups) == document["total_pico"]


def test_the_csv_report_adds_up_to_the_total() -> None:
    costs = booked()
    rows = list(csv.DictReader(io.StringIO(costs.export_cost_report("csv"))))
    assert len(rows) == 6
    assert sum(Decimal(row["cost_usd"]) for row in rows) * 10**12 == costs.report().total.pico


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_no_text_in_the_csv_can_run_as_a_formula(start: str) -> None:
    costs = CostManager()
    costs.calculate_cost(Usage(input_tokens=1), HAIKU, operation=start + "cmd|'/C calc'!A0")
    (row,) = csv.DictReader(io.StringIO(costs.export_cost_report("csv"), newline=""))
    assert row["operation"].lstrip(" \t\r\n")[0] not in "=+-@"


def test_a_report_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    costs = booked()
    for form in ("json", "csv"):
        path = tmp_path / f"costs.{form}"
        assert costs.export_cost_report(form, output_path=path) == str(path)
        assert path.stat().st_size > 100


def test_the_pdf_report_has_a_picture_and_names_what_was_spent(tmp_path: Path) -> None:
    pytest.importorskip("fpdf")
    pypdf = pytest.importorskip("pypdf")
    path = tmp_path / "costs.pdf"
    costs = booked()
    costs.calculate_cost(Usage(input_tokens=9), HAIKU, operation="\u6f6e <b>\u202e\U0001f30a")
    assert costs.export_cost_report("pdf", output_path=path) == str(path)
    pages = pypdf.PdfReader(path).pages
    text = "".join(page.extract_text() for page in pages)
    assert "plan" in text
    assert "act" in text
    assert f"{costs.report().total.usd:.4f}" in text
    drawn = b"".join(page.get_contents().get_data() for page in pages)
    assert drawn.count(b" re") + drawn.count(b" l\n") + drawn.count(b" l ") >= 6


def test_an_empty_report_is_a_report(tmp_path: Path) -> None:
    pytest.importorskip("fpdf")
    for form in ("json", "csv", "pdf"):
        CostManager().export_cost_report(form, output_path=tmp_path / f"empty.{form}")
    assert CostManager().get_summary()


@pytest.mark.parametrize("place", ["missing/costs.pdf", "."])
@pytest.mark.parametrize("form", ["json", "csv", "pdf"])
def test_a_report_that_cannot_be_written_is_a_clear_error(
    tmp_path: Path, form: str, place: str
) -> None:
    pytest.importorskip("fpdf")
    with pytest.raises(StorageError) as caught:
        booked().export_cost_report(form, output_path=tmp_path / place)
    assert caught.value.hint


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [-1, math.nan, math.inf, 1.5, True, "3"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_count_of_tokens_that_makes_no_sense_changes_nothing(count: Any, field: str) -> None:
    costs = CostManager(hard_limit_usd=1)
    reservation = costs.reserve(call())
    before = costs.check_budget_status(1)
    usage = Usage(**{field: count})
    with pytest.raises(UsageError):
        costs.calculate_cost(usage, HAIKU)
    with pytest.raises(UsageError):
        costs.settle(reservation, usage)
    assert costs.check_budget_status(1) == before
    assert costs.report().calls == 0


@pytest.mark.parametrize("limit", [-1, math.nan, math.inf, "x", "", True, [1], "NaN", 10**12])
@pytest.mark.parametrize("name", ["soft_limit_usd", "hard_limit_usd"])
def test_a_limit_that_is_no_amount_of_dollars_is_refused(name: str, limit: Any) -> None:
    with pytest.raises(UsageError) as caught:
        CostManager(**{name: limit})
    assert name in str(caught.value)


@pytest.mark.parametrize("limit", [0.1, "0.10", Decimal("0.1"), Money.from_usd("0.1")])
def test_a_limit_means_the_same_in_every_form(limit: Any) -> None:
    assert CostManager(hard_limit_usd=limit).report().hard_limit == Money(10**11)


@pytest.mark.parametrize("limit", ["0.1234567890126", Decimal("1e-13"), 5e-13, 9.9e-13])
def test_a_limit_finer_than_a_pico_dollar_is_never_rounded_up(limit: Any) -> None:
    hard = CostManager(hard_limit_usd=limit).report().hard_limit
    assert hard is not None
    assert Fraction(hard.pico) <= Fraction(Decimal(str(limit))) * 10**12


@pytest.mark.parametrize(
    "ask",
    [
        lambda _: CostManager(hard_limit_usd=1, soft_limit_usd=2),
        lambda _: CostManager(on_exhausted="bogus"),  # type: ignore[arg-type]
        lambda costs: costs.check_budget_status(math.nan),
        lambda costs: costs.check_budget_status(-1),
        lambda costs: costs.project_session_cost(-1),
        lambda costs: costs.project_session_cost(math.nan),
        lambda costs: costs.project(5, confidence=1),
        lambda costs: costs.get_cost_breakdown("x"),
        lambda costs: costs.export_cost_report("xml"),
        lambda costs: costs.export_cost_report(None),
        lambda costs: costs.export_cost_report("pdf"),
    ],
)
def test_bad_input_is_a_clear_error_with_a_hint(ask: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError) as caught:
        ask(booked())
    assert caught.value.hint


@pytest.mark.parametrize(
    "ask",
    [
        lambda costs: costs.get_cost_history(math.nan),
        lambda costs: costs.get_cost_history("a"),
        lambda costs: costs.calculate_cost({"input_tokens": 4}, HAIKU),
        lambda costs: costs.calculate_cost(None, HAIKU),
        lambda costs: costs.calculate_cost(Usage(), HAIKU, at="2026-01-01"),
        lambda costs: costs.calculate_cost(Usage(), None),
        lambda costs: costs.calculate_cost(Usage(), HAIKU, operation=None),
        lambda costs: costs.project_session_cost(10**400),
        lambda costs: costs.reserve(call(max_tokens=-5)),
        lambda costs: costs.reserve(call(max_tokens=None)),
        lambda costs: costs.reserve(call(), counted_prompt_tokens=-5),
        lambda costs: costs.reserve(call(), counted_prompt_tokens=math.nan),
        lambda _: CostManager(hold_seconds=math.nan),
        lambda _: CostManager(hold_seconds=-1),
        lambda _: CostManager(max_wait_seconds=-1),
        lambda _: CostManager(max_entries=0),
        lambda _: CostManager(scope=""),
        lambda _: CostManager(scope=5),  # type: ignore[arg-type]
    ],
)
def test_other_bad_input_is_a_clear_error_too(ask: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError):
        ask(CostManager(hard_limit_usd=1))


def test_one_odd_name_of_an_operation_does_not_break_every_later_report() -> None:
    costs = CostManager()
    costs.calculate_cost(Usage(input_tokens=1), HAIKU)
    with contextlib.suppress(UsageError):
        costs.calculate_cost(Usage(input_tokens=1), HAIKU, operation=5)  # type: ignore[arg-type]
    assert costs.get_cost_breakdown()
    assert costs.export_cost_report()


def test_a_report_can_go_to_a_path_given_as_text(tmp_path: Path) -> None:
    booked().export_cost_report("json", output_path=str(tmp_path / "r.json"))

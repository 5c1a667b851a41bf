"""What a call is held for and billed at: the model that answered, the day, the region, the truth."""

from __future__ import annotations

import base64
import struct
import time
import unicodedata
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.model_data import read_facts
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.budgeting.pictures import LARGEST_PICTURE_TOKENS, picture_tokens
from sdk_workflow.core.budgeting.pricing import Pricing
from sdk_workflow.core.budgeting.upper_bound import Quote, prompt_bound
from sdk_workflow.events import ModelCallFinished
from sdk_workflow.exceptions import UnpricedModel, UsageError
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.types import Call, Money, Reply, Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc).timestamp()
MIDNIGHT = NOON + 43_200
DAY = date(2026, 11, 21)
CATALOG = ModelCatalog.load()
MODEL = "claude-sonnet-5-5"
USAGE = Usage(input_tokens=1000, output_tokens=100)
ASK = {"role": "user", "content": "Hello"}


def manager(clock: VirtualClock | None = None, **options: Any) -> CostManager:
    return CostManager(**{"clock": clock or VirtualClock(NOON), "hard_limit_usd": 10, **options})


def call(**changes: Any) -> Call:
    return Call(**{"model": MODEL, "messages": (ASK,), "max_tokens": 1000, **changes})


def dated_catalog(*prices: str, fast_ends: date | None = None) -> ModelCatalog:
    """Return a catalogue with one model, whose price changes after November 21."""
    rates = {"cache_write_5m": "1", "cache_write_1h": "1", "cache_read": "0.1", "output": "5"}
    periods = [{**rates, "input": price} for price in prices]
    periods[0]["valid_to"] = date(2026, 11, 22)  # type: ignore[assignment]
    if len(periods) > 1:
        periods[1]["valid_from"] = date(2026, 11, 22)  # type: ignore[assignment]
    facts: dict[str, Any] = {
        "context_window": 1_000_000,
        "max_output_tokens": 1000,
        "min_cacheable_tokens": 1024,
        "prices": periods,
    }
    if fast_ends is not None:
        facts["fast"] = {"multiplier": "2", "ends": fast_ends}
    document = {
        "catalogue": {"as_of": DAY},
        "multipliers": {"batch": "0.5", "geo": {"us": "1.1", "moon": "0.9"}},
        "models": {"m": facts},
    }
    return ModelCatalog(read_facts(document, Path("models.toml")))


# ---------------------------------------------------------------------------------------- regions


def test_where_no_region_is_named_the_dearest_is_held() -> None:
    quote = Quote(call(), CATALOG, DAY)
    assert quote.amount(1000) == quote.prompt_tokens * 2_200_000 + 1000 * 11_000_000
    named = Quote(call(parameters={"inference_geo": "global"}), CATALOG, DAY)
    assert named.amount(1000) == named.prompt_tokens * 2_000_000 + 1000 * 10_000_000


def test_a_catalogue_without_dear_regions_has_no_dearest() -> None:
    facts = dated_catalog("1")._facts
    assert ModelCatalog(facts).dearest_geo == "us"
    for geo in ({}, {"moon": 900}, {"here": 1000}):
        assert ModelCatalog(replace(facts, geo_permille=geo)).dearest_geo is None


def test_a_call_is_billed_where_it_ran() -> None:
    costs = manager()
    reservation = costs.reserve(call())
    cost = costs.settle(reservation, USAGE, geo="us")
    assert cost.total == Money(3 * 10**9 * 11 // 10) == CATALOG.price(MODEL, USAGE, geo="us")
    at_home = costs.settle(costs.reserve(call()), USAGE, geo="not_available")
    assert at_home.total == Money(3 * 10**9)
    unheard = costs.settle(costs.reserve(call()), USAGE, geo="mars")
    assert unheard.total == Money(3 * 10**9)


def test_a_reply_says_where_it_ran() -> None:
    message = {"id": "m", "model": MODEL, "content": [], "usage": {"inference_geo": "us"}}
    assert Reply.from_api(message).inference_geo == "us"
    assert Reply.from_api({**message, "usage": None}).inference_geo is None


def test_an_event_is_billed_where_it_ran_and_under_the_model_that_answered() -> None:
    costs = manager(hard_limit_usd=None)
    facts: dict[str, Any] = {"content": (), "stop_reason": "end_turn", "usage": USAGE}
    reply = Reply(id="msg_1", model="claude-opus-5-5", inference_geo="us", **facts)
    costs.on_event(ModelCallFinished(call=call(), reply=reply, duration_ms=1.0))
    (entry,) = costs.get_cost_history()
    assert entry.model == "claude-opus-5-5"
    assert entry.cost == CATALOG.price("claude-opus-5-5", USAGE, geo="us")


# ----------------------------------------------------------------------------------------- models


def test_a_call_is_billed_under_the_model_that_answered() -> None:
    costs = manager()
    cost = costs.settle(costs.reserve(call()), USAGE, model="claude-opus-5-5")
    assert (cost.model, cost.total) == ("claude-opus-5-5", CATALOG.price("claude-opus-5-5", USAGE))


def test_where_the_model_that_answered_has_no_price_the_one_that_was_asked_counts() -> None:
    costs = manager()
    cost = costs.settle(costs.reserve(call()), USAGE, model="somebody-elses")
    assert (cost.model, cost.total) == (MODEL, Money(3 * 10**9))


def test_where_no_price_is_known_any_more_the_whole_hold_counts() -> None:
    known = dated_catalog("1", "1")
    costs = manager(price_book=known)
    reservation = costs.reserve(call(model="m"))
    known._by_name.clear()
    cost = costs.settle(reservation, USAGE, message_id="msg_1")
    assert (cost.is_upper_bound, cost.total) == (True, reservation.held)
    report = costs.report()
    assert (report.spent, report.held) == (reservation.held, Money())
    assert report.upper_bound_calls == 1


# ------------------------------------------------------------------------------------------- days


@pytest.mark.parametrize(("today", "tomorrow"), [("1", "3"), ("3", "1")])
def test_of_a_price_that_changes_at_midnight_the_dearer_is_held_and_billed(
    today: str, tomorrow: str
) -> None:
    clock = VirtualClock(MIDNIGHT - 1)
    costs = manager(clock, price_book=dated_catalog(today, tomorrow))
    usage = Usage(input_tokens=500, output_tokens=1000)
    reservation = costs.reserve(call(model="m", parameters={"inference_geo": "global"}))
    assert reservation.held.pico > 500 * 3_000_000 + 1000 * 5_000_000
    clock.advance(2)
    assert costs.settle(reservation, usage).total == Money(500 * 3_000_000 + 1000 * 5_000_000)


def test_a_price_that_changes_long_afterwards_is_not_billed() -> None:
    clock = VirtualClock(NOON - 7 * 86_400)
    costs = manager(clock, price_book=dated_catalog("1", "3"))
    reservation = costs.reserve(call(model="m"))
    clock.advance(14 * 86_400)
    assert costs.settle(reservation, Usage(input_tokens=1)).total == Money(1_000_000)


def test_a_price_without_a_tomorrow_and_a_mode_that_ends_tonight_are_held_as_today() -> None:
    for catalog in (dated_catalog("1"), dated_catalog("1", "1", fast_ends=date(2026, 11, 22))):
        fast = {"speed": "fast"} if catalog.find("m").fast else {}
        asked = call(model="m", parameters=fast)
        assert manager(price_book=catalog).reserve(asked).held > Money()


def test_a_moment_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # fourteen hours ahead
    time.tzset()
    try:
        costs = manager(price_book=dated_catalog("1", "3"))
        late = datetime(2026, 11, 22, 1)  # noqa: DTZ001 - that is the point
        cost = costs.calculate_cost(Usage(input_tokens=1), "m", at=late)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert cost.total == Money(3_000_000)
    with pytest.raises(UsageError, match="no moment"):
        costs.calculate_cost(USAGE, "m", at="today")  # type: ignore[arg-type]


def test_savings_and_surcharges_carry_the_multipliers_of_the_price() -> None:
    usage = Usage(cache_read_input_tokens=1000, cache_write_5m_input_tokens=1000)
    pricing = Pricing(CATALOG)
    whole = pricing.cost(MODEL, usage, at=NOON)
    half = pricing.cost(MODEL, usage, at=NOON, batch=True)
    assert whole.saved == Money(1000 * 1_900_000)
    assert whole.write_surcharge == Money(1000 * 500_000)
    assert half.saved == Money(1000 * 950_000)
    assert half.write_surcharge == Money(1000 * 250_000)


# ----------------------------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    "parameters",
    [
        {"compaction": {"enabled": True}},
        {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
    ],
)
def test_what_the_server_adds_to_a_prompt_is_refused_under_a_hard_limit(parameters: Any) -> None:
    with pytest.raises(UnpricedModel) as caught:
        manager().reserve(call(parameters=parameters))
    assert caught.value.code == "unbounded_call"


def test_a_conversation_that_begins_on_the_server_has_a_bound() -> None:
    assert manager().reserve(call(parameters={"thread": {"type": "create"}})).held > Money()


@pytest.mark.parametrize("counted", [-1, -(10**6), 1.5, float("nan"), True, "7"])
def test_a_count_that_is_none_lowers_no_hold(counted: Any) -> None:
    with pytest.raises(UsageError, match="counted_prompt_tokens"):
        manager().reserve(call(), counted_prompt_tokens=counted)


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"thinking": "on"}},
        {"parameters": {"thinking": {"budget_tokens": "many"}}},
        {"parameters": {"thread": "t"}},
        {"parameters": {"context_management": []}, "tools": ("tool",)},
        {"messages": ("Hello",)},
        {"messages": ({"role": "user", "content": [{"cache_control": "yes"}]},)},
        {"max_tokens": "1000"},
    ],
)
def test_a_malformed_call_is_a_typed_error(changes: Any) -> None:
    costs = manager()
    with pytest.raises(UsageError):
        costs.reserve(call(**changes))
    assert costs.report().held == Money()


def test_a_call_that_is_nested_too_deeply_is_a_typed_error() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError, match="malformed"):
        manager().reserve(call(messages=({"role": "user", "content": [{"input": deep}]},)))


@pytest.mark.parametrize(
    "options",
    [
        {"hold_seconds": float("nan")},
        {"hold_seconds": -1},
        {"max_wait_seconds": float("inf")},
        {"max_wait_seconds": "600"},
        {"max_entries": -1},
        {"max_entries": 1.5},
        {"scope": None},
        {"soft_limit_usd": Money(-1)},
        {"hard_limit_usd": Money(10**30)},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: Any) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        manager(**options)


def test_more_tokens_than_any_call_can_have_are_refused() -> None:
    with pytest.raises(UsageError, match="no count of tokens"):
        manager().calculate_cost(Usage(input_tokens=10**400), "mystery")


def test_what_was_given_up_and_then_proved_free_leaves_the_books() -> None:
    costs = manager()
    reservation = costs.reserve(call())
    costs.forfeit(reservation)
    costs.release(reservation)
    report = costs.report()
    assert (report.spent, report.total, report.calls, report.entries) == (Money(), Money(), 0, ())


# --------------------------------------------------------------------------------- text, pictures


def text_bound(text: str) -> int:
    message = {"role": "user", "content": text}
    return prompt_bound(Call(model="m", messages=(message,)), 10**9)


def test_letters_that_unfold_count_unfolded() -> None:
    salute = "\ufdfa"  # one letter of three bytes; folded, eighteen of thirty-three
    assert text_bound(salute * 10) - text_bound("") == 330
    schema = {"name": "t", "input_schema": {"title": salute * 10}}
    assert prompt_bound(Call(model="m", messages=(), tools=(schema,)), 10**9) > 330 + 1024 + 512


@given(st.text())
def test_a_text_has_no_more_tokens_than_bytes_however_it_is_folded(text: str) -> None:
    for form in ("NFC", "NFKC"):
        folded = unicodedata.normalize(form, text)
        assert text_bound(text) - text_bound("") >= len(folded.encode("utf-8", "surrogatepass"))


def picture(data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": "image/x", "data": base64.b64encode(data).decode()}


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def jpeg(width: int, height: int) -> bytes:
    profile = b"\xff\xe1" + struct.pack(">H", 70_000 - 10_000) + bytes(60_000 - 2)
    bare = b"\xff\xff\x01"
    size = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(12)
    return b"\xff\xd8" + profile + bare + size


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + body


PICTURES = {
    "png": png(1600, 1200),
    "jpeg": jpeg(1600, 1200),
    "gif": b"GIF89a" + struct.pack("<HH", 1600, 1200) + bytes(6),
    "webp lossy": webp(b"VP8 ", bytes(6) + struct.pack("<HH", 1600 | 0x4000, 1200) + bytes(9)),
    "webp lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 1599 | 1199 << 14) + bytes(9)),
    "webp extended": webp(
        b"VP8X", bytes(4) + (1599).to_bytes(3, "little") + (1199).to_bytes(3, "little")
    ),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_picture_counts_by_its_size_in_pixels(data: bytes) -> None:
    assert picture_tokens(picture(data)) == 60 * 45
    assert picture_tokens(MappingProxyType(picture(data))) == 60 * 45


@given(st.integers(1, 8_000), st.integers(1, 8_000))
def test_no_picture_has_more_tokens_than_it_counts_for(width: int, height: int) -> None:
    tokens = picture_tokens(picture(png(width, height)))
    assert tokens >= -(-width // 28) * -(-height // 28)
    assert tokens >= width * height / 750
    assert tokens <= LARGEST_PICTURE_TOKENS


@pytest.mark.parametrize(
    "source",
    [
        None,
        "picture",
        {},
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "data": 7},
        {"type": "base64", "data": "no base64 at all: é"},
        {"type": "base64", "data": "iVBORw0KGgo="},
        picture(b""),
        picture(b"BM" + bytes(50)),
        picture(png(8_001, 10)),
        picture(png(0, 10)),
        picture(jpeg(10, 10)[:60_010]),
        picture(b"\xff\xd8\x00\x00"),
        picture(webp(b"ALPH", bytes(30))),
        picture(webp(b"VP8 ", b"")),
    ],
)
def test_a_picture_of_unknown_size_counts_as_the_largest(source: Any) -> None:
    assert picture_tokens(source) == LARGEST_PICTURE_TOKENS


@given(st.binary(max_size=200), st.sampled_from(list(PICTURES.values())), st.integers(0, 60))
def test_whatever_the_bytes_a_picture_has_a_bound(noise: bytes, good: bytes, kept: int) -> None:
    assert 1 <= picture_tokens(picture(good[:kept] + noise)) <= LARGEST_PICTURE_TOKENS

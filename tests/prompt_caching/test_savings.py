"""The estimate of what caching saves, against the simulator's bill and the published rules."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.prompt_caching.savings import CacheBooks, without_breakpoints
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.types import Usage
from tests.prompt_caching.prompts import (
    HOUR,
    MARK,
    MODEL,
    RULES,
    Desk,
    call,
    exchange,
    marks_of,
    result,
    text,
    tool,
    user,
    words,
)

if TYPE_CHECKING:
    from sdk_workflow.types import Call


def turns(count: int, **fields: Any) -> list[Call]:
    messages: list[Any] = [user("Count.")]
    calls = []
    for number in range(count):
        calls.append(call(*messages, tools=(tool(),), **fields))
        messages += exchange(number)
    return calls


def test_the_estimate_is_what_the_simulator_bills() -> None:
    desk, billed = Desk(counter=PseudoTokenizer()), Desk(counter=PseudoTokenizer())
    estimate = desk.optimizer.estimate_cache_savings(turns(8), gap_seconds=30)
    total = Usage()
    for each in turns(8):
        total += billed.ask(each, after=30)
    prompts = dataclasses.replace(total, output_tokens=0)
    price = default_catalog().price(MODEL, prompts)
    assert price is not None
    assert estimate["with_usd"] == price.usd
    assert estimate["prompt_tokens"] == total.prompt_tokens
    assert estimate["read_tokens"] == total.cache_read_input_tokens
    written = total.cache_write_5m_input_tokens + total.cache_write_1h_input_tokens
    assert estimate["written_tokens"] == written
    assert estimate["uncached_tokens"] == total.input_tokens


def test_dollars_and_shares_belong_together() -> None:
    found = Desk().optimizer.estimate_cache_savings(turns(8))
    assert found["calls"] == 8
    assert found["without_usd"] is not None
    assert found["with_usd"] is not None
    assert found["saved_usd"] == found["without_usd"] - found["with_usd"]
    assert found["saved_share"] == pytest.approx(found["saved_usd"] / found["without_usd"])
    share = found["saved_share"]
    assert share is not None
    assert 0.6 < share < 0.95
    assert found["automatic_usd"] == pytest.approx(found["with_usd"], rel=0.01)


def test_automatic_caching_alone_loses_where_the_questions_differ() -> None:
    calls = [call(user(words(str(number))), session_id=None) for number in range(20)]
    found = Desk().optimizer.estimate_cache_savings(calls, gap_seconds=1)
    plain_usd, ours_usd = found["without_usd"], found["with_usd"]
    assert plain_usd is not None
    assert ours_usd is not None
    assert plain_usd > 3 * ours_usd
    automatic_usd = found["automatic_usd"]
    assert automatic_usd is not None
    assert automatic_usd > plain_usd


def test_gaps_beyond_an_hour_save_nothing() -> None:
    found = Desk().optimizer.estimate_cache_savings(turns(8), gap_seconds=4_000)
    assert found["read_tokens"] == 0
    assert found["saved_share"] is not None
    assert -0.1 < found["saved_share"] <= 0


def test_a_model_without_a_price_has_no_dollars() -> None:
    found = Desk().optimizer.estimate_cache_savings(turns(2, model="claude-new-9"))
    assert found["prompt_tokens"] > 0
    assert found["with_usd"] is found["saved_usd"] is found["saved_share"] is None


def test_no_calls_cost_nothing() -> None:
    found = Desk().optimizer.estimate_cache_savings([])
    assert (found["calls"], found["with_usd"], found["saved_share"]) == (0, 0.0, None)


# The books, rule by rule


def books() -> CacheBooks:
    return CacheBooks(PseudoTokenizer())


def bill(held: CacheBooks, each: Call, now: float = 0.0) -> tuple[int, int, int, int]:
    usage = held.bill(each, now=now, min_tokens=512)
    return (
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
        usage.input_tokens,
    )


def automatic(*messages: Any, **fields: Any) -> Call:
    return call(*messages, parameters={"cache_control": MARK}, **fields)


def test_an_entry_lives_five_minutes_from_the_last_read() -> None:
    held = books()
    written = bill(held, automatic())[1]
    assert bill(held, automatic(), now=299)[0] == written
    assert bill(held, automatic(), now=598)[0] == written
    assert bill(held, automatic(), now=898)[0] == 0


def test_a_short_breakpoint_on_a_long_entry_leaves_it_as_it_is() -> None:
    held = books()
    bill(held, call(system=(text(RULES, cache_control=HOUR),)))
    short = call(system=(text(RULES, cache_control=MARK),))
    assert bill(held, short, now=10)[0] > 2_000
    assert bill(held, short, now=1_000)[0] > 2_000


def test_an_hour_is_billed_up_to_its_breakpoint() -> None:
    system = (text(RULES, cache_control=HOUR),)
    read, short, long, rest = bill(books(), automatic(user(words("Hi")), system=system))
    assert (read, rest) == (0, 0)
    assert long > 20 * short > 0


@pytest.mark.parametrize(("blocks", "is_read"), [(20, True), (21, False)])
def test_the_look_back_ends_after_twenty_blocks(*, blocks: int, is_read: bool) -> None:
    held = books()
    bill(held, automatic(user(text("first"))))
    more = [text(str(number)) for number in range(blocks)]
    assert (bill(held, automatic(user(text("first"), *more)))[0] > 0) is is_read


def test_what_is_below_the_minimum_is_not_cached() -> None:
    assert bill(books(), automatic(system=None))[:3] == (0, 0, 0)


def test_other_models_tenants_and_roles_share_nothing() -> None:
    held = books()
    bill(held, automatic())
    assert bill(held, automatic(model="claude-opus-5-5"))[0] == 0
    assert bill(held, automatic(tenant="t"))[0] == 0


def test_web_search_is_rendered_behind_the_tools_and_deferred_tools_not_at_all() -> None:
    search = {"type": "web_search_1", "name": "w", "cache_control": MARK}
    late = tool("late", defer_loading=True)
    held = books()
    tools = call(tools=(search, tool(), late), system=None)
    written = bill(held, tools)[1]
    assert written > 500
    assert bill(held, call(tools=(search, tool()), system=RULES))[0] == written
    assert bill(held, call(tools=(search, tool("b")), system=None))[0] == 0


def test_a_top_level_breakpoint_without_markable_messages_falls_on_the_system_prompt() -> None:
    held = books()
    written = bill(held, automatic(user(text(""))))[1]
    assert written == bill(held, automatic(user(text(""), text(""))))[0] > 2_000
    nothing = automatic(user(text("")), system=None)
    assert bill(held, nothing)[:3] == (0, 0, 0)


def test_a_system_prompt_of_blocks_is_read_block_by_block() -> None:
    held = books()
    first = (text(RULES, cache_control=MARK),)
    written = bill(held, call(system=first))[1]
    assert bill(held, call(system=(*first, text("More."))))[0] == written


def test_without_breakpoints_nothing_of_them_is_left() -> None:
    full = call(
        user(result(1, [text("x", cache_control=MARK)], cache_control=HOUR), text("y")),
        tools=(tool(cache_control=MARK),),
        system=(text(RULES, cache_control=MARK),),
        parameters={"cache_control": MARK, "stop_sequences": ["s"]},
    )
    plain = without_breakpoints(full)
    assert marks_of(plain) == {}
    assert "cache_control" not in str(plain)
    assert plain.parameters == {"stop_sequences": ["s"]}
    assert without_breakpoints(call(system=None)).system is None

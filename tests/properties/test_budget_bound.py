"""A hold is never less than the bill: the bound against the simulator's billing, and in itself."""

from __future__ import annotations

import json
import math
import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.budgeting.projection import CostMoments, student_quantile
from sdk_workflow.core.budgeting.upper_bound import Quote, prompt_bound
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.steps import Answer
from sdk_workflow.types import Call, Usage
from tests.simulator.simulated import NOVEMBER_21

DAY = date(2026, 11, 21)
CATALOG = ModelCatalog.load()
PRICED = [
    name
    for name in CATALOG.names()
    if CATALOG.price(name, Usage(), at=DAY) is not None
    and (model := CATALOG.get(name)) is not None
    and not model.is_retired(DAY)
]
TEXTS = st.text(min_size=1).filter(lambda text: bool(text.strip()))  # the API takes no blank one
MARKERS = st.sampled_from(
    [
        {},
        {},
        {"cache_control": {"type": "ephemeral"}},
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
)
PICTURE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PAPER = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}


def block(text: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, **marker}


BLOCKS = st.one_of(
    st.builds(block, TEXTS, MARKERS),
    st.just({"type": "image", "source": PICTURE}),
    st.just({"type": "document", "source": PAPER}),
    st.builds(
        lambda text: {"type": "document", "title": text, "source": {"type": "text", "media_type": "text/plain", "data": text}},
        TEXTS,
    ),
)  # fmt: skip
JSON = st.dictionaries(
    TEXTS, st.one_of(TEXTS, st.integers(), st.lists(TEXTS, max_size=3)), max_size=3
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request that the API takes."""
    messages: list[dict[str, Any]] = [
        {
            "role": "user",
            "content": draw(st.one_of(TEXTS, st.lists(BLOCKS, min_size=1, max_size=3))),
        }
    ]
    params: dict[str, Any] = {
        "model": draw(st.sampled_from(PRICED)),
        "max_tokens": draw(st.integers(1, 300)),
        "messages": messages,
    }
    if draw(st.booleans()):
        params["system"] = draw(
            st.one_of(TEXTS, st.lists(st.builds(block, TEXTS, MARKERS), min_size=1, max_size=1))
        )
    if draw(st.booleans()):
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        params["tools"] = [{"name": "read", "description": draw(TEXTS), "input_schema": schema}]
        if draw(st.booleans()):
            use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": draw(JSON)}
            result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": draw(TEXTS)}
            messages += [
                {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]},
            ]
    return params


def billed(simulation: Simulation, params: dict[str, Any]) -> int | None:
    """Return what the simulator bills, in pico-dollars; None where it refuses the request."""
    (answer,) = [step for step in simulation.create(params) if isinstance(step, Answer)]
    if answer.status != 200:
        return None
    assert isinstance(answer.body, dict)
    price = CATALOG.price(params["model"], Usage.from_api(answer.body["usage"]), at=DAY)
    assert price is not None
    return price.pico


@settings(max_examples=150, deadline=None)
@given(requests())
def test_a_hold_is_never_less_than_what_the_simulator_bills(params: dict[str, Any]) -> None:
    simulation = Simulation.build(clock=VirtualClock(NOVEMBER_21))
    bound = Quote(Call.from_params(params), CATALOG, DAY).amount(params["max_tokens"])
    for _ in range(2):  # the second one reads what the first one has written
        bill = billed(simulation, params)
        assert bill is None or bill <= bound


def test_most_requests_of_that_test_are_answered() -> None:
    simulation = Simulation.build(clock=VirtualClock(NOVEMBER_21))
    for model in PRICED:
        params = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
        assert billed(simulation, params) is not None


@given(requests(), st.sampled_from([0, 1, 50, 100]), st.sampled_from([0, 50, 100]), st.booleans())
def test_every_usage_within_the_bound_costs_no_more(
    params: dict[str, Any],
    read_percent: int,
    written_percent: int,
    for_an_hour: bool,  # noqa: FBT001 - drawn
) -> None:
    call, asked = Call.from_params(params), json.dumps(params)
    quote = Quote(call, CATALOG, DAY)
    read = quote.prompt_tokens * read_percent // 100
    rest = quote.prompt_tokens - read
    written = rest * written_percent // 100 if '"cache_control"' in asked else 0
    for_an_hour = for_an_hour and '"ttl": "1h"' in asked
    usage = Usage(
        input_tokens=rest - written,
        cache_read_input_tokens=read,
        cache_write_5m_input_tokens=0 if for_an_hour else written,
        cache_write_1h_input_tokens=written if for_an_hour else 0,
        output_tokens=params["max_tokens"],
    )
    price = CATALOG.price(call.model, usage, at=DAY)
    assert price is not None
    assert price.pico <= quote.amount(call.max_tokens)


@given(requests(), st.integers(0, 10**12))
def test_the_largest_output_within_a_room_fits_and_one_more_does_not(
    params: dict[str, Any], room: int
) -> None:
    quote = Quote(Call.from_params({**params, "max_tokens": 5000}), CATALOG, DAY)
    tokens = quote.tokens_within(room)
    if tokens is None:
        assert quote.amount(256) > room
    else:
        assert quote.amount(tokens) <= room
        assert tokens == 5000 or quote.amount(tokens + 1) > room


def long_context_catalog(price_above: str) -> ModelCatalog:
    rates = {"cache_write_5m": "1", "cache_write_1h": "1", "cache_read": "0.1", "output": "5"}
    tier = {**rates, "above_prompt_tokens": 1000, "input": price_above}
    facts = {
        "context_window": 1_000_000, "max_output_tokens": 1000, "min_cacheable_tokens": 1024,
        "prices": [{**rates, "input": "1", "tiers": [tier]}],
    }  # fmt: skip
    from sdk_workflow.config.model_data import read_facts

    document = {
        "catalogue": {"as_of": DAY},
        "multipliers": {"batch": "0.5", "geo": {}},
        "models": {"m": facts},
    }
    from pathlib import Path

    return ModelCatalog(read_facts(document, Path("models.toml")))


@pytest.mark.parametrize("price_above", ["0.1", "1", "3"])
def test_a_bound_covers_the_long_context_rate_and_the_short_one(price_above: str) -> None:
    catalog = long_context_catalog(price_above)
    call = Call(model="m", max_tokens=10, messages=({"role": "user", "content": "x" * 2000},))
    quote = Quote(call, catalog, DAY)
    for size in (999, 1000, 1001, quote.prompt_tokens):
        price = catalog.price("m", Usage(input_tokens=size, output_tokens=10), at=DAY)
        assert price is not None
        assert price.pico <= quote.amount(10)


def sized(**changes: Any) -> int:
    return prompt_bound(Call(**{"model": "m", "messages": (), **changes}), 10**9)


def message(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def test_the_bound_counts_bytes_and_not_characters() -> None:
    ascii_text = sized(messages=({"role": "user", "content": "e" * 100},))
    accents = sized(messages=({"role": "user", "content": "é" * 100},))
    assert accents - ascii_text == 100
    assert sized(system="\ud800") > 0


def test_the_bytes_of_a_picture_are_no_tokens_and_a_paper_fills_the_window() -> None:
    small, large = (
        sized(messages=(message({"type": "image", "source": {**PICTURE, "data": "x" * size}}),))
        for size in (10, 10**6)
    )
    assert small == large
    assert sized(messages=(message({"type": "document", "source": PAPER}),)) == 10**9
    nested = {"type": "tool_result", "content": [{"type": "document", "source": PAPER}]}
    assert sized(messages=(message(nested),)) == 10**9
    pieces = {"type": "content", "content": [{"type": "text", "text": "x" * 500}]}
    assert 500 < sized(messages=(message({"type": "document", "source": pieces}),)) < 2000


def test_every_part_of_a_request_counts() -> None:
    base = sized()
    text = "x" * 1000
    for changes in (
        {"system": text},
        {"system": ({"type": "text", "text": text},)},
        {"tools": ({"name": "t", "description": text, "input_schema": {}},)},
        {"tool_choice": {"type": "tool", "name": text}},
        {"parameters": {"output_config": {"format": {"title": text}}}},
        {"messages": (message({"type": "thinking", "thinking": text, "signature": "s"}),)},
        {"messages": (message({"type": "thinking", "thinking": "", "signature": text}),)},
        {"messages": (message({"type": "text", "text": "t", "citations": [text]}),)},
        {"messages": (message(text),)},
        {"messages": (message(7, text),)},
        {"messages": ({"role": "user", "content": "t", "output_config": {"effort": text}},)},
    ):
        assert sized(**changes) >= base + 1000
    assert sized(messages=({"role": "user", "content": None},)) < base + 100


def test_markers_are_found_wherever_they_stand() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    text = {"type": "text", "text": "x" * 3000}
    plain = Call(model="claude-sonnet-5-5", messages=(message(text),))
    marked = [
        Call(model=plain.model, messages=(message({**text, **hour}),)),
        Call(model=plain.model, messages=plain.messages, parameters=hour),
        Call(
            model=plain.model,
            messages=plain.messages,
            system=({"type": "text", "text": "", **hour},),
        ),
        Call(model=plain.model, messages=plain.messages, tools=({"name": "t", **hour},)),
        Call(
            model=plain.model,
            messages=(message({"type": "tool_result", "content": [{**text, **hour}]}),),
        ),
    ]
    floor = Quote(plain, CATALOG, DAY).amount(0)
    for call in marked:
        quote = Quote(call, CATALOG, DAY)
        assert quote.amount(0) == quote.prompt_tokens * 4_400_000 > 1.9 * floor


@pytest.mark.parametrize(
    ("samples", "turns", "least"), [(10, 10, 0.82), (50, 100, 0.85), (200, 1, 0.85)]
)
def test_an_interval_holds_the_truth_nearly_as_often_as_it_says(
    samples: int, turns: int, least: float
) -> None:
    source = random.Random(3)  # noqa: S311 - the same costs in every run
    hits = 0
    for _ in range(400):
        moments = CostMoments()
        for _ in range(samples):
            moments.add(int(source.lognormvariate(20, 0.6)))
        found = moments.project(turns, confidence=0.9)
        assert found is not None
        assert found.high_usd is not None
        truth = sum(source.lognormvariate(20, 0.6) for _ in range(turns)) / 10**12
        hits += found.low_usd <= truth <= found.high_usd
    assert least <= hits / 400 <= 0.96


@pytest.mark.parametrize(
    ("share", "degrees", "value"),
    [(0.95, 1, 6.314), (0.95, 2, 2.920), (0.95, 3, 2.353), (0.975, 5, 2.571), (0.975, 30, 2.042)],
)
def test_students_quantiles_are_those_of_the_tables(
    share: float, degrees: int, value: float
) -> None:
    assert math.isclose(student_quantile(share, degrees), value, rel_tol=0.01)


def test_a_cost_that_is_taken_back_was_never_there() -> None:
    one, two = CostMoments(), CostMoments()
    for moments in (one, two):
        moments.add(5)
    two.add(9)
    two.take_back(9)
    assert one == two

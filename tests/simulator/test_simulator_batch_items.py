"""The items of a batch in a simulation: each journaled, priced, scripted and spent by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.simulator.batch_watch import ITEM_PATH
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.limits import Limits
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.verdict import judge
from tests.simulator.simulated import NOVEMBER_21, answer, params, simulation
from tests.simulator.wire import http

if TYPE_CHECKING:
    from sdk_workflow.simulator.journal import JournalEntry

MARKED = {"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}


def run(simulated: Simulation, **items: dict[str, Any]) -> dict[str, Any]:
    """Return the results of a batch by their names."""
    requests = [{"custom_id": name, "params": asked} for name, asked in items.items()]
    batch = http(simulated, "POST", ITEM_PATH, {"requests": requests}).body
    clock = simulated.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(60)
    lines = http(simulated, "GET", f"{ITEM_PATH}/{batch['id']}/results").body.decode()
    return {line["custom_id"]: line["result"] for line in map(json.loads, lines.splitlines())}


def entries_of(simulated: Simulation) -> list[JournalEntry]:
    assert simulated.journal is not None
    return [entry for entry in simulated.journal.entries() if entry.batch_id is not None]


def test_each_item_is_a_request_of_its_own_in_the_journal_at_half_the_price() -> None:
    simulated = simulation()
    answer(simulated.create(params("One")))
    results = run(simulated, a=params("One"), b=params("Two", system=[MARKED]))
    first, second = entries_of(simulated)
    assert simulated.journal is not None
    alone = simulated.journal.entries()[0]
    assert alone.cost is not None
    assert first.cost is not None
    assert first.cost.pico * 2 == alone.cost.pico
    assert (first.custom_id, first.prompt_preview, first.status) == ("a", "One", 200)
    assert (first.message_id, first.ending) == (results["a"]["message"]["id"], "complete")
    assert first.prompt_digest == alone.prompt_digest
    assert first.usage == alone.usage
    assert second.batch_id == first.batch_id
    assert second.cache is not None
    assert second.cache["write_5m_tokens"] > 0
    shown = simulated.journal.to_json()
    assert shown["totals"]["cost_usd"] == pytest.approx(
        sum(entry.cost.usd for entry in (alone, first, second) if entry.cost)
    )


def test_an_item_that_is_refused_is_journaled_with_its_error_and_costs_nothing() -> None:
    simulated = simulation()
    results = run(simulated, bad={**params(), "messages": []}, none={"max_tokens": 5})
    assert [result["type"] for result in results.values()] == ["errored", "errored"]
    first, second = entries_of(simulated)
    assert (first.status, first.error_type, first.cost) == (400, "invalid_request_error", None)
    assert first.request_id == results["bad"]["error"]["request_id"]
    assert (second.model, second.status) == (None, 400)


def test_items_take_nothing_from_the_buckets_of_single_requests() -> None:
    simulated = simulation(limits="rpm=1,otpm=100")
    results = run(simulated, **{f"i{number}": params() for number in range(5)})
    assert {result["type"] for result in results.values()} == {"succeeded"}
    alone = http(simulated, "POST", "/v1/messages", params())
    assert (alone.status, alone.headers["anthropic-ratelimit-requests-remaining"]) == (200, "0")


def test_what_items_cost_is_spent_and_the_rest_of_them_is_refused_then() -> None:
    simulated = simulation(limits="spend_usd=0.00002")
    results = run(simulated, **{f"i{number}": params() for number in range(3)})
    assert [result["type"] for result in results.values()] == ["succeeded", "errored", "errored"]
    error = results["i2"]["error"]["error"]
    assert error["type"] == "rate_limit_error"
    assert error["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert [entry.status for entry in entries_of(simulated)] == [200, 429, 429]
    assert http(simulated, "POST", "/v1/messages", params()).status == 429
    bearer = {"x-api-key": "", "authorization": "Bearer any"}
    assert http(simulated, "POST", "/v1/messages", params(), **bearer).status == 429
    assert http(simulated, "POST", "/v1/messages", params(), **{"x-api-key": "b"}).status == 200


def test_a_script_ends_the_answers_of_items_too() -> None:
    refusal = {"refusal": {"category": "cyber", "explanation": "No."}}
    simulated = simulation(script=[refusal, "Yes."])
    results = run(simulated, a=params("One"), b=params("Two"))
    assert results["a"]["message"]["stop_reason"] == "refusal"
    assert results["a"]["message"]["stop_details"]["category"] == "cyber"
    assert results["b"]["message"]["content"][0]["text"] == "Yes."


def test_what_an_item_writes_into_the_cache_is_read_by_the_next() -> None:
    simulated = simulation()
    asked = params(system=[MARKED])
    results = run(simulated, a=asked, b=asked)
    usages = [result["message"]["usage"] for result in results.values()]
    assert usages[0]["cache_creation_input_tokens"] == usages[1]["cache_read_input_tokens"] > 0


def test_items_are_no_retries_in_the_verdict() -> None:
    simulated = simulation()
    run(simulated, a={**params(), "messages": []}, b={**params(), "messages": []})
    assert simulated.journal is not None
    verdict = judge(simulated.journal)
    assert (verdict.is_resilient, verdict.request_count) == (True, 1)


def test_without_a_journal_items_are_answered_and_spent() -> None:
    clock = VirtualClock(NOVEMBER_21)
    limits = Limits.parse("spend_usd=0.00002")
    simulated = Simulation(Engine(clock=clock), clock=clock, limits=limits)
    results = run(simulated, a=params(), b=params(), c={**params(), "messages": []})
    assert [result["type"] for result in results.values()] == ["succeeded", "errored", "errored"]


def test_an_item_of_a_model_without_a_price_spends_nothing() -> None:
    simulated = simulation(limits="spend_usd=0.00002")
    results = run(simulated, a=params(model="claude-none"), b=params())
    assert [result["type"] for result in results.values()] == ["errored", "succeeded"]

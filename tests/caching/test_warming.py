"""Filling the caches beforehand: each request once, a few at a time, no error lost."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.exceptions import OverloadedError, UsageError
from tests.caching.fakes import answer, ask, cached

if TYPE_CHECKING:
    from sdk_workflow.core.caching.warming import WarmProgress
    from sdk_workflow.types import Call, Reply

pytestmark = pytest.mark.anyio
CATALOG = ModelCatalog.load()


class Model:
    """Answers, and notes how many calls it was asked at once."""

    def __init__(self, **facts: Any) -> None:
        self.calls: list[Call] = []
        self.facts = facts
        self.running = self.most = 0

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        await anyio.lowlevel.checkpoint()
        self.running -= 1
        if call.max_tokens == 1:
            raise OverloadedError("busy")
        if call.max_tokens == 2:
            raise ValueError("a secret question")
        return dataclasses.replace(answer(**self.facts), model=call.model)


def questions(count: int) -> list[Call]:
    return [ask(f"Question {number}?") for number in range(count)]


async def test_every_request_is_asked_once_and_kept_in_both_tiers() -> None:
    parts, model = cached(), Model()
    report = await parts.manager.awarm_cache([*questions(9), *questions(9)], send=model)
    assert (report["total"], report["stored"], report["duplicates"]) == (18, 9, 9)
    assert len(model.calls) == 9
    assert len(parts.semantic.stored) == 9
    hit = parts.manager.get_cached_response(questions(1)[0])
    assert hit is not None
    assert hit.served_by == "lru"


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_are_asked_at_once_than_allowed(concurrency: int) -> None:
    model = Model()
    await cached().manager.awarm_cache(questions(12), send=model, concurrency=concurrency)
    assert model.most == concurrency


async def test_pairs_need_nobody_to_ask() -> None:
    parts = cached()
    message = {"id": "i", "model": "m", "stop_reason": "end_turn",
               "content": [{"type": "text", "text": "Yes."}]}  # fmt: skip
    request = {"model": "m", "messages": [{"role": "user", "content": "So?"}]}
    report = await parts.manager.awarm_cache([(ask("Is it?"), answer()), (request, message)])
    assert (report["stored"], report["errors"], report["cost_usd"]) == (2, [], 0.0)
    assert parts.manager.get_cached_response(request) == message


async def test_what_is_there_already_is_not_asked() -> None:
    parts, model = cached(), Model()
    parts.manager.cache_response(ask("Question 0?"), answer())
    report = await parts.manager.awarm_cache(questions(2), send=model)
    assert (report["present"], report["stored"], len(model.calls)) == (1, 1, 1)


async def test_an_answer_out_of_a_cache_counts_as_present() -> None:
    parts = cached()
    parts.manager.cache_response(ask("Known?"), answer())
    hit = parts.manager.get_cached_response(ask("Known?"))

    async def send(_call: Call) -> Reply:
        return hit  # type: ignore[return-value]

    report = await cached().manager.awarm_cache([ask("Known?")], send=send, max_cost_usd=1.0)
    assert (report["present"], report["stored"], report["errors"]) == (1, 0, [])


async def test_what_may_not_be_cached_is_refused_by_its_rule() -> None:
    parts, model = cached(), Model(stop_reason="max_tokens")
    items = [ask("Hi?", parameters={"temperature": 1}), ask("Long?")]
    report = await parts.manager.awarm_cache(items, send=model)
    assert report["refused"] == {"temperature": 1, "stop_reason_max_tokens": 1}
    assert len(model.calls) == 1


async def test_an_item_that_fails_is_reported_and_stops_no_other() -> None:
    items = [ask("a?", max_tokens=1), *questions(3), ask("b?", max_tokens=2), {"model": "m"}]
    report = await cached().manager.awarm_cache(items, send=Model())
    assert report["stored"] == 3
    assert report["errors"] == [
        {"index": 0, "error": "overloaded"},
        {"index": 4, "error": "ValueError"},
        {"index": 5, "error": "not_a_request"},
    ]
    assert "secret" not in str(report)


async def test_a_request_without_an_answer_and_nobody_to_ask_is_an_error() -> None:
    report = await cached().manager.awarm_cache(questions(1))
    assert report["errors"] == [{"index": 0, "error": "no_answer"}]


async def test_nothing_is_sent_any_more_once_the_money_is_spent() -> None:
    parts, model = cached(catalog=CATALOG), Model()
    price = CATALOG.price("claude-haiku-5-5", answer().usage)
    assert price is not None
    report = await parts.manager.awarm_cache(
        [*questions(5), (ask("Free?"), answer())],
        send=model,
        concurrency=1,
        max_cost_usd=price.usd * 1.5,
    )
    assert (report["stored"], report["over_budget"], len(model.calls)) == (3, 3, 2)
    assert report["cost_usd"] == pytest.approx(price.usd * 2)


async def test_a_model_without_a_price_ends_a_warming_with_a_limit() -> None:
    model = Model()
    items = [dataclasses.replace(call, model="mine") for call in questions(3)]
    report = await cached(catalog=CATALOG).manager.awarm_cache(
        items, send=model, concurrency=1, max_cost_usd=1.0
    )
    assert report["errors"] == [{"index": 0, "error": "unpriced_model"}]
    assert (report["over_budget"], len(model.calls)) == (2, 1)


async def test_progress_is_told_after_each_item() -> None:
    told: list[WarmProgress] = []
    await cached().manager.awarm_cache(
        questions(3), send=Model(), concurrency=1, on_progress=told.append
    )
    assert [(each.done, each.total) for each in told] == [(1, 3), (2, 3), (3, 3)]


async def test_a_listener_that_fails_is_told_no_more(caplog: pytest.LogCaptureFixture) -> None:
    told: list[WarmProgress] = []

    def fail(progress: WarmProgress) -> None:
        told.append(progress)
        raise KeyError

    with caplog.at_level(logging.WARNING):
        report = await cached().manager.awarm_cache(questions(3), send=Model(), on_progress=fail)
    assert (report["stored"], len(told), len(caplog.records)) == (3, 1, 1)


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_no_concurrency_is_refused(concurrency: int) -> None:
    with pytest.raises(UsageError, match="concurrency"):
        await cached().manager.awarm_cache(questions(1), concurrency=concurrency)


async def test_an_empty_list_is_done_at_once() -> None:
    assert (await cached().manager.awarm_cache([]))["total"] == 0


def test_callers_without_an_event_loop_can_warm_too() -> None:
    report = cached().manager.warm_cache([*questions(3), (ask("x?"), answer())], send=Model())
    assert report["stored"] == 4

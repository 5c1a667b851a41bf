"""The counter that learns: where it starts, what it learns, and what it says of its own error."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow.core.token_counter import CalibratingTokenCounter
from sdk_workflow.events import ModelCallFinished, StateChanged
from sdk_workflow.exceptions import UsageError
from sdk_workflow.protocols import TokenCounter
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.types import CacheHit, Call, Reply, Usage

NEW, OLD = "claude-sonnet-5-5", "claude-sonnet-4-5"


def prompt(text: str, model: str | None = NEW) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def guess(params: dict[str, Any]) -> int:
    return CharacterTokenCounter().count(params)


def finished(reply: Reply, text: str = "x" * 3_000) -> ModelCallFinished:
    call = Call(model="sonnet", messages=({"role": "user", "content": text},))
    return ModelCallFinished(call=call, reply=reply, duration_ms=1.0)


REPLY = Reply(
    id="msg_1",
    model=NEW,
    content=(),
    stop_reason="end_turn",
    usage=Usage(input_tokens=100, cache_read_input_tokens=400, output_tokens=7),
)


def test_it_is_a_token_counter() -> None:
    assert isinstance(CalibratingTokenCounter(), TokenCounter)


def test_it_starts_from_the_guess_and_the_token_factor_of_the_model() -> None:
    counter, text = CalibratingTokenCounter(), "The tide comes in at seven. " * 50
    assert counter.count(prompt(text)) == guess(prompt(text))
    assert counter.count(prompt(text, OLD)) == pytest.approx(guess(prompt(text)) / 1.3, abs=1)
    assert counter.count(prompt(text, "somebody-elses-model")) == guess(prompt(text))
    assert counter.count(prompt(text, None)) == guess(prompt(text))


def test_names_of_one_model_share_what_was_learned_and_other_tokenizers_do_not() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 3_000)
    before = counter.count(prompt("x" * 3_000, OLD))
    for _ in range(3):
        counter.learn(params, 2 * guess(params))
    assert counter.count(prompt("x" * 3_000, "sonnet")) == 2 * guess(params)
    assert counter.count(prompt("x" * 3_000, OLD)) == before


def test_the_start_counts_as_one_observation() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 2_988)  # a guess of 1,000
    counter.learn(params, 2_000)
    assert counter.count(params) == 1_500


def test_one_odd_prompt_changes_next_to_nothing() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 2_988)
    for observed in (1_200, 1_210, 1_190, 50_000, 1_205):
        counter.learn(params, observed)
    assert counter.count(params) == pytest.approx(1_205, abs=5)


def test_it_follows_a_change_of_content_and_forgets_what_is_old() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 2_988)
    for observed in [800] * 200 + [1_500] * 32:
        counter.learn(params, observed)
    assert counter.count(params) == 1_500


@given(seed=st.integers(0, 2**32), model=st.sampled_from([NEW, OLD]))
def test_prose_is_counted_within_five_percent_after_twenty_replies(seed: int, model: str) -> None:
    rng = random.Random(seed)  # noqa: S311 - a repeatable choice of words
    words = [
        "the",
        "tide",
        "comes",
        "in",
        "at",
        "seven",
        "and",
        "leaves",
        "the",
        "harbour",
        "dry",
        "again",
        "by",
        "noon",
    ]
    counter, truth = CalibratingTokenCounter(), PseudoTokenizer()

    def speech() -> dict[str, Any]:
        return prompt(" ".join(rng.choices(words, k=rng.randint(300, 900))), model)

    for _ in range(20):
        params = speech()
        counter.learn(params, truth.count(params))
    params = speech()
    assert counter.count(params) == pytest.approx(truth.count(params), rel=0.05)


def test_its_error_is_that_of_the_counts_made_before_learning() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 2_988)
    counter.count(params)
    (fresh,) = counter.accuracy()
    assert fresh.observations == 0
    assert fresh.mean_absolute_error_pct is None
    assert fresh.p95_absolute_error_pct is None
    counter.learn(params, 2_000)  # counted 1,000: 50 % off
    counter.learn(params, 2_000)  # counted 1,500: 25 % off
    (found,) = counter.accuracy()
    assert (found.family, found.observations, found.ratio) == ("sonnet x1.3", 2, 2.0)
    assert found.mean_absolute_error_pct == 37.5
    assert found.p95_absolute_error_pct == 50.0


def test_the_error_is_that_of_the_last_256_counts_and_p95_leaves_one_in_twenty_out() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 2_988)
    for observed in [3_000] * 300 + [1_000] * 10 + [3_000] * 246:
        counter.learn(params, observed)
    (found,) = counter.accuracy()
    assert found.observations == 556
    assert found.mean_absolute_error_pct == pytest.approx(10 * 200 / 256)
    assert found.p95_absolute_error_pct == 0.0


@pytest.mark.parametrize("observed", [0, -1, True, 1.0, float("nan"), "7", None])
def test_a_size_that_is_none_is_refused_and_changes_nothing(observed: Any) -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 3_000)
    with pytest.raises(UsageError, match="no size of a prompt"):
        counter.learn(params, observed)
    assert counter.accuracy() == []


def test_an_empty_prompt_teaches_nothing() -> None:
    counter = CalibratingTokenCounter()
    counter.learn({"model": NEW, "messages": []}, 12)
    assert counter.accuracy() == []


def test_it_learns_from_events_under_the_model_that_answered() -> None:
    counter = CalibratingTokenCounter()
    counter.on_event(StateChanged(before="ready", after="idle"))
    counter.on_event(finished(replace(REPLY, model="claude-haiku-5-5")))
    (found,) = counter.accuracy()
    assert (found.family, found.observations) == ("haiku x1.3", 1)
    assert found.ratio == pytest.approx((1 + 500 / guess(prompt("x" * 3_000))) / 2)


def test_it_learns_nothing_from_a_cache_or_a_reply_without_counts() -> None:
    counter = CalibratingTokenCounter()
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1.0, usage=REPLY.usage)
    counter.on_event(finished(replace(REPLY, cache_hit=hit)))
    counter.on_event(finished(replace(REPLY, usage=Usage())))
    assert counter.accuracy() == []


def test_a_reply_with_nonsense_for_counts_teaches_nothing() -> None:
    counter = CalibratingTokenCounter()
    counter.on_event(finished(replace(REPLY, usage=Usage(input_tokens=-5))))
    assert counter.accuracy() == []


def test_made_up_model_names_share_one_calibration_beyond_256() -> None:
    counter = CalibratingTokenCounter()
    for number in range(1_000):
        counter.count(prompt("x", f"model-{number}"))
    assert len(counter.accuracy()) == 257
    assert counter.accuracy()[0].family == "(unknown)"


def test_eight_threads_learn_every_size() -> None:
    counter, params = CalibratingTokenCounter(), prompt("x" * 3_000)

    def learn() -> None:
        for _ in range(200):
            counter.learn(params, 1_300)

    threads = [threading.Thread(target=learn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = counter.accuracy()
    assert (found.observations, counter.count(params)) == (1_600, 1_300)

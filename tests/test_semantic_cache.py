from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core import semantic_cache
from sdk_workflow.core.semantic.guard import prepare
from sdk_workflow.core.semantic.labels import FeedbackPolicy
from sdk_workflow.core.semantic.matches import decide
from sdk_workflow.core.semantic_cache import SemanticCache
from sdk_workflow.exceptions import StorageError, UsageError
from tests.semantic_fakes import PATIENCE_SECONDS, PlaneEmbedder, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.semantic_fakes import World

NEAR = {"near": 0.97, "edge": 0.9501, "far": 0.94}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with opened(NEAR, guards=True) as world:
        # The guard has tests of its own: here a veto is what the test says.
        monkeypatch.setattr(semantic_cache, "find_veto", lambda _a, _b: world.veto)
        yield world


# What is served


def test_text_that_is_near_enough_is_answered_and_one_that_is_not_is_not(world: World) -> None:
    world.cache.add("origin", "the answer")
    answers = [world.cache.get_if_similar(text) for text in ("origin", "near", "edge", "far")]
    assert answers == ["the answer", "the answer", "the answer", None]
    stats = world.cache.get_stats()
    assert (stats.exact_hits, stats.similar_hits, stats.misses) == (1, 2, {"below_threshold": 1})


def test_lookup_reports_every_number_of_a_hit(world: World) -> None:
    world.calibrator.answer = 0.99
    world.cache.add("origin", "the answer")
    world.clock.advance(5)
    match = world.cache.lookup("near")
    assert (match.outcome, match.reason, match.response) == ("HIT", "similar", "the answer")
    assert match.similarity == pytest.approx(0.97)
    assert (match.probability, match.veto, match.threshold) == (0.99, None, 0.95)
    assert (match.age_seconds, match.matched_text) == (5, "origin")
    assert match.hit_id is not None
    assert "origin" not in repr(match)
    assert "the answer" not in repr(match)


def test_miss_carries_no_answer_and_no_hit_id(world: World) -> None:
    world.cache.add("origin", "the answer")
    match = world.cache.lookup("far")
    assert (match.outcome, match.reason) == ("MISS", "below_threshold")
    assert (match.response, match.hit_id) == (None, None)
    assert match.similarity == pytest.approx(0.94)


def test_stored_none_is_a_hit(world: World) -> None:
    world.cache.add("origin", None)
    assert world.cache.lookup("near").outcome == "HIT"


def test_answer_to_the_same_text_replaces_the_earlier_one(world: World) -> None:
    world.cache.add("origin", 1)
    world.cache.add("origin", 2)
    assert (world.cache.get_if_similar("near"), len(world.cache)) == (2, 1)


def test_best_text_that_is_vetoed_is_a_miss_and_the_next_best_is_not_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.embedder.cosines["question"] = 0.99
    world.cache.add("origin", "good")
    world.cache.add("near", "best")
    asked = []

    def veto(_question: Any, stored: Any) -> str | None:
        asked.append(stored)
        return "number" if stored == prepare("near") else None

    monkeypatch.setattr(semantic_cache, "find_veto", veto)
    world.embedder.cosines["question"] = 0.96
    match = world.cache.lookup("question")
    assert (match.outcome, match.reason, match.veto, match.response) == (
        "MISS",
        "number",
        "number",
        None,
    )
    assert len(asked) == 1
    assert world.cache.get_stats().misses == {"number": 1}


def test_without_guards_no_rule_may_veto() -> None:
    with opened({"What is 3 + 3?": 0.99}, guards=False) as world:
        world.cache.add("origin", 1)
        assert world.cache.get_if_similar("What is 3 + 3?") == 1


def test_real_guard_is_asked_unless_switched_off() -> None:
    texts = {"How do I cook for 12 people?": 1.0, "How do I cook for 40 people?": 0.999}
    stored, asked = texts
    with opened(texts, guards=True) as world:
        world.cache.add(stored, "take 12 eggs")
        match = world.cache.lookup(asked)
        assert (match.outcome, match.veto is not None) == ("MISS", True)
    with opened(texts, guards=False) as world:
        world.cache.add(stored, "take 12 eggs")
        assert world.cache.lookup(asked).outcome == "HIT"


def test_texts_of_very_different_length_are_never_matched(world: World) -> None:
    for length, expected in ((256, "similar"), (257, "length")):
        text = "x" * (len("origin") + length)
        world.embedder.cosines[text] = 0.99
        world.cache.add("origin", 1)
        assert world.cache.lookup(text).reason == expected


def test_long_text_is_matched_exactly_only_and_never_encoded(world: World) -> None:
    longest, too_long = "y" * 512, "y" * 513
    world.embedder.cosines |= {longest: 1.0, too_long: 1.0}
    world.cache.add(too_long, "long")
    world.cache.add(longest, "longest")
    assert world.cache.get_if_similar(too_long) == "long"
    assert world.cache.lookup(too_long + "y").reason == "too_long"
    assert world.embedder.encoded == [longest]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("HIT", "similar")),
        ({"similarity": 0.95}, ("HIT", "similar")),
        ({"similarity": 0.9499}, ("MISS", "below_threshold")),
        ({"similarity": 0.9499, "veto": "number"}, ("MISS", "below_threshold")),
        (
            {"veto": "number", "margin": 0.01, "probability": 0.1, "is_tripped": True},
            ("MISS", "number"),
        ),
        ({"margin": 0.0199, "probability": 0.1, "is_tripped": True}, ("MISS", "margin")),
        ({"margin": 0.02}, ("HIT", "similar")),
        ({"probability": 0.9}, ("HIT", "similar")),
        ({"probability": 0.89, "is_tripped": True}, ("VERIFY", "probability")),
        ({"is_tripped": True}, ("VERIFY", "breaker")),
    ],
)
def test_decision_asks_its_questions_in_order(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    facts: dict[str, Any] = {
        "similarity": 0.97,
        "threshold": 0.95,
        "veto": None,
        "margin": None,
        "min_margin": 0.02,
        "probability": None,
        "error_budget": 0.1,
        "is_tripped": False,
    }
    assert decide(**{**facts, **changes}) == expected


@pytest.mark.parametrize("threshold", [0.0, 0.8999, 1.01, math.nan])
def test_threshold_below_the_floor_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match=f"similarity_threshold is {threshold!r}") as caught:
        SemanticCache(threshold, embedder=None)
    assert "0.9" in caught.value.hint
    assert "guards=False" in caught.value.hint


@pytest.mark.parametrize("threshold", [0.0, 0.4999, 1.01, math.nan])
def test_threshold_below_the_lower_floor_is_refused_without_guards_too(threshold: float) -> None:
    with pytest.raises(UsageError, match=f"similarity_threshold is {threshold!r}"):
        SemanticCache(threshold, embedder=None, guards=False)


def test_threshold_may_be_lower_without_guards() -> None:
    with opened({"half": 0.501, "less": 0.499}, similarity_threshold=0.5) as world:
        world.cache.add("origin", 1)
        assert (world.cache.get_if_similar("half"), world.cache.get_if_similar("less")) == (1, None)


@pytest.mark.parametrize("name", ["overlap_weight", "margin"])
@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf])
def test_weight_or_margin_out_of_its_range_is_refused(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(UsageError, match=f"{name} is {value!r}") as caught:
        SemanticCache(embedder=None, **options)
    assert name in caught.value.hint


def test_threshold_at_the_floor_is_kept(world: World) -> None:
    cache = SemanticCache(0.90, embedder=world.embedder, encode_timeout_seconds=PATIENCE_SECONDS)
    cache.add("origin", 1)
    assert cache.explain("far").reason == "similar"
    cache.close()


def test_cache_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="max_entries is 0"):
        SemanticCache(embedder=None, max_entries=0)


# Choosing among the nearest

ASKED = "green tea leaves"
CLOSE = {ASKED: 1.0, "black coffee": 0.99, "green tea": 0.98, "green tea leaf": 0.96}


def test_nearest_text_is_chosen_and_no_other_is_searched_for_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened(CLOSE) as world:
        for text in ("green tea", "black coffee"):
            world.cache.add(text, text)
        counts = []
        nearest = world.cache._table.nearest

        def spy(scope: str, vector: bytes, count: int, now: float) -> Any:
            counts.append(count)
            return nearest(scope, vector, count, now)

        monkeypatch.setattr(world.cache._table, "nearest", spy)
        match = world.cache.lookup(ASKED)
        assert (match.response, match.overlap, match.margin) == ("black coffee", None, None)
        assert counts == [1]


@pytest.mark.parametrize(
    ("weight", "expected", "overlap"),
    [
        (0.005, "black coffee", 0.0),
        (0.02, "green tea", 2 / 3),
        (0.1, "green tea leaf", 1.0),
    ],
)
def test_text_with_the_best_sum_of_cosine_and_weighted_overlap_is_chosen(
    weight: float, expected: str, overlap: float
) -> None:
    with opened(CLOSE, overlap_weight=weight) as world:
        for text in ("green tea", "black coffee", "green tea leaf"):
            world.cache.add(text, text)
        match = world.cache.lookup(ASKED)
        assert (match.outcome, match.response, match.matched_text) == ("HIT", expected, expected)
        assert match.overlap == pytest.approx(overlap)
        assert match.similarity == pytest.approx(CLOSE[expected])
        assert match.margin is None


def test_only_the_eight_nearest_are_ranked() -> None:
    others = {f"filler{number}": 0.999 - number / 10_000 for number in range(8)}
    with opened(CLOSE | others, overlap_weight=0.5) as world:
        world.cache.add("green tea leaf", "beyond")
        for text in list(others)[:7]:
            world.cache.add(text, "near")
        assert world.cache.get_if_similar(ASKED) == "beyond"
        world.cache.add("filler7", "near")
        assert world.cache.get_if_similar(ASKED) == "near"


def test_chosen_text_below_the_threshold_is_a_miss_though_a_nearer_one_reaches_it() -> None:
    with opened(CLOSE, overlap_weight=0.1, similarity_threshold=0.97) as world:
        for text in ("black coffee", "green tea leaf"):
            world.cache.add(text, text)
        match = world.cache.lookup(ASKED)
        assert (match.outcome, match.reason) == ("MISS", "below_threshold")
        assert match.matched_text == "green tea leaf"


def test_chosen_text_that_is_vetoed_is_a_miss_and_no_other_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def veto(_question: Any, stored: Any) -> str | None:
        asked.append(stored)
        return "number" if stored == prepare("green tea leaf") else None

    monkeypatch.setattr(semantic_cache, "find_veto", veto)
    with opened(CLOSE, overlap_weight=0.1, margin=0.001, guards=True) as world:
        for text in ("black coffee", "green tea", "green tea leaf"):
            world.cache.add(text, text)
        match = world.cache.lookup(ASKED)
        assert (match.outcome, match.reason, match.response) == ("MISS", "number", None)
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("margin", "weight", "outcome"),
    [(0.009, 0.0, "HIT"), (0.011, 0.0, "MISS"), (0.011, 0.1, "HIT"), (0.06, 0.1, "MISS")],
)
def test_lead_over_the_best_text_with_another_answer_has_to_reach_the_margin(
    margin: float, weight: float, outcome: str
) -> None:
    # Without a weight coffee leads by 0.01, with 0.1 tea leads by 2 / 3 of 0.1 less 0.01.
    with opened(CLOSE, margin=margin, overlap_weight=weight) as world:
        for text in ("green tea", "black coffee"):
            world.cache.add(text, text)
        match = world.cache.lookup(ASKED)
        assert match.outcome == outcome
        lead = 0.01 if not weight else weight * 2 / 3 - 0.01
        assert match.margin == pytest.approx(lead, abs=1e-6)
        if outcome == "MISS":
            assert (match.reason, match.response, match.hit_id) == ("margin", None, None)
            assert world.cache.get_stats().misses == {"margin": 1}


def test_best_rival_counts_and_texts_with_the_same_answer_are_no_rivals() -> None:
    with opened(CLOSE, margin=0.025) as world:
        world.cache.add("black coffee", [1])
        assert world.cache.lookup(ASKED).outcome == "HIT"
        world.cache.add("green tea", [1])
        match = world.cache.lookup(ASKED)
        assert (match.outcome, match.margin) == ("HIT", None)
        world.cache.add("green tea leaf", [2])
        match = world.cache.lookup(ASKED)
        assert match.outcome == "HIT"
        assert match.margin == pytest.approx(0.03, abs=1e-6)
        world.cache.add("green tea", [3])
        assert world.cache.lookup(ASKED).reason == "margin"


def test_same_text_needs_no_margin() -> None:
    with opened(CLOSE, margin=1.0) as world:
        for text in ("black coffee", "green tea"):
            world.cache.add(text, text)
        assert world.cache.get_if_similar("green tea") == "green tea"


# Scopes


def test_answer_is_found_in_its_own_scope_only(world: World) -> None:
    world.cache.add("origin", "one", scope="one")
    world.cache.add("near", "two", scope="two")
    for text in ("origin", "near"):
        assert world.cache.get_if_similar(text, scope="one") == "one"
        assert world.cache.get_if_similar(text, scope="two") == "two"
        assert world.cache.get_if_similar(text) is None
        assert world.cache.find_similar(text, scope="three") == []
        assert world.cache.explain(text).reason == "absent"
    assert world.cache.get_stats().scopes == 2


def test_text_used_longest_ago_leaves_first_whatever_its_scope() -> None:
    with opened(NEAR, max_entries=2) as world:
        world.cache.add("origin", 1, scope="one")
        world.cache.add("near", 2, scope="two")
        assert world.cache.get_if_similar("near", scope="one") == 1  # used by a similar text too
        world.cache.add("far", 3, scope="three")
        found = [world.cache.get_if_similar(text, scope=scope) for text, scope in
                 (("origin", "one"), ("near", "two"), ("far", "three"))]  # fmt: skip
        stats = world.cache.get_stats()
        assert (found, stats.evictions, stats.entries, stats.scopes) == ([1, None, 3], 1, 2, 2)


# Lifetimes


def test_entry_lives_for_its_lifetime(world: World) -> None:
    world.cache.add("origin", 1, ttl=10)
    world.clock.advance(9)
    assert world.cache.get_if_similar("near") == 1
    world.clock.advance(1)
    assert world.cache.get_if_similar("near") is None
    assert (len(world.cache), world.cache.get_stats().expirations) == (0, 1)


def test_expired_text_is_not_matched_exactly_either(world: World) -> None:
    world.cache.add("origin", 1, ttl=10)
    world.clock.advance(10)
    assert world.cache.get_if_similar("origin") is None
    assert world.cache.get_stats().expirations == 1


def test_expired_text_does_not_hide_a_live_one_behind_it(world: World) -> None:
    world.embedder.cosines["nearer"] = 0.99
    world.cache.add("nearer", "old", ttl=10)
    world.cache.add("origin", "live", ttl=20)
    world.clock.advance(10)
    world.embedder.cosines["question"] = 0.98
    assert world.cache.get_if_similar("question") == "live"
    assert world.cache.get_stats().expirations == 1


@pytest.mark.parametrize("ttl", [0, -1, math.nan])
def test_answer_without_a_lifetime_is_not_stored_and_replaces_the_earlier_one(
    world: World, ttl: float
) -> None:
    world.cache.add("origin", 1)
    world.cache.add("origin", 2, ttl=ttl)
    world.cache.add("far", 2, ttl=ttl)
    assert (world.cache.get_if_similar("origin"), len(world.cache)) == (None, 0)


def test_clear_forgets_every_entry(world: World) -> None:
    world.cache.add("origin", 1)
    world.cache.clear()
    assert (world.cache.get_if_similar("origin"), world.cache.get_if_similar("near")) == (
        None,
        None,
    )


# Without an encoder


def test_same_text_is_answered_where_there_is_no_encoder() -> None:
    cache = SemanticCache(embedder=None)
    cache.add("origin", 1)
    assert (cache.get_if_similar("origin"), cache.get_if_similar("near")) == (1, None)
    assert cache.find_similar("origin") == [("origin", 1.0)]
    assert cache.find_similar("origin", 0) == cache.find_similar("near") == []
    assert (cache.get_stats().encoder, cache.embedder_tag) == ({"index_failed": 0}, None)
    cache.close()


def test_same_text_is_answered_while_the_encoder_fails(world: World) -> None:
    world.cache.add("near", "stored")
    world.embedder.error = ValueError("no vector today")
    world.cache.add("origin", 1)
    assert world.cache.get_if_similar("origin") == 1
    assert world.cache.lookup("edge").reason == "no_vector"
    stats = world.cache.get_stats()
    assert stats.encoder["encode_failed"] == 2
    assert stats.misses == {"no_vector": 1}


def test_same_text_is_answered_while_the_encoder_is_late() -> None:
    with opened(NEAR, encode_timeout_seconds=0.01) as world:
        world.embedder.gate.clear()
        world.cache.add("origin", 1)
        assert world.cache.get_if_similar("origin") == 1
        assert world.cache.get_stats().encoder["late"] == 1


def test_nothing_is_encoded_for_an_exact_match_or_an_empty_scope(world: World) -> None:
    world.cache.get_if_similar("near")
    world.cache.add("origin", 1)
    world.cache.get_if_similar("origin")
    world.cache.get_if_similar("near", scope="other")
    assert world.embedder.encoded == ["origin"]


def test_question_that_was_looked_up_is_not_encoded_again_when_it_is_stored(world: World) -> None:
    world.cache.add("origin", 1)
    world.cache.lookup("far")
    world.cache.add("far", 2)
    assert world.embedder.encoded == ["origin", "far"]


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_nearest_text_is_found_among_few_and_among_more(world: World, count: int) -> None:
    world.embedder.cosines |= {f"text {number}": math.cos(number * 0.3) for number in range(10)}
    world.embedder.cosines["question"] = math.cos((count - 1) * 0.3 + 0.1)
    for number in range(count):
        world.cache.add(f"text {number}", number)
    assert world.cache.get_if_similar("question") == count - 1
    neighbours = [text for text, _ in world.cache.find_similar("question", count)]
    expected = sorted(range(count), key=lambda number: abs(number - (count - 1) - 0.33))
    assert neighbours == [f"text {number}" for number in expected]
    world.cache.report_wrong(hit(world, f"text {count - 1}"))
    assert world.cache.get_if_similar("question") is None


def test_vectors_of_old_questions_are_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdk_workflow.core.semantic.vectors._MAX_REMEMBERED", 1)
    for text in ("origin", "far", "origin"):
        world.cache.find_similar(text)
    assert world.embedder.encoded == ["origin", "far", "origin"]


@pytest.mark.parametrize("numbers", [(math.nan, 0.0), (math.inf, 0.0), (math.inf, -math.inf)])
def test_vector_that_is_not_finite_is_never_stored(
    world: World, monkeypatch: pytest.MonkeyPatch, numbers: tuple[float, float]
) -> None:
    monkeypatch.setattr(world.cache._vectors, "of", lambda _: array("f", numbers).tobytes())
    world.cache.add("origin", 1)
    assert (world.cache.get_if_similar("origin"), world.cache.lookup("near").reason) == (
        1,
        "absent",
    )


def test_vector_that_does_not_fit_the_others_is_counted_and_reported_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.cache.add("origin", 1)
    good = world.cache._vectors.of
    monkeypatch.setattr(world.cache._vectors, "of", lambda _: array("f", [1.0] * 3).tobytes())
    world.cache.add("near", 2)
    assert world.cache.lookup("edge").reason == "absent"
    assert world.cache.get_if_similar("near") == 2  # the same text needs no vector
    monkeypatch.setattr(world.cache._vectors, "of", good)
    assert world.cache.get_if_similar("edge") == 1
    assert world.cache.get_stats().encoder["index_failed"] == 2
    assert len(caplog.records) == 1


def test_answer_whose_vector_does_not_fit_takes_the_place_of_one_with_its_vector(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cache.add("opposite", 0)
    world.cache.add("origin", 1)
    good = world.cache._vectors.of
    monkeypatch.setattr(world.cache._vectors, "of", lambda _: array("f", [1.0] * 3).tobytes())
    world.cache.add("origin", 2)
    monkeypatch.setattr(world.cache._vectors, "of", good)
    assert world.cache.lookup("near").matched_text == "opposite"
    assert [one.vector is None for one in world.cache.entries()] == [False, True]
    assert world.cache.report_wrong(hit(world, "origin"))
    assert world.cache.get_if_similar("origin") is None


def test_nothing_heavy_is_loaded_before_the_first_vector() -> None:
    program = (
        "import sys; from sdk_workflow.core.semantic_cache import SemanticCache\n"
        "cache = SemanticCache(); cache.get_if_similar('a')\n"
        "heavy = ('numpy', 'anyio', 'asyncio', 'pydantic', 'tokenizers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "[]"


# Verifying


def test_improbable_match_is_to_be_verified(world: World) -> None:
    world.cache.add("origin", 1)
    for probability, outcome in ((0.949, "VERIFY"), (0.95, "HIT"), (None, "HIT")):
        world.calibrator.answer = probability
        match = world.cache.lookup("near")
        assert (match.outcome, match.probability) == (outcome, probability)
        assert match.hit_id is not None
    world.calibrator.answer = 0.5
    assert world.cache.lookup("near").response == 1  # to compare the fresh answer with
    assert world.cache.get_if_similar("near") is None
    assert world.cache.get_stats().verifications == {"probability": 3}


def test_same_text_needs_no_probability(world: World) -> None:
    world.calibrator.answer = 0.0
    world.cache.add("origin", 1)
    assert world.cache.lookup("origin").outcome == "HIT"


def test_share_of_similar_hits_is_sampled_by_lookup_alone() -> None:
    with opened(NEAR, feedback=FeedbackPolicy(shadow_share=0.05)) as world:
        world.cache.add("origin", 1)
        world.shares.value = 0.049
        match = world.cache.lookup("near")
        assert (match.outcome, match.reason, match.response) == ("VERIFY", "shadow", 1)
        assert world.cache.lookup("origin").outcome == "HIT"
        assert world.cache.get_if_similar("near") == 1
        assert world.cache.explain("near").outcome == "HIT"
        world.shares.value = 0.05
        assert world.cache.lookup("near").outcome == "HIT"


def test_nothing_is_sampled_where_the_share_is_zero() -> None:
    with opened(NEAR, feedback=FeedbackPolicy(shadow_share=0.0)) as world:
        world.shares.value = 0.0
        world.cache.add("origin", 1)
        assert world.cache.lookup("near").outcome == "HIT"


# Reporting


def hit(world: World, text: str = "near", scope: str = "") -> str:
    found = world.cache.lookup(text, scope=scope).hit_id
    assert found is not None
    return found


def test_wrong_answer_is_forgotten_and_teaches_the_calibrator(world: World) -> None:
    world.cache.add("origin", 1)
    hit_id = hit(world)
    assert world.cache.report_wrong(hit_id) is True
    assert world.cache.report_wrong(hit_id) is False
    assert (world.cache.get_if_similar("near"), world.cache.get_if_similar("origin")) == (
        None,
        None,
    )
    stats = world.cache.get_stats()
    assert (stats.reported_wrong, stats.false_hits.errors, stats.false_hits.labels) == (1, 1, 1)
    assert world.calibrator.learnt == [(0.97, False)]


def test_wrong_answer_to_the_same_text_is_forgotten_but_no_label(world: World) -> None:
    world.cache.add("origin", 1)
    assert world.cache.report_wrong(hit(world, "origin"))
    assert world.cache.get_if_similar("origin") is None
    assert world.cache.get_stats().false_hits.labels == 0


def test_newer_answer_survives_a_report_about_the_one_before(world: World) -> None:
    world.cache.add("origin", 1)
    hit_id = hit(world)
    world.cache.add("origin", 2)
    world.cache.report_wrong(hit_id)
    assert world.cache.get_if_similar("near") == 2


def test_right_answer_stays_and_teaches_the_calibrator(world: World) -> None:
    world.cache.add("origin", 1)
    assert world.cache.report_right(hit(world)) is True
    assert world.cache.report_right("hit_unknown") is False
    assert world.cache.get_if_similar("near") == 1
    assert (world.calibrator.learnt, world.cache.get_stats().false_hits.errors) == (
        [(0.97, True)],
        0,
    )


def test_scope_that_broke_the_budget_serves_the_same_text_only(world: World) -> None:
    for scope in ("bad", "good"):
        world.cache.add("origin", 1, scope=scope)
    for _ in range(100):
        world.cache.add("origin", 1, scope="bad")
        world.cache.report_wrong(hit(world, scope="bad"))
    world.cache.add("origin", 1, scope="bad")
    match = world.cache.lookup("near", scope="bad")
    assert (match.outcome, match.reason, match.response) == ("VERIFY", "breaker", 1)
    assert world.cache.lookup("origin", scope="bad").outcome == "HIT"
    assert world.cache.lookup("near", scope="good").outcome == "HIT"
    stats = world.cache.get_stats()
    assert (stats.breaker, stats.tripped_scopes, stats.false_hits.is_certified) == (
        "open",
        1,
        False,
    )
    world.clock.advance(600)
    world.cache.add("origin", 1, scope="bad")
    assert world.cache.get_stats().breaker == "half_open"
    assert world.cache.lookup("near", scope="bad").outcome == "VERIFY"
    for _ in range(100):
        world.cache.report_right(hit(world, scope="bad"))
    assert world.cache.lookup("near", scope="bad").outcome == "HIT"
    assert world.cache.get_stats().breaker == "closed"


def test_enough_right_answers_certify_the_budget(world: World) -> None:
    world.cache.add("origin", 1)
    for _ in range(59):
        assert not world.cache.get_stats().false_hits.is_certified
        world.cache.report_right(hit(world))
    assert world.cache.get_stats().false_hits.is_certified


def test_lookups_go_on_and_the_wrong_answer_is_gone_while_the_calibrator_learns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_learning, may_end = threading.Event(), threading.Event()

    def learn(*_: Any, **__: Any) -> None:
        is_learning.set()
        assert may_end.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(world.calibrator, "learn", learn)
    world.calibrator.answer = 0.99
    world.cache.add("origin", "wrong", scope="one")
    world.cache.add("origin", "right", scope="two")
    hit_id = hit(world, scope="one")
    with ThreadPoolExecutor(2) as pool:
        try:
            report = pool.submit(world.cache.report_wrong, hit_id)
            assert is_learning.wait(PATIENCE_SECONDS)
            found = pool.submit(world.cache.lookup, "near", scope="two").result(PATIENCE_SECONDS)
            gone = pool.submit(world.cache.lookup, "near", scope="one").result(PATIENCE_SECONDS)
            stats = pool.submit(world.cache.get_stats).result(PATIENCE_SECONDS)
            assert not report.done()
        finally:
            may_end.set()
        assert report.result(PATIENCE_SECONDS)
    assert (found.response, found.probability, gone.reason) == ("right", 0.99, "absent")
    assert (stats.reported_wrong, stats.false_hits.errors) == (1, 1)


# What the calibrator knows, written down and read back


def taught(world: World) -> str:
    """Return the calibrator after enough labels of both kinds."""
    for number in range(40):
        world.cache.add("origin", 1)
        report = world.cache.report_right if number % 2 else world.cache.report_wrong
        assert report(hit(world, "near" if number % 2 else "edge"))
    world.cache.add("origin", 1)
    return world.cache.calibrator_json()


def test_calibrator_comes_back_with_all_it_had_learnt() -> None:
    with opened(NEAR, calibrator=None) as world, opened(NEAR, calibrator=None) as other:
        saved = taught(world)
        assert "origin" not in saved
        assert "near" not in saved
        probability = world.cache.explain("near").probability
        other.cache.add("origin", 1)
        assert probability is not None
        assert other.cache.explain("near").probability is None
        other.cache.restore_calibrator(saved, "plane")
        assert other.cache.explain("near").probability == probability
        assert other.cache.calibrator_json() == saved


def test_calibrator_of_another_embedder_is_refused() -> None:
    with opened(NEAR, calibrator=None) as world, opened(NEAR, calibrator=None) as other:
        saved = taught(world)
        entries = list(world.cache.entries())
        with pytest.raises(StorageError, match=r"'another'.*'plane'") as caught:
            world.cache.restore_calibrator(saved, "another")
        assert caught.value.hint
        assert world.cache.calibrator_json() == saved
        other.cache.restore(entries, embedder_tag="plane")
        with pytest.raises(StorageError, match=r"'another'.*'plane'"):
            other.cache.restore_calibrator(saved, "another")
        assert other.cache.explain("near").probability is None


def test_calibrator_is_refused_at_once_where_the_embedder_is_known_though_failing() -> None:
    with opened(NEAR, calibrator=None) as world:
        saved = world.cache.calibrator_json()
        world.embedder.error = ValueError("down")
        assert world.cache.find_similar("opposite") == []
        with pytest.raises(StorageError, match="'another'"):
            world.cache.restore_calibrator(saved, "another")
        world.cache.restore_calibrator(saved, "plane")


def test_calibrator_of_an_embedder_that_turns_out_to_be_another_one_starts_afresh() -> None:
    with opened(NEAR, calibrator=None) as world:
        saved = taught(world)
    for tag, is_kept in (("plane", True), ("another", False)):
        embedder = PlaneEmbedder(NEAR, tag=tag)
        with opened(NEAR, calibrator=None, embedder=embedder) as other:
            other.cache.restore_calibrator(saved, "plane")
            other.cache.add("origin", 1)
            assert (other.cache.explain("near").probability is not None) is is_kept


@pytest.mark.parametrize("text", ["", "{}", "null", '{"schema": "sdk_workflow.calibrator/1"}'])
def test_damaged_calibrator_is_refused_and_the_present_one_kept(text: str) -> None:
    with opened(NEAR, calibrator=None) as world:
        saved = taught(world)
        with pytest.raises(StorageError, match="calibrator"):
            world.cache.restore_calibrator(text, "plane")
        assert world.cache.calibrator_json() == saved


# Looking without touching


def test_explain_counts_moves_and_serves_nothing() -> None:
    with opened(NEAR, max_entries=2) as world:
        world.cache.add("origin", 1, scope="one")
        world.cache.add("origin", 2, scope="two")
        before = world.cache.get_stats()
        match = world.cache.explain("near", scope="one")
        assert (match.outcome, match.hit_id) == ("HIT", None)
        after = dataclasses.replace(world.cache.get_stats(), encoder=before.encoder)
        assert after == before
        world.cache.add("origin", 3, scope="three")
        assert world.cache.get_if_similar("origin", scope="one") is None


def test_explain_names_the_veto_even_below_the_threshold(world: World) -> None:
    world.cache.add("origin", 1)
    world.veto = "negation"
    world.calibrator.answer = 0.3
    match = world.cache.explain("far")
    assert (match.outcome, match.reason) == ("MISS", "below_threshold")
    assert (match.veto, match.probability) == ("negation", 0.3)


def test_neighbours_come_nearest_first_and_unjudged(world: World) -> None:
    for text in ("far", "origin", "near"):
        world.cache.add(text, 1)
    world.veto = "negation"
    found = world.cache.find_similar("origin")
    assert [text for text, _ in found] == ["origin", "near", "far"]
    assert [cosine for _, cosine in found] == pytest.approx([1.0, 0.97, 0.94])
    assert len(world.cache.find_similar("origin", 2)) == 2
    assert world.cache.find_similar("origin", 0) == []


# Threads


def test_text_that_is_removed_while_the_guard_looks_is_not_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cache.add("origin", 1)
    monkeypatch.setattr(semantic_cache, "find_veto", lambda _a, _b: world.cache.clear())
    match = world.cache.lookup("near")
    assert (match.outcome, match.reason, match.response) == ("MISS", "removed", None)


def test_no_lock_is_held_while_encoding(world: World) -> None:
    world.cache.add("origin", 1)
    world.embedder.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(world.cache.get_if_similar, "near"),
            pool.submit(world.cache.add, "opposite", 2),
        ]
        assert world.cache.get_if_similar("origin") == 1
        world.cache.add("y" * 600, 3)
        world.embedder.gate.set()
        assert waiting[0].result(PATIENCE_SECONDS) == 1
        waiting[1].result(PATIENCE_SECONDS)


def test_many_threads_find_only_answers_that_belong_to_their_scope() -> None:
    texts = [f"text {number}" for number in range(20)]
    cosines = {text: math.cos(number * 0.02) for number, text in enumerate(texts)}

    def work(world: World, scope: str) -> int:
        looks = 0
        for round_ in range(30):
            for number, text in enumerate(texts):
                if (number + round_) % 3 == 0:
                    world.cache.add(text, scope, scope=scope)
                match = world.cache.lookup(text, scope=scope)
                looks += 1
                assert match.outcome == "MISS" or match.response == scope
                if match.hit_id is not None and number % 7 == 0:
                    world.cache.report_wrong(match.hit_id)
        return looks

    with opened(cosines, max_entries=50, guards=False) as world:
        with ThreadPoolExecutor(6) as pool:
            looks = sum(pool.map(lambda number: work(world, f"scope {number % 3}"), range(6)))
        stats = world.cache.get_stats()
        counted = sum(stats.misses.values()) + sum(stats.verifications.values())
        assert counted + stats.exact_hits + stats.similar_hits == looks
        assert stats.entries == len(world.cache) <= 50


def test_child_process_gets_free_locks(world: World) -> None:
    labels = world.cache._labels
    parts = (world.cache, labels, world.cache._vectors)
    locks = [*(part._lock for part in parts), labels._learning]
    world.cache.renew()
    renewed = [*(part._lock for part in parts), labels._learning]
    assert not set(map(id, renewed)) & set(map(id, locks))


# Writing down and reading back


def test_entries_come_back_as_they_were(world: World) -> None:
    world.cache.add("origin", {"answer": 1}, scope="one", ttl=100)
    world.cache.add("y" * 600, "long", ttl=50)
    world.cache.add("near", "short", ttl=5)
    world.clock.advance(10)
    saved = list(world.cache.entries())
    assert [(one.scope, one.text, one.vector is None) for one in saved] == [
        ("one", "origin", False),
        ("", "y" * 600, True),
    ]
    assert saved[0].expires == world.clock.now() + 90
    assert saved[0].created == world.clock.now() - 10
    with opened(NEAR) as other:
        other.clock.advance(10)
        assert other.cache.restore(saved, embedder_tag=world.cache.embedder_tag) == 2
        assert other.cache.get_if_similar("near", scope="one") == {"answer": 1}
        assert other.cache.lookup("near", scope="one").age_seconds == 10
        assert other.cache.get_if_similar("y" * 600) == "long"
        other.clock.advance(90)
        assert other.cache.get_if_similar("near", scope="one") is None


def test_expired_and_older_entries_are_passed_over(world: World) -> None:
    world.cache.add("origin", "old", ttl=100)
    world.cache.add("near", "expired", ttl=5)
    saved = list(world.cache.entries())
    world.clock.advance(10)
    world.cache.add("origin", "new")
    assert world.cache.restore(saved, embedder_tag="plane") == 0
    assert (world.cache.get_if_similar("origin"), len(world.cache)) == ("new", 1)


def test_vectors_of_another_embedder_are_dropped_and_the_text_kept(world: World) -> None:
    world.cache.add("origin", 1)
    saved = list(world.cache.entries())
    with opened(NEAR) as other:
        other.cache.add("opposite", 0)
        assert other.cache.restore(saved, embedder_tag="another") == 1
        assert (other.cache.get_if_similar("origin"), other.cache.get_if_similar("near")) == (
            1,
            None,
        )


def test_vectors_are_dropped_at_once_where_the_embedder_is_known_though_failing(
    world: World,
) -> None:
    world.cache.add("origin", 1)
    saved = list(world.cache.entries())
    with opened(NEAR) as other:
        other.embedder.error = ValueError("down")
        assert other.cache.find_similar("opposite") == []
        assert other.cache.restore(saved, embedder_tag="another") == 1
        assert [one.vector for one in other.cache.entries()] == [None]


def test_restored_vectors_go_when_the_first_encode_shows_another_embedder(world: World) -> None:
    world.cache.add("origin", 1)
    saved = list(world.cache.entries())
    with opened(NEAR, embedder=PlaneEmbedder(NEAR, tag="another")) as other:
        assert other.cache.restore(saved, embedder_tag="plane") == 1
        assert other.cache.embedder_tag == "plane"
        assert other.cache.lookup("near").reason == "absent"
        assert (other.cache.embedder_tag, other.cache.get_if_similar("origin")) == ("another", 1)
        assert [one.vector for one in other.cache.entries()] == [None]
        other.cache.add("near", 2)
        assert other.cache.report_wrong(hit(other, "origin"))
        assert len(other.cache) == 1


def test_vector_of_a_wrong_length_is_dropped_and_the_text_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.cache.add("origin", 1)
    (saved,) = world.cache.entries()
    broken = dataclasses.replace(saved, text="broken", vector=b"12345", created=saved.created + 1)
    assert world.cache.restore([broken], embedder_tag="plane") == 1
    assert world.cache.get_if_similar("broken") == 1
    assert len(caplog.records) == 1


def test_first_vector_of_a_wrong_length_does_not_spoil_its_scope(world: World) -> None:
    world.cache.add("y" * 600, 0)
    world.cache.add("opposite", 0, scope="other")
    _, saved = world.cache.entries()
    broken = dataclasses.replace(saved, text="broken", scope="", vector=b"12345")
    assert world.cache.restore([broken], embedder_tag="plane") == 1
    world.cache.add("origin", 1)
    assert world.cache.get_if_similar("near") == 1


def test_same_text_without_a_vector_takes_the_place_of_one_with(world: World) -> None:
    world.cache.add("origin", 1)
    world.embedder.error = ValueError("down")
    world.cache._vectors._remembered.clear()
    world.cache.add("origin", 2)
    world.embedder.error = None
    assert (world.cache.get_if_similar("origin"), world.cache.get_if_similar("near")) == (2, None)

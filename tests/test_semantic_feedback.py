from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.semantic import labels as labels_module
from sdk_workflow.core.semantic.calibrator import Calibrator
from sdk_workflow.core.semantic.feedback import (
    Breaker,
    LabelWindow,
    labels_needed,
    lower_bound,
    upper_bound,
)
from sdk_workflow.core.semantic.guard import prepare
from sdk_workflow.core.semantic.labels import FeedbackPolicy, Labels, Pair
from sdk_workflow.core.semantic.scopes import Entry
from sdk_workflow.exceptions import UsageError
from tests.semantic_fakes import PlannedCalibrator

BUDGET = 0.05


def feed(breaker: Breaker, count: int, errors: int = 0) -> None:
    for number in range(count):
        breaker.add(is_error=number < errors)


def state(breaker: Breaker) -> str:
    return breaker.state  # a call, so that the type checker expects it to change


def most_errors_that_pass(count: int) -> int:
    return max(errors for errors in range(count) if lower_bound(errors, count) <= BUDGET)


# Bounds


@pytest.mark.parametrize(
    ("budget", "needed"),
    [(0.05, (59, 93, 124)), (0.02, (149, 236, 313)), (0.01, (299, 473, 628))],
)
def test_labels_needed_are_the_known_counts(budget: float, needed: tuple[int, ...]) -> None:
    assert tuple(labels_needed(budget, errors) for errors in range(3)) == needed


@pytest.mark.parametrize(
    ("errors", "labels", "lower", "upper"),
    [
        (0, 10, 0.0, 0.258866),  # 1 - 0.05 ** (1 / 10)
        (10, 10, 0.741134, 1.0),
        (1, 20, 0.002561, 0.216106),
        (5, 10, 0.222441, 0.777559),
        (10, 100, 0.055263, 0.163717),
    ],
)
def test_bounds_are_those_of_published_tables(
    errors: int, labels: int, lower: float, upper: float
) -> None:
    assert lower_bound(errors, labels) == pytest.approx(lower, abs=1e-6)
    assert upper_bound(errors, labels) == pytest.approx(upper, abs=1e-6)


def test_without_labels_nothing_is_known() -> None:
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


@settings(deadline=None)
@given(data=st.data(), labels=st.integers(1, 1000))
def test_bounds_are_where_the_exact_tail_of_the_distribution_is_a_twentieth(
    data: st.DataObject, labels: int
) -> None:
    errors = data.draw(st.integers(0, labels))
    lower, upper = lower_bound(errors, labels), upper_bound(errors, labels)
    assert 0 <= lower <= errors / labels <= upper <= 1

    def tail(rate: float, counts: range) -> float:
        return math.fsum(
            math.comb(labels, count) * rate**count * (1 - rate) ** (labels - count)
            for count in counts
        )

    if labels <= 60:
        if errors < labels:
            assert tail(upper, range(errors + 1)) == pytest.approx(0.05, abs=1e-9)
        if errors:
            assert tail(lower, range(errors, labels + 1)) == pytest.approx(0.05, abs=1e-9)


def test_bound_at_another_confidence_is_wider_or_narrower() -> None:
    assert lower_bound(10, 100, 0.99) < lower_bound(10, 100) < lower_bound(10, 100, 0.8)
    assert upper_bound(10, 100, 0.99) > upper_bound(10, 100) > upper_bound(10, 100, 0.8)


# The window


def test_few_good_labels_certify_nothing_and_enough_of_them_do() -> None:
    window = LabelWindow()
    for _ in range(58):
        window.add(is_error=False)
    assert not window.rate(BUDGET).is_certified
    window.add(is_error=False)
    rate = window.rate(BUDGET)
    assert (rate.labels, rate.errors, rate.lower, rate.is_certified) == (59, 0, 0.0, True)


def test_window_forgets_labels_beyond_the_last_thousand() -> None:
    window = LabelWindow()
    for number in range(1500):
        window.add(is_error=number < 600)
    rate = window.rate(BUDGET)
    assert (len(window), rate.labels, rate.errors) == (1000, 1000, 100)


# The breaker


def test_breaker_is_not_tripped_by_few_labels_however_bad() -> None:
    breaker = Breaker(VirtualClock(), error_budget=BUDGET)
    feed(breaker, 99, errors=99)
    assert state(breaker) == "closed"
    feed(breaker, 1)
    assert state(breaker) == "open"


def test_breaker_trips_when_the_lower_bound_passes_the_budget_and_not_before() -> None:
    allowed = most_errors_that_pass(100)
    assert allowed == 9  # far more than 5 %: so few labels prove no less
    for errors, expected in ((allowed, "closed"), (allowed + 1, "open")):
        breaker = Breaker(VirtualClock(), error_budget=BUDGET)
        feed(breaker, 100, errors)
        assert state(breaker) == expected


@pytest.mark.parametrize("tested_at", [100, 200, 400, 800, 1600, 2600])
def test_breaker_looks_only_at_fixed_counts(tested_at: int) -> None:
    breaker = Breaker(VirtualClock(), error_budget=BUDGET)
    bad = 99  # always enough to trip, at whatever count it is looked at
    feed(breaker, tested_at - bad)
    feed(breaker, bad - 1, errors=bad - 1)
    assert state(breaker) == "closed"
    feed(breaker, 1, errors=1)
    assert state(breaker) == "open"


def test_tripped_breaker_takes_no_labels_until_its_cool_down_is_over() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock, error_budget=BUDGET, cool_down_seconds=60)
    feed(breaker, 100, errors=50)
    feed(breaker, 500)
    clock.advance(59)
    assert state(breaker) == "open"
    clock.advance(1)
    assert state(breaker) == "half_open"
    feed(breaker, 100)
    assert state(breaker) == "closed"


def test_half_open_breaker_closes_after_a_hundred_good_labels() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock, error_budget=BUDGET, cool_down_seconds=60)
    feed(breaker, 100, errors=50)
    clock.advance(60)
    feed(breaker, 99)
    assert state(breaker) == "half_open"
    feed(breaker, 1)
    assert state(breaker) == "closed"
    feed(breaker, 99, errors=99)
    assert state(breaker) == "closed"  # the count began anew
    feed(breaker, 1)
    assert state(breaker) == "open"


def test_half_open_breaker_opens_again_after_bad_labels_for_another_cool_down() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock, error_budget=BUDGET, cool_down_seconds=60)
    feed(breaker, 100, errors=50)
    clock.advance(60)
    feed(breaker, 100, errors=50)
    assert state(breaker) == "open"
    clock.advance(59)
    assert state(breaker) == "open"
    clock.advance(1)
    assert state(breaker) == "half_open"


# Labels of pairs


def entry(scope: str = "") -> Entry:
    return Entry(
        scope=scope,
        text="a",
        response=1,
        prepared=prepare("a"),
        vector=None,
        created=0,
        expires_at=1,
    )


def similar(scope: str = "") -> Pair:
    return Pair(entry=entry(scope), question=prepare("b"), similarity=0.97)


@pytest.fixture
def calibrator() -> PlannedCalibrator:
    return PlannedCalibrator()


@pytest.fixture
def labels(calibrator: Any) -> Labels:
    return Labels(FeedbackPolicy(), calibrator, VirtualClock())


def test_label_of_a_pair_counts_once_and_teaches_the_calibrator(
    labels: Labels, calibrator: PlannedCalibrator
) -> None:
    pair = similar()
    hit_id = labels.remember(pair)
    assert labels.settle(hit_id, is_error=True) is pair
    assert labels.settle(hit_id, is_error=True) is None
    assert (labels.rate().labels, labels.rate().errors) == (1, 1)
    labels.learn(pair, is_error=True)
    assert calibrator.learnt == [(0.97, False)]


def test_label_of_the_same_text_says_nothing_about_matching(
    labels: Labels, calibrator: PlannedCalibrator
) -> None:
    pair = labels.settle(labels.remember(Pair(entry=entry())), is_error=True)
    assert pair is not None
    labels.learn(pair, is_error=True)
    assert (labels.rate().labels, calibrator.learnt) == (0, [])


def test_labels_start_with_an_empty_calibrator_unless_they_are_given_one() -> None:
    labels = Labels(FeedbackPolicy(), None, VirtualClock())
    labels.learn(similar(), is_error=False)
    assert Calibrator.from_json(labels.calibrator_json()).label_counts == (1, 0)
    assert labels.probability(prepare("b"), entry(), 0.97) is None


@pytest.mark.parametrize("known", [None, "mine"])
def test_restored_calibrator_goes_when_another_embedder_shows(known: str | None) -> None:
    saved = Labels(FeedbackPolicy(), None, VirtualClock())
    saved.learn(similar(), is_error=False)
    labels = Labels(FeedbackPolicy(), None, VirtualClock())
    labels.restore_calibrator(saved.calibrator_json(), "mine", known_tag=known)
    labels.adopt_tag("mine")
    assert labels.calibrator_json() == saved.calibrator_json()
    labels.adopt_tag("another")
    assert labels.calibrator_json() == Calibrator().to_json()
    labels.learn(similar(), is_error=False)
    labels.adopt_tag("a third")  # what was learnt here is nobody else's
    assert labels.calibrator_json() == saved.calibrator_json()


def test_one_scope_trips_without_the_others(labels: Labels) -> None:
    for number in range(100):
        labels.settle(labels.remember(similar("bad")), is_error=number % 2 == 0)
        labels.settle(labels.remember(similar("good")), is_error=False)
    assert [labels.is_tripped(scope) for scope in ("bad", "good", "new")] == [True, False, False]
    assert labels.states() == ["open"]


def test_pairs_and_scopes_are_forgotten_beyond_a_bound(
    labels: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "_MAX_PAIRS", 2)
    monkeypatch.setattr(labels_module, "_MAX_SCOPES", 1)
    ids = [labels.remember(similar(scope)) for scope in ("a", "b", "c")]
    assert len(set(ids)) == 3
    assert [labels.settle(hit_id, is_error=False) is None for hit_id in ids] == [True, False, False]
    assert list(labels._breakers) == ["c"]


@pytest.mark.parametrize(
    "options",
    [
        {"error_budget": 0.0},
        {"error_budget": 1.0},
        {"shadow_share": -0.1},
        {"shadow_share": 1.1},
        {"cool_down_seconds": -1.0},
        {"cool_down_seconds": math.nan},
    ],
)
def test_policy_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))) as caught:
        FeedbackPolicy(**options)
    assert caught.value.hint

"""The calibrator: silent until it knows enough, then guided by the user's own labels alone."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.core.semantic import logistic
from sdk_workflow.core.semantic.calibrator import Calibrator
from sdk_workflow.core.semantic.features import FEATURES, measure_features
from sdk_workflow.core.semantic.guard import prepare
from sdk_workflow.core.semantic.logistic import fit_weights, predict
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

_ASKED = prepare("How do I clean a copper kettle?")
_SAME = prepare("how can I clean copper kettles?")
_OTHER = prepare("How do I clean a copper roof in winter?")


def _taught(labels: int = 30) -> Calibrator:
    calibrator = Calibrator()
    for number in range(labels):
        calibrator.learn(_ASKED, _SAME, 0.97 + number % 3 / 100, is_same=True)
        calibrator.learn(_ASKED, _OTHER, 0.95 + number % 3 / 100, is_same=False)
    return calibrator


def test_calibrator_says_nothing_before_it_has_labels_of_both_kinds() -> None:
    calibrator = Calibrator()
    for _ in range(100):
        calibrator.learn(_ASKED, _SAME, 0.97, is_same=True)
    for _ in range(19):
        calibrator.learn(_ASKED, _OTHER, 0.95, is_same=False)

    assert calibrator.probability(_ASKED, _SAME, 0.97) is None
    assert calibrator.label_counts == (100, 19)


def test_calibrator_tells_the_kinds_apart_when_it_was_taught() -> None:
    calibrator = _taught()

    same = calibrator.probability(_ASKED, _SAME, 0.97)
    other = calibrator.probability(_ASKED, _OTHER, 0.96)

    assert same is not None
    assert other is not None
    assert other < 0.1
    assert same > 0.9


def test_calibrator_gives_even_odds_when_the_same_pair_has_both_labels() -> None:
    calibrator = Calibrator()
    for number in range(200):
        calibrator.learn(_ASKED, _SAME, 0.97, is_same=number % 2 == 0)

    assert calibrator.probability(_ASKED, _SAME, 0.97) == pytest.approx(0.5, abs=0.06)


def test_calibrator_changes_its_mind_when_new_labels_replace_the_old() -> None:
    calibrator = _taught()
    for _ in range(1000):
        calibrator.learn(_ASKED, _SAME, 0.97, is_same=False)

    assert calibrator.label_counts == (0, 1000)

    for _ in range(500):
        calibrator.learn(_ASKED, _OTHER, 0.97, is_same=True)

    same = calibrator.probability(_ASKED, _SAME, 0.97)
    assert same is not None
    assert same < 0.2


def test_calibrator_passes_over_a_cosine_that_is_no_number() -> None:
    calibrator = Calibrator()

    calibrator.learn(_ASKED, _SAME, math.nan, is_same=True)

    assert calibrator.label_counts == (0, 0)


def test_calibrator_knows_after_json_what_it_knew_before() -> None:
    calibrator = _taught()

    restored = Calibrator.from_json(calibrator.to_json())

    assert restored.label_counts == calibrator.label_counts
    before = calibrator.probability(_ASKED, _SAME, 0.96)
    assert restored.probability(_ASKED, _SAME, 0.96) == pytest.approx(before, abs=0.02)
    assert Calibrator.from_json(Calibrator().to_json()).probability(_ASKED, _SAME, 0.9) is None


def test_calibrator_keeps_no_word_of_a_text() -> None:
    assert "copper" not in _taught().to_json()


def _state(**changes: Any) -> str:
    return json.dumps({**json.loads(_taught().to_json()), **changes})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: "{", "no JSON"),
        (lambda: "[" * 100_000, "no JSON"),
        (lambda: "[]", "schema is None"),
        (lambda: _state(schema="sdk_workflow.calibrator/2"), "calibrator/2"),
        (lambda: _state(features=["cosine"]), "features"),
        (lambda: _state(samples={}), "features"),
        (lambda: _state(samples=[[0.0, 1]]), "number of values"),
        (lambda: _state(samples=[7]), "number of values"),
        (lambda: _state(samples=[[math.nan] * len(FEATURES) + [1]]), "in range"),
        (lambda: _state(samples=[[1e9] * len(FEATURES) + [1]]), "in range"),
        (lambda: _state(samples=[[True] * len(FEATURES) + [1]]), "in range"),
        (lambda: _state(samples=[[0.5] * len(FEATURES) + [2]]), "label"),
        (lambda: _state(samples=[[0.5] * len(FEATURES) + [True]]), "label"),
    ],
)
def test_from_json_refuses_what_it_did_not_write(make: Callable[[], str], reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        Calibrator.from_json(make())

    assert caught.value.hint


def test_from_json_takes_the_newest_samples_when_there_are_too_many() -> None:
    old, new = [[0.5] * len(FEATURES) + [0]], [[0.5] * len(FEATURES) + [1]]

    assert Calibrator.from_json(_state(samples=old * 50 + new * 1000)).label_counts == (1000, 0)


def test_features_do_not_mind_which_text_comes_first() -> None:
    features = measure_features(_ASKED, _OTHER, 0.95)

    assert features == measure_features(_OTHER, _ASKED, 0.95)
    assert len(features) == len(FEATURES)


def test_features_of_a_text_with_itself_are_those_of_a_perfect_pair() -> None:
    features = dict(zip(FEATURES, measure_features(_ASKED, _ASKED, 1.0), strict=True))

    assert features == {
        "cosine": pytest.approx(1.0),
        "concept_overlap": 1.0,
        "word_overlap": 1.0,
        "is_vetoed": 0.0,
        "added_concepts": 0.0,
        "is_exchanged": 0.0,
        "same_questions": 1.0,
        "same_sequence": 1.0,
        "length_ratio": 1.0,
    }


def test_features_of_empty_texts_are_numbers() -> None:
    nothing = prepare("")

    assert all(math.isfinite(value) for value in measure_features(nothing, nothing, 0.9))


def test_fit_weights_finds_the_least_loss() -> None:
    samples = [((0.0,), False), ((1.0,), True), ((1.0,), False), ((2.0,), True)] * 5

    constant, slope = fit_weights(samples)

    # At the optimum the gradient of the penalised likelihood is zero.
    errors = [predict([constant, slope], features) - label for features, label in samples]
    assert sum(errors) == pytest.approx(0, abs=1e-4)
    pulls = (error * features[0] for error, (features, _) in zip(errors, samples, strict=True))
    assert sum(pulls) + slope == pytest.approx(0, abs=1e-4)
    assert slope > 0


def test_fit_weights_stays_finite_when_the_kinds_are_perfectly_apart() -> None:
    samples = [((100.0,), True), ((-100.0,), False)] * 20

    weights = fit_weights(samples)

    assert all(abs(weight) < 50 for weight in weights)
    assert predict(weights, (100.0,)) > 0.9


def test_fit_weights_stops_when_it_has_taken_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "_MAX_STEPS", 1)
    samples = [((1.0,), True), ((-1.0,), False)] * 20

    hurried = fit_weights(samples)

    assert predict(hurried, (1.0,)) > 0.5


_SAMPLES = st.lists(
    st.tuples(st.tuples(*[st.floats(-5, 5)] * 3), st.booleans()), min_size=1, max_size=30
)


@given(_SAMPLES)
def test_fit_weights_always_gives_probabilities(
    samples: list[tuple[tuple[float, ...], bool]],
) -> None:
    weights = fit_weights(samples)

    assert all(0 <= predict(weights, features) <= 1 for features, _ in samples)

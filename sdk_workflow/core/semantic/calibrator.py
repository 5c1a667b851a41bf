"""Learns from the user's own labels how likely two close texts want the same answer.

It ships no weights: what it knows comes from the labels that it was given, and until there are
enough of both kinds it says nothing. It keeps numbers only, never a text.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.semantic.features import FEATURES, measure_features
from sdk_workflow.core.semantic.logistic import fit_weights, predict
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from sdk_workflow.core.semantic.prepared import PreparedText

__all__ = ["Calibrator"]

_SCHEMA = "sdk_workflow.calibrator/1"
_MAX_SAMPLES = 1000
_MAX_VALUE = 100.0
_MIN_OF_EACH_KIND = 20
"""Labels needed of right and of wrong pairs before a probability is given."""
_GROWTH_BEFORE_REFIT = 0.1
"""A fit of 1,000 samples takes about 25 ms, so it waits for a tenth more labels."""


class Calibrator:
    """A pooled logistic regression over the last 1,000 labelled pairs.

    Not safe for use by several threads at once: one thread at a time may teach it or
    write it down; `probability` needs no lock.

    Example:
        >>> from sdk_workflow.core.semantic.guard import prepare
        >>> calibrator = Calibrator()
        >>> asked, stored = prepare("How do I boil an egg?"), prepare("How do I boil eggs?")
        >>> calibrator.learn(asked, stored, 0.97, is_same=True)
        >>> calibrator.probability(asked, stored, 0.97) is None
        True
    """

    __slots__ = ("_news", "_samples", "_weights")

    def __init__(self) -> None:
        self._samples: deque[tuple[tuple[float, ...], bool]] = deque(maxlen=_MAX_SAMPLES)
        self._weights: list[float] | None = None
        self._news = 0

    @property
    def label_counts(self) -> tuple[int, int]:
        """How many labels it holds: of pairs with the same answer, and of pairs without."""
        same = sum(label for _, label in self._samples)
        return same, len(self._samples) - same

    def probability(self, a: PreparedText, b: PreparedText, cosine: float) -> float | None:
        """Return how likely two texts want the same answer; None before there are enough labels.

        Args:
            a: One text.
            b: The other text.
            cosine: Of their vectors, by the encoder whose cosines it has learnt from.
        """
        if self._weights is None:
            return None
        return predict(self._weights, measure_features(a, b, cosine))

    def learn(self, a: PreparedText, b: PreparedText, cosine: float, *, is_same: bool) -> None:
        """Take in whether two texts had the same answer.

        A cosine that is no finite number is passed over.
        """
        if not math.isfinite(cosine):
            return
        self._samples.append((measure_features(a, b, cosine), bool(is_same)))
        self._news += 1
        if self._news >= _GROWTH_BEFORE_REFIT * len(self._samples) or self._weights is None:
            self._fit()

    def to_json(self) -> str:
        """Return all that it has learnt, as JSON of numbers."""
        samples = [[*features, int(label)] for features, label in self._samples]
        return json.dumps({"schema": _SCHEMA, "features": FEATURES, "samples": samples})

    @classmethod
    def from_json(cls, text: str) -> Calibrator:
        """Return the calibrator that `to_json` described.

        Raises:
            StorageError: The text is damaged, or of another version.
        """
        calibrator = cls()
        calibrator._samples.extend(_read_samples(text))
        calibrator._fit()
        return calibrator

    def _fit(self) -> None:
        if min(self.label_counts) >= _MIN_OF_EACH_KIND:
            self._weights = fit_weights(self._samples)
            self._news = 0


def _read_samples(text: str) -> list[tuple[tuple[float, ...], bool]]:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged("it is no JSON") from error
    if not isinstance(state, dict) or state.get("schema") != _SCHEMA:
        found = state.get("schema") if isinstance(state, dict) else None
        raise _damaged(f"its schema is {found!r}, not {_SCHEMA!r}")
    if state.get("features") != list(FEATURES) or not isinstance(state.get("samples"), list):
        raise _damaged("its features are not those of this version")
    return [_read_sample(sample) for sample in state["samples"][-_MAX_SAMPLES:]]


def _read_sample(sample: Any) -> tuple[tuple[float, ...], bool]:
    if not isinstance(sample, list) or len(sample) != len(FEATURES) + 1:
        raise _damaged("a sample has another number of values")
    *features, label = sample
    if not all(type(value) in {int, float} and abs(value) <= _MAX_VALUE for value in features):
        raise _damaged("a feature is no number in range")
    if type(label) is not int or label not in {0, 1}:
        raise _damaged("a label is neither 0 nor 1")
    return tuple(map(float, features)), label == 1


def _damaged(reason: str) -> StorageError:
    return StorageError(
        f"The saved calibrator cannot be read: {reason}.",
        hint="Delete it: the calibrator starts afresh and learns from the next labels.",
    )

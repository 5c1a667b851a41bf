"""Turns two prepared texts and their cosine into the few numbers that the calibrator weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.semantic.guard import find_veto, measure_overlap
from sdk_workflow.core.semantic.pairs import Pair

if TYPE_CHECKING:
    from sdk_workflow.core.semantic.prepared import PreparedText

__all__ = ["FEATURES", "measure_features"]

FEATURES = (
    "cosine",
    "concept_overlap",
    "word_overlap",
    "is_vetoed",
    "added_concepts",
    "is_exchanged",
    "same_questions",
    "same_sequence",
    "length_ratio",
)
"""The names of the features, in the order in which `measure_features` returns them."""

_ENOUGH_ADDED = 4


def measure_features(a: PreparedText, b: PreparedText, cosine: float) -> tuple[float, ...]:
    """Return the features of a pair, each about 0 to 1; the order of the texts does not matter.

    Args:
        a: One text.
        b: The other text.
        cosine: Of their vectors. Spread out from 0.9 on, where a semantic cache decides.
    """
    pair = Pair(a, b)
    lengths = sorted((len(a.plain), len(b.plain)))
    union = len(a.words | b.words)
    return (
        10 * (cosine - 0.9),
        measure_overlap(a, b),
        len(a.words & b.words) / union if union else 0.0,
        float(find_veto(a, b) is not None),
        min(len(pair.only_a) + len(pair.only_b), _ENOUGH_ADDED) / _ENOUGH_ADDED,
        float(bool(pair.only_a and pair.only_b)),
        float(a.questions == b.questions),
        float(a.sequence == b.sequence),
        lengths[0] / lengths[1] if lengths[1] else 1.0,
    )

"""Lookups by meaning without their encoding: the vectors are drawn beforehand."""

from __future__ import annotations

import importlib.util
import random
from array import array
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, Skipped, Target, each_of
from sdk_workflow.core.semantic_cache import SemanticCache

if TYPE_CHECKING:
    from contextlib import ExitStack

    from sdk_workflow.benchmarking.operations import Entry

__all__ = ["similar_entries"]

_ENTRIES, _LOOKUPS = 1_000, 300  # more than there are vectors remembered
_DIMENSION = 384
_GOAL = Target(100e3)
_HIT, _MISS = "semantic hit, 1,000 entries", "semantic miss, 1,000 entries"
_NO_NUMPY = "numpy is not installed; it comes with the extra `semantic-lite`."
_NOUNS = ("tower", "bridge", "garden", "station", "harbour", "museum", "castle", "market", "school")
_PLACES = ("Lyon", "Porto", "Turin", "Ghent", "Basel", "Oslo", "Riga", "Cork", "Graz", "Bergen")


class _DrawnVectors:
    """An encoder that knows its texts by heart, so that all that is measured is the rest."""

    tag, dimension = "drawn", _DIMENSION

    def __init__(self, by_text: dict[str, Any]) -> None:
        self._by_text = by_text

    def encode(self, text: str) -> Any:
        """Return the vector of a text."""
        return self._by_text[text]


def similar_entries(stack: ExitStack, *, plan: Target) -> list[Entry]:
    """Return the lookups of a semantic cache, which the stack closes."""
    if importlib.util.find_spec("numpy") is None:
        return [Skipped(name=name, reason=_NO_NUMPY) for name in (_HIT, _MISS)]
    stored, others = _questions("How tall is", _ENTRIES), _questions("How old is", _LOOKUPS)
    again = [text.replace("How tall is", "Please tell me: how tall is") for text in stored]
    vectors = dict(zip([*stored, *others], _drawn(_ENTRIES + _LOOKUPS), strict=True))
    vectors |= {asked: vectors[text] for asked, text in zip(again, stored, strict=True)}
    cache = SemanticCache(embedder=_DrawnVectors(vectors), encode_timeout_seconds=60)
    stack.callback(cache.close)
    for text in stored:
        cache.add(text, text)
    _check(cache, again[0], others[0])
    lookup = cache.get_if_similar
    return [
        Operation(name=_HIT, repeat=each_of(lookup, again[:_LOOKUPS]), plan=plan, goal=_GOAL),
        Operation(name=_MISS, repeat=each_of(lookup, others), plan=plan, goal=_GOAL),
    ]


def _questions(beginning: str, count: int) -> list[str]:
    dice = random.Random(count)  # noqa: S311 # nosec B311 # has to be repeatable
    return [
        f"{beginning} the {dice.choice(_NOUNS)} with number {number} in {dice.choice(_PLACES)}?"
        for number in range(count)
    ]


def _drawn(count: int) -> list[array[float]]:
    """Return corners of a cube, drawn at random, at length 1: no two of them are near each other."""
    dice = random.Random(1)  # noqa: S311 # nosec B311 # has to be repeatable
    part = _DIMENSION**-0.5
    draws = (dice.getrandbits(_DIMENSION) for _ in range(count))
    return [
        array("f", [part if draw >> place & 1 else -part for place in range(_DIMENSION)])
        for draw in draws
    ]


def _check(cache: SemanticCache, near: str, far: str) -> None:
    """Make sure that a hit is one and a miss is none: else something else would be measured."""
    if cache.get_if_similar(near) is None or cache.get_if_similar(far) is not None:
        raise RuntimeError("The semantic cache does not tell near questions from far ones.")

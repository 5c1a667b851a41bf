"""A semantic lookup without its encoding, in a cache of 1,000 questions, beside GPTCache's.

Both are asked the same number of times, and each lookup counts by its quickest go. Vectors are
drawn beforehand. GPTCache lives in an environment of its own; without one it is left out.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks._report import Row
from benchmarks._timing import Series
from sdk_workflow.core.semantic_cache import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks._report import Report

__all__ = ["PEER_PYTHON", "add_lookups"]

_ENTRIES = 1_000
_LOOKUPS = 300  # more than there are vectors remembered, so that each is asked for anew
_GOES = 5
_DIMENSION = 384
_MAX_US = 100.0
_HERE = Path(__file__).parent / "peers"
PEER_PYTHON = _HERE / ".venv-gptcache" / "bin" / "python"
_NOUNS = ("tower", "bridge", "garden", "station", "harbour", "museum", "castle", "market", "school")
_PLACES = ("Lyon", "Porto", "Turin", "Ghent", "Basel", "Oslo", "Riga", "Cork", "Graz", "Bergen")


class _DrawnVectors:
    """Answers at once, so that all that is measured is the rest."""

    tag, dimension = "drawn", _DIMENSION

    def __init__(self, by_text: dict[str, Any]) -> None:
        self._by_text = by_text

    def encode(self, text: str) -> Any:
        """Return the vector of a text."""
        return self._by_text[text]


def add_lookups(report: Report, peer_python: Path) -> None:
    """Measure, and add the table to a report.

    Args:
        report: Where the table goes.
        peer_python: The interpreter of GPTCache's environment; it need not be there.
    """
    ours = _ours()
    rows = [
        Row(
            name=f"ours: {name}",
            series=Series(taken),
            unit="us",
            at_most=None if name == "put" else _MAX_US,
            digits=1,
        )
        for name, taken in ours.items()
    ]
    peer = _peer(report, peer_python)
    rows += [
        Row(name=f"GPTCache: {name}", series=Series(taken), unit="us", digits=1)
        for name, taken in peer.items()
    ]
    rows += [
        Row(name=f"{name}: times faster than GPTCache", series=Series([_ratio(peer, ours, name)]))
        for name in peer
    ]
    report.add(f"A lookup without encoding, {_ENTRIES:,} questions in one scope", rows)


def _ratio(peer: dict[str, list[float]], ours: dict[str, list[float]], name: str) -> float:
    return median(peer[name]) / median(ours[name])


def _ours() -> dict[str, list[float]]:
    import numpy as np

    stored, others = _questions(_ENTRIES), _questions(_LOOKUPS, "How old is")
    again = [text.replace("How tall is", "Please tell me: how tall is") for text in stored]
    dice = np.random.default_rng(1)
    vectors = dice.standard_normal((_ENTRIES + _LOOKUPS, _DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    by_text = dict(zip([*stored, *others], vectors, strict=True))
    by_text |= dict(zip(again, vectors[:_ENTRIES], strict=True))
    cache = SemanticCache(embedder=_DrawnVectors(by_text), encode_timeout_seconds=60)
    try:
        taken = {"put": _time(stored, lambda text: cache.add(text, text), goes=1)}
        taken["hit"] = _time(again[:_LOOKUPS], lambda text: _check(cache, text, is_there=True))
        taken["miss"] = _time(others, lambda text: _check(cache, text, is_there=False))
    finally:
        cache.close()
    return taken


def _questions(count: int, beginning: str = "How tall is") -> list[str]:
    dice = random.Random(count)  # noqa: S311 - has to be repeatable
    return [
        f"{beginning} the {dice.choice(_NOUNS)} with number {number} in {dice.choice(_PLACES)}?"
        for number in range(count)
    ]


def _check(cache: SemanticCache, text: str, *, is_there: bool) -> None:
    assert (cache.get_if_similar(text) is not None) == is_there, text


def _time(texts: Sequence[str], work: Callable[[str], object], goes: int = _GOES) -> list[float]:
    """Return the microseconds of each text, in the quickest of several goes over all of them."""
    taken = [float("inf")] * len(texts)
    for _ in range(goes):
        for place, text in enumerate(texts):
            started = perf_counter()
            work(text)
            taken[place] = min(taken[place], 1e6 * (perf_counter() - started))
    return taken


def _peer(report: Report, python: Path) -> dict[str, list[float]]:
    if not python.exists():
        report.note(
            "GPTCache is left out: install benchmarks/peers/requirements-gptcache.txt as the file "
            "says, or name the interpreter that has it with --gptcache."
        )
        return {}
    counts = [str(count) for count in (_ENTRIES, _LOOKUPS, _GOES)]
    command = [str(python), str(_HERE / "gptcache_lookups.py"), *counts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        report.note(f"GPTCache is left out: it failed with {done.stderr.strip()[-200:]!r}.")
        return {}
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found

"""Draws precision against hit rate, and right against wrong answers of GPTCache's benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks._cache_accuracy import count_served, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks._cache_accuracy import Example, Lookup, Tally

__all__ = ["PUBLISHED", "draw"]

PUBLISHED = {0.95: (425, 25), 0.9: (804, 77), 0.8: (904, 92)}
"""Threshold to right and wrong answers, as GPTCache's own documentation gives them."""

_MARKED = (0.90, 0.95, 0.97, 0.98)
_JUDGED_FROM = 0.95
_LOWEST_COUNT = 40
_GREY, _BLUE, _GREEN, _RED = "#777777", "#1f5fa8", "#2e8b57", "#b03030"


def draw(
    path: Path,
    examples: Sequence[Example],
    relabelled: Sequence[int],
    lookups: Mapping[str, Sequence[Lookup]],
) -> None:
    """Write the figure as a PNG.

    Args:
        path: Where to.
        examples: The pairs of the Quora file.
        relabelled: Rows whose label was judged to be wrong, either way.
        lookups: Name of a way to choose the row, to what it found.
    """
    import matplotlib as mpl  # type: ignore[import-not-found] # drawn by hand, not in the tests

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 5), dpi=130)
    _draw_precision(left, examples, relabelled)
    _draw_benchmark(right, lookups)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _draw_precision(axes: Any, examples: Sequence[Example], relabelled: Sequence[int]) -> None:
    total = len(examples)
    lines: tuple[tuple[str, str, str, bool, Sequence[int]], ...] = (
        ("cosine alone", _GREY, "-", False, ()),
        ("cosine and guard", _BLUE, "-", True, ()),
        ("cosine and guard, labels of served pairs judged by hand", _GREEN, "--", True, relabelled),
    )
    for name, colour, style, is_guarded, flipped in lines:
        lowest = _JUDGED_FROM if flipped else 0.90
        curve = _curve(examples, lowest, is_guarded=is_guarded, flipped=flipped)
        rates = [100 * tally.served / total for tally in curve]
        axes.plot(rates, [tally.precision for tally in curve], style, color=colour, label=name)
        if not flipped:
            bounds = [interval(tally) for tally in curve]
            low, high = [bound[0] for bound in bounds], [bound[1] for bound in bounds]
            axes.fill_between(rates, low, high, color=colour, alpha=0.12, linewidth=0)
            _mark_thresholds(axes, examples, colour, is_guarded=is_guarded)
    axes.set(xlabel="pairs served, % of 6,000", ylabel="precision of what is served")
    axes.set(xlim=(0, 22), ylim=(0.78, 1.003), title="Quora pairs, thresholds marked")
    axes.legend(loc="lower left", frameon=False)
    axes.grid(alpha=0.25)


def _curve(
    examples: Sequence[Example], lowest: float, *, is_guarded: bool, flipped: Sequence[int]
) -> list[Tally]:
    tallies = (
        count_served(examples, threshold / 1000, is_guarded=is_guarded, relabelled=flipped)
        for threshold in range(round(1000 * lowest), 1000, 2)
    )
    return [tally for tally in tallies if tally.served >= _LOWEST_COUNT]


def _mark_thresholds(
    axes: Any, examples: Sequence[Example], colour: str, *, is_guarded: bool
) -> None:
    for threshold in _MARKED:
        tally = count_served(examples, threshold, is_guarded=is_guarded)
        point = (100 * tally.served / len(examples), tally.precision)
        axes.plot(*point, "o", color=colour, markersize=5)
        axes.annotate(f"{threshold:.2f}", point, xytext=(5, 5), textcoords="offset points",
                      color=colour, fontsize=8)  # fmt: skip


def _draw_benchmark(axes: Any, lookups: Mapping[str, Sequence[Lookup]]) -> None:
    for (name, found), colour in zip(lookups.items(), (_GREY, _BLUE), strict=True):
        curve = [_right_and_wrong(found, threshold / 100) for threshold in range(60, 99)]
        axes.plot(*zip(*[(wrong, right) for right, wrong in curve], strict=True), "-",
                  color=colour, label=name)  # fmt: skip
    for threshold, (right, wrong) in PUBLISHED.items():
        axes.plot(wrong, right, "s", color=_RED, label="published" if threshold == 0.8 else None)
        axes.annotate(f"{threshold:g}", (wrong, right), xytext=(6, -3),
                      textcoords="offset points", color=_RED, fontsize=8)  # fmt: skip
    axes.set(xlabel="wrong answers served", ylabel="right answers served, of 999")
    axes.set(title="GPTCache's benchmark, right = the same row")
    axes.set(xlim=(0, 100))
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.25)


def _right_and_wrong(lookups: Sequence[Lookup], threshold: float) -> tuple[int, int]:
    served = [lookup for lookup in lookups if lookup.cosine >= threshold]
    right = sum(lookup.is_same_row for lookup in served)
    return right, len(served) - right

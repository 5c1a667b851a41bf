from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.core.measures.histogram import MAX_VALUE, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

# Spread over all octaves, and dense where buckets change their width.
VALUES = st.one_of(
    st.integers(0, MAX_VALUE),
    st.integers(0, 1_000),
    st.integers(0, 62).flatmap(lambda power: st.integers(2**power - 1, 2**power + 1)),
)
MANY = st.lists(VALUES, min_size=1, max_size=60)
WIDTHS = st.sampled_from((1, 2, 32, 128))


def histogram_of(values: Iterable[int], width: int = 128) -> Histogram:
    histogram = Histogram(width)
    for value in values:
        histogram.observe(value)
    return histogram


def everything(histogram: Histogram) -> tuple[int, dict[int, list[int]]]:
    """Return all that a histogram holds, to compare two of them."""
    return histogram.total, {octave: list(row) for octave, row in histogram._rows.items()}


@given(MANY, st.lists(st.integers(1, 1000), min_size=1, max_size=5), WIDTHS)
def test_a_quantile_is_within_its_bound_of_the_value_of_that_rank(
    values: list[int], per_mille: list[int], width: int
) -> None:
    ascending = sorted(values)
    exact = [ascending[ceil(share * len(values) / 1000) - 1] for share in per_mille]
    found = histogram_of(values, width).quantiles([share / 1000 for share in per_mille])
    for right, value in zip(exact, found, strict=True):
        assert abs(value - right) <= right / (2 * width)


@given(st.lists(st.integers(0, 255), min_size=1))
def test_small_values_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.quantiles((1.0, 0.0)) == [max(values), min(values)]
    assert histogram.largest == max(values)


@given(MANY, WIDTHS)
def test_the_count_and_the_mean_are_exact_and_the_largest_value_is_within_the_bound(
    values: list[int], width: int
) -> None:
    histogram = histogram_of(values, width)
    assert histogram.count == len(values)
    assert histogram.mean == sum(values) / len(values)
    assert histogram.largest is not None
    assert abs(histogram.largest - max(values)) <= max(values) / (2 * width)


@given(MANY, MANY, MANY)
def test_merging_loses_nothing_in_whatever_order(a: list[int], b: list[int], c: list[int]) -> None:
    whole = everything(histogram_of([*a, *b, *c]))
    left = histogram_of(a)
    left.merge(histogram_of(b))
    left.merge(histogram_of(c))
    right = histogram_of(c)
    right.merge(histogram_of(b))
    right.merge(histogram_of(a))
    assert everything(left) == everything(right) == whole


@given(MANY, MANY)
def test_merging_leaves_the_other_one_as_it_was(a: list[int], b: list[int]) -> None:
    source, target = histogram_of(a), Histogram()
    before = everything(source)
    target.merge(source)
    for value in b:
        target.observe(value)
    assert everything(source) == before


@given(MANY, st.lists(st.floats(0.0, 2.0**64), min_size=1, max_size=6).map(sorted))
def test_the_count_up_to_a_bound_misses_no_value_and_adds_only_what_lies_close_above(
    values: list[int], bounds: list[float]
) -> None:
    for bound, count in zip(bounds, histogram_of(values).counts_up_to(bounds), strict=True):
        surely = sum(value <= bound for value in values)
        perhaps = sum(value * (1 - 1 / 128) <= bound for value in values)
        assert surely <= count <= perhaps


@given(st.lists(st.one_of(st.integers(max_value=0), st.integers(min_value=MAX_VALUE)), min_size=1))
def test_values_outside_count_as_the_nearest_one_inside(values: list[int]) -> None:
    inside = [min(max(value, 0), MAX_VALUE) for value in values]
    assert everything(histogram_of(values)) == everything(histogram_of(inside))


@given(st.lists(st.integers(-(2**70), 2**70)))
def test_memory_is_bounded_whatever_comes(values: list[int]) -> None:
    histogram = histogram_of([*values, *(2**power for power in range(70))])
    assert sum(len(row) * row.itemsize for row in histogram._rows.values()) == 57 * 1024

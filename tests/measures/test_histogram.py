from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.exceptions import UsageError


def test_an_empty_histogram_has_no_figures() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.mean, histogram.largest) == (0, None, None)
    assert histogram.quantiles((0.5,)) == []
    assert histogram.counts_up_to((1.0, 2.0)) == [0, 0]


def test_a_rank_is_not_lifted_by_the_rounding_of_a_share() -> None:
    histogram = Histogram()
    for value in range(1, 101):
        histogram.observe(value)
    assert 0.07 * 100 > 7
    assert histogram.quantiles((0.07,)) == [7.0]


def test_a_share_outside_zero_to_one_gives_the_ends() -> None:
    histogram = Histogram()
    for value in (3, 5):
        histogram.observe(value)
    assert histogram.quantiles((-1.0, 2.0)) == [3.0, 5.0]


def test_a_bound_includes_the_value_that_is_equal_to_it() -> None:
    histogram = Histogram()
    for value in (10, 20, 20, 200):
        histogram.observe(value)
    assert histogram.counts_up_to((9.0, 10.0, 20.0, 199.0, 1e9)) == [0, 1, 3, 3, 4]


@pytest.mark.parametrize("width", [0, -2, 3, 100])
def test_a_width_that_is_no_power_of_two_is_refused(width: int) -> None:
    with pytest.raises(UsageError, match=f"into {width} buckets") as caught:
        Histogram(width)
    assert "power of two" in caught.value.hint


def test_histograms_of_other_widths_are_not_merged() -> None:
    with pytest.raises(UsageError, match="Buckets of 32 and 128 to the octave"):
        Histogram(128).merge(Histogram(32))


@given(st.lists(st.lists(st.integers(0, 2**40), max_size=20), max_size=5))
def test_merging_many_at_once_is_merging_them_one_by_one(parts: list[list[int]]) -> None:
    histograms = []
    for part in parts:
        histograms.append(Histogram())
        for value in part:
            histograms[-1].observe(value)
    one_by_one, at_once = Histogram(), Histogram()
    for each in (one_by_one, at_once):
        each.observe(7)
    for histogram in histograms:
        one_by_one.merge(histogram)
    at_once.merge_all(histograms)
    shares = (0.0, 0.5, 1.0)
    assert at_once.quantiles(shares) == one_by_one.quantiles(shares)
    assert (at_once.count, at_once.total) == (one_by_one.count, one_by_one.total)


def test_merging_many_of_which_one_does_not_fit_adds_nothing() -> None:
    whole, fitting = Histogram(), Histogram()
    fitting.observe(5)
    with pytest.raises(UsageError, match="do not add up"):
        whole.merge_all([fitting, Histogram(32)])
    assert whole.count == whole.total == 0

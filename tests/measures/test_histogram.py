from __future__ import annotations

import pytest

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

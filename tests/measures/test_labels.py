from __future__ import annotations

import pytest

from sdk_workflow.core.measures.labels import OTHER, Labelled, clean_label
from sdk_workflow.core.measures.sums import Count


def counted(*names: str, limit: int = 2) -> Labelled[Count]:
    series = Labelled(Count, limit=limit)
    for name in names:
        series.of(name).count += 1
    return series


def plain(series: Labelled[Count]) -> dict[str, int]:
    return {label: item.count for label, item in series.by_label()}


def test_labels_have_series_of_their_own_up_to_the_limit() -> None:
    series = counted("b", "a", "b")
    assert series.by_label() == [("a", Count(1)), ("b", Count(2))]
    assert series.all() == [Count(1), Count(2)]
    assert series.overflow == 0


def test_a_label_without_room_counts_as_other_each_time() -> None:
    series = counted("a", "b", "c", "d", "c", "a")
    assert plain(series) == {"a": 2, "b": 1, OTHER: 3}
    assert series.overflow == 3


def test_a_thing_that_is_called_other_shares_the_series_without_being_an_overflow() -> None:
    series = counted("a", OTHER, limit=1)
    assert plain(series) == {"a": 1, OTHER: 1}
    assert series.overflow == 0


def test_other_comes_last_in_the_list() -> None:
    assert [label for label, _ in counted("z", "a", "c").by_label()] == ["a", "z", OTHER]


def test_a_series_is_found_by_the_name_that_it_was_counted_by() -> None:
    series = counted("x\ny", "b", "c")
    assert series.find("x\ny") == series.find("b") == series.find(OTHER) == Count(1)
    assert series.find("c") is None
    assert counted("a").find(OTHER) is None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("read_file", "read_file"),
        ("", "unknown"),
        ("x" * 70, "x" * 64),
        ("a\nb\x1b[31m", "a?b?[31m"),
        ("lone \ud800", "lone ?"),
        ("größe", "größe"),
    ],
)
def test_a_label_is_short_and_printable(name: str, label: str) -> None:
    assert clean_label(name) == label


def test_names_that_become_one_label_share_a_series() -> None:
    assert plain(counted("x" * 64 + "1", "x" * 64 + "2", "x" * 64)) == {"x" * 64: 3}


def test_series_are_merged_label_by_label_and_overflow_where_there_is_no_room() -> None:
    ours, theirs = counted("a", "b", "c"), counted("b", "d", "e", limit=1)
    ours.merge(theirs)
    assert plain(ours) == {"a": 1, "b": 2, OTHER: 1 + 2}
    assert ours.overflow == 1 + 2
    ours.merge(counted("z"))
    assert plain(ours) == {"a": 1, "b": 2, OTHER: 4}
    assert ours.overflow == 4


def test_the_limit_can_be_read() -> None:
    assert counted(limit=7).limit == 7

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.measures import in_flight
from sdk_workflow.core.measures.in_flight import InFlight

if TYPE_CHECKING:
    import pytest


def test_tools_count_from_their_start_to_their_end() -> None:
    under_way = InFlight()
    under_way.begin_run("a")
    under_way.begin_run("b")
    under_way.add_tools("a", 1)
    under_way.add_tools("b", 1)
    under_way.add_tools("a", 1)
    assert (under_way.runs, under_way.tools) == (2, 3)
    under_way.add_tools("a", -1)
    assert under_way.tools == 2


def test_the_end_of_a_run_ends_the_tools_that_never_told() -> None:
    under_way = InFlight()
    under_way.begin_run("a")
    under_way.add_tools("a", 2)
    under_way.end_run("a")
    under_way.add_tools("a", -1)
    assert (under_way.runs, under_way.tools) == (0, 0)


def test_what_began_before_anybody_looked_is_left_out() -> None:
    under_way = InFlight()
    under_way.add_tools("a", 1)
    under_way.end_run("a")
    under_way.begin_run("b")
    under_way.add_tools("b", -1)
    assert (under_way.runs, under_way.tools) == (1, 0)


def test_runs_whose_end_is_never_told_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_flight, "_MAX_RUNS", 3)
    under_way = InFlight()
    for number in range(10):
        under_way.begin_run(f"s{number}")
    under_way.add_tools("s9", 1)
    assert (under_way.runs, under_way.tools) == (3, 1)

from __future__ import annotations

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.measures.dashboard import _duration
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.events import BudgetReached, RunStarted
from tests.measures.made_events import (
    cached,
    failed,
    looked_up,
    replied,
    retried,
    run_ended,
    tool_ended,
)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> MetricsEngine:
    return MetricsEngine(clock=clock, max_labels=2, loop_threshold=2)


def lines(engine: MetricsEngine) -> list[str]:
    return engine.get_realtime_dashboard().splitlines()


def words(engine: MetricsEngine, start: str) -> list[str]:
    """Return the words of the one line that starts so, behind that start."""
    (line,) = (line for line in lines(engine) if line.startswith(start))
    return line.removeprefix(start).split()


def test_an_engine_without_figures_shows_the_head_and_the_windows(engine: MetricsEngine) -> None:
    assert lines(engine)[:3] == [
        "2027-01-15T08:00:00.000Z  up 0 us",
        "runs 0 finished, 0 failed, 0 cancelled; in flight 0, with 0 tools",
        "cost $0.0000, $0.00/h; caches saved $0.0000",
    ]
    assert words(engine, "1m") == ["0", "0.00", "0.0%", "-", "-", "-", "0"]
    assert len(lines(engine)) == 3 + 1 + 5


def test_requests_are_shown_by_window(engine: MetricsEngine, clock: VirtualClock) -> None:
    engine.on_event(replied(2_000.0))
    clock.advance(120.0)
    engine.on_event(replied(1_000.0))
    engine.on_event(failed(duration_ms=100.0))
    # (100 + 600 + 200 + 100 + 21) tokens a minute
    found = ["2", "0.03", "50.0%", "101 ms", "992 ms", "992 ms", "1,021"]
    assert words(engine, "1m")[:3] == found[:3]
    assert words(engine, "total")[:3] == ["3", "0.03", "33.3%"]
    assert words(engine, "total")[-1] == "1,021"


def test_models_operations_and_tools_are_shown_with_their_distributions(
    engine: MetricsEngine,
) -> None:
    engine.on_event(replied(1_000.0, time_to_first_token_ms=500.0))
    engine.on_event(cached())
    engine.on_event(failed())
    engine.on_event(tool_ended(error_code="tool_failed", duration_ms=3.0))
    engine.track_latency("parse", 0.25)
    assert words(engine, "claude-haiku-5-5") == [
        *("2", "1", "1.0", "s", "1.0", "s", "1.0", "s", "500", "ms", "40")
    ]
    assert words(engine, "parse") == ["1", *["250", "us"] * 3]
    assert words(engine, "message") == ["3", "50", "ms", "1.0", "s", "1.0", "s"]
    assert words(engine, "read") == ["1", "100.0%", *["3", "ms"] * 3, "0"]


def test_a_model_that_never_streamed_has_no_speed(engine: MetricsEngine) -> None:
    engine.on_event(replied(1_000.0))
    assert words(engine, "claude-haiku-5-5")[-2:] == ["-", "-"]


def test_caches_are_shown_with_what_they_saved(engine: MetricsEngine) -> None:
    for event in (
        looked_up("hit", saved_usd=0.25),
        looked_up("miss", reason="absent"),
        looked_up("skipped", reason="tools"),
    ):
        engine.on_event(event)
    assert words(engine, "lru") == ["1", "1", "50.0%", "1", "$0.2500"]
    assert "caches saved $0.2500" in lines(engine)[2]


def test_errors_are_shown_with_their_retries_and_the_time_of_the_last_one(
    engine: MetricsEngine,
) -> None:
    engine.on_event(retried())
    assert words(engine, "overloaded") == ["0", "1", "-"]
    engine.on_event(failed())
    assert words(engine, "overloaded") == ["1", "1", "2027-01-15T08:00:00.000Z"]
    engine.on_event(failed(TimeoutError()))
    assert words(engine, "TimeoutError") == ["1", "0", "2027-01-15T08:00:00.000Z"]


def test_runs_and_their_cost_are_in_the_head(engine: MetricsEngine, clock: VirtualClock) -> None:
    engine.on_event(RunStarted(session_id="s", text="", model="m"))
    clock.advance(1800.0)
    engine.on_event(run_ended(cost_usd=0.5, saved_usd=None))
    engine.on_event(run_ended(cost_usd=None, saved_usd=None))
    assert lines(engine)[:3] == [
        "2027-01-15T08:30:00.000Z  up 30 min",
        "runs 2 finished, 0 failed, 0 cancelled; in flight 1, with 0 tools",
        "cost $0.5000 + 1 unpriced runs, $1.00/h; caches saved $0.0000",
    ]


def test_a_limit_that_was_reached_is_said(engine: MetricsEngine) -> None:
    engine.on_event(BudgetReached(limit="hard", limit_usd=1.0, spent_usd=0.75, held_usd=0.25))
    assert (
        "BUDGET: hard limit $1.0000 reached 1 times, last at $0.7500 spent, $0.2500 held"
        in lines(engine)
    )


def test_loops_and_names_without_room_are_said(engine: MetricsEngine) -> None:
    for name in ("read", "read", "write", "bash"):
        engine.on_event(tool_ended(name))
    assert "LOOP: 1 alarms about a tool called again with the same input" in lines(engine)
    assert "more names than there is room for, counted as other: tool 1" in lines(engine)
    assert words(engine, "other")[0] == "1"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "-"),
        (0.0004, "0 us"),
        (0.25, "250 us"),
        (1.0, "1 ms"),
        (999.0, "999 ms"),
        (1_000.0, "1.0 s"),
        (59_900.0, "59.9 s"),
        (60_000.0, "1 min"),
        (3_540_000.0, "59 min"),
        (3_600_000.0, "1.0 h"),
    ],
)
def test_a_duration_is_shown_in_a_unit_that_fits(milliseconds: float | None, text: str) -> None:
    assert _duration(milliseconds) == text


def test_lines_fit_a_terminal_of_80_columns(engine: MetricsEngine, clock: VirtualClock) -> None:
    clock.advance(100.0)
    for _ in range(3):
        engine.on_event(replied(45_000.0, time_to_first_token_ms=900.0))
        engine.on_event(tool_ended())
        engine.on_event(run_ended())
    assert max(map(len, lines(engine))) <= 80

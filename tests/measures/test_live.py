from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.measures.live import LiveFigures
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.events import ModelCallStarted, RunStarted
from sdk_workflow.exceptions import OverloadedError, RateLimitError
from tests.measures.made_events import (
    cached,
    call,
    failed,
    looked_up,
    replied,
    retried,
    run_ended,
    tool_ended,
)

if TYPE_CHECKING:
    from sdk_workflow.events import Event


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1_800_000_000.0)


@pytest.fixture
def metrics(clock: VirtualClock) -> MetricsEngine:
    return MetricsEngine(clock=clock)


@pytest.fixture
def figures(metrics: MetricsEngine, clock: VirtualClock) -> LiveFigures:
    return LiveFigures(metrics, clock)


def feed(metrics: MetricsEngine, *events: Event) -> None:
    for event in events:
        metrics.on_event(event)


def test_traffic_counts_what_is_under_way_and_what_ended(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    start = ModelCallStarted(call=call())
    feed(metrics, RunStarted(session_id="s", text="", model="m"), start, start, start)
    feed(metrics, replied(), failed(), retried(1.5))
    clock.advance(10.0)
    assert figures.traffic()["traffic"] == {
        "requests": 2,
        "in_flight": 1,
        "running_tools": 0,
        "active_runs": 1,
        "requests_per_second": 0.2,
        "error_rate": 0.5,
        "retries": 1,
        "retry_wait_seconds": 1.5,
        "fallbacks": 0,
    }


def test_tokens_and_burn_are_told_with_the_traffic(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    feed(metrics, replied(), run_ended(0.02, 0.5))
    clock.advance(30.0)
    found = figures.traffic()
    assert found["tokens"] == {
        "input": 100, "output": 21, "cache_read": 600, "cache_write_5m": 200, "cache_write_1h": 100,
    }  # fmt: skip
    assert found["saved_usd"] == 0.5
    assert found["burn"] == {"usd_per_hour": 2.4, "tokens_per_minute": 2_042.0}


def test_figures_by_name_have_a_row_each(metrics: MetricsEngine, figures: LiveFigures) -> None:
    streamed = replied(1_000.0, time_to_first_token_ms=200.0)
    feed(metrics, streamed, cached(), tool_ended("read", 12.0), looked_up("hit", saved_usd=0.25))
    found = figures.series()
    (model,) = found["models"]
    assert (model["model"], model["calls"], model["cached"]) == ("claude-haiku-5-5", 2, 1)
    assert model["p50_ms"] == pytest.approx(1_000.0, rel=0.004)
    assert model["first_token_p95_ms"] == pytest.approx(200.0, rel=0.004)
    assert model["tokens_per_second_p50"] == pytest.approx(25.0, rel=0.004)
    assert model["cache_write_tokens"] == 300
    (tool,) = found["tools"]
    assert (tool["tool"], tool["calls"], tool["error_rate"]) == ("read", 1, 0.0)
    assert [(row["tier"], row["hits"]) for row in found["caches"]] == [("lru", 1), ("prompt", 1)]


def test_a_row_follows_what_is_counted(metrics: MetricsEngine, figures: LiveFigures) -> None:
    feed(metrics, replied(1_000.0), tool_ended("read"))
    before = figures.series()
    feed(metrics, failed(), tool_ended("read", error_code="timeout"))
    after = figures.series()
    assert [row["errors"] for row in (*before["models"], *before["tools"])] == [0, 0]
    assert [row["errors"] for row in (*after["models"], *after["tools"])] == [1, 1]


def test_a_row_is_made_once_for_as_long_as_nothing_is_counted(
    metrics: MetricsEngine, figures: LiveFigures
) -> None:
    feed(metrics, replied(), tool_ended("read"), failed())
    before, after = figures.series(), figures.series()
    for kind in ("models", "tools", "errors"):
        assert after[kind][0] is before[kind][0]


def test_rows_begin_anew_when_the_engine_does(metrics: MetricsEngine, figures: LiveFigures) -> None:
    feed(metrics, replied(1_000.0))
    figures.series()
    metrics.reset()
    feed(metrics, replied(10.0))
    assert figures.series()["models"][0]["p50_ms"] == pytest.approx(10.0, rel=0.004)


def test_an_error_tells_its_last_message_without_secrets_and_on_one_line(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    feed(metrics, failed(OverloadedError("first")))
    clock.advance(1.0)
    feed(metrics, failed(OverloadedError("key sk-ant-api03-abcdef\n" + "x" * 500)))
    feed(metrics, failed(RateLimitError("slow down")))
    rows = {row["type"]: row for row in figures.series()["errors"]}
    overloaded = rows["overloaded"]
    assert (overloaded["count"], overloaded["last_at"]) == (2, "2027-01-15T08:00:01.000Z")
    assert overloaded["last_message"].startswith("key sk-ant-[redacted] xxx")
    assert len(overloaded["last_message"]) == 200
    assert len(rows) == 2


def test_no_message_of_an_error_gets_into_the_summary(metrics: MetricsEngine) -> None:
    feed(metrics, failed(OverloadedError("private")))
    assert "private" not in json.dumps(metrics.get_summary()) + metrics.to_prometheus()


def test_windows_hold_the_numbers_and_quantiles_of_their_time(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    feed(metrics, replied(100.0))
    clock.advance(120.0)
    feed(metrics, replied(900.0), run_ended(0.5))
    windows = figures.windows()["windows"]
    assert [windows[name]["requests"] for name in ("1m", "5m", "1h", "total")] == [1, 2, 2, 2]
    assert windows["1m"]["p50_ms"] == pytest.approx(900.0, rel=0.016)
    assert windows["total"]["p50_ms"] == pytest.approx(100.0, rel=0.004)
    assert windows["total"]["cost_usd"] == 0.5


def test_quantiles_of_a_window_wait_for_a_sixtieth_of_it_or_a_tenth_more_requests(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    def p99() -> float:
        found: float = figures.windows()["windows"]["5m"]["p99_ms"]
        return round(found, -2)

    feed(metrics, *[replied(100.0)] * 20)
    assert p99() == 100.0
    feed(metrics, replied(900.0))
    clock.advance(4.0)
    assert p99() == 100.0
    clock.advance(1.0)
    assert p99() == 900.0
    feed(metrics, *[replied(5_000.0)] * 3)
    assert p99() == 5_000.0


def test_the_history_has_every_second_of_the_last_minute(
    metrics: MetricsEngine, figures: LiveFigures, clock: VirtualClock
) -> None:
    feed(metrics, replied(100.0))
    clock.advance(2.0)
    feed(metrics, failed(), replied(100.0))
    history = figures.history()["history"]
    assert [(point["at"][17:19], point["requests"], point["errors"]) for point in history] == [
        ("00", 1, 0), ("01", 0, 0), ("02", 2, 1),
    ]  # fmt: skip
    assert history[1]["p95_ms"] is None
    feed(metrics, replied(100.0))
    assert figures.history()["history"][2]["requests"] == 3
    clock.advance(100.0)
    later = figures.history()["history"]
    assert (len(later), sum(point["requests"] for point in later)) == (60, 0)


def test_an_end_without_a_start_leaves_nothing_under_way(
    metrics: MetricsEngine, figures: LiveFigures
) -> None:
    feed(metrics, replied(), ModelCallStarted(call=call()))
    assert figures.traffic()["traffic"]["in_flight"] == 1


def test_the_later_error_is_kept_when_engines_are_merged(clock: VirtualClock) -> None:
    first, second = MetricsEngine(clock=clock), MetricsEngine(clock=clock)
    feed(first, failed(OverloadedError("early")))
    clock.advance(1.0)
    feed(second, failed(OverloadedError("late")))
    for one, other in ((first, second), (second, MetricsEngine(clock=clock))):
        one.merge(other)
        (row,) = LiveFigures(one, clock).series()["errors"]
        assert row["last_message"] == "late"

from __future__ import annotations

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.core import forks
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.core.metrics import Loop, MetricsEngine
from sdk_workflow.events import (
    BudgetReached,
    CallRetried,
    FallbackUsed,
    PrefixMoved,
    RunStarted,
    TextDelta,
    ToolStarted,
)
from sdk_workflow.exceptions import OverloadedError, RateLimitError, RequestRejected, UsageError
from sdk_workflow.tools.schema import tool
from sdk_workflow.types import ToolCall, Usage
from tests.measures.made_events import (
    USAGE,
    cached,
    call,
    failed,
    looked_up,
    replied,
    retried,
    run_ended,
    run_failed,
    tool_ended,
)
from tests.scripted import ScriptedTransport, text_reply, tool_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.measures.records import (
        CacheTierSummary,
        InFlightSummary,
        ModelSummary,
        ToolSummary,
        WindowSummary,
    )
    from sdk_workflow.events import Event

MODEL = "claude-haiku-5-5"
UNMEASURED = {
    "count": 0,
    **dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max")),
}


class Cancelled(BaseException):
    """What an event loop throws in."""


class WildClock:
    """A clock whose two hands are moved one by one, and back too."""

    def __init__(self) -> None:
        self.wall_time = 1_800_000_000.0
        self.steady = 500.0

    def now(self) -> float:
        return self.wall_time

    def monotonic(self) -> float:
        return self.steady

    async def sleep(self, seconds: float) -> None:
        self.steady += seconds


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def metrics(clock: VirtualClock) -> MetricsEngine:
    return MetricsEngine(clock=clock)


def feed(metrics: MetricsEngine, *events: Event) -> None:
    for event in events:
        metrics.on_event(event)


def window(metrics: MetricsEngine, name: str = "1m") -> WindowSummary:
    return metrics.get_summary()["windows"][name]


def model(metrics: MetricsEngine, name: str = MODEL) -> ModelSummary:
    return metrics.get_summary()["models"][name]


def tier(metrics: MetricsEngine, name: str) -> CacheTierSummary:
    return metrics.get_summary()["caches"][name]


def used_tool(metrics: MetricsEngine, name: str = "read") -> ToolSummary:
    return metrics.get_summary()["tools"][name]


def close_to(value: float) -> Any:
    """Match a value within the histogram's bound."""
    return pytest.approx(value, rel=1 / 256)


# --- requests ------------------------------------------------------------------------------------


def test_a_reply_counts_with_its_tokens_and_its_duration(metrics: MetricsEngine) -> None:
    metrics.track_request(replied(1_000.0))
    feed(metrics, replied(3_000.0))
    found = model(metrics)
    assert (found["answered"], found["cached"], found["errors"]) == (2, 0, 0)
    tokens = {name: value for name, value in found.items() if name.endswith("_tokens")}
    assert tokens == {
        "input_tokens": 200,
        "output_tokens": 42,
        "cache_read_tokens": 1200,
        "cache_write_5m_tokens": 400,
        "cache_write_1h_tokens": 200,
    }
    assert found["latency_ms"] == {
        "count": 2,
        "mean": 2_000.0,
        "p50": close_to(1_000.0),
        **dict.fromkeys(("p90", "p95", "p99", "max"), close_to(3_000.0)),
    }
    assert window(metrics)["input_tokens"] == 2_000
    assert window(metrics)["output_tokens"] == 42


def test_a_streamed_reply_shows_its_first_token_and_the_speed_of_the_others(
    metrics: MetricsEngine,
) -> None:
    feed(metrics, replied(1_500.0, time_to_first_token_ms=500.0))
    found = model(metrics)
    assert found["time_to_first_token_ms"]["p50"] == close_to(500.0)
    assert found["output_tokens_per_second"]["p50"] == close_to(20.0)
    assert found["output_tokens_per_second"]["mean"] == 20.0


@pytest.mark.parametrize(
    ("duration_ms", "tokens"), [(500.0, 21), (499.0, 21), (1_500.0, 1), (1_500.0, 0)]
)
def test_a_reply_without_further_tokens_or_time_for_them_has_no_speed(
    metrics: MetricsEngine, duration_ms: float, tokens: int
) -> None:
    usage = Usage(output_tokens=tokens)
    feed(metrics, replied(duration_ms, time_to_first_token_ms=500.0, usage=usage))
    assert model(metrics)["time_to_first_token_ms"]["count"] == 1
    assert model(metrics)["output_tokens_per_second"] == UNMEASURED


def test_a_reply_in_one_piece_has_no_time_to_the_first_token(metrics: MetricsEngine) -> None:
    feed(metrics, replied())
    assert model(metrics)["time_to_first_token_ms"] == UNMEASURED


def test_a_reply_out_of_a_cache_is_a_request_but_no_measure_of_the_model(
    metrics: MetricsEngine,
) -> None:
    feed(metrics, replied(1_000.0), cached(0.05))
    found = model(metrics)
    assert (found["answered"], found["cached"], found["latency_ms"]["count"]) == (1, 1, 1)
    assert window(metrics)["requests"] == 2
    assert metrics.get_latency_percentiles("message")["count"] == 2


def test_a_reply_counts_for_the_name_that_was_asked_for_where_that_is_an_alias(
    metrics: MetricsEngine,
) -> None:
    feed(metrics, replied(model=f"{MODEL}-20261001", asked=call()))
    assert list(metrics.get_summary()["models"]) == [MODEL]


def test_a_reply_of_a_fallback_counts_for_the_model_that_answered(metrics: MetricsEngine) -> None:
    feed(metrics, replied(model="claude-sonnet", asked=call()))
    assert list(metrics.get_summary()["models"]) == ["claude-sonnet"]


def test_a_failure_counts_by_its_code_or_else_its_class(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    feed(metrics, failed(RateLimitError("private")), failed(OverloadedError("private")))
    clock.advance(60.5)
    metrics.track_request(failed(ValueError("private")))
    feed(metrics, failed(RateLimitError("private", code="acceleration")))
    assert metrics.get_summary()["errors"] == {
        "rate_limited": {"count": 1, "last_at": "2027-01-15T08:00:00.000Z"},
        "overloaded": {"count": 1, "last_at": "2027-01-15T08:00:00.000Z"},
        "ValueError": {"count": 1, "last_at": "2027-01-15T08:01:00.500Z"},
        "acceleration": {"count": 1, "last_at": "2027-01-15T08:01:00.500Z"},
    }
    assert model(metrics)["errors"] == 4


def test_the_last_error_is_the_latest_by_time(metrics: MetricsEngine, clock: VirtualClock) -> None:
    assert metrics.get_summary()["last_error"] is None
    feed(metrics, failed(RateLimitError("private")))
    clock.advance(1.0)
    feed(metrics, failed(RequestRejected("private")))
    clock.advance(1.0)
    feed(metrics, failed(RateLimitError("private")))
    assert metrics.get_summary()["last_error"] == "rate_limited"


def test_a_failure_has_a_duration_among_the_requests_but_not_among_the_models(
    metrics: MetricsEngine,
) -> None:
    feed(metrics, failed(duration_ms=50.0))
    assert metrics.get_latency_percentiles("message")["p50"] == close_to(50.0)
    assert window(metrics, "total")["latency_ms"]["p50"] == close_to(50.0)
    assert window(metrics, "1m")["latency_ms"]["p50"] == pytest.approx(50.0, rel=1 / 64)
    assert model(metrics)["latency_ms"] == UNMEASURED


def test_a_cancelled_call_is_neither_an_error_nor_a_duration(metrics: MetricsEngine) -> None:
    feed(metrics, replied(), failed(), failed(Cancelled()), failed(KeyboardInterrupt()))
    assert metrics.get_error_rate() == 0.5
    assert (model(metrics)["errors"], model(metrics)["cancelled"]) == (1, 2)
    for name in ("1m", "total"):
        found = window(metrics, name)
        assert (found["requests"], found["errors"], found["cancelled"]) == (4, 1, 2)
        assert found["latency_ms"]["count"] == 2
    assert metrics.get_latency_percentiles("message")["count"] == 2
    assert list(metrics.get_summary()["errors"]) == ["overloaded"]


def test_a_request_that_is_none_is_refused(metrics: MetricsEngine) -> None:
    with pytest.raises(UsageError, match="A TextDelta is not the end of a call") as caught:
        metrics.track_request(TextDelta(text="private"))  # type: ignore[arg-type]
    assert "on_event" in caught.value.hint


def test_an_event_that_says_nothing_about_figures_is_ignored(metrics: MetricsEngine) -> None:
    before = metrics.get_summary()
    feed(metrics, TextDelta(text="private"))
    assert metrics.get_summary() == before


def test_retries_and_fallbacks_count_by_their_cause_and_target(metrics: MetricsEngine) -> None:
    used = FallbackUsed(call=call(), error=OverloadedError("private"), fallback="claude-sonnet")
    feed(metrics, retried(1.5), retried(0.5), used)
    summary = metrics.get_summary()
    assert summary["retries"] == {"by_error": {"overloaded": 2}, "wait_seconds": 2.0}
    assert summary["fallbacks"] == {"claude-sonnet": 1}
    assert window(metrics)["requests"] == 0


# --- latencies of operations ---------------------------------------------------------------------


def test_durations_are_kept_by_operation(metrics: MetricsEngine) -> None:
    for milliseconds in range(1, 1001):
        metrics.track_latency("parse", float(milliseconds))
    metrics.track_latency("render", 5.0)
    assert metrics.get_latency_percentiles("parse") == {
        "count": 1000,
        "mean": pytest.approx(500.5),
        "p50": close_to(500.0),
        "p90": close_to(900.0),
        "p95": close_to(950.0),
        "p99": close_to(990.0),
        "max": close_to(1000.0),
    }
    assert metrics.get_latency_percentiles("render")["count"] == 1


def test_calls_count_under_the_operation_that_they_are_for(metrics: MetricsEngine) -> None:
    feed(metrics, replied(asked=call(operation="summary")))
    assert metrics.get_latency_percentiles("summary")["count"] == 1
    assert metrics.get_latency_percentiles("message") == UNMEASURED


def test_an_operation_that_was_never_counted_has_no_figures(metrics: MetricsEngine) -> None:
    assert metrics.get_latency_percentiles("nothing") == UNMEASURED
    assert metrics.get_summary()["operations"] == {}


def test_a_negative_duration_counts_as_zero(metrics: MetricsEngine) -> None:
    metrics.track_latency("parse", -5.0)
    found = metrics.get_latency_percentiles("parse")
    assert (found["count"], found["mean"], found["max"]) == (1, 0.0, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_amount_that_is_no_number_is_refused(metrics: MetricsEngine, value: float) -> None:
    with pytest.raises(UsageError, match=f"latency_ms={value!r} is no amount"):
        metrics.track_latency("parse", value)
    with pytest.raises(UsageError, match=f"saved_usd={value!r} is no amount"):
        metrics.track_cache("mine", hit=True, saved_usd=value)
    assert metrics.get_summary()["operations"] == {}
    assert metrics.get_summary()["caches"] == {}


# --- rates and windows ---------------------------------------------------------------------------


def test_the_throughput_is_that_of_the_last_minute(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    assert metrics.get_throughput() == 0.0
    for _ in range(300):
        feed(metrics, replied(), replied())
        clock.advance(1.0)
    # 59 full seconds, and the present one that has just begun.
    assert metrics.get_throughput() == pytest.approx(2.0)
    clock.advance(60.0)
    assert metrics.get_throughput() == 0.0


def test_the_throughput_of_a_young_engine_goes_by_its_age(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    feed(metrics, *[replied()] * 30)
    clock.advance(10.0)
    assert metrics.get_throughput() == 3.0


def test_the_error_rate_is_that_of_the_last_minute(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    assert metrics.get_error_rate() == 0.0
    feed(metrics, failed())
    clock.advance(30.0)
    feed(metrics, replied(), replied(), replied())
    assert metrics.get_error_rate() == 0.25
    clock.advance(30.0)
    assert metrics.get_error_rate() == 0.0
    assert window(metrics, "5m")["error_rate"] == 0.25


def test_windows_hold_what_fits_into_them(metrics: MetricsEngine, clock: VirtualClock) -> None:
    for minutes in (0, 50, 6, 3, 1):  # 60, 10, 4, 1 and 0 minutes ago
        clock.advance(minutes * 60.0)
        feed(metrics, replied(), failed())
    summary = metrics.get_summary()
    counts = {name: found["requests"] for name, found in summary["windows"].items()}
    assert counts == {"1m": 2, "5m": 6, "1h": 8, "total": 10}
    assert summary["uptime_seconds"] == 3600.0


def test_rates_of_a_window_go_by_the_time_that_it_covers(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    feed(metrics, replied(), replied(), run_ended(cost_usd=0.25, saved_usd=None))
    clock.advance(30.0)
    for name in ("1m", "5m", "1h", "total"):
        found = window(metrics, name)
        assert found["covered_seconds"] == 30.0
        assert found["requests_per_second"] == pytest.approx(2 / 30)
        assert found["tokens_per_minute"] == pytest.approx(2 * 1021 * 2)
        assert found["cost_usd_per_hour"] == pytest.approx(0.25 * 120)


@pytest.mark.parametrize(
    ("seconds", "covered"),
    [
        (0.0, {"1m": 59.0, "5m": 240.0, "1h": 3540.0}),
        (58.5, {"1m": 59.5, "5m": 298.5, "1h": 3598.5}),
        (59.5, {"1m": 59.5, "5m": 299.5, "1h": 3599.5}),
    ],
)
def test_a_window_never_covers_more_than_its_name_says(
    metrics: MetricsEngine, clock: VirtualClock, seconds: float, covered: dict[str, float]
) -> None:
    clock.advance(7200.0 + seconds)
    assert {name: window(metrics, name)["covered_seconds"] for name in covered} == covered


def test_setting_the_date_moves_no_figure() -> None:
    clock = WildClock()
    metrics = MetricsEngine(clock=clock)
    feed(metrics, replied(), failed())
    clock.steady += 10.0
    before = metrics.get_summary()
    for jump in (86_400.0, -2 * 86_400.0):
        clock.wall_time += jump
        after = metrics.get_summary()
        assert after["windows"] == before["windows"]
        assert after["uptime_seconds"] == 10.0
    assert metrics.get_summary()["taken_at"] == "2027-01-14T08:00:00.000Z"


def test_a_machine_that_slept_for_a_day_begins_with_empty_windows() -> None:
    clock = WildClock()
    metrics = MetricsEngine(clock=clock)
    feed(metrics, replied())
    clock.steady += 86_400.0
    assert metrics.get_throughput() == 0.0
    feed(metrics, replied())
    summary = metrics.get_summary()
    counts = {name: found["requests"] for name, found in summary["windows"].items()}
    assert counts == {"1m": 1, "5m": 1, "1h": 1, "total": 2}


def test_a_clock_that_goes_back_loses_nothing_and_breaks_nothing() -> None:
    clock = WildClock()
    metrics = MetricsEngine(clock=clock)
    feed(metrics, replied())
    clock.steady -= 100.0
    feed(metrics, replied())
    summary = metrics.get_summary()
    assert summary["uptime_seconds"] == 0.0
    assert summary["windows"]["1m"]["requests"] == 2
    assert metrics.get_throughput() == 2.0
    assert "sdk_workflow_uptime_seconds 0.0" in metrics.to_prometheus()


# --- caches --------------------------------------------------------------------------------------


def test_lookups_count_by_tier_and_reason(metrics: MetricsEngine) -> None:
    feed(
        metrics,
        looked_up("hit", saved_usd=0.25),
        looked_up("hit", saved_usd=0.5),
        looked_up("miss", reason="absent"),
        looked_up("miss", "semantic", reason="below_threshold"),
        looked_up("miss", "semantic"),
        looked_up("skipped", "semantic", reason="tools"),
        looked_up("skipped", "semantic", reason="tools"),
        looked_up("skipped", "semantic"),
    )
    assert tier(metrics, "lru") == {
        "hits": 2,
        "misses": 1,
        "hit_rate": pytest.approx(2 / 3),
        "saved_usd": 0.75,
        "skipped": {},
        "miss_reasons": {"absent": 1},
    }
    assert tier(metrics, "semantic") == {
        "hits": 0,
        "misses": 2,
        "hit_rate": 0.0,
        "saved_usd": 0.0,
        "skipped": {"tools": 2, "unknown": 1},
        "miss_reasons": {"below_threshold": 1, "unknown": 1},
    }
    assert window(metrics)["saved_usd"] == window(metrics, "total")["saved_usd"] == 0.75


def test_a_tier_that_is_only_skipped_has_no_hit_rate(metrics: MetricsEngine) -> None:
    feed(metrics, looked_up("skipped", reason="tools"))
    assert tier(metrics, "lru")["hit_rate"] == 0.0


def test_a_cache_of_ones_own_is_counted_by_hand(metrics: MetricsEngine) -> None:
    metrics.track_cache("mine", True, 0.125)  # noqa: FBT003 - promised to be positional
    metrics.track_cache("mine", hit=False)
    found = tier(metrics, "mine")
    assert (found["hits"], found["misses"], found["saved_usd"]) == (1, 1, 0.125)
    assert window(metrics)["saved_usd"] == 0.125


def test_the_prompt_cache_counts_from_the_usage_of_replies(metrics: MetricsEngine) -> None:
    feed(
        metrics,
        replied(),  # reads 600, writes 200 and 100
        replied(usage=Usage(input_tokens=50, cache_write_5m_input_tokens=30)),
        replied(usage=Usage(input_tokens=50, cache_write_1h_input_tokens=20)),
        replied(usage=Usage(input_tokens=100)),
        cached(),
    )
    found = tier(metrics, "prompt")
    assert (found["hits"], found["misses"]) == (1, 2)
    assert metrics.get_summary()["prompt_cache"] == {
        "read_tokens": 600,
        "write_5m_tokens": 230,
        "write_1h_tokens": 120,
        "uncached_tokens": 300,
        "read_share": 600 / 1250,
        "prefix_moves": {},
    }


def test_without_a_reply_nothing_of_the_prompts_was_read(metrics: MetricsEngine) -> None:
    assert metrics.get_summary()["prompt_cache"]["read_share"] == 0.0
    assert metrics.get_summary()["caches"] == {}


def test_changes_of_the_prefix_count_by_part(metrics: MetricsEngine) -> None:
    feed(metrics, PrefixMoved(call=call(), part="system", reason="a date in the text"))
    assert metrics.get_summary()["prompt_cache"]["prefix_moves"] == {"system": 1}


# --- runs ----------------------------------------------------------------------------------------


def test_runs_count_with_their_cost_and_what_the_prompt_cache_saved(metrics: MetricsEngine) -> None:
    feed(metrics, run_ended(0.25, 0.5), run_ended(0.5, 0.0), run_ended(None, None))
    feed(metrics, run_failed(ValueError("private")), run_failed(Cancelled()))
    assert metrics.get_summary()["runs"] == {
        "finished": 3,
        "failed": 1,
        "cancelled": 1,
        "unpriced": 1,
    }
    for name in ("1m", "total"):
        assert window(metrics, name)["cost_usd"] == 0.75
        assert window(metrics, name)["saved_usd"] == 0.5
    assert tier(metrics, "prompt")["saved_usd"] == 0.5


def test_a_run_that_saved_nothing_opens_no_tier(metrics: MetricsEngine) -> None:
    feed(metrics, run_ended(0.5, 0.0))
    assert metrics.get_summary()["caches"] == {}


@pytest.mark.parametrize("end", [run_ended(), run_failed(Cancelled())])
def test_runs_and_their_tools_are_in_flight_until_they_end(
    metrics: MetricsEngine, end: Event
) -> None:
    started = ToolStarted(session_id="session-1", tool_call=ToolCall(id="t", name="read", input={}))
    feed(metrics, RunStarted(session_id="session-1", text="", model=MODEL), started, started)
    assert metrics.get_summary()["in_flight"] == {"calls": 0, "runs": 1, "tools": 2}
    feed(metrics, tool_ended())
    assert metrics.get_summary()["in_flight"] == {"calls": 0, "runs": 1, "tools": 1}
    feed(metrics, end)
    assert metrics.get_summary()["in_flight"] == {"calls": 0, "runs": 0, "tools": 0}


@pytest.mark.anyio
async def test_a_session_feeds_the_engine_as_a_sink() -> None:
    seen: list[InFlightSummary] = []
    metrics = MetricsEngine()

    @tool
    def echo(text: str) -> str:
        """Say it again.

        Args:
            text: What to say.
        """
        seen.append(metrics.get_summary()["in_flight"])
        return text

    transport = ScriptedTransport(tool_reply(("echo", {"text": "a"})), text_reply("Done."))
    client = AgentClientManager(transport, sinks=[metrics.on_event])
    session = AgentSession(client, model="haiku", tools=[echo], sinks=[metrics.on_event])
    await session.message("Hello")
    summary = metrics.get_summary()
    assert seen == [{"calls": 0, "runs": 1, "tools": 1}]
    assert summary["in_flight"] == {"calls": 0, "runs": 0, "tools": 0}
    assert summary["windows"]["total"]["requests"] == 2
    assert summary["windows"]["total"]["input_tokens"] == 200
    assert summary["tools"]["echo"]["calls"] == 1
    assert summary["runs"]["finished"] == 1


# --- tools and loops -----------------------------------------------------------------------------


def test_tool_calls_count_with_their_errors_and_durations(metrics: MetricsEngine) -> None:
    feed(metrics, tool_ended(duration_ms=10.0), tool_ended("bash"))
    feed(metrics, tool_ended(duration_ms=30.0, error_code="tool_failed"))
    found = used_tool(metrics)
    assert (found["calls"], found["errors"], found["error_rate"], found["loops"]) == (2, 1, 0.5, 0)
    assert found["latency_ms"]["p50"] == close_to(10.0)
    assert found["latency_ms"]["p95"] == close_to(30.0)
    assert used_tool(metrics, "bash")["errors"] == 0


def test_a_tool_that_the_model_invented_lends_no_name_to_a_figure(metrics: MetricsEngine) -> None:
    feed(metrics, tool_ended("a private thought", error_code="tool_not_found"))
    assert list(metrics.get_summary()["tools"]) == ["unknown"]


def reached(limit: Literal["soft", "hard"], spent_usd: float) -> BudgetReached:
    return BudgetReached(limit=limit, limit_usd=1.0, spent_usd=spent_usd, held_usd=0.5)


def test_limits_that_were_reached_are_counted_with_how_they_stood_last(
    metrics: MetricsEngine,
) -> None:
    feed(metrics, reached("soft", 0.25), reached("hard", 0.75), reached("hard", 0.5))
    budgets = metrics.get_summary()["budgets"]
    assert budgets["hard"] == {
        "reached": 2, "limit_usd": 1.0, "spent_usd": 0.5, "held_usd": 0.5,
    }  # fmt: skip
    assert budgets["soft"]["reached"] == 1


def test_merged_limits_stand_as_the_one_that_had_spent_more() -> None:
    first, second = MetricsEngine(), MetricsEngine()
    feed(first, reached("hard", 0.75))
    feed(second, reached("hard", 0.5), reached("hard", 0.25))
    first.merge(second)
    hard = first.get_summary()["budgets"]["hard"]
    assert (hard["reached"], hard["spent_usd"]) == (3, 0.75)
    second.merge(first)
    assert second.get_summary()["budgets"]["hard"]["spent_usd"] == 0.75


def test_a_loop_gives_alarm_and_counts() -> None:
    loops: list[Loop] = []
    metrics = MetricsEngine(loop_threshold=2, on_loop=loops.append)
    for _ in range(3):
        feed(metrics, tool_ended(path="a"))
    feed(metrics, tool_ended(path="b"), tool_ended(path="a", session_id="session-2"))
    feed(metrics, tool_ended(path="a"))
    assert loops == [
        Loop(session_id="session-1", tool="read", count=2),
        Loop(session_id="session-1", tool="read", count=4),
    ]
    assert used_tool(metrics)["loops"] == metrics.get_summary()["loop_alarms"] == 2


def test_five_equal_calls_are_a_loop_unless_told_otherwise(metrics: MetricsEngine) -> None:
    feed(metrics, *[tool_ended()] * 4)
    assert metrics.get_summary()["loop_alarms"] == 0
    feed(metrics, tool_ended())
    assert metrics.get_summary()["loop_alarms"] == 1


def test_tools_without_a_session_are_in_no_loop() -> None:
    loops: list[Loop] = []
    metrics = MetricsEngine(loop_threshold=2, on_loop=loops.append)
    feed(metrics, *[tool_ended(session_id=None)] * 5)
    assert used_tool(metrics)["calls"] == 5
    assert (loops, metrics.get_summary()["loop_alarms"]) == ([], 0)


def test_a_loop_is_told_after_it_was_counted_and_without_the_lock() -> None:
    def look(loop: Loop) -> None:
        with ThreadPoolExecutor(1) as pool:
            seen.append((loop.count, pool.submit(metrics.get_summary).result()["loop_alarms"]))

    seen: list[tuple[int, int]] = []
    metrics = MetricsEngine(loop_threshold=2, on_loop=look)
    feed(metrics, tool_ended(), tool_ended())
    assert seen == [(2, 1)]


# --- bounds --------------------------------------------------------------------------------------


def test_names_beyond_the_limit_share_one_series_and_are_counted(clock: VirtualClock) -> None:
    metrics = MetricsEngine(max_labels=2, clock=clock)
    for number in range(5):
        feed(metrics, replied(model=f"model-{number}"), tool_ended(f"tool-{number}"))
        metrics.track_latency(f"step-{number}", 1.0)
        metrics.track_cache(f"tier-{number}", hit=True)
    summary = metrics.get_summary()
    assert list(summary["models"]) == ["model-0", "model-1", "other"]
    assert summary["models"]["other"]["answered"] == 3
    assert summary["tools"]["other"]["calls"] == 3
    assert metrics.get_latency_percentiles("other")["count"] == 4  # `message` takes a place too
    assert list(summary["caches"]) == ["prompt", "tier-0", "other"]
    assert summary["overflow"] == {"model": 3, "operation": 4, "tool": 3, "cache_tier": 4}
    assert window(metrics)["requests"] == 5


def test_fifty_names_have_figures_of_their_own_unless_told_otherwise(
    metrics: MetricsEngine,
) -> None:
    for number in range(51):
        metrics.track_latency(f"step-{number}", 1.0)
    assert metrics.get_summary()["overflow"] == {"operation": 1}


def test_reasons_codes_and_fallbacks_have_bounds_of_their_own(metrics: MetricsEngine) -> None:
    for number in range(60):
        error = RateLimitError("private", code=f"code-{number}")
        feed(metrics, failed(error), looked_up("miss", reason=f"why-{number}"))
        feed(metrics, FallbackUsed(call=call(), error=error, fallback=f"model-{number}"))
        feed(metrics, CallRetried(call=call(), attempt=1, error=error, wait_seconds=0.0))
    summary = metrics.get_summary()
    assert len(summary["errors"]) == len(summary["fallbacks"]) == 51
    assert summary["errors"]["other"]["count"] == 10
    assert tier(metrics, "lru")["miss_reasons"]["other"] == 10
    assert summary["overflow"] == {"reason": 10, "error": 10 + 10, "fallback": 10}


def test_no_text_and_no_id_of_a_session_shows_up_anywhere(metrics: MetricsEngine) -> None:
    feed(
        metrics,
        replied(),
        failed(),
        failed(ValueError("private")),
        retried(),
        tool_ended(path="private"),
        run_ended(),
        run_failed(ValueError("private")),
        looked_up("miss", reason="absent"),
    )
    shown = f"{metrics.get_summary()}{metrics.get_realtime_dashboard()}{metrics.to_prometheus()}"
    assert "private" not in shown
    assert "session-" not in shown


def footprint(thing: object) -> int:
    """Return the bytes of everything that a thing holds, classes, code and clocks left out."""
    seen: set[int] = set()
    waiting, size = [thing], 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, (type, ModuleType, FunctionType, VirtualClock)):
            continue
        seen.add(id(item))
        size += sys.getsizeof(item)
        waiting += gc.get_referents(item)
    return size


@pytest.mark.slow
def test_memory_stays_the_same_over_a_million_observations_of_ten_thousand_names(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    names = [f"name-{number}" for number in range(10_000)]
    replies = [replied(1.0 + number % 977, model=names[number]) for number in range(10_000)]
    tools = [tool_ended(name, 1.0 + len(name), path=name) for name in names[:1_000]]

    def work(rounds: int) -> None:
        for turn in range(rounds):
            for name in names:
                metrics.track_latency(name, 1.0 + turn % 7)
            for reply in replies[turn % 100 :: 100]:
                metrics.on_event(reply)
                clock.advance(5.0)
        for event in tools:
            metrics.on_event(event)

    work(10)  # more than an hour: all slots of the windows are in use
    before = footprint(metrics)
    work(81)
    assert metrics.get_latency_percentiles("other")["count"] > 900_000
    assert metrics.get_summary()["windows"]["total"]["requests"] == 9_100
    # The slots of the last hour hold other values, and so a few other octaves.
    assert footprint(metrics) == pytest.approx(before, rel=0.1)
    assert before < 4_000_000


# --- merging and resetting -----------------------------------------------------------------------

SAMPLES: list[list[Event]] = [
    [
        replied(1_000.0, time_to_first_token_ms=400.0),
        failed(),
        looked_up("hit", saved_usd=0.25),
        looked_up("skipped", "semantic", reason="tools"),
        tool_ended(),
        tool_ended(),
        run_ended(),
        retried(),
    ],
    [
        replied(2_000.0, model="claude-sonnet"),
        failed(ValueError("private")),
        failed(Cancelled()),
        looked_up("miss", reason="absent"),
        tool_ended("bash", error_code="tool_failed"),
        run_ended(None, None),
        run_failed(ValueError("private")),
        PrefixMoved(call=call(), part="tools", reason="another order"),
        FallbackUsed(call=call(), error=OverloadedError("private"), fallback="claude-sonnet"),
    ],
]


def test_two_merged_engines_show_what_one_would_have_shown(clock: VirtualClock) -> None:
    parts = [MetricsEngine(clock=clock, loop_threshold=2) for _ in SAMPLES]
    whole = MetricsEngine(clock=clock, loop_threshold=2)
    for part, events in zip(parts, SAMPLES, strict=True):
        clock.advance(100.0)
        feed(part, *events)
        feed(whole, *events)
    clock.advance(10.0)
    first, second = parts
    theirs = second.get_summary()
    first.merge(second)
    assert first.get_summary() == whole.get_summary()
    assert first.to_prometheus() == whole.to_prometheus()
    assert second.get_summary() == theirs


def test_a_merged_engine_goes_on_alone(clock: VirtualClock) -> None:
    first, second = MetricsEngine(clock=clock), MetricsEngine(clock=clock)
    feed(second, replied())
    first.merge(second)
    feed(first, replied())
    assert (model(first)["answered"], model(second)["answered"]) == (2, 1)


def test_merging_keeps_within_the_limit_of_names(clock: VirtualClock) -> None:
    first, second = MetricsEngine(clock=clock, max_labels=1), MetricsEngine(clock=clock)
    first.track_latency("a", 1.0)
    for name in ("a", "b", "c"):
        second.track_latency(name, 1.0)
    first.merge(second)
    found = first.get_summary()["operations"]
    assert {name: item["count"] for name, item in found.items()} == {"a": 2, "other": 2}
    assert first.get_summary()["overflow"] == {"operation": 2}


def test_an_engine_is_not_merged_with_itself(metrics: MetricsEngine) -> None:
    feed(metrics, replied())
    with pytest.raises(UsageError, match="merged with itself"):
        metrics.merge(metrics)
    assert model(metrics)["answered"] == 1


def test_engines_can_be_merged_both_ways_at_once(clock: VirtualClock) -> None:
    first, second = MetricsEngine(clock=clock), MetricsEngine(clock=clock)
    together = threading.Barrier(2)

    def merge(ours: MetricsEngine, theirs: MetricsEngine) -> None:
        together.wait()
        for _ in range(50):
            ours.merge(theirs)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(merge, first, second), pool.submit(merge, second, first)]:
            done.result(timeout=30)


def test_a_reset_engine_shows_what_a_new_one_does(
    metrics: MetricsEngine, clock: VirtualClock
) -> None:
    feed(metrics, *SAMPLES[0], *SAMPLES[1])
    clock.advance(100.0)
    metrics.reset()
    assert metrics.get_summary() == MetricsEngine(clock=clock).get_summary()


def test_a_reset_forgets_half_a_loop_and_keeps_what_is_in_flight() -> None:
    metrics = MetricsEngine(loop_threshold=2)
    feed(metrics, RunStarted(session_id="session-1", text="", model=MODEL), tool_ended())
    metrics.reset()
    feed(metrics, tool_ended())
    assert metrics.get_summary()["loop_alarms"] == 0
    assert metrics.get_summary()["in_flight"]["runs"] == 1


def test_a_reset_keeps_the_limit_of_names() -> None:
    metrics = MetricsEngine(max_labels=1)
    metrics.reset()
    metrics.track_latency("a", 1.0)
    metrics.track_latency("b", 1.0)
    assert list(metrics.get_summary()["operations"]) == ["a", "other"]


@pytest.mark.parametrize("max_labels", [0, -1])
def test_no_room_for_names_is_refused(max_labels: int) -> None:
    with pytest.raises(UsageError, match=f"{max_labels} names are no room"):
        MetricsEngine(max_labels=max_labels)


def test_a_loop_of_one_call_is_refused() -> None:
    with pytest.raises(UsageError, match="1 equal calls are no loop"):
        MetricsEngine(loop_threshold=1)


# --- threads -------------------------------------------------------------------------------------


class Watched:
    """Stands in for a part of the engine, and notes whether it is used without the lock."""

    def __init__(self, part: Any, metrics: MetricsEngine, loose: list[str]) -> None:
        self._part, self._metrics, self._loose = part, metrics, loose

    def _note(self, name: str) -> None:
        if not self._metrics._lock._is_owned():  # type: ignore[attr-defined]
            self._loose.append(name)

    def __getattr__(self, name: str) -> Any:
        self._note(name)
        return getattr(self._part, name)


EVERYTHING: list[Callable[[MetricsEngine], object]] = [
    *(lambda metrics, event=event: metrics.on_event(event) for event in SAMPLES[0] + SAMPLES[1]),
    lambda metrics: metrics.on_event(RunStarted(session_id="s", text="", model=MODEL)),
    lambda metrics: metrics.on_event(
        ToolStarted(session_id="s", tool_call=ToolCall(id="t", name="read", input={}))
    ),
    lambda metrics: metrics.track_latency("parse", 1.0),
    lambda metrics: metrics.track_cache("mine", hit=True),
    lambda metrics: metrics.merge(MetricsEngine()),
    lambda metrics: MetricsEngine().merge(metrics),
    MetricsEngine.get_throughput,
    MetricsEngine.get_error_rate,
    MetricsEngine.get_summary,
    MetricsEngine.to_prometheus,
    lambda metrics: metrics.get_latency_percentiles("parse"),
    MetricsEngine.reset,
]


@pytest.mark.parametrize("use", EVERYTHING)
def test_nothing_shared_is_touched_without_the_lock(
    metrics: MetricsEngine, use: Callable[[MetricsEngine], object]
) -> None:
    loose: list[str] = []
    for name in ("_state", "_in_flight", "_alarm"):
        setattr(metrics, name, Watched(getattr(metrics, name), metrics, loose))
    use(metrics)
    assert loose == []


def test_no_count_is_lost_between_threads(clock: VirtualClock) -> None:
    metrics = MetricsEngine(clock=clock, max_labels=2)
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for turn in range(500):
            feed(metrics, replied(), failed(), tool_ended(f"tool-{turn % 3}"))
            metrics.track_latency(f"step-{number % 4}", 1.0)
            if turn % 100 == 0:
                metrics.get_summary()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result(timeout=30)
    summary = metrics.get_summary()
    total = summary["windows"]["total"]
    assert (total["requests"], total["errors"], total["latency_ms"]["count"]) == (8000, 4000, 8000)
    assert sum(found["calls"] for found in summary["tools"].values()) == 4000
    assert sum(found["count"] for found in summary["operations"].values()) == 8000 + 4000
    assert total["input_tokens"] == 4000 * USAGE.prompt_tokens


def test_an_event_out_of_a_finalizer_may_come_while_the_lock_is_held(
    metrics: MetricsEngine,
) -> None:
    with metrics._lock:
        feed(metrics, replied())
    assert model(metrics)["answered"] == 1


def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have(
    metrics: MetricsEngine,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(metrics._lock.acquire).result()
        forks._renew_all()
        feed(metrics, replied())
    assert model(metrics)["answered"] == 1

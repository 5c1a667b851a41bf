from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.events import BudgetReached, FallbackUsed, PrefixMoved, RunStarted, ToolStarted
from sdk_workflow.exceptions import OverloadedError
from sdk_workflow.types import ToolCall
from tests.measures.exposition import read_exposition
from tests.measures.made_events import (
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

if TYPE_CHECKING:
    from tests.measures.exposition import Family

MODEL = "claude-haiku-5-5"


class Cancelled(BaseException):
    """What an event loop throws in."""


@pytest.fixture
def engine() -> MetricsEngine:
    """An engine that has seen something of everything."""
    clock = VirtualClock()
    engine = MetricsEngine(clock=clock, max_labels=3, loop_threshold=2)
    clock.advance(12.5)
    first, busy = call(), ToolCall(id="t", name="read", input={})
    for event in (
        RunStarted(session_id="session-1", text="private", model=MODEL),
        RunStarted(session_id="session-2", text="private", model=MODEL),
        ToolStarted(session_id="session-2", tool_call=busy),
        replied(1_000.0, time_to_first_token_ms=500.0),
        replied(3_000.0),
        cached(),
        failed(),
        failed(Cancelled()),
        retried(),
        FallbackUsed(call=first, error=OverloadedError("Busy."), fallback="claude-sonnet"),
        PrefixMoved(call=first, part="tools", reason="another order"),
        looked_up("hit", saved_usd=0.25),
        looked_up("miss", reason="absent"),
        looked_up("skipped", reason="tools", tier="semantic"),
        tool_ended(),
        tool_ended(error_code="tool_failed"),
        tool_ended('we"ird\\\n'),
        tool_ended("fourth"),
        tool_ended("fifth"),
        run_ended(),
        run_failed(ValueError("private")),
        run_failed(Cancelled()),
        BudgetReached(limit="hard", limit_usd=1.0, spent_usd=0.75, held_usd=0.125),
    ):
        engine.on_event(event)
    engine.track_latency("parse", 2.0)
    return engine


@pytest.fixture
def families(engine: MetricsEngine) -> dict[str, Family]:
    found = read_exposition(engine.to_prometheus())
    return {name.removeprefix("sdk_workflow_"): family for name, family in found.items()}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("uptime_seconds", {}, 12.5),
        ("in_flight", {"kind": "run"}, 1),
        ("in_flight", {"kind": "tool"}, 1),
        ("requests_total", {"model": MODEL, "outcome": "answered"}, 2),
        ("requests_total", {"model": MODEL, "outcome": "cached"}, 1),
        ("requests_total", {"model": MODEL, "outcome": "error"}, 1),
        ("requests_total", {"model": MODEL, "outcome": "cancelled"}, 1),
        ("tokens_total", {"model": MODEL, "kind": "input"}, 200),
        ("tokens_total", {"model": MODEL, "kind": "output"}, 42),
        ("tokens_total", {"model": MODEL, "kind": "cache_read"}, 1200),
        ("tokens_total", {"model": MODEL, "kind": "cache_write_5m"}, 400),
        ("tokens_total", {"model": MODEL, "kind": "cache_write_1h"}, 200),
        ("errors_total", {"type": "overloaded"}, 1),
        ("retries_total", {"error": "overloaded"}, 1),
        ("retry_wait_seconds_total", {}, 1.5),
        ("fallbacks_total", {"to": "claude-sonnet"}, 1),
        ("runs_total", {"outcome": "finished"}, 1),
        ("runs_total", {"outcome": "failed"}, 1),
        ("runs_total", {"outcome": "cancelled"}, 1),
        ("unpriced_runs_total", {}, 0),
        ("cost_usd_total", {}, 0.02),
        ("tool_calls_total", {"tool": "read", "outcome": "ok"}, 1),
        ("tool_calls_total", {"tool": "read", "outcome": "error"}, 1),
        ("tool_calls_total", {"tool": 'we"ird\\?', "outcome": "ok"}, 1),
        ("tool_calls_total", {"tool": "other", "outcome": "ok"}, 1),
        ("tool_loop_alarms_total", {"tool": "read"}, 1),
        ("cache_lookups_total", {"tier": "lru", "outcome": "hit"}, 1),
        ("cache_lookups_total", {"tier": "lru", "outcome": "miss"}, 1),
        ("cache_lookups_total", {"tier": "prompt", "outcome": "hit"}, 2),
        ("cache_skipped_total", {"tier": "semantic", "reason": "tools"}, 1),
        ("cache_miss_reasons_total", {"tier": "lru", "reason": "absent"}, 1),
        ("cache_saved_usd_total", {"tier": "lru"}, 0.25),
        ("cache_saved_usd_total", {"tier": "prompt"}, 0.5),
        ("budget_reached_total", {"limit": "hard"}, 1),
        ("budget_limit_usd", {"limit": "hard"}, 1.0),
        ("budget_spent_usd", {"limit": "hard"}, 0.75),
        ("budget_held_usd", {"limit": "hard"}, 0.125),
        ("prompt_prefix_moves_total", {"part": "tools"}, 1),
        ("series_overflow_total", {"kind": "tool"}, 1),
    ],
)
def test_each_figure_has_its_sample(
    families: dict[str, Family], name: str, labels: dict[str, str], value: float
) -> None:
    assert families[name].value(**labels) == value


@pytest.mark.parametrize(
    ("name", "labels", "count", "total", "bounds"),
    [
        (
            "request_duration_seconds",
            {"model": MODEL},
            2,
            4.0,
            {"0.5": 0, "1.0": 1, "2.5": 1, "5.0": 2, "160.0": 2, "+Inf": 2},
        ),
        ("time_to_first_token_seconds", {"model": MODEL}, 1, 0.5, {"0.25": 0, "0.5": 1, "1.0": 1}),
        # 20 tokens in the 500 ms after the first one.
        ("output_tokens_per_second", {"model": MODEL}, 1, 40.0, {"20.0": 0, "40.0": 1}),
        ("operation_duration_seconds", {"operation": "parse"}, 1, 0.002, {"0.001": 0, "0.005": 1}),
        ("tool_duration_seconds", {"tool": "read"}, 2, 0.024, {"0.01": 0, "0.025": 2}),
    ],
)
def test_each_distribution_has_its_buckets_its_sum_and_its_count(
    families: dict[str, Family],
    name: str,
    labels: dict[str, str],
    count: int,
    total: float,
    bounds: dict[str, int],
) -> None:
    family = families[name]
    assert (family.kind, family.value("_count", **labels)) == ("histogram", count)
    assert family.value("_sum", **labels) == pytest.approx(total)
    found = {bound: family.value("_bucket", **labels, le=bound) for bound in bounds}
    assert found == bounds


@pytest.mark.parametrize(
    ("name", "labels", "bounds"),
    [
        (
            "tool_duration_seconds",
            {"tool": "read"},
            "0.0001 0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 20.0 40.0 80.0 160.0",
        ),
        (
            "output_tokens_per_second",
            {"model": MODEL},
            "5.0 10.0 20.0 40.0 60.0 80.0 120.0 160.0 320.0 640.0",
        ),
    ],
)
def test_the_bounds_of_buckets_stay_as_they_are_because_stored_series_hang_on_them(
    families: dict[str, Family], name: str, labels: dict[str, str], bounds: str
) -> None:
    found = [
        facts.pop("le")
        for facts in (dict(given) for _, given in families[name].samples)
        if "le" in facts and set(labels.items()) <= set(facts.items())
    ]
    assert found == [*bounds.split(), "+Inf"]


def test_an_engine_without_figures_exports_empty_families() -> None:
    families = read_exposition(MetricsEngine(clock=VirtualClock()).to_prometheus())
    assert families["sdk_workflow_requests_total"].samples == {}
    assert families["sdk_workflow_cost_usd_total"].value() == 0.0


def test_no_text_and_no_id_of_a_session_is_exported(engine: MetricsEngine) -> None:
    text = engine.to_prometheus()
    assert "private" not in text
    assert "session-" not in text


def test_the_official_parser_reads_the_same_samples(engine: MetricsEngine) -> None:
    parser: Any = pytest.importorskip("prometheus_client.parser")
    text = engine.to_prometheus()
    theirs = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    ours: dict[Any, float] = {}
    for family in read_exposition(text).values():
        ours |= family.samples
    assert theirs == ours
    assert len(ours) > 100


# The reader is tried on texts that break one rule each.

GOOD = """\
# HELP a_total A count.
# TYPE a_total counter
a_total{x="1"} 2
# HELP h A distribution.
# TYPE h histogram
h_bucket{le="1.0"} 1
h_bucket{le="+Inf"} 2
h_sum 3.5
h_count 2
"""


def test_the_reader_takes_a_text_by_the_rules() -> None:
    families = read_exposition(GOOD)
    assert families["a_total"].value(x="1") == 2.0
    assert families["h"].value("_bucket", le="+Inf") == 2.0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("h_count 2\n", "h_count 2"),
        ("# HELP a_total A count.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("# TYPE h histogram", "# TYPE a_total counter"),
        ("# TYPE h histogram", "# TYPE h summary"),
        ('a_total{x="1"} 2', 'a_total{x="1"} 2\na_total{x="1"} 2'),
        ('a_total{x="1"} 2', 'a_total{x="1",x="2"} 2'),
        ('a_total{x="1"} 2', 'b_total{x="1"} 2'),
        ('a_total{x="1"} 2', 'a_total{x="1"} -2'),
        ('a_total{x="1"} 2', 'a_total{x="1"} two'),
        ('a_total{x="1"} 2', 'a_total{x="\\x"} 2'),
        ('a_total{x="1"} 2', 'a_total{x-y="1"} 2'),
        ("a_total", "a"),
        ('h_bucket{le="1.0"} 1', 'h_bucket{le="1.0"} 3'),
        ('h_bucket{le="1.0"} 1', 'h_bucket{le="+Inf"} 1'),
        ('h_bucket{le="+Inf"} 2\n', ""),
        ("h_sum 3.5\n", ""),
    ],
)
def test_the_reader_refuses_a_text_that_breaks_a_rule(right: str, wrong: str) -> None:
    assert right in GOOD
    with pytest.raises(ValueError):  # noqa: PT011 - each rule has its own words
        read_exposition(GOOD.replace(right, wrong))

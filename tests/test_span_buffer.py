from __future__ import annotations

import itertools
from typing import Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import UsageError
from tests.strict_otlp import parsed_spans


def record(tracer: PerformanceTracer, *names: str) -> None:
    for name in names:
        tracer.span(name).end()


def kept(tracer: PerformanceTracer) -> list[str]:
    return [span.name for span in tracer.finished_spans()]


def test_spans_older_than_allowed_are_let_go_and_counted() -> None:
    clock = VirtualClock()
    tracer = PerformanceTracer(clock=clock, max_age_seconds=60)
    record(tracer, "first")
    clock.advance(40)
    record(tracer, "second")
    assert (kept(tracer), tracer.expired_spans) == (["first", "second"], 0)
    clock.advance(30)
    assert (kept(tracer), tracer.expired_spans, tracer.dropped_spans) == (["second"], 1, 0)
    clock.advance(60)
    assert (tracer.expired_spans, kept(tracer), parsed_spans(tracer.export_traces())) == (2, [], [])


def test_old_spans_are_let_go_while_new_ones_come_in_and_nobody_looks() -> None:
    clock = VirtualClock()
    tracer = PerformanceTracer(clock=clock, max_age_seconds=1)
    for number in itertools.count():
        record(tracer, f"span {number}")
        clock.advance(0.01)
        if number > 3_000:
            break
    assert len(tracer._finished._spans) < 1_024 + 101


def test_age_and_count_are_two_reasons_and_counted_apart() -> None:
    clock = VirtualClock()
    tracer = PerformanceTracer(clock=clock, max_spans=3, max_age_seconds=10)
    record(tracer, *"abcde")
    clock.advance(11)
    record(tracer, "f")
    assert (kept(tracer), tracer.dropped_spans, tracer.expired_spans) == (["f"], 2 + 1, 2)


def test_without_an_age_spans_are_kept_as_long_as_there_is_room() -> None:
    clock = VirtualClock()
    tracer = PerformanceTracer(clock=clock)
    record(tracer, "first")
    clock.advance(1e9)
    assert (kept(tracer), tracer.expired_spans) == (["first"], 0)


@pytest.mark.parametrize("options", [{"max_age_seconds": 0}, {"max_age_seconds": float("nan")}])
def test_ages_that_keep_nothing_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot keep spans for"):
        PerformanceTracer(**options)


def test_spans_that_nobody_ends_are_ended_when_too_many_are_open() -> None:
    tracer = PerformanceTracer(max_spans=2)
    ids = [tracer.start_span(f"span {number}") for number in range(4)]
    assert [(span.name, span.error) for span in tracer.finished_spans()] == [
        ("span 0", "never_ended"),
        ("span 1", "never_ended"),
    ]
    tracer.end_span(ids[0])
    tracer.end_span(ids[3])
    assert tracer.finished_spans()[-1].error is None

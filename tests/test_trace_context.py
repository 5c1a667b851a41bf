from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.trace_context import RemoteId, parse_traceparent
from sdk_workflow._internal.tracing import NOOP_SPAN, Span, UnsampledSpan
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.core.resource import resource_attributes
from tests.strict_otlp import parse_otlp, parsed_spans, plain_attributes

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def tracer() -> PerformanceTracer:
    return PerformanceTracer()


def test_span_under_a_traceparent_joins_the_trace_of_the_other_process(
    tracer: PerformanceTracer,
) -> None:
    with tracer.span("run", parent=HEADER), tracer.span("step"):
        pass
    step, run = parsed_spans(tracer.export_traces())
    assert {run.trace_id.hex(), step.trace_id.hex()} == {TRACE}
    assert (run.parent_span_id.hex(), step.parent_span_id) == (SPAN, run.span_id)
    assert (run.flags, step.flags) == (0x301, 0x101)


def test_started_span_takes_a_traceparent_and_its_children_are_local(
    tracer: PerformanceTracer,
) -> None:
    run = tracer.start_span("run", HEADER)
    tracer.end_span(tracer.start_span("step", run))
    tracer.end_span(run)
    assert tracer.get_span_summary(run)["parent_id"] == SPAN
    assert [span.flags for span in parsed_spans(tracer.export_traces())] == [0x101, 0x301]


def test_traceparent_of_a_span_is_what_another_tracer_takes(tracer: PerformanceTracer) -> None:
    other = PerformanceTracer()
    with tracer.span("caller") as caller:
        header = caller.traceparent
    with other.span("callee", parent=header) as callee:
        pass
    assert (callee.trace_id, isinstance(callee, Span)) == (caller.trace_id, True)
    assert other.finished_spans()[0].parent_id == caller.span_id
    assert NOOP_SPAN.traceparent is None


def test_trace_that_the_caller_does_not_record_is_not_recorded_here(
    tracer: PerformanceTracer,
) -> None:
    with tracer.span("run", parent=f"00-{TRACE}-{SPAN}-00") as run, tracer.span("step"):
        pass
    assert isinstance(run, UnsampledSpan)
    assert tracer.finished_spans() == []


def test_trace_that_the_caller_records_is_recorded_whatever_the_share() -> None:
    tracer = PerformanceTracer(sample_ratio=0)
    with tracer.span("run", parent=HEADER):
        pass
    assert len(tracer.finished_spans()) == 1


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01more",
        "not-a-header",
    ],
)
def test_traceparent_that_is_not_valid_begins_a_new_trace(
    tracer: PerformanceTracer, header: str
) -> None:
    with tracer.span("run", parent=header) as run:
        pass
    assert parse_traceparent(header) is None
    assert (isinstance(run, Span), tracer.finished_spans()[0].parent_id) == (True, 0)


@pytest.mark.parametrize("header", [f" {HEADER} ", f"cc-{TRACE}-{SPAN}-03-more"])
def test_later_versions_and_spaces_around_are_understood(header: str) -> None:
    parent = parse_traceparent(header)
    assert parent is not None
    assert (parent.trace_id, parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert isinstance(parent.span_id, RemoteId)
    assert parent.is_sampled


@given(st.text(st.sampled_from("0123456789abcdefg-"), max_size=60))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    parent = parse_traceparent(text)
    assert parent is None or (parent.trace_id > 0 and parent.span_id > 0)


# --- the resource --------------------------------------------------------------------------------


def exported_resource(tracer: PerformanceTracer) -> dict[str, Any]:
    with tracer.span("run"):
        pass
    return plain_attributes(
        parse_otlp(tracer.export_traces()).resource_spans[0].resource.attributes
    )


def test_resource_goes_given_before_variables_before_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert exported_resource(PerformanceTracer())["service.name"] == "sdk_workflow"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed, team=a%20b ,broken")
    assert exported_resource(PerformanceTracer())["service.name"] == "listed"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    named = exported_resource(PerformanceTracer())
    assert (named["service.name"], named["team"]) == ("named", "a b")
    given = PerformanceTracer(resource={"service.name": "shop", "region": 7})
    resource = exported_resource(given)
    assert (resource["service.name"], resource["region"]) == ("shop", 7)
    assert resource["sdk_workflow.dropped_spans"] == 0


def test_resource_without_variables_is_the_library_and_what_is_given() -> None:
    assert set(resource_attributes({"a": 1}, {})) == {"service.name", "service.version", "a"}

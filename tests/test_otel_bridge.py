"""The bridge to an application that uses the OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.tracing import Span, UnsampledSpan, trace_span
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.middleware.tracing import trace_call
from sdk_workflow.transports.anthropic_sdk import AnthropicTransport
from sdk_workflow.types import Call
from tests.stub_api import stub_api

pytest.importorskip("opentelemetry.sdk.trace", reason="the OpenTelemetry SDK is not installed")

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CALL = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """Register a provider whose processor exports every span at once."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made)
    return made


@pytest.fixture
def tracer() -> PerformanceTracer:
    return PerformanceTracer(open_telemetry="bridge")


def tree(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """Return the name of each exported span -> the name of the span above it."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    assert len({span.context.trace_id for span in spans}) == 1
    return {span.name: names[span.parent.span_id] if span.parent else None for span in spans}


def test_spans_of_both_nest_in_one_another_at_any_depth(
    provider: TracerProvider, exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    opened = provider.get_tracer("application").start_as_current_span
    with opened("request"), tracer.span("run"):
        with opened("outer"), opened("inner"), trace_span("step"), opened("leaf"):
            pass
        with trace_span("later"):
            pass
    assert tree(exporter) == {
        "request": None,
        "run": "request",
        "outer": "run",
        "inner": "outer",
        "step": "inner",
        "leaf": "step",
        "later": "run",
    }
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_root_without_a_span_of_the_application_opens_a_trace(
    provider: TracerProvider, exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("run"), provider.get_tracer("application").start_as_current_span("leaf"):
        pass
    assert tree(exporter) == {"run": None, "leaf": "run"}


@pytest.mark.usefixtures("provider")
def test_processors_get_what_our_own_export_writes(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("chat m", **{"gen_ai.operation.name": "chat", "none": None}) as span:
        span.add_event("first_token", at=1)
        span.fail("overloaded")
    (handed,) = exporter.get_finished_spans()
    (own,) = tracer.finished_spans()
    assert dict(handed.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "error.type": "overloaded",
    }
    assert (handed.kind, handed.status.status_code) == (
        trace.SpanKind.CLIENT,
        trace.StatusCode.ERROR,
    )
    assert [(event.name, dict(event.attributes or {})) for event in handed.events] == [
        ("first_token", {"at": 1})
    ]
    assert (handed.end_time or 0) - (handed.start_time or 0) == own.end_ns - own.start_ns
    assert handed.instrumentation_scope is not None
    assert handed.instrumentation_scope.name == "sdk_workflow"
    assert '"name": "chat m"' in handed.to_json()


@pytest.mark.usefixtures("provider")
def test_span_that_is_held_open_is_handed_over_without_becoming_current(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    span_id = tracer.start_span("held")
    assert trace.get_current_span() is trace.INVALID_SPAN
    tracer.end_span(span_id)
    assert tree(exporter) == {"held": None}


def test_explicit_parent_goes_before_the_applications_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("run") as run, tracer.span("step"):  # noqa: SIM117 - the nesting is the point
        with provider.get_tracer("application").start_as_current_span("user"):
            with tracer.span("aside", parent=run):
                pass
    assert tree(exporter)["aside"] == "run"


def test_span_under_a_span_of_another_trace_stays_in_its_own(
    provider: TracerProvider, tracer: PerformanceTracer
) -> None:
    from opentelemetry.context import Context

    application = provider.get_tracer("application")
    with tracer.span("run") as run:
        foreign = application.start_span("foreign", context=Context())
        with trace.use_span(foreign, end_on_exit=True), trace_span("step") as step:
            pass
    assert isinstance(step, Span)
    assert (step.trace_id, step.parent_id) == (run.trace_id, run.span_id)


@pytest.mark.anyio
async def test_generator_closed_in_another_task_breaks_neither_context(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    tracer: PerformanceTracer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stream() -> AsyncGenerator[int, None]:
        with trace_span("stream"):
            yield 1

    application = provider.get_tracer("application")
    with tracer.span("run"):
        generator = stream()
        await generator.__anext__()

        async def close() -> None:
            await generator.aclose()

        await asyncio.create_task(close())
        # What the SDK still sees as current has ended: its span hangs under the running one.
        with application.start_as_current_span("after"), trace_span("inside"):
            pass
    assert tree(exporter) == {"stream": "run", "after": "run", "inside": "run", "run": None}
    assert not caplog.records


def test_span_ended_in_another_context_leaves_the_current_span_there_alone(
    provider: TracerProvider, tracer: PerformanceTracer
) -> None:
    span = tracer.span("run")
    contextvars.Context().run(span.__enter__)

    def end_elsewhere() -> None:
        with provider.get_tracer("application").start_as_current_span("request") as request:
            span.end()
            assert trace.get_current_span() is request

    contextvars.Context().run(end_elsewhere)


@pytest.mark.usefixtures("provider")
def test_processors_get_no_secrets(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("run", password="hunter2") as span:
        span.add_event("seen", api_key="hunter2")
    (handed,) = exporter.get_finished_spans()
    assert "hunter2" not in handed.to_json()
    assert tracer.finished_spans()[0].attributes == {"password": "hunter2"}


@pytest.mark.usefixtures("provider")
def test_current_span_of_the_sdk_says_what_it_stands_for(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        assert repr(trace.get_current_span()) == "<ambient 'run'>"
        assert not trace.get_current_span().is_recording()


@pytest.mark.usefixtures("provider")
def test_handed_span_can_be_copied_and_has_no_attributes_of_its_own(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("run"):
        pass
    (handed,) = exporter.get_finished_spans()
    assert copy.copy(handed).name == "run"
    assert not hasattr(handed, "nothing")


@pytest.mark.usefixtures("provider")
def test_span_entered_twice_is_handed_over_once(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    with tracer.span("run") as run, run:
        pass
    run.end()
    assert tree(exporter) == {"run": None}


@pytest.mark.usefixtures("provider")
def test_thread_that_knows_the_applications_context_only_hangs_under_our_span(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    from opentelemetry.context import attach, get_current

    with tracer.span("run"):
        carried = get_current()

        def work() -> None:
            attach(carried)
            with tracer.span("in thread"):
                pass

        contextvars.Context().run(work)
    assert tree(exporter) == {"run": None, "in thread": "run"}


# --- sampling, no provider, failures -------------------------------------------------------------


def test_traces_that_the_applications_sampler_leaves_out_are_not_recorded(
    monkeypatch: pytest.MonkeyPatch, tracer: PerformanceTracer
) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    with tracer.span("run") as alone:
        pass
    with provider.get_tracer("application").start_as_current_span("request"), tracer.span("below"):
        pass
    assert isinstance(alone, UnsampledSpan)
    assert tracer.finished_spans() == []


def test_bridge_without_a_provider_records_as_if_there_were_none(
    monkeypatch: pytest.MonkeyPatch, tracer: PerformanceTracer
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with tracer.span("run") as run:
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert type(run) is Span


@pytest.mark.usefixtures("provider")
def test_mode_off_leaves_the_application_alone(exporter: InMemorySpanExporter) -> None:
    with PerformanceTracer().span("run"):
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert exporter.get_finished_spans() == ()


def test_processor_that_raises_does_not_reach_the_caller_and_is_reported_once(
    provider: TracerProvider, tracer: PerformanceTracer, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):  # type: ignore[misc,unused-ignore] # Any where it is absent
        def on_end(self, span: Any) -> None:
            raise RuntimeError(span.name)

    provider.add_span_processor(Broken())
    for _ in range(3):
        with tracer.span("run"):
            pass
    assert len(tracer.finished_spans()) == 3
    assert [record.message for record in caplog.records] == [
        "A span processor failed; further failures are not reported."
    ]


def test_nothing_is_loaded_where_the_application_has_no_provider() -> None:
    program = (
        "import sys; from sdk_workflow.core.performance import PerformanceTracer\n"
        "with PerformanceTracer(open_telemetry='bridge').span('run'): pass\n"
        "print([name for name in sys.modules if 'opentelemetry' in name or 'otel' in name])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "[]"


# --- the official SDK ----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.usefixtures("provider")
async def test_call_through_the_official_sdk_has_exactly_one_chat_span(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    async with stub_api() as api:
        transport = AnthropicTransport(api_key="sk-test", base_url=api.url)
        with tracer.span("run"):
            await trace_call(CALL, transport.send)
        await transport.aclose()
    spans = exporter.get_finished_spans()
    calls = [span for span in spans if span.kind is trace.SpanKind.CLIENT]
    assert [span.name for span in calls] == ["chat claude-haiku-5-5"]
    assert tree(exporter) == {
        "transport.request": "chat claude-haiku-5-5",
        "chat claude-haiku-5-5": "run",
        "run": None,
    }


@pytest.mark.anyio
@pytest.mark.usefixtures("provider")
async def test_clients_of_the_application_nest_their_spans_under_ours(
    exporter: InMemorySpanExporter, tracer: PerformanceTracer
) -> None:
    from anthropic import AsyncAnthropic

    async with stub_api() as api, AsyncAnthropic(api_key="sk-test", base_url=api.url) as client:
        with tracer.span("run"), trace_span("tool") as span:
            message = {"role": "user", "content": "Hi"}
            await client.messages.create(
                model="claude-haiku-5-5", max_tokens=9, messages=[message]  # type: ignore[list-item]
            )
        (request,) = api.requests
    found = tree(exporter)
    (own,) = [name for name in found if name not in {"run", "tool"}]
    assert found[own] == "tool"
    assert span.traceparent is not None
    assert request.headers["traceparent"][3:35] == span.traceparent[3:35]

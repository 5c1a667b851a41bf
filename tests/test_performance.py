from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.tracing import (
    NOOP_SPAN,
    Span,
    UnsampledSpan,
    ambient_span,
    current_span,
    held_span,
    note_event,
    trace_span,
)
from sdk_workflow.core.lanes import assign_lanes
from sdk_workflow.core.performance import NOT_RECORDED, PerformanceTracer, trace_function
from sdk_workflow.exceptions import OverloadedError, UsageError
from tests.strict_otlp import parsed_spans, plain_attributes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator


@pytest.fixture
def tracer() -> PerformanceTracer:
    return PerformanceTracer(clock=VirtualClock(start=1_800_000_000.0))


class TickingClock(VirtualClock):
    """Every look at it takes one millisecond."""

    def __init__(self) -> None:
        super().__init__(start=1_800_000_000.0)
        self._looks = itertools.count(1)

    def monotonic(self) -> float:
        return next(self._looks) / 1000


@pytest.fixture
def ticking() -> PerformanceTracer:
    return PerformanceTracer(clock=TickingClock())


def parents(tracer: PerformanceTracer) -> dict[str, str | None]:
    """Return the name of each span -> the name of the span above it."""
    spans = tracer.finished_spans()
    names = {span.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent_id) for span in spans}


# --- spans and their parents ---------------------------------------------------------------------


def test_span_inside_another_becomes_its_child(tracer: PerformanceTracer) -> None:
    with tracer.span("run") as run, tracer.span("call") as call:
        assert current_span() is call
    assert current_span() is None
    assert parents(tracer) == {"call": "run", "run": None}
    assert run.trace_id == call.trace_id


def test_two_roots_open_two_traces(tracer: PerformanceTracer) -> None:
    with tracer.span("first"):
        pass
    with tracer.span("second"):
        pass
    first, second = tracer.finished_spans()
    assert first.trace_id != second.trace_id


def test_trace_span_records_into_the_trace_around_it(tracer: PerformanceTracer) -> None:
    with tracer.span("run"), trace_span("execute_tool read", {"tool": "read"}) as span:
        span.set(size=3)
    assert parents(tracer)["execute_tool read"] == "run"
    assert tracer.finished_spans()[0].attributes == {"tool": "read", "size": 3}


def test_trace_span_without_a_trace_does_nothing() -> None:
    with trace_span("orphan") as span:
        span.set(a=1)
        span.add_event("seen")
        span.fail("broken")
        span.end()
    assert span is NOOP_SPAN
    assert current_span() is None


def test_explicit_parent_wins_and_leaves_the_ambient_span_alone(tracer: PerformanceTracer) -> None:
    with tracer.span("run") as run, tracer.span("step") as step:
        with tracer.span("aside", parent=run):
            assert current_span() is not step
        assert current_span() is step
    assert parents(tracer)["aside"] == "run"


def test_spans_of_two_tracers_do_not_mix() -> None:
    outer, inner = PerformanceTracer(), PerformanceTracer()
    with outer.span("outer"), inner.span("inner"):  # noqa: SIM117 - the nesting is the point
        with outer.span("child of outer"), trace_span("nearest"):
            pass
    assert parents(inner) == {"inner": None}
    assert parents(outer) == {"nearest": "child of outer", "child of outer": "outer", "outer": None}


def test_parent_of_another_tracer_is_refused(tracer: PerformanceTracer) -> None:
    foreign = PerformanceTracer().span("foreign")
    with pytest.raises(UsageError, match="belongs to another tracer"):
        tracer.span("child", parent=foreign)


def test_exception_marks_the_span_as_failed_without_its_text(tracer: PerformanceTracer) -> None:
    with pytest.raises(ValueError, match="the secret prompt"), tracer.span("run"):
        raise ValueError("the secret prompt")
    assert tracer.finished_spans()[0].error == "ValueError"


def test_own_error_marks_the_span_with_its_code(tracer: PerformanceTracer) -> None:
    with pytest.raises(OverloadedError), tracer.span("run"):
        raise OverloadedError("the secret prompt")
    assert tracer.finished_spans()[0].error == "OverloadedError: overloaded"


def test_ending_a_span_twice_records_it_once(tracer: PerformanceTracer) -> None:
    span = tracer.span("run")
    span.end()
    span.end()
    assert span.is_done
    assert len(tracer.finished_spans()) == 1


def test_entering_spans_again_never_ties_a_knot(tracer: PerformanceTracer) -> None:
    first, second = tracer.span("first"), tracer.span("second")
    with first, second, first, second:
        pass
    assert current_span() is None
    assert len(tracer.finished_spans()) == 2


def test_finished_span_that_is_still_current_is_skipped(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        inner = tracer.span("inner")
        inner.__enter__()
        stale = contextvars.copy_context()
        inner.end()
        stale.run(lambda: tracer.span("late").end())
    assert parents(tracer)["late"] == "run"


def test_ended_span_does_not_stay_ambient(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        pass
    assert ambient_span() is None


def test_spans_closed_in_other_contexts_do_not_pile_up(tracer: PerformanceTracer) -> None:
    def leave_open() -> None:
        for _ in range(50):
            span = tracer.span("stray")
            span.__enter__()
            contextvars.Context().run(span.end)
        stale = ambient_span()
        assert isinstance(stale, Span)
        assert stale.outer is None

    contextvars.Context().run(leave_open)
    assert len(tracer.finished_spans()) == 50


@pytest.mark.anyio
async def test_span_works_with_async_with(tracer: PerformanceTracer) -> None:
    async with tracer.span("run"), tracer.span("call"):
        await asyncio.sleep(0)
    async with PerformanceTracer(enable_tracing=False).span("off"):
        assert current_span() is None
    assert parents(tracer) == {"call": "run", "run": None}


# --- tasks, threads, cancellation ----------------------------------------------------------------


@pytest.mark.anyio
async def test_hundred_tasks_keep_their_own_branches(tracer: PerformanceTracer) -> None:
    async def branch(number: int) -> None:
        with trace_span(f"task {number}"):
            await asyncio.sleep(0)
            with trace_span(f"leaf {number}"):
                await asyncio.sleep(0)

    with tracer.span("run"):
        await asyncio.gather(*(branch(number) for number in range(100)))
    found = parents(tracer)
    assert len(tracer.finished_spans()) == 201
    for number in range(100):
        assert found[f"task {number}"] == "run"
        assert found[f"leaf {number}"] == f"task {number}"


@pytest.mark.anyio
async def test_thread_of_to_thread_stays_in_the_trace(tracer: PerformanceTracer) -> None:
    def work() -> None:
        with trace_span("in thread"):
            pass

    with tracer.span("run"):
        await asyncio.to_thread(work)
    assert parents(tracer) == {"in thread": "run", "run": None}


@pytest.mark.anyio
async def test_cancelled_task_loses_no_span(tracer: PerformanceTracer) -> None:
    started = asyncio.Event()

    async def wait() -> None:
        with trace_span("waiting"):
            started.set()
            await asyncio.Event().wait()

    with tracer.span("run"):
        task = asyncio.create_task(wait())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    waiting, run = tracer.finished_spans()
    assert (waiting.error, run.error) == ("CancelledError", None)
    assert waiting.parent_id == run.span_id


@pytest.mark.anyio
async def test_task_that_outlives_its_span_hangs_under_the_running_ancestor(
    tracer: PerformanceTracer,
) -> None:
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()
        with trace_span("late"):
            pass

    with tracer.span("run"):
        with tracer.span("short"):
            task = asyncio.create_task(late())
        gate.set()
        await task
    assert parents(tracer)["late"] == "run"


@pytest.mark.anyio
async def test_generator_closed_in_another_task_breaks_no_context(
    tracer: PerformanceTracer, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream() -> AsyncGenerator[int, None]:
        with trace_span("stream"):
            yield 1
            yield 2

    with tracer.span("run"):
        generator = stream()
        await generator.__anext__()
        await asyncio.create_task(_close(generator))
        with trace_span("after"):
            pass
    assert parents(tracer) == {"stream": "run", "after": "run", "run": None}
    assert [span.error for span in tracer.finished_spans()] == [None, None, None]
    assert not caplog.records


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def test_threads_record_every_span_once(tracer: PerformanceTracer) -> None:
    def work() -> None:
        for _ in range(200):
            with tracer.span("run"), trace_span("leaf"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tracer.finished_spans()) == 1600
    assert tracer.dropped_spans == 0


# --- spans by id ---------------------------------------------------------------------------------


def test_started_span_ends_by_its_id_and_takes_metadata(tracer: PerformanceTracer) -> None:
    run = tracer.start_span("run")
    call = tracer.start_span("call", parent=run)
    tracer.end_span(call, {"tokens": 7})
    tracer.end_span(run)
    assert len(run) == 16
    assert parents(tracer) == {"call": "run", "run": None}
    assert tracer.finished_spans()[0].attributes == {"tokens": 7}


def test_started_span_is_never_ambient(tracer: PerformanceTracer) -> None:
    tracer.start_span("run")
    assert current_span() is None


def test_started_span_hangs_under_the_ambient_one(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        tracer.end_span(tracer.start_span("call"))
    assert parents(tracer)["call"] == "run"


def test_span_accepts_an_id_as_parent_even_after_its_end(tracer: PerformanceTracer) -> None:
    run = tracer.start_span("run")
    tracer.end_span(run)
    with tracer.span("late", parent=run):
        pass
    assert parents(tracer) == {"run": None, "late": "run"}


def test_ending_a_started_span_again_is_harmless(tracer: PerformanceTracer) -> None:
    run = tracer.start_span("run")
    tracer.end_span(run)
    tracer.end_span(run, {"late": True})
    assert tracer.finished_spans()[0].attributes == {}


@pytest.mark.parametrize("action", ["end_span", "get_span_summary"])
def test_unknown_id_is_a_usage_error(tracer: PerformanceTracer, action: str) -> None:
    with pytest.raises(UsageError, match="No span 'feedfeedfeedfeed' is known"):
        getattr(tracer, action)("feedfeedfeedfeed")


def test_unknown_parent_id_is_a_usage_error(tracer: PerformanceTracer) -> None:
    with pytest.raises(UsageError, match="No span"):
        tracer.start_span("call", parent="feedfeedfeedfeed")


# --- off, sampled, bounded -----------------------------------------------------------------------


def test_disabled_tracer_records_nothing_and_accepts_everything() -> None:
    tracer = PerformanceTracer(enable_tracing=False)
    span_id = tracer.start_span("run")
    with tracer.span("run", a=1) as span, trace_span("child"):
        tracer.record_metric("size", 1, "By")
    tracer.end_span(span_id, {"a": 1})
    assert (span, span_id) == (NOOP_SPAN, NOT_RECORDED)
    assert tracer.finished_spans() == []
    assert tracer.export_traces("jsonl") == ""


def test_unsampled_trace_records_nothing_at_any_depth() -> None:
    tracer = PerformanceTracer(sample_ratio=0)
    with tracer.span("run") as run:
        assert current_span() is None
        with tracer.span("child") as child, trace_span("leaf") as leaf:
            tracer.record_metric("size", 1, "By")
        started = tracer.start_span("by id", parent=tracer.start_span("above"))
        run.set(a=1)
        with tracer.span("explicit", parent=run) as explicit:
            pass
    tracer.end_span(started)
    assert isinstance(run, UnsampledSpan)
    assert [child, leaf, explicit] == [NOOP_SPAN] * 3
    assert tracer.finished_spans() == []


def test_unsampled_trace_ends_with_its_root() -> None:
    sampled, unsampled = PerformanceTracer(), PerformanceTracer(sample_ratio=0)
    with sampled.span("run"):
        with unsampled.span("inside") as inside, inside, trace_span("lost"):
            pass
        with trace_span("kept"):
            pass
    assert parents(sampled) == {"kept": "run", "run": None}


def test_unsampled_root_closed_in_another_context_is_skipped() -> None:
    sampled, unsampled = PerformanceTracer(), PerformanceTracer(sample_ratio=0)
    with sampled.span("run"):
        root = unsampled.span("left open")
        root.__enter__()
        contextvars.Context().run(root.end)
        with trace_span("after"):
            pass
    assert parents(sampled) == {"after": "run", "run": None}


def test_sampling_keeps_whole_traces_near_the_ratio() -> None:
    tracer = PerformanceTracer(sample_ratio=0.5)
    for _ in range(2000):
        with tracer.span("run"), trace_span("leaf"):
            pass
    names = [span.name for span in tracer.finished_spans()]
    assert names.count("run") == names.count("leaf")
    assert 850 < names.count("run") < 1150  # 6.7 standard deviations


def test_full_buffer_drops_the_oldest_and_counts(tracer: PerformanceTracer) -> None:
    tracer = PerformanceTracer(max_spans=2)
    for number in range(5):
        tracer.span(f"span {number}").end()
        assert tracer.dropped_spans == max(number - 1, 0)
    assert [span.name for span in tracer.finished_spans()] == ["span 3", "span 4"]
    resource = json.loads(tracer.export_traces())["resourceSpans"][0]["resource"]
    assert {"key": "sdk_workflow.dropped_spans", "value": {"intValue": "3"}} in resource[
        "attributes"
    ]


@pytest.mark.parametrize("options", [{"max_spans": 0}, {"sample_ratio": 1.1}, {"sample_ratio": -1}])
def test_impossible_options_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PerformanceTracer(**options)


# --- metrics and summaries -----------------------------------------------------------------------


def test_metric_becomes_an_event_of_the_ambient_span(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        tracer.record_metric("size", 12, "By")
        tracer.record_metric("ratio", 0.5, "1")
    (span,) = parsed_spans(tracer.export_traces())
    assert [event.name for event in span.events] == ["size", "ratio"]
    assert plain_attributes(span.events[0].attributes) == {
        "sdk_workflow.metric.value": 12,
        "sdk_workflow.metric.unit": "By",
    }


def test_metric_outside_any_span_is_kept_as_a_span(tracer: PerformanceTracer) -> None:
    tracer.record_metric("size", 12, "By")
    (span,) = parsed_spans(tracer.export_traces())
    assert span.name == "size"
    assert plain_attributes(span.attributes)["sdk_workflow.metric.value"] == 12


def test_summary_tells_what_is_known_of_a_finished_span(ticking: PerformanceTracer) -> None:
    tracer = ticking
    run = tracer.start_span("run")
    with tracer.span("call", parent=run, model="m") as call:
        call.add_event("first_chunk")
        tracer.record_metric("size", 12, "By")
        call.fail("overloaded")
    assert isinstance(call, Span)
    assert tracer.get_span_summary(f"{call.span_id:016x}") == {
        "name": "call",
        "span_id": f"{call.span_id:016x}",
        "trace_id": f"{call.trace_id:032x}",
        "parent_id": run,
        "status": "error",
        "error": "overloaded",
        "started_at": "2027-01-15T08:00:00.002Z",
        "duration_ms": 3.0,
        "child_count": 0,
        "attributes": {"model": "m"},
        "metrics": [{"name": "size", "value": 12, "unit": "By"}],
    }


def test_summary_of_a_running_span_counts_its_time_so_far(ticking: PerformanceTracer) -> None:
    tracer = ticking
    run = tracer.start_span("run")
    tracer.start_span("call", parent=run)
    summary = tracer.get_span_summary(run)
    assert (summary["status"], summary["parent_id"]) == ("running", None)
    assert (summary["duration_ms"], summary["child_count"]) == (2.0, 1)  # now is a look too
    tracer.end_span(run)
    assert tracer.get_span_summary(run)["status"] == "ok"


# --- exports -------------------------------------------------------------------------------------


def record_two_traces(tracer: PerformanceTracer) -> None:
    with tracer.span("first"), tracer.span("call"):
        tracer.record_metric("size", 12, "By")
    with pytest.raises(ValueError, match="x"), tracer.span("second"):
        raise ValueError("x")


def test_json_is_one_otlp_document_with_wall_clock_times(tracer: PerformanceTracer) -> None:
    record_two_traces(tracer)
    spans = parsed_spans(tracer.export_traces("json"))
    assert [span.name for span in spans] == ["call", "first", "second"]
    assert spans[0].parent_span_id == spans[1].span_id
    assert all(span.start_time_unix_nano // 10**9 >= 1_800_000_000 for span in spans)


def test_jsonl_is_one_otlp_document_per_trace(tracer: PerformanceTracer) -> None:
    record_two_traces(tracer)
    lines = tracer.export_traces("jsonl").splitlines()
    assert [[span.name for span in parsed_spans(line)] for line in lines] == [
        ["call", "first"],
        ["second"],
    ]


def test_export_uses_the_conventions_that_were_asked_for() -> None:
    tracer = PerformanceTracer(semconv="1.36")
    with tracer.span("chat m", **{"gen_ai.provider.name": "anthropic"}):
        pass
    (span,) = parsed_spans(tracer.export_traces())
    assert plain_attributes(span.attributes) == {"gen_ai.system": "anthropic"}


def test_chrome_trace_has_the_fields_that_viewers_need(ticking: PerformanceTracer) -> None:
    tracer = ticking
    record_two_traces(tracer)
    trace = json.loads(tracer.export_traces("chrome"))
    complete = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    for event in trace["traceEvents"]:
        assert {"ph", "ts", "pid", "tid", "name", "args"} <= event.keys()
    assert [(event["name"], event["ts"], event["dur"], event["tid"]) for event in complete] == [
        ("first", 0, 4000, 1),
        ("call", 1000, 2000, 1),
        ("second", 5000, 1000, 1),
    ]
    assert complete[2]["args"]["error"] == "ValueError"
    (instant,) = [event for event in trace["traceEvents"] if event["ph"] == "i"]
    assert (instant["name"], instant["ts"]) == ("size", 2000)
    assert trace["otherData"]["start_unix_nano"] == str(1_800_000_000 * 10**9 + 1_000_000)


def test_overlapping_siblings_lie_in_lanes_of_their_own(ticking: PerformanceTracer) -> None:
    tracer = ticking
    run = tracer.start_span("run")
    first, second = tracer.start_span("a", run), tracer.start_span("b", run)
    tracer.end_span(first)
    tracer.end_span(second)
    tracer.end_span(tracer.start_span("c", run))
    tracer.end_span(run)
    events = json.loads(tracer.export_traces("chrome"))["traceEvents"]
    lanes = {event["name"]: event["tid"] for event in events if event["ph"] == "X"}
    assert lanes == {"run": 1, "a": 1, "b": 2, "c": 1}


def test_parent_and_child_of_one_instant_share_a_lane(tracer: PerformanceTracer) -> None:
    with tracer.span("run") as run, tracer.span("call") as call:
        pass
    for span in (run, call):
        assert isinstance(span, Span)
        span.start_ns, span.end_ns = 5, 9
    (lane,) = assign_lanes(tracer.finished_spans())
    assert [span.name for span in lane] == ["run", "call"]


def test_speedscope_profile_opens_and_closes_every_span_in_order(
    ticking: PerformanceTracer,
) -> None:
    tracer = ticking
    record_two_traces(tracer)
    document = json.loads(tracer.export_traces("speedscope"))
    names = [frame["name"] for frame in document["shared"]["frames"]]
    (profile,) = document["profiles"]
    assert (profile["type"], profile["startValue"], profile["endValue"]) == (
        "evented",
        0,
        6_000_000,
    )
    assert [
        (event["type"], names[event["frame"]], event["at"] // 10**6) for event in profile["events"]
    ] == [
        ("O", "first", 0),
        ("O", "call", 1),
        ("C", "call", 3),
        ("C", "first", 4),
        ("O", "second", 5),
        ("C", "second", 6),
    ]


@pytest.mark.parametrize("format_name", ["json", "chrome", "speedscope"])
def test_export_of_nothing_is_a_valid_document(format_name: str) -> None:
    assert json.loads(PerformanceTracer().export_traces(format_name))


def test_unknown_format_is_a_usage_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'xml'") as caught:
        PerformanceTracer().export_traces("xml")
    assert "json, jsonl, chrome, speedscope" in caught.value.hint


# --- trace_function ------------------------------------------------------------------------------


def test_traced_function_records_a_span_per_call(tracer: PerformanceTracer) -> None:
    @trace_function(name="double", attributes={"kind": "math"})
    def double(number: int) -> int:
        """Return twice the number."""
        return 2 * number

    assert double(1) == 2
    with tracer.span("run"):
        assert double(number=2) == 4
    assert parents(tracer) == {"double": "run", "run": None}
    assert tracer.finished_spans()[0].attributes == {"kind": "math"}
    assert (double.__name__, double.__doc__) == ("double", "Return twice the number.")


def test_facts_of_one_call_do_not_reach_the_next(tracer: PerformanceTracer) -> None:
    @trace_function(attributes={"kind": "math"})
    def note(**facts: int) -> None:
        span = current_span()
        assert span is not None
        span.set(**facts)

    with tracer.span("run"):
        note(first=1)
        note(second=2)
    first, second, _ = tracer.finished_spans()
    assert first.attributes == {"kind": "math", "first": 1}
    assert second.attributes == {"kind": "math", "second": 2}


@pytest.mark.anyio
async def test_traced_coroutine_lasts_as_long_as_it_is_awaited(tracer: PerformanceTracer) -> None:
    @trace_function
    async def work() -> str:
        with trace_span("inside"):
            await asyncio.sleep(0)
        return "done"

    assert inspect.iscoroutinefunction(work)
    with tracer.span("run"):
        assert await work() == "done"
    assert list(parents(tracer).values())[:2] == [work.__qualname__, "run"]


@trace_function(name="numbers")
def numbers(received: list[Any]) -> Generator[int, Any, str]:
    with trace_span("inside"):
        received.append((yield 1))
        with trace_span("deep"):
            pass
    try:
        received.append((yield 2))
    except KeyError:
        received.append("thrown")
        yield 3
    return "end"


def test_traced_generator_is_ambient_for_itself_only(tracer: PerformanceTracer) -> None:
    received: list[Any] = []
    with tracer.span("run") as run:
        generator = numbers(received)
        assert next(generator) == 1
        # The span that the body itself holds open is not visible here either.
        assert current_span() is run
        assert generator.send("sent") == 2
        assert generator.throw(KeyError("x")) == 3
        with pytest.raises(StopIteration) as stop:
            next(generator)
    assert stop.value.value == "end"
    assert received == ["sent", "thrown"]
    assert parents(tracer) == {"deep": "inside", "inside": "numbers", "numbers": "run", "run": None}


def test_traced_generator_without_a_trace_passes_everything_through() -> None:
    received: list[Any] = []
    generator = numbers(received)
    assert (next(generator), generator.send("sent"), generator.throw(KeyError("x"))) == (1, 2, 3)
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"


@pytest.mark.parametrize("leave", ["close", "collect"])
def test_traced_generator_that_is_not_exhausted_ends_its_span(
    tracer: PerformanceTracer, leave: str
) -> None:
    with tracer.span("run"):
        generator = numbers([])
        next(generator)
        if leave == "close":
            generator.close()
        del generator
        gc.collect()
    assert parents(tracer)["numbers"] == "run"
    assert {span.error for span in tracer.finished_spans()} == {None}


def test_traced_generator_that_fails_marks_its_span(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        generator = numbers([])
        next(generator)
        with pytest.raises(RuntimeError):
            generator.throw(RuntimeError("x"))
    errors = {span.name: span.error for span in tracer.finished_spans()}
    assert errors == {"inside": "RuntimeError", "numbers": "RuntimeError", "run": None}


@trace_function(name="stream")
async def stream(received: list[Any]) -> AsyncGenerator[int, Any]:
    with trace_span("inside"):
        await asyncio.sleep(0)
        received.append((yield 1))
        with trace_span("deep"):
            pass
    try:
        yield 2
    except KeyError:
        received.append("thrown")
        yield 3


@pytest.mark.anyio
@pytest.mark.parametrize("has_trace", [True, False])
async def test_traced_async_generator_passes_everything_through(
    tracer: PerformanceTracer, *, has_trace: bool
) -> None:
    received: list[Any] = []
    with tracer.span("run") if has_trace else NOOP_SPAN:
        around = current_span()
        generator = stream(received)
        assert await generator.__anext__() == 1
        assert current_span() is around
        assert await generator.asend("sent") == 2
        assert await generator.athrow(KeyError("x")) == 3
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
    assert received == ["sent", "thrown"]
    whole = {"deep": "inside", "inside": "stream", "stream": "run", "run": None}
    assert parents(tracer) == (whole if has_trace else {})


@pytest.mark.anyio
async def test_traced_async_generator_closed_in_another_task_ends_its_span(
    tracer: PerformanceTracer,
) -> None:
    with tracer.span("run"):
        generator = stream([])
        await generator.__anext__()
        await asyncio.create_task(_close(generator))
        with trace_span("after"):
            pass
    assert parents(tracer) == {"inside": "stream", "stream": "run", "after": "run", "run": None}
    assert {span.error for span in tracer.finished_spans()} == {None}


@pytest.mark.anyio
async def test_held_span_is_not_current_for_the_consumer(tracer: PerformanceTracer) -> None:
    async def turns() -> AsyncIterator[int]:
        with held_span("turn"):
            yield 1

    with tracer.span("run"):
        async for _ in turns():
            with trace_span("consumer"):
                pass
    assert parents(tracer) == {"consumer": "run", "turn": "run", "run": None}
    assert held_span("orphan") is NOOP_SPAN


@pytest.mark.parametrize("target", ["load", staticmethod(len), property(len)])
def test_trace_function_on_something_else_is_a_usage_error(target: Any) -> None:
    with pytest.raises(UsageError, match="not a function"):
        trace_function(target)


@pytest.mark.anyio
async def test_traced_functions_without_a_trace_just_run() -> None:
    @trace_function(name="coroutine")
    async def wait() -> int:
        return 1

    @trace_function(name="plain")
    def plain() -> int:
        return 2

    assert (await wait(), plain()) == (1, 2)
    assert ambient_span() is None


def test_event_is_noted_on_the_ambient_span_or_nowhere(tracer: PerformanceTracer) -> None:
    note_event("lost")
    with tracer.span("run"):
        note_event("first_token")
    (span,) = tracer.finished_spans()
    assert [name for _, name, _ in span.events or ()] == ["first_token"]


def test_traced_callable_object_is_named_after_its_class(tracer: PerformanceTracer) -> None:
    class Doubler:
        def __call__(self, number: int) -> int:
            return 2 * number

    with tracer.span("run"):
        assert trace_function(Doubler())(2) == 4
    assert tracer.finished_spans()[0].name == Doubler.__qualname__

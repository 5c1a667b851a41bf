"""Whatever asyncio and threads do to spans: no context error, every parent right, no span lost."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.tracing import current_span, trace_span
from sdk_workflow.core.performance import PerformanceTracer, bind, trace_function
from sdk_workflow.runtime import build_runtime
from sdk_workflow.tools.schema import tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator

    from sdk_workflow._internal.tracing import Span

pytestmark = pytest.mark.anyio


@pytest.fixture
def tracer() -> PerformanceTracer:
    return PerformanceTracer()


@pytest.fixture(autouse=True)
def nothing_is_complained_about(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test after which the event loop, a generator or a context has logged a fault."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def parents(tracer: PerformanceTracer) -> dict[str, str | None]:
    """Return the name of each span -> the name of the span above it."""
    spans = tracer.finished_spans()
    names = {span.span_id: span.name for span in spans}
    assert len(set(names.values())) == len(spans), "the test needs a name for each span"
    return {span.name: names.get(span.parent_id) for span in spans}


def span_named(tracer: PerformanceTracer, name: str) -> Span:
    return next(span for span in tracer.finished_spans() if span.name == name)


def milliseconds(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e6


# --- generators ----------------------------------------------------------------------------------


async def spanned(name: str, items: int = 3) -> AsyncGenerator[int, None]:
    with trace_span(name):
        for number in range(items):
            with trace_span(f"{name} {number}"):
                await asyncio.sleep(0)
            yield number


async def test_generators_closed_in_another_task_leave_every_later_parent_right(
    tracer: PerformanceTracer,
) -> None:
    with tracer.span("run"):
        for number in range(20):
            generator = spanned(f"stream {number}")
            await generator.__anext__()
            await asyncio.create_task(close(generator))
            with trace_span(f"after {number}"):
                pass
    found = parents(tracer)
    assert len(found) == 1 + 20 * 3
    for number in range(20):
        assert found[f"stream {number}"] == found[f"after {number}"] == "run"
        assert found[f"stream {number} 0"] == f"stream {number}"


async def close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


async def test_generator_read_by_a_task_per_item_keeps_its_tree(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        generator = spanned("stream", items=5)
        seen = [await asyncio.create_task(anext(generator)) for _ in range(5)]
        await asyncio.create_task(close(generator))
        assert current_span() is not None
    found = parents(tracer)
    assert seen == list(range(5))
    assert found["stream"] == "run"
    assert len(found) == 7


async def test_abandoned_async_generators_record_their_spans_when_collected(
    tracer: PerformanceTracer,
) -> None:
    with tracer.span("run"):
        for number in range(10):
            await anext(traced(f"stream {number}"))  # nobody keeps it
        gc.collect()
        for _ in range(5):  # the loop closes what was collected
            await asyncio.sleep(0)
        with trace_span("after"):
            pass
    found = parents(tracer)
    assert len(found) == 1 + 10 * 2 + 1
    assert found["after"] == "run"
    assert {found[f"stream {number}"] for number in range(10)} == {"run"}


def traced(name: str) -> AsyncGenerator[int, None]:
    @trace_function(name=name)
    async def items() -> AsyncGenerator[int, None]:
        with trace_span(f"{name} 0"):
            yield 0
        yield 1

    return items()


async def test_consumers_own_spans_stay_with_the_consumer(tracer: PerformanceTracer) -> None:
    with tracer.span("run"):
        async for number in traced_numbers():
            with trace_span(f"consumer {number}"):
                await asyncio.sleep(0)
    found = parents(tracer)
    assert [found[f"consumer {number}"] for number in range(3)] == ["run"] * 3
    assert [found[f"inside {number}"] for number in range(3)] == ["numbers"] * 3


@trace_function(name="numbers")
async def traced_numbers() -> AsyncGenerator[int, None]:
    for number in range(3):
        with trace_span(f"inside {number}"):
            await asyncio.sleep(0)
        yield number


# --- tasks, threads, executors -------------------------------------------------------------------


async def test_gather_of_a_thousand_keeps_every_branch_apart(tracer: PerformanceTracer) -> None:
    async def branch(number: int) -> None:
        with trace_span(f"branch {number}"):
            await asyncio.sleep(0)
            with trace_span(f"twig {number}"):
                await asyncio.sleep(number % 7 / 10_000)

    with tracer.span("run"):
        await asyncio.gather(*(branch(number) for number in range(1_000)))
    found = parents(tracer)
    assert len(found) == 2_001
    assert all(found[f"branch {number}"] == "run" for number in range(1_000))
    assert all(found[f"twig {number}"] == f"branch {number}" for number in range(1_000))
    assert tracer.dropped_spans == 0


async def test_cancellation_in_the_middle_of_many_spans_loses_none(
    tracer: PerformanceTracer,
) -> None:
    async def branch(number: int) -> None:
        with trace_span(f"branch {number}"), trace_span(f"waiting {number}"):
            await asyncio.Event().wait()

    with tracer.span("run"):
        tasks = [asyncio.create_task(branch(number)) for number in range(200)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found = parents(tracer)
    assert len(found) == 401
    assert all(found[f"waiting {number}"] == f"branch {number}" for number in range(200))
    assert span_named(tracer, "waiting 7").error == "CancelledError"
    assert span_named(tracer, "run").error is None


async def test_threads_of_to_thread_hang_under_their_caller(tracer: PerformanceTracer) -> None:
    def work(number: int) -> None:
        with trace_span(f"thread {number}"):
            pass

    async def branch(number: int) -> None:
        with trace_span(f"branch {number}"):
            await asyncio.to_thread(work, number)

    with tracer.span("run"):
        await asyncio.gather(*(branch(number) for number in range(30)))
    found = parents(tracer)
    assert all(found[f"thread {number}"] == f"branch {number}" for number in range(30))


async def test_bound_function_carries_the_trace_into_an_executor_many_times_at_once(
    tracer: PerformanceTracer,
) -> None:
    gate = threading.Barrier(4, timeout=30)

    def work(number: int) -> int:
        """Do something that others do at the same time."""
        gate.wait()  # four of the same bound function at once
        with trace_span(f"job {number}"):
            return number

    with ThreadPoolExecutor(4) as pool, tracer.span("run"):
        bound = bind(work)
        results = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, bound, n) for n in range(8))
        )
        unbound = pool.submit(current_span).result()
    found = parents(tracer)
    assert results == list(range(8))
    assert all(found[f"job {number}"] == "run" for number in range(8))
    assert bound.__doc__ == work.__doc__
    assert unbound is None  # what a thread sees without it


async def test_bound_function_of_an_ended_span_hangs_under_the_running_one_above(
    tracer: PerformanceTracer,
) -> None:
    def work() -> None:
        with trace_span("late"):
            pass

    with tracer.span("run"):
        with tracer.span("short"):
            bound = bind(work)
        bound()
    assert parents(tracer)["late"] == "run"


async def test_nested_spans_of_two_tracers_end_in_any_order(tracer: PerformanceTracer) -> None:
    other = PerformanceTracer()
    outer, inner = tracer.span("outer"), other.span("inner")
    outer.__enter__()
    inner.__enter__()
    outer.end()
    with trace_span("nearest"):
        pass
    inner.end()
    assert current_span() is None
    assert parents(other) == {"nearest": "inner", "inner": None}
    assert parents(tracer) == {"outer": None}


async def test_exception_groups_and_reraised_errors_end_each_span_once(
    tracer: PerformanceTracer,
) -> None:
    async def fail(number: int) -> None:
        with trace_span(f"branch {number}"):
            await asyncio.sleep(0)
            raise ValueError(number)

    with pytest.raises(ValueError, match="0"), tracer.span("run"):
        await asyncio.gather(*(fail(number) for number in range(10)))
    for _ in range(3):
        await asyncio.sleep(0)
    errors = [span.error for span in tracer.finished_spans()]
    assert errors == ["ValueError"] * 11


# --- all four kinds of functions -----------------------------------------------------------------


async def test_traced_functions_of_all_four_kinds_nest_in_one_another(
    tracer: PerformanceTracer,
) -> None:
    @trace_function(name="plain")
    def plain() -> int:
        return 1

    @trace_function(name="generator")
    def generate() -> Generator[int, None, None]:
        yield plain()

    @trace_function(name="coroutine")
    async def wait() -> int:
        await asyncio.sleep(0)
        return sum(generate())

    @trace_function(name="async generator")
    async def stream() -> AsyncGenerator[int, None]:
        yield await wait()

    with tracer.span("run"):
        assert [item async for item in stream()] == [1]
    assert parents(tracer) == {
        "plain": "generator",
        "generator": "coroutine",
        "coroutine": "async generator",
        "async generator": "run",
        "run": None,
    }


async def test_traced_functions_fail_with_their_error_on_every_span(
    tracer: PerformanceTracer,
) -> None:
    @trace_function(name="generator")
    def generate() -> Generator[int, None, None]:
        yield 1
        raise KeyError("x")

    @trace_function(name="async generator")
    async def stream() -> AsyncGenerator[int, None]:
        for item in generate():
            yield item

    with pytest.raises(KeyError), tracer.span("run"):
        _ = [item async for item in stream()]
    assert [(span.name, span.error) for span in tracer.finished_spans()] == [
        ("generator", "KeyError"),
        ("async generator", "KeyError"),
        ("run", "KeyError"),
    ]


# --- sessions ------------------------------------------------------------------------------------


async def test_session_inside_a_tool_of_a_session_hangs_under_that_tool() -> None:
    async with build_runtime(backend="simulator", model="haiku", cache_mode="off") as runtime:

        @tool
        async def delegate(text: str) -> str:
            """Ask another agent.

            Args:
                text: The question.
            """
            async with runtime.session() as inner:
                return (await inner.message(text)).text

        async with runtime.session(tools=[delegate]) as outer:
            result = await outer.message("Use delegate to ask: what is two and two?")
        spans = {span.span_id: span for span in runtime.tracer.finished_spans()}
    assert [record.name for record in result.tool_calls] == ["delegate"]
    roots = [span for span in spans.values() if not span.parent_id]
    agents = [span for span in spans.values() if span.name == "invoke_agent"]
    assert len(roots) == 1
    (inner_agent,) = [span for span in agents if span.parent_id]
    assert len({span.trace_id for span in spans.values()}) == 1
    above = []
    span: Span | None = inner_agent
    while span is not None:
        above.append(span.name)
        span = spans.get(span.parent_id)
    assert above[-2:] == ["execute_tool delegate", "invoke_agent"]


async def test_many_sessions_at_once_are_as_many_whole_traces() -> None:
    async with build_runtime(backend="simulator", model="haiku", cache_mode="off") as runtime:

        async def ask(number: int) -> str | None:
            async with runtime.session() as session:
                return (await session.message(f"Question {number}")).trace_id

        traces = await asyncio.gather(*(ask(number) for number in range(25)))
        spans = runtime.tracer.finished_spans()
    by_id = {span.span_id: span for span in spans}
    assert len(set(traces)) == 25
    assert {f"{span.trace_id:032x}" for span in spans} == set(traces)
    for span in spans:
        if span.parent_id:
            assert by_id[span.parent_id].trace_id == span.trace_id


# --- latencies -----------------------------------------------------------------------------------


async def test_latencies_on_a_virtual_clock_are_those_of_the_clock() -> None:
    clock = VirtualClock()
    tracer = PerformanceTracer(clock=clock)

    async def wait(seconds: float) -> None:
        with trace_span(f"wait {seconds:g}"):
            await clock.sleep(seconds)

    with tracer.span("run"):
        tasks = [asyncio.create_task(wait(seconds)) for seconds in (0.25, 1.5, 3600)]
        for _ in range(5):
            await asyncio.sleep(0)
        for step in (0.25, 1.25, 3598.5):
            clock.advance(step)
            for _ in range(5):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    assert abs(milliseconds(span_named(tracer, "wait 0.25")) - 250) < 5
    assert abs(milliseconds(span_named(tracer, "wait 1.5")) - 1500) < 5
    assert abs(milliseconds(span_named(tracer, "wait 3600")) - 3_600_000) < 5
    assert abs(milliseconds(span_named(tracer, "run")) - 3_600_000) < 5


async def test_latencies_on_the_real_clock_are_those_of_an_independent_one() -> None:
    tracer = PerformanceTracer()
    measured: dict[str, tuple[float, float]] = {}

    async def wait(number: int) -> None:
        looks = [time.monotonic()]
        with trace_span(f"wait {number}"):
            looks.append(time.monotonic())
            await asyncio.sleep(0.01 * number)
            looks.append(time.monotonic())
        inside, around = looks[2] - looks[1], time.monotonic() - looks[0]
        measured[f"wait {number}"] = inside * 1000, around * 1000

    with tracer.span("run"):
        await asyncio.gather(*(wait(number) for number in range(1, 6)))
    for name, (inside, around) in measured.items():
        assert inside - 5 <= milliseconds(span_named(tracer, name)) <= around + 5


async def test_wall_clock_of_a_span_is_that_of_the_machine() -> None:
    tracer = PerformanceTracer()
    before = time.time()
    with tracer.span("run") as run:
        pass
    after = time.time()
    summary = tracer.get_span_summary(f"{run.span_id:016x}")
    from datetime import datetime

    started = datetime.fromisoformat(summary["started_at"].replace("Z", "+00:00")).timestamp()
    assert before - 0.005 <= started <= after + 0.005

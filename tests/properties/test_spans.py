"""However spans are opened and closed, none is lost and every parent is the right one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdk_workflow._internal.tracing import Span, current_span
from sdk_workflow.core.lanes import assign_lanes
from sdk_workflow.core.performance import PerformanceTracer
from tests.strict_otlp import parsed_spans

if TYPE_CHECKING:
    from sdk_workflow._internal.tracing import NoopSpan


class SpansMachine(RuleBasedStateMachine):
    """Opens ambient and explicit spans, and closes any of them in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.tracer = PerformanceTracer()
        self.entered: list[Span] = []  # in the order in which they were entered
        self.by_id: list[str] = []
        self.expected: dict[int, int] = {}

    @rule()
    def enter(self) -> None:
        above = self._innermost()
        span = self.tracer.span(f"span {len(self.expected)}")
        assert isinstance(span, Span)
        span.__enter__()
        self.entered.append(span)
        self.expected[span.span_id] = 0 if above is None else above.span_id

    @rule()
    def start_by_id(self) -> None:
        above = self._innermost()
        span_id = self.tracer.start_span(f"span {len(self.expected)}")
        self.by_id.append(span_id)
        self.expected[int(span_id, 16)] = 0 if above is None else above.span_id

    @precondition(lambda self: self.by_id)
    @rule(data=st.data())
    def start_under_an_id(self, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(self.by_id))
        span_id = self.tracer.start_span("child", parent)
        self.by_id.append(span_id)
        self.expected[int(span_id, 16)] = int(parent, 16)

    @precondition(lambda self: self.entered)
    @rule(data=st.data())
    def end_any(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.entered)).end()

    @precondition(lambda self: self.by_id)
    @rule(data=st.data())
    def end_by_id(self, data: st.DataObject) -> None:
        self.tracer.end_span(data.draw(st.sampled_from(self.by_id)))

    @invariant()
    def innermost_running_span_is_ambient(self) -> None:
        assert current_span() is self._innermost()

    def teardown(self) -> None:
        for span in self.entered:
            span.end()
        for span_id in self.by_id:
            self.tracer.end_span(span_id)
        recorded = {span.span_id: span.parent_id for span in self.tracer.finished_spans()}
        assert recorded == self.expected
        assert len(parsed_spans(self.tracer.export_traces())) == len(self.expected)
        assert current_span() is None

    def _innermost(self) -> Span | None:
        return next((span for span in reversed(self.entered) if not span.is_done), None)


TestSpans = SpansMachine.TestCase


class Shelf:
    record_content = False

    def now_ns(self) -> int:
        return 1

    def record(self, span: Span) -> None:
        """Keep nothing."""


@st.composite
def span_lists(draw: Any) -> list[Span]:
    spans: list[Span] = []
    for number in range(draw(st.integers(0, 25))):
        parent = draw(st.sampled_from(spans)) if spans and draw(st.booleans()) else None
        span = Span(f"span {number}", Shelf(), parent, {})
        span.start_ns = draw(st.integers(1, 50))
        span.end_ns = span.start_ns + draw(st.integers(0, 50))
        spans.append(span)
    return sorted(spans, key=lambda span: span.end_ns)


@given(span_lists())
def test_lanes_hold_every_span_once_and_nothing_that_overlaps(spans: list[Span]) -> None:
    lanes = assign_lanes(spans)
    assert sorted(id(span) for lane in lanes for span in lane) == sorted(map(id, spans))
    for lane in lanes:
        around: list[Span] = []
        for span in lane:
            while around and around[-1].end_ns <= span.start_ns:
                around.pop()
            assert not around or around[-1].end_ns >= span.end_ns
            assert not around or around[-1].span_id == span.parent_id
            around.append(span)


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3)), max_size=15))
def test_every_export_of_nested_spans_is_balanced(shape: list[tuple[str, int]]) -> None:
    tracer = PerformanceTracer()
    with ExitStack() as stack:
        for name, closes in shape:
            stack.enter_context(_span(tracer, name))
            if closes == 0:
                stack.close()
    for profile in json.loads(tracer.export_traces("speedscope"))["profiles"]:
        opened: list[int] = []
        for event in profile["events"]:
            if event["type"] == "O":
                opened.append(event["frame"])
            else:
                assert opened.pop() == event["frame"]
        assert opened == []
        times = [event["at"] for event in profile["events"]]
        assert times == sorted(times)


def _span(tracer: PerformanceTracer, name: str) -> Span | NoopSpan:
    return tracer.span(name)

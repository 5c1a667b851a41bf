"""Our OTLP/JSON is, field by field, what the official encoder makes of the same spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow.core.genai_names import chat_attributes, reply_attributes
from sdk_workflow.core.otlp import traces_text
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.types import Call, Reply, Usage
from tests.strict_otlp import parse_otlp

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.common.trace_encoder",
    reason="the official encoder is not installed",
)

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from sdk_workflow._internal.version import __version__
from sdk_workflow.core.otel_bridge import readable_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow._internal.tracing import Span

OFFSET_NS = 1_700_000_000_000_000_000
RESOURCE: dict[str, Any] = {"service.name": "shop", "sdk_workflow.dropped_spans": 3}
_SAMPLED = 1

values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
attributes = st.dictionaries(st.text(max_size=8), values, max_size=5)


def assert_equal(spans: Sequence[Span], semconv: Any = "2026.11") -> None:
    ours = parse_otlp(traces_text(spans, offset_ns=OFFSET_NS, resource=RESOURCE, semconv=semconv))
    scope = InstrumentationScope("sdk_workflow", __version__)
    readable = [
        ReadableSpan(
            **readable_facts(span, offset_ns=OFFSET_NS, semconv=semconv),
            resource=Resource(RESOURCE),
            instrumentation_scope=scope,
        )
        for span in spans
    ]
    (official,) = encode_spans(readable).resource_spans
    for span in official.scope_spans[0].spans:
        # The official encoder leaves out the W3C flags, which the protocol has in these bits.
        span.flags |= _SAMPLED
    (written,) = ours.resource_spans
    assert written == official


def test_whole_trace_of_calls_equals_the_official_encoding() -> None:
    tracer = PerformanceTracer()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = Reply(
        id="msg_1", model="m", content=(), stop_reason="end_turn", usage=Usage(input_tokens=3)
    )
    with tracer.span("run", parent=parent):
        with tracer.span("chat m", **chat_attributes(Call(model="m", messages=()))) as chat:
            chat.add_event("first_token")
            chat.set(**reply_attributes(reply))
        tracer.record_metric("size", 12.5, "By")
        with tracer.span("step", nothing=None, deep={"a": [1, None, {"b": True}]}) as step:
            step.fail(ValueError("x"))
    assert len(tracer.finished_spans()) == 3
    assert_equal(tracer.finished_spans())
    assert_equal(tracer.finished_spans(), "1.36")


@settings(max_examples=150)
@given(st.lists(st.tuples(st.text(max_size=8), attributes, st.booleans()), min_size=1, max_size=4))
def test_any_spans_equal_the_official_encoding(
    drawn: list[tuple[str, dict[str, Any], bool]],
) -> None:
    tracer = PerformanceTracer()
    with tracer.span("root") as root:
        for name, facts, fails in drawn:
            span = tracer.span(name)
            span.set(**facts)
            span.add_event(name, **facts)
            if fails:
                span.fail(f"{name}: failed")
            span.end()
    assert root.is_done
    assert_equal(tracer.finished_spans())

"""The spans around calls and counts."""

from __future__ import annotations

import pytest

from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import OverloadedError
from sdk_workflow.middleware.tracing import trace_call, trace_count
from sdk_workflow.types import Call
from tests.scripted import ScriptedTransport, text_reply

pytestmark = pytest.mark.anyio

CALL = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},), session_id="s")


async def test_a_call_is_a_span_with_what_the_reply_reports() -> None:
    tracer = PerformanceTracer()
    with tracer.span("run"):
        await trace_call(CALL, ScriptedTransport(text_reply("Hi")).send)
    span = next(each for each in tracer.finished_spans() if each.name == "chat claude-haiku-5-5")
    assert span.attributes["gen_ai.usage.output_tokens"] == 10


async def test_a_count_is_a_span_with_the_tokens_that_were_counted() -> None:
    tracer = PerformanceTracer()
    with tracer.span("run"):
        counted = await trace_count(CALL, ScriptedTransport(text_reply("")).count_tokens)
    span = next(
        each for each in tracer.finished_spans() if each.name == "count_tokens claude-haiku-5-5"
    )
    assert counted == span.attributes["gen_ai.usage.input_tokens"] == 42
    assert span.attributes["gen_ai.operation.name"] == "count_tokens"
    assert span.attributes["gen_ai.conversation.id"] == "s"


async def test_a_count_that_fails_is_a_span_with_its_error() -> None:
    tracer = PerformanceTracer()
    with tracer.span("run"), pytest.raises(OverloadedError):
        await trace_count(CALL, ScriptedTransport(OverloadedError("busy")).count_tokens)
    span = next(each for each in tracer.finished_spans() if each.name.startswith("count_tokens"))
    assert span.error is not None

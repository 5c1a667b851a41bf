"""One span per logical call or count, under whatever span is ambient; every attempt included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.tracing import ambient_span, trace_span
from sdk_workflow.core.genai_content import call_content, reply_content
from sdk_workflow.core.genai_names import (
    NAMES,
    chat_attributes,
    count_attributes,
    reply_attributes,
)

if TYPE_CHECKING:
    from sdk_workflow._internal.pipeline import Ask
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call, Reply

__all__ = ["trace_call", "trace_count"]


async def trace_call(call: Call, proceed: Proceed) -> Reply:
    """Open a `chat` span around the call and note what the reply reports."""
    if ambient_span() is None:
        return await proceed(call)
    with trace_span(f"chat {call.model}", chat_attributes(call)) as span:
        if span.records_content:
            span.set(**call_content(call))
        reply = await proceed(call)
        span.set(**reply_attributes(reply))
        if span.records_content:
            span.set(**reply_content(reply))
        return reply


async def trace_count(call: Call, proceed: Ask[int]) -> int:
    """Open a `count_tokens` span around the count of a prompt and note what came of it."""
    with trace_span(f"count_tokens {call.model}", count_attributes(call)) as span:
        tokens = await proceed(call)
        span.set(**{NAMES["input_tokens"]: tokens})
        return tokens

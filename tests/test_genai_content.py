"""What is recorded of prompts, replies and tools: nothing, unless it is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdk_workflow._internal.tracing import NOOP_SPAN
from sdk_workflow.core.genai_content import call_content, reply_content, tool_input_content
from sdk_workflow.core.genai_names import NAMES, renamed, run_metrics
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.middleware.tracing import trace_call
from sdk_workflow.runtime import build_runtime
from sdk_workflow.tools.schema import tool
from sdk_workflow.types import Call, Reply, ToolCall, Usage
from tests.scripted import ScriptedTransport, text_reply

SECRET = "the secret"
CALL = Call(
    model="m",
    messages=(
        {"role": "user", "content": SECRET},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "x"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "y"}]},
        {"role": "user", "content": [{"type": "image", "source": {"data": b"raw"}}]},
    ),
    system="Be brief.",
    tools=({"name": "read", "description": "Reads.", "input_schema": {"type": "object"}},),
)


def decoded(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in attributes.items()}


def test_call_is_written_in_the_shape_of_the_published_schemas() -> None:
    assert decoded(call_content(CALL)) == {
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": SECRET}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "hm"},
                    {"type": "tool_call", "id": "t1", "name": "read", "arguments": {"path": "x"}},
                ],
            },
            {
                "role": "user",
                "parts": [{"type": "tool_call_response", "id": "t1", "response": "y"}],
            },
            {"role": "user", "parts": [{"type": "image", "source": {"data": "raw"}}]},
        ],
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.tool.definitions": [
            {
                "type": "function",
                "name": "read",
                "description": "Reads.",
                "parameters": {"type": "object"},
            }
        ],
    }


def test_call_without_system_and_tools_names_neither() -> None:
    question = Call(model="m", messages=({"role": "user", "content": "Hi"},))
    assert set(call_content(question)) == {"gen_ai.input.messages"}


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("pause_turn", "pause_turn"), (None, "")],
)
def test_reply_is_one_message_with_its_finish_reason(
    stop_reason: str | None, finish_reason: str
) -> None:
    content = ({"type": "text", "text": SECRET},)
    reply = Reply(id="r", model="m", content=content, stop_reason=stop_reason, usage=Usage())
    assert decoded(reply_content(reply)) == {
        "gen_ai.output.messages": [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": SECRET}],
                "finish_reason": finish_reason,
            }
        ]
    }


def test_arguments_of_a_tool_are_json() -> None:
    call = ToolCall(id="t1", name="read", input={"path": "é"})
    assert tool_input_content(call) == {"gen_ai.tool.call.arguments": '{"path":"é"}'}


@pytest.mark.anyio
@pytest.mark.parametrize("record_content", [False, True])
async def test_chat_span_holds_content_only_where_asked_for(*, record_content: bool) -> None:
    tracer = PerformanceTracer(record_content=record_content)
    with tracer.span("run"):
        await trace_call(CALL, ScriptedTransport(text_reply("the answer")).send)
    exported = tracer.export_traces()
    assert (SECRET in exported) is record_content
    assert ("the answer" in exported) is record_content


@pytest.mark.anyio
async def test_call_without_a_trace_is_just_sent() -> None:
    transport = ScriptedTransport(text_reply("the answer"))
    assert (await trace_call(CALL, transport.send)).text == "the answer"
    assert not NOOP_SPAN.records_content


@tool
def shelve(text: str) -> str:
    """Keep a text.

    Args:
        text: The text.
    """
    return f"shelved: {text}"


@pytest.mark.anyio
@pytest.mark.parametrize("record_content", [False, True])
async def test_tool_span_holds_arguments_and_result_only_where_asked_for(
    *, record_content: bool
) -> None:
    tracer = PerformanceTracer(record_content=record_content)
    async with (
        build_runtime(backend="simulator", model="haiku", tracer=tracer) as runtime,
        runtime.session(tools=[shelve]) as session,
    ):
        result = await session.message("Use shelve on: nothing")
    assert len(result.tool_calls) == 1
    (span,) = [each for each in tracer.finished_spans() if each.name == "execute_tool shelve"]
    assert (NAMES["tool_call_arguments"] in span.attributes) is record_content
    assert (NAMES["tool_call_result"] in span.attributes) is record_content
    assert ("shelved" in tracer.export_traces()) is record_content


@pytest.mark.anyio
async def test_span_of_a_run_carries_the_figures_of_the_agent() -> None:
    async with (
        build_runtime(backend="simulator", model="haiku") as runtime,
        runtime.session() as session,
    ):
        result = await session.message("Hi")
    span = runtime.tracer.finished_spans()[-1]
    summary = runtime.tracer.get_span_summary(f"{span.span_id:016x}")
    assert [(item["name"], item["value"], item["unit"]) for item in summary["metrics"]] == [
        ("gen_ai.invoke_agent.duration", result.duration_ms / 1000, "s"),
        ("gen_ai.invoke_agent.inference_calls", 1, "{call}"),
        ("gen_ai.invoke_agent.tool_calls", 0, "{call}"),
    ]
    assert len(run_metrics(result)) == 3


def test_every_name_of_the_newest_version_is_left_as_it_is() -> None:
    names = dict.fromkeys(NAMES.values(), 1)
    assert renamed(names, "2026.11") == names

"""The names of the OpenTelemetry GenAI conventions: the only module that spells them.

Spans are recorded under the newest names; an export for an older back end renames them. It knows
calls and replies, but neither spans nor the tracer. Prompts, replies and tool arguments stay out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.types import Call, Reply, RunResult, ToolCall

__all__ = [
    "NAMES",
    "Semconv",
    "agent_attributes",
    "chat_attributes",
    "count_attributes",
    "is_client_operation",
    "renamed",
    "reply_attributes",
    "run_metrics",
    "tool_attributes",
]

Semconv = Literal["2026.11", "1.36"]
"""A version of the conventions; 2026.11 is the state of their own repository in that month."""

PROVIDER = "anthropic"

NAMES: Mapping[str, str] = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "conversation_id": "gen_ai.conversation.id",
    "request_model": "gen_ai.request.model",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "stream": "gen_ai.request.stream",
    "effort": "gen_ai.request.reasoning.level",
    "response_id": "gen_ai.response.id",
    "response_model": "gen_ai.response.model",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "first_chunk_seconds": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "tool_name": "gen_ai.tool.name",
    "tool_type": "gen_ai.tool.type",
    "tool_call_id": "gen_ai.tool.call.id",
    "tool_call_arguments": "gen_ai.tool.call.arguments",
    "tool_call_result": "gen_ai.tool.call.result",
    "tool_definitions": "gen_ai.tool.definitions",
    "agent_name": "gen_ai.agent.name",
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "system_instructions": "gen_ai.system_instructions",
    "agent_duration": "gen_ai.invoke_agent.duration",
    "agent_inference_calls": "gen_ai.invoke_agent.inference_calls",
    "agent_tool_calls": "gen_ai.invoke_agent.tool_calls",
    "request_id": "anthropic.request.id",
    "served_by": "sdk_workflow.served_by",
}
"""What we mean -> its name in the newest version."""

# What an older version calls differently. A name that it does not have yet stays the newest one:
# a back end shows an unknown name as it is.
_OLDER: Mapping[Semconv, Mapping[str, str]] = {
    "2026.11": {},
    "1.36": {
        NAMES["provider"]: "gen_ai.system",
        NAMES["cache_write_tokens"]: "gen_ai.usage.cache_creation.input_tokens",
    },
}

# Operations whose span stands for a request to another machine.
_CLIENT_OPERATIONS = ("chat", "count_tokens", "embeddings", "retrieval", "fetch_response")


def chat_attributes(call: Call) -> dict[str, Any]:
    """Return what a `chat` span says about its request.

    Example:
        >>> from sdk_workflow.types import Call
        >>> chat_attributes(Call(model="claude-haiku-5-5", messages=()))["gen_ai.request.model"]
        'claude-haiku-5-5'
    """
    parameters = call.parameters
    output_config = parameters.get("output_config")
    return _named(
        operation="chat",
        provider=PROVIDER,
        request_model=call.model,
        max_tokens=call.max_tokens,
        stream=call.emit is not None,
        conversation_id=call.session_id,
        temperature=parameters.get("temperature"),
        top_p=parameters.get("top_p"),
        top_k=parameters.get("top_k"),
        effort=output_config.get("effort") if isinstance(output_config, dict) else None,
    )


def count_attributes(call: Call) -> dict[str, Any]:
    """Return what a `count_tokens` span says about its request."""
    return _named(
        operation="count_tokens",
        provider=PROVIDER,
        request_model=call.model,
        conversation_id=call.session_id,
    )


def reply_attributes(reply: Reply) -> dict[str, Any]:
    """Return what a `chat` span says about its reply.

    The conventions count cached tokens as input, the API's own `input_tokens` does not: here the
    whole prompt is meant.
    """
    usage = reply.usage
    first_token_ms = reply.time_to_first_token_ms
    return _named(
        response_id=reply.id,
        response_model=reply.model,
        finish_reasons=None if reply.stop_reason is None else (reply.stop_reason,),
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens,
        first_chunk_seconds=None if first_token_ms is None else first_token_ms / 1000,
        request_id=reply.request_id,
        served_by=reply.served_by,
    )


def tool_attributes(tool_call: ToolCall) -> dict[str, Any]:
    """Return what an `execute_tool` span says; the arguments are left out."""
    return _named(
        operation="execute_tool",
        tool_name=tool_call.name,
        tool_type="function",
        tool_call_id=tool_call.id,
    )


def agent_attributes(
    name: str, *, model: str | None = None, session_id: str | None = None
) -> dict[str, Any]:
    """Return what an `invoke_agent` span says about one run.

    Args:
        name: The agent's name.
        model: The model that the run starts with.
        session_id: The conversation that the run belongs to.
    """
    return _named(
        operation="invoke_agent",
        provider=PROVIDER,
        agent_name=name,
        request_model=model,
        conversation_id=session_id,
    )


def run_metrics(result: RunResult) -> list[tuple[str, float, str]]:
    """Return the figures of a finished run: name, value and UCUM unit of each."""
    return [
        (NAMES["agent_duration"], result.duration_ms / 1000, "s"),
        (NAMES["agent_inference_calls"], result.turns, "{call}"),
        (NAMES["agent_tool_calls"], len(result.tool_calls), "{call}"),
    ]


def is_client_operation(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a span with these attributes stands for a request to another machine."""
    return attributes.get(NAMES["operation"]) in _CLIENT_OPERATIONS


def renamed(attributes: Mapping[str, Any], semconv: Semconv) -> Mapping[str, Any]:
    """Return the attributes under the names of another version; other names stay as they are.

    Example:
        >>> renamed({"gen_ai.provider.name": "anthropic", "mine": 1}, "1.36")
        {'gen_ai.system': 'anthropic', 'mine': 1}
    """
    older = _OLDER[semconv]
    if not older:
        return attributes
    return {older.get(name, name): value for name, value in attributes.items()}


def _named(**facts: Any) -> dict[str, Any]:
    return {NAMES[key]: value for key, value in facts.items() if value is not None}

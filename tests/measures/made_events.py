"""Events with sensible facts, of which a test names those that it is about."""

from __future__ import annotations

from typing import Any

from sdk_workflow.events import (
    CacheLookedUp,
    CallRetried,
    ModelCallFailed,
    ModelCallFinished,
    RunFailed,
    RunFinished,
    ToolFinished,
)
from sdk_workflow.exceptions import OverloadedError
from sdk_workflow.types import CacheHit, Call, Reply, RunResult, ToolCall, ToolResult, Usage

USAGE = Usage(
    input_tokens=100,
    output_tokens=21,
    cache_read_input_tokens=600,
    cache_write_5m_input_tokens=200,
    cache_write_1h_input_tokens=100,
)


def call(model: str = "claude-haiku-5-5", **fields: Any) -> Call:
    return Call(
        model=model, messages=({"role": "user", "content": "a private question"},), **fields
    )


def replied(
    duration_ms: float = 1_000.0,
    *,
    model: str = "claude-haiku-5-5",
    asked: Call | None = None,
    **fields: Any,
) -> ModelCallFinished:
    facts: dict[str, Any] = {"stop_reason": "end_turn", "usage": USAGE, **fields}
    reply = Reply(id="msg_1", model=model, content=(), **facts)
    return ModelCallFinished(call=asked or call(model), reply=reply, duration_ms=duration_ms)


def cached(duration_ms: float = 0.05) -> ModelCallFinished:
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1.0, usage=USAGE)
    return replied(duration_ms, usage=Usage(), cache_hit=hit, served_by="lru")


def failed(error: BaseException | None = None, duration_ms: float = 50.0) -> ModelCallFailed:
    error = OverloadedError("A private answer.") if error is None else error
    return ModelCallFailed(call=call(), error=error, duration_ms=duration_ms)


def retried(wait_seconds: float = 1.5) -> CallRetried:
    error = OverloadedError("Overloaded.")
    return CallRetried(call=call(), attempt=1, error=error, wait_seconds=wait_seconds)


def looked_up(outcome: Any, tier: Any = "lru", **fields: Any) -> CacheLookedUp:
    return CacheLookedUp(call=call(), tier=tier, outcome=outcome, **fields)


def tool_ended(
    name: str = "read",
    duration_ms: float = 12.0,
    *,
    session_id: str | None = "session-1",
    error_code: str | None = None,
    **arguments: Any,
) -> ToolFinished:
    result = ToolResult(
        tool_call_id="t", content="private", is_error=error_code is not None, error_code=error_code
    )
    return ToolFinished(
        session_id=session_id,
        tool_call=ToolCall(id="t", name=name, input=arguments),
        result=result,
        duration_ms=duration_ms,
    )


def run_ended(
    cost_usd: float | None = 0.02, saved_usd: float | None = 0.5, *, session_id: str = "session-1"
) -> RunFinished:
    result = RunResult(
        text="a private answer",
        stop_reason="end_turn",
        usage=USAGE,
        cost_usd=cost_usd,
        saved_usd=saved_usd,
        served_by="api",
        model="claude-haiku-5-5",
        session_id=session_id,
        trace_id=None,
        turns=1,
        tool_calls=(),
        duration_ms=1.0,
        time_to_first_token_ms=None,
    )
    return RunFinished(session_id=session_id, result=result)


def run_failed(error: BaseException, *, session_id: str = "session-1") -> RunFailed:
    return RunFailed(session_id=session_id, error=error, usage=USAGE, turns=1)

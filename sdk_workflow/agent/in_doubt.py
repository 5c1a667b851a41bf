"""What becomes of a tool call that was under way when the process died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.tools.effects import NotDone
from sdk_workflow.types import ToolResult

if TYPE_CHECKING:
    from sdk_workflow.tools.dispatcher import ToolDispatcher
    from sdk_workflow.types import EffectClass, ToolCall

__all__ = ["settle"]

_REPEATABLE = frozenset({"pure", "idempotent"})
_UNKNOWN = (
    "Outcome unknown: the process ended while this tool was running. It may have done its work, in "
    "part or in full, or not at all. Find out before you call it again."
)


@trace_function(name="tool.settle_in_doubt")
async def settle(
    call: ToolCall, key: str, noted: EffectClass, *, dispatcher: ToolDispatcher
) -> ToolResult | None:
    """Return the result of a call in doubt; None where it is to be run again.

    Args:
        call: The call as it was run.
        key: Its idempotency key.
        noted: The effect class that the tool had when it was called.
        dispatcher: Knows the tool as it is now, and asks its `reconcile`.
    """
    answer = await dispatcher.reconcile(call, key)
    if isinstance(answer, NotDone):
        return None
    if answer is not None:
        return answer
    tool = dispatcher.registry.find(call.name)
    # Both then and now: a tool that has become harmless may have done harm as it was.
    if tool is not None and {tool.effect, noted} <= _REPEATABLE:
        return None
    return ToolResult(
        tool_call_id=call.id, content=_UNKNOWN, is_error=True, error_code="outcome_unknown"
    )

"""Makes the call that writes a shared prefix into the prompt cache and asks for no answer."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.prompt_caching.anatomy import MARK, Mark, bare, prefix_end
from sdk_workflow.core.prompt_caching.breakpoints import place_marks
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.core.prompt_caching.anatomy import Ttl
    from sdk_workflow.types import Call

__all__ = ["prewarming_call"]

_PLACEHOLDER = ({"role": "user", "content": "."},)
# What only shapes an answer; the API refuses some of it where none is asked for.
_OF_THE_ANSWER = frozenset({MARK, "stop_sequences", "diagnostics", "thread"})


def prewarming_call(call: Call, ttl: Ttl) -> Call:
    """Return a call that writes the tools and the system prompt of `call`.

    A placeholder stands for the messages, and the breakpoint in front of it. What belongs to the
    prefix stays: model, speed, thinking and effort, tools. It belongs to no session.

    Raises:
        UsageError: There is no prefix, or thinking has a budget: the API refuses that here.
    """
    if (call.parameters.get("thinking") or {}).get("type") == "enabled":
        raise UsageError(
            "A call with a thinking budget cannot be pre-warmed: the API refuses it.",
            code="prewarm_refused",
            hint="Use adaptive thinking, or send one of the calls ahead of the others.",
        )
    end = prefix_end(call)
    if end is None:
        raise UsageError(
            "There is nothing to pre-warm: the call has neither tools nor a system prompt.",
            code="prewarm_refused",
            hint="Put what the calls share into the system prompt.",
        )
    system = call.system
    if system and not isinstance(system, str):
        system = tuple(bare(block) for block in system)
    blank = dataclasses.replace(
        call,
        max_tokens=0,
        messages=_PLACEHOLDER,
        tools=tuple(bare(tool) for tool in call.tools),
        system=system,
        tool_choice=_choice(call.tool_choice),
        parameters=_parameters(call.parameters),
        operation="prewarm",
        session_id=None,
        emit=None,
    )
    return place_marks(blank, [Mark(end, ttl)])


def _choice(choice: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Force no tool; the choice belongs to the messages, so the prefix stays the same."""
    return None if choice is not None and choice.get("type") in {"any", "tool"} else choice


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in parameters.items() if name not in _OF_THE_ANSWER}
    config = kept.pop("output_config", None)
    if config:
        rest = {name: value for name, value in config.items() if name != "format"}
        if rest:
            kept["output_config"] = rest
    return kept

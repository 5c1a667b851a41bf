"""The loop between model and tools: asks, runs what the model wants, asks again, up to a limit.

It keeps the history valid at every moment: each `tool_use` has its `tool_result`, also where a
run is cancelled half-way or reaches its limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow.agent.history import (
    UNKNOWN_OUTCOME,
    append_answer,
    append_tool_turn,
    asks_for_tools,
    failed_results,
)
from sdk_workflow.agent.state import SessionState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sdk_workflow.types import Message, Reply, ToolCall, ToolResult

__all__ = ["MAX_TURNS", "LoopOutcome", "TurnLoop"]

MAX_TURNS = "max_turns"
"""The stop reason of a run that reached its limit of model calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOutcome:
    """Where the loop ended: the last reply, why, and how many model calls it took."""

    reply: Reply
    stop_reason: str | None
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLoop:
    """One run over a history that it appends to.

    Attributes:
        send: Asks the model about the history.
        run_tools: Runs the tools that a reply asks for; results in the order of the calls.
        move: Reports the session's state.
        max_turns: Model calls at the most.
    """

    send: Callable[[Sequence[Message]], Awaitable[Reply]]
    run_tools: Callable[[Sequence[ToolCall]], Awaitable[Sequence[ToolResult]]]
    move: Callable[[SessionState], None]
    max_turns: int

    async def run(
        self, history: list[Message], *, turns: int = 0, reply: Reply | None = None
    ) -> LoopOutcome:
        """Go on until the model has answered or the limit is reached.

        Args:
            history: The messages so far.
            turns: Model calls that the run has made already.
            reply: The last of their replies, where it is not part of the history yet.
        """
        while True:
            if reply is None:
                reply = await self.send(history)
                turns += 1
            self.move(SessionState.PROCESSING_RESPONSE)
            is_last = turns >= self.max_turns
            if asks_for_tools(reply):
                await self._answer(history, reply, is_last=is_last)
            else:
                append_answer(history, reply)
                if reply.stop_reason != "pause_turn":
                    return LoopOutcome(reply=reply, stop_reason=reply.stop_reason, turns=turns)
            if is_last:
                return LoopOutcome(reply=reply, stop_reason=MAX_TURNS, turns=turns)
            self.move(SessionState.AWAITING_MODEL)
            reply = None

    async def _answer(self, history: list[Message], reply: Reply, *, is_last: bool) -> None:
        """Run the tools of a reply, and append the reply together with its results."""
        results: Sequence[ToolResult] = failed_results(
            reply.tool_calls, "The run reached its limit of turns; this tool was not run."
        )
        try:
            if not is_last:
                self.move(SessionState.EXECUTING_TOOL)
                results = failed_results(reply.tool_calls, UNKNOWN_OUTCOME)
                results = await self.run_tools(reply.tool_calls)
        finally:
            append_tool_turn(history, reply, results)

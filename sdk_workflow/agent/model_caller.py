"""Asks the model about a history: what goes along with the question, and its text as it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.held_emit import UnseenEmit
from sdk_workflow.agent.history import paired
from sdk_workflow.agent.text_listener import TextListener
from sdk_workflow.events import TextDelta
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow._internal.sinks import SinkSet
    from sdk_workflow.agent.options import RunOptions
    from sdk_workflow.agent.run_progress import RunProgress
    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.protocols import MemoryStrategy
    from sdk_workflow.tools.registry import ToolRegistry
    from sdk_workflow.types import Emit, Message, Reply

__all__ = ["ModelCaller"]


@dataclass(slots=True, kw_only=True)
class ModelCaller:
    """One session's way to its model.

    Attributes:
        client: Sends the calls.
        model: The id of the model.
        system: The system prompt.
        registry: The tools that the model is told about.
        memory: Picks what of the history goes along; None for everything.
        sinks: Who sees the text as it arrives.
        session_id: The session that calls and events name.
        last_request: The last call that was sent.
        last_response: The last reply that arrived.
    """

    client: AgentClientManager
    model: str
    system: str | None
    registry: ToolRegistry
    memory: MemoryStrategy | None
    sinks: SinkSet
    session_id: str
    last_request: Call | None = None
    last_response: Reply | None = None

    async def ask(
        self,
        history: Sequence[Message],
        limits: RunOptions,
        progress: RunProgress,
        hold_id: str | None = None,
    ) -> Reply:
        """Send the history and return the reply, which `progress` takes in as well.

        Args:
            history: All messages so far.
            limits: The limits of the run.
            progress: What the run has come to so far.
            hold_id: The name under which a budget holds the cost of the call.
        """
        listener = TextListener(self._show_text, elapsed_ms=progress.elapsed_ms)
        call = Call(
            model=self.model,
            messages=tuple(paired(self.memory.select(history) if self.memory else history)),
            max_tokens=limits.max_tokens,
            system=self.system,
            tools=tuple(spec.to_api() for spec in self.registry.specs()),
            parameters=limits.parameters,
            session_id=self.session_id,
            hold_id=hold_id,
            emit=self._emit_of(listener) if limits.stream else None,
        )
        self.last_request = call
        reply = await self.client.create(call)
        self.last_response = reply
        progress.note_reply(reply, first_text_ms=listener.first_text_ms)
        return reply

    def _emit_of(self, listener: Emit) -> Emit:
        """Return the listener, marked as one that shows nothing where nobody would see it."""
        return listener if self.sinks.take_text else UnseenEmit(listener)

    def _show_text(self, text: str) -> None:
        self.sinks.emit(TextDelta(session_id=self.session_id, text=text))

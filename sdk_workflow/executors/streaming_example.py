"""One prompt, its events shown as they happen: what `sdk_workflow run` does, and a pattern to copy.

It knows no terminal: whoever calls it decides how an event looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.events import EventSink
    from sdk_workflow.types import RunResult

__all__ = ["Execution", "execute"]

_NOTICES = {
    "max_tokens": "The answer was cut off at its limit of output tokens; raise max_tokens.",
    "max_turns": "The run reached its limit of turns before it was done; raise max_turns.",
    "refusal": "The model declined to answer.",
    "model_context_window_exceeded": "The conversation filled the model's context window.",
}
_INCOMPLETE = frozenset({"max_turns", "refusal", "model_context_window_exceeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a run ended: with a result or with an error, and what the user should know about it.

    `session_id` is the session that it ran in; None where none could be opened.
    """

    result: RunResult | None = None
    error: SdkWorkflowError | None = None
    notice: str = ""
    session_id: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the prompt was answered; an answer cut at `max_tokens` still counts."""
        return self.result is not None and self.result.stop_reason not in _INCOMPLETE


@trace_function(name="executor.run")
async def execute(
    prompt: str | None,
    open_session: Callable[..., AgentSession],
    *,
    on_event: EventSink,
    message_options: Mapping[str, Any] | None = None,
    **session_options: Any,
) -> Execution:
    """Answer one prompt and report how it went; typed errors are returned, not raised.

    Args:
        prompt: What to do; None to go on with the session's run that was cut off.
        open_session: Opens a session, such as `Runtime.session`.
        on_event: Sees every event of the session.
        message_options: Fields of `RunOptions` that differ for this prompt.
        **session_options: Handed to `open_session`.
    """
    try:
        session = _setup_agent_client(open_session, on_event, session_options)
    except SdkWorkflowError as error:
        return _handle_execution_error(error)
    async with session:
        try:
            result = await _handle_streaming_response(session, prompt, message_options or {})
        except SdkWorkflowError as error:
            return _handle_execution_error(error, session.session_id)
    return _process_assistant_message(result)


def _setup_agent_client(
    open_session: Callable[..., AgentSession], on_event: EventSink, options: dict[str, Any]
) -> AgentSession:
    """Open the session, with the caller looking on."""
    return open_session(**{**options, "sinks": (*options.get("sinks", ()), on_event)})


async def _handle_streaming_response(
    session: AgentSession, prompt: str | None, options: Mapping[str, Any]
) -> RunResult:
    """Send the prompt; its text reaches the caller's sink while it arrives."""
    if prompt is None:
        return await session.resume(**options)
    return await session.message(prompt, **options)


def _process_assistant_message(result: RunResult) -> Execution:
    """Say what is to be said about the way the model stopped."""
    notice = _NOTICES.get(result.stop_reason or "", "")
    return Execution(result=result, notice=notice, session_id=result.session_id)


def _handle_execution_error(error: SdkWorkflowError, session_id: str | None = None) -> Execution:
    """Keep the typed error and its hint for whoever reports it."""
    return Execution(error=error, notice=error.hint, session_id=session_id)

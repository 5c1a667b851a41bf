"""The facts that event sinks observe.

An event says what has happened; nobody can change or refuse it any more. `wall_time` would be a
second source of truth, so events carry none: a sink that needs the time asks its own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from sdk_workflow.exceptions import LLMError
    from sdk_workflow.types import CacheTier, Call, Reply, RunResult, ToolCall, ToolResult, Usage

__all__ = [
    "BudgetReached",
    "CacheLookedUp",
    "CallRetried",
    "ContextFilling",
    "Event",
    "EventSink",
    "FallbackUsed",
    "ModelCallFailed",
    "ModelCallFinished",
    "ModelCallStarted",
    "PrefixMoved",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "StateChanged",
    "TextDelta",
    "ToolFinished",
    "ToolStarted",
    "shows_no_text",
]

SinkT = TypeVar("SinkT", bound=Callable[..., None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events share: the session that they belong to, where there is one."""

    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A user message was accepted, or a run that was cut off goes on; `text` is the message."""

    text: str
    model: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """The session moved from one state to another; both are the values of `SessionState`."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(Event):
    """A piece of the model's text arrived."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCallStarted(Event):
    """A call to the model is about to go through the client, whoever will answer it.

    One `ModelCallFinished` or `ModelCallFailed` follows.
    """

    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCallFinished(Event):
    """One call to the model returned a reply."""

    call: Call
    reply: Reply
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCallFailed(Event):
    """One call to the model raised; `error` is what the caller sees, or the cancellation."""

    call: Call
    error: BaseException
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetried(Event):
    """An attempt failed and the call is about to be sent again.

    `attempt` is the number of the one that failed, from 1; `wait_seconds` comes before the next.
    """

    call: Call
    attempt: int
    error: LLMError
    wait_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """The model of the call could not answer, and another one is asked instead.

    `fallback` is the name of that model, or "simulator" where answers are made up from here on.
    """

    call: Call
    error: LLMError
    fallback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLookedUp(Event):
    """A response cache was asked for a call, or passed over.

    `reason` says why it was no hit: "absent", "below_threshold", the name of a veto, or the rule
    that keeps the call out of the tier. It never holds text of the prompt.
    """

    call: Call
    tier: CacheTier
    outcome: Literal["hit", "miss", "skipped"]
    reason: str | None = None
    saved_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixMoved(Event):
    """A part of the prompt that should stay the same has changed, so its cache is lost.

    `part` is "tools" or "system"; `reason` says what changed, such as "a date in the text".
    """

    call: Call
    part: Literal["tools", "system"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached(Event):
    """Spending has passed the soft limit, or a call found no room under the hard one."""

    limit: Literal["soft", "hard"]
    limit_usd: float
    spent_usd: float
    held_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFilling(Event):
    """The conversation will not fit the model's window much longer.

    `turns_left` is how many more turns fit at the pace of the last ones; None where unknown.
    """

    used_tokens: int
    window_tokens: int
    turns_left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted(Event):
    """A tool call is about to run."""

    tool_call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(Event):
    """A tool call has its result, good or bad."""

    tool_call: ToolCall
    result: ToolResult
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The session answered the user message."""

    result: RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """The session could not answer; `error` is what the caller sees.

    `usage` and `turns` are what was spent until then.
    """

    error: BaseException
    usage: Usage
    turns: int


EventSink = Callable[[Event], None]
"""May only look. A sink that raises is contained, counted and reported once."""


def shows_no_text(sink: SinkT) -> SinkT:
    """Declare, as a decorator of a function or method, that it does nothing with a `TextDelta`.

    Where nobody else looks on, a reply that breaks off in the middle is asked for again: nothing of
    it was shown. With any other sink it raises, because text would be shown twice.

    Example:
        >>> @shows_no_text
        ... def log_end(event: Event) -> None:
        ...     if isinstance(event, RunFinished):
        ...         print(event.result.cost_usd)
    """
    marked: Any = sink
    marked.takes_text = False
    return sink

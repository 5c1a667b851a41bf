"""How a run looks: events while it goes on, its result at the end, in text or versioned JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Protocol

from sdk_workflow._internal.redaction import redact_text
from sdk_workflow.events import (
    BudgetReached,
    CallRetried,
    ContextFilling,
    FallbackUsed,
    StateChanged,
    TextDelta,
    ToolFinished,
    ToolStarted,
    shows_no_text,
)
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.events import Event
    from sdk_workflow.exceptions import SdkWorkflowError
    from sdk_workflow.executors.streaming_example import Execution
    from sdk_workflow.types import RunResult, ToolCall

__all__ = [
    "RUN_SCHEMA",
    "View",
    "dump",
    "error_object",
    "execution_object",
    "make_view",
    "summary",
    "tell_of_call",
]

RUN_SCHEMA = "sdk_workflow.run/1"

_SHOWN_ARGUMENT_CHARACTERS = 100


class View(Protocol):
    """How one run is shown."""

    def on_event(self, event: Event) -> None:
        """Show what is worth showing of one event."""
        ...

    def finish(self, execution: Execution, backend: str) -> None:
        """Show how the run ended."""
        ...


class TextView:
    """Shows a run to a person: its text on stdout, what the tools do on stderr.

    Args:
        console: Where it goes.
        stream: Whether text is shown as it arrives, also the text between tool calls.
        is_verbose: Whether state changes and whole tool arguments are shown.
    """

    def __init__(self, console: Console, *, stream: bool, is_verbose: bool) -> None:
        self._console = console
        self._stream = stream
        self._is_verbose = is_verbose
        self._is_mid_line = False

    def on_event(self, event: Event) -> None:
        """Show what is worth showing of one event."""
        if isinstance(event, TextDelta):
            self._on_text(event.text)
        elif isinstance(event, (BudgetReached, CallRetried, ContextFilling, FallbackUsed)):
            self._end_line()
            tell_of_call(event, self._console)
        elif isinstance(event, ToolStarted):
            self._console.notice(f"  > {event.tool_call.name} {self._arguments(event.tool_call)}")
        elif isinstance(event, ToolFinished) and event.result.is_error:
            first_line = event.result.content.partition("\n")[0]
            self._console.notice(f"  ! {event.tool_call.name}: {first_line}")
        elif isinstance(event, StateChanged):
            self._end_line()
            if self._is_verbose:
                self._console.notice(f"  . {event.before} -> {event.after}")

    def finish(self, execution: Execution, backend: str) -> None:  # noqa: ARG002 - part of View
        """Show the answer, if it was not streamed already, and what it took."""
        self._end_line()
        result = execution.result
        if result is None:
            return
        if not self._stream and result.text:
            self._console.result(result.text)
        self._console.notice(summary(result))

    def _on_text(self, text: str) -> None:
        if self._stream:
            self._console.result(text, end="")
            self._is_mid_line = not text.endswith("\n")

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._console.result("")
            self._is_mid_line = False

    def _arguments(self, call: ToolCall) -> str:
        text = json.dumps(dict(call.input), ensure_ascii=False)
        if self._is_verbose or len(text) <= _SHOWN_ARGUMENT_CHARACTERS:
            return text
        return f"{text[:_SHOWN_ARGUMENT_CHARACTERS]}..."


class JsonView:
    """Writes one JSON object when the run is over.

    Args:
        console: Where it goes.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Show nothing yet of the run itself."""
        tell_of_call(event, self._console)

    def finish(self, execution: Execution, backend: str) -> None:
        """Write the result or the error."""
        self._console.result(dump(execution_object(execution, backend)))


class JsonLinesView(JsonView):
    """Writes one JSON object per event; the last line is the result or the error."""

    def on_event(self, event: Event) -> None:
        """Write the events that a program can use; the others are left out."""
        line = _event_object(event)
        if line is not None:
            self._console.result(dump({"schema": RUN_SCHEMA, **line}))


def tell_of_call(event: Event, console: Console) -> None:
    """Say that an attempt failed, or that somebody else answers; other events are no news.

    An answer that is made up is announced in spite of `--quiet`.
    """
    if isinstance(event, BudgetReached) and event.limit == "soft":
        limit, spent = f"${event.limit_usd:.4f}", f"${event.spent_usd:.4f}"
        console.notice(f"  ~ The soft limit of {limit} is reached: {spent} is spent.")
    elif isinstance(event, ContextFilling):
        share = event.used_tokens / event.window_tokens
        console.notice(f"  ~ The conversation fills {share:.0%} of the model's context window.")
    elif isinstance(event, CallRetried):
        wait = f"{round(event.wait_seconds, 2):g} s"
        failed = _one_line(event.error)
        console.notice(f"  ~ attempt {event.attempt} failed, next in {wait}: {failed}")
    elif isinstance(event, FallbackUsed):
        failed = f"{event.call.model} could not answer: {_one_line(event.error)}"
        if event.fallback == "simulator":
            console.problem(f"  ~ The simulator makes an answer up, because {failed}")
        else:
            console.notice(f"  ~ {event.fallback} answers instead, because {failed}")


def _one_line(error: SdkWorkflowError) -> str:
    return " ".join(redact_text(str(error), personal=True).split())


def dump(value: Mapping[str, Any]) -> str:
    """Return one line of JSON; what UTF-8 cannot carry is escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace").decode()


def execution_object(execution: Execution, backend: str) -> dict[str, Any]:
    """Return the versioned JSON form of a run's end."""
    if execution.result is None:
        return error_object(execution.error, backend, execution.session_id)
    fields = dataclasses.asdict(execution.result)
    return {
        "schema": RUN_SCHEMA,
        "type": "result",
        # Another process may be simulating behind the API's address; its answers say so.
        "backend": "simulator" if execution.result.served_by == "simulator" else backend,
        "ok": execution.is_complete,
        **fields,
        "notice": execution.notice or None,
    }


def error_object(
    error: SdkWorkflowError | None, backend: str | None = None, session_id: str | None = None
) -> dict[str, Any]:
    """Return the versioned JSON form of an error."""
    return {
        "schema": RUN_SCHEMA,
        "type": "error",
        "backend": backend,
        "ok": False,
        "session_id": session_id,
        "error": _error_fields(error),
    }


def _error_fields(error: SdkWorkflowError | None) -> dict[str, Any]:
    return {
        "code": getattr(error, "code", "unknown"),
        "message": redact_text(str(error), personal=True),
        "hint": redact_text(getattr(error, "hint", ""), personal=True),
        "retryable": getattr(error, "retryable", False),
    }


def summary(result: RunResult) -> str:
    """Return the one line that says who answered, how much it took and what it cost."""
    cost = "cost unknown"
    if result.cost_usd is not None:
        cost = str(Money(round(result.cost_usd * 10**12)))
        if result.served_by == "simulator":
            cost += " if it had been real"
    if result.saved_usd:
        cost += f", {Money(round(result.saved_usd * 10**12))} saved"
    is_stored = result.served_by in {"lru", "semantic"}
    return " | ".join(
        (
            f"{result.served_by}{' cache' if is_stored else ''}: {result.model}",
            _count(result.turns, "turn"),
            _count(len(result.tool_calls), "tool call"),
            f"{result.usage.prompt_tokens:,} in, {result.usage.output_tokens:,} out",
            cost,
            f"{result.duration_ms / 1000:.2f} s",
        )
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _event_object(event: Event) -> dict[str, Any] | None:
    if isinstance(event, TextDelta):
        return {"type": "text_delta", "text": event.text}
    if isinstance(event, ToolStarted):
        call = event.tool_call
        return {"type": "tool_started", "id": call.id, "name": call.name, "input": dict(call.input)}
    if isinstance(event, ToolFinished):
        return {
            "type": "tool_finished",
            "id": event.tool_call.id,
            "name": event.tool_call.name,
            "is_error": event.result.is_error,
            "content": event.result.content,
            "duration_ms": event.duration_ms,
        }
    return _call_event_object(event)


def _call_event_object(event: Event) -> dict[str, Any] | None:
    if isinstance(event, CallRetried):
        return {
            "type": "call_retried",
            "model": event.call.model,
            "attempt": event.attempt,
            "wait_seconds": event.wait_seconds,
            "error": _error_fields(event.error),
        }
    if isinstance(event, BudgetReached):
        return {
            "type": "budget_reached",
            "limit": event.limit,
            "limit_usd": event.limit_usd,
            "spent_usd": event.spent_usd,
            "held_usd": event.held_usd,
        }
    if isinstance(event, FallbackUsed):
        return {
            "type": "fallback_used",
            "model": event.call.model,
            "fallback": event.fallback,
            "error": _error_fields(event.error),
        }
    return None


def make_view(args: ExecutionArgs, console: Console) -> View:
    """Return the view that `--output` asks for."""
    if args.output == "json":
        return JsonView(console)
    if args.output == "jsonl":
        return JsonLinesView(console)
    return TextView(console, stream=args.stream, is_verbose=args.is_verbose)

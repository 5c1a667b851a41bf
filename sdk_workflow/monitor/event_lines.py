"""Turns events into the lines of `events.jsonl`: plain facts, never a prompt, a reply or arguments.

A batch with many events of one kind becomes one line per model, tool or reason, with their `count`:
1,000 calls a second would fill the file in seconds, and take 0.5 % of a core to write down.
"""

from __future__ import annotations

import json
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.events import (
    BudgetReached,
    CacheLookedUp,
    CallRetried,
    ContextFilling,
    FallbackUsed,
    ModelCallFailed,
    ModelCallFinished,
    PrefixMoved,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolFinished,
)
from sdk_workflow.exceptions import SdkWorkflowError, ToolNotFound
from sdk_workflow.monitor.alarms import LoopNoticed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sdk_workflow.events import Event
    from sdk_workflow.monitor.feed import EventsByKind, TimedEvent
    from sdk_workflow.types import Usage

__all__ = ["MOST_LINES_OF_A_KIND", "event_lines", "shown_name"]

MOST_LINES_OF_A_KIND = 20
"""How many events of one kind in one batch get a line each; more of them share lines."""

_MAX_CHARACTERS = 64
_UNKNOWN = "unknown"
_DURATION = "duration_ms"
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

Facts = tuple[Any, ...]


class _Kind(NamedTuple):
    """How the events of one kind are written.

    Attributes:
        name: The `kind` of the line.
        labels: The names of what an event is told apart by.
        numbers: The names of what is added up where events share a line; of a duration, the mean.
        read_labels: Returns the labels of an event.
        read_numbers: Returns its numbers.
    """

    name: str
    labels: tuple[str, ...]
    numbers: tuple[str, ...]
    read_labels: Callable[[Any], Facts]
    read_numbers: Callable[[Any], Facts]


def event_lines(events: EventsByKind) -> list[str]:
    r"""Return the lines of a batch, by time, each with its line feed; unknown kinds are left out.

    Example:
        >>> from sdk_workflow.events import PrefixMoved
        >>> from sdk_workflow.types import Call
        >>> event = PrefixMoved(call=Call(model="m", messages=()), part="system", reason="a date")
        >>> event_lines({PrefixMoved: [(0.0, event)]})[0]
        '{"at":"1970-01-01T00:00:00.000Z","kind":"prefix_moved","session_id":null,"part":"system"}\n'
    """
    lines: list[tuple[float, str]] = []
    for kind, found in events.items():
        shape = _KINDS.get(kind)
        if shape is None:
            continue
        if len(found) <= MOST_LINES_OF_A_KIND or kind in _ALARMS:
            lines.extend((at, _line(shape, at, event)) for at, event in found)
        else:
            lines.extend((found[-1][0], line) for line in _shared_lines(shape, found))
    return [line for _, line in sorted(lines, key=itemgetter(0))]


def shown_name(name: Any) -> Any:
    """Return a name or code as it is written: at most 64 characters; what is no text stays."""
    return name[:_MAX_CHARACTERS] if isinstance(name, str) else name


def _line(shape: _Kind, at: float, event: Any) -> str:
    facts = {
        "at": utc_text(at),
        "kind": shape.name,
        "session_id": shown_name(event.session_id),
        **_named(shape.labels, map(shown_name, shape.read_labels(event))),
        **_named(shape.numbers, shape.read_numbers(event)),
    }
    if _DURATION in facts:
        facts[_DURATION] = round(facts[_DURATION], 3)
    return _encode(facts) + "\n"


def _shared_lines(shape: _Kind, found: Sequence[TimedEvent]) -> Iterator[str]:
    at = utc_text(found[-1][0])
    for labels, events in _groups(shape, [event for _, event in found]):
        columns = zip(*map(shape.read_numbers, events), strict=True)
        sums = _named(shape.numbers, map(_sum, columns))
        if _DURATION in sums:
            sums[_DURATION] = round(sums[_DURATION] / len(events), 3)
        facts = {
            "at": at,
            "kind": shape.name,
            "session_id": None,
            "count": len(events),
            **_named(shape.labels, map(shown_name, labels)),
            **sums,
        }
        yield _encode(facts) + "\n"


def _groups(shape: _Kind, events: list[Any]) -> Iterable[tuple[Facts, list[Any]]]:
    """Return the events by their labels."""
    labels = list(map(shape.read_labels, events))
    if len(set(labels)) == 1:  # the usual case, in a third of the time
        return [(labels[0], events)]
    groups: dict[Facts, list[Any]] = {}
    for label, event in zip(labels, events, strict=True):
        groups.setdefault(label, []).append(event)
    return groups.items()


def _sum(column: Sequence[Any]) -> Any:
    """Return the sum of the numbers that are known."""
    try:
        return sum(column)
    except TypeError:
        return sum(filter(None, column))


def _named(names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _error_code(error: BaseException) -> str:
    return error.code if isinstance(error, SdkWorkflowError) else type(error).__name__


def _tool(event: ToolFinished) -> Facts:
    """Return the tool and its error; the name of a tool that there is not is the model's own words."""
    code = event.result.error_code
    name = _UNKNOWN if code == ToolNotFound.default_code else event.tool_call.name
    return (name, event.result.is_error, code)


_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
          "cache_write_1h_tokens")  # fmt: skip


def _usage(usage: Usage) -> Facts:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
    )


def _run_numbers(event: RunFinished) -> Facts:
    result = event.result
    amounts = (result.turns, result.cost_usd, result.saved_usd)
    return (*amounts, *_usage(result.usage), result.duration_ms)


def _nothing(_: Event) -> Facts:
    return ()


# Sums of limits and of windows would say nothing.
_ALARMS = frozenset({BudgetReached, ContextFilling, LoopNoticed})

# attrgetter works in C: a shared line takes 0.4 us per call, a line each 5 us.
_KINDS: dict[type[Event], _Kind] = {
    RunStarted: _Kind("run_started", ("model",), (), lambda event: (event.model,), _nothing),
    RunFinished: _Kind(
        "run_finished",
        ("model", "stop_reason", "served_by"),
        ("turns", "cost_usd", "saved_usd", *_USAGE, _DURATION),
        attrgetter("result.model", "result.stop_reason", "result.served_by"),
        _run_numbers,
    ),
    RunFailed: _Kind(
        "run_failed",
        ("error",),
        ("turns", *_USAGE),
        lambda event: (_error_code(event.error),),
        lambda event: (event.turns, *_usage(event.usage)),
    ),
    ModelCallFinished: _Kind(
        "call_finished",
        ("model", "operation", "served_by"),
        (*_USAGE, _DURATION),
        attrgetter("reply.model", "call.operation", "reply.served_by"),
        lambda event: (*_usage(event.reply.usage), event.duration_ms),
    ),
    ModelCallFailed: _Kind(
        "call_failed",
        ("model", "operation", "error"),
        (_DURATION,),
        lambda event: (event.call.model, event.call.operation, _error_code(event.error)),
        lambda event: (event.duration_ms,),
    ),
    CallRetried: _Kind(
        "call_retried",
        ("model", "error"),
        ("wait_seconds",),
        lambda event: (event.call.model, _error_code(event.error)),
        lambda event: (event.wait_seconds,),
    ),
    FallbackUsed: _Kind(
        "fallback_used",
        ("model", "fallback", "error"),
        (),
        lambda event: (event.call.model, event.fallback, _error_code(event.error)),
        _nothing,
    ),
    CacheLookedUp: _Kind(
        "cache_looked_up",
        ("tier", "outcome", "reason"),
        ("saved_usd",),
        attrgetter("tier", "outcome", "reason"),
        lambda event: (event.saved_usd,),
    ),
    PrefixMoved: _Kind("prefix_moved", ("part",), (), lambda event: (event.part,), _nothing),
    ToolFinished: _Kind(
        "tool_finished",
        ("tool", "is_error", "error"),
        (_DURATION,),
        _tool,
        lambda event: (event.duration_ms,),
    ),
    BudgetReached: _Kind(
        "budget_reached",
        ("limit",),
        ("limit_usd", "spent_usd", "held_usd"),
        lambda event: (event.limit,),
        attrgetter("limit_usd", "spent_usd", "held_usd"),
    ),
    ContextFilling: _Kind(
        "context_filling",
        (),
        ("used_tokens", "window_tokens", "turns_left"),
        _nothing,
        attrgetter("used_tokens", "window_tokens", "turns_left"),
    ),
    LoopNoticed: _Kind(
        "loop_alarm",
        ("tool",),
        ("times",),
        lambda event: (event.tool,),
        lambda event: (event.times,),
    ),
}

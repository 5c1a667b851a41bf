"""Keeps writing what changed as lines, for a program or a terminal that cannot be drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.cli.monitor.documents import dump, processes_document
from sdk_workflow.cli.monitor.figures import clock_time, count, milliseconds, share, usd
from sdk_workflow.cli.monitor.rows import row_of

if TYPE_CHECKING:
    from sdk_workflow.cli.console import Console
    from sdk_workflow.cli.monitor.keyboard import Keyboard
    from sdk_workflow.cli.monitor.signals import Signals
    from sdk_workflow.monitor.processes import Processes, SeenProcess
    from sdk_workflow.protocols import Clock

__all__ = ["change_line", "write_changes"]

_LOOK_SECONDS = 0.1
_TEXT_SECONDS = 1.0


def write_changes(
    console: Console,
    processes: Processes,
    signals: Signals,
    *,
    clock: Clock,
    keyboard: Keyboard,
    as_json: bool,
) -> None:
    """Write what there is, and from then on what is not as it was, until a signal comes.

    As JSON that is one line with all processes for each change, ten times a second at most; as text
    one line for each process that changed, once a second at most.
    """
    before: tuple[SeenProcess, ...] | None = None
    written_at = float("-inf")
    while not signals.is_pending and console.can_write:
        processes.look()
        is_due = as_json or clock.monotonic() - written_at >= _TEXT_SECONDS
        if is_due and processes.seen != before:
            for text in _lines(processes.seen, before, clock.now(), as_json=as_json):
                console.result(text)
            before, written_at = processes.seen, clock.monotonic()
        keyboard.read(_LOOK_SECONDS)


def _lines(
    seen: tuple[SeenProcess, ...],
    before: tuple[SeenProcess, ...] | None,
    now: float,
    *,
    as_json: bool,
) -> list[str]:
    if as_json:
        return [dump(processes_document(seen, now))]
    # A process that did not change is the same object as before.
    known = set(map(id, before or ()))
    return [change_line(process, now) for process in seen if id(process) not in known]


def change_line(process: SeenProcess, now: float) -> str:
    """Return one line of text about a process."""
    row = row_of(process, now)
    start = f"{clock_time(now)}  {process.name.pid} {process.status}"
    if process.problem is not None:
        return f"{start}  {process.problem}"
    budget = "" if row.budget_share is None else f", {share(row.budget_share)} of the budget"
    alarms = f", alarms {row.alarms}" if row.alarms else ""
    return (
        f"{start}  {count(row.requests)} requests, {count(row.in_flight)} in flight, "
        f"{count(row.errors)} errors, p95 {milliseconds(row.p95_ms)}, {count(row.tokens)} tokens, "
        f"{usd(row.cost_usd)} ({usd(row.usd_per_hour)}/h){budget}{alarms}"
    )

"""The figures of a process that a list shows, sorts and adds up."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.monitor.live_shape import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sdk_workflow.monitor.processes import SeenProcess

__all__ = ["SORTS", "ProcessRow", "Totals", "row_of", "sorted_rows", "totals_of"]


class ProcessRow(NamedTuple):
    """One process in few figures; what it does right now is 0 where it does not run.

    Attributes:
        process: The process.
        started_at: Seconds since the Unix epoch; 0 where that is not known.
        uptime_seconds: How long it has run, or did; None where that is not known.
        requests: Calls of a model that were answered or failed.
        in_flight: Those under way.
        errors: Those that failed.
        p95_ms: 95 of 100 took no longer; over the last 5 minutes, else from the beginning.
        tokens: In and out.
        tokens_per_minute: In and out, at the present rate.
        cost_usd: What they cost.
        saved_usd: What caches saved.
        usd_per_hour: What an hour costs at the present rate.
        budget_share: How much of the budget is used; None without one.
        alarms: How many there are.
        trend: Requests second by second, the last one at the end.
        command: What was started, or why that is not known.
        cwd: Where.
    """

    process: SeenProcess
    started_at: float = 0
    uptime_seconds: float | None = None
    requests: float = 0
    in_flight: float = 0
    errors: float = 0
    p95_ms: float | None = None
    tokens: float = 0
    tokens_per_minute: float = 0
    cost_usd: float = 0
    saved_usd: float = 0
    usd_per_hour: float = 0
    budget_share: float | None = None
    alarms: int = 0
    trend: tuple[float, ...] = ()
    command: str = ""
    cwd: str = ""


class Totals(NamedTuple):
    """The sums over processes."""

    processes: int
    running: int
    requests: float
    in_flight: float
    errors: float
    tokens: float
    tokens_per_minute: float
    cost_usd: float
    saved_usd: float
    usd_per_hour: float
    alarms: int


def row_of(process: SeenProcess, now: float) -> ProcessRow:
    """Return the figures of a process.

    Args:
        process: The process.
        now: Seconds since the Unix epoch.
    """
    live = process.live
    if live is None:
        return ProcessRow(process, command=process.problem or "")
    total, budget, burn = live["windows"]["total"], live["budget"], live["burn"]
    started_at = parse_time(live["process"]["started_at"])
    is_running = process.is_running
    recent = live["windows"]["5m"]["p95_ms"]
    uptime = live["uptime_seconds"]
    if is_running and started_at is not None:
        uptime = max(now - started_at, 0)
    return ProcessRow(
        process=process,
        started_at=started_at or 0,
        uptime_seconds=uptime,
        requests=total["requests"],
        in_flight=live["traffic"]["in_flight"] if is_running else 0,
        errors=total["errors"],
        p95_ms=total["p95_ms"] if recent is None else recent,
        tokens=total["input_tokens"] + total["output_tokens"],
        tokens_per_minute=burn["tokens_per_minute"] if is_running else 0,
        cost_usd=total["cost_usd"],
        saved_usd=live["saved_usd"],
        usd_per_hour=burn["usd_per_hour"] if is_running else 0,
        budget_share=None if budget is None else budget["used_share"],
        alarms=len(live["alarms"]),
        trend=tuple(point["requests"] for point in live["history"]),
        command=live["process"]["command"] or "",
        cwd=live["process"]["cwd"] or "",
    )


def sorted_rows(rows: Iterable[ProcessRow], sort: str, wanted: str = "") -> list[ProcessRow]:
    """Return the rows that hold a text, in an order.

    Args:
        rows: Rows.
        sort: One of `SORTS`.
        wanted: A part of the pid, status, command or folder, in any case; empty for all.
    """
    text = wanted.casefold()
    found = [row for row in rows if text in _searched(row)]
    return sorted(found, key=SORTS[sort], reverse=sort != "pid")


def totals_of(rows: Iterable[ProcessRow]) -> Totals:
    """Return the sums over processes."""
    found = list(rows)
    sums = {name: sum(map(attrgetter(name), found)) for name in Totals._fields if name in _ADDED}
    running = sum(row.process.is_running for row in found)
    return Totals(processes=len(found), running=running, **sums)


def _searched(row: ProcessRow) -> str:
    process = row.process
    parts = (str(process.name.pid), process.status, row.command, row.cwd)
    return "\n".join(parts).casefold()


_ADDED = frozenset(Totals._fields) - {"processes", "running"}
_by_state = attrgetter("process.is_running", "started_at", "process.name")

SORTS: dict[str, Callable[[ProcessRow], Any]] = {
    "state": _by_state,
    "cost": attrgetter("cost_usd"),
    "burn": attrgetter("usd_per_hour"),
    "requests": attrgetter("requests"),
    "errors": attrgetter("errors"),
    "p95": lambda row: -1 if row.p95_ms is None else row.p95_ms,
    "pid": attrgetter("process.name"),
}
"""The orders of the list: the greatest first, but for the pid; running and the latest first."""

"""What a process has many of, as tables: windows, models, tools, caches, sessions, errors, spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.cli.monitor.figures import (
    UNKNOWN,
    clock_time,
    count,
    milliseconds,
    share,
    usd,
)
from sdk_workflow.cli.monitor.lines import Cell, Column, heading, table
from sdk_workflow.monitor.live_shape import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.text import Text

    from sdk_workflow.monitor.live_shape import Live

__all__ = ["LEFT", "PART_SORTS", "RIGHT", "Part", "part_lines", "status_style", "window_lines"]

PART_SORTS = ("calls", "errors", "p95", "cost")
"""The orders of rows; where a row lacks the figure, the one after the first decides."""

Record = dict[str, Any]
_MOST_ROWS = 12
_FULL_CONTEXT = 0.8
_ORDER_FIELDS = {
    "calls": ("calls", "turns", "count"),
    "errors": ("errors", "count", "calls"),
    "p95": ("p95_ms", "duration_ms", "calls"),
    "cost": ("cost_usd", "saved_usd", "calls"),
}
_STATUS_STYLES = {
    "running": "green",
    "active": "green",
    "ok": "green",
    "ended": "dim",
    "completed": "dim",
    "died": "bold red",
    "failed": "red",
    "error": "red",
    "cancelled": "yellow",
}


class Part(NamedTuple):
    """A table of a process.

    Attributes:
        title: What stands above it.
        name: Where its rows are in the document.
        label: What a row is called by; what a filter looks at.
        columns: Its columns, and how a row fills each.
        time: The time that its rows are ordered by, the latest first; None for the chosen order.
    """

    title: str
    name: str
    label: str
    columns: Mapping[Column, Callable[[Record], Cell]]
    time: str | None = None


def part_lines(live: Live, part: Part, *, sort: str, wanted: str, width: int) -> list[Text]:
    """Return a table with its heading; no line where it has no rows.

    Args:
        live: The document of the process.
        part: Which table.
        sort: One of `PART_SORTS`.
        wanted: What the label of a row has to hold, in any case; empty for all.
        width: How wide it may be.
    """
    text = wanted.casefold()
    rows = [row for row in live[part.name] if text in str(row[part.label] or "").casefold()]
    if not rows:
        return []
    rows.sort(key=_order(part, sort), reverse=True)
    cells = [[fill(row) for fill in part.columns.values()] for row in rows[:_MOST_ROWS]]
    is_cut = len(rows) > _MOST_ROWS
    title = f"{part.title} ({_MOST_ROWS} of {len(rows)})" if is_cut else part.title
    return [heading(title, width), *table(list(part.columns), cells, width)]


def window_lines(live: Live, width: int) -> list[Text]:
    """Return what happened in the last minute, five minutes, hour, and from the beginning on."""
    rows = [{"window": name, **window} for name, window in live["windows"].items()]
    cells = [[fill(row) for fill in _WINDOW_COLUMNS.values()] for row in rows]
    return table(list(_WINDOW_COLUMNS), cells, width)


def status_style(status: str | None) -> str:
    """Return the style of a word that says how something is."""
    return _STATUS_STYLES.get(status or "", "")


def _order(part: Part, sort: str) -> Callable[[Record], Any]:
    time = part.time
    if time is not None:
        return lambda row: parse_time(row[time]) or 0
    names = _ORDER_FIELDS[sort]
    return lambda row: [row[name] or 0 for name in names if name in row]


def _figure(name: str, show: Callable[[float | None], str]) -> Callable[[Record], Cell]:
    return lambda row: Cell(show(row[name]))


def _word(name: str, style: str = "") -> Callable[[Record], Cell]:
    return lambda row: Cell(row[name] or UNKNOWN, style)


def _bad(name: str) -> Callable[[Record], Cell]:
    return lambda row: Cell(count(row[name]), "red" if row[name] else "")


def _time(name: str) -> Callable[[Record], Cell]:
    return lambda row: Cell(clock_time(parse_time(row[name])), "dim")


def _status(row: Record) -> Cell:
    return Cell(row["status"] or UNKNOWN, status_style(row["status"]))


def _context(row: Record) -> Cell:
    value = row["context_share"]
    return Cell(share(value), "yellow" if (value or 0) >= _FULL_CONTEXT else "")


_WINDOW_COLUMNS: dict[Column, Callable[[Record], Cell]] = {
    Column("LAST", 100, is_left=True): _word("window"),
    Column("REQUESTS", 90): _figure("requests", count),
    Column("ERRORS", 85): _bad("errors"),
    Column("P50", 60): _figure("p50_ms", milliseconds),
    Column("P95", 80): _figure("p95_ms", milliseconds),
    Column("P99", 70): _figure("p99_ms", milliseconds),
    Column("IN", 40): _figure("input_tokens", count),
    Column("OUT", 40): _figure("output_tokens", count),
    Column("COST", 75): _figure("cost_usd", usd),
    Column("SAVED", 30): _figure("saved_usd", usd),
}

_MODELS = Part(
    "MODELS",
    "models",
    "model",
    {
        Column("MODEL", 100, 20, is_left=True): _word("model"),
        Column("CALLS", 90): _figure("calls", count),
        Column("CACHED", 30): _figure("cached", count),
        Column("ERR", 80): _bad("errors"),
        Column("P50", 60): _figure("p50_ms", milliseconds),
        Column("P95", 85): _figure("p95_ms", milliseconds),
        Column("P99", 50): _figure("p99_ms", milliseconds),
        Column("TTFT P50", 65): _figure("first_token_p50_ms", milliseconds),
        Column("TTFT P95", 45): _figure("first_token_p95_ms", milliseconds),
        Column("TOK/S", 35): _figure("tokens_per_second_p50", count),
        Column("IN", 25): _figure("input_tokens", count),
        Column("OUT", 25): _figure("output_tokens", count),
        Column("READ", 20): _figure("cache_read_tokens", count),
        Column("WRITTEN", 20): _figure("cache_write_tokens", count),
        Column("COST", 70): _figure("cost_usd", usd),
    },
)

_TOOLS = Part(
    "TOOLS",
    "tools",
    "tool",
    {
        Column("TOOL", 100, 12, is_left=True): _word("tool"),
        Column("CALLS", 90): _figure("calls", count),
        Column("ERR", 80): _bad("errors"),
        Column("ERR%", 60): _figure("error_rate", share),
        Column("P50", 50): _figure("p50_ms", milliseconds),
        Column("P95", 85): _figure("p95_ms", milliseconds),
        Column("LOOPS", 70): _bad("loops"),
    },
)

_CACHES = Part(
    "CACHES",
    "caches",
    "tier",
    {
        Column("TIER", 100, 8, is_left=True): _word("tier"),
        Column("HITS", 80): _figure("hits", count),
        Column("MISSES", 70): _figure("misses", count),
        Column("RATE", 90): _figure("hit_rate", share),
        Column("SAVED", 85): _figure("saved_usd", usd),
    },
)

_SESSIONS = Part(
    "SESSIONS",
    "sessions",
    "session_id",
    {
        Column("SESSION", 100, 10, is_left=True): _word("session_id"),
        Column("STATUS", 90, is_left=True): _status,
        Column("TURNS", 60): _figure("turns", count),
        Column("COST", 80): _figure("cost_usd", usd),
        Column("CONTEXT", 70): _context,
        Column("ACTIVE", 50): _time("last_active_at"),
        Column("MODEL", 30, 8, is_left=True): _word("model"),
    },
)

_ERRORS = Part(
    "ERRORS",
    "errors",
    "type",
    {
        Column("ERROR", 100, 10, is_left=True): _word("type", "red"),
        Column("COUNT", 90): _figure("count", count),
        Column("LAST", 70): _time("last_at"),
        Column("MESSAGE", 50, 10, is_left=True): _word("last_message"),
    },
    time="last_at",
)

_SPANS = Part(
    "LAST SPANS",
    "spans",
    "name",
    {
        Column("STARTED", 60): _time("started_at"),
        Column("SPAN", 100, 10, is_left=True): _word("name"),
        Column("TOOK", 90): _figure("duration_ms", milliseconds),
        Column("STATUS", 80, is_left=True): _status,
        Column("ERROR", 40, 8, is_left=True): _word("error", "red"),
    },
    time="started_at",
)

LEFT = (_MODELS, _TOOLS, _CACHES)
RIGHT = (_ERRORS, _SESSIONS, _SPANS)

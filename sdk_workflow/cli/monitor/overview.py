"""The list of processes, with its totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.cli.monitor.figures import (
    UNKNOWN,
    count,
    duration,
    milliseconds,
    share,
    sparkline,
    usd,
)
from sdk_workflow.cli.monitor.lines import Cell, Column, facts, fitted, table
from sdk_workflow.cli.monitor.rows import totals_of
from sdk_workflow.cli.monitor.series import status_style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.text import Text

    from sdk_workflow.cli.monitor.rows import ProcessRow, Totals
    from sdk_workflow.monitor.run_folder import RunName

__all__ = ["ALERT_SHARES", "budget_style", "list_lines", "process_table", "totals_lines"]

ALERT_SHARES = ((0.95, "bold red"), (0.85, "red"), (0.70, "yellow"))
"""From which share of a budget on it is shown in which style."""

_TREND_WIDTH = 20
_FEWEST_ROWS = 3
_ALWAYS_KNOWN = frozenset({"PID", "STATUS", "COMMAND"})


def budget_style(used_share: float | None) -> str:
    """Return the style of a budget of which so much is used."""
    used = used_share or 0
    return next((style for least, style in ALERT_SHARES if used >= least), "green")


def list_lines(
    rows: Sequence[ProcessRow], selected: RunName | None, width: int, height: int
) -> list[Text]:
    """Return the totals and the list; the selected row is among what is shown.

    Args:
        rows: The processes, in their order.
        selected: The one that is pointed at; the first one where it is not there.
        width: How wide it may be.
        height: How many lines it may have.
    """
    totals = totals_lines(totals_of(rows), width)
    title, *lines = process_table(rows, width)
    names = [row.process.name for row in rows]
    index = names.index(selected) if selected in names else 0
    lines[index].pad_right(max(width - lines[index].cell_len, 0))
    lines[index].stylize("reverse")
    room = height - len(totals) - 2
    if room < _FEWEST_ROWS:  # a low terminal shows the list, not its sums
        totals, room = [], max(height - 1, 1)
    first = min(max(index - room + 1, 0), len(lines))
    blank = [title.blank_copy()] if totals else []
    return [*totals, *blank, title, *lines[first : first + room]]


def totals_lines(totals: Totals, width: int) -> list[Text]:
    """Return the sums over all processes."""
    pairs = [
        ("requests", Cell(count(totals.requests), "bold")),
        ("in flight", Cell(count(totals.in_flight), "bold")),
        ("errors", Cell(count(totals.errors), "red" if totals.errors else "")),
        ("tokens", Cell(count(totals.tokens))),
        ("tokens/min", Cell(count(totals.tokens_per_minute))),
        ("cost", Cell(usd(totals.cost_usd), "bold")),
        ("$/h", Cell(usd(totals.usd_per_hour))),
        ("saved", Cell(usd(totals.saved_usd), "green" if totals.saved_usd else "")),
        ("alarms", Cell(count(totals.alarms), "bold red" if totals.alarms else "")),
    ]
    return facts(pairs, width)


def process_table(rows: Sequence[ProcessRow], width: int) -> list[Text]:
    """Return a table of processes with its heading."""
    return table(list(_COLUMNS), [_cells(row) for row in rows], width)


def _cells(row: ProcessRow) -> list[Cell]:
    if row.process.live is not None:
        return [fill(row) for fill in _COLUMNS.values()]
    return [
        fill(row) if column.title in _ALWAYS_KNOWN else Cell(UNKNOWN, "dim")
        for column, fill in _COLUMNS.items()
    ]


def _status(row: ProcessRow) -> Cell:
    return Cell(row.process.status, status_style(row.process.status))


def _errors(row: ProcessRow) -> Cell:
    return Cell(count(row.errors), "red" if row.errors else "")


def _alarms(row: ProcessRow) -> Cell:
    return Cell(str(row.alarms) if row.alarms else "", "bold red")


def _budget(row: ProcessRow) -> Cell:
    return Cell(share(row.budget_share), budget_style(row.budget_share))


def _trend(row: ProcessRow) -> Cell:
    return Cell(fitted(sparkline(row.trend[-_TREND_WIDTH:], _TREND_WIDTH), _TREND_WIDTH), "cyan")


def _command(row: ProcessRow) -> Cell:
    if row.process.problem is None:
        return Cell(row.command or UNKNOWN)
    return Cell(row.process.problem, "yellow")


_COLUMNS: dict[Column, Callable[[ProcessRow], Cell]] = {
    Column("PID", 100): lambda row: Cell(str(row.process.name.pid), "bold"),
    Column("STATUS", 95, is_left=True): _status,
    Column("!", 92): _alarms,
    Column("UP", 50): lambda row: Cell(duration(row.uptime_seconds)),
    Column("REQ", 80): lambda row: Cell(count(row.requests)),
    Column("NOW", 60): lambda row: Cell(count(row.in_flight)),
    Column("ERR", 75): _errors,
    Column("P95", 65): lambda row: Cell(milliseconds(row.p95_ms)),
    Column("TOKENS", 30): lambda row: Cell(count(row.tokens)),
    Column("TOK/MIN", 25): lambda row: Cell(count(row.tokens_per_minute)),
    Column("COST", 85): lambda row: Cell(usd(row.cost_usd)),
    Column("$/H", 45): lambda row: Cell(usd(row.usd_per_hour)),
    Column("SAVED", 28): lambda row: Cell(usd(row.saved_usd)),
    Column("BUDGET", 70): _budget,
    Column("TREND", 20, is_left=True): _trend,
    Column("COMMAND", 55, 9, is_left=True): _command,
    Column("FOLDER", 15, 12, is_left=True): lambda row: Cell(row.cwd or UNKNOWN, "dim"),
}

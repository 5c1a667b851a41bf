"""One picture: what is looked at, in exactly as many lines as the terminal has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from sdk_workflow.cli.monitor.details import detail_lines
from sdk_workflow.cli.monitor.figures import clock_time
from sdk_workflow.cli.monitor.lines import Cell, line
from sdk_workflow.cli.monitor.overview import list_lines
from sdk_workflow.cli.monitor.rows import row_of, sorted_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.cli.monitor.rows import ProcessRow
    from sdk_workflow.cli.monitor.view_state import ViewState
    from sdk_workflow.monitor.processes import SeenProcess

__all__ = ["NOTHING_YET", "Picture", "Snapshot", "draw"]

NOTHING_YET = "No process has written anything yet. Start one in another terminal: sdk_workflow run"

_LEAST_FRAMED = 3  # lines, so that one is left between the title and the keys
_HELP = (
    ("q", "quit"),
    ("p", "pause: keep what is shown; again: go on"),
    ("s", "sort by the next figure"),
    ("/", "filter: type a text; enter keeps it, esc removes it"),
    ("up down", "select a process; scroll (also k j, page up, page down, home, end)"),
    ("enter", "open the selected process"),
    ("esc", "remove the filter; back to the list"),
    ("?", "this help; any key leaves it"),
)
_HELP_WORDS = (
    "PID STATUS UP  the process; died: it runs no more and did not say so",
    "!   alarms: one tool again and again, a budget reached, a context window nearly full",
    "REQ NOW ERR  model calls: all, under way, failed",
    "P95  95 of 100 calls took no longer, over the last 5 minutes",
    "COST $/H  so far; an hour of it at the present rate",
    "BUDGET  how much of it is used: yellow from 70 %, red from 85 %",
    "TTFT  time to the first token. Times of day are UTC.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What there is to show.

    Attributes:
        processes: Every process.
        now: Seconds since the Unix epoch, when they were looked at.
        left_out: How many older ones were not looked at.
    """

    processes: Sequence[SeenProcess]
    now: float
    left_out: int = 0

    def rows(self, state: ViewState) -> list[ProcessRow]:
        """Return the rows of the list, in their order."""
        wanted = "" if state.opened else state.wanted
        rows = (row_of(process, self.now) for process in self.processes)
        return sorted_rows(rows, state.sort, wanted)


class Picture(NamedTuple):
    """A screen full.

    Attributes:
        lines: As many as the terminal has.
        most_scroll: How far it makes sense to scroll.
    """

    lines: list[Text]
    most_scroll: int


def draw(snapshot: Snapshot, state: ViewState, width: int, height: int) -> Picture:
    """Return what a terminal of that size is to show."""
    has_frame = height >= _LEAST_FRAMED
    room = height - 2 if has_frame else height
    body = _body(snapshot, state, width, room)
    most_scroll = max(len(body) - room, 0)
    first = min(state.scroll, most_scroll)
    shown = body[first : first + room]
    shown += [Text()] * (room - len(shown))
    below = most_scroll - first
    if has_frame:
        shown = [_title(snapshot, state, width), *shown, _footer(state, width, below)]
    return Picture(shown, most_scroll)


def _body(snapshot: Snapshot, state: ViewState, width: int, room: int) -> list[Text]:
    if state.shows_help:
        return _help(width)
    opened = [process for process in snapshot.processes if process.name == state.opened]
    if opened:
        return detail_lines(
            opened[0], snapshot.now, width, sort=state.part_sort, wanted=state.wanted
        )
    rows = snapshot.rows(state)
    if rows:
        return list_lines(rows, state.selected, width, room)
    text = f"No process holds {state.wanted!r}." if snapshot.processes else NOTHING_YET
    return [Text(), line([Cell(text, "yellow")], width)]


def _title(snapshot: Snapshot, state: ViewState, width: int) -> Text:
    processes = snapshot.processes
    running = sum(process.is_running for process in processes)
    cells = [
        Cell("sdk_workflow monitor", "bold"),
        Cell(f"  {clock_time(snapshot.now)} UTC", "dim"),
        Cell(f"  {running} running, {len(processes) - running} not"),
    ]
    if snapshot.left_out:
        cells.append(Cell(f", {snapshot.left_out} older left out", "dim"))
    if state.is_paused:
        cells.insert(0, Cell("PAUSED ", "bold yellow"))
    return line(cells, width)


def _footer(state: ViewState, width: int, below: int) -> Text:
    if state.is_typing:
        return line([Cell("/", "bold"), Cell(state.wanted), Cell("_", "blink")], width)
    is_list = state.opened is None
    sort = state.sort if is_list else state.part_sort
    cells = [Cell(f"/{state.wanted}  ", "bold")] if state.wanted else []
    cells += [
        Cell(f"{below}↓  " if below and not is_list else "", "bold"),
        Cell(f"? help  q quit  s sort: {sort}  / filter  p pause  ↑↓ "),
        Cell("select  enter open" if is_list else "scroll  esc list"),
    ]
    return line([Cell(cell.text, cell.style or "dim") for cell in cells], width)


def _help(width: int) -> list[Text]:
    keys = [line([Cell(f"{key:8}", "bold"), Cell(text)], width) for key, text in _HELP]
    return [Text(), *keys, Text(), *(line([Cell(words)], width) for words in _HELP_WORDS)]

"""All that is known of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from sdk_workflow.cli.monitor.figures import (
    UNKNOWN,
    bar,
    clock_time,
    count,
    duration,
    milliseconds,
    share,
    sparkline,
    usd,
)
from sdk_workflow.cli.monitor.lines import Cell, beside, facts, heading, line
from sdk_workflow.cli.monitor.overview import budget_style
from sdk_workflow.cli.monitor.rows import row_of
from sdk_workflow.cli.monitor.series import LEFT, RIGHT, part_lines, status_style, window_lines
from sdk_workflow.monitor.live_shape import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sdk_workflow.cli.monitor.series import Part
    from sdk_workflow.monitor.live_shape import Live
    from sdk_workflow.monitor.processes import SeenProcess

__all__ = ["detail_lines"]

_TWO_COLUMNS = 130
_GAP = 3
_MOST_ALARMS = 4
_BAR_WIDTH = 30
_LABEL_WIDTH = 12


def detail_lines(
    process: SeenProcess, now: float, width: int, *, sort: str = "calls", wanted: str = ""
) -> list[Text]:
    """Return the picture of one process, however many lines that takes.

    Args:
        process: The process.
        now: Seconds since the Unix epoch.
        width: How wide it may be.
        sort: The order of models and tools.
        wanted: What the rows of its tables have to hold; empty for all.
    """
    lines = [*_identity(process, now, width), *_problem(process, width)]
    live = process.live
    if live is None:
        return lines
    lines += [
        *_lost(live, width),
        *_alarms(live, width),
        *_budget(live, now, width),
        *_traffic(live, width, is_running=process.is_running),
        Text(),
        *_courses(live, width),
        *window_lines(live, width),
    ]
    return [*lines, *_tables(live, width, sort, wanted)]


def _identity(process: SeenProcess, now: float, width: int) -> list[Text]:
    row = row_of(process, now)
    pairs = [("pid", Cell(str(process.name.pid), "bold"))]
    if process.name.number > 1:
        pairs.append(("runtime", Cell(str(process.name.number))))
    pairs.append(("status", Cell(process.status, status_style(process.status))))
    if process.live is None:
        return facts(pairs, width)
    about = process.live["process"]
    pairs += [
        ("up" if process.is_running else "ran for", Cell(duration(row.uptime_seconds))),
        ("command", Cell(row.command or UNKNOWN)),
        ("backend", Cell(about["backend"] or UNKNOWN)),
        ("version", Cell(about["version"] or UNKNOWN)),
        ("python", Cell(about["python"] or UNKNOWN)),
        ("folder", Cell(row.cwd or UNKNOWN)),
    ]
    if not process.is_running:
        written_at = parse_time(process.live["written_at"])
        ago = UNKNOWN if written_at is None else duration(now - written_at)
        pairs.insert(2, ("last seen", Cell(f"{ago} ago", "yellow")))
    return facts(pairs, width)


def _problem(process: SeenProcess, width: int) -> list[Text]:
    if process.problem is None:
        return []
    note = "" if process.live is None else "; this is what it wrote before"
    return [line([Cell(f"It {process.problem}{note}.", "yellow")], width)]


def _lost(live: Live, width: int) -> list[Text]:
    lost = {name: value for name, value in live["lost"].items() if value}
    if not lost:
        return []
    pairs = [(f"lost {name}", Cell(count(value), "yellow")) for name, value in lost.items()]
    return facts(pairs, width)


def _alarms(live: Live, width: int) -> list[Text]:
    alarms = sorted(live["alarms"], key=lambda row: parse_time(row["at"]) or 0, reverse=True)
    if not alarms:
        return []
    lines = [line([Cell(f"ALARMS ({len(alarms)})", "bold red")], width)]
    for alarm in alarms[:_MOST_ALARMS]:
        cells = [
            Cell(f"{clock_time(parse_time(alarm['at']))} ", "dim"),
            Cell(f"{alarm['kind'] or UNKNOWN} ", "red"),
            Cell(alarm["text"] or ""),
            Cell(f"  {alarm['session_id'] or ''}", "dim"),
        ]
        lines.append(line(cells, width))
    return lines


def _budget(live: Live, now: float, width: int) -> list[Text]:
    budget = live["budget"]
    if budget is None:
        return []
    style = budget_style(1 if budget["is_exhausted"] else budget["used_share"])
    cells = [Cell(f"{'budget':{_LABEL_WIDTH}}", "dim")]
    if budget["used_share"] is not None:
        size = min(_BAR_WIDTH, max(width // 4, 1))
        cells.append(
            Cell(f"{bar(budget['used_share'], size)} {share(budget['used_share'])} ", style)
        )
    cells.append(Cell(_budget_words(budget), style if budget["is_exhausted"] else ""))
    lines = [line(cells, width)]
    pairs = [("held", Cell(usd(budget["held_usd"])))]
    soft = budget["soft_limit_usd"]
    if soft is not None:
        is_passed = budget["spent_usd"] >= soft
        pairs.append(
            ("soft limit", Cell(f"{usd(soft)}{' passed' * is_passed}", "yellow" * is_passed))
        )
    ends_at = parse_time(budget["projected_end_at"])
    if ends_at is not None:
        left = duration(max(ends_at - now, 0))
        pairs.append(
            ("used up at this rate in", Cell(f"{left} ({clock_time(ends_at)} UTC)", style))
        )
    return lines + facts(pairs, width)


def _budget_words(budget: dict[str, Any]) -> str:
    limit = budget["limit_usd"]
    words = f"{usd(budget['spent_usd'])} of {'no limit' if limit is None else usd(limit)}"
    return f"{words}, USED UP" if budget["is_exhausted"] else words


def _traffic(live: Live, width: int, *, is_running: bool) -> list[Text]:
    traffic, tokens, burn = live["traffic"], live["tokens"], live["burn"]
    rate = traffic["error_rate"]
    waited = milliseconds(traffic["retry_wait_seconds"] * 1000)
    saved = live["saved_usd"]
    now = [
        ("in flight", Cell(count(traffic["in_flight"]), "bold")),
        ("tools running", Cell(count(traffic["running_tools"]))),
        ("runs", Cell(count(traffic["active_runs"]))),
        ("requests/s", Cell(f"{traffic['requests_per_second']:.1f}")),
        ("burn", Cell(f"{usd(burn['usd_per_hour'])}/h", "bold")),
        ("tokens/min", Cell(count(burn["tokens_per_minute"]))),
    ]
    ever = [
        ("error rate", Cell(share(rate), "red" if rate else "")),
        ("retries", Cell(f"{count(traffic['retries'])} (waited {waited})")),
        ("fallbacks", Cell(count(traffic["fallbacks"]))),
        ("tokens in", Cell(count(tokens["input"]))),
        ("out", Cell(count(tokens["output"]))),
        ("cache read", Cell(count(tokens["cache_read"]))),
        ("written 5m", Cell(count(tokens["cache_write_5m"]))),
        ("written 1h", Cell(count(tokens["cache_write_1h"]))),
        ("saved", Cell(usd(saved), "bold green" if saved else "")),
    ]
    return facts([*now, *ever] if is_running else ever, width)


def _courses(live: Live, width: int) -> list[Text]:
    history = live["history"]
    room = min(60, width - _LABEL_WIDTH - 12)
    if len(history) < 2 or room < 4:  # noqa: PLR2004 - no course
        return []
    lines = []
    for title, name, show in (
        ("requests/s", "requests", count),
        ("p95", "p95_ms", milliseconds),
        ("cost/s", "cost_usd", usd),
    ):
        values = [point[name] for point in history]
        top = max((value for value in values if value is not None), default=None)
        if top:
            cells = [
                Cell(f"{title:{_LABEL_WIDTH}}", "dim"),
                Cell(sparkline(values, room), "cyan"),
                Cell(f" max {show(top)}", "dim"),
            ]
            lines.append(line(cells, width))
    return [*lines, Text()] if lines else []


def _tables(live: Live, width: int, sort: str, wanted: str) -> list[Text]:
    def column(parts: Sequence[Part], size: int) -> list[Text]:
        lines: list[Text] = []
        for part in parts:
            found = part_lines(live, part, sort=sort, wanted=wanted, width=size)
            lines += [Text(), *found] if found else []
        return lines

    if width < _TWO_COLUMNS:
        lines = column((*LEFT, *RIGHT), width)
    else:
        left = (width - _GAP) // 2
        lines = beside(column(LEFT, left), column(RIGHT, width - _GAP - left), left, _GAP)
    if not lines and wanted:
        return [Text(), heading("Nothing in here holds that text.", width)]
    return lines

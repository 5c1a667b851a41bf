"""What happened since some time, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from sdk_workflow.cli.monitor.figures import clock_time, count, duration, milliseconds, usd
from sdk_workflow.cli.monitor.lines import Cell, Column, facts, line, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sdk_workflow.monitor.replay import Replay, Sums

__all__ = ["replay_lines"]

_MOST_ROWS = 20

Fill = tuple[Column, "Callable[[Sums], str]"]
"""A column, and how sums fill it."""


def replay_lines(replay: Replay, now: float, width: int) -> list[Text]:
    """Return the sums, and the tables by model, tool, cache, error and session.

    Args:
        replay: What happened.
        now: Seconds since the Unix epoch.
        width: How wide it may be.
    """
    words = f"since {clock_time(replay.since)} UTC, {duration(now - replay.since)} ago"
    if replay.first_at is None:
        return [line([Cell(f"Nothing happened {words}.")], width)]
    lines = [line([Cell(f"What happened {words}:", "bold")], width), *_sums(replay, now, width)]
    if replay.is_cut:
        lines.append(
            line([Cell("Files are larger than what is read: the oldest is missing.")], width)
        )
    for title, group, columns in _TABLES:
        rows = _rows(replay.groups[group], columns)
        if rows:
            titles = [Column(title, 100, 12, is_left=True), *(column for column, _ in columns)]
            lines += [Text(), *table(titles, rows, width)]
    return lines


def _sums(replay: Replay, now: float, width: int) -> list[Text]:
    sums, minutes = replay.totals, max(now - replay.since, 1) / 60
    attempts = sums["calls"] + sums["call_errors"]
    pairs = [
        ("calls", f"{count(sums['calls'])} ({sums['calls'] / minutes:.1f}/min)"),
        (
            "failed",
            f"{count(sums['call_errors'])} ({sums['call_errors'] * 100 / (attempts or 1):.1f}%)",
        ),
        ("retries", count(sums["retries"])),
        ("fallbacks", count(sums["fallbacks"])),
        ("mean", milliseconds(_mean(sums, "call_ms", attempts))),
        ("runs", f"{count(sums['runs'])} (failed {count(sums['run_errors'])})"),
        ("tools", f"{count(sums['tool_calls'])} (failed {count(sums['tool_errors'])})"),
        ("loop alarms", count(sums["loop_alarms"])),
        ("tokens in", count(sums["input_tokens"])),
        ("out", count(sums["output_tokens"])),
        ("cache read", count(sums["cache_read_tokens"])),
        ("written", count(sums["cache_write_tokens"])),
        ("cost", f"{usd(sums['cost_usd'])} ({usd(sums['cost_usd'] * 60 / minutes)}/h)"),
        ("saved", usd(sums["saved_usd"])),
    ]
    return facts([(name, Cell(value)) for name, value in pairs], width)


def _rows(names: Mapping[str, Sums], columns: Sequence[Fill]) -> list[list[Cell]]:
    """Return a row for each name of which a column tells something, the greatest figures first."""
    found = [
        (name, [fill(sums) for _, fill in columns], [sums[key] for key in _ORDER])
        for name, sums in names.items()
    ]
    told = [row for row in found if any(text not in _NOTHING for text in row[1])]
    told.sort(key=lambda row: row[2], reverse=True)
    return [[Cell(name), *map(Cell, texts)] for name, texts, _ in told[:_MOST_ROWS]]


def _mean(sums: Sums, name: str, number: float) -> float | None:
    return sums[name] / number if number else None


def _sum(title: str, weight: int, name: str, show: Callable[[float], str] = count) -> Fill:
    return Column(title, weight), lambda sums: show(sums[name])


def _mean_call(sums: Sums) -> str:
    return milliseconds(_mean(sums, "call_ms", sums["calls"] + sums["call_errors"]))


def _mean_tool(sums: Sums) -> str:
    return milliseconds(_mean(sums, "tool_ms", sums["tool_calls"]))


_NOTHING = frozenset({"0", "$0", "-"})
_ORDER = ("cost_usd", "calls", "tool_calls", "call_errors", "hits")
_COST = _sum("COST", 85, "cost_usd", usd)
_CALLS = _sum("CALLS", 90, "calls")
_FAILED = _sum("FAILED", 80, "call_errors")

_TABLES: tuple[tuple[str, str, tuple[Fill, ...]], ...] = (
    (
        "MODEL",
        "model",
        (
            _CALLS,
            _FAILED,
            _sum("RETRIES", 50, "retries"),
            (Column("MEAN", 70), _mean_call),
            _sum("IN", 40, "input_tokens"),
            _sum("OUT", 40, "output_tokens"),
            _sum("READ", 30, "cache_read_tokens"),
            _sum("WRITTEN", 30, "cache_write_tokens"),
            _COST,
        ),
    ),
    (
        "TOOL",
        "tool",
        (
            _sum("CALLS", 90, "tool_calls"),
            _sum("FAILED", 80, "tool_errors"),
            (Column("MEAN", 70), _mean_tool),
            _sum("LOOPS", 60, "loop_alarms"),
        ),
    ),
    (
        "CACHE",
        "tier",
        (
            _sum("HITS", 90, "hits"),
            _sum("SAVED", 70, "saved_usd", usd),
        ),
    ),
    (
        "ERROR",
        "error",
        (
            _sum("CALLS", 90, "call_errors"),
            _sum("RETRIED", 80, "retries"),
            _sum("TOOLS", 70, "tool_errors"),
            _sum("RUNS", 75, "run_errors"),
        ),
    ),
    (
        "SESSION",
        "session_id",
        (
            _sum("RUNS", 80, "runs"),
            _CALLS,
            _FAILED,
            _sum("TOOLS", 60, "tool_calls"),
            _sum("LOOPS", 50, "loop_alarms"),
            _COST,
        ),
    ),
)

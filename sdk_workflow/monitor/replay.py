"""Adds up `events.jsonl` from some time on: totals, and who and what they come from.

Two kinds of line may tell of the same thing, and no sum is made of both: tokens are those of calls;
money is what calls and look-ups in the caches name, and only where they name none what runs do.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.monitor.live_shape import clean_text, parse_time
from sdk_workflow.monitor.reader import open_regular
from sdk_workflow.monitor.run_folder import EVENTS_FILE, OLDER_EVENTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["GROUPS", "MOST_BYTES", "Replay", "Sums", "replay_events"]

GROUPS = ("model", "tool", "session_id", "tier", "error")
"""What sums are made by, as the lines name it."""

Sums = Counter[str]
"""Amounts by name; what was not seen is 0."""

MOST_BYTES = 256 * 1024 * 1024
"""How much of the end of a file is read."""

_MOST_NAMES = 1_000
_OTHERS = "(others)"
_LINE_BYTES = 65_536
_GREATEST = 1e15


@dataclass(slots=True, kw_only=True)
class Replay:
    """What happened since some time.

    Attributes:
        since: Seconds since the Unix epoch.
        first_at: When the first thing happened; None where nothing did.
        totals: `calls`, `call_errors`, `retries`, `fallbacks`, `runs`, `run_errors`, `tool_calls`,
            `tool_errors`, `loop_alarms`, `hits`, tokens, `cost_usd`, `saved_usd`, and the
            sums `call_ms` and `tool_ms`.
        groups: The same by `model`, `tool`, `session_id`, cache `tier` and `error`, and in each by
            name; from the lines that name one.
        skipped_lines: Lines that could not be used, such as a torn last one.
        is_cut: Whether a file was so large that its beginning was left out.
    """

    since: float
    first_at: float | None = None
    totals: Sums = field(default_factory=Counter)
    groups: dict[str, dict[str, Sums]] = field(
        default_factory=lambda: {group: {} for group in GROUPS}
    )
    skipped_lines: int = 0
    is_cut: bool = False

    def add(self, other: Replay) -> None:
        """Add what happened in another process."""
        self.totals.update(other.totals)
        for group, names in other.groups.items():
            for name, sums in names.items():
                _of(self.groups[group], name).update(sums)
        self.skipped_lines += other.skipped_lines
        self.is_cut |= other.is_cut
        times = [at for at in (self.first_at, other.first_at) if at is not None]
        self.first_at = min(times, default=None)


def replay_events(folder: Path, since: float) -> Replay:
    """Return what the event files of a process tell of the time since then.

    Args:
        folder: The folder of the process; its files may be missing or torn.
        since: Seconds since the Unix epoch.
    """
    replay = Replay(since=since)
    for name in (OLDER_EVENTS_FILE, EVENTS_FILE):
        for line in _lines(folder / name, replay):
            facts = _facts(line)
            at = None if facts is None else parse_time(facts.get("at"))
            if facts is None or at is None:
                replay.skipped_lines += "schema" not in (facts or ())
            elif at >= since:
                replay.first_at = at if replay.first_at is None else min(at, replay.first_at)
                _count(replay, facts)
    _settle_money(replay.totals)
    for names in replay.groups.values():
        for sums in names.values():
            _settle_money(sums)
    return replay


def _lines(path: Path, replay: Replay) -> Iterator[bytes]:
    try:
        descriptor = open_regular(path)
    except (OSError, ValueError):
        return
    with open(descriptor, "rb") as file:  # noqa: PTH123 - from a descriptor
        if os.fstat(descriptor).st_size > MOST_BYTES:
            replay.is_cut = True
            file.seek(-MOST_BYTES, os.SEEK_END)
            _whole_line(file)
        while line := _whole_line(file):
            yield line


def _whole_line(file: IO[bytes]) -> bytes:
    """Return the next line; of one that is too long its beginning, and the rest is passed over."""
    line = file.readline(_LINE_BYTES)
    rest = line
    while len(rest) == _LINE_BYTES and not rest.endswith(b"\n"):
        rest = file.readline(_LINE_BYTES)
    return line


def _facts(line: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not isinstance(facts.get("at", ""), str):
        return None
    return facts


class _Kind(NamedTuple):
    """What lines of one kind are counted as.

    Attributes:
        counts: The sum that the number of them is added to.
        amounts: The sums that their own amounts are added to, by the amount's name.
        mean: The sum that the mean duration is added to, as often as the line counts.
    """

    counts: str
    amounts: Mapping[str, str] = MappingProxyType({})
    mean: str | None = None


def _count(replay: Replay, facts: Mapping[str, Any]) -> None:
    kind = facts.get("kind")
    found = _KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        return
    sums = _sums(found, facts)
    replay.totals.update(sums)
    for group, names in replay.groups.items():
        name = facts.get(group)
        if isinstance(name, str):
            _of(names, clean_text(name)).update(sums)


def _sums(kind: _Kind, facts: Mapping[str, Any]) -> Sums:
    count = _amount(facts.get("count")) or 1
    sums: Sums = Counter()
    sums[kind.counts] = count
    for name, amount in kind.amounts.items():
        sums[amount] += _amount(facts.get(name))
    if kind.mean:
        sums[kind.mean] = count * _amount(facts.get("duration_ms"))
    if kind.counts == "tool_calls" and facts.get("is_error") is True:
        sums["tool_errors"] = count
    if kind.counts == "lookups" and facts.get("outcome") == "hit":  # misses may go unwritten
        sums["hits"] = count
    return sums


def _of(names: dict[str, Sums], name: str) -> Sums:
    if name not in names and len(names) >= _MOST_NAMES:
        name = _OTHERS
    return names.setdefault(name, Counter())


def _amount(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return value if 0 < value < _GREATEST else 0


def _settle_money(sums: Sums) -> None:
    of_calls, of_runs = sums.pop("cost_usd of calls", 0), sums.pop("cost_usd of runs", 0)
    sums["cost_usd"] = of_calls or of_runs
    of_lookups, of_runs = sums.pop("saved_usd of lookups", 0), sums.pop("saved_usd of runs", 0)
    sums["saved_usd"] = of_lookups or of_runs


_CALL_AMOUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_5m_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_tokens",
    "cost_usd": "cost_usd of calls",
}
_RUN_AMOUNTS = {"cost_usd": "cost_usd of runs", "saved_usd": "saved_usd of runs"}
_KINDS = {
    "call_finished": _Kind("calls", _CALL_AMOUNTS, "call_ms"),
    "call_failed": _Kind("call_errors", {}, "call_ms"),
    "call_retried": _Kind("retries", {"wait_seconds": "retry_wait_seconds"}),
    "fallback_used": _Kind("fallbacks"),
    "cache_looked_up": _Kind("lookups", {"saved_usd": "saved_usd of lookups"}),
    "tool_finished": _Kind("tool_calls", {}, "tool_ms"),
    "run_started": _Kind("runs_started"),
    "run_finished": _Kind("runs", _RUN_AMOUNTS),
    "run_failed": _Kind("run_errors"),
    "budget_reached": _Kind("budgets_reached"),
    "context_filling": _Kind("contexts_filling"),
    "loop_alarm": _Kind("loop_alarms"),
}

"""`sdk_workflow monitor`: what the processes of the state folder do, once or until it is left."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.cli.exit_codes import ExitCode
from sdk_workflow.cli.monitor.changes import write_changes
from sdk_workflow.cli.monitor.details import detail_lines
from sdk_workflow.cli.monitor.documents import dump, processes_document
from sdk_workflow.cli.monitor.keyboard import NoKeyboard, keyboard_of
from sdk_workflow.cli.monitor.overview import process_table, totals_lines
from sdk_workflow.cli.monitor.picture import NOTHING_YET, Snapshot
from sdk_workflow.cli.monitor.replay_view import replay_lines
from sdk_workflow.cli.monitor.rows import totals_of
from sdk_workflow.cli.monitor.screen import TerminalScreen, can_draw, plain_text
from sdk_workflow.cli.monitor.signals import Signals
from sdk_workflow.cli.monitor.view_state import first_state
from sdk_workflow.cli.monitor.viewer import Terminal, Viewer, watch
from sdk_workflow.config.home import home_folder
from sdk_workflow.exceptions import UsageError
from sdk_workflow.monitor.processes import Processes
from sdk_workflow.monitor.replay import Replay, replay_events

if TYPE_CHECKING:
    from sdk_workflow.cli.console import Console
    from sdk_workflow.protocols import Clock

__all__ = ["monitor", "seconds_of"]

_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PIPE_WIDTH = 120


def monitor(
    console: Console,
    *,
    realtime: bool,
    once: bool,
    as_json: bool,
    pid: int | None,
    since: str | None,
) -> ExitCode:
    """Show the processes in the way that the options and the terminal allow.

    Raises:
        UsageError: If options contradict one another, or name what there is not.
    """
    clock = SystemClock()
    if realtime and (once or since is not None):
        raise UsageError(
            f"--realtime goes on and on, {'--once' if once else '--since'} does not.",
            code="options_conflict",
            hint="Leave one of the two out.",
        )
    earliest = None if since is None else max(clock.now() - seconds_of(since), 0)
    processes = Processes(home_folder(), clock=clock, pid=pid)
    processes.look()
    if pid is not None and not processes.seen:
        raise _unknown(pid, clock)
    if earliest is not None:
        _show_replay(console, processes, clock.now(), earliest, as_json=as_json)
    elif realtime and as_json:
        _write_changes(console, processes, clock, as_json=True)
    elif not once and not as_json and can_draw(sys.stdout):
        _draw(processes, clock)
    elif realtime:
        _write_changes(console, processes, clock, as_json=False)
    else:
        _show_once(console, processes, clock.now(), as_json=as_json)
    return ExitCode.OK


def seconds_of(length: str) -> float:
    """Return a length of time in seconds.

    Raises:
        UsageError: If it is none.

    Example:
        >>> seconds_of("30m"), seconds_of("1.5h")
        (1800.0, 5400.0)
    """
    found = _LENGTH.fullmatch(length.strip())
    seconds = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    if seconds <= 0:
        raise UsageError(
            f"--since {length!r} is no length of time.",
            code="since_invalid",
            hint="Give a number and a unit, such as 90s, 30m, 1h, 2d or 1w.",
        )
    return seconds


def _unknown(pid: int, clock: Clock) -> UsageError:
    others = Processes(home_folder(), clock=clock)
    others.look()
    pids = sorted({process.name.pid for process in others.seen})
    known = ", ".join(map(str, pids[-10:]))
    return UsageError(
        f"No process {pid} has written anything into the state folder.",
        code="process_unknown",
        hint=f"These have: {known}." if pids else "Neither has any other.",
    )


def _draw(processes: Processes, clock: Clock) -> None:
    with Signals() as signals:
        terminal = Terminal(keyboard_of(_descriptor()), TerminalScreen(sys.stdout), signals)
        watch(Viewer(processes, clock=clock), terminal, clock=clock)


def _write_changes(console: Console, processes: Processes, clock: Clock, *, as_json: bool) -> None:
    with Signals() as signals:
        write_changes(
            console, processes, signals, clock=clock, keyboard=NoKeyboard(), as_json=as_json
        )


def _descriptor() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # none, in memory only, or closed
        return None


def _show_once(console: Console, processes: Processes, now: float, *, as_json: bool) -> None:
    if as_json:
        console.result(dump(processes_document(processes.seen, now), indent=2))
        return
    snapshot = Snapshot(processes=processes.seen, now=now)
    state = first_state(snapshot.processes)
    opened = [process for process in snapshot.processes if process.name == state.opened]
    rows = snapshot.rows(state)
    if opened:
        lines = detail_lines(opened[0], now, _width())
    elif rows:
        lines = [*totals_lines(totals_of(rows), _width()), Text(), *process_table(rows, _width())]
    else:
        console.notice(NOTHING_YET)
        return
    console.result(plain_text(lines, sys.stdout))


def _show_replay(
    console: Console, processes: Processes, now: float, since: float, *, as_json: bool
) -> None:
    total = Replay(since=since)
    replays = {}
    for process in processes.seen:
        replays[process.name] = replay_events(process.folder, since)
        total.add(replays[process.name])
    if as_json:
        document = processes_document(processes.seen, now, replays, total)
        console.result(dump(document, indent=2))
        return
    console.result(plain_text(replay_lines(total, now, _width()), sys.stdout))


def _width() -> int:
    return shutil.get_terminal_size((_PIPE_WIDTH, 0)).columns

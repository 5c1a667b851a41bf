"""Writes the folder of one runtime: what the sources say, and what its events tell.

It is made in the process that it is for, by the thread that writes; nothing of it is needed before.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow._internal.clock import utc_text
from sdk_workflow._internal.version import __version__
from sdk_workflow.monitor.alarms import Alarms
from sdk_workflow.monitor.event_lines import event_lines
from sdk_workflow.monitor.live_document import LiveDocument, Source
from sdk_workflow.monitor.old_folders import remove_old_folders
from sdk_workflow.monitor.run_files import RunFiles
from sdk_workflow.monitor.run_folder import RunName, run_folders, start_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk_workflow.monitor.feed import Batch
    from sdk_workflow.monitor.session_board import SessionBoard
    from sdk_workflow.protocols import Clock

__all__ = ["FolderWriter", "Told"]

_EVERY_SECOND = 1.0
_NO_KEY = "0"
# Idle for so long -> the seconds until the next look: first the last minute empties, then the hour.
_REFRESHES = ((65.0, 1.0), (3_660.0, 30.0))
_COMMANDS = frozenset({"benchmark", "run", "simulate"})
_OWN_NAMES = frozenset({"sdk_workflow", "sdk-workflow", "__main__.py"})

_taken: dict[tuple[int, str, int], object] = {}  # one folder for one runtime at a time


class Told(NamedTuple):
    """What a writer is told about the runtime.

    Attributes:
        home: The state folder.
        backend: Who answers.
        sources: Where the figures come from.
        board: Follows the sessions.
        dropped_spans: Returns how many spans had to make room.
        started_at: When the runtime began, by the clock: time of day, and monotonic.
    """

    home: Path
    backend: str
    sources: Sequence[Source]
    board: SessionBoard
    dropped_spans: Callable[[], int]
    started_at: tuple[float, float]


class FolderWriter:
    """Writes `live.json` where it has changed, and appends to `events.jsonl`; a `FeedWriter`.

    Args:
        told: What is to be written, and about whom.
        clock: Where times come from.
    """

    def __init__(self, told: Told, *, clock: Clock) -> None:
        wall_time, monotonic = told.started_at
        pid = os.getpid()
        self._name = _take_name(pid, run_folders(told.home))
        process = {
            "pid": pid,
            "start_key": self._name.key,
            "started_at": utc_text(wall_time),
            "command": command_name(sys.argv),
            "backend": told.backend,
            "version": __version__,
            "python": ".".join(map(str, sys.version_info[:3])),
            "cwd": _working_directory(),
        }
        own = (
            Source(lambda: {"alarms": self._alarms.rows(), "lost": self._lost()}),
            Source(lambda: {"sessions": self._board.rows()}, _EVERY_SECOND),
        )
        self._clock = clock
        self._board = told.board
        self._dropped_spans = told.dropped_spans
        self._alarms = Alarms()
        self._files = RunFiles(told.home, self._name, process)
        self._document = LiveDocument(process, (*told.sources, *own), clock, started_at=monotonic)
        self._sequence = 0
        self._lost_events = 0
        self._active_at = clock.monotonic()

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._files.folder

    def write(self, batch: Batch) -> float | None:
        """Write what is new; return in how many seconds to look again."""
        now = self._clock.monotonic()
        if batch.has_news:
            self._active_at = now
        self._board.note_all(batch.events)
        self._alarms.note_all(batch.events)
        self._files.append_events(event_lines(batch.events))
        self._lost_events = batch.lost_events
        if self._document.refresh(is_last=batch.is_last) or batch.is_last:
            self._sequence += 1
            self._files.write_live(
                self._document.text(sequence=self._sequence, is_last=batch.is_last)
            )
            if self._sequence == 1:
                remove_old_folders(self._files.folder, now=self._clock.now())
        if batch.is_last:
            _taken.pop(_key(self._name, self.folder.parent), None)
            return None
        return refresh_after(now - self._active_at)

    def _lost(self) -> dict[str, int]:
        return {
            "spans": self._dropped_spans(),
            "events": self._lost_events + self._files.lost_lines,
            "writes": self._files.failed_writes,
        }


def command_name(argv: Sequence[str]) -> str:
    """Return which program runs: its name, or our command's; never an argument of a user.

    Example:
        >>> command_name(["/usr/bin/sdk_workflow", "run", "a private prompt"])
        'run'
        >>> command_name(["/srv/agent.py", "a private prompt"]), command_name(["-c"])
        ('agent.py', 'python')
    """
    program = Path(argv[0]).name if argv else ""
    if program in _OWN_NAMES:
        return next((word for word in argv[1:] if word in _COMMANDS), "sdk_workflow")
    return "python" if program in {"", "-c", "-m"} else program


def refresh_after(idle_seconds: float) -> float | None:
    """Return when to look again where nothing happens; None once every window is empty.

    Example:
        >>> [refresh_after(idle) for idle in (0.0, 300.0, 4_000.0)]
        [1.0, 30.0, None]
    """
    return next((wait for until, wait in _REFRESHES if idle_seconds <= until), None)


def _take_name(pid: int, runs: Path) -> RunName:
    """Return a name that no other runtime of this process has now."""
    key, token = start_key(pid) or _NO_KEY, object()
    names = (RunName(pid, key, number) for number in count(1))
    return next(name for name in names if _taken.setdefault(_key(name, runs), token) is token)


def _key(name: RunName, runs: Path) -> tuple[int, str, int]:
    return name.pid, str(runs), name.number


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return None

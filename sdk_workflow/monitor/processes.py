"""Finds the processes that wrote about themselves, says which still run, and keeps up with them.

Built for 20 looks a second: a look costs one stat per process; what is dearer is done less often.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from sdk_workflow.monitor.reader import read_live, stamp_of
from sdk_workflow.monitor.run_folder import LIVE_FILE, RunName, is_running, run_folders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.monitor.live_shape import Live
    from sdk_workflow.monitor.reader import Stamp
    from sdk_workflow.protocols import Clock

__all__ = ["MOST_PROCESSES", "Processes", "SeenProcess", "Status"]

Status = Literal["running", "ended", "died"]
"""`ended` said so itself; `died` did not, and runs no more."""

MOST_PROCESSES = 200
"""How many are looked at: those that wrote last."""

_SCAN_SECONDS = 0.5
_LIFE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProcess:
    """What is known of one process, or of one of several runtimes in it.

    Attributes:
        name: Its pid, and what tells it from others that had that pid.
        folder: Where it writes.
        status: Whether it runs.
        live: Its last good document, of which every key is there; None before the first.
        problem: Why its file could not be used the last time; None where it could.
        stamp: The version of the file that was read.
    """

    name: RunName
    folder: Path
    status: Status
    live: Live | None = None
    problem: str | None = None
    stamp: Stamp | None = None

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"


class Processes:
    """The processes of a state folder, as they were at the last look.

    Args:
        home: The state folder; it need not exist.
        clock: Paces what is not done at each look.
        pid: The only process to look at; None for all.
        is_alive: Says whether the process that a folder belongs to runs on this machine.

    Example:
        >>> from pathlib import Path
        >>> from sdk_workflow._internal.clock import SystemClock
        >>> processes = Processes(Path("not/there"), clock=SystemClock())
        >>> processes.look(), processes.seen
        (False, ())
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Clock,
        pid: int | None = None,
        is_alive: Callable[[RunName], bool] = is_running,
    ) -> None:
        self.seen: tuple[SeenProcess, ...] = ()
        self.left_out = 0
        self._folders = run_folders(home)
        self._clock = clock
        self._pid = pid
        self._is_alive = is_alive
        self._names: list[RunName] = []
        self._alive: set[RunName] = set()
        self._next_scan = self._next_life = float("-inf")

    def look(self) -> bool:
        """Look at every process; return whether anything is not as it was at the look before."""
        now = self._clock.monotonic()
        known = {process.name: process for process in self.seen}
        if now >= self._next_scan:
            self._next_scan = now + _SCAN_SECONDS
            self._scan()
        if now >= self._next_life:
            self._next_life = now + _LIFE_SECONDS
            # Who has died stays dead: its name holds when it was started.
            self._alive = {
                name
                for name in self._names
                if (name not in known or known[name].is_running) and self._is_alive(name)
            }
        before = self.seen
        self.seen = tuple(self._seen(name, known.get(name)) for name in self._names)
        return self.seen != before

    def _scan(self) -> None:
        try:
            with os.scandir(self._folders) as entries:
                found = [name for entry in entries if (name := RunName.parse(entry.name))]
        except OSError:
            found = []
        if self._pid is not None:
            found = [name for name in found if name.pid == self._pid]
        if set(found) == set(self._names):
            return
        self.left_out = max(len(found) - MOST_PROCESSES, 0)
        if self.left_out:
            found = sorted(found, key=self._written_at)[-MOST_PROCESSES:]
        added = [name for name in found if name not in set(self._names)]
        self._names = sorted(found, key=attrgetter("pid", "process_key", "number"))
        self._alive.update(name for name in added if self._is_alive(name))

    def _written_at(self, name: RunName) -> int:
        stamp = stamp_of(self._folders / name.folder / LIVE_FILE)
        return 0 if stamp is None else stamp[-1]

    def _seen(self, name: RunName, known: SeenProcess | None) -> SeenProcess:
        folder = self._folders / name.folder
        stamp = stamp_of(folder / LIVE_FILE)
        if known is None or stamp != known.stamp:
            live, problem = read_live(folder / LIVE_FILE)
            if live is None and known is not None:
                live = known.live  # the last good one
        else:
            live, problem = known.live, known.problem
        status = self._status(name, live)
        if known is not None and (stamp, status) == (known.stamp, known.status):
            return known
        return SeenProcess(
            name=name, folder=folder, status=status, live=live, problem=problem, stamp=stamp
        )

    def _status(self, name: RunName, live: Live | None) -> Status:
        if live is not None and live["state"] == "ended":
            return "ended"
        return "running" if name in self._alive else "died"

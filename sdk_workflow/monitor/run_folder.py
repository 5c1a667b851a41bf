"""Where a process writes about itself: `<home>/run/<pid>-<start key>/`, and whose folder that is.

Pids are reused, so a process is named by its pid and by when it started. Writers and readers share
this module; it creates and removes nothing.
"""

from __future__ import annotations

import os
import re
import sys
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "EVENTS_FILE",
    "EVENTS_SCHEMA",
    "LIVE_FILE",
    "LIVE_SCHEMA",
    "OLDER_EVENTS_FILE",
    "RunName",
    "is_running",
    "run_folders",
    "start_key",
]

LIVE_FILE = "live.json"
LIVE_SCHEMA = "sdk_workflow.live/1"
EVENTS_FILE = "events.jsonl"
OLDER_EVENTS_FILE = "events.1.jsonl"
EVENTS_SCHEMA = "sdk_workflow.events/1"

_NAME = re.compile(r"(\d{1,10})-([0-9a-z]{1,32})(?:\.(\d{1,6}))?", re.ASCII)
_PROC = Path("/proc")
_START_FIELD = 21  # of /proc/<pid>/stat, "starttime", counted from 0
_PS_SECONDS = 5


class RunName(NamedTuple):
    """Names the folder of one runtime of one process.

    Attributes:
        pid: The process.
        process_key: Tells it from other processes that have had that pid.
        number: 1 for the first runtime of the process, 2 for one beside it, and so on.

    Example:
        >>> RunName(4242, "9f2c", 2).folder, RunName.parse("4242-9f2c")
        ('4242-9f2c.2', RunName(pid=4242, process_key='9f2c', number=1))
    """

    pid: int
    process_key: str
    number: int = 1

    @property
    def key(self) -> str:
        """What follows the pid: `process.start_key` of the document in the folder."""
        return self.process_key if self.number == 1 else f"{self.process_key}.{self.number}"

    @property
    def folder(self) -> str:
        """The name of the folder; made of digits, letters, a hyphen and a dot only."""
        return f"{self.pid}-{self.key}"

    @classmethod
    def parse(cls, folder: str) -> RunName | None:
        """Return what a folder's name says; None where it is none of ours."""
        found = _NAME.fullmatch(folder)
        return None if found is None else cls(int(found[1]), found[2], int(found[3] or 1))


def run_folders(home: Path) -> Path:
    """Return the folder that holds those of all processes."""
    return home / "run"


def start_key(pid: int) -> str | None:
    """Return what tells a process from others with its pid; None where there is no such process.

    It is a digest of the start time, with the machine's boot where the system counts from that.
    """
    started = _start_time(pid)
    return None if started is None else blake2b(started.encode(), digest_size=6).hexdigest()


def is_running(name: RunName) -> bool:
    """Return whether the process that a folder belongs to still runs on this machine."""
    return start_key(name.pid) == name.process_key


def _start_time(pid: int) -> str | None:
    if sys.platform == "win32":
        return _windows_start_time(pid)
    return _linux_start_time(pid) if (_PROC / "self" / "stat").exists() else _ps_start_time(pid)


def _linux_start_time(pid: int) -> str | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return None
    # The second field is the command in parentheses, which may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[_START_FIELD - 2]
    if state in "ZX":  # dead, and not yet reaped by its parent
        return None
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii")
    except OSError:
        boot = ""
    return f"{boot.strip()} {started}"


def _ps_start_time(pid: int) -> str | None:
    import subprocess  # nosec B404 # one fixed command, without a shell

    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        found = subprocess.run(  # noqa: S603 # nosec B603 # pid is a number
            command,
            capture_output=True,
            timeout=_PS_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.decode("ascii", "replace").strip() or None


if sys.platform == "win32":  # pragma: no cover - another system

    def _windows_start_time(pid: int) -> str | None:
        import ctypes
        from ctypes import wintypes

        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(query_limited_information, 0, pid)
        if not handle:
            return None
        handle = wintypes.HANDLE(handle)
        try:
            code = wintypes.DWORD()
            kernel.GetExitCodeProcess(handle, ctypes.byref(code))
            times = [wintypes.FILETIME() for _ in range(4)]
            kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
        finally:
            kernel.CloseHandle(handle)
        if code.value != still_active:
            return None
        return f"{times[0].dwHighDateTime} {times[0].dwLowDateTime}"

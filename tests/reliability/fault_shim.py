"""The disk that fails on demand: how `shim.c` is built, loaded before everything else, and told what to do."""

from __future__ import annotations

import ctypes
import enum
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["CRASHED", "FaultShim", "Mode", "memory_folder", "missing", "run_again_under_shim"]

CRASHED = 77
"""The exit status of a process that the shim has struck down."""

_SOURCE = Path(__file__).with_name("shim.c")
_LIBRARY = "fault_shim.so"
_VARIABLE = "LD_PRELOAD"


class Mode(enum.IntEnum):
    """What becomes of the n-th call; the numbers are those of `enum mode` in `shim.c`."""

    LIVE = 0
    CRASH_BEFORE = 1
    CRASH_AFTER = 2
    HALF = 3
    ENOSPC = 4
    EIO = 5
    SHORT = 6
    FULL = 7
    BUSY = 8

    @property
    def crashes(self) -> bool:
        """Whether the process ends at the call."""
        return self in {Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.HALF}

    @property
    def kinds(self) -> str:
        """The calls that it makes a difference to, as `FaultShim.kinds` names them."""
        if self in {Mode.HALF, Mode.SHORT}:
            return "w"
        return "wotlm" if self in {Mode.FULL, Mode.ENOSPC} else "wotlmsruec"


def missing() -> str:
    """Return why the shim cannot be used here; nothing where it can."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return "the shim needs Linux with 64 bits"
    return "" if shutil.which("cc") else "the shim needs a C compiler named cc"


def memory_folder() -> Path | None:
    """Return a folder in memory, where there is one: the faults are made up, not the disk's."""
    memory = Path("/dev/shm")  # noqa: S108 - only for new folders in it, under unguessable names
    return memory if os.access(memory, os.W_OK) else None


def run_again_under_shim() -> None:
    """Build the shim and start this program anew under it; return at once where it runs under it.

    Raises:
        subprocess.CalledProcessError: If it does not compile.
    """
    if os.environ.get(_VARIABLE, "").endswith(_LIBRARY):
        return
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / _LIBRARY
        subprocess.run(
            ["cc", "-O2", "-fPIC", "-shared", "-o", str(library), str(_SOURCE)], check=True
        )
        done = subprocess.run(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, _VARIABLE: str(library)},
            check=False,
        )
    sys.exit(done.returncode)


class FaultShim:
    """The shim that this process was started with; every process has counters of its own."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[_VARIABLE])
        self._library.shim_kinds.restype = ctypes.c_char_p
        self._library.shim_calls.restype = ctypes.c_long
        self._library.shim_locks.restype = ctypes.c_long
        self._library.shim_arm.argtypes = [ctypes.c_long, ctypes.c_int]
        self._library.shim_mark.argtypes = [ctypes.c_long]

    def watch(self, folder: Path | None) -> None:
        """Count the calls on files under a folder from now on, from nought; None: on no file."""
        self._library.shim_watch(b"" if folder is None else os.fsencode(folder))

    def arm(self, at: int, mode: Mode) -> None:
        """Let the n-th call from the start of watching end as a mode says."""
        self._library.shim_arm(at, mode)

    @property
    def fired(self) -> bool:
        """Whether that call has come."""
        return bool(self._library.shim_fired())

    @property
    def locks(self) -> int:
        """How many file locks were asked for; they are counted by themselves."""
        return int(self._library.shim_locks())

    @property
    def kinds(self) -> str:
        """What was counted, one letter each.

        w write, o open that creates, e the same of a file that exists, t truncate to more, c cut,
        l link, m mkdir, s sync, r rename, u unlink.
        """
        found: bytes = self._library.shim_kinds()
        return found.decode()

    def record(self, descriptor: int) -> None:
        """Write down every change and every sync into a file from now on; -1 ends that."""
        self._library.shim_record(descriptor)

    def mark(self, number: int) -> None:
        """Write down that something was acknowledged."""
        self._library.shim_mark(number)

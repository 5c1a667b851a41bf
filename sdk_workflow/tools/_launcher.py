"""Runs one command and leaves nothing of it behind: the program between us and a sandbox.

Started as `python -I -S _launcher.py`, on the standard library alone. It reads its orders as one
line of JSON from standard input, which then stays open: as soon as it closes, everything ends. The
command writes to standard output; what became of it goes to standard error, as lines of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

CONTROL, OUTPUT, REPORT = 0, 1, 2

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MAX_KILL_SECONDS = 5.0
_KILL_ROUND_SECONDS = 0.02
_MAX_FILE_BYTES = 1 << 30
_MAX_OPEN_FILES = 4096
_WATCH_SECONDS = 0.05
_MEMORY_SHARE = 2  # one process may have a half of the machine's memory


def main() -> int:
    """Run the command that standard input describes; the exit status says nothing about it."""
    orders = json.loads(_read_line(CONTROL))
    wakeups = _watch_signals()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # whoever loses its parent becomes our child
    placeholders = _make(orders["placeholders"], orders["placeholder_mode"])
    command = os.fork()
    if command == 0:
        _become_command(orders)  # pragma: no cover - never returns
    ending, exit_code = _await_end(
        command, wakeups, orders["timeout_seconds"], max_processes=orders["max_processes"]
    )
    if ending == "timed_out":
        _signal_all(command, signal.SIGTERM, spare=orders["wrapper"])
        _await_silence(command, wakeups, orders["grace_seconds"])
    _kill_all(command, wakeups)
    if ending == "swarmed":
        _say(f"[More than {orders['max_processes']} processes at once: all were ended.]\n")
    _unmake(placeholders, orders["placeholder_mode"])
    if ending == "abandoned":
        _remove(orders["temporary"])
    _report({"ending": ending, "exit_code": exit_code})
    return 0


def _read_line(descriptor: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 65536)
        if not piece:
            raise SystemExit(1)  # whoever started us is gone already
        line += piece
    return bytes(line)


def _report(facts: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(REPORT, json.dumps(facts).encode() + b"\n")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(OUTPUT, text.encode())


def _watch_signals() -> int:
    """Return a descriptor that becomes readable when a child ends or we are asked to."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return readable


def _await_end(
    command: int, wakeups: int, timeout_seconds: float, *, max_processes: int
) -> tuple[str, int | None]:
    """Wait until the command ends, its time is up, it grows too large, or nobody wants it any more."""
    deadline = time.monotonic() + timeout_seconds
    watch = _Watch(max_processes)
    while True:
        ended = _reap()
        if command in ended:
            return "exited", ended[command]
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return "timed_out", None
        if watch.is_swarm():
            return "swarmed", 128 + signal.SIGKILL
        ready, _, _ = select.select([CONTROL, wakeups], [], [], min(remaining, watch.pause))
        if CONTROL in ready and not os.read(CONTROL, 1024):
            return "abandoned", None
        if wakeups in ready and _was_asked_to_end(os.read(wakeups, 4096)):
            return "abandoned", None


class _Watch:
    """Counts the processes of root's commands, for whom the kernel's own limit does not hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks = _tasks_of_machine()
        is_needed = self._tasks is not None and os.geteuid() == 0
        self.pause = _WATCH_SECONDS if is_needed else float("inf")

    def is_swarm(self) -> bool:
        """Tell whether there are too many; to look costs 20 us unless the machine has filled up."""
        tasks = _tasks_of_machine()
        if tasks is None or self._tasks is None or tasks <= self._tasks + self._limit:
            return False
        return len(descendants(os.getpid())) > self._limit


def _tasks_of_machine() -> int | None:
    try:
        load = Path("/proc/loadavg").read_text(encoding="ascii")  # "0.1 0.2 0.3 2/345 6789"
        return int(load.split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return None


def _was_asked_to_end(signals: bytes) -> bool:
    return any(number != signal.SIGCHLD for number in signals)


def _reap() -> dict[int, int]:
    """Collect every child that has ended; exit codes as a shell counts them."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            code = os.waitstatus_to_exitcode(status)
            ended[process] = code if code >= 0 else 128 - code
    return ended


def _kill_all(command: int, wakeups: int) -> None:
    """Kill until nobody is left: what forks faster than one round is caught by the next."""
    deadline = time.monotonic() + _MAX_KILL_SECONDS
    while time.monotonic() < deadline:
        _signal_all(command, signal.SIGKILL)
        if _await_silence(command, wakeups, _KILL_ROUND_SECONDS):
            return


def _await_silence(command: int, wakeups: int, seconds: float) -> bool:
    """Wait until no descendant is left, and tell whether that came about."""
    deadline = time.monotonic() + seconds
    while True:
        _reap()
        if not descendants(os.getpid()) and not _has_group(command):
            return True
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        # A grandchild's end wakes nobody, so look again after a short while.
        ready, _, _ = select.select([wakeups], [], [], min(remaining, _KILL_ROUND_SECONDS))
        if ready:
            os.read(wakeups, 4096)


def _signal_all(command: int, number: int, *, spare: str = "") -> None:
    for process, name in descendants(os.getpid()).items():
        if name != spare:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(command, number)


def _has_group(command: int) -> bool:
    """Tell whether the command's group lives, where /proc cannot name its members."""
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.killpg(command, 0)
    except OSError:
        return False
    return True


def descendants(ancestor: int) -> dict[int, str]:
    """Return every living process beneath one, with its name; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        # "7 (name) S 1 ...": the name may itself hold blanks and parentheses.
        before, _, after = text.rpartition(")")
        state, parent = after.split()[:2]
        number, _, name = before.partition(" (")
        children.setdefault(int(parent), []).append(int(number))
        if state not in {"Z", "X"}:
            names[int(number)] = name
    found: dict[int, str] = {}
    waiting = list(children.get(ancestor, ()))
    while waiting:
        process = waiting.pop()
        if process in names:
            found[process] = names[process]
        waiting += children.get(process, ())
    return found


def _remove(folder: str) -> None:
    """Remove the command's temporary folder, since whoever made it may be gone."""
    import shutil

    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _make(folders: list[str], mode: int) -> dict[str, int]:
    """Make the folders that are missing, each with a lock that says that it is in use.

    Their mode is so unusual that it tells them from all other empty folders.
    """
    import fcntl  # here, since Windows has none and must be able to import this module

    made: dict[str, int] = {}
    for folder in folders:
        with contextlib.suppress(OSError):  # it is there already, or must do without
            parent = os.open(Path(folder).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            made[folder] = parent
            fcntl.flock(parent, fcntl.LOCK_SH | fcntl.LOCK_NB)
            Path(folder).mkdir()
            Path(folder).chmod(mode)
    return made


def _unmake(made: dict[str, int], mode: int) -> None:
    """Remove the folders again, unless somebody else made them or still relies on them."""
    import fcntl

    for folder, parent in made.items():
        with contextlib.suppress(OSError):  # in use, or no longer empty
            fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_IMODE(Path(folder).lstat().st_mode) == mode:
                Path(folder).rmdir()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _become_command(orders: dict[str, Any]) -> None:  # pragma: no cover - a fork that never returns
    """Turn this process into the command; whatever goes wrong is reported and ends it."""
    report = os.dup(REPORT)  # closed by exec
    try:
        _prepare(orders["max_processes"])
        if orders["rules"] is not None:
            # The folder that holds the package, behind everything of the standard library.
            sys.path.append(str(Path(__file__).parents[2]))
            from sdk_workflow.tools import _landlock

            _landlock.confine(orders["rules"], _landlock.LinuxKernel())
        os.chdir(orders["cwd"])  # only now: confinement may have mounted it anew
        argv = orders["argv"]
        os.execvpe(argv[0], argv, orders["env"])  # noqa: S606 # nosec B606 # its purpose
    except BaseException as error:  # noqa: BLE001 - a fork must never return into its parent's code
        text = f"{type(error).__name__}: {error}"
        os.write(report, json.dumps({"error": text}).encode() + b"\n")
    finally:
        os._exit(126)


def _prepare(max_processes: int) -> None:  # pragma: no cover - runs in the fork only
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():  # Python ignores some, and exec would keep that
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    _limit_resources(max_processes)
    with contextlib.suppress(OSError):  # where memory runs out, the command goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, CONTROL)
    os.dup2(OUTPUT, REPORT)


def _limit_resources(max_processes: int) -> None:  # pragma: no cover - runs in the fork only
    import resource

    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    if sys.platform == "linux":  # elsewhere the limit does not count what is mapped
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        _lower(resource.RLIMIT_DATA, memory // _MEMORY_SHARE)
    tasks = _tasks_of_user()
    if tasks is not None:
        _lower(resource.RLIMIT_NPROC, tasks + max_processes)


def _lower(kind: int, limit: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    chosen = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (chosen, chosen))


def _tasks_of_user() -> int | None:
    """Count what the user runs already, since the kernel's limit is per user, not per tree.

    None where nothing can be counted, as without /proc: a limit would then hit what is no part of
    the command.
    """
    user = os.getuid()
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == user:
                count += sum(1 for _ in (process / "task").iterdir())
    return count or None


if __name__ == "__main__":
    sys.exit(main())

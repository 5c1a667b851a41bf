"""What the sampler needs to know of the threads of this process: their names, tasks and CPU time."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.core.stacks import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.core.stacks import Stack

__all__ = ["ThreadFacts", "live_threads"]

# Names that Python numbers: one root for each would tear the graph to pieces, and two runs of the
# same program could not be laid over one another.
_NUMBERED_TASK = re.compile(r"Task-\d+")
_NUMBERED_THREAD = re.compile(r"Thread-\d+ \((?P<target>.+)\)|(?P<pool>.+)-\d+_\d+|Thread-\d+")

# Linux encodes the CPU clock of a thread in its id: CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED of
# include/linux/posix-timers.h. An id that has gone is an error, where `time.pthread_getcpuclockid`
# of a thread that has ended is undefined behaviour.
_HAS_THREAD_CLOCKS = sys.platform == "linux"
_THREAD_CLOCK = 0b110


class ThreadFacts(NamedTuple):
    """One thread: the roots to hang its stack under, and its CPU time where that can be read."""

    roots: Stack = ()
    cpu_ns: int | None = None


def live_threads() -> Mapping[int, ThreadFacts]:
    """Return the facts of all threads by their id (`threading.get_ident`)."""
    tasks = _running_tasks()
    facts: dict[int, ThreadFacts] = {}
    for thread in threading.enumerate():
        if thread.ident is None:
            continue
        roots = (_root("thread", _thread_name(thread)), *tasks.get(thread.ident, ()))
        facts[thread.ident] = ThreadFacts(roots, _cpu_ns(thread.native_id))
    return facts


def _cpu_ns(native_id: int | None) -> int | None:
    if native_id is None or not _HAS_THREAD_CLOCKS:
        return None
    try:
        return time.clock_gettime_ns(~native_id << 3 | _THREAD_CLOCK)
    except OSError:  # it has just ended
        return None


def _running_tasks() -> dict[int, Stack]:
    """Return the asyncio task that each thread runs now, if it runs one.

    `asyncio.current_task` answers for a loop that is known; the table behind it knows all of them.
    Where a version of Python has no such table, tasks stay unnamed.
    """
    table: Mapping[Any, Any] = getattr(sys.modules.get("asyncio.tasks"), "_current_tasks", {})
    found: dict[int, Stack] = {}
    for loop, task in list(table.items()):
        thread_id = getattr(loop, "_thread_id", None)
        if thread_id is not None and task is not None:
            found[thread_id] = (_root("task", _task_name(task)),)
    return found


def _thread_name(thread: threading.Thread) -> str:
    numbered = _NUMBERED_THREAD.fullmatch(thread.name)
    if numbered is None:
        return thread.name
    return numbered["target"] or numbered["pool"] or type(thread).__name__


def _task_name(task: Any) -> str:
    name: str = task.get_name()
    if not _NUMBERED_TASK.fullmatch(name):
        return name
    work = task.get_coro()
    return str(getattr(work, "__qualname__", None) or type(work).__qualname__)


def _root(kind: str, name: str) -> Frame:
    return Frame(f"{kind} {name}", "", 0)

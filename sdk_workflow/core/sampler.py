"""The sampling profiler's engine: a thread that looks at every other thread's stack now and then.

A sample is weighted with the CPU time that its thread has used since the one before, or with an
equal part of the process's where the system tells no more. So a thread that waits weighs nothing,
and a function that holds the interpreter lock for long, and so delays the sampler, is not
under-counted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.stacks import Frame, StackProfile, StackWeight
from sdk_workflow.core.thread_facts import ThreadFacts, live_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from sdk_workflow.core.stacks import Stack

__all__ = ["Sampler", "is_idle"]

_MAX_DEPTH = 128
_UNKNOWN = ThreadFacts()
# Below this share of an interval a thread was not at work, wherever it stands: in `time.sleep`, say.
_LEAST_BUSY_SHARE = 0.01
_STANDARD_LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120 - compared with raw file names

# Where a thread of the standard library waits: no work is done there, whoever called it.
_IDLE = frozenset(
    {
        ("selectors.py", "select"),
        ("threading.py", "wait"),
        ("threading.py", "join"),
        ("threading.py", "_wait_for_tstate_lock"),
        ("queue.py", "get"),
        ("queue.py", "put"),
        ("socket.py", "accept"),
        ("socket.py", "readinto"),
        ("ssl.py", "read"),
        ("subprocess.py", "_try_wait"),
        ("thread.py", "_worker"),  # concurrent.futures: a worker without work
    }
)


def is_idle(frame: Frame) -> bool:
    """Tell whether a thread whose innermost frame this is waits for something."""
    folder, _, name = frame.file.rpartition(os.sep)
    known = (name, frame.function.rpartition(".")[2])
    return known in _IDLE and folder.startswith(_STANDARD_LIBRARY)


class Sampler:
    """Collects stacks from `start` to `stop`.

    Args:
        interval_seconds: Time between two samples.
        frame_source: Returns the innermost frame of each thread, by thread id.
        cpu_clock_ns: Returns the CPU time of the process without that of the calling thread.
        thread_source: Returns what is known of each thread, by thread id.
    """

    def __init__(
        self,
        interval_seconds: float = 0.005,
        *,
        frame_source: Callable[
            [], Mapping[int, FrameType]
        ] = sys._current_frames,  # noqa: SLF001 - the documented way to see other threads
        cpu_clock_ns: Callable[[], int] | None = None,
        thread_source: Callable[[], Mapping[int, ThreadFacts]] = live_threads,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._least_cpu_ns = int(interval_seconds * 1e9 * _LEAST_BUSY_SHARE)
        self._frame_source = frame_source
        self._cpu_clock_ns = cpu_clock_ns or _others_cpu_ns
        self._thread_source = thread_source
        self._threads: Mapping[int, ThreadFacts] = {}
        self._samples: Counter[Stack] = Counter()
        self._cpu_ns: Counter[Stack] = Counter()
        self._squares = 0
        self._idle_samples = 0
        self._unattributed_ns = 0
        self._last_cpu_ns = 0
        # By identity: code objects of two files can be equal. The object is kept, so its id stays its own.
        self._frames: dict[int, tuple[CodeType, Frame]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sdk_workflow-sampler", daemon=True)

    def start(self) -> None:
        """Begin to sample, in a thread of its own."""
        self._thread.start()

    def stop(self) -> StackProfile:
        """End the thread and return what it saw."""
        self._stopping.set()
        self._thread.join()
        return self.result()

    def begin(self) -> None:
        """Take the CPU times from which the first sample counts."""
        self._last_cpu_ns = self._cpu_clock_ns()
        self._threads = self._thread_source()

    def sample(self) -> None:
        """Look at all threads once, the calling one excepted."""
        cpu_ns = self._cpu_clock_ns()
        elapsed_ns, self._last_cpu_ns = cpu_ns - self._last_cpu_ns, cpu_ns
        before, self._threads = self._threads, self._thread_source()
        own_thread = threading.get_ident()
        working = {
            thread: self._stack(frame, self._threads.get(thread, _UNKNOWN).roots)
            for thread, frame in self._frame_source().items()
            if thread != own_thread and not is_idle(self._frame(frame.f_code))
        }
        attributed_ns = 0
        for thread, weight_ns in self._weights(working, before, own_thread, elapsed_ns).items():
            attributed_ns += weight_ns
            self._add(working[thread], weight_ns)
        self._unattributed_ns += max(elapsed_ns - attributed_ns, 0)
        if not attributed_ns:
            self._idle_samples += 1

    def _weights(
        self,
        working: Mapping[int, Stack],
        before: Mapping[int, ThreadFacts],
        own_thread: int,
        elapsed_ns: int,
    ) -> dict[int, int]:
        """Return the CPU time of each thread that was at work, however its stack looks."""
        used = _used_ns(before, self._threads)
        unknown = [thread for thread in working if thread not in used]
        known_ns = sum(cpu_ns for thread, cpu_ns in used.items() if thread != own_thread)
        rest_ns = elapsed_ns - known_ns
        weights = {thread: used[thread] for thread in working if thread in used}
        weights.update({thread: rest_ns // len(unknown) for thread in unknown})
        return {
            thread: cpu_ns for thread, cpu_ns in weights.items() if cpu_ns >= self._least_cpu_ns
        }

    def _add(self, stack: Stack, cpu_ns: int) -> None:
        self._samples[stack] += 1
        self._cpu_ns[stack] += cpu_ns
        self._squares += cpu_ns * cpu_ns

    def result(self) -> StackProfile:
        """Return what has been seen so far."""
        total_ns = sum(self._cpu_ns.values())
        return StackProfile(
            stacks={
                stack: StackWeight(count, self._cpu_ns[stack])
                for stack, count in self._samples.items()
            },
            idle_samples=self._idle_samples,
            unattributed_ns=self._unattributed_ns,
            effective_samples=total_ns * total_ns / self._squares if self._squares else 0.0,
        )

    def _run(self) -> None:
        self.begin()
        while not self._stopping.wait(self._interval_seconds):
            self.sample()

    def _stack(self, innermost: FrameType, roots: Stack) -> Stack:
        stack: list[Frame] = []
        frame: FrameType | None = innermost
        while frame is not None and len(stack) < _MAX_DEPTH:
            stack.append(self._frame(frame.f_code))
            frame = frame.f_back
        return (*roots, *reversed(stack))

    def _frame(self, code: CodeType) -> Frame:
        known = self._frames.get(id(code))
        if known is not None:
            return known[1]
        function: Any = getattr(code, "co_qualname", code.co_name)  # since Python 3.11
        frame = Frame(function, code.co_filename, code.co_firstlineno)
        self._frames[id(code)] = (code, frame)
        return frame


def _used_ns(before: Mapping[int, ThreadFacts], after: Mapping[int, ThreadFacts]) -> dict[int, int]:
    """Return the CPU time that each thread has used in between, of those that tell."""
    used: dict[int, int] = {}
    for thread, facts in after.items():
        if facts.cpu_ns is None:
            continue
        earlier_ns = before.get(thread, _UNKNOWN).cpu_ns or 0
        # The id of a thread that has ended may be another one's by now, whose clock starts anew.
        used[thread] = facts.cpu_ns - earlier_ns if facts.cpu_ns >= earlier_ns else facts.cpu_ns
    return used


def _others_cpu_ns() -> int:
    return time.process_time_ns() - time.thread_time_ns()

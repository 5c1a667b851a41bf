"""Threads and tasks in a profile: their names, and whose CPU time is whose."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core import thread_facts
from sdk_workflow.core.sampler import Sampler
from sdk_workflow.core.stacks import Frame
from sdk_workflow.core.thread_facts import ThreadFacts, live_threads

if TYPE_CHECKING:
    from sdk_workflow.core.stacks import Stack

MS = 1_000_000
MAIN, WORKER, IDLE = -1, -2, -3


def root(name: str) -> Stack:
    return (Frame(name, "", 0),)


def innermost(function: str, file: str = "/app/mod.py") -> Any:
    code = SimpleNamespace(
        co_name=function, co_qualname=function, co_filename=file, co_firstlineno=1
    )
    return SimpleNamespace(f_code=code, f_back=None)


class Threads:
    """A process with the threads and CPU clocks that a test gives it."""

    def __init__(self, **cpu_ms: float | None) -> None:
        self.process_ns = 0
        self.facts: dict[int, ThreadFacts] = {}
        self.frames: dict[int, Any] = {MAIN: innermost("work"), WORKER: innermost("help")}
        self.sampler = Sampler(
            0.005,
            frame_source=lambda: self.frames,
            cpu_clock_ns=lambda: self.process_ns,
            thread_source=lambda: self.facts,
        )
        self.stand(0, **cpu_ms)
        self.sampler.begin()

    def stand(self, process_ms: float, **cpu_ms: float | None) -> None:
        self.process_ns = int(process_ms * MS)
        ids = {"main": MAIN, "worker": WORKER, "idle": IDLE}
        self.facts = {
            ids[name]: ThreadFacts(root(name), None if at is None else int(at * MS))
            for name, at in cpu_ms.items()
        }


def test_thread_gets_the_cpu_time_of_its_own_clock() -> None:
    threads = Threads(main=1, worker=1)
    threads.stand(5, main=5, worker=2)
    threads.sampler.sample()
    found = {
        stack[-1].function: weight for stack, weight in threads.sampler.result().stacks.items()
    }
    assert found == {"work": (1, 4 * MS), "help": (1, 1 * MS)}


def test_thread_that_blocks_in_a_c_call_is_not_at_work() -> None:
    threads = Threads(main=1, worker=1)
    threads.stand(5, main=6, worker=1)
    threads.sampler.sample()
    (stack,) = threads.sampler.result().stacks
    assert stack == (*root("main"), Frame("work", "/app/mod.py", 1))


def test_threads_without_a_clock_share_what_the_others_leave() -> None:
    threads = Threads(main=0, worker=None)
    threads.stand(10, main=7, worker=None)
    threads.sampler.sample()
    found = {stack[0].function: weight for stack, weight in threads.sampler.result().stacks.items()}
    assert found == {"main": (1, 7 * MS), "worker": (1, 3 * MS)}


def test_time_of_a_thread_that_waits_now_stays_unattributed() -> None:
    threads = Threads(main=0, worker=0)
    del threads.frames[WORKER]
    threads.stand(10, main=6, worker=4)
    threads.sampler.sample()
    found = threads.sampler.result()
    assert (found.cpu_ns, found.unattributed_ns) == (6 * MS, 4 * MS)


def test_thread_that_began_since_the_last_sample_counts_from_its_start() -> None:
    threads = Threads(main=0)
    threads.stand(5, main=0, worker=5)
    threads.sampler.sample()
    assert threads.sampler.result().cpu_ns == 5 * MS


def test_clock_that_starts_anew_belongs_to_another_thread_of_the_same_id() -> None:
    threads = Threads(main=0, worker=900)
    threads.stand(5, main=0, worker=3)
    threads.sampler.sample()
    assert threads.sampler.result().cpu_ns == 3 * MS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MainThread", "thread MainThread"),
        ("Thread-12 (worker)", "thread worker"),
        ("ThreadPoolExecutor-0_3", "thread ThreadPoolExecutor"),
        ("Thread-7", "thread Named"),
        ("mail-2", "thread mail-2"),
    ],
)
def test_thread_is_called_by_its_name_without_the_numbers_that_python_gave(
    name: str, expected: str
) -> None:
    class Named(threading.Thread):
        pass

    released, seen = threading.Event(), threading.Event()

    def run() -> None:
        seen.set()
        released.wait()

    thread = Named(target=run, name=name)
    thread.start()
    seen.wait()
    try:
        assert thread.ident is not None
        assert live_threads()[thread.ident].roots[0].label == expected
    finally:
        released.set()
        thread.join()


def running_task_root() -> str:
    return live_threads()[threading.get_ident()].roots[-1].function


async def answer() -> str:
    return running_task_root()


@pytest.mark.skipif(
    not hasattr(asyncio.tasks, "_current_tasks"), reason="this Python has no table of tasks"
)
def test_task_is_called_by_the_name_that_its_program_gave() -> None:
    async def main() -> str:
        return await asyncio.create_task(answer(), name="customer 7")

    assert asyncio.run(main()) == "task customer 7"


@pytest.mark.skipif(
    not hasattr(asyncio.tasks, "_current_tasks"), reason="this Python has no table of tasks"
)
def test_task_without_a_name_of_its_own_is_called_by_its_coroutine() -> None:
    async def main() -> str:
        return await asyncio.create_task(answer())

    assert asyncio.run(main()) == "task answer"


def test_task_of_another_thread_is_not_mixed_up_with_this_one() -> None:
    async def look_from_elsewhere() -> tuple[ThreadFacts, int]:
        with ThreadPoolExecutor(1) as pool:
            facts = await asyncio.wrap_future(pool.submit(live_threads))
            worker = await asyncio.wrap_future(pool.submit(threading.get_ident))
        return facts[worker], worker

    facts, _ = asyncio.run(look_from_elsewhere())
    assert [frame.function for frame in facts.roots] == ["thread ThreadPoolExecutor"]


def test_threads_have_no_clock_where_the_system_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_facts, "_HAS_THREAD_CLOCKS", False)
    assert all(facts.cpu_ns is None for facts in live_threads().values())


@pytest.mark.skipif(sys.platform != "linux", reason="the clock's id is Linux's")
def test_clock_of_a_thread_that_has_ended_is_no_clock() -> None:
    largest_id = 2**22  # the kernel's limit of thread ids
    assert thread_facts._cpu_ns(largest_id + 1) is None


# In a process of its own: the threads of a test runner are none of the profile's business.
ONE_WORKS_ONE_BLOCKS = """
import asyncio, threading, time
from sdk_workflow.core.profiling import Profiler

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(500))

async def serve():
    burn(0.3)

def block():
    time.sleep(0.6)  # a C call: its frame looks like one at work

blocked = threading.Thread(target=block, name="blocked")
blocked.start()
with Profiler(profile_memory=False, interval_ms=1) as profiler:
    asyncio.run(serve())
blocked.join()
spots = {spot.function.rpartition(".")[2]: spot for spot in profiler.report.hotspots}
assert "block" not in spots, spots
assert spots["burn"].total_share > 0.9, spots
assert not any(name.startswith(("thread ", "task ")) for name in spots), spots
profiler.export_flamegraph(__import__("pathlib").Path("threads.collapsed"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the CPU time of each thread")
def test_real_thread_that_sleeps_weighs_nothing(tmp_path: Any) -> None:
    subprocess.run(
        [sys.executable, "-c", ONE_WORKS_ONE_BLOCKS], check=True, timeout=50, cwd=tmp_path
    )
    drawn = (tmp_path / "threads.collapsed").read_text()
    assert "thread MainThread;" in drawn
    assert "thread blocked" not in drawn

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import SystemClock, VirtualClock
from sdk_workflow.monitor import flusher as flusher_module
from sdk_workflow.monitor.flusher import Flusher

if TYPE_CHECKING:
    import pytest

LONG = 30.0


class Work:
    """Counts its calls, and tells of each."""

    def __init__(self, *again_in: float | None) -> None:
        self.calls = threading.Semaphore(0)
        self._again_in = iter(again_in)

    def __call__(self) -> float | None:
        self.calls.release()
        return next(self._again_in, None)

    def was_called(self) -> bool:
        return self.calls.acquire(timeout=LONG)


def quick(work: Work) -> Flusher:
    return Flusher("flusher-test", work, clock=SystemClock(), interval_seconds=0.0)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "flusher-test"]


def test_work_that_asks_for_it_is_done_again_although_nobody_wakes_it() -> None:
    work = Work(0.0, 0.0)
    flusher = quick(work)
    flusher.wake()
    assert [work.was_called() for _ in range(3)] == [True, True, True]
    flusher.close(LONG)


def test_a_thread_without_anything_to_wait_for_ends() -> None:
    work = Work()
    flusher = quick(work)
    flusher.wake()
    assert work.was_called()
    for thread in threads():
        thread.join(LONG)
    assert threads() == []


def test_a_later_wake_starts_another_thread() -> None:
    work = Work()
    flusher = quick(work)
    for _ in range(3):
        flusher.wake()
        assert work.was_called()
    flusher.close(LONG)


def test_a_wake_ends_the_wait_for_the_next_time() -> None:
    work = Work(3_600.0)
    flusher = quick(work)
    flusher.wake()
    assert work.was_called()
    flusher.wake()
    assert work.was_called()
    flusher.close(LONG)


def test_closing_ends_the_wait_for_the_next_time() -> None:
    work = Work(3_600.0)
    flusher = quick(work)
    flusher.wake()
    assert work.was_called()
    flusher.close(LONG)
    assert threads() == []


def test_closing_before_the_interval_is_over_spares_the_work() -> None:
    work = Work()
    flusher = Flusher("flusher-test", work, clock=VirtualClock(), interval_seconds=3_600.0)
    flusher.wake()
    flusher.close(LONG)
    assert not work.calls.acquire(blocking=False)
    assert threads() == []


def test_a_closed_one_is_not_woken_any_more() -> None:
    work = Work()
    flusher = quick(work)
    flusher.close(LONG)
    flusher.wake()
    assert threads() == []


def test_where_no_thread_can_be_started_waking_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NoThread:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    work = Work()
    flusher = quick(work)
    with monkeypatch.context() as patch:
        patch.setattr(flusher_module, "Thread", NoThread)
        flusher.wake()
    flusher.wake()
    assert work.was_called()
    flusher.close(LONG)

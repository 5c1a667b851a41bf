from __future__ import annotations

import logging
import os
import sys
import threading
from array import array
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.embedding import worker as worker_module
from sdk_workflow.embedding.choose import EmbedderUnavailable
from sdk_workflow.embedding.worker import EncoderWorker
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 20.0
"""Seconds that no test ever waits: what it waits for has happened, or is about to."""

SECRET = "my name is Ada"
NOTHING = EmbedderUnavailable(reason="no_model", message="No model.", hint="Get one.")


class Lengths:
    """An embedder whose vectors are the lengths of the texts; it can be held up, and can fail."""

    tag, dimension = "lengths", 1

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.is_busy = threading.Event()
        self.texts: list[str] = []
        self.error: BaseException | None = None

    def encode(self, text: str) -> array[float]:
        self.texts.append(text)
        self.is_busy.set()
        assert self.may_go.wait(LONG)
        if self.error is not None:
            raise self.error
        return array("f", [len(text)])


@pytest.fixture
def embedder() -> Iterator[Lengths]:
    found = Lengths()
    yield found
    found.may_go.set()


@pytest.fixture
def start() -> Iterator[Callable[..., EncoderWorker]]:
    """Build workers that are closed, and their threads gone, when the test ends."""
    built: list[EncoderWorker] = []

    def build(load: Any, **limits: Any) -> EncoderWorker:
        limits = {"timeout_seconds": LONG, "load_timeout_seconds": LONG, **limits}
        built.append(EncoderWorker(load, **limits))
        return built[-1]

    yield build
    for worker in built:
        worker.close()
        if worker._thread is not None:
            worker._thread.join(LONG)
            assert not worker._thread.is_alive()


def hold(embedder: Lengths) -> None:
    embedder.may_go.clear()
    embedder.is_busy.clear()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_text_comes_back_as_its_vector(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    assert worker.encode("four") == array("f", [4.0])
    assert worker.encode("seventh") == array("f", [7.0])
    assert worker.counts == {"encoded": 2}
    assert worker.embedder is embedder
    assert worker.unavailable is None


def test_the_embedder_is_loaded_once_by_the_worker_and_not_before_it_is_needed(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    loaded_by: list[threading.Thread] = []

    def load() -> Lengths:
        loaded_by.append(threading.current_thread())
        return embedder

    worker = start(load)
    assert (loaded_by, worker.embedder, worker._thread) == ([], None, None)
    worker.encode("a")
    worker.encode("b")
    assert loaded_by == [worker._thread]
    assert loaded_by[0].daemon
    assert loaded_by[0].name == "sdk-workflow-encoder"


def test_many_threads_get_each_its_own_vector(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder, max_queue=64)
    found: dict[int, object] = {}

    def ask(length: int) -> None:
        found[length] = worker.encode("x" * length)

    for thread in [in_thread(lambda length=length: ask(length)) for length in range(40)]:  # type: ignore[misc]
        thread.join(LONG)
    assert found == {length: array("f", [length]) for length in range(40)}
    assert worker.counts == {"encoded": 40}


def test_a_late_vector_is_dropped_and_counted(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    worker.encode("load first")
    hold(embedder)
    worker._timeout_seconds = 0.0
    assert worker.encode("late") is None
    assert worker.counts == {"encoded": 1, "late": 1}
    embedder.may_go.set()
    worker._timeout_seconds = LONG
    assert worker.encode("next one") == array("f", [8.0])


def test_a_text_that_nobody_waits_for_any_more_is_not_encoded(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    worker.encode("load first")
    hold(embedder)
    busy = in_thread(lambda: worker.encode("busy"))
    assert embedder.is_busy.wait(LONG)
    worker._timeout_seconds = 0.0
    assert worker.encode("given up") is None
    worker._timeout_seconds = LONG
    embedder.may_go.set()
    busy.join(LONG)
    worker.encode("last")
    assert embedder.texts == ["load first", "busy", "last"]


def test_a_text_beyond_the_queue_is_turned_away_at_once(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder, max_queue=1)
    worker.encode("load first")
    hold(embedder)
    busy = in_thread(lambda: worker.encode("busy"))
    assert embedder.is_busy.wait(LONG)
    worker._timeout_seconds = 0.0
    assert worker.encode("waits in the queue") is None
    worker._timeout_seconds = LONG
    assert worker.encode("finds it full") is None
    assert worker.counts == {"encoded": 1, "late": 1, "queue_full": 1}
    embedder.may_go.set()
    busy.join(LONG)


def test_callers_wait_for_loading_together_and_then_no_longer(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    clock, may_load = VirtualClock(), threading.Event()

    def load() -> Lengths:
        assert may_load.wait(LONG)
        return embedder

    worker = start(load, timeout_seconds=0.0, load_timeout_seconds=0.0, clock=clock)
    assert worker.encode("starts loading") is None
    worker._load_deadline = clock.monotonic() + 3.0
    assert worker._wait_seconds() == 3.0
    clock.advance(2.0)
    assert worker._wait_seconds() == 1.0
    clock.advance(2.0)
    assert worker._wait_seconds() == 0.0
    assert worker.encode("does not wait for loading") is None
    may_load.set()
    worker._timeout_seconds = LONG
    assert worker.encode("loaded") == array("f", [6.0])
    assert worker._wait_seconds() == LONG
    assert worker.counts == {"late": 2, "encoded": 1}


def test_loading_begins_its_time_limit_with_the_first_text(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    clock = VirtualClock()
    worker = start(lambda: embedder, load_timeout_seconds=7.0, clock=clock)
    clock.advance(100.0)
    worker.encode("first")
    assert worker._load_deadline == clock.monotonic() + 7.0


def test_by_default_loading_may_take_as_long_as_it_does_on_a_busy_machine(
    embedder: Lengths,
) -> None:
    clock = VirtualClock()
    worker = EncoderWorker(lambda: embedder, clock=clock)
    try:
        worker.encode("first")
        assert worker._load_deadline - clock.monotonic() >= 2.0
    finally:
        worker.close()


def test_no_embedder_is_counted_and_told(
    start: Callable[..., EncoderWorker], caplog: pytest.LogCaptureFixture
) -> None:
    worker = start(lambda: NOTHING)
    with caplog.at_level(logging.INFO, "sdk_workflow.embedding"):
        assert [worker.encode("a"), worker.encode("b")] == [None, None]
    assert worker.counts == {"unavailable": 2}
    assert (worker.unavailable, worker.embedder) == (NOTHING, None)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_text_that_waited_for_loading_is_told_that_there_is_no_embedder(
    start: Callable[..., EncoderWorker],
) -> None:
    def load() -> EmbedderUnavailable:
        with worker._lock:  # held until the text is in the queue
            return NOTHING

    worker = start(load)
    assert worker.encode("a") is None
    assert worker.counts == {"unavailable": 1}


@pytest.mark.parametrize("error", [RuntimeError("bad file"), SystemExit("bad file")])
def test_failing_to_load_is_counted_logged_and_never_raised(
    start: Callable[..., EncoderWorker],
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    def load() -> Lengths:
        raise error

    worker = start(load)
    assert [worker.encode("a"), worker.encode("b")] == [None, None]
    assert worker.counts == {"unavailable": 2}
    assert worker.unavailable is not None
    assert worker.unavailable.reason == "load_failed"
    assert "bad file" in worker.unavailable.message
    assert [record.levelname for record in caplog.records] == ["WARNING"]


class Panic(BaseException):
    """What a library written in Rust raises when it panics."""


@pytest.mark.parametrize("error", [ValueError(SECRET), Panic(SECRET)])
def test_failing_to_encode_is_counted_logged_once_and_never_raised(
    start: Callable[..., EncoderWorker],
    embedder: Lengths,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    worker = start(lambda: embedder)
    embedder.error = error
    assert [worker.encode(SECRET), worker.encode(SECRET)] == [None, None]
    embedder.error = None
    assert worker.encode("four") == array("f", [4.0])
    assert worker.counts == {"encode_failed": 2, "encoded": 1}
    assert len(caplog.records) == 1
    assert "said once" in caplog.text
    assert "Ada" not in caplog.text


@pytest.mark.parametrize("vector", [array("f", [1.0, 2.0]), array("d", [1.0]), "text", None])
def test_a_vector_of_another_size_is_a_failure(
    start: Callable[..., EncoderWorker], vector: Any
) -> None:
    class Wrong(Lengths):
        def encode(self, text: str) -> Any:
            return vector if text else None

    worker = start(Wrong)
    assert worker.encode("a") is None
    assert worker.counts == {"encode_failed": 1}


def test_each_kind_of_failure_is_logged_once(
    start: Callable[..., EncoderWorker], embedder: Lengths, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start(lambda: embedder)
    embedder.error = ValueError()
    worker.encode("a")
    worker.close()
    worker.encode("b")
    worker.encode("c")
    assert worker.counts == {"encode_failed": 1, "closed": 2}
    assert len(caplog.records) == 2
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_closing_turns_away_what_waits_and_what_comes_and_ends_the_thread(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    worker.encode("load first")
    hold(embedder)
    found: dict[str, object] = {}
    busy = in_thread(lambda: found.update(busy=worker.encode("busy")))
    assert embedder.is_busy.wait(LONG)
    waiting = in_thread(lambda: found.update(waiting=worker.encode("waiting")))
    while not worker._queue:
        assert waiting.is_alive()
    worker.close()
    waiting.join(LONG)
    assert found == {"waiting": None}
    embedder.may_go.set()
    busy.join(LONG)
    assert found == {"waiting": None, "busy": array("f", [4.0])}
    assert worker.encode("after") is None
    assert worker.counts == {"encoded": 2, "closed": 2}
    assert worker._thread is not None
    worker._thread.join(LONG)
    assert not worker._thread.is_alive()


def test_closing_an_unused_worker_starts_nothing(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    worker.close()
    worker.close()
    assert worker.encode("a") is None
    assert worker._thread is None


def test_a_thread_that_cannot_start_leaves_no_embedder(
    start: Callable[..., EncoderWorker], embedder: Lengths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = start(lambda: embedder)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        assert worker.encode("a") is None
    assert worker.counts == {"unavailable": 1}
    assert worker.unavailable is not None
    assert "can't start new thread" in worker.unavailable.message
    worker._reset()


def test_after_a_fork_nothing_is_held_and_the_embedder_stays(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    loads: list[Lengths] = []

    def load() -> Lengths:
        loads.append(embedder)
        return embedder

    worker = start(load)
    worker.encode("load first")
    first_thread, lock, has_work = worker._thread, worker._lock, worker._has_work
    assert first_thread is not None
    with lock:  # as another thread may hold it at the moment of the fork
        worker_module._reset_all()
        assert worker.encode("four") == array("f", [4.0])
        assert worker._thread is not first_thread
        worker.close()
        has_work.notify()  # a fork would have ended the first thread
    first_thread.join(LONG)
    assert not first_thread.is_alive()
    assert len(loads) == 1


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_encodes_with_a_thread_of_its_own(
    start: Callable[..., EncoderWorker], embedder: Lengths
) -> None:
    worker = start(lambda: embedder)
    worker.encode("load first")
    child = os.fork()
    if child == 0:
        is_right = worker.encode("four") == array("f", [4.0])
        os._exit(0 if is_right and worker.counts == {"encoded": 2} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker.encode("still here") == array("f", [10.0])


@pytest.mark.parametrize(
    "limits", [{"timeout_seconds": -0.1}, {"load_timeout_seconds": -1.0}, {"max_queue": 0}]
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="limits cannot be"):
        EncoderWorker(Lengths, **limits)

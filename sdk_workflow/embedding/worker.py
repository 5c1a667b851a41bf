"""One thread that encodes for everybody, within a time limit, and never fails its caller.

Whatever goes wrong comes back as None and is counted under a reason. A text is never logged.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter, deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.embedding.choose import EmbedderUnavailable
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Buffer

    from sdk_workflow.protocols import Clock, Embedder

__all__ = ["EncoderWorker", "Failure"]

Failure: TypeAlias = Literal["late", "queue_full", "unavailable", "encode_failed", "closed"]
"""Why a text has no vector."""

_LOG_LINES: dict[Failure, str] = {
    "late": "A text's vector did not come in time.",
    "queue_full": "More texts waited for their vectors than the queue holds.",
    "unavailable": "There is no embedder, so texts have no vectors.",
    "encode_failed": "The embedder failed for a text.",
    "closed": "A text came after the encoder was closed.",
}
_FLOAT32_BYTES = 4

_logger = logging.getLogger("sdk_workflow.embedding")
_workers: weakref.WeakSet[EncoderWorker] = weakref.WeakSet()


class _Job:
    """A text that waits for its vector."""

    __slots__ = ("done", "is_abandoned", "result", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.done = threading.Event()
        self.is_abandoned = False
        self.result: Buffer | Failure | None = None

    def finish(self, result: Buffer | Failure) -> None:
        self.result = result
        self.done.set()


class EncoderWorker:
    """Encodes texts in a daemon thread; safe to share between threads, and across a fork.

    The embedder is loaded in that thread when the first text arrives. One thread is enough: BLAS
    lets go of the interpreter while it works, and two encodes at once would only share the cores.

    Args:
        load: Returns the embedder, or why there is none; called once.
        timeout_seconds: How long a caller waits for a vector.
        load_timeout_seconds: How long after loading began callers wait for its end, together. It
            takes 0.4 s, and over 1 s on a busy machine: a program of one question would never
            learn its meaning.
        max_queue: Texts that may wait; one more is turned away at once.
        clock: Measures how long loading takes.

    Raises:
        UsageError: If a limit makes no sense.

    Example:
        >>> from array import array
        >>> class Flat:
        ...     tag, dimension = "flat", 1
        ...     def encode(self, text): return array("f", [1.0])
        >>> worker = EncoderWorker(Flat, timeout_seconds=5.0)
        >>> worker.encode("How tall is the tower?")
        array('f', [1.0])
        >>> worker.close()
        >>> worker.encode("And how old?"), worker.counts
        (None, {'encoded': 1, 'closed': 1})
    """

    _queue: deque[_Job]
    _thread: threading.Thread | None

    def __init__(
        self,
        load: Callable[[], Embedder | EmbedderUnavailable],
        *,
        timeout_seconds: float = 0.05,
        load_timeout_seconds: float = 3.0,
        max_queue: int = 8,
        clock: Clock | None = None,
    ) -> None:
        if timeout_seconds < 0 or load_timeout_seconds < 0 or max_queue < 1:
            raise UsageError(
                f"An encoder's limits cannot be {timeout_seconds!r} s, {load_timeout_seconds!r} s "
                f"and {max_queue!r} texts.",
                hint="Give times of 0 s or more and room for at least one text.",
            )
        self._load = load
        self._timeout_seconds = timeout_seconds
        self._load_timeout_seconds = load_timeout_seconds
        self._max_queue = max_queue
        self._clock = clock or SystemClock()
        self._loaded: Embedder | EmbedderUnavailable | None = None
        self._counts: Counter[str] = Counter()
        self._is_closed = False
        self._reset()
        _workers.add(self)

    @property
    def embedder(self) -> Embedder | None:
        """The embedder, once it is loaded."""
        return None if isinstance(self._loaded, EmbedderUnavailable) else self._loaded

    @property
    def unavailable(self) -> EmbedderUnavailable | None:
        """Why there is no embedder, once loading has found none."""
        return self._loaded if isinstance(self._loaded, EmbedderUnavailable) else None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many texts were "encoded", and how many were not, by `Failure`."""
        with self._lock:
            return dict(self._counts)

    @trace_function(name="embedding.encode")
    def encode(self, text: str) -> Buffer | None:
        """Return the text's vector, or None where there is none in time; never raises.

        A vector that comes too late is dropped. While the embedder is still being loaded, the time
        limit of loading holds.
        """
        job = _Job(text)
        refusal, timeout_seconds = self._enqueue(job)
        if refusal is not None:
            self._fail(refusal)
            return None
        if not job.done.wait(timeout_seconds):
            job.is_abandoned = True
            self._fail("late")
            return None
        if isinstance(job.result, str):
            self._fail(job.result)
            return None
        with self._lock:
            self._counts["encoded"] += 1
        return job.result

    def close(self) -> None:
        """Turn away what waits and end the thread when its present work is done."""
        with self._lock:
            self._is_closed = True
            waiting, self._queue = self._queue, deque()
            self._has_work.notify()
        for job in waiting:
            job.finish("closed")

    def _enqueue(self, job: _Job) -> tuple[Failure | None, float]:
        """Queue a job; return why it was refused, if it was, and how long to wait for it."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._start()
            refusal = self._refusal()
            if refusal is None:
                self._queue.append(job)
                self._has_work.notify()
            return refusal, self._wait_seconds()

    def _refusal(self) -> Failure | None:
        if self._is_closed:
            return "closed"
        if isinstance(self._loaded, EmbedderUnavailable):
            return "unavailable"
        return "queue_full" if len(self._queue) >= self._max_queue else None

    def _wait_seconds(self) -> float:
        if self._loaded is not None:
            return self._timeout_seconds
        until_loaded = self._load_deadline - self._clock.monotonic()
        return max(self._timeout_seconds, until_loaded)

    def _fail(self, reason: Failure) -> None:
        with self._lock:
            self._counts[reason] += 1
            is_first = self._counts[reason] == 1
        if is_first:
            # A model that nobody installed is no fault; everything else is one.
            level = logging.INFO if reason == "unavailable" else logging.WARNING
            _logger.log(level, "%s This is said once.", _LOG_LINES[reason])

    def _start(self) -> None:
        self._load_deadline = self._clock.monotonic() + self._load_timeout_seconds
        self._thread = threading.Thread(target=self._run, name="sdk-workflow-encoder", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the process may start no more threads, or is ending
            self._loaded = _load_failed(error)

    def _run(self) -> None:
        if self._loaded is None:  # after a fork it may be there already
            self._loaded = self._load_quietly()
        while (job := self._next_job()) is not None:
            if not job.is_abandoned:
                job.finish(self._encode_quietly(job.text))

    def _next_job(self) -> _Job | None:
        with self._lock:
            while not self._queue and not self._is_closed:
                self._has_work.wait()
            return self._queue.popleft() if self._queue else None

    def _load_quietly(self) -> Embedder | EmbedderUnavailable:
        try:
            return self._load()
        except BaseException as error:  # noqa: BLE001 - also a panic of a library written in Rust
            return _load_failed(error)

    def _encode_quietly(self, text: str) -> Buffer | Failure:
        embedder = self.embedder
        if embedder is None:
            return "unavailable"
        try:
            vector = embedder.encode(text)
            is_whole = memoryview(vector).nbytes == _FLOAT32_BYTES * embedder.dimension
        except BaseException:  # noqa: BLE001 - as above; its message may quote the text
            return "encode_failed"
        return vector if is_whole else "encode_failed"

    def _reset(self) -> None:
        """Begin without a thread and with nothing waiting, as it is after a fork too."""
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._queue = deque()
        self._thread = None
        self._load_deadline = 0.0


def _load_failed(error: BaseException) -> EmbedderUnavailable:
    message = f"Loading the embedder failed: {type(error).__name__}: {error}"
    _logger.warning("%s", message)
    return EmbedderUnavailable(
        reason="load_failed", message=message, hint="Mend what the message names, then start again."
    )


def _reset_all() -> None:
    """In a forked child: the threads are gone, and a lock may have been held by one of them."""
    for worker in _workers:
        worker._reset()  # noqa: SLF001 - this module's own class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)

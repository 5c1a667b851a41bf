"""One load for each key among the threads that ask for it at once. It knows no cache and no clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from sdk_workflow.core.flights import Absent, Flight, flying, waiting_for
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["SingleFlight"]

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class _ThreadFlight(Flight[V]):
    """A load that threads can wait for."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        super().__init__()
        self.done = threading.Event()


class SingleFlight(Generic[K, V]):
    """The loads under way, by key; the first thread that asks for a key loads, the others wait.

    Attributes:
        by_key: Empty where nothing is under way; only for looking.

    Example:
        >>> from sdk_workflow.core.flights import ABSENT
        >>> loads: SingleFlight[str, int] = SingleFlight()
        >>> loads.run("answer", look=lambda: ABSENT, load=lambda flight: 42)
        42
    """

    def __init__(self) -> None:
        self.by_key: dict[K, _ThreadFlight[V]] = {}
        self._lock = threading.Lock()

    def run(
        self,
        key: K,
        *,
        look: Callable[[], V | Absent],
        load: Callable[[Flight[V]], V],
        timeout_seconds: float | None = None,
    ) -> V:
        """Return what `look` finds, what another thread is loading, or what `load` returns.

        Args:
            key: What is loaded.
            look: Returns what is there already, else `ABSENT`. It runs under the table's lock.
            load: Gets its own flight, so that it can tell whether its value is still wanted.
            timeout_seconds: How long to wait for another thread's load; None waits for its end.

        Raises:
            Exception: What `load` raised, in whichever thread it ran.
            SdkWorkflowError: If another thread's load did not end in time (`load_timeout`).
            UsageError: If this runs inside a load that the key's own load waits for.
        """
        with self._lock:
            found = look()
            if not isinstance(found, Absent):
                return found
            flight = self.by_key.get(key)
            if flight is not None:
                leads = False
            else:
                leads, flight = True, _ThreadFlight[V]()
                self.by_key[key] = flight
        if leads:
            return self._lead(key, flight, load)
        return _follow(flight, timeout_seconds)

    def forget(self, key: K) -> None:
        """Let whoever asks from now on load anew; what is under way is no longer to be stored."""
        with self._lock:
            flight = self.by_key.pop(key, None)
            if flight is not None:
                flight.is_wanted = False

    def forget_all(self) -> None:
        """Do what `forget` does for every key."""
        for key in list(self.by_key):
            self.forget(key)

    def renew(self) -> None:
        """Start anew in a forked process, where the threads that were loading do not exist."""
        self.__init__()  # type: ignore[misc]

    def _lead(self, key: K, flight: _ThreadFlight[V], load: Callable[[Flight[V]], V]) -> V:
        try:
            with waiting_for(flight), flying(flight):
                value = load(flight)
            flight.succeed(value)
        except BaseException as error:
            flight.fail(error)
            raise
        finally:
            with self._lock:
                if self.by_key.get(key) is flight:
                    del self.by_key[key]
            flight.done.set()
        return value


def _follow(flight: _ThreadFlight[V], timeout_seconds: float | None) -> V:
    with waiting_for(flight):
        if not flight.done.wait(timeout_seconds):
            raise SdkWorkflowError(
                f"Another thread has been loading the same key for over {timeout_seconds!r} s.",
                code="load_timeout",
                retryable=True,
                hint="Give the loader a time limit of its own, or pass a longer timeout_seconds.",
            )
    return flight.result()

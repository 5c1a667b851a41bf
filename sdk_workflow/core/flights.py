"""What loads under way have in common: the outcome, and who waits for whom.

A load that asks for its own key, or two loads that ask for each other's, would wait for ever. Each
flight knows the flights that it waits for, so that such a circle is seen before anybody waits.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sdk_workflow.exceptions import SdkWorkflowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["ABSENT", "Absent", "Flight", "flying", "waiting_for"]

V = TypeVar("V")


class Absent:
    """Stands where there is no value; None is a value like any other."""

    __slots__ = ()


ABSENT: Final = Absent()


class Flight(Generic[V]):
    """One load that is under way, and how it ended.

    Attributes:
        is_wanted: Whether the value may be stored; not once its key was invalidated or written.
        waits_for: The flights that this one cannot end without.
    """

    __slots__ = ("_error", "_value", "is_wanted", "waits_for")

    def __init__(self) -> None:
        self.is_wanted = True
        self.waits_for: list[Flight[object]] = []
        self._value: V | Absent = ABSENT
        self._error: Exception | None = None

    def succeed(self, value: V) -> None:
        """Take what was loaded."""
        self._value = value

    def fail(self, error: BaseException) -> None:
        """Take what ended the load; an interruption of one thread or task stays its own."""
        if isinstance(error, Exception):
            self._error = error

    def result(self) -> V:
        """Return what was loaded.

        Raises:
            Exception: What the load raised.
            SdkWorkflowError: If the load was interrupted (`load_interrupted`).
        """
        if self._error is not None:
            raise self._error
        if isinstance(self._value, Absent):
            raise SdkWorkflowError(
                "The load that this call waited for was interrupted.",
                code="load_interrupted",
                retryable=True,
                hint="Ask again: nothing was stored, so the next call loads anew.",
            )
        return self._value


# A task or thread that a load starts inherits the variable where it copies its context.
_current: ContextVar[Flight[object] | None] = ContextVar("sdk_workflow_flight", default=None)


@contextmanager
def waiting_for(flight: Flight[V]) -> Generator[None, None, None]:
    """Note that the load in which this runs, if any, cannot end before `flight` has.

    Raises:
        UsageError: If `flight` itself waits for that load (`load_circle`).
    """
    outer = _current.get()
    if outer is None:
        yield
        return
    # Noted before it is looked for: of two loads that ask for each other, the later one sees it.
    outer.waits_for.append(flight)  # type: ignore[arg-type]  # only its identity is looked at
    try:
        if _reaches(flight, outer):  # type: ignore[arg-type]
            raise UsageError(
                "A load asked for a key whose own load is waiting for it.",
                code="load_circle",
                hint="Load what both need outside of the cache, or under a key of its own.",
            )
        yield
    finally:
        outer.waits_for.remove(flight)  # type: ignore[arg-type]


@contextmanager
def flying(flight: Flight[V]) -> Generator[None, None, None]:
    """Make `flight` the load in which everything inside the block runs."""
    token = _current.set(flight)  # type: ignore[arg-type]
    try:
        yield
    finally:
        _current.reset(token)


def _reaches(start: Flight[object], goal: Flight[object]) -> bool:
    pending, seen = [start], {start}
    while pending:
        flight = pending.pop()
        if flight is goal:
            return True
        ahead = [one for one in flight.waits_for.copy() if one not in seen]
        seen.update(ahead)
        pending.extend(ahead)
    return False

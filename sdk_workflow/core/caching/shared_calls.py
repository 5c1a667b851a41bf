"""Identical calls at the same moment: one is made, the others wait for what it comes to.

The calls may run in several event loops and threads. Nobody runs on behalf of another: where the
one that is made is cancelled, the next of those that wait makes it anew.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from sdk_workflow._internal.loop_runner import running_loop_runner
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.forks import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sdk_workflow.core.caching.lookup import SharedAnswer

__all__ = ["ABANDONED", "Abandoned", "SharedCall", "SharedCalls", "leading", "leads_a_call"]


class Abandoned:
    """Stands for a call that ended without any outcome: its maker was cancelled."""

    __slots__ = ()


ABANDONED: Final = Abandoned()

if TYPE_CHECKING:
    # What others may take over, its error, nothing at all, or None: an answer not to be shared.
    Outcome = SharedAnswer | Exception | Abandoned | None


class SharedCall:
    """One call that is being made; `outcome` is what it came to."""

    __slots__ = ("_lock", "_waiting", "is_over", "outcome")

    def __init__(self) -> None:
        self.outcome: Outcome = ABANDONED
        self.is_over = False
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], object]] = []

    @trace_function(name="cache.wait_for_shared_call")
    async def wait(self) -> Outcome:
        """Wait for the end, and return what it came to."""
        import anyio

        event, run_soon = anyio.Event(), running_loop_runner()
        with self._lock:
            is_over = self.is_over
            if not is_over:
                self._waiting.append(lambda: run_soon(event.set))
        if not is_over:
            await event.wait()
        return self.outcome

    def end(self, outcome: Outcome) -> None:
        """Tell everybody who waits; only the first outcome counts."""
        with self._lock:
            if self.is_over:
                return
            self.outcome, self.is_over = outcome, True
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            try:
                wake()
            except RuntimeError:  # its loop has been closed, and whoever waited there is gone
                continue


class SharedCalls:
    """The calls that are being made, by their keys.

    Example:
        >>> calls = SharedCalls()
        >>> first, makes_it = calls.join("key")
        >>> second, waits = calls.join("key")
        >>> first is second, makes_it, waits
        (True, True, False)
        >>> calls.end("key", first, None)
        >>> calls.join("key")[1]
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, SharedCall] = {}
        renew_after_fork(self)

    def join(self, key: str) -> tuple[SharedCall, bool]:
        """Return the call of a key, and whether it is the caller who has to make it."""
        with self._lock:
            known = self._by_key.get(key)
            if known is not None:
                return known, False
            made = self._by_key[key] = SharedCall()
            return made, True

    def end(self, key: str, call: SharedCall, outcome: Outcome) -> None:
        """End a call: whoever asks for the key from now on makes a new one."""
        with self._lock:
            if self._by_key.get(key) is call:
                del self._by_key[key]
        call.end(outcome)

    def renew(self) -> None:
        """Forget, in a forked process, the calls that nobody makes there."""
        self._lock = threading.Lock()
        self._by_key = {}


_leading: ContextVar[SharedCall | None] = ContextVar("sdk_workflow_shared_call", default=None)


def leads_a_call() -> bool:
    """Tell whether this runs inside a call that others wait for.

    Whoever leads never waits: a call inside a call could otherwise wait for itself, or two for each
    other.
    """
    call = _leading.get()
    return call is not None and not call.is_over


@contextmanager
def leading(call: SharedCall) -> Generator[None, None, None]:
    """Make everything inside the block part of a call that others wait for."""
    token = _leading.set(call)
    try:
        yield
    finally:
        _leading.reset(token)

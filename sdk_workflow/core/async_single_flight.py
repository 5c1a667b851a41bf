"""One load for each key among the tasks of an event loop. It knows no cache and no clock.

The load runs in a task of its own, so that it does not end with whoever happened to ask first.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sdk_workflow.core.flights import Absent, Flight, flying, waiting_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["AsyncSingleFlight"]

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class _TaskFlight(Flight[V]):
    """A load that the tasks of one event loop can wait for."""

    __slots__ = ("done", "loop", "scope", "task", "waiting")

    def __init__(self, loop: object) -> None:
        import anyio

        super().__init__()
        self.loop = loop
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.task: object = None
        self.waiting = 0


class AsyncSingleFlight(Generic[K, V]):
    """The loads under way, by key and event loop; whoever asks meanwhile waits for the same one.

    Example:
        >>> import anyio
        >>> async def load(flight: Flight[int]) -> int:
        ...     return 42
        >>> from sdk_workflow.core.flights import ABSENT
        >>> loads: AsyncSingleFlight[str, int] = AsyncSingleFlight()
        >>> anyio.run(lambda: loads.run("answer", look=lambda: ABSENT, load=load))
        42
    """

    def __init__(self) -> None:
        # By loop inside, because a task cannot wait for an event of another loop.
        self.by_key: dict[K, dict[object, _TaskFlight[V]]] = {}
        self._running: set[_TaskFlight[V]] = set()  # an event loop holds its tasks only weakly
        self._lock = threading.Lock()

    async def run(
        self,
        key: K,
        *,
        look: Callable[[], V | Absent],
        load: Callable[[Flight[V]], Awaitable[V]],
    ) -> V:
        """Return what `look` finds, what is being loaded already, or what `load` returns.

        A caller that is cancelled leaves the load to the others; it is cancelled with the last one.

        Args:
            key: What is loaded.
            look: Returns what is there already, else `ABSENT`. It runs under the table's lock.
            load: Gets its own flight, so that it can tell whether its value is still wanted.

        Raises:
            Exception: What `load` raised.
            SdkWorkflowError: If the loading task was cancelled from outside (`load_interrupted`).
            UsageError: If this runs inside a load that the key's own load waits for.
        """
        from anyio.lowlevel import current_token

        loop: Any = current_token()
        with self._lock:
            found = look()
            if not isinstance(found, Absent):
                return found
            by_loop = self.by_key.setdefault(key, {})
            flight = by_loop.get(loop)
            if flight is not None:
                leads = False
            else:
                leads, flight = True, _TaskFlight[V](loop)
                by_loop[loop] = flight
                self._running.add(flight)
        if leads:
            flight.task = _spawn(loop, partial(self._fly, key, flight, load))
        return await self._wait(key, flight)

    def forget(self, key: K) -> None:
        """Let whoever asks from now on load anew; what is under way is no longer to be stored."""
        with self._lock:
            for flight in self.by_key.pop(key, {}).values():
                flight.is_wanted = False

    def forget_all(self) -> None:
        """Do what `forget` does for every key."""
        for key in list(self.by_key):
            self.forget(key)

    def renew(self) -> None:
        """Start anew in a forked process, where the tasks that were loading do not run."""
        self.__init__()  # type: ignore[misc]

    async def _fly(
        self, key: K, flight: _TaskFlight[V], load: Callable[[Flight[V]], Awaitable[V]]
    ) -> None:
        try:
            with flight.scope, flying(flight):
                flight.succeed(await load(flight))
        except Exception as error:  # noqa: BLE001 - handed to everybody who waits
            flight.fail(error)
        finally:
            self._land(key, flight)
            with self._lock:
                self._running.discard(flight)
            flight.done.set()

    async def _wait(self, key: K, flight: _TaskFlight[V]) -> V:
        flight.waiting += 1
        try:
            with waiting_for(flight):
                await flight.done.wait()
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.done.is_set():
                self._land(key, flight)  # nobody may join what is about to be cancelled
                flight.scope.cancel()
        return flight.result()

    def _land(self, key: K, flight: _TaskFlight[V]) -> None:
        with self._lock:
            by_loop = self.by_key.get(key, {})
            if by_loop.get(flight.loop) is flight:
                del by_loop[flight.loop]
                if not by_loop:
                    del self.by_key[key]


def _spawn(token: Any, function: Callable[[], Awaitable[None]]) -> object:
    """Start a task that no task group owns: the one thing for which anyio has no word."""
    loop = getattr(token, "native_token", token)  # older versions of anyio return the loop itself
    if hasattr(loop, "create_task"):
        return loop.create_task(function())
    spawn: Callable[..., object] = import_module("trio").lowlevel.spawn_system_task
    return spawn(function, context=copy_context())

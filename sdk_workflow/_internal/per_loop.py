"""One resource for each event loop, opened at first use and closed before its loop ends.

Connections belong to the loop that opened them. Synchronous callers bring a loop each, so whatever
holds connections and may be shared between them keeps one set for each loop.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from sdk_workflow._internal.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.lowlevel import RunVar

__all__ = ["PerLoop"]

ResourceT = TypeVar("ResourceT")


class PerLoop(Generic[ResourceT]):
    """Opens a resource where the running event loop has none yet.

    Args:
        open_resource: Makes a new one.
        close_resource: Closes one, in the loop that it was opened in.

    Example:
        >>> import anyio
        >>> async def close(number: int) -> None:
        ...     print("closes", number)
        >>> resources = PerLoop(iter([1, 2]).__next__, close)
        >>> async def use() -> tuple[int, int]:
        ...     return await resources.get(), await resources.get()
        >>> anyio.run(use)
        closes 1
        (1, 1)
        >>> anyio.run(use)
        closes 2
        (2, 2)
    """

    def __init__(
        self,
        open_resource: Callable[[], ResourceT],
        close_resource: Callable[[ResourceT], Awaitable[None]],
    ) -> None:
        self._open_resource = open_resource
        self._close_resource = close_resource
        self._held: RunVar[_Held[ResourceT]] | None = None
        self._lock = Lock()

    async def get(self) -> ResourceT:
        """Return the resource of the running loop."""
        held = self._variable().get(None)
        if held is None:
            held = _Held(self)
            await anext(held.keeper)
        return held.resource

    async def aclose(self) -> None:
        """Close the resource of the running loop; another loop's is closed when that loop ends."""
        held = self._variable().get(None)
        if held is not None:
            await held.keeper.aclose()

    async def keep(self, held: _Held[ResourceT]) -> AsyncGenerator[None, None]:
        """Open a resource and close it when this generator is closed, at the latest by the loop.

        Every event loop closes the asynchronous generators that are still suspended when it ends:
        the one way to be told of that end in time to close something.
        """
        held.resource = self._open_resource()
        variable = self._variable()
        token = variable.set(held)
        try:
            yield
        finally:
            variable.reset(token)
            await self._close_resource(held.resource)

    def _variable(self) -> RunVar[_Held[ResourceT]]:
        with self._lock:  # two threads may come first together, and one variable would be lost
            if self._held is None:
                from anyio.lowlevel import RunVar

                # Some versions of anyio tell variables apart by their names.
                self._held = RunVar(new_id("per_loop"))
            return self._held


class _Held(Generic[ResourceT]):
    """A resource, and the generator that closes it."""

    __slots__ = ("keeper", "resource")

    resource: ResourceT

    def __init__(self, owner: PerLoop[ResourceT]) -> None:
        self.keeper = owner.keep(self)

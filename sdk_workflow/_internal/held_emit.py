"""What a listener may hear of a streamed reply that could still break off.

What opens a stream says nothing yet. It is held back until the first piece of content comes, so
that an attempt which fails before that leaves no mark, and the next one may start from the top.
Where nobody looks on behind a listener, no attempt ever leaves one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeGuard

    from sdk_workflow.types import Emit, StreamEvent

__all__ = ["HeldEmit", "NotingEmit", "UnseenEmit", "is_seen", "seen_like"]

_SAYS_NOTHING = frozenset({"message_start", "ping", "content_block_start"})


class HeldEmit:
    """Hands events on to a listener, those before the first content together with it.

    Args:
        emit: The listener.

    Example:
        >>> import anyio
        >>> async def listen(event):
        ...     print(event["type"])
        >>> async def attempt(emit, *kinds):
        ...     for kind in kinds:
        ...         await emit({"type": kind})
        >>> failed, good = HeldEmit(listen), HeldEmit(listen)
        >>> anyio.run(attempt, failed, "message_start", "ping")
        >>> anyio.run(attempt, good, "message_start", "content_block_delta")
        message_start
        content_block_delta
        >>> failed.has_shown, good.has_shown
        (False, True)
    """

    __slots__ = ("_emit", "_held", "has_shown")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._held: list[StreamEvent] = []
        self.has_shown = False

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        if self.has_shown:
            await self._emit(event)
            return
        self._held.append(event)
        if event.get("type") in _SAYS_NOTHING:
            return
        self.has_shown = True  # before it is handed on: a listener that raises has seen it
        held, self._held = self._held, []
        for each in held:
            await self._emit(each)


class NotingEmit:
    """Hands events on to a listener, and notes that there were any.

    Args:
        emit: The listener.
    """

    __slots__ = ("_emit", "has_shown")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.has_shown = False

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        self.has_shown = True
        await self._emit(event)


class UnseenEmit:
    """Hands events on to a listener that only measures: what it hears is shown to nobody.

    It asks for a stream, and an attempt that breaks off may be repeated at any point of it.

    Args:
        emit: The listener; each attempt starts with a `message_start` of its own.
    """

    __slots__ = ("_emit",)

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        await self._emit(event)


def is_seen(emit: Emit | None) -> TypeGuard[Emit]:
    """Return whether somebody looks on while a reply arrives.

    Example:
        >>> async def listen(event):
        ...     print(event["type"])
        >>> is_seen(listen), is_seen(UnseenEmit(listen)), is_seen(None)
        (True, False, False)
    """
    return emit is not None and not isinstance(emit, UnseenEmit)


def seen_like(inner: Emit, emit: Emit) -> Emit:
    """Return `emit`, which hands on to `inner`, as a listener that is seen or unseen as that one.

    Example:
        >>> async def listen(event):
        ...     print(event["type"])
        >>> is_seen(seen_like(UnseenEmit(listen), HeldEmit(listen))), is_seen(seen_like(listen, listen))
        (False, True)
    """
    return UnseenEmit(emit) if isinstance(inner, UnseenEmit) else emit

"""What a session hears of one reply while it arrives: its text, and when that began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.types import StreamEvent

__all__ = ["TextListener"]


class TextListener:
    """Shows the text of one reply as it arrives.

    Args:
        show: Takes each piece of text.
        elapsed_ms: Tells the time since the run began.

    Attributes:
        first_text_ms: When the first text arrived, of the last attempt if there were several.
    """

    __slots__ = ("_elapsed_ms", "_show", "first_text_ms")

    def __init__(self, show: Callable[[str], None], *, elapsed_ms: Callable[[], float]) -> None:
        self._show = show
        self._elapsed_ms = elapsed_ms
        self.first_text_ms: float | None = None

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        if event.get("type") == "message_start":
            self.first_text_ms = None  # what an attempt before this one said is no answer
        delta: Mapping[str, Any] = event.get("delta") or {}
        if delta.get("type") == "text_delta":
            if self.first_text_ms is None:
                self.first_text_ms = self._elapsed_ms()
            self._show(delta["text"])

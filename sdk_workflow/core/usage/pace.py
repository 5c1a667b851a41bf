"""How fast a conversation fills its model's window, and how long it will still fit.

Pure arithmetic over the sizes that a conversation has had; who is warned is not known here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Conversation", "slope"]

_TURNS_OF_PACE = 8  # enough to see through one long tool result, few enough to follow a change


def slope(values: Sequence[float]) -> float:
    """Return by how much a line through the values rises per step (least squares).

    0.0 for fewer than two values.

    Example:
        >>> slope([100, 300, 500])
        200.0
    """
    count = len(values)
    if count < 2:  # noqa: PLR2004 - one point makes no line
        return 0.0
    middle = (count - 1) / 2
    rise = sum((index - middle) * value for index, value in enumerate(values))
    return rise / (count * (count * count - 1) / 12)


class Conversation:
    """The sizes of one conversation, in tokens, turn by turn; not thread-safe.

    Args:
        window_tokens: What fits at most; None where that is unknown.

    Attributes:
        window_tokens: The window of the model that answered last; None where unknown.
        message_id: The message that the size is of; None where it has none.

    Example:
        >>> talk = Conversation(1_000)
        >>> for size in (100, 300, 500):
        ...     talk.grow_to(size)
        >>> talk.used_tokens, talk.turns_left
        (500, 2)
    """

    __slots__ = ("_level", "_sizes", "message_id", "window_tokens")

    def __init__(self, window_tokens: int | None) -> None:
        self.window_tokens = window_tokens
        self.message_id: str | None = None
        self._level = 0
        self._sizes: deque[int] = deque(maxlen=_TURNS_OF_PACE)

    @property
    def used_tokens(self) -> int:
        """The size after the last turn."""
        return self._sizes[-1] if self._sizes else 0

    @property
    def fill_pct(self) -> float | None:
        """How full the window is, in percent; None where that is unknown."""
        return None if self.window_tokens is None else 100 * self.used_tokens / self.window_tokens

    @property
    def turns_left(self) -> int | None:
        """How many more turns fit at the pace of the last ones; None where that is unknown."""
        pace = slope(self._sizes)
        if self.window_tokens is None or pace <= 0:
            return None
        return max(int((self.window_tokens - self.used_tokens) / pace), 0)

    def grow_to(self, size: int) -> None:
        """Take the size after one more turn; a smaller one means that the history was cut."""
        if size < self.used_tokens:
            self._sizes.clear()
        self._sizes.append(size)

    def amend(self, size: int) -> None:
        """Replace the size after the last turn, because it was reported once more."""
        self._sizes.pop()
        self._sizes.append(size)

    def has_news(self, *, warn_at_pct: float, warn_turns: int) -> bool:
        """Return whether a warning is due that was not given yet.

        There are two: that the window is filling, and that it will be full in a few turns. Both
        are due again after the history was cut.

        Args:
            warn_at_pct: From here on the window counts as filling.
            warn_turns: How few turns are a few.
        """
        if self.fill_pct is None:
            return False
        left = self.turns_left
        level = (self.fill_pct >= warn_at_pct) + (left is not None and left <= warn_turns)
        is_new = level > self._level
        # A pace that wavers around the threshold must not warn again and again.
        self._level = max(level, self._level) if level else 0
        return is_new

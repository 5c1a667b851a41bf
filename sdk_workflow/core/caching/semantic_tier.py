"""What the response cache asks of a semantic tier, and how it compares two answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk_workflow.core.semantic.matches import MatchExplanation, SemanticEntry, SemanticStats

__all__ = ["Judge", "SemanticTier", "same_words"]

Judge = Callable[[str, str], bool | None]
"""Says of a stored and a fresh answer whether they say the same; None where it cannot tell."""


class SemanticTier(Protocol):
    """A semantic cache, as far as the cascade uses it: it matches texts inside a scope."""

    @property
    def embedder_tag(self) -> str | None:
        """Name the vector space; None where no embedder is there."""
        ...

    def lookup(self, query: str, *, scope: str) -> MatchExplanation:
        """Look for a question like `query`."""
        ...

    def explain(self, query: str, *, scope: str) -> MatchExplanation:
        """Return what a lookup would find; nothing is counted."""
        ...

    def add(self, query: str, response: Any, *, scope: str, ttl: float | None) -> None:
        """Store an answer, in place of an older one to the same text."""
        ...

    def report_right(self, hit_id: str) -> bool:
        """Learn that a pair wants the same answer."""
        ...

    def report_wrong(self, hit_id: str) -> bool:
        """Remove the entry of a pair, and learn that it wants two answers."""
        ...

    def entries(self) -> Iterable[SemanticEntry]:
        """Return every entry at one moment."""
        ...

    def restore(self, entries: Iterable[SemanticEntry], *, embedder_tag: str | None) -> int:
        """Add entries that were written down, with their vectors if the tag is the same."""
        ...

    def clear(self) -> None:
        """Remove every entry."""
        ...

    def get_stats(self) -> SemanticStats:
        """Return the counts."""
        ...

    def close(self) -> None:
        """Let go of the encoder."""
        ...


def same_words(stored: str, fresh: str) -> bool | None:
    """Return True where two answers have the same words; None otherwise, for then nobody knows.

    A model says the same thing in other words each time: other words are no proof of an error.

    Example:
        >>> same_words("It is 4.", "it is  4"), same_words("It is 4.", "Four.")
        (True, None)
    """
    return True if _words(stored) == _words(fresh) else None


def _words(text: str) -> list[str]:
    words = (word.strip(".,;:!?\"'()[]*_`") for word in text.casefold().split())
    return [word for word in words if word]

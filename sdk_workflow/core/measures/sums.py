"""Records of sums, which are merged field by field."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Count", "Mergeable", "Sums"]


class Mergeable(Protocol):
    """Something that the figures of another one of its kind can be added to."""

    def merge(self, other: Any, /) -> None:
        """Add the figures of another one."""
        ...


@dataclass(slots=True)
class Sums:
    """The base of records whose fields are numbers or `Mergeable`.

    Example:
        >>> one, two = Count(1), Count(2)
        >>> one.merge(two)
        >>> one
        Count(count=3)
    """

    def merge(self, other: Self) -> None:
        """Add the figures of another record, field by field."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, (int, float)):
                setattr(self, item.name, mine + theirs)
            else:
                mine.merge(theirs)


@dataclass(slots=True)
class Count(Sums):
    """One number."""

    count: int = 0

"""Series by label, as many as there is room for; the rest share one series that is called `other`.

Labels are short and printable, whoever made them up: a model invents names of tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from sdk_workflow.core.measures.sums import Mergeable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OTHER", "UNKNOWN", "Labelled", "clean_label"]

OTHER = "other"
"""The series of every label that there was no room for."""

UNKNOWN = "unknown"
"""The label of what has no name, or one that may not be shown."""

_MAX_CHARACTERS = 64

S = TypeVar("S", bound=Mergeable)


def clean_label(name: str) -> str:
    r"""Return a name as a label: at most 64 characters, none of them a control character.

    Example:
        >>> clean_label("read\x1b[2J"), clean_label("")
        ('read?[2J', 'unknown')
    """
    short = name[:_MAX_CHARACTERS]
    if not short.isprintable():
        short = "".join(letter if letter.isprintable() else "?" for letter in short)
    return short or UNKNOWN


class Labelled(Generic[S]):
    """One series for each label, up to a limit.

    Args:
        make: Returns a new, empty series.
        limit: How many labels get a series of their own.

    Attributes:
        overflow: How often a label had to go to `other` for want of room.

    Example:
        >>> from sdk_workflow.core.measures.sums import Count
        >>> calls = Labelled(Count, limit=1)
        >>> for tool in ("read", "bash", "write", "read"):
        ...     calls.of(tool).count += 1
        >>> calls.by_label(), calls.overflow
        ([('read', Count(count=2)), ('other', Count(count=2))], 2)
    """

    __slots__ = ("_limit", "_make", "_other", "_series", "overflow")

    def __init__(self, make: Callable[[], S], *, limit: int) -> None:
        self._make = make
        self._limit = limit
        self._series: dict[str, S] = {}
        self._other: S | None = None
        self.overflow = 0

    @property
    def limit(self) -> int:
        """How many labels get a series of their own."""
        return self._limit

    def of(self, name: str) -> S:
        """Return the series of a label, to be added to."""
        series = self._series.get(name)
        return self._of_label(clean_label(name)) if series is None else series

    def find(self, name: str) -> S | None:
        """Return the series of a label, to be read; None where there is none."""
        label = clean_label(name)
        return self._other if label == OTHER else self._series.get(label)

    def all(self) -> list[S]:
        """Return the series, in the order of `by_label`."""
        return [series for _, series in self.by_label()]

    def by_label(self) -> list[tuple[str, S]]:
        """Return the labels with their series, by name; `other` comes last, where it was used."""
        found = sorted(self._series.items())
        return found if self._other is None else [*found, (OTHER, self._other)]

    def merge(self, other: Labelled[S]) -> None:
        """Add the series of another one, label by label."""
        for label, series in other.by_label():
            self.of(label).merge(series)
        self.overflow += other.overflow

    def _of_label(self, label: str) -> S:
        series = self._series.get(label)
        if series is not None:
            return series
        if label == OTHER or len(self._series) >= self._limit:
            self.overflow += label != OTHER
            self._other = self._make() if self._other is None else self._other
            return self._other
        self._series[label] = self._make()
        return self._series[label]

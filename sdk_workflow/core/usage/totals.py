"""Running sums of tokens, whole and by name: exact, and small however many names there are.

It adds up usages that were checked; not thread-safe, its owner has the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.core.usage.records import TokenTotals
    from sdk_workflow.types import Usage

__all__ = ["OTHERS", "TotalsByName", "TotalsOfAll"]

OTHERS = "(others)"
"""Where tokens are counted once there are more names than are kept apart."""

_NONE = "(none)"
_MAX_NAMES = 1_000


class TotalsOfAll:
    """One running sum; plain numbers, because adding `Usage` records takes 4 us each."""

    __slots__ = ("calls", "output", "plain", "read", "written")

    def __init__(self) -> None:
        self.calls = self.plain = self.output = self.read = self.written = 0

    def add(self, usage: Usage, sign: int = 1) -> None:
        """Count one call, or take it back with a sign of -1."""
        self.calls += sign
        self.plain += sign * usage.input_tokens
        self.output += sign * usage.output_tokens
        self.read += sign * usage.cache_read_input_tokens
        self.written += sign * (
            usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens
        )

    @property
    def total(self) -> int:
        """The whole prompts and the answers."""
        return self.plain + self.read + self.written + self.output

    def shown(self) -> TokenTotals:
        """Return the sums under the names that users see."""
        return {
            "calls": self.calls,
            "input_tokens": self.plain,
            "output_tokens": self.output,
            "cache_read_input_tokens": self.read,
            "cache_write_input_tokens": self.written,
            "total_tokens": self.total,
        }


class TotalsByName:
    """Running sums by name: the first thousand names apart, all later ones together.

    Example:
        >>> from sdk_workflow.types import Usage
        >>> totals = TotalsByName()
        >>> totals.add("plan", Usage(output_tokens=5))
        >>> totals.shown()["plan"]["total_tokens"]
        5
    """

    __slots__ = ("_totals",)

    def __init__(self) -> None:
        self._totals: dict[str, TotalsOfAll] = {}

    def add(self, name: str | None, usage: Usage, sign: int = 1) -> None:
        """Count one call under a name, or take it back with a sign of -1."""
        name = _NONE if name is None else name
        found = self._totals.get(name)
        if found is None:
            # A name stays where it was first counted, so that taking back finds it again.
            name = name if len(self._totals) < _MAX_NAMES else OTHERS
            found = self._totals.setdefault(name, TotalsOfAll())
        found.add(usage, sign)

    def shown(self) -> dict[str, TokenTotals]:
        """Return the sums of all names with calls, the largest first."""
        names = [name for name, total in self._totals.items() if total.calls]
        names.sort(key=lambda name: (-self._totals[name].total, name))
        return {name: self._totals[name].shown() for name in names}

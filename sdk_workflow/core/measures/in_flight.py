"""Which runs have begun and not ended, how many tools they have under way, and how many calls are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.core.measures.records import InFlightSummary

__all__ = ["InFlight"]

# A run whose end was never told must not be remembered for ever.
_MAX_RUNS = 10_000


class InFlight:
    """Counts what is under way, by session; the ids never leave this object.

    A cancelled tool never tells that it has finished: the end of its run ends it too.

    Attributes:
        calls: How many calls to the model are under way, whoever makes them.

    Example:
        >>> under_way = InFlight()
        >>> under_way.begin_run("s1")
        >>> under_way.add_tools("s1", 2)
        >>> under_way.runs, under_way.tools
        (1, 2)
        >>> under_way.end_run("s1")
        >>> under_way.runs, under_way.tools
        (0, 0)
    """

    __slots__ = ("_open_tools", "calls")

    def __init__(self) -> None:
        self._open_tools: dict[str | None, int] = {}
        self.calls = 0

    def end_call(self) -> None:
        """Note the end of a call; one whose start was never told changes nothing."""
        if self.calls:
            self.calls -= 1

    def summary(self) -> InFlightSummary:
        """Return all three counts."""
        return {"calls": self.calls, "runs": self.runs, "tools": self.tools}

    @property
    def runs(self) -> int:
        """How many runs are under way."""
        return len(self._open_tools)

    @property
    def tools(self) -> int:
        """How many tools of these runs are under way."""
        return sum(self._open_tools.values())

    def begin_run(self, session_id: str | None) -> None:
        """Note the start of a session's run."""
        self._open_tools[session_id] = 0
        if len(self._open_tools) > _MAX_RUNS:
            del self._open_tools[next(iter(self._open_tools))]

    def end_run(self, session_id: str | None) -> None:
        """Note the end of a session's run, and with it of its tools."""
        self._open_tools.pop(session_id, None)

    def add_tools(self, session_id: str | None, count: int) -> None:
        """Note tools that have started, or finished where `count` is negative.

        Those of a session whose run is not known to be under way are left out.
        """
        if session_id in self._open_tools:
            self._open_tools[session_id] = max(self._open_tools[session_id] + count, 0)

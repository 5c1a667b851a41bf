"""Who would receive what a logger says, looked up once and checked at every entry.

Handlers come and go (a test's capture, `dictConfig`, an error tracker), and nobody tells.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sdk_workflow.core.log_lines.records import JsonHandler

__all__ = ["Route", "Router"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The receivers of one logger.

    Attributes:
        ours: The only receiver, where it takes lines directly.
        foreign: Handlers that need a record.
    """

    ours: JsonHandler | None
    foreign: tuple[logging.Handler, ...]

    def needs_record(self, number: int) -> bool:
        """Return whether any receiver of a record takes a level."""
        return bool(self.foreign) and any(number >= handler.level for handler in self.foreign)


_Step = tuple[logging.Logger, list[logging.Handler], bool, logging.Logger | None]


class Router:
    """Finds the route of a logger and keeps it while nothing changes: 1.0 us -> 0.15 us.

    Args:
        logger: Where the chain begins.
        has_sink: Whether entries go to a file of the logger's own. Then nobody's listening is no
            reason to use the handler of last resort, and other files are none for its entries.
    """

    __slots__ = ("_has_sink", "_known", "_logger")

    def __init__(self, logger: logging.Logger, *, has_sink: bool) -> None:
        self._logger = logger
        self._has_sink = has_sink
        self._known: tuple[list[_Step], Route] = ([], Route(ours=None, foreign=()))

    def route(self) -> Route:
        """Return who receives an entry now."""
        steps, route = self._known
        for logger, handlers, propagates, parent in steps:
            if (
                logger.handlers != handlers
                or logger.propagate is not propagates
                or logger.parent is not parent
            ):
                return self._look()
        has_filters = self._logger.filters or (route.ours is not None and route.ours.filters)
        return self._look() if has_filters or not steps else route

    def _look(self) -> Route:
        steps: list[_Step] = []
        logger: logging.Logger | None = self._logger
        while logger is not None:
            steps.append((logger, list(logger.handlers), logger.propagate, logger.parent))
            logger = logger.parent if logger.propagate else None
        route = self._route_to([handler for _, known, _, _ in steps for handler in known])
        self._known = (steps, route)
        return route

    def _route_to(self, handlers: list[logging.Handler]) -> Route:
        listening = [handler for handler in handlers if type(handler) is not logging.NullHandler]
        if self._has_sink:
            others = [handler for handler in listening if not isinstance(handler, JsonHandler)]
            return Route(ours=None, foreign=tuple(others))
        if not handlers and logging.lastResort is not None:
            return Route(ours=None, foreign=(logging.lastResort,))
        first = listening[0] if len(listening) == 1 else None
        if type(first) is JsonHandler and not first.filters and not self._logger.filters:
            return Route(ours=first, foreign=())
        return Route(ours=None, foreign=tuple(listening))

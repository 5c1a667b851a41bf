"""Handing events to those who look on, without letting them disturb the work."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk_workflow.events import Event, EventSink

__all__ = ["SinkSet"]

_logger = logging.getLogger("sdk_workflow.sinks")


class SinkSet:
    """An ordered set of event sinks; one that raises is contained, counted and reported once."""

    __slots__ = ("_reported", "_sinks", "error_count")

    def __init__(self, sinks: Iterable[EventSink] = ()) -> None:
        self._sinks = tuple(sinks)
        self._reported: set[int] = set()
        self.error_count = 0

    def add(self, sink: EventSink) -> None:
        """Let `sink` see every further event."""
        self._sinks = (*self._sinks, sink)

    def remove(self, sink: EventSink) -> None:
        """Let `sink` see no further event; one that is not there is ignored."""
        # By equality: `object.method` is a new object each time that it is written.
        for known in self._sinks:
            if known == sink:
                self._reported.discard(id(known))  # a later sink may get the same id
        self._sinks = tuple(known for known in self._sinks if known != sink)

    @property
    def take_text(self) -> bool:
        """Whether a sink may show the model's text: all do that are not `shows_no_text`."""
        return any(getattr(sink, "takes_text", True) for sink in self._sinks)

    def emit(self, event: Event) -> None:
        """Show `event` to every sink, in the order in which they were added."""
        for sink in self._sinks:
            try:
                sink(event)
            except Exception as error:  # noqa: BLE001 - a sink only looks; its faults stay its own
                self._contain(sink, error)

    def _contain(self, sink: EventSink, error: Exception) -> None:
        self.error_count += 1
        if id(sink) not in self._reported:
            self._reported.add(id(sink))
            _logger.warning(
                "The event sink %r failed; later failures are only counted.", sink, exc_info=error
            )

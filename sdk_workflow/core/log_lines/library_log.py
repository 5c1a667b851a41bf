"""What the library itself reports through the standard library's loggers, in a file of its user."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from typing_extensions import override

from sdk_workflow.core.log_lines.encoder import encoder
from sdk_workflow.core.log_lines.file_sink import FileSink
from sdk_workflow.core.log_lines.records import JsonHandler
from sdk_workflow.core.log_lines.stamps import Stamps

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.protocols import Clock

__all__ = ["LibraryHandler", "join_library_log"]

_library = logging.getLogger("sdk_workflow")
_lock = threading.Lock()


class LibraryHandler(JsonHandler):
    """The handler of one file, shared by all who write to it.

    Where nobody else listens, warnings still reach stderr: a file that is always there must not
    keep them from a user who has set up no logging.

    Attributes:
        users: How many there are.
    """

    users = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and show a warning where nobody else would."""
        super().emit(record)
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and self._is_alone(record.name):
            last.handle(record)

    def leave(self) -> None:
        """Give up one use; with the last one the file is closed."""
        with _lock:
            self.users -= 1
            if self.users > 0:
                return
            _library.removeHandler(self)
        self.close()

    def _is_alone(self, name: str) -> bool:
        """Return whether this is the first of a chain on which there are only such handlers."""
        handlers: list[logging.Handler] = []
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            handlers += logger.handlers
            logger = logger.parent if logger.propagate else None
        return handlers[:1] == [self] and all(type(item) is LibraryHandler for item in handlers)


def join_library_log(path: Path, clock: Clock, *, secrets: tuple[str, ...] = ()) -> LibraryHandler:
    """Let the library's own records go to a file, and return the handler that takes them there."""
    with _lock:
        for handler in _library.handlers:
            if isinstance(handler, LibraryHandler) and handler.sink.path == path:
                handler.users += 1
                return handler
        sink = FileSink(path, gap_line=lambda count: _gap(clock, count))
        handler = LibraryHandler(sink, secrets=secrets)
        handler.users = 1
        _library.addHandler(handler)
        return handler


def _gap(clock: Clock, count: int) -> bytes:
    entry = {
        "ts": Stamps().text(clock.now()),
        "level": "WARNING",
        "logger": "sdk_workflow.log",
        "message": f"Before this, {count} lines could not be written.",
        "context": {"lost_lines": count},
    }
    return encoder()(entry) + b"\n"

"""The files of one process: `live.json`, whole or not at all, and `events.jsonl`, which rotates.

It writes text; what is in it is for others. The disk may be full, the folder closed or gone: what
could not be written is counted, and said once.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from sdk_workflow.monitor.run_folder import (
    EVENTS_FILE,
    EVENTS_SCHEMA,
    LIVE_FILE,
    OLDER_EVENTS_FILE,
    run_folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.monitor.run_folder import RunName

__all__ = ["RunFiles"]

_logger = logging.getLogger("sdk_workflow.monitor")

_MAX_EVENTS_BYTES = 4 * 1024 * 1024
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_WRITE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CREATE, _APPEND = _WRITE | os.O_TRUNC, _WRITE | os.O_APPEND


class RunFiles:
    """Writes into the folder of a process, which is made when it is first needed or missed.

    Args:
        home: The state folder.
        name: Whose folder.
        facts: What the first line of `events.jsonl` says besides its schema.
        max_events_bytes: When that file makes room for a new one; the one before it is kept.

    Attributes:
        failed_writes: How many writes failed.
        lost_lines: How many lines they were to write.
    """

    def __init__(
        self,
        home: Path,
        name: RunName,
        facts: Mapping[str, Any],
        *,
        max_events_bytes: int = _MAX_EVENTS_BYTES,
    ) -> None:
        self.folder = run_folders(home) / name.folder
        self._live = self.folder / LIVE_FILE
        self._beside = self.folder / f".{LIVE_FILE}.tmp"
        self._events = self.folder / EVENTS_FILE
        self.failed_writes = 0
        self.lost_lines = 0
        self._header = json.dumps({"schema": EVENTS_SCHEMA, **facts}) + "\n"
        self._max_events_bytes = max_events_bytes
        self._is_torn = False

    def write_live(self, text: str) -> bool:
        """Replace `live.json`; return whether that was possible."""
        return self._attempt(lambda: self._replace(text.encode()))

    def append_events(self, lines: Sequence[str]) -> bool:
        """Append lines to `events.jsonl`; return whether that was possible."""
        if not lines or self._attempt(lambda: self._append("".join(lines))):
            return True
        self.lost_lines += len(lines)
        return False

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write, in a new folder where there is none; return whether that was possible."""
        try:
            try:
                write()
            except OSError:
                if self.folder.is_dir():
                    raise
                self._make_folder()
                write()
        except OSError as error:
            self.failed_writes += 1
            if self.failed_writes == 1:
                _logger.warning(
                    "The monitor cannot write to %s (%s): the run goes on, and what is lost is "
                    "counted.",
                    self.folder,
                    error,
                )
            return False
        return True

    def _make_folder(self) -> None:
        self.folder.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self.folder.mkdir(mode=_FOLDER_MODE)

    def _replace(self, data: bytes) -> None:
        """Write beside the file and rename: 75 us, where a new name and a sync each time take 1 ms.

        Nobody else writes here, and a document that a loss of power takes away is of no use anyway.
        """
        descriptor = os.open(self._beside, _CREATE, _FILE_MODE)
        try:
            _write_all(descriptor, data)
        except OSError:
            self._beside.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._beside.replace(self._live)

    def _append(self, text: str) -> None:
        descriptor = os.open(self._events, _APPEND, _FILE_MODE)
        try:
            size = os.fstat(descriptor).st_size
            if size == 0:
                text = self._header + text
            elif self._is_torn:
                text = "\n" + text
            self._is_torn = True  # until all is written: the disk may be full half way
            _write_all(descriptor, text.encode())
            self._is_torn = False
        finally:
            os.close(descriptor)
        if size + len(text) > self._max_events_bytes:
            self._events.replace(self.folder / OLDER_EVENTS_FILE)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]

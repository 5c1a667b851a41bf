"""Reads one `live.json`, which may be missing, torn, foreign, newer, huge or no file at all.

It never raises for what a file holds, and never waits for one.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.monitor.live_shape import clean_text, live_document
from sdk_workflow.monitor.run_folder import LIVE_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.monitor.live_shape import Live

__all__ = ["MOST_BYTES", "Reading", "Stamp", "open_regular", "read_live", "stamp_of"]

MOST_BYTES = 4 * 1024 * 1024
"""A document has some 20 KB; a file beyond this is none of ours."""

Stamp = tuple[int, int, int]
"""Tells one version of a file from another: its number, its size, when it was changed."""

_FAMILY = LIVE_SCHEMA.rpartition("/")[0]


class Reading(NamedTuple):
    """What a file was found to hold.

    Attributes:
        live: The document; None where there is none to be used.
        problem: Why there is none, as the end of a sentence; None where there is one.
    """

    live: Live | None
    problem: str | None


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file, None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_live(path: Path) -> Reading:
    """Return what a live file holds.

    Example:
        >>> from pathlib import Path
        >>> read_live(Path("not/there/live.json")).problem
        'has written nothing yet'
    """
    try:
        with open(open_regular(path), "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Reading(None, "has written nothing yet")
    except OSError as error:
        return Reading(None, f"cannot be read: {clean_text(error.strerror or str(error))}")
    if len(content) > MOST_BYTES:
        return Reading(None, "has written a file that is too large")
    return _parsed(content)


def open_regular(path: Path) -> int:
    """Return a descriptor of a regular file; a pipe or a device is refused without waiting.

    Raises:
        OSError: If it cannot be opened, or is something else.
    """
    # A pipe that nobody writes to would be waited for without O_NONBLOCK, which Windows lacks.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is no regular file")
    return descriptor


def _parsed(content: bytes) -> Reading:
    try:
        value = json.loads(content, parse_constant=_nothing)
    except (ValueError, RecursionError):
        return Reading(None, "has written something that cannot be read (yet)")
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, str) or schema.rpartition("/")[0] != _FAMILY:
        return Reading(None, "has written something that is not a live document")
    if schema != LIVE_SCHEMA:
        return Reading(None, f"is of another version ({clean_text(schema)}): update this monitor")
    return Reading(live_document(value), None)


def _nothing(_: str) -> Any:
    """Read NaN and the infinities, which JSON does not have, as not known."""
    return None

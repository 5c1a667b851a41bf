"""What a session's history last reached, kept outside the database.

SQLite answers a damaged write-ahead log with a shorter, valid history. The two slots of this file
(written in turn after each commit, never synced: it may lag behind, it is never ahead) tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.storage.chain import HEAD_BYTES, Head
from sdk_workflow.storage.errors import Damage

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.storage.file_lock import FileLock

__all__ = ["read_head_file", "reset_head_file", "write_head_file"]

_SLOT_BYTES = 512  # one disk sector: a torn write damages one slot, not both
_FILE_BYTES = _SLOT_BYTES + HEAD_BYTES


def read_head_file(path: Path) -> Head:
    """Return the latest head that the file still holds; an empty one where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES)
    except OSError:
        return Head()
    heads = [_slot(data, offset) for offset in (0, _SLOT_BYTES)]
    return max(heads, key=lambda head: head.writes)


def write_head_file(lock: FileLock, head: Head, *, sync: bool = False) -> None:
    """Write a head over the older one; the caller holds the lock."""
    lock.write(head.pack(), _SLOT_BYTES * (head.writes % 2), sync=sync)


def reset_head_file(lock: FileLock, head: Head) -> None:
    """Make a head the only one, before an older or another history takes the session's place."""
    lock.write(head.pack().ljust(_SLOT_BYTES, b"\0") + head.pack(), 0, sync=True)


def _slot(data: bytes, offset: int) -> Head:
    try:
        return Head.unpack(data[offset : offset + HEAD_BYTES])
    except Damage:
        return Head()

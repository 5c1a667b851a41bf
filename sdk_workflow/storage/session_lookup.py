"""What a session's own files say of it, wherever they are: its record first, then its session file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.session_folders import archive_path, current_path, session_head
from sdk_workflow.storage.session_record import read_record, record_path
from sdk_workflow.storage.session_summary import summarise_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.storage.session_info import SessionInfo

__all__ = ["known_info", "with_head"]


def known_info(
    home: Path,
    session_id: str,
    *,
    key: bytes | None,
    on_notice: Callable[[str], None],
    base: SessionInfo | None = None,
) -> SessionInfo | None:
    """Return what a session's own files say: its record, else what its session file tells.

    A damaged record is moved aside, and `on_notice` told. A `base` goes before what the session
    file tells.

    Raises:
        StorageError: If a later release has written its record, or it cannot be read.
    """
    path, file = record_path(home, session_id), current_path(home, session_id)
    try:
        info = read_record(path)
    except Damage as damage:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        on_notice(
            f"The record of session {session_id!r} is damaged: {damage.what}. It is kept as "
            f"{str(aside)!r}; title and tags that a user gave are lost with it."
        )
        info = None
    if file is None:
        return info or base
    if info is None:
        info = base or summarise_session(file, session_id, key=key)
    # Where the file is tells whether it was put away: it is moved before its record is written.
    if file == archive_path(home, session_id):
        return info.archived(now=file.stat().st_mtime)
    return info.unarchived()


def with_head(home: Path, info: SessionInfo) -> SessionInfo:
    """Return a session with how far its file goes by now, where that is further than was known."""
    head = session_head(home, info.session_id)
    if head.version <= info.last_version:
        return info
    return info.at(head.version, head.chain.hex())

"""What of a session's history may go: whole keyframe groups from its start, never the latest one.

What stays is chained to an anchor, so that it can still be checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.session_check import checked_records, read_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.storage.frames import Packer
    from sdk_workflow.storage.session_connection import Writing

__all__ = ["first_version_to_keep", "prune_frames", "prune_journal"]


def first_version_to_keep(
    keyframes: Sequence[tuple[int, int]],
    *,
    last_version: int,
    keep_versions: int | None = None,
    before_us: int | None = None,
) -> int:
    """Return the keyframe that history starts with from now on.

    Args:
        keyframes: Version and creation time of each, ascending.
        last_version: The latest version.
        keep_versions: Keep at least that many versions.
        before_us: Keep every version created after that time.

    Example:
        >>> first_version_to_keep([(1, 10), (5, 50), (9, 90)], last_version=12, keep_versions=6)
        5
        >>> first_version_to_keep([(1, 10), (5, 50), (9, 90)], last_version=12, before_us=95)
        9
    """
    first = keyframes[0][0] if keyframes else 0
    for version, created_us in keyframes[1:]:
        # Times never fall: all before this keyframe is as old as it or older.
        if keep_versions is not None and version > last_version - keep_versions + 1:
            break
        if before_us is not None and created_us > before_us:
            break
        first = version
    return first


def prune_frames(writing: Writing, packer: Packer, first: int) -> int:
    """Delete all versions before a keyframe; return how many.

    Raises:
        Damage: If what would stay does not load: then nothing is deleted.
    """
    tables = writing.tables
    anchor = tables.anchor()
    if first <= anchor.version + 1:
        return 0
    for version in (first, writing.head.version):
        read_version(tables, packer, version)
    (_, chain), (frame, next_chain) = tables.frames(first - 1, first)
    if frame.chained_to(chain) != next_chain:  # else nothing could ever be checked against it
        raise Damage("its row does not match its hash", version=first)
    deleted = tables.delete_frames(first - 1)
    tables.write_anchor(replace(anchor, version=first - 1, chain=chain))
    tables.give_back_pages()
    return deleted


def prune_journal(writing: Writing, before_us: int) -> int:
    """Delete the journal's start as far as its runs have ended and are older; return how much.

    A run that failed has ended once another one was begun: until then it can be resumed.

    Raises:
        Damage: If the journal is damaged: then nothing is deleted.
    """
    tables = writing.tables
    anchor = tables.anchor()
    rows = [*checked_records(tables, writing.head)]
    begun = [row[1] for row in rows if row[3] == b"run_started"]
    ended = {
        row[1]
        for row in rows
        if row[5] < before_us
        and (row[3] == b"run_finished" or (row[3] == b"run_failed" and row[1] not in begun[-1:]))
    }
    last, chain = anchor.sequence, anchor.journal_chain
    for row in rows:
        if row[1] not in ended or row[5] >= before_us:
            break
        last, chain = row[0], row[6]
    if last == anchor.sequence:
        return 0
    deleted = tables.delete_records(last)
    tables.write_anchor(replace(anchor, sequence=last, journal_chain=chain))
    tables.give_back_pages()
    return deleted

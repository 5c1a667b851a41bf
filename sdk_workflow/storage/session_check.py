"""Reading with a check at every step: a version, the chain of versions, the journal, everything."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.frames import KEYFRAME, parsed
from sdk_workflow.storage.records import chained
from sdk_workflow.storage.strict_json import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.storage.chain import Head
    from sdk_workflow.storage.frames import Frame, Packer, Replay
    from sdk_workflow.storage.session_tables import RecordRow, SessionTables
    from sdk_workflow.storage.snapshots import Snapshot

__all__ = [
    "checked_frames",
    "checked_records",
    "intact_versions",
    "read_version",
    "verify_all",
    "verify_version",
]


def read_version(
    tables: SessionTables, packer: Packer, version: int
) -> tuple[Frame, bytes, Snapshot]:
    """Return a version's frame, its hash and its state, which matches the hash stored with it.

    Raises:
        Damage: If one of the frames that it builds on is missing or not what was written.
    """
    last = tables.frame(version)
    base = last[0].base
    replay = packer.replay()
    for frame, _ in tables.frames(base, version):
        # A base that is damaged in a frame between concerns that one: the hash at the end decides.
        if (frame.kind == KEYFRAME) != (frame.version == base):
            raise Damage("it builds on another version than its neighbours", version=version)
        with damage_in(frame.version):
            replay.apply(frame)
    with damage_in(version):
        return *last, replay.snapshot(last[0])


def checked_frames(tables: SessionTables, head: Head) -> Iterator[tuple[Frame, bytes]]:
    """Yield all frames, each linked to the one before and the last to the head.

    Raises:
        Damage: At the first that is not.
    """
    anchor = tables.anchor()
    before = anchor.chain
    for frame, chain in tables.frames(anchor.version + 1, head.version):
        if frame.chained_to(before) != chain:
            raise Damage("its row does not match its hash", version=frame.version)
        yield frame, chain
        before = chain
    if before != head.chain:
        raise Damage("its hash is not the one that the session ends with", version=head.version)


def checked_records(tables: SessionTables, head: Head) -> Iterator[RecordRow]:
    """Yield all rows of the journal, each linked to the one before and the last to the head.

    Raises:
        Damage: At the first that is not.
    """
    anchor = tables.anchor()
    before = anchor.journal_chain
    for row in tables.records(anchor.sequence + 1, head.sequence):
        if chained(row, before) != row[6]:
            raise Damage(f"record {row[0]} of its journal does not match its hash")
        yield row
        before = row[6]
    if before != head.journal_chain:
        raise Damage("its journal does not end with the hash that the session ends with")


def verify_version(tables: SessionTables, packer: Packer, version: int) -> None:
    """Check one version and that its JSON is as strict as what this library writes.

    Raises:
        Damage: If it is not what was saved.
    """
    _, _, snapshot = read_version(tables, packer, version)
    with damage_in(version):
        _check_json(snapshot)


def verify_all(tables: SessionTables, head: Head, packer: Packer, *, strict: bool = True) -> None:
    """Check the structure of the file, every version and every record.

    Args:
        tables: The tables of the file.
        head: How far its history goes.
        packer: What its frames were packed with.
        strict: Look for equal keys and the like too, as in a file of unknown origin.

    Raises:
        Damage: With the first thing that is wrong.
    """
    tables.quick_check()
    tables.check_schema()
    replay = packer.replay()
    for frame, _ in checked_frames(tables, head):
        with damage_in(frame.version):
            packer.info(frame, b"")
            replay.apply(frame)
            snapshot = replay.snapshot(frame)
            if strict:
                _check_json(snapshot)
    for row in checked_records(tables, head):
        body = packer.sealer.unseal(row[7], "record", row[0])
        if strict:
            load(body)


def intact_versions(tables: SessionTables, head: Head, packer: Packer) -> tuple[int, ...]:
    """Return every version that still loads; each row is looked for by itself."""
    found: list[int] = []
    replay, base = packer.replay(), 0
    for version in range(tables.anchor().version + 1, head.version + 1):
        try:
            frame, chain = tables.frame(version)
            if frame.kind == KEYFRAME:
                replay, base = packer.replay(), version
            replay.apply(frame)
        except Exception:  # noqa: BLE001 # whatever is wrong, it does not load
            base = -1  # nor does what builds on it, even where the hash would fit without it
            continue
        fits_head = version < head.version or chain == head.chain
        if frame.base == base and fits_head and _is_whole(replay, frame):
            found.append(version)
    return tuple(found)


def _is_whole(replay: Replay, frame: Frame) -> bool:
    try:
        parsed(replay.snapshot(frame))
    except Exception:  # noqa: BLE001 # whatever is wrong, it does not load
        return False
    return True


def _check_json(snapshot: Snapshot) -> None:
    """Refuse JSON that this library does not write."""
    for value in snapshot.values():
        load(value.data)


@contextmanager
def damage_in(version: int) -> Iterator[None]:
    """Say in which version damage was found, where it does not say so itself."""
    try:
        yield
    except Damage as damage:
        raise Damage(damage.what, version=damage.version or version) from damage

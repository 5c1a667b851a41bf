"""Copies of session files: a backup as one file, and a copy put in a session's place.

A copy is made by SQLite (copying the file itself would miss its log), checked in full, synced, and
only then renamed to where it belongs.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.chain import GENESIS, Head
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt, Damage, corrupt
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.head_file import read_head_file, reset_head_file
from sdk_workflow.storage.session_check import verify_all
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_opening import refuse_archived
from sdk_workflow.storage.session_paths import (
    check_session_id,
    head_path,
    make_private_folder,
    session_path,
    sync_folder,
)
from sdk_workflow.storage.session_record import (
    pack_info,
    read_record,
    unpack_info,
    write_record,
)
from sdk_workflow.storage.session_tables import SessionTables
from sdk_workflow.storage.sqlite_file import connect, remove_database, storage_errors

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from sdk_workflow.protocols import Clock

__all__ = ["backup_session", "copy_database", "install", "restore_session"]


@trace_function(name="checkpoint.backup")
def backup_session(file: SessionFile, folder: Path) -> Path:
    """Write a session into one file of a folder, `<id>.v<version>.sqlite`, and return its path.

    The session's record goes into it, unless it is damaged; a backup of another history stays.

    Raises:
        CheckpointCorrupt: If the session, or the copy, is damaged anywhere.
        StorageError: If it cannot be written.
    """
    make_private_folder(folder)
    new = folder / f".{file.session_id}.{secrets.token_hex(8)}.new"  # another one may be made now
    with file.explained(), storage_errors(folder):
        try:
            record = _record_of(file)  # first: it must not know of more than the copy
            head = _copy_checked(file, new, strict=False)
            _swap_note(new, record and file.packer.sealer.seal(record, "session record"))
            target = _name_for(folder, file.session_id, head)
            new.replace(target)
            sync_folder(folder)
        finally:
            remove_database(new)
    return target


@trace_function(name="checkpoint.restore")
def restore_session(
    backup: Path, home: Path, *, key: bytes | None = None, clock: Clock | None = None
) -> str:
    """Put a backup in the place of its session, and return the session's id.

    A damaged file that stands there is moved aside, never deleted.

    Raises:
        CheckpointCorrupt: If the backup is damaged anywhere.
        CheckpointConflict: If the session holds versions that the backup does not.
        StorageError: If it is no backup, needs another key, or cannot be written.
    """
    session_id = _owner(backup)
    target = session_path(home, session_id)
    make_private_folder(target.parent)
    lock = FileLock(head_path(target), clock)
    try:
        with SessionFile.open(backup, session_id=session_id, read_only=True, key=key) as source:
            _restore(source, target, lock, key)
    finally:
        lock.close()
    return session_id


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """Copy a database into a new private file without side files, and sync it.

    Raises:
        sqlite3.Error, OSError: If it cannot be read or written.
    """
    remove_database(target)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    copy = connect(target, journal_mode="delete")
    try:
        source.backup(copy)
        # The copy has taken over the source's mode; this one needs nothing beside the file.
        copy.execute("PRAGMA journal_mode=DELETE").fetchall()
    finally:
        copy.close()
    descriptor = os.open(target, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def install(new: Path, target: Path, head: Head, lock: FileLock) -> None:
    """Rename a checked copy to a session's file; the caller holds the session's lock.

    Raises:
        StorageError: If another process has the session open.
    """
    if target.exists():
        connect(target).close()  # puts the log into the file, and removes it where nobody else is
    if any(target.with_name(target.name + suffix).exists() for suffix in ("-wal", "-shm")):
        # They belong to the old file: the new one must never be read through them.
        raise StorageError(
            f"{str(target)!r} is open elsewhere, so it cannot be replaced.",
            code="session_in_use",
            retryable=True,
            hint="Close the session in every process, then try again.",
        )
    if read_head_file(head_path(target)).writes >= head.writes:
        # The head may be behind the file, never ahead of it: not even between these two steps.
        reset_head_file(lock, Head())
    new.replace(target)
    sync_folder(target.parent)
    reset_head_file(lock, head)


def _restore(source: SessionFile, target: Path, lock: FileLock, key: bytes | None) -> None:
    """Copy and check an open backup, then put the copy in its place; the caller closes the lock."""
    new = target.with_name(f".{target.name}.restored")
    # The lock first: whoever else restores the session writes the same copy.
    with source.explained(), storage_errors(target), lock:
        refuse_archived(target, source.session_id)
        try:
            head = _copy_checked(source, new, strict=True)
            note = _swap_note(new, b"")
            record = note and unpack_info(source.packer.sealer.unseal(note, "session record"))
            if _may_replace(source, target, head, key):
                install(new, target, head, lock)
        finally:
            remove_database(new)
        place = target.with_suffix(".json")
        if record and not place.exists():
            write_record(place, record)


def _copy_checked(file: SessionFile, new: Path, *, strict: bool) -> Head:
    """Copy a session's file, check the copy, and return how far it goes."""
    with file.connection.reading() as (tables, head):
        file.connection.check_lag()
        copy_database(tables.connection, new)
    connection = connect(new, read_only=True)
    try:
        verify_all(SessionTables(connection), head, file.packer, strict=strict)
    finally:
        connection.close()
    return head


def _record_of(file: SessionFile) -> bytes:
    """Return a session's record as bytes; none where there is none that can be read."""
    try:
        info = read_record(file.path.with_suffix(".json"))
    except Damage:
        return b""
    return b"" if info is None else pack_info(info)


def _swap_note(path: Path, note: bytes) -> bytes:
    """Leave a note in a copy in the place of the one that it has, and return that one."""
    connection = connect(path, journal_mode="delete")
    try:
        tables = SessionTables(connection)
        before = tables.note()
        if note != before:
            tables.write_note(note)
    finally:
        connection.close()
    return before


def _name_for(folder: Path, session_id: str, head: Head) -> Path:
    """Return the first name that is free, or is that of a backup that goes exactly as far."""
    stem = f"{session_id}.v{head.version:06}"
    names = (f"{stem}{f'-{number}' if number > 1 else ''}.sqlite" for number in count(1))
    paths = (folder / name for name in names)
    return next(path for path in paths if not path.exists() or _head_of(path) == head)


def _head_of(backup: Path) -> Head | None:
    """Return how far a backup goes; None where that cannot be read."""
    try:
        with storage_errors(backup):
            connection = connect(backup, read_only=True)
            try:
                return SessionTables(connection).head()
            finally:
                connection.close()
    except (Damage, StorageError):
        return None


def _owner(backup: Path) -> str:
    """Return the id of the session that a file holds."""
    if not backup.is_file():
        raise StorageError(
            f"There is no backup {str(backup)!r}.",
            code="backup_not_found",
            hint="Name a file that backup_checkpoint() has returned.",
        )
    try:
        with storage_errors(backup):
            connection = connect(backup, read_only=True)
            try:
                tables = SessionTables(connection)
                tables.check_kind(backup)
                return check_session_id(tables.facts()["session_id"])
            finally:
                connection.close()
    except Damage as damage:
        raise corrupt(backup, damage, None) from damage


def _may_replace(source: SessionFile, target: Path, head: Head, key: bytes | None) -> bool:
    """Return whether there is anything to do; the caller holds the session's lock.

    Raises:
        CheckpointConflict: If the session in place holds what the backup does not.
    """
    if not target.exists():
        _move_aside(target)  # what may be left beside it belongs to what was there
        return True
    try:
        with SessionFile.open(
            target, session_id=source.session_id, key=key, read_only=True
        ) as present:
            present.verify()
            there = present.connection.current_head()
    except CheckpointCorrupt:
        _move_aside(target)
        return True
    if replace(there, writes=head.writes) == head:  # cleaning up writes too, and adds nothing
        return False
    if there.writes >= head.writes or not _goes_on(source, there):
        raise CheckpointConflict(
            f"Session {source.session_id!r} is at version {there.version} and holds what the backup"
            f" (version {head.version}) does not.",
            code="restore_would_lose",
            hint="Back it up first and move its file away, or fork the version that you want.",
        )
    return True


def _goes_on(source: SessionFile, there: Head) -> bool:
    """Return whether a backup's history contains another's, its versions and its journal."""
    with source.connection.reading() as (tables, _head), suppress(Damage):
        return there.chain == _chain_at(tables, there.version) and (
            there.journal_chain == _journal_chain_at(tables, there.sequence)
        )
    return False


def _chain_at(tables: SessionTables, version: int) -> bytes:
    """Return the hash of the history up to a version; one that was pruned is damage."""
    anchor = tables.anchor()
    if version == anchor.version:
        return anchor.chain
    return tables.frame(version)[1] if version else GENESIS


def _journal_chain_at(tables: SessionTables, sequence: int) -> bytes:
    """Return the hash of the journal up to a record; one that was pruned is damage."""
    anchor = tables.anchor()
    if sequence == anchor.sequence:
        return anchor.journal_chain
    return next(tables.records(sequence, sequence))[6] if sequence else GENESIS


def _move_aside(target: Path) -> None:
    """Keep a damaged file, and what lies beside it, under a name that nothing takes for a session."""
    parts = [target.with_name(target.name + end) for end in ("-wal", "-shm", "-journal", "")]
    parts = [part for part in parts if part.exists()]
    aside = next(
        name
        for name in (f"{target.name}.damaged-{number}" for number in count(1))
        if not [*target.parent.glob(f"{name}*")]
    )
    for part in parts:
        part.replace(part.with_name(aside + part.name[len(target.name) :]))

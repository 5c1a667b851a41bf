"""Copies of session files: a backup as one file, and a copy put in a session's place.

A copy is made by SQLite (copying the file itself would miss its log), checked in full, synced, and
only then renamed to where it belongs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.chain import Head
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt, Damage, corrupt
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.head_file import read_head_file, reset_head_file
from sdk_workflow.storage.session_check import verify_all
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import (
    check_session_id,
    head_path,
    make_private_folder,
    session_path,
    sync_folder,
)
from sdk_workflow.storage.session_tables import SessionTables
from sdk_workflow.storage.sqlite_file import (
    connect,
    create_private_file,
    remove_database,
    storage_errors,
)

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from sdk_workflow.protocols import Clock

__all__ = ["backup_session", "copy_database", "install", "restore_session"]


def backup_session(file: SessionFile, folder: Path) -> Path:
    """Write a session into one file of a folder, `<id>.v<version>.sqlite`, and return its path.

    Raises:
        CheckpointCorrupt: If the session, or the copy, is damaged anywhere.
        StorageError: If it cannot be written.
    """
    make_private_folder(folder)
    new = folder / f".{file.session_id}.new"
    with file.explained(), storage_errors(folder):
        try:
            head = _copy_checked(file, new, strict=False)
            target = folder / f"{file.session_id}.v{head.version:06}.sqlite"
            new.replace(target)
            sync_folder(folder)
        finally:
            remove_database(new)
    return target


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
        sqlite3.Error: If it cannot be read or written.
    """
    remove_database(target)
    create_private_file(target)
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
    if read_head_file(head_path(target)).writes > head.writes:
        # The head may be behind the file, never ahead of it: not even between these two steps.
        reset_head_file(lock, Head())
    new.replace(target)
    sync_folder(target.parent)
    reset_head_file(lock, head)


def _restore(source: SessionFile, target: Path, lock: FileLock, key: bytes | None) -> None:
    """Copy and check an open backup, then put the copy in its place; the caller closes the lock."""
    new = target.with_name(f".{target.name}.restored")
    with source.explained(), storage_errors(target):
        try:
            head = _copy_checked(source, new, strict=True)
            lock.acquire()
            if _may_replace(source, target, head, key):
                install(new, target, head, lock)
        finally:
            remove_database(new)


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
        raise corrupt(backup, damage, ()) from damage


def _may_replace(source: SessionFile, target: Path, head: Head, key: bytes | None) -> bool:
    """Return whether there is anything to do; the caller holds the session's lock.

    Raises:
        CheckpointConflict: If the session in place holds what the backup does not.
    """
    if not target.exists():
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
    if there == head:
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
    """Return whether a backup's history contains another's."""
    if there.version == 0:
        return True
    chains = {info.version: info.chain for info in source.versions()}
    return chains.get(there.version) == there.chain.hex()


def _move_aside(target: Path) -> None:
    """Keep a damaged file, with its log, under a name that nothing takes for a session."""
    number = 1
    while target.with_name(f"{target.name}.damaged-{number}").exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = target.with_name(target.name + suffix)
        if part.exists():
            part.replace(target.with_name(f"{target.name}.damaged-{number}{suffix}"))

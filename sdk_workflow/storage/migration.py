"""Bringing a session file of an older release up to date: on a copy, forward only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.storage import session_tables
from sdk_workflow.storage.backup import copy_database, install
from sdk_workflow.storage.codecs import preferred_codec
from sdk_workflow.storage.encryption import sealer_for
from sdk_workflow.storage.errors import Damage, SessionNotFound, corrupt
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.frames import Packer
from sdk_workflow.storage.head_file import read_head_file
from sdk_workflow.storage.session_check import verify_all
from sdk_workflow.storage.session_opening import check_owner, missing_since
from sdk_workflow.storage.session_paths import head_path
from sdk_workflow.storage.session_tables import SessionTables
from sdk_workflow.storage.sqlite_file import connect, remove_database, storage_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sdk_workflow.storage.chain import Head

__all__ = ["MIGRATIONS", "migrate_session"]

MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {}
"""Schema -> what turns it into the next one. Empty: schema 1 is the first."""


@trace_function(name="checkpoint.migrate")
def migrate_session(path: Path, session_id: str, *, key: bytes | None = None) -> int:
    """Bring a session's file to this release's schema, and return the schema's number.

    The file stays as it was until a migrated copy has been checked in full.

    Raises:
        SessionNotFound: If there is no such file.
        StorageError: If it is foreign, another session's, of a later release, in use, encrypted
            otherwise, or cannot be written.
        CheckpointCorrupt: If it, or the migrated copy, is damaged, or versions are missing.
    """
    if not path.exists():
        raise SessionNotFound(f"There is no session {session_id!r}: {str(path)!r} does not exist.")
    packer = Packer(
        session_id=session_id, codec=preferred_codec(), sealer=sealer_for(key, session_id)
    )
    lock = FileLock(head_path(path))
    try:
        with lock, storage_errors(path):
            if _schema(path) < session_tables.SCHEMA_VERSION:
                _migrate(path, packer, lock)
    except Damage as damage:
        raise corrupt(path, damage, None) from damage
    finally:
        lock.close()
    return session_tables.SCHEMA_VERSION


def _schema(path: Path) -> int:
    """Return the file's schema where it is at most ours."""
    connection = connect(path, read_only=True)
    try:
        tables = SessionTables(connection)
        schema = tables.schema()
        if schema not in MIGRATIONS:
            tables.check_kind(path)
    finally:
        connection.close()
    return schema


def _migrate(path: Path, packer: Packer, lock: FileLock) -> None:
    new = path.with_name(f".{path.name}.migrated")
    known = read_head_file(head_path(path))
    try:
        source = connect(path, read_only=True)
        try:
            copy_database(source, new)
        finally:
            source.close()
        copy = connect(new, journal_mode="delete")
        try:
            head = _upgrade(SessionTables(copy), path, packer)
        finally:
            copy.close()
        missing = missing_since(known, head)
        if missing is not None:
            raise missing
        install(new, path, head, lock)
    finally:
        remove_database(new)


def _upgrade(tables: SessionTables, path: Path, packer: Packer) -> Head:
    """Take a copy from schema to schema, then check all of it."""
    connection = tables.connection
    connection.execute("BEGIN IMMEDIATE")
    for schema in range(tables.schema(), session_tables.SCHEMA_VERSION):
        MIGRATIONS[schema](connection)
    connection.execute(f"PRAGMA user_version={session_tables.SCHEMA_VERSION}")
    connection.execute("COMMIT")
    check_owner(path, packer.session_id, packer.sealer.facts, tables.facts())
    head = tables.head()
    verify_all(tables, head, packer, strict=False)
    return head

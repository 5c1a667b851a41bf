"""Creating and opening a session file, and what is looked at before anybody reads from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.errors import Damage, SessionNotFound
from sdk_workflow.storage.head_file import read_head_file
from sdk_workflow.storage.session_paths import archived_file, head_path, sync_folder
from sdk_workflow.storage.session_tables import SessionTables, check_session_kind
from sdk_workflow.storage.sqlite_file import (
    connect,
    create_private_file,
    is_cut,
    log_bytes,
    read_header,
    remove_database,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.storage.chain import Head
    from sdk_workflow.storage.sqlite_file import Synchronous

__all__ = [
    "Opened",
    "check_owner",
    "create_session_file",
    "missing_since",
    "open_session_tables",
    "refuse_archived",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open session file: its tables, which file it is, and what is missing from it, if any."""

    tables: SessionTables
    identity: tuple[int, int]
    lag: Damage | None


def create_session_file(path: Path, facts: dict[str, Any], synchronous: Synchronous) -> None:
    """Create the file whole or not at all: under another name first; the caller holds the lock.

    Raises:
        Damage: If there was one, and it was lost.
        StorageError: If the session was put away.
        sqlite3.Error, OSError: If it cannot be written.
    """
    if path.exists():  # somebody else was quicker
        return
    _refuse_lost(path, facts["session_id"])
    new = path.with_name(f".{path.name}.new")
    remove_database(new)
    try:
        create_private_file(new)
        connection = connect(new, synchronous=synchronous)
        try:
            connection.execute("BEGIN IMMEDIATE")
            SessionTables(connection).create(facts)
            connection.execute("COMMIT")
            # Closing moves the log too, but keeps silent where it cannot; only the file is renamed.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
        new.replace(path)
    finally:
        remove_database(new)
    sync_folder(path.parent)


def open_session_tables(
    path: Path,
    session_id: str,
    encryption: dict[str, str] | None,
    *,
    synchronous: Synchronous,
    read_only: bool,
) -> Opened:
    """Open a session's file after looking at whose it is, its key, and whether it is whole.

    Where versions are missing, the file is opened for reading only, and `lag` says so.

    Raises:
        SessionNotFound: If there is no file and never was one.
        StorageError: If it is foreign, another session's, or encrypted otherwise.
        Damage, sqlite3.Error: If it cannot be read.
    """
    known = read_head_file(head_path(path))  # before the file itself: it never runs ahead of it
    try:
        found = path.stat()
    except FileNotFoundError:
        _refuse_lost(path, session_id)
        raise SessionNotFound(
            f"There is no session {session_id!r}: {str(path)!r} does not exist.",
            hint="Look for its id with: sdk_workflow sessions list.",
        ) from None
    if not found.st_size:  # SQLite would take it for a new one
        raise Damage("the file is empty")
    identity = (found.st_dev, found.st_ino)
    cut = _cut_of(path)
    if read_only or log_bytes(path) or cut:
        # A look without the right to write first: closing a damaged log would delete it.
        tables = _connected(path, session_id, encryption, synchronous, read_only=True)
        lag = missing_since(known, tables.head()) or cut
        if read_only or lag is not None:
            return Opened(tables=tables, identity=identity, lag=lag)
        tables.connection.close()
    tables = _connected(path, session_id, encryption, synchronous, read_only=False)
    return Opened(tables=tables, identity=identity, lag=missing_since(known, tables.head()))


def refuse_archived(path: Path, session_id: str) -> None:
    """Refuse to touch a session whose file was put away.

    Raises:
        StorageError: With the code `session_archived`.
    """
    there = archived_file(path)
    if there.exists():
        raise StorageError(
            f"Session {session_id!r} was put away: its file is {str(there)!r}.",
            code="session_archived",
            hint=f"Bring it back first: sdk_workflow sessions archive --undo {session_id}",
        )


def _refuse_lost(path: Path, session_id: str) -> None:
    """Refuse to take a session whose file was put away, or has gone, for one that never was.

    Raises:
        StorageError: If it was put away.
        Damage: If what lies beside the missing file tells of it.
    """
    refuse_archived(path, session_id)
    known = read_head_file(head_path(path))
    if known.writes or log_bytes(path):
        saved = f"versions 1 to {known.version} were" if known.version else "something was"
        rest = f"{path.with_suffix('').name}.*"
        raise Damage(f"the file is gone, and {saved} saved in it (delete {rest!r} to begin anew)")


def _cut_of(path: Path) -> Damage | None:
    """Return what is missing at the end of a file; refuse one that is not ours to write to.

    Raises:
        StorageError: With the codes `foreign_file`, `schema_too_new` or `schema_outdated`.
    """
    if log_bytes(path):  # what the file says may be out of date; it is opened for reading first
        return None
    header = read_header(path)
    if header is None:
        return None
    check_session_kind(path, header.application_id, header.user_version)
    if path.stat().st_size >= header.size or not is_cut(path):
        return None
    return Damage("its end is missing, though perhaps no data")


def _connected(
    path: Path,
    session_id: str,
    encryption: dict[str, str] | None,
    synchronous: Synchronous,
    *,
    read_only: bool,
) -> SessionTables:
    connection = connect(path, synchronous=synchronous, read_only=read_only)
    try:
        tables = SessionTables(connection)
        tables.check_kind(path)
        check_owner(path, session_id, encryption, tables.facts())
        tables.head()  # damaged, it shows now and not between a lock and a commit
    except BaseException:
        connection.close()
        raise
    return tables


def check_owner(
    path: Path, session_id: str, encryption: dict[str, str] | None, facts: dict[str, Any]
) -> None:
    """Refuse another session's file, and one that the key does not fit.

    Raises:
        StorageError: With the codes `other_session`, `key_missing`, `not_encrypted`, `wrong_key`.
    """
    if facts["session_id"] != session_id:
        raise StorageError(
            f"{str(path)!r} is the file of session {facts['session_id']!r}, not of {session_id!r}.",
            code="other_session",
            hint="Give it back its name; fork_checkpoint() makes a copy under another id.",
        )
    _check_key(path, facts["encryption"], encryption)


def _check_key(path: Path, stored: Any, given: dict[str, str] | None) -> None:
    """Refuse a wrong, missing or needless key before anything is read with it.

    Raises:
        StorageError: With the codes `key_missing`, `not_encrypted` or `wrong_key`.
    """
    if stored == given:
        return
    if given is None:
        what, code, hint = "is encrypted, and no key was given", "key_missing", "Give its key."
    elif stored is None:
        what, code = "is not encrypted, but a key was given", "not_encrypted"
        hint = "Open it without a key; a fork with a key encrypts a copy."
    else:
        what, code = "was encrypted with another key", "wrong_key"
        hint = "Give the key that the session was created with."
    raise StorageError(f"{str(path)!r} {what}.", code=code, hint=hint)


def missing_since(known: Head, found: Head) -> Damage | None:
    """Return what is missing where the head file knows of more than was found in the file."""
    if known.writes < found.writes or known == found:
        return None
    if known.version > found.version:
        versions = f"versions {found.version + 1} to {known.version}"
    elif known.sequence > found.sequence:
        versions = f"journal records {found.sequence + 1} to {known.sequence}"
    else:
        versions = "changes"
    return Damage(f"{versions} were saved but are missing (a damaged log or an older copy)")

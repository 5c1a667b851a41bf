"""`catalog.sqlite`: the index of all sessions of a state folder, for search.

Derived: a session's own record is written with every change. A catalogue that is missing, damaged,
foreign or of an earlier release is moved aside, made anew from the sessions, and that is said
aloud; one of a later release is refused and left as it is.
Many processes write it, so it has a rollback journal: SQLite up to 3.51.2 can lose pages of a
write-ahead log where one connection commits while another one moves the log (sqlite.org/wal.html).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.catalog_making import make_catalog, move_catalog_aside
from sdk_workflow.storage.catalog_rows import APPLICATION_ID, SCHEMA_VERSION, CatalogRows
from sdk_workflow.storage.catalog_writing import CatalogWriting
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.session_lookup import known_info
from sdk_workflow.storage.session_paths import make_private_folder
from sdk_workflow.storage.sqlite_file import (
    connect,
    create_private_file,
    read_header,
    same_file,
    storage_errors,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sdk_workflow.storage.session_info import SessionInfo

__all__ = ["CatalogFile"]

T = TypeVar("T")

# Up to this size a catalogue is checked in full when it is opened; a larger one row by row as it
# is read, and in full by `verify`.
_CHECKED_BYTES = 1_000_000


class CatalogFile:
    """Opens the catalogue, and makes it anew where it has to be; safe for threads and processes.

    Args:
        home: The state folder.
        on_notice: Is told in a sentence when the catalogue was made anew or a record is damaged.
        key: 32 bytes to read encrypted session files with; None where there are none.

    Example:
        >>> import tempfile, pathlib
        >>> from sdk_workflow.storage.session_info import SessionInfo, iso_time
        >>> folder = tempfile.TemporaryDirectory()
        >>> catalog = CatalogFile(pathlib.Path(folder.name), on_notice=print)
        >>> info = SessionInfo(session_id="review-42", started_at=iso_time(0))
        >>> catalog.write(lambda writing: writing.put(info))
        >>> catalog.read(lambda rows: [info.session_id for info in rows.all()])
        ['review-42']
        >>> catalog.close(); folder.cleanup()
    """

    def __init__(
        self, home: Path, *, on_notice: Callable[[str], None], key: bytes | None = None
    ) -> None:
        self.home = home
        self.path = home / "catalog.sqlite"
        self._note = home / "catalog.unfinished"
        self._on_notice = on_notice
        self._key = key
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._left_behind: list[sqlite3.Connection] = []
        self._start()

    def read(self, look: Callable[[CatalogRows], T]) -> T:
        """Return what `look` finds in one consistent state of the catalogue.

        A catalogue that turns out to be damaged is made anew first.

        Raises:
            StorageError: If it can neither be read nor made.
        """
        try:
            return self._read(look)
        except Damage as damage:
            self.rebuild(damage.what)
        try:
            return self._read(look)
        except Damage as damage:
            raise _unreadable(self.path, damage) from damage

    def write(self, change: Callable[[CatalogWriting], T]) -> T:
        """Make a change, while no other process makes one, and return what it returns.

        Records that were written stay, whatever becomes of the catalogue.

        Raises:
            StorageError: If it cannot be written.
        """
        make_private_folder(self.home)
        with self._guarded(), self._file_lock:
            try:
                return self._changed(self._opened(), change)
            except _CatalogDamaged as error:
                damage = error.damage
            self.rebuild(damage.what)
            try:
                return self._changed(self._opened(), change)
            except _CatalogDamaged as error:
                raise _unreadable(self.path, error.damage) from error

    def rebuild(self, why: str) -> int:
        """Move the catalogue aside, make a new one from the sessions, and return how many there are.

        Raises:
            StorageError: If it cannot be written.
        """
        make_private_folder(self.home)
        with self._guarded(), self._file_lock:
            self._drop()
            aside = move_catalog_aside(self.path)
            count = self._make()
        kept = f" The old file is kept as {aside.name!r}." if aside else ""
        self._on_notice(
            f"The catalogue of sessions {str(self.path)!r} was made anew from {_sessions(count)}: "
            f"{why}.{kept}"
        )
        return count

    def verify(self) -> bool:
        """Check the whole catalogue: its structure, its indices, every row.

        One that is damaged is made anew.

        Returns:
            Whether it was whole.

        Raises:
            StorageError: If it can neither be read nor made.
        """
        try:
            self._read(CatalogRows.verify)
        except Damage as damage:
            self.rebuild(damage.what)
            return False
        return True

    def look_up(self, session_id: str, *, base: SessionInfo | None = None) -> SessionInfo | None:
        """Return what a session's own files say of it; None where there are none.

        Where it has no record, `base` is what is known.

        Raises:
            StorageError: If they cannot be read.
        """
        return known_info(
            self.home, session_id, key=self._key, on_notice=self._on_notice, base=base
        )

    def note_unfinished(self, session_id: str) -> None:
        """Leave word of a session whose row is about to change, in case this process dies."""
        create_private_file(self._note)
        with self._note.open("ab") as file:  # rewriting would lose for a moment what was noted
            file.write(f"\n{session_id}\n".encode())  # what is before it may be torn
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()
            self._file_lock.close()

    def _start(self) -> None:
        self._lock = RLock()
        self._file_lock = FileLock(self.home / "catalog.lock")
        self._process = os.getpid()

    def _read(self, look: Callable[[CatalogRows], T]) -> T:
        with self._guarded():
            self._mend_if_noted()
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                return look(CatalogRows(connection))
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _changed(self, connection: sqlite3.Connection, change: Callable[[CatalogWriting], T]) -> T:
        import sqlite3

        rows = CatalogRows(connection)
        left = self._noted()
        writing = CatalogWriting(self, rows)
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._mend(rows, left)
            result = change(writing)
        except (Damage, sqlite3.DatabaseError) as error:
            damage = self._damage_in(error)
            if damage is None or writing.has_written:
                raise
            self._drop()
            raise _CatalogDamaged(damage) from error
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if not writing.has_written:
                raise
            # The record is written, so the change stands; the note says which row is to be mended.
            self._drop()
            self._on_notice(
                f"The catalogue {str(self.path)!r} lags behind until its next use: {error}"
            )
            return result
        if left or writing.has_written:
            self._note.write_bytes(b"")
        return result

    def _damage_in(self, error: Exception) -> Damage | None:
        try:
            with storage_errors(self.path):
                raise error
        except (Damage, StorageError) as meaning:
            return meaning if isinstance(meaning, Damage) else None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if os.getpid() != self._process:
            # A connection must not cross a fork; it is kept, because closing it would let go of
            # the parent's locks.
            if self._connection is not None:
                self._left_behind.append(self._connection)
            self._connection = None
            self._start()
        with self._lock, storage_errors(self.path):
            try:
                yield
            except BaseException:
                # Whatever the failed handle still believes, the next one reads from the file.
                self._drop()
                raise

    def _opened(self) -> sqlite3.Connection:
        """Return a connection to a catalogue that looks well, making one if need be."""
        if self._connection is not None and same_file(self.path, self._identity):
            return self._connection
        self._drop()
        try:
            return self._connect()
        except FileNotFoundError:
            self._make_first()
        except Damage as damage:
            self.rebuild(damage.what)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        found = self.path.stat()
        if not found.st_size:
            raise Damage("it is empty")
        with storage_errors(self.path):
            header = read_header(self.path)
            kind = None if header is None else (header.application_id, header.user_version)
            # What is not ours is looked at, and nothing more.
            is_other = kind not in {None, (APPLICATION_ID, SCHEMA_VERSION)}
            connection = connect(
                self.path, journal_mode="delete", synchronous="extra", read_only=is_other
            )
        try:
            with storage_errors(self.path):
                rows = CatalogRows(connection)
                rows.check_kind(self.path)
                if found.st_size <= _CHECKED_BYTES:
                    rows.verify()
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, (found.st_dev, found.st_ino)
        return connection

    def _mend_if_noted(self) -> None:
        """Bring the rows up to date that a process has left behind when it died."""
        # Or its writer is just at it: then there is nothing left to do when the lock is free.
        if self._noted():
            self.write(lambda _: None)

    def _noted(self) -> list[str]:
        try:
            return self._note.read_bytes().decode(errors="replace").split()
        except FileNotFoundError:
            return []

    def _mend(self, rows: CatalogRows, session_ids: list[str]) -> None:
        """Do what a writer that died has left to do."""
        for session_id in session_ids:
            try:
                info = self.look_up(session_id)
            except UsageError:  # the note is torn: what it names is no session
                continue
            except StorageError as error:  # one session must not close the catalogue to all others
                self._on_notice(f"Of session {session_id!r} the catalogue may lag behind: {error}")
                continue
            if info is None:
                rows.delete(session_id)
            else:
                rows.put(info)

    def _make_first(self) -> None:
        """Make a catalogue where there is none; another process may be doing the same."""
        make_private_folder(self.home)
        with self._file_lock:
            was_there = self._note.exists()  # every catalogue is made together with it
            count = 0 if self.path.exists() else self._make()
        if count and was_there:
            self._on_notice(
                f"The catalogue of sessions {str(self.path)!r} was made from {_sessions(count)}: "
                "it was gone."
            )

    def _make(self) -> int:
        create_private_file(self._note)
        try:
            with storage_errors(self.path):
                count = make_catalog(self.path, self.look_up, self._on_notice)
        except Damage as damage:  # not of a file: there is none yet
            raise _unreadable(self.path, damage) from damage
        self._note.write_bytes(b"")
        return count

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _CatalogDamaged(Exception):
    """The catalogue was found damaged before anything was changed."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(damage.what)
        self.damage = damage


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count:,} sessions"


def _unreadable(path: Path, damage: Damage) -> StorageError:
    return StorageError(
        f"The catalogue of sessions {str(path)!r} cannot be read: {damage.what}.",
        code="catalog_corrupt",
        hint="Move it away; it is made anew from the sessions.",
    )

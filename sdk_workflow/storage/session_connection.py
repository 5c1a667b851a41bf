"""The live connection to one session file: creation, the lock, transactions, threads and forks.

A write-ahead log costs one sync a save, a rollback journal four: 500 saves that add 2 KB each took
0.8 ms (median; p95 2.7) with WAL + FULL, 2.9 (5.3) with DELETE + EXTRA, 2.7 (9.5) with TRUNCATE +
FULL; where a sync takes 4 ms, 4 against 18. A damaged journal can ruin old versions too, a damaged
log only those in it; that SQLite says nothing of the latter is what the head file is for.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.head_file import write_head_file
from sdk_workflow.storage.session_opening import create_session_file, open_session_tables
from sdk_workflow.storage.session_paths import (
    check_new_session_id,
    head_path,
    make_private_folder,
)
from sdk_workflow.storage.sqlite_file import same_file, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.chain import Head
    from sdk_workflow.storage.encryption import Sealer
    from sdk_workflow.storage.errors import Damage
    from sdk_workflow.storage.session_tables import SessionTables
    from sdk_workflow.storage.sqlite_file import Synchronous

__all__ = ["Durability", "SessionConnection", "Writing", "check_durability"]

Durability = Literal["full", "batch", "off"]
"""When a save is on the disk: at once; at the latest with a save 0.1 s later; when the system
likes. A killed process loses nothing in any of them, a power loss only in the last two."""

LOCK_TIMEOUT_SECONDS = 30.0
_BATCH_SECONDS = 0.1
SYNCHRONOUS: dict[str, Synchronous] = {
    "full": "full",
    "batch": "normal",
    "off": "off",
}
# The log is moved into the file when it has grown by about 1 MB: two syncs for some 80 saves.
_LOG_BYTES = 1_000_000
_COMMIT_BYTES = 3 * 8192  # the pages that a small commit writes


def check_durability(durability: object) -> None:
    """Refuse a durability that there is not.

    Raises:
        UsageError: If it is not one of the three.
    """
    if durability not in get_args(Durability):
        raise UsageError(
            f"durability {durability!r} is not known.", hint="Choose 'full', 'batch' or 'off'."
        )


@dataclass(slots=True, kw_only=True)
class Writing:
    """A transaction under way: the tables, and the head as it will be written at its end."""

    tables: SessionTables
    head: Head
    wrote_bytes: int = 0


class SessionConnection:
    """Opens one session file when needed, and again where it was replaced or its disk failed.

    Args:
        path: The session file.
        session_id: The session that it must belong to.
        create: Whether opening and writing create a missing file; reading never does.
        read_only: Whether writing is refused, and nothing of the file changed.
        durability: When a commit is on the disk.
        sealer: How the file's content is encrypted, if at all.
        clock: Where time comes from.
        lock_timeout_seconds: How long a write waits for another writer.

    Raises:
        UsageError: If `durability` is not one of the three.
    """

    def __init__(
        self,
        path: Path,
        session_id: str,
        *,
        create: bool,
        read_only: bool,
        durability: Durability,
        sealer: Sealer,
        clock: Clock,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    ) -> None:
        check_durability(durability)
        self.path = path
        self.session_id = session_id
        self.clock = clock
        self.sealer = sealer
        self.read_only = read_only
        self.create = create
        self._durability = durability
        self._timeout = lock_timeout_seconds
        self._thread_lock = threading.RLock()
        self._lock = FileLock(head_path(path), clock)
        self._closed = False
        self._tables: SessionTables | None = None
        self._identity: tuple[int, int] | None = None
        self._lag: Damage | None = None
        self._synced_at = float("-inf")
        self._log_bytes = 0
        with _registry_lock:
            _open_connections.add(self)

    @contextmanager
    def reading(self) -> Iterator[tuple[SessionTables, Head]]:
        """Look at one consistent state of the file.

        Raises:
            Damage, StorageError: If it cannot be read.
        """
        with self._thread_lock, storage_errors(self.path):
            tables = self._live()
            tables.connection.execute("BEGIN")
            try:
                yield tables, tables.head()
            finally:
                with suppress(Exception):  # a failing disk has said so already
                    tables.connection.execute("ROLLBACK")

    @contextmanager
    def writing(self, *, lock_timeout_seconds: float | None = None) -> Iterator[Writing]:
        """Change the file, all or nothing; what was written is safe when this returns.

        Args:
            lock_timeout_seconds: How long to wait for another writer; by default as long as always.

        Raises:
            Damage, StorageError: If it cannot be written; the file is as it was before.
        """
        self._refuse_read_only()
        timeout = self._timeout if lock_timeout_seconds is None else lock_timeout_seconds
        with self._thread_lock, self._locked(timeout), storage_errors(self.path):
            tables = self._live(create=self.create)
            self.check_lag()
            synced = self._set_sync(tables)
            try:
                tables.connection.execute("BEGIN IMMEDIATE")
                head = tables.head()
                transaction = Writing(tables=tables, head=replace(head, writes=head.writes + 1))
                yield transaction
                tables.write_head(transaction.head)
                tables.connection.execute("COMMIT")
            except BaseException as error:
                self._roll_back(tables, error)
                raise
            self._acknowledge(transaction, synced=synced)

    def current_head(self) -> Head:
        """Return how far the history goes now.

        Raises:
            Damage, StorageError: If it cannot be read.
        """
        with self.reading() as (_tables, head):
            return head

    def check_lag(self) -> None:
        """Refuse to take the file for whole where versions that were acknowledged are missing.

        Raises:
            Damage: If the head file knows of a later version.
        """
        if self._lag is not None:
            raise self._lag

    def claim(self) -> None:
        """Keep every other writer out until `close`.

        Raises:
            StorageError: At once, with the code `session_in_use`, if there is one.
        """
        self._refuse_read_only()
        with self._thread_lock:
            if not self._lock.held:
                self._lock.acquire(timeout_seconds=0.0)

    def close(self) -> None:
        """Move the log into the file and let go of both; a second call does nothing."""
        with self._thread_lock:
            self._drop()
            self._closed = True
            self._lock.close()

    def open_now(self) -> None:
        """Connect, so that what is wrong with the file shows now.

        Raises:
            Damage, StorageError: If it cannot be opened.
        """
        with self._thread_lock, storage_errors(self.path):
            self._live(create=self.create)

    def _roll_back(self, tables: SessionTables, error: BaseException) -> None:
        import sqlite3

        with suppress(sqlite3.Error):
            tables.connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            # After a failed write or sync nobody knows what the handle believes: never use it again.
            self._drop()

    def _acknowledge(self, transaction: Writing, *, synced: bool) -> None:
        """Note the new head, and shorten the log now and then; the commit itself is safe."""
        import sqlite3

        if synced:
            self._synced_at = self.clock.monotonic()
            with suppress(OSError):  # the head file may lag behind: it is a second witness
                write_head_file(self._lock, transaction.head)
        self._log_bytes += _COMMIT_BYTES + transaction.wrote_bytes
        if self._log_bytes > _LOG_BYTES:
            with suppress(sqlite3.Error):  # the log keeps what could not be moved
                transaction.tables.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._log_bytes = 0

    def _set_sync(self, tables: SessionTables) -> bool:
        """Choose how the next commit is synced; return whether it is."""
        if self._durability != "batch":
            return self._durability == "full"
        due = self.clock.monotonic() - self._synced_at >= _BATCH_SECONDS
        tables.connection.execute(f"PRAGMA synchronous={'FULL' if due else 'NORMAL'}")
        return due

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise StorageError(
                f"{str(self.path)!r} was opened for reading only.",
                code="read_only",
                hint="Open it without read_only=True to write.",
            )

    @contextmanager
    def _locked(self, timeout_seconds: float) -> Iterator[None]:
        make_private_folder(self.path.parent)
        self._lock.acquire(timeout_seconds)
        try:
            yield
        finally:
            if self._lock.held:
                self._lock.release()

    def _live(self, *, create: bool = False) -> SessionTables:
        if self._tables is not None and same_file(self.path, self._identity):
            return self._tables
        if self._closed:
            raise UsageError(
                f"The file of session {self.session_id!r} was closed.",
                hint="Open it again with SessionFile.open().",
            )
        self._drop()
        synchronous = SYNCHRONOUS[self._durability]
        if create and not self.read_only and not self.path.exists():
            check_new_session_id(self.session_id)
            with self._locked(self._timeout):
                create_session_file(self.path, self._facts(), synchronous)
        opened = open_session_tables(
            self.path,
            self.session_id,
            self.sealer.facts,
            synchronous=synchronous,
            # On a disk that cannot be written to, SQLite cannot make its side files either.
            read_only=self.read_only or not os.access(self.path.parent, os.W_OK),
        )
        self._tables, self._identity, self._lag = opened.tables, opened.identity, opened.lag
        return opened.tables

    def _facts(self) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "created_us": int(self.clock.now() * 1_000_000),
            "parent": None,
            "encryption": self.sealer.facts,
        }

    def _drop(self) -> None:
        """Close the connection; SQLite moves the log into the file where it is the last one."""
        tables, self._tables, self._identity, self._lag = self._tables, None, None, None
        self._log_bytes = 0
        if tables is not None:
            # The last one out holds SQLite's exclusive lock while it moves the log: no commit can
            # be under way, so the session's lock need not be waited for.
            tables.connection.close()


_registry_lock = threading.RLock()
_open_connections: weakref.WeakSet[SessionConnection] = weakref.WeakSet()
_held_for_fork: list[SessionConnection] = []


def _before_fork() -> None:
    # SQLite's state must not cross a fork: a child would believe in file locks that it never got.
    _registry_lock.acquire()
    for connection in list(_open_connections):
        connection._thread_lock.acquire()  # noqa: SLF001 - the module's own class
        _held_for_fork.append(connection)
        connection._drop()  # noqa: SLF001 - the module's own class


def _after_fork() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._thread_lock.release()  # noqa: SLF001 - the module's own class
    _registry_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )

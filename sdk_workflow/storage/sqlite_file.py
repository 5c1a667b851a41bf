"""How a SQLite file of this library is opened, and what its errors mean to an operator.

Knows connections, pragmas and error texts; it knows no table.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.session_paths import make_private_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "FileHeader",
    "Synchronous",
    "connect",
    "create_private_file",
    "is_cut",
    "log_bytes",
    "read_header",
    "remove_database",
    "same_file",
    "storage_errors",
]

BUSY_TIMEOUT_SECONDS = 30.0

Synchronous = Literal["off", "normal", "full", "extra"]
"""How often SQLite waits for the disk: never, when it moves the log, at every commit, and more."""

# Part of SQLite's own message -> code, what happened, what to do. `sqlite_errorcode` would be
# exact but exists from Python 3.11 on.
_MEANINGS = (
    ("disk is full", "disk_full", "the disk is full", "Free some space, then save again."),
    ("readonly", "read_only", "it is read-only", "Check the rights of the file and its folder."),
    ("locked", "file_busy", "another process holds it for too long", "Wait, then try again."),
    ("unable to open", "file_not_opened", "it cannot be opened", "Check the rights of its folder."),
    ("disk i/o", "disk_failed", "the disk reports an error", "Check the disk and the space on it."),
    ("too big", "too_large", "a value is too large for it", "Store less in one state."),
)


class FileHeader(NamedTuple):
    """What a SQLite file says of itself; what its log holds may not be in it yet."""

    application_id: int
    user_version: int
    page_count: int
    page_size: int

    @property
    def size(self) -> int:
        """How many bytes the file should have at least, where it has no log."""
        return self.page_count * self.page_size


def read_header(path: Path) -> FileHeader | None:
    """Return what a file says of itself, without changing it; None where SQLite cannot read it.

    `connect` sets a file's journal mode, which writes to it: whether it is ours to write to has to
    be known before. SQLite looks, not we: closing a file of one's own would let go of the locks
    that this process has on it through SQLite.
    """
    import sqlite3

    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            values = [
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in FileHeader._fields
            ]
    except (sqlite3.Error, UnicodeDecodeError):  # whoever opens it will say what is wrong
        return None
    return FileHeader(*values)


def is_cut(path: Path) -> bool:
    """Return whether a file without a log is shorter than its pages are.

    SQLite does not notice that where only a part of the last page is missing.
    """
    # Twice: somebody may be moving a log into the file, whose first page goes first.
    return _is_short(path) and _is_short(path)


def connect(
    path: Path,
    *,
    journal_mode: Literal["wal", "delete"] = "wal",
    synchronous: Synchronous = "full",
    read_only: bool = False,
) -> sqlite3.Connection:
    """Open a SQLite file under this library's rules; text comes back as bytes.

    Every write starts with BEGIN IMMEDIATE: a deferred one that reads first fails at once where
    somebody else writes, whatever the time-out. Where a file system cannot do write-ahead logging
    (some networks), a rollback journal with the strictest syncing takes its place.

    Raises:
        sqlite3.Error: If it is no SQLite file or cannot be opened; see `storage_errors`.
    """
    import sqlite3

    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{_immutable(path, read_only=read_only)}",
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _configure(connection, journal_mode, synchronous, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(
    connection: sqlite3.Connection, journal_mode: str, synchronous: str, *, read_only: bool
) -> None:
    connection.text_factory = bytes  # damaged text must not raise before a check has seen it
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_SECONDS * 1000)}")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    if read_only:
        return
    # Both take effect in an empty file only; in any other, the second one would wait for its turn
    # to write. A page of 8 KB holds five 1.3 KB rows, one of 4 KB two: a 500-turn session takes
    # 10 % fewer bytes.
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    (reply,) = connection.execute(f"PRAGMA journal_mode={journal_mode}").fetchone()
    if reply.decode() != journal_mode:
        connection.execute("PRAGMA journal_mode=DELETE")
        synchronous = "extra" if synchronous == "full" else synchronous
    connection.execute(f"PRAGMA synchronous={synchronous}")
    # Only the holder of the session's lock moves the log into the file, or who closes it as the
    # last: SQLite 3.7.0 to 3.51.2 can lose pages where one connection does so while another
    # commits (sqlite.org/wal.html).
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA fullfsync=1")  # macOS: fsync alone leaves data in the drive's cache
    connection.execute("PRAGMA checkpoint_fullfsync=1")


def _immutable(path: Path, *, read_only: bool) -> str:
    """Return what opens a file in a folder where nobody, and no index of a log, can be written."""
    if not read_only or os.access(path.parent, os.W_OK) or log_bytes(path):
        return ""
    return "&immutable=1"


def create_private_file(path: Path) -> None:
    """Create an empty file that only the user may read; one that exists stays as it is.

    Raises:
        StorageError: If its folder or it cannot be created.
    """
    make_private_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} could not be created: {error.strerror or error}.",
            code="file_not_created",
            hint="Check the rights and the free space of its folder.",
        ) from error


def remove_database(path: Path) -> None:
    """Remove a database that was never put to use, with whatever SQLite left beside it."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def log_bytes(path: Path) -> int:
    """Return the size of a database's log; 0 where there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:  # whoever closes the database last removes it, at any moment
        return 0


def _is_short(path: Path) -> bool:
    header = None if _has_log(path) else read_header(path)
    return header is not None and path.stat().st_size < header.size and not _has_log(path)


def _has_log(path: Path) -> bool:
    return log_bytes(path) > 0 or path.with_name(f"{path.name}-journal").exists()


def same_file(path: Path, identity: tuple[int, int] | None) -> bool:
    """Return whether a path still leads to the file with that device and inode."""
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == identity


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into a `StorageError`, or `Damage` of the file."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(path, error) from error
    except UnicodeDecodeError as error:  # a message of SQLite that quotes what it found
        raise Damage("SQLite met text that is none") from error
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} could not be read or written: {error}.",
            code="disk_failed",
            hint="Check the rights, the disk and the space on it.",
        ) from error


def _meaning(path: Path, error: sqlite3.Error) -> StorageError | Damage:
    said = str(error)
    for part, code, what, hint in _MEANINGS:
        if part in said.lower():
            return StorageError(
                f"{str(path)!r} could not be read or written: {what} (SQLite: {said}).",
                code=code,
                retryable=code == "file_busy",
                hint=hint,
            )
    # Our statements are constant: one that fails for another reason met something else than ours.
    return Damage(f"SQLite says: {said}")

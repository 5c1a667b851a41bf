"""The files of a session as a whole: where they are, putting them away, bringing them back, deleting.

Nothing here looks into a file, except to move its log into it before it is renamed.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.chain import Head
from sdk_workflow.storage.errors import SessionNotFound
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.head_file import read_head_file, reset_head_file
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import (
    archived_file,
    head_path,
    make_private_folder,
    session_path,
    sync_folder,
)
from sdk_workflow.storage.session_record import record_path
from sdk_workflow.storage.sqlite_file import remove_database, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "archive_path",
    "current_path",
    "delete_session",
    "is_claimed",
    "move_session",
    "refuse_two_files",
    "session_head",
    "stored_ids",
]

_SUFFIXES = frozenset({".sqlite", ".json"})


def is_claimed(home: Path, session_id: str) -> bool:
    """Return whether a run of a session is under way, in whatever process."""
    if not head_path(session_path(home, session_id)).exists():
        return False
    try:
        with _claimed(home, session_id):
            return False
    except StorageError as error:
        return error.code == "session_in_use"


def archive_path(home: Path, session_id: str) -> Path:
    """Return where the file of a session that was put away is.

    Raises:
        UsageError: If the id is not allowed.
    """
    return archived_file(session_path(home, session_id))


def current_path(home: Path, session_id: str) -> Path | None:
    """Return the session's file where it is now; None where it has none."""
    for path in (session_path(home, session_id), archive_path(home, session_id)):
        if path.exists():
            return path
    return None


def refuse_two_files(home: Path, session_id: str) -> None:
    """Refuse to choose between two files of one session, one of which was put away.

    Raises:
        StorageError: If it has both.
    """
    here, there = session_path(home, session_id), archive_path(home, session_id)
    if here.exists() and there.exists():
        raise StorageError(
            f"Session {session_id!r} has two files: {str(here)!r}, and {str(there)!r}, which was "
            "put away.",
            code="session_exists",
            hint="Move one of them out of the state folder, then try again.",
        )


def session_head(home: Path, session_id: str) -> Head:
    """Return how far a session's file was last known to go, without opening it."""
    return read_head_file(head_path(session_path(home, session_id)))


def stored_ids(home: Path) -> Iterator[str]:
    """Yield the id of every session that has a file or a record, each once and in order."""
    found = {
        path.stem
        for folder in ("sessions", "archive")
        for path in (home / folder).glob("[0-9a-f][0-9a-f]/*")
        if path.suffix in _SUFFIXES and _is_in_place(home, path)
    }
    yield from sorted(found)


def move_session(home: Path, session_id: str, *, away: bool, key: bytes | None = None) -> Path:
    """Move a session's file into the archive, or back, and return where it is then.

    Its lock stays where it was, so that nobody else can write it under either name.

    Raises:
        SessionNotFound: If it has no file.
        CheckpointCorrupt: If versions are missing from it: moving it would hide that.
        StorageError: If it is in use (`session_in_use`), something is in the way, or it cannot be
            moved.
    """
    places = session_path(home, session_id), archive_path(home, session_id)
    source, target = places if away else places[::-1]
    if not source.exists():
        raise SessionNotFound(
            f"Session {session_id!r} has no file {str(source)!r}.",
            hint="Look at it with: sdk_workflow sessions show.",
        )
    make_private_folder(target.parent)
    if _has_log(source):
        with SessionFile.open(source, session_id=session_id, key=key) as file:
            file.claim()
            file.meta()  # a damaged log shows here; closing moves a whole one into the file
    with _claimed(home, session_id), storage_errors(source):
        _rename(source, target, session_id)
    return target


def delete_session(home: Path, session_id: str) -> None:
    """Delete a session's file with everything beside it, and its record.

    Raises:
        StorageError: If it is in use (`session_in_use`) or cannot be deleted.
    """
    path = session_path(home, session_id)
    if not path.parent.is_dir():
        return
    with storage_errors(path):
        with _claimed(home, session_id) as lock:
            # First, so that a file that is only half gone is not taken for one that was lost.
            reset_head_file(lock, Head())
            remove_database(path)
            # While it is held: whoever waits for it then looks for a new one. Windows keeps an
            # open file, which is harmless: it says nothing any more.
            with suppress(PermissionError):
                head_path(path).unlink()
        # Last: as long as it is there, the session is known, and goes with the next try.
        record_path(home, session_id).unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def _claimed(home: Path, session_id: str) -> Iterator[FileLock]:
    """Keep every writer of a session out, or fail at once."""
    lock = FileLock(head_path(session_path(home, session_id)))
    try:
        lock.acquire(timeout_seconds=0.0)
        yield lock
    finally:
        lock.close()


def _rename(source: Path, target: Path, session_id: str) -> None:
    if target.exists() or _has_log(source):
        what = f"{str(target)!r} exists" if target.exists() else "it is open elsewhere"
        raise StorageError(
            f"The file of session {session_id!r} cannot be moved: {what}.",
            code="session_in_use",
            retryable=True,
            hint="Close the session in every process, then try again.",
        )
    for suffix in ("-wal", "-shm"):  # empty by now
        source.with_name(source.name + suffix).unlink(missing_ok=True)
    source.replace(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _is_in_place(home: Path, path: Path) -> bool:
    try:
        return path.parent.name == session_path(home, path.stem).parent.name
    except UsageError:
        return False

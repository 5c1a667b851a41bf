"""Making a catalogue of what the sessions' own files say, and moving one aside that is of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.catalog_rows import CatalogRows
from sdk_workflow.storage.session_folders import stored_ids
from sdk_workflow.storage.session_paths import sync_folder
from sdk_workflow.storage.sqlite_file import connect, create_private_file, remove_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sdk_workflow.storage.session_info import SessionInfo

__all__ = ["make_catalog", "move_catalog_aside"]


def make_catalog(
    path: Path,
    look_up: Callable[[str], SessionInfo | None],
    on_notice: Callable[[str], None],
    *,
    session_ids: Iterable[str] | None = None,
) -> int:
    """Make a catalogue whole, then give it its name; return how many sessions it holds.

    Args:
        path: The catalogue, which must not exist.
        look_up: Returns what a session's own files say.
        on_notice: Is told of every session that had to be left out.
        session_ids: The sessions; all that have a file beside the catalogue by default.

    Raises:
        sqlite3.Error, OSError: If it cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    remove_database(new)
    create_private_file(new)
    connection = connect(new, journal_mode="delete")
    count = 0
    try:
        connection.execute("BEGIN IMMEDIATE")
        rows = CatalogRows(connection)
        rows.create()
        for session_id in stored_ids(path.parent) if session_ids is None else session_ids:
            info = _found(session_id, look_up, on_notice)
            if info is not None:
                rows.put(info)
                count += 1
        connection.execute("COMMIT")
    finally:
        connection.close()
    new.replace(path)
    sync_folder(path.parent)
    return count


def move_catalog_aside(path: Path) -> Path | None:
    """Keep a catalogue under another name, and return that; None where there is none.

    Of those that were kept before, only the latest stays: each is a copy of what the sessions know.
    """
    if not path.exists():
        return None
    kept = _kept_aside(path)
    latest = max(kept.values(), default=0)
    for part, number in kept.items():
        if number < latest:
            part.unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.damaged_{latest + 1}")
    # The journal first: it must never be applied to the new file.
    for suffix in ("-journal", "-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


def _kept_aside(path: Path) -> dict[Path, int]:
    """Return the files of the catalogues that were moved aside, each with its number."""
    start = f"{path.name}.damaged_"
    parts = (part for part in path.parent.iterdir() if part.name.startswith(start))
    numbers = {part: part.name[len(start) :].partition("-")[0] for part in parts}
    return {part: int(text) if text.isdecimal() else 0 for part, text in numbers.items()}


def _found(
    session_id: str, look_up: Callable[[str], SessionInfo | None], on_notice: Callable[[str], None]
) -> SessionInfo | None:
    try:
        return look_up(session_id)
    except StorageError as error:
        on_notice(f"Session {session_id!r} is left out of the catalogue: {error}")
        return None

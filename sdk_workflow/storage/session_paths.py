"""From a session's id to its place on disk, and the only way there.

An id that is not plainly harmless never becomes part of a path.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "archived_file",
    "check_new_session_id",
    "check_session_id",
    "head_path",
    "make_private_folder",
    "session_files",
    "session_path",
    "sync_folder",
]

# Lower case only: on a file system that ignores case, "A" and "a" would be one file.
_ID = re.compile(r"[a-z0-9_-]{1,128}")
# Device names, which Windows finds in any folder and with any suffix.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
_SHOWN = 40


def check_session_id(session_id: object) -> str:
    """Return a session id unchanged, or refuse it.

    Raises:
        UsageError: If it is not 1 to 128 of a-z, 0-9, "_" and "-", or names a device.

    Example:
        >>> check_session_id("run-2026_01")
        'run-2026_01'
    """
    if isinstance(session_id, str) and (match := _ID.fullmatch(session_id)):
        if session_id not in _RESERVED:
            return match.group()  # what was matched, not what a subclass says that it is
        why = "some systems take it for the name of a device"
    elif isinstance(session_id, str):
        why = "it is not made of 1 to 128 of a-z, 0-9, '_' and '-'"
    else:
        why = f"it is of type {type(session_id).__name__}"
    shown = ascii(session_id if not isinstance(session_id, str) else session_id[:_SHOWN])
    raise UsageError(
        f"{shown[: 2 * _SHOWN]} cannot be a session id: {why}.",
        code="invalid_session_id",
        hint="Use lower-case letters, digits, '_' and '-', such as 'review-42'.",
    )


def check_new_session_id(session_id: object) -> str:
    """Return an id under which a session may be begun unchanged, or refuse it.

    Sessions that were begun under an id that starts with "-" can still be used; a shell's commands
    take such an id for an option unless it stands behind `--`.

    Raises:
        UsageError: If it is no session id, or begins with "-".
    """
    name = check_session_id(session_id)
    if name.startswith("-"):
        raise UsageError(
            f"{name[:_SHOWN]!r} cannot be the id of a new session: it begins with '-', as the "
            "options of a command do.",
            code="invalid_session_id",
            hint="Begin it with a letter, a digit or '_', such as 'review-42'.",
        )
    return name


def session_path(home: Path, session_id: str) -> Path:
    """Return where a session's file is, whether or not it exists.

    256 folders keep each of them short: 100,000 sessions are 400 files a folder.

    Raises:
        UsageError: If the id is not allowed.
    """
    name = check_session_id(session_id)
    bucket = hashlib.sha256(name.encode()).hexdigest()[:2]
    return home / "sessions" / bucket / f"{name}.sqlite"


def archived_file(path: Path) -> Path:
    """Return where a session's file is while the session is put away."""
    return path.parents[2] / "archive" / path.parent.name / path.name


def head_path(path: Path) -> Path:
    """Return the small file beside a session file that is its lock and keeps its head."""
    return path.with_suffix(".head")


def session_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield the id and the file of every stored session, in the order of their folders."""
    for path in sorted((home / "sessions").glob("[0-9a-f][0-9a-f]/*.sqlite")):
        with suppress(UsageError):
            if path == session_path(home, path.stem):
                yield path.stem, path


def make_private_folder(folder: Path) -> None:
    """Create a folder and its parents for the user alone, and let the disk know of them.

    Raises:
        StorageError: If it cannot be created.
    """
    if folder.is_dir():
        return
    try:
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(
            f"The folder {str(folder)!r} could not be created: {error.strerror or error}.",
            code="folder_not_created",
            hint="Check the rights and the free space there, or set SDK_WORKFLOW_HOME.",
        ) from error


def sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in a folder survive a power loss."""
    if os.name == "nt":  # Windows cannot open a folder, and journals its names itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

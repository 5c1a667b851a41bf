"""Files that only their owner may touch: read with suspicion, shared under a lock, kept secret."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["folder_secret", "locked", "make_private_folder", "read_private"]

_SECRET_NAME = "tenant.secret"  # noqa: S105 # nosec B105 # the name of the file
_SECRET_BYTES = 32
_NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0)
# A pipe would otherwise block whoever opens it until somebody writes.
_NO_WAITING: int = getattr(os, "O_NONBLOCK", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, *, max_bytes: int, forbidden: int = _WRITABLE_BY_OTHERS) -> bytes:
    """Return the content of a file that nobody but its owner can have written.

    Args:
        path: The file.
        max_bytes: The largest size that is read.
        forbidden: The rights that nobody but the owner may have.

    Raises:
        FileNotFoundError: If there is none.
        StorageError: If it is a link or no plain file, too large, belongs to another user, or is
            open to other users (`file_not_private`), or cannot be read (`file_not_read`).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_LINKS | _NO_WAITING | _BINARY)
        with os.fdopen(descriptor, "rb") as file:
            problem = _problem(os.fstat(descriptor), max_bytes, forbidden)
            if problem:
                raise _not_private(path, problem)
            return file.read(max_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise _not_private(path, "is a symbolic link") from None
        if error.errno == errno.EISDIR:
            raise _not_private(path, "is no plain file") from None
        raise _not_read(path, error) from error


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner only.

    Raises:
        StorageError: If that fails.
    """
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {str(folder)!r} could not be made: {error.strerror or error}.",
            code="folder_not_made",
            hint="Choose another folder, or make it yourself.",
        ) from error


@contextmanager
def locked(path: Path) -> Generator[None, None, None]:
    """Hold `path` against other processes and threads that lock it too, as long as the block runs.

    The file is made where it is missing, and stays.

    Raises:
        StorageError: If it cannot be opened or locked.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | _NO_LINKS | _NO_WAITING
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _not_read(path, error) from error
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            raise _not_read(path, error) from error
        yield
    finally:
        os.close(descriptor)  # which gives the lock up


def folder_secret(folder: Path, default: bytes | None = None) -> bytes:
    """Return the secret of a cache folder, and make one where it has none.

    The keys and seals of what is kept there cannot be computed without it.

    Args:
        folder: The folder; made for the owner only where it is missing.
        default: What a new secret is to be; random bytes by default.

    Raises:
        StorageError: If it cannot be read or written, is open to other users, or damaged.
    """
    make_private_folder(folder)
    path = folder / _SECRET_NAME
    with locked(folder / f"{_SECRET_NAME}.lock"):
        try:
            secret = read_private(path, max_bytes=_SECRET_BYTES + 1, forbidden=_OPEN_TO_OTHERS)
        except FileNotFoundError:
            from sdk_workflow._internal.atomic_file import write_atomically

            secret = default or secrets.token_bytes(_SECRET_BYTES)
            write_atomically(path, secret, follows_links=False)
    if len(secret) != _SECRET_BYTES:
        raise StorageError(
            f"{str(path)!r} is damaged: it holds {len(secret)} bytes instead of {_SECRET_BYTES}.",
            code="cache_secret_damaged",
            hint="Delete the cache folder: without its secret nothing in it can be found.",
        )
    return secret


def _problem(status: os.stat_result, max_bytes: int, forbidden: int) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is no plain file"
    if status.st_size > max_bytes:
        return f"has {status.st_size:,} bytes, and no more than {max_bytes:,} are read"
    if sys.platform == "win32":
        return ""
    if status.st_uid not in {os.geteuid(), 0}:
        return "belongs to another user"
    return "is open to other users" if status.st_mode & forbidden else ""


def _not_private(path: Path, problem: str) -> StorageError:
    return StorageError(
        f"{str(path)!r} {problem}, so it is not trusted.",
        code="file_not_private",
        hint="Delete it, or make it a plain file of your own that nobody else can write (0600).",
    )


def _not_read(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{str(path)!r} could not be read: {error.strerror or error}.",
        code="file_not_read",
        hint="Check the rights of the file and its folder, or choose another folder.",
    )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

else:

    def _lock(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)

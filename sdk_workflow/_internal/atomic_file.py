"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from sdk_workflow.exceptions import StorageError, UsageError

__all__ = ["check_writable", "write_atomically"]


def write_atomically(path: Path, content: str | bytes, *, follows_links: bool = True) -> None:
    """Write a file so that readers see the old content or the new one, nothing between.

    A device or a pipe is written to directly, because it cannot be replaced. The file is readable
    by its owner only.

    Args:
        path: The file.
        content: Text, written as UTF-8, or bytes.
        follows_links: Whether the file behind a symbolic link is replaced. Where not, whatever has
            that name is replaced itself, be it a link, a device or a pipe.

    Raises:
        StorageError: If it cannot be written; what was there before is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if follows_links and _is_special(path):
            path.write_bytes(data)
        else:
            # Through a symlink, as an editor would: the file that it names is replaced.
            _replace(path.resolve() if follows_links else path, data)
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} could not be written: {error.strerror or error}.",
            code="file_not_written",
            hint="Check the free space and the rights of the folder, or choose another file.",
        ) from error


def check_writable(path: Path, flag: str) -> None:
    """Refuse a file that could not be written later, before anything is spent.

    Raises:
        UsageError: If its folder is missing or closed, or the path is a folder.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise UsageError(f"{flag} {str(path)!r} is a folder.", hint="Name a file in it.")
    if not folder.is_dir():
        raise UsageError(
            f"{flag} {str(path)!r}: there is no folder {str(folder)!r}.", hint="Create it first."
        )
    if not _is_special(path) and not os.access(folder, os.W_OK):
        raise UsageError(
            f"{flag} {str(path)!r}: the folder {str(folder)!r} cannot be written to.",
            hint="Choose another folder.",
        )


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _replace(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

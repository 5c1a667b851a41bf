"""The folder that file tools work in: everything is opened beneath its descriptor, or not at all.

It owns the boundary and the rules of what may be read and written; it formats nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import InvalidToolInput, ToolDenied, ToolFailed, UsageError
from sdk_workflow.tools import _beneath, _paths
from sdk_workflow.tools._secrets import secrets_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from sdk_workflow.exceptions import ToolError

__all__ = ["Workspace"]

_LEAVES = frozenset({errno.EXDEV, errno.ELOOP})
_NO_DEVICE = frozenset({errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP})


class Workspace:
    """A folder, held open, beneath which paths are opened safely.

    A path is relative to the folder, or absolute and textually inside it. Whatever leads out is
    refused with `ToolDenied`: "..", other absolute paths, "~", symbolic links to the outside, the
    magic links of /proc. Reading follows symbolic links that stay inside (where the kernel can
    promise it); writing follows none. The usual places of keys and tokens (those of the user's
    home when that is the folder, or the state folder) are neither read nor written.

    Args:
        root: The folder.

    Raises:
        UsageError: If it is not a folder that can be opened.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Workspace(pathlib.Path(folder)) as workspace:
        ...         workspace.write("notes/today.txt", b"Hello")
        ...         with workspace.opened("notes/today.txt") as (descriptor, _):
        ...             os.read(descriptor, 100)
        b'Hello'
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))  # unlike resolve, it never fails: links may loop
        as_given = os.path.abspath(root)  # noqa: PTH100 - resolves no link, on purpose
        self._spellings = tuple(dict.fromkeys((as_given, str(self.root))))
        if not self.root.is_dir():
            raise UsageError(
                f"The working directory {str(root)!r} is not a folder.",
                hint="Create it, or choose another one.",
            )
        self._secrets = _relative_secrets(self.root)
        self._descriptor = _open_root(self.root) if _beneath.is_supported else None
        self._closer = weakref.finalize(self, _close, self._descriptor)

    def __enter__(self) -> Self:
        """Return the workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release the folder; a second call does nothing."""
        self._closer()
        self._descriptor = None

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[tuple[int, os.stat_result]]:
        """Open a regular file or a folder for reading, for the length of a `with` block.

        Yields:
            The descriptor and its status.

        Raises:
            InvalidToolInput: If the path is no valid name.
            ToolDenied: If it leads out of the workspace or to a secret, or is a pipe, socket or
                device.
            ToolFailed: If it cannot be opened, or the platform cannot do so safely.
        """
        relative = _paths.relative_path(path, self._spellings)
        self._refuse_secret(relative, path)
        descriptor = self._open(relative, path)
        try:
            self._refuse_secret(self._real_name(descriptor, relative), path)
            status = os.fstat(descriptor)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise _special(path)
            yield descriptor, status
        finally:
            os.close(descriptor)

    @trace_function(name="workspace.write")
    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file in one step, and create the folders that are missing.

        The file is either the old one or the new one, never half of it, also after a crash. An
        existing file keeps its mode.

        Raises:
            InvalidToolInput: If the path is no valid name for a file.
            ToolDenied: If it leads out of the workspace, is protected or secret, is or passes a
                link, or is a pipe, socket or device.
            ToolFailed: If it cannot be written, or the platform cannot do so safely.
        """
        relative = _paths.relative_path(path, self._spellings)
        if relative == ".":
            raise InvalidToolInput(f"The path {path!r} is a folder.", hint="Name a file in it.")
        _paths.check_writable(relative)
        self._refuse_secret(relative, path)
        folder, _, name = relative.rpartition("/")
        try:
            parent = self._open_parent(folder)
            try:
                _replace(parent, name, data, path)
            finally:
                os.close(parent)
        except OSError as error:
            raise _explained(error, path) from error

    def rename(self, path: str, other: str) -> None:
        """Give a file, folder or link in the workspace another name in the same folder.

        It is for what a command left behind: no rule says which names may be given up.

        Raises:
            ToolDenied: If the path leads out of the workspace.
            ToolFailed: If it cannot be renamed, or the platform cannot do so safely.
        """
        relative, target = (_paths.relative_path(each, self._spellings) for each in (path, other))
        folder, _, name = relative.rpartition("/")
        try:
            parent = _beneath.walk_beneath(self._root(), folder or ".")
            try:
                os.rename(name, target.rpartition("/")[2], src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                os.close(parent)
        except OSError as error:
            raise _explained(error, path) from error

    def _refuse_secret(self, relative: str, path: str) -> None:
        names = tuple(relative.casefold().split("/"))
        if any(names[: len(secret)] == secret for secret in self._secrets):
            raise ToolDenied(
                f"The path {path!r} is a place of keys or tokens, which are closed to tools.",
                hint="Go on without it, and ask the user for what is needed.",
            )

    def _real_name(self, descriptor: int, relative: str) -> str:
        """Return what was really opened, where links were followed; only Linux follows them."""
        if not self._secrets or sys.platform != "linux":
            return relative
        try:
            opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        except OSError:  # without /proc, only names are judged
            return relative
        return str(opened.relative_to(self.root)) if opened.is_relative_to(self.root) else relative

    def _open(self, relative: str, path: str) -> int:
        try:
            return _beneath.open_beneath(self._root(), relative)
        except OSError as error:
            raise _explained(error, path) from error

    def _open_parent(self, folder: str) -> int:
        if not folder:
            return os.dup(self._root())
        return _beneath.walk_beneath(self._root(), folder, create_folders=True)

    def _root(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        if not self._closer.alive:
            raise UsageError("The workspace is closed.", hint="Open a new one.")
        raise ToolFailed(
            "This platform cannot open files safely beneath a folder (no directory descriptors), "
            "so the file tools do not work here.",
            code="unsupported_platform",
            hint="Run on Linux or macOS; on Windows, in WSL.",
        )


def _relative_secrets(root: Path) -> tuple[tuple[str, ...], ...]:
    """Return the names that lead to secrets, in lower case: some file systems know no other."""
    found = (path.relative_to(root) for path in secrets_beneath(root))
    return tuple(tuple(part.casefold() for part in path.parts) for path in found)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, _beneath.FOLDER)
    except OSError as error:
        raise UsageError(
            f"The working directory {str(root)!r} cannot be opened: {error.strerror}.",
            hint="Choose a folder that you may read.",
        ) from error


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _replace(parent: int, name: str, data: bytes, path: str) -> None:
    before = _existing(parent, name, path)
    temporary = f".{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _beneath.NOFOLLOW | _beneath.CLOEXEC
    descriptor = os.open(temporary, flags, 0o666, dir_fd=parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            if before is not None:
                _keep_owner_and_mode(descriptor, before)
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def _existing(parent: int, name: str, path: str) -> os.stat_result | None:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise ToolDenied(
            f"The path {path!r} is a symbolic link, and writing follows none.",
            hint="Write to the file that it points to.",
        )
    if stat.S_ISDIR(status.st_mode):
        raise InvalidToolInput(f"The path {path!r} is a folder.", hint="Name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise _special(path)
    if status.st_nlink > 1:
        raise ToolDenied(
            f"The file {path!r} has {status.st_nlink} names (hard links), some perhaps outside.",
            hint="Write a new file under another name.",
        )
    if not os.access(name, os.W_OK, dir_fd=parent):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return status


def _keep_owner_and_mode(descriptor: int, before: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):  # only root may give a file to somebody else
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)


def _special(path: str) -> ToolDenied:
    return ToolDenied(
        f"The path {path!r} is a pipe, socket or device, and only regular files may be opened.",
        hint="Choose a regular file.",
    )


def _explained(error: OSError, path: str) -> ToolError:
    if error.errno in _LEAVES:
        return ToolDenied(
            f"The path {path!r} passes a link that leads out of the working directory or may "
            "not be followed.",
            hint="Use the real path of a file inside the working directory.",
        )
    if error.errno in _NO_DEVICE:
        return _special(path)
    if error.errno == errno.ENOENT:
        return ToolFailed(
            f"The path {path!r} does not exist.",
            code="not_found",
            hint="List its folder to see what is there.",
        )
    if error.errno == errno.ENAMETOOLONG:
        return InvalidToolInput(f"The path {path!r} is too long.", hint="Use a shorter name.")
    return ToolFailed(f"The path {path!r} cannot be opened or written: {error.strerror}.")

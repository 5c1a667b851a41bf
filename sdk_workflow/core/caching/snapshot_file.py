"""One cache file that several processes write: merged under a lock, replaced whole, never trusted."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from sdk_workflow._internal.atomic_file import write_atomically
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.caching.private_files import locked, make_private_folder, read_private
from sdk_workflow.core.caching.snapshot import Snapshot, decode_snapshot, encode_snapshot, merge
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT_NAME", "SnapshotFile"]

DEFAULT_NAME = "responses.cache"
"""The file in a folder that was given instead of a file."""

_MAX_FILE_BYTES = 256 * 2**20
_ANOTHER_TENANT = "cache_of_another_tenant"
_logger = logging.getLogger("sdk_workflow.cache")


class SnapshotFile:
    """Reads and writes the snapshot of one tenant.

    Args:
        path: The file, or a folder that is there already.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = SnapshotFile(Path(folder))
        ...     file.save(Snapshot(wrong={"key": 5.0}), b"the secret", now=6.0, max_entries=100)
        ...     file.load(b"the secret").wrong
        {'key': 5.0}
    """

    def __init__(self, path: Path) -> None:
        self.path = path / DEFAULT_NAME if path.is_dir() else path

    @trace_function(name="cache.load_snapshot")
    def load(self, secret: bytes) -> Snapshot:
        """Return what the file holds; nothing where there is none.

        A file that cannot be used is moved aside, as `<name>.refused`, so that the next one starts
        fresh. One of another tenant stays where it is.

        Raises:
            StorageError: If the file cannot be used; the error says why.
        """
        try:
            return decode_snapshot(read_private(self.path, max_bytes=_MAX_FILE_BYTES), secret)
        except FileNotFoundError:
            return Snapshot()
        except StorageError as error:
            if error.code != _ANOTHER_TENANT:
                self._move_aside()
            raise

    @trace_function(name="cache.save_snapshot")
    def save(self, snapshot: Snapshot, secret: bytes, *, now: float, max_entries: int) -> None:
        """Write a snapshot, merged with what other processes have written since.

        Args:
            snapshot: What to write.
            secret: The tenant's secret.
            now: The time, in seconds since the Unix epoch: what has expired is left out.
            max_entries: How many entries are kept at the most, the newest first.

        Raises:
            StorageError: If the file is of another tenant, or cannot be written.
        """
        make_private_folder(self.path.parent)
        with locked(self.path.with_name(f"{self.path.name}.lock")):
            whole = merge(snapshot, self._theirs(secret), now=now, max_entries=max_entries)
            write_atomically(self.path, encode_snapshot(whole, secret), follows_links=False)

    def _theirs(self, secret: bytes) -> Snapshot:
        try:
            return self.load(secret)
        except StorageError as error:
            if error.code == _ANOTHER_TENANT:
                raise
            _logger.warning("%s", error)
            return Snapshot()

    def _move_aside(self) -> None:
        try:
            self.path.rename(self._free_name())
        except OSError as error:
            _logger.warning("%r could not be moved aside: %s", str(self.path), error)

    def _free_name(self) -> Path:
        """Return a name that no file has: what was moved aside before is somebody's, too."""
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        names = (self.path.with_name(f"{self.path.name}.refused{number}") for number in numbers)
        return next(name for name in names if not name.exists())

"""Checkpoints by session id: versions that are saved, listed, forked, backed up and brought back.

Owns which session files are open, and figures about them. How a file keeps its promises is told in
`storage.session_file`; it knows no agent and no catalogue.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.counting import check_days
from sdk_workflow._internal.paths import as_path
from sdk_workflow.config.home import home_folder
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.backup import backup_session, restore_session
from sdk_workflow.storage.encryption import sealer_for
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.frames import FrameInfo as CheckpointInfo
from sdk_workflow.storage.migration import migrate_session
from sdk_workflow.storage.open_files import OpenFiles
from sdk_workflow.storage.session_connection import check_durability
from sdk_workflow.storage.session_paths import check_session_id, session_files, session_path
from sdk_workflow.storage.snapshots import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.session_connection import Durability
    from sdk_workflow.storage.session_file import SessionFile

__all__ = [
    "CheckpointAnalytics",
    "CheckpointConflict",
    "CheckpointCorrupt",
    "CheckpointInfo",
    "CheckpointManager",
    "SessionNotFound",
]

_SECONDS_PER_DAY = 86_400
_PRUNE_EVERY = 16  # saves; looking costs 0.1 ms
_METRICS_SCHEMA = "sdk_workflow.checkpoints/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointAnalytics:
    """What a manager has done since it was made.

    `conflicts` are saves refused because somebody else had saved, `failures` all other calls that
    ended with a `StorageError`. Times of saves are wall time with their sync.
    """

    saves: int = 0
    loads: int = 0
    conflicts: int = 0
    failures: int = 0
    pruned_versions: int = 0
    skipped_sessions: int = 0
    open_files: int = 0
    mean_save_ms: float = 0.0
    longest_save_ms: float = 0.0


class CheckpointManager:
    """Keeps every version of every session's state; safe for threads, processes and forks.

    Args:
        home: The state folder; None for the user's own.
        durability: "full": a save is on the disk when it returns; "batch" and "off" give that up.
        keep_versions: At least that many versions of each session stay when a new keyframe is
            written; None keeps all.
        encryption_key: 32 bytes to encrypt session files with (extra `crypto`).
        clock: Where times come from.
        max_open_files: How many session files stay open between calls.
        files: The open session files, where others in this process use them as well; then the
            arguments of how a file is opened are theirs.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> with CheckpointManager(pathlib.Path(folder.name)) as checkpoints:
        ...     _ = checkpoints.save_checkpoint("review-42", turns=["Hi"])
        ...     path, version = checkpoints.save_checkpoint_versioned("review-42", turns=[])
        ...     checkpoints.load_checkpoint_version("review-42", 1), version
        ({'turns': ['Hi']}, 2)
        >>> folder.cleanup()
    """

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        durability: Durability = "full",
        keep_versions: int | None = None,
        encryption_key: bytes | None = None,
        clock: Clock | None = None,
        max_open_files: int = 32,
        files: OpenFiles | None = None,
    ) -> None:
        for name, count in (("keep_versions", keep_versions), ("max_open_files", max_open_files)):
            if count is not None and (type(count) is not int or count < 1):
                raise UsageError(f"{name} is {count!r}.", hint="Give a whole number from 1 on.")
        check_durability(durability)
        self._home = home_folder() if home is None else as_path(home)
        self._keep_versions = keep_versions
        self._key = encryption_key
        self._clock = clock or SystemClock()
        self._files = OpenFiles(
            self._home,
            durability=durability,
            key=encryption_key,
            clock=self._clock,
            limit=max_open_files,
        )
        if files is not None:
            self._files = files
        self._lock = threading.Lock()  # around the counts, and nothing else
        self._counts: Counter[str] = Counter()
        self._save_seconds = 0.0
        self._longest_save_seconds = 0.0
        if encryption_key is not None:
            sealer_for(encryption_key, "x")  # a bad key shows now, not at the first save

    def save_checkpoint(
        self, session_id: str, *, expected_version: int | None = None, **data: Any
    ) -> Path:
        """Save a state as the session's next version, and return the session's file.

        Args:
            session_id: 1 to 128 of a-z, 0-9, "_" and "-"; a new one has no "-" first.
            expected_version: Save only on top of this version, so that nobody's work is lost.
            **data: The state: plain JSON values.

        Raises:
            UsageError: If the id or the state cannot be stored (the message names the place), or
                `expected_version` is no version.
            CheckpointConflict: If another version is the latest one.
            CheckpointCorrupt: If the session's history is damaged.
            StorageError: If the disk fails or is full; the versions before still load.
        """
        return self._save(session_id, data, expected_version)[0]

    def save_checkpoint_versioned(
        self, session_id: str, *, expected_version: int | None = None, **data: Any
    ) -> tuple[Path, int]:
        """Save as `save_checkpoint` does, and return the file and the version."""
        return self._save(session_id, data, expected_version)

    def load_checkpoint(self, session_id: str) -> dict[str, Any] | None:
        """Return the latest state; None where there is none.

        Raises:
            CheckpointCorrupt: If it is not what was saved; the message says what still loads.
        """
        return self._load(session_id, None)

    def load_checkpoint_version(self, session_id: str, version: int) -> dict[str, Any] | None:
        """Return the state of one version; None where there is no such version.

        Raises:
            CheckpointCorrupt: If it is not what was saved; the message says what still loads.
        """
        return self._load(session_id, _checked(version))

    def list_checkpoint_versions(self, session_id: str) -> list[CheckpointInfo]:
        """Return what is known of every version, the oldest first; empty where there is none.

        Raises:
            CheckpointCorrupt: If the chain of versions is broken anywhere.
        """
        try:
            with self._using(session_id) as file:
                return file.versions()
        except SessionNotFound:
            return []

    def validate_checkpoint(self, session_id: str, version: int) -> bool:
        """Return whether a version is there and is what was saved."""
        _checked(version)
        try:
            with self._using(session_id) as file:
                return file.verify(version)
        except (SessionNotFound, CheckpointCorrupt):
            return False

    def checkpoint_exists(self, session_id: str) -> bool:
        """Return whether a session has at least one version, without reading any."""
        try:
            with self._using(session_id) as file:
                return int(file.meta()["last_version"]) > 0
        except SessionNotFound:
            return False

    def cleanup_old_checkpoints(self, retention_days: int = 30) -> int:
        """Delete versions older than that from all sessions, and return how many.

        The latest version of each stays, and whatever a kept version builds on. A session that is
        damaged, encrypted otherwise or in use is left alone and counted in the analytics.

        Raises:
            UsageError: If the days are not a number from 0 to a million.
        """
        check_days("retention_days", retention_days)
        before = self._clock.now() - retention_days * _SECONDS_PER_DAY
        deleted = 0
        for session_id, _ in session_files(self._home):
            try:
                with self._using(session_id) as file:
                    deleted += file.prune(created_before=before, lock_timeout_seconds=0.0)
            except StorageError:
                self._count("skipped_sessions")
        self._count("pruned_versions", deleted)
        return deleted

    def backup_checkpoint(self, session_id: str, backup_dir: Path | str) -> Path:
        """Write all versions, the journal and the record of a session into one checked file.

        The file is `<id>.v<version>.sqlite` in that folder; a number is added where a backup of
        another history has that name.

        Raises:
            SessionNotFound: If there is no such session.
            CheckpointCorrupt: If it is damaged anywhere: a backup holds all or is none.
        """
        with self._using(session_id) as file:
            return backup_session(file, as_path(backup_dir))

    def restore_checkpoint(self, backup_path: Path | str) -> str:
        """Check a backup in full, put it in its session's place, and return the session's id.

        A damaged session file that stands there is moved aside. The session's record (title, tags,
        spend) comes from the backup where there is none; `SessionManager.persist_session` then
        lists the session.

        Raises:
            CheckpointCorrupt: If the backup is damaged.
            CheckpointConflict: If the session holds what the backup does not.
            StorageError: If the session was put away or is in use, or the backup needs a key.
        """
        self.close()  # a file is replaced only where nobody has it open
        backup = as_path(backup_path)
        return restore_session(backup, self._home, key=self._key, clock=self._clock)

    def fork_checkpoint(self, session_id: str, version: int, new_session_id: str) -> Path:
        """Start a new session with the state of another one's version, and return its file.

        Raises:
            SessionNotFound: If there is no such session or version.
            CheckpointConflict: If the new session has versions already.
            CheckpointCorrupt: If that version is damaged.
        """
        check_session_id(new_session_id)
        with self._using(session_id) as file:
            state = file.load(_checked(version))
            if state is None:
                raise SessionNotFound(
                    f"Session {session_id!r} has no version {version!r}.",
                    code="version_not_found",
                    hint="list_checkpoint_versions() lists those that there are.",
                )
        parent = {"session_id": session_id, "version": version}
        with self._using(new_session_id, create=True) as fork:
            fork.append_fork(state, parent, {})
            return fork.path

    def migrate(self, session_id: str) -> int:
        """Bring a session's file to the schema of this release, and return the schema's number.

        Raises:
            SessionNotFound: If there is no such session.
            StorageError: If the file was written by a later release, or is in use.
        """
        path = session_path(self._home, session_id)
        self.close()  # a file is replaced only where nobody has it open
        return migrate_session(path, session_id, key=self._key)

    def get_analytics(self) -> CheckpointAnalytics:
        """Return what this manager has done so far."""
        with self._lock:
            counts, saves = dict(self._counts), self._counts["saves"]
            return CheckpointAnalytics(
                **counts,
                open_files=len(self._files),
                mean_save_ms=1000 * self._save_seconds / saves if saves else 0.0,
                longest_save_ms=1000 * self._longest_save_seconds,
            )

    def export_metrics(self, format: str = "json") -> str:  # noqa: A002 - the promised name
        """Return the analytics as text: "json" or "csv".

        Raises:
            UsageError: If the format is another one.
        """
        values = asdict(self.get_analytics())
        if format == "json":
            return json.dumps({"schema": _METRICS_SCHEMA, **values}, indent=2)
        if format == "csv":
            return f"{','.join(values)}\n{','.join(map(str, values.values()))}\n"
        raise UsageError(f"The format {format!r} is not known.", hint="Choose 'json' or 'csv'.")

    def close(self) -> None:
        """Close all session files; they open again when they are needed."""
        self._files.close()

    def __enter__(self) -> Self:
        """Return the manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all session files."""
        self.close()

    def _save(
        self, session_id: str, data: dict[str, Any], expected_version: int | None
    ) -> tuple[Path, int]:
        started = self._clock.monotonic()
        if expected_version is not None:
            _checked(expected_version)
        if not session_path(self._home, session_id).exists():
            self._check_first(session_id, data, expected_version)
        with self._using(session_id, create=True) as file:
            version = file.append_state(data, expected_version=expected_version)
            if self._keep_versions is not None and version % _PRUNE_EVERY == 0:
                # The save stands whatever becomes of this; damage will show when it is loaded.
                with suppress(StorageError):
                    self._count("pruned_versions", file.prune(keep_versions=self._keep_versions))
        seconds = self._clock.monotonic() - started
        with self._lock:
            self._counts["saves"] += 1
            self._save_seconds += seconds
            self._longest_save_seconds = max(self._longest_save_seconds, seconds)
        return file.path, version

    def _check_first(
        self, session_id: str, data: dict[str, Any], expected_version: int | None
    ) -> None:
        """Refuse a first save that would only leave an empty session behind.

        Raises:
            UsageError: If the state cannot be stored.
            CheckpointConflict: If it was to follow a version.
            StorageError: If there was a session, or one was put away.
        """
        encode(data)
        if not expected_version:
            return
        try:
            with self._using(session_id):  # tells of a file that was lost or put away
                return
        except SessionNotFound:
            self._count("conflicts")
            raise CheckpointConflict(
                f"Version {expected_version} of session {session_id!r} was to be followed, but "
                "there is no such session.",
                hint="Load the latest version, apply the change again, then save.",
            ) from None

    def _load(self, session_id: str, version: int | None) -> dict[str, Any] | None:
        try:
            with self._using(session_id) as file:
                state = file.load(version)
        except SessionNotFound:
            return None
        self._count("loads")
        return state

    @contextmanager
    def _using(self, session_id: str, *, create: bool = False) -> Iterator[SessionFile]:
        """Lend the open file of a session, and count what goes wrong with it."""
        try:
            with self._files.lend(session_id, create=create) as file:
                yield file
        except SessionNotFound:
            raise
        except StorageError as error:
            self._count("conflicts" if isinstance(error, CheckpointConflict) else "failures")
            raise

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] += by


def _checked(version: object) -> int:
    if type(version) is int:
        return version
    raise UsageError(f"{version!r} is not a version.", hint="Versions are numbers from 1 on.")

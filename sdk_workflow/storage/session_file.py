"""One session on disk: versions of its state and the journal of its runs, in one SQLite file.

Every version is checked against its hash before anybody sees it. How a file is opened, locked and
synced, and why by a write-ahead log, is told in `session_connection`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.storage import session_check
from sdk_workflow.storage.codecs import preferred_codec
from sdk_workflow.storage.encryption import sealer_for
from sdk_workflow.storage.errors import CheckpointConflict, Damage, corrupt
from sdk_workflow.storage.frames import FrameInfo, Packer, parsed
from sdk_workflow.storage.records import record_of, record_row
from sdk_workflow.storage.retention import first_version_to_keep, prune_frames, prune_journal
from sdk_workflow.storage.session_connection import SessionConnection
from sdk_workflow.storage.session_paths import check_session_id
from sdk_workflow.storage.session_writer import append_frame, read_checked, read_latest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.session_connection import Durability, Writing
    from sdk_workflow.storage.session_writer import Latest
    from sdk_workflow.types import JournalRecord

__all__ = ["FrameInfo", "SessionFile"]


class SessionFile:
    """The versions and the journal of one session; safe to use from many threads.

    Use `SessionFile.open`. As a context manager it closes itself.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "review-42.sqlite"
        >>> with SessionFile.open(path, session_id="review-42", create=True) as file:
        ...     file.append_state({"turns": ["Hi"]}), file.append_state({"turns": ["Hi", "Ho"]})
        ...     file.load(), file.load(1)
        (1, 2)
        ({'turns': ['Hi', 'Ho']}, {'turns': ['Hi']})
        >>> folder.cleanup()
    """

    def __init__(self, connection: SessionConnection) -> None:
        # Both for the modules beside this one: backup and migration.
        self.connection = connection
        self.packer = Packer(
            session_id=connection.session_id, codec=preferred_codec(), sealer=connection.sealer
        )
        self._latest: Latest | None = None

    @classmethod
    @trace_function(name="storage.open_session")
    def open(
        cls,
        path: Path,
        *,
        session_id: str,
        create: bool = False,
        read_only: bool = False,
        durability: Durability = "full",
        key: bytes | None = None,
        clock: Clock | None = None,
        lock_timeout_seconds: float = 30.0,
    ) -> SessionFile:
        """Open a session's file.

        Args:
            path: The file, as `session_path` names it.
            session_id: The session that it belongs to.
            create: Create it where there is none.
            read_only: Refuse to write, and change nothing of what is stored.
            durability: When a save is on the disk; see `Durability`.
            key: 32 bytes to encrypt with (extra `crypto`), if any.
            clock: Where the times of versions come from.
            lock_timeout_seconds: How long a write waits for another writer.

        Raises:
            UsageError: If the id, the durability or the key is not one.
            SessionNotFound: If there is no file and none is to be created.
            CheckpointCorrupt: If the file is damaged as a whole.
            StorageError: If it is foreign, too new, encrypted otherwise, or cannot be opened.
        """
        name = check_session_id(session_id)
        file = cls(
            SessionConnection(
                path,
                name,
                create=create,
                read_only=read_only,
                durability=durability,
                sealer=sealer_for(key, name),
                clock=clock or SystemClock(),
                lock_timeout_seconds=lock_timeout_seconds,
            )
        )
        try:
            with file.explained():
                file.connection.open_now()
        except BaseException:
            file.close()
            raise
        return file

    @property
    def path(self) -> Path:
        """The file."""
        return self.connection.path

    @property
    def session_id(self) -> str:
        """The session."""
        return self.connection.session_id

    @trace_function(name="storage.append_state")
    def append_state(
        self,
        state: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        records: Sequence[JournalRecord] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> int:
        """Save a state as the next version, and journal records with it, all or nothing.

        Args:
            state: Plain JSON values under string keys; nobody may change it meanwhile.
            expected_version: Save only on top of this version (0: only as the first one).
            records: Journal records to write in the same transaction.
            meta: Facts to list with the version, such as its title; plain JSON.

        Returns:
            The version, from 1. It is on the disk (see `durability`).

        Raises:
            UsageError: If the state holds something that JSON cannot, naming its place.
            CheckpointConflict: If another version is the latest one.
            CheckpointCorrupt: If the history that it would go on is damaged.
            StorageError: If it cannot be written; the versions before still load.
        """
        with self.explained(), self.connection.writing() as writing:
            last = writing.head.version
            if expected_version is not None and expected_version != last:
                raise CheckpointConflict(
                    f"Version {expected_version} of session {self.session_id!r} was to be followed,"
                    f" but version {last} is the latest: somebody else has saved.",
                    hint="Load the latest version, apply the change again, then save.",
                )
            latest = self._append_frame(writing, state, meta or {})
            self._append_records(writing, records)
        self._latest = latest
        return latest.version

    @trace_function(name="storage.append_records")
    def append_records(self, records: Sequence[JournalRecord]) -> None:
        """Write journal records, all or nothing; they are on the disk when this returns.

        Raises:
            UsageError: If a body holds something that JSON cannot.
            StorageError: If they cannot be written.
        """
        if records:
            with self.explained(), self.connection.writing() as writing:
                self._append_records(writing, records)

    def records(self, run_id: str | None = None) -> list[JournalRecord]:
        """Return the journal's records, of one run or of all, in their order.

        Raises:
            CheckpointCorrupt: If the journal is damaged anywhere.
        """
        with self.explained(), self.connection.reading() as (tables, head):
            self.connection.check_lag()
            rows = session_check.checked_records(tables, head)
            wanted = [row for row in rows if run_id is None or row[1] == run_id.encode()]
            return [record_of(row, self.packer.sealer) for row in wanted]

    @trace_function(name="storage.load_state")
    def load(self, version: int | None = None) -> dict[str, Any] | None:
        """Return the latest state, or that of a version; None where there is none.

        Raises:
            CheckpointCorrupt: If it is not what was saved, or versions after it were lost.
        """
        with self.explained(), self.connection.reading() as (tables, head):
            if version is None:
                self.connection.check_lag()
            wanted = head.version if version is None else version
            if not tables.anchor().version < wanted <= head.version:
                if wanted > head.version:  # never saved, or lost?
                    self.connection.check_lag()
                return None
            latest = self._latest
            if latest and wanted == head.version and latest.is_at(head):
                return parsed(latest.snapshot)
            return parsed(read_checked(tables, head, self.packer, wanted)[1])

    def versions(self) -> list[FrameInfo]:
        """Return what is known of every version, the oldest first.

        Raises:
            CheckpointCorrupt: If the chain of versions is broken anywhere.
        """
        with self.explained(), self.connection.reading() as (tables, head):
            self.connection.check_lag()
            frames = session_check.checked_frames(tables, head)
            return [self.packer.info(frame, chain) for frame, chain in frames]

    @trace_function(name="storage.verify")
    def verify(self, version: int | None = None) -> bool:
        """Check one version, or without one everything in the file.

        Returns:
            Whether there is such a version.

        Raises:
            CheckpointCorrupt: With what is wrong, and which versions still load.
        """
        with self.explained(), self.connection.reading() as (tables, head):
            if version is not None:
                is_there = tables.anchor().version < version <= head.version
                if is_there:
                    session_check.verify_version(tables, self.packer, version)
                return is_there
            self.connection.check_lag()
            session_check.verify_all(tables, head, self.packer)
            return True

    def meta(self) -> dict[str, Any]:
        """Return the session's own facts: id, creation, parent, encryption, and how far it goes."""
        with self.explained(), self.connection.reading() as (tables, head):
            self.connection.check_lag()
            facts = tables.facts()
            return {
                "session_id": facts["session_id"],
                "schema": tables.schema(),
                "created_at": facts["created_us"] / 1_000_000,
                "parent": facts["parent"],
                "encrypted": facts["encryption"] is not None,
                "first_version": tables.anchor().version + 1,
                "last_version": head.version,
                "chain": head.chain.hex(),
                "records": head.sequence,
            }

    def claim(self) -> None:
        """Keep every other writer out until `close`: for a run that must be the only one.

        Raises:
            StorageError: At once, with the code `session_in_use`, if somebody else is writing.
        """
        self.connection.claim()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self.connection.close()
        self._latest = None

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @trace_function(name="checkpoint.fork")
    def append_fork(
        self, state: Mapping[str, Any], parent: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> int:
        """Save the first version of a session that goes on from a version of another one.

        Raises:
            CheckpointConflict: If the session has versions already.
            StorageError: If it cannot be written.
        """
        with self.explained(), self.connection.writing() as writing:
            if writing.head.version or writing.head.sequence:
                raise CheckpointConflict(
                    f"Session {self.session_id!r} exists: {writing.head.version} versions, "
                    f"{writing.head.sequence} journal records.",
                    code="session_exists",
                    hint="Choose another id for the fork.",
                )
            facts = writing.tables.facts()
            writing.tables.write_facts({**facts, "parent": dict(parent)})
            latest = self._append_frame(writing, state, meta)
        self._latest = latest
        return latest.version

    @trace_function(name="storage.prune")
    def prune(
        self,
        *,
        created_before: float | None = None,
        keep_versions: int | None = None,
        lock_timeout_seconds: float | None = None,
    ) -> int:
        """Delete old versions, whole keyframe groups at a time, and return how many.

        The latest version and all that it builds on always stay. With a time, the journal of runs
        that ended before it goes as well, but for the last one where it failed: it can be resumed.

        Args:
            created_before: Seconds since the Unix epoch; what is younger stays.
            keep_versions: At least that many versions stay.
            lock_timeout_seconds: How long to wait for another writer, if not as long as always.

        Raises:
            CheckpointCorrupt: If what would stay is damaged: then nothing is deleted.
            StorageError: If it cannot be written.
        """
        before_us = None if created_before is None else int(created_before * 1_000_000)
        waiting = self.connection.writing(lock_timeout_seconds=lock_timeout_seconds)
        with self.explained(), waiting as writing:
            first = first_version_to_keep(
                writing.tables.keyframes(),
                last_version=writing.head.version,
                keep_versions=keep_versions,
                before_us=before_us,
            )
            if before_us is not None:
                prune_journal(writing, before_us)
            return prune_frames(writing, self.packer, first)

    def _append_frame(
        self, writing: Writing, state: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> Latest:
        known = self._latest
        if not (known and known.is_at(writing.head)):
            known = read_latest(writing.tables, writing.head, self.packer)
        now_us = int(self.connection.clock.now() * 1_000_000)
        return append_frame(writing, known, self.packer, state, meta=meta, now_us=now_us)

    def _append_records(self, writing: Writing, records: Sequence[JournalRecord]) -> None:
        created_us = int(self.connection.clock.now() * 1_000_000)
        for record in records:
            sequence = writing.head.sequence + 1
            row = record_row(
                record,
                sequence,
                created_us=created_us,
                before=writing.head.journal_chain,
                sealer=self.packer.sealer,
            )
            writing.tables.insert_record(row)
            writing.wrote_bytes += len(row[-1])
            writing.head = replace(writing.head, sequence=sequence, journal_chain=row[-2])

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn damage that a block meets into the error that says where, and what still loads."""
        try:
            yield
        except Damage as damage:
            raise corrupt(self.path, damage, self._intact_versions()) from damage

    def _intact_versions(self) -> tuple[int, ...]:
        try:
            with self.connection.reading() as (tables, head):
                return session_check.intact_versions(tables, head, self.packer)
        except Exception:  # noqa: BLE001 - the file is damaged in a way that lets nothing be read
            return ()

"""The journal of a session's runs on its file, which it keeps for itself until it is closed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.storage.strict_json import check_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import JournalRecord

__all__ = ["SessionJournal"]

_AS_TEXT = "$json"


class SessionJournal:
    """Implements `protocols.RunJournal`; safe to use from many threads.

    What a model says is not always JSON that comes back equal: whole numbers of more than 64 bits,
    NaN, half a surrogate pair. Such a record or message is stored as the text of its JSON.

    Args:
        file: The session's file, which nobody else writes to.

    Example:
        >>> import tempfile, pathlib
        >>> from sdk_workflow.types import JournalRecord
        >>> folder = tempfile.TemporaryDirectory()
        >>> journal = SessionJournal.open(pathlib.Path(folder.name), "review-42", create=True)
        >>> journal.append(JournalRecord(run_id="run_1", step=0, kind="run_started"), state={})
        1
        >>> [record.kind for record in journal.records()]
        ['run_started']
        >>> journal.close(); folder.cleanup()
    """

    def __init__(self, file: SessionFile) -> None:
        self._file = file

    @classmethod
    def open(
        cls, home: Path, session_id: str, *, create: bool = False, clock: Clock | None = None
    ) -> SessionJournal:
        """Open a session's journal, and keep everybody else from running the session.

        Args:
            home: The state folder.
            session_id: The session.
            create: Begin the session where there is none.
            clock: Where the times of records come from.

        Raises:
            UsageError: If the id is not one.
            SessionNotFound: If there is no such session and none is to be begun.
            StorageError: If it was put away (`session_archived`), is in use (`session_in_use`) or
                damaged, or cannot be opened.
        """
        path = session_path(home, session_id)
        file = SessionFile.open(path, session_id=session_id, create=create, clock=clock)
        try:
            file.claim()
        except StorageError as error:
            file.close()
            if error.code != "session_in_use":
                raise
            raise StorageError(
                f"Session {session_id!r} is in use: another process, or another part of this one, "
                "is running it.",
                code="session_in_use",
                retryable=True,
                hint="Wait until that is done, or end it; two runs of one session would mix.",
            ) from error
        return cls(file)

    @property
    def file(self) -> SessionFile:
        """The session's file, which this has claimed."""
        return self._file

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        """Write records, and a checkpoint of the session's state if given, all or nothing.

        Returns:
            The version of the checkpoint, if one was given. All is on the disk by then.

        Raises:
            UsageError: If a value is none of JSON's.
            StorageError: If it cannot be written; nothing was.
        """
        try:
            return self._append(records, state)
        except UsageError as error:
            if error.code != "not_json":
                raise
        packed = [replace(record, body=_packed(dict(record.body))) for record in records]
        return self._append(packed, state and {key: _packed_each(state[key]) for key in state})

    @trace_function(name="storage.read_journal")
    def records(self, run_id: str | None = None) -> Sequence[JournalRecord]:
        """Return the records of one run, or of all, in the order in which they were written.

        Raises:
            CheckpointCorrupt: If the journal is damaged anywhere.
        """
        found = self._file.records(run_id)
        return [replace(record, body=_unpacked(record.body)) for record in found]

    def load_state(self) -> dict[str, Any] | None:
        """Return the state of the latest checkpoint; None where there is none.

        Raises:
            CheckpointCorrupt: If it is not what was saved.
        """
        state = self._file.load()
        return state and {key: _unpacked_each(value) for key, value in state.items()}

    def close(self) -> None:
        """Let go of the file and let others at it; a second call does nothing."""
        self._file.close()

    def _append(
        self, records: Sequence[JournalRecord], state: Mapping[str, Any] | None
    ) -> int | None:
        if state is None:
            self._file.append_records(records)
            return None
        return self._file.append_state(state, records=records)


def _packed(value: Any) -> Any:
    """Return a value that can be stored: itself, or the text of its JSON."""
    try:
        check_json(value)
    except UsageError as error:
        try:
            return {_AS_TEXT: json.dumps(value)}
        except (TypeError, ValueError, RecursionError):
            raise error from None
    return value


def _packed_each(value: Any) -> Any:
    return [_packed(item) for item in value] if isinstance(value, list) else _packed(value)


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {_AS_TEXT}:
        return json.loads(value[_AS_TEXT])
    return value


def _unpacked_each(value: Any) -> Any:
    return [_unpacked(item) for item in value] if isinstance(value, list) else _unpacked(value)

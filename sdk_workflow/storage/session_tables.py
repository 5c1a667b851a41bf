"""The tables of a session file and every statement on them; nothing here decides anything.

Each value that is read back is checked for its type, so that damage shows as `Damage`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.chain import Head
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.frames import frame_of, row_of
from sdk_workflow.storage.strict_json import load

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.storage.frames import Frame

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "SessionTables", "check_session_kind"]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53444B57  # "SDKW", at byte 68 of the file: how `file` and we know it

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE frames(
    version INTEGER PRIMARY KEY, kind INTEGER NOT NULL, base INTEGER NOT NULL,
    codec INTEGER NOT NULL, created_us INTEGER NOT NULL, raw_bytes INTEGER NOT NULL,
    state_sha256 BLOB NOT NULL, chain_sha256 BLOB NOT NULL, meta BLOB NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE journal(
    seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL,
    key TEXT NOT NULL, created_us INTEGER NOT NULL, chain_sha256 BLOB NOT NULL,
    body BLOB NOT NULL);
"""
_FRAME = (
    "SELECT version, kind, base, codec, created_us, raw_bytes, state_sha256, chain_sha256,"
    " meta, payload FROM frames"
)
_RECORD = "SELECT seq, run_id, step, kind, key, created_us, chain_sha256, body FROM journal"
_RECORD_TYPES = (int, bytes, int, bytes, bytes, int, bytes, bytes)
_CHECK_BYTES = 8
_FACT_TYPES: dict[str, type | tuple[type, ...]] = {
    "session_id": str,
    "created_us": int,
    "parent": (dict, type(None)),
    "encryption": (dict, type(None)),
}

RecordRow = tuple[int, bytes, int, bytes, bytes, int, bytes, bytes]


def check_session_kind(path: Path, application_id: int, schema: int) -> None:
    """Refuse a file that is not a session's, or whose schema is another than ours.

    Raises:
        StorageError: With the codes `foreign_file`, `schema_too_new` or `schema_outdated`.
    """
    if application_id != APPLICATION_ID:
        raise StorageError(
            f"{str(path)!r} is a SQLite file, but not a session of this library.",
            code="foreign_file",
            hint="Move it away; a damaged session can be restored from a backup.",
        )
    if schema > SCHEMA_VERSION:
        raise StorageError(
            f"{str(path)!r} has schema {schema}; this release reads up to {SCHEMA_VERSION}.",
            code="schema_too_new",
            hint="Upgrade sdk-workflow to the release that wrote the file.",
        )
    if schema < SCHEMA_VERSION:
        raise StorageError(
            f"{str(path)!r} has schema {schema}; this release writes {SCHEMA_VERSION}.",
            code="schema_outdated",
            hint="Bring it up to date with CheckpointManager.migrate(session_id).",
        )


class SessionTables:
    """The tables behind one open connection.

    Args:
        connection: A connection of `sqlite_file.connect`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def create(self, facts: dict[str, Any]) -> Head:
        """Create the tables inside the transaction that is open; return the head of no history."""
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self.connection.execute(statement)
        self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        self.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self.write_facts(facts)
        self.write_head(Head())
        self.write_anchor(Head())
        return Head()

    def check_kind(self, path: Path) -> None:
        """Refuse a file that is not a session's, or whose schema is another than ours.

        Raises:
            StorageError: With the codes `foreign_file`, `schema_too_new` or `schema_outdated`.
        """
        check_session_kind(path, self._one("PRAGMA application_id")[0], self.schema())

    def schema(self) -> int:
        """Return the number of the file's schema."""
        return int(self._one("PRAGMA user_version")[0])

    def facts(self) -> dict[str, Any]:
        """Return what was set down when the session was created."""
        value = self._meta("facts")
        body = value[_CHECK_BYTES:]
        if value[:_CHECK_BYTES] != hashlib.sha256(body).digest()[:_CHECK_BYTES]:
            raise Damage("the record of the session itself does not match its check")
        facts = load(body)
        if type(facts) is not dict or not (
            _FACT_TYPES.keys() <= facts.keys()
            and all(isinstance(facts[key], kind) for key, kind in _FACT_TYPES.items())
        ):
            raise Damage("the record of the session itself is not one")
        return facts

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write what is true of the session from its creation on."""
        body = json.dumps(facts).encode()
        self._write_meta("facts", hashlib.sha256(body).digest()[:_CHECK_BYTES] + body)

    def head(self) -> Head:
        """Return how far the history goes."""
        return Head.unpack(self._meta("head"))

    def write_head(self, head: Head) -> None:
        """Write how far the history goes."""
        self._write_meta("head", head.pack())

    def anchor(self) -> Head:
        """Return what the first frame and the first record are chained to."""
        return Head.unpack(self._meta("anchor"))

    def write_anchor(self, anchor: Head) -> None:
        """Write what the first frame and the first record are chained to."""
        self._write_meta("anchor", anchor.pack())

    def note(self) -> bytes:
        """Return what was noted beside the history; nothing where there is nothing."""
        row = self.connection.execute("SELECT value FROM meta WHERE key='note'").fetchone()
        return row[0] if row is not None and type(row[0]) is bytes else b""

    def write_note(self, note: bytes) -> None:
        """Note something beside the history, or nothing any more."""
        if note:
            self._write_meta("note", note)
        else:
            self.connection.execute("DELETE FROM meta WHERE key='note'")

    def insert_frame(self, frame: Frame, chain: bytes) -> None:
        """Add a frame."""
        self.connection.execute(
            "INSERT INTO frames VALUES(?,?,?,?,?,?,?,?,?,?)", row_of(frame, chain)
        )

    def frames(self, first: int, last: int) -> Iterator[tuple[Frame, bytes]]:
        """Yield the frames from one version to another, with their hashes.

        Raises:
            Damage: If one is missing or its row holds values of other types.
        """
        expected = first
        rows = self.connection.execute(
            f"{_FRAME} WHERE version BETWEEN ? AND ? ORDER BY version", (first, last)
        )
        for row in rows:
            try:
                frame, chain = frame_of(row)
            except Damage as damage:
                raise Damage(damage.what, version=expected) from damage
            if frame.version != expected:
                break
            yield frame, chain
            expected += 1
        if expected <= last:
            raise Damage("its row is missing", version=expected)

    def frame(self, version: int) -> tuple[Frame, bytes]:
        """Return one frame and its hash; a missing one is damage."""
        ((frame, chain),) = self.frames(version, version)
        return frame, chain

    def deltas_after(self, base: int) -> tuple[int, int]:
        """Return how many deltas follow a keyframe, and how many bytes they take."""
        count, size = self._one(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM frames WHERE base=?"
            " AND version>?",
            (base, base),
        )
        return count, size

    def keyframes(self) -> list[tuple[int, int]]:
        """Return version and creation time (microseconds) of every keyframe, ascending."""
        rows = self.connection.execute(
            "SELECT version, created_us FROM frames WHERE kind=0 ORDER BY version"
        )
        return [(version, created_us) for version, created_us in rows]

    def delete_frames(self, last: int) -> int:
        """Delete all frames up to a version; return how many."""
        return self.connection.execute("DELETE FROM frames WHERE version<=?", (last,)).rowcount

    def insert_record(self, row: RecordRow) -> None:
        """Add a journal record."""
        sequence, run_id, step, kind, key, *rest = row
        self.connection.execute(
            "INSERT INTO journal VALUES(?,?,?,?,?,?,?,?)",
            (sequence, run_id.decode(), step, kind.decode(), key.decode(), *rest),
        )

    def records(self, first: int, last: int) -> Iterator[RecordRow]:
        """Yield the journal's rows from one sequence number to another.

        Raises:
            Damage: If one is missing or holds values of other types.
        """
        expected = first
        rows = self.connection.execute(
            f"{_RECORD} WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
        )
        for row in rows:
            if tuple(map(type, row)) != _RECORD_TYPES:
                raise Damage(f"record {expected} of its journal has values of other types")
            if row[0] != expected:
                break
            yield row
            expected += 1
        if expected <= last:
            raise Damage(f"record {expected} of its journal is missing")

    def delete_records(self, last: int) -> int:
        """Delete all records up to a sequence number; return how many."""
        return self.connection.execute("DELETE FROM journal WHERE seq<=?", (last,)).rowcount

    def give_back_pages(self) -> None:
        """Make the file as small as its content."""
        # The sqlite3 module stops such a statement after its first step, which frees one page.
        for _ in range(self._one("PRAGMA freelist_count")[0]):
            self.connection.execute("PRAGMA incremental_vacuum(1)").fetchall()

    def quick_check(self) -> None:
        """Let SQLite look at the structure of the whole file.

        Raises:
            Damage: With what it found first.
        """
        (answer,) = self._one("PRAGMA quick_check(1)")
        if answer != b"ok":
            raise Damage(f"SQLite says: {answer.decode(errors='replace')}")

    def check_schema(self) -> None:
        """Refuse a file that would run something of its own when it is read or written.

        Raises:
            Damage: If it holds a view or a trigger.
        """
        if self._one("SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger')")[0]:
            raise Damage("it holds a view or a trigger, which this library does not write")

    def _meta(self, key: str) -> bytes:
        # Past the index: a bit of it that turns over would pass one record for another.
        row = self.connection.execute(
            "SELECT value FROM meta NOT INDEXED WHERE key=?", (key,)
        ).fetchone()
        if row is None or type(row[0]) is not bytes:
            raise Damage(f"its record {key!r} is missing")
        value: bytes = row[0]
        return value

    def _write_meta(self, key: str, value: bytes) -> None:
        updated = self.connection.execute(
            "UPDATE meta NOT INDEXED SET value=? WHERE key=?", (value, key)
        )
        if not updated.rowcount:
            self.connection.execute("INSERT INTO meta VALUES(?,?)", (key, value))

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self.connection.execute(statement, values).fetchone()
        return row

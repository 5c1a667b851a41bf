"""A journal record as a row and back; bodies are strict JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sdk_workflow.storage.chain import link
from sdk_workflow.storage.strict_json import check_json, dump, load_trusted
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from sdk_workflow.storage.encryption import Sealer
    from sdk_workflow.storage.session_tables import RecordRow
    from sdk_workflow.types import JournalKind

__all__ = ["chained", "record_of", "record_row"]


def record_row(
    record: JournalRecord, sequence: int, *, created_us: int, before: bytes, sealer: Sealer
) -> RecordRow:
    """Return the row of a record that follows on the one whose hash is `before`.

    Raises:
        UsageError: If it holds something that JSON cannot.
    """
    names = (record.run_id, record.kind, record.key)
    check_json([*names, record.step], "record")
    run_id, kind, key = (name.encode() for name in names)
    body = sealer.seal(dump(dict(record.body), f"{record.kind}.body"), "record", sequence)
    row = (sequence, run_id, record.step, kind, key, created_us, b"", body)
    return (*row[:6], chained(row, before), body)


def chained(row: RecordRow, before: bytes) -> bytes:
    """Return the hash of a row after the one whose hash is given."""
    return link(before, *row[:6], row[7])


def record_of(row: RecordRow, sealer: Sealer) -> JournalRecord:
    """Return the record of a row whose hash was checked.

    Raises:
        Damage: If its body is not what was written.
    """
    sequence, run_id, step, kind, key, _created_us, _chain, body = row
    return JournalRecord(
        run_id=run_id.decode(),
        step=step,
        kind=cast("JournalKind", kind.decode()),
        key=key.decode(),
        body=load_trusted(sealer.unseal(body, "record", sequence)),
    )

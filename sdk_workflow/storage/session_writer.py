"""The next version of a session: what is remembered of the last one, and which kind comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.frames import DELTA, FrameFacts, is_keyframe_due, wants_keyframe
from sdk_workflow.storage.session_check import read_version
from sdk_workflow.storage.snapshots import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.storage.chain import Head
    from sdk_workflow.storage.frames import Frame, Packer
    from sdk_workflow.storage.session_connection import Writing
    from sdk_workflow.storage.session_tables import SessionTables
    from sdk_workflow.storage.snapshots import Snapshot

__all__ = ["Latest", "append_frame", "read_checked", "read_latest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """What a writer remembers of the last version, so that it need not read it again."""

    version: int = 0
    chain: bytes = b""
    base: int = 0
    keyframe_bytes: int = 0
    deltas: int = 0
    delta_bytes: int = 0
    created_us: int = 0
    snapshot: Snapshot

    def is_at(self, head: Head) -> bool:
        """Return whether nobody else has written a version since."""
        return (self.version, self.chain) == (head.version, head.chain)


def read_checked(
    tables: SessionTables, head: Head, packer: Packer, version: int
) -> tuple[Frame, Snapshot]:
    """Return a version's frame and state; the last one has to be what the session ends with.

    Raises:
        Damage: If it is not what was saved.
    """
    frame, chain, snapshot = read_version(tables, packer, version)
    if version == head.version and chain != head.chain:
        raise Damage("its hash is not the one that the session ends with", version=version)
    return frame, snapshot


def read_latest(tables: SessionTables, head: Head, packer: Packer) -> Latest:
    """Return the last version from disk; version 0 where there is none yet.

    Raises:
        Damage: If it is not what was saved.
    """
    if head.version == 0:
        return Latest(snapshot={}, chain=head.chain)
    frame, snapshot = read_checked(tables, head, packer, head.version)
    deltas, delta_bytes = tables.deltas_after(frame.base)
    return Latest(
        version=head.version,
        chain=head.chain,
        base=frame.base,
        keyframe_bytes=len(tables.frame(frame.base)[0].payload),
        deltas=deltas,
        delta_bytes=delta_bytes,
        created_us=frame.created_us,
        snapshot=snapshot,
    )


def append_frame(
    writing: Writing,
    latest: Latest,
    packer: Packer,
    state: Mapping[str, Any],
    *,
    meta: Mapping[str, Any],
    now_us: int,
) -> Latest:
    """Write the next version into a transaction, and return what to remember of it.

    Raises:
        UsageError: If the state holds something that JSON cannot.
        StorageError: If it is too large.
    """
    frame, snapshot = _next_frame(latest, packer, state, meta=meta, now_us=now_us)
    chain = frame.chained_to(writing.head.chain)
    writing.tables.insert_frame(frame, chain)
    writing.head = replace(writing.head, version=frame.version, chain=chain)
    size = len(frame.payload)
    writing.wrote_bytes += size
    is_delta = frame.kind == DELTA
    return Latest(
        version=frame.version,
        chain=chain,
        base=frame.base,
        keyframe_bytes=latest.keyframe_bytes if is_delta else size,
        deltas=latest.deltas + 1 if is_delta else 0,
        delta_bytes=latest.delta_bytes + size if is_delta else 0,
        created_us=frame.created_us,
        snapshot=snapshot,
    )


def _next_frame(
    latest: Latest,
    packer: Packer,
    state: Mapping[str, Any],
    *,
    meta: Mapping[str, Any],
    now_us: int,
) -> tuple[Frame, Snapshot]:
    snapshot, changes = encode(state, latest.snapshot)
    # Never earlier than the version before: where a clock went back, what was saved under it
    # would look old and be cleaned up too soon.
    facts = FrameFacts(
        version=latest.version + 1, created_us=max(now_us, latest.created_us), meta=meta
    )
    if not is_keyframe_due(
        deltas=latest.deltas, delta_bytes=latest.delta_bytes, keyframe_bytes=latest.keyframe_bytes
    ):
        delta = packer.delta(facts, latest.base, snapshot, changes, before=latest.snapshot)
        if not wants_keyframe(delta, keyframe_bytes=latest.keyframe_bytes):
            return delta, snapshot
    return packer.keyframe(facts, snapshot), snapshot

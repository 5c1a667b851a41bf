"""Takes what the caches hold out into a snapshot, and puts a snapshot back into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.caching.snapshot import Snapshot, SnapshotEntry
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.core.semantic.matches import SemanticEntry

if TYPE_CHECKING:
    from sdk_workflow.core.caching.live_replies import LiveReplies
    from sdk_workflow.core.caching.semantic_tier import SemanticTier
    from sdk_workflow.core.lru_cache import LRUCache

__all__ = ["put_back", "take_out"]

_FLOAT_BYTES = 4


def take_out(live: LiveReplies, semantic: SemanticTier | None) -> Snapshot:
    """Return everything that the tiers hold."""
    by_key = {stored.key: SnapshotEntry(stored=stored) for stored in live.all()}
    vector_bytes = 0
    for entry in () if semantic is None else semantic.entries():
        stored = entry.response
        if isinstance(stored, StoredReply):  # whoever shares the tier may have stored other things
            vector_bytes = vector_bytes or len(entry.vector or b"")
            by_key[stored.key] = SnapshotEntry(
                stored=stored, scope=entry.scope, text=entry.text, vector=entry.vector
            )
    return Snapshot(
        entries=tuple(by_key.values()),
        wrong=live.wrong(),
        embedder=semantic.embedder_tag if semantic is not None and vector_bytes else None,
        dimension=vector_bytes // _FLOAT_BYTES,
    )


def put_back(
    snapshot: Snapshot,
    *,
    live: LiveReplies,
    lru: LRUCache[str, StoredReply] | None,
    semantic: SemanticTier | None,
    now: float,
) -> int:
    """Put what a snapshot holds into the tiers, and return how many replies that were.

    What has expired, was found wrong, or is older than what a tier holds already stays out.
    """
    live.add_wrong(snapshot.wrong)
    texts: list[SemanticEntry] = []
    count = 0
    for entry in sorted(snapshot.entries, key=lambda entry: entry.stored.created):
        stored = entry.stored
        known = live.get(stored.key)
        is_newer = known is None or known.created < stored.created
        if not is_newer or not live.is_usable(stored, now=now):
            continue
        count += 1
        live.add(stored)
        if lru is not None:
            lru.set(stored.key, stored, stored.expires - now)
        if entry.scope is not None and entry.text is not None:
            texts.append(_semantic_entry(entry, entry.scope, entry.text))
    if semantic is not None:
        semantic.restore(texts, embedder_tag=snapshot.embedder)
    return count


def _semantic_entry(entry: SnapshotEntry, scope: str, text: str) -> SemanticEntry:
    return SemanticEntry(
        scope=scope,
        text=text,
        response=entry.stored,
        vector=entry.vector,
        created=entry.stored.created,
        expires=entry.stored.expires,
    )

"""What stands in for the other parts of the response cache in its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.caching.snapshot import SnapshotEntry
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.core.semantic.feedback import FalseHitRate
from sdk_workflow.core.semantic.matches import MatchExplanation, SemanticEntry, SemanticStats
from sdk_workflow.types import Call, Money, Usage
from tests.scripted import text_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdk_workflow.types import Reply

SECRET = b"a secret of 32 bytes, for tests."
NOW = 1_800_000_000.0


def ask(text: str, **fields: Any) -> Call:
    """Return a call that asks one question."""
    message = {"role": "user", "content": text}
    return Call(**{"model": "claude-haiku-5-5", "messages": (message,), **fields})


def answer(text: str = "It is so.", **facts: Any) -> Reply:
    """Return the model's own answer."""
    return text_reply(text, **{"served_by": "api", **facts})


def stored(key: str = "key", text: str = "It is so.", **fields: Any) -> StoredReply:
    """Return a reply as the caches keep it."""
    from sdk_workflow.core.caching.requests import message_json

    facts: dict[str, Any] = {
        "key": key,
        "message_json": message_json(answer(text)),
        "usage": Usage(input_tokens=100, output_tokens=10),
        "saved": Money(12),
        "created": NOW - 10,
        "expires": NOW + 100,
    }
    return StoredReply(**{**facts, **fields})


def entry(key: str = "key", *, vector: bytes | None = None, **fields: Any) -> SnapshotEntry:
    """Return an entry that the semantic tier knows too."""
    return SnapshotEntry(
        stored=stored(key, **fields), scope="scope", text=f"text of {key}", vector=vector
    )


@dataclass
class FakeSemantic:
    """A semantic tier that finds what it is told to find.

    `finds` maps a question to the outcome for it; the answer is that to the last text stored.
    """

    finds: dict[str, str] = field(default_factory=dict)
    embedder_tag: str | None = "tag"
    stored: dict[tuple[str, str], Any] = field(default_factory=dict)
    ttls: list[float | None] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    vector: bytes | None = b"\0\0\x80?" * 2
    restored_tag: str | None = None
    error: Exception | None = None

    def close(self) -> None: ...

    def lookup(self, query: str, *, scope: str) -> MatchExplanation:
        if self.error is not None:
            raise self.error
        self.asked.append((scope, query))
        near = [response for (known, _), response in self.stored.items() if known == scope]
        outcome = self.finds.get(query, "MISS")
        if not near or outcome not in {"HIT", "VERIFY"}:
            veto = None if outcome == "MISS" else outcome
            return MatchExplanation(
                outcome="MISS", reason=veto or "absent", threshold=0.95, veto=veto
            )
        return MatchExplanation(
            outcome="HIT" if outcome == "HIT" else "VERIFY",
            reason="similar" if outcome == "HIT" else "shadow",
            threshold=0.95,
            hit_id="pair_1",
            response=near[-1],
            similarity=0.97,
        )

    def explain(self, query: str, *, scope: str) -> MatchExplanation:
        asked = list(self.asked)
        found = self.lookup(query, scope=scope)
        self.asked = asked
        return found

    def add(self, query: str, response: Any, *, scope: str, ttl: float | None) -> None:
        self.stored[scope, query] = response
        self.ttls.append(ttl)

    def report_right(self, hit_id: str) -> bool:
        self.right.append(hit_id)
        return True

    def report_wrong(self, hit_id: str) -> bool:
        self.wrong.append(hit_id)
        return True

    def entries(self) -> Iterator[SemanticEntry]:
        for (scope, text), response in self.stored.items():
            yield SemanticEntry(
                scope=scope,
                text=text,
                response=response,
                vector=self.vector,
                created=NOW,
                expires=NOW + 100,
            )

    def restore(self, entries: Iterable[SemanticEntry], *, embedder_tag: str | None) -> int:
        found = list(entries)
        self.restored_tag = embedder_tag
        self.stored.update({(each.scope, each.text): each.response for each in found})
        return len(found)

    def clear(self) -> None:
        self.stored.clear()

    def get_stats(self) -> SemanticStats:
        return SemanticStats(
            exact_hits=0,
            similar_hits=0,
            verifications={},
            misses={},
            entries=len(self.stored),
            scopes=1,
            evictions=0,
            expirations=0,
            reported_wrong=len(self.wrong),
            encoder={},
            false_hits=FalseHitRate(labels=0, errors=0, lower=0.0, upper=1.0, is_certified=False),
            tripped_scopes=0,
            breaker="closed",
        )


@dataclass
class Cached:
    """A manager with its parts within reach."""

    manager: CacheManager
    lru: LRUCache[str, StoredReply]
    semantic: FakeSemantic
    clock: VirtualClock


def cached(**options: Any) -> Cached:
    """Return a manager over both tiers, on a clock that tests move."""
    clock = VirtualClock(NOW)
    lru: LRUCache[str, StoredReply] = LRUCache(clock=clock)
    semantic = FakeSemantic()
    facts: dict[str, Any] = {"clock": clock, "tenant_secret": SECRET, **options}
    return Cached(CacheManager(lru, semantic, None, **facts), lru, semantic, clock)

"""The stored texts, scope by scope: found by equality or by the nearest vector, oldest use first.

A search never leaves its scope: each has a matrix of its own. Has no lock; `SemanticCache` holds one
around each call. It knows nothing of guards, labels and encoders.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.semantic.few_vectors import FewVectors
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from sdk_workflow.core.semantic.guard import PreparedText
    from sdk_workflow.embedding.index import VectorIndex

    _Index: TypeAlias = FewVectors | VectorIndex

__all__ = ["Entry", "ScopeTable"]

_FEW = 4

_logger = logging.getLogger("sdk_workflow.semantic_cache")


class Entry:
    """One stored text. Compared by identity: a text that is stored again is another entry."""

    __slots__ = ("created", "expires_at", "prepared", "response", "scope", "text", "vector")

    def __init__(
        self,
        *,
        scope: str,
        text: str,
        response: Any,
        prepared: PreparedText,
        vector: bytes | None,
        created: float,
        expires_at: float,
    ) -> None:
        self.scope = scope
        self.text = text
        self.response = response
        self.prepared = prepared
        self.vector = vector
        self.created = created  # wall time
        self.expires_at = expires_at  # monotonic


class _Scope:
    """The texts that one kind of request may be answered with."""

    __slots__ = ("by_text", "index")

    def __init__(self) -> None:
        self.by_text: dict[str, Entry] = {}
        self.index: _Index | None = None


class ScopeTable:
    """Stored texts by scope, at most so many over all scopes.

    A vector that fits those of its scope not, or cannot be searched, is counted, logged once and
    passed over: such a text is found by equality.

    Args:
        max_entries: Beyond it the text that was used longest ago leaves, whatever its scope.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._scopes: dict[str, _Scope] = {}
        self._by_use: OrderedDict[Entry, None] = OrderedDict()
        self.evictions = self.expirations = self.index_failures = 0

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self._by_use)

    def __contains__(self, entry: Entry) -> bool:
        """Return whether this very entry is still stored."""
        return entry in self._by_use

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry, the one that was used longest ago first."""
        return iter(self._by_use)

    @property
    def scope_count(self) -> int:
        """How many scopes have texts."""
        return len(self._scopes)

    def put(self, entry: Entry) -> None:
        """Store a text in place of the same one of its scope, and make room."""
        scope = self._scopes.get(entry.scope) or _Scope()
        if entry.vector is not None:
            try:
                index = _index_for_one_more(scope.index)
                index.add(entry.text, entry.vector)
                scope.index = index
            except (ImportError, UsageError) as error:
                self._note_index_failure(error)
                entry.vector = None
        old = scope.by_text.get(entry.text)
        if old is not None:
            self._by_use.pop(old)
            if entry.vector is None and old.vector is not None and scope.index is not None:
                scope.index.remove(entry.text)
        self._scopes[entry.scope] = scope
        scope.by_text[entry.text] = entry
        self._by_use[entry] = None
        if len(self._by_use) > self._max_entries:
            self.remove(next(iter(self._by_use)))
            self.evictions += 1

    def remove(self, entry: Entry) -> None:
        """Forget an entry; one that is not stored any more is passed over."""
        if entry not in self._by_use:
            return
        del self._by_use[entry]
        scope = self._scopes[entry.scope]
        del scope.by_text[entry.text]
        if scope.index is not None and entry.vector is not None:
            scope.index.remove(entry.text)
        if not scope.by_text:
            del self._scopes[entry.scope]

    def touch(self, entry: Entry) -> None:
        """Make an entry the one that was used last."""
        self._by_use.move_to_end(entry)

    def same(self, scope: str, text: str, now: float) -> Entry | None:
        """Return the live entry of exactly this text."""
        known = self._scopes.get(scope)
        entry = None if known is None else known.by_text.get(text)
        if entry is not None and entry.expires_at <= now:
            self._expire(entry)
            return None
        return entry

    def has_vectors(self, scope: str) -> bool:
        """Return whether a search in a scope could find anything."""
        known = self._scopes.get(scope)
        return known is not None and bool(known.index)

    def nearest(
        self, scope: str, vector: bytes, count: int, now: float
    ) -> list[tuple[Entry, float]]:
        """Return the live entries nearest to a vector with their cosines, nearest first."""
        known = self._scopes.get(scope)
        if known is None or known.index is None:
            return []
        found = self._search(known, vector, count)
        if any(entry.expires_at <= now for entry, _ in found):
            # All at once: one by one, each would cost a search of its own.
            for entry in [one for one in known.by_text.values() if one.expires_at <= now]:
                self._expire(entry)
            found = self._search(known, vector, count)
        return found

    def forget_vectors(self) -> None:
        """Keep every text for an exact match only: its vector is of no use any more."""
        for scope in self._scopes.values():
            scope.index = None
        for entry in self._by_use:
            entry.vector = None

    def clear(self) -> None:
        """Forget everything; the counts stay."""
        self._scopes.clear()
        self._by_use.clear()

    def _search(self, scope: _Scope, vector: bytes, count: int) -> list[tuple[Entry, float]]:
        if not scope.index:
            return []
        try:
            rows = scope.index.search(vector, count)
        except UsageError as error:
            self._note_index_failure(error)
            return []
        return [(scope.by_text[str(text)], cosine) for text, cosine in rows]

    def _expire(self, entry: Entry) -> None:
        self.remove(entry)
        self.expirations += 1

    def _note_index_failure(self, error: Exception) -> None:
        self.index_failures += 1
        if self.index_failures == 1:
            _logger.warning("A vector is of no use; only the same text is found. %s", error)


def _index_for_one_more(index: _Index | None) -> _Index:
    if not index:
        return FewVectors()
    if not isinstance(index, FewVectors) or len(index) < _FEW:
        return index
    from sdk_workflow.embedding.index import VectorIndex  # loads numpy

    vectors = index.items()
    larger = VectorIndex(len(next(iter(vectors))[1]))
    for text, vector in vectors:
        larger.add(text, vector)
    return larger

"""Entries as they are written down, and back: lifetimes are wall time there, monotonic in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.semantic.guard import prepare
from sdk_workflow.core.semantic.matches import SemanticEntry
from sdk_workflow.core.semantic.scopes import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdk_workflow.protocols import Clock

__all__ = ["restored_entry", "saved_entries"]


def saved_entries(entries: Iterable[Entry], clock: Clock) -> Iterator[SemanticEntry]:
    """Yield the entries that are still alive, in the form in which they may be written down."""
    now = clock.monotonic()
    to_wall = clock.now() - now
    for entry in entries:
        if entry.expires_at > now:
            yield SemanticEntry(
                scope=entry.scope,
                text=entry.text,
                response=entry.response,
                vector=entry.vector,
                created=entry.created,
                expires=entry.expires_at + to_wall,
            )


def restored_entry(saved: SemanticEntry, clock: Clock) -> Entry:
    """Return an entry as it was, with what is left of its lifetime."""
    return Entry(
        scope=saved.scope,
        text=saved.text,
        response=saved.response,
        prepared=prepare(saved.text),
        vector=saved.vector,
        created=saved.created,
        expires_at=saved.expires + clock.monotonic() - clock.now(),
    )

"""Sessions over their whole life: begun, fed by events, found, tagged, put away and deleted.

Owns what is known of sessions besides their content, and who is told of it. How records and the
catalogue are kept is told in `storage.catalog_file`; it knows no agent and no other manager.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock, utc_day
from sdk_workflow._internal.counting import check_days
from sdk_workflow._internal.ids import new_session_id
from sdk_workflow._internal.paths import as_path
from sdk_workflow.config.home import home_folder
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.session_analytics import SessionAnalytics, analytics_of
from sdk_workflow.core.session_export import export_text
from sdk_workflow.core.session_hooks import SessionHooks
from sdk_workflow.events import shows_no_text
from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.catalog_query import parse_filters
from sdk_workflow.storage.errors import CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.session_feed import SessionFeed
from sdk_workflow.storage.session_inbox import SessionInbox
from sdk_workflow.storage.session_info import (
    SessionInfo,
    check_status,
    check_tags,
    check_title,
    iso_time,
)
from sdk_workflow.storage.session_lookup import with_head
from sdk_workflow.storage.session_paths import check_session_id
from sdk_workflow.storage.session_record import record_path
from sdk_workflow.storage.session_store import SessionPage, SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.events import Event
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Money, Reply

    Change = Callable[[SessionInfo], SessionInfo]

__all__ = [
    "CheckpointCorrupt",
    "SessionAnalytics",
    "SessionInfo",
    "SessionManager",
    "SessionNotFound",
    "SessionPage",
]

_SECONDS_PER_DAY = 86_400
_HOOK_SECONDS = 1.0
_logger = logging.getLogger("sdk_workflow.sessions")


class SessionManager:
    """Keeps what is known of sessions; safe for threads and processes.

    As an event sink (`on_event`) it only notes: a thread writes. Whoever asks waits for it.

    Args:
        home: The state folder; None for the user's own.
        clock: Where times come from.
        catalog: Models and prices, for the cost of runs that fail.
        encryption_key: 32 bytes, where session files are encrypted.
        on_notice: Is told in a sentence what an operator should know; a logged warning by default.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> with SessionManager(pathlib.Path(folder.name)) as sessions:
        ...     name = sessions.start_session("Review of parser.py", session_id="review-42")
        ...     sessions.tag_session(name, ["urgent"])
        ...     [found.title for found in sessions.search_sessions({"tags": ["urgent"]})]
        ['Review of parser.py']
        >>> folder.cleanup()
    """

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        clock: Clock | None = None,
        catalog: ModelCatalog | None = None,
        encryption_key: bytes | None = None,
        on_notice: Callable[[str], None] = _logger.warning,
    ) -> None:
        self._home = home_folder() if home is None else as_path(home)
        self._clock = clock or SystemClock()
        self._catalog = catalog
        self._store = SessionStore(self._home, on_notice=on_notice, key=encryption_key)
        self._feed = SessionFeed(self._clock, self._price)
        self._hooks = SessionHooks()
        self._inbox = SessionInbox()

    def generate_session_id(self) -> str:
        """Return a new id that can name a file."""
        return new_session_id()

    def start_session(
        self,
        title: str = "",
        *,
        session_id: str | None = None,
        model: str | None = None,
        tags: list[str] | None = None,
    ) -> str:
        """Begin a session, and return its id.

        Args:
            title: How lists name it; by default its first message does.
            session_id: 1 to 128 of a-z, 0-9, "_" and "-", no "-" first; a new one by default.
            model: The model that it will ask.
            tags: Up to 32 tags.

        Raises:
            UsageError: If an argument is unusable, or there is a session of that id.
            StorageError: If it cannot be written.
        """
        name = new_session_id() if session_id is None else check_session_id(session_id)
        info = SessionInfo(
            session_id=name,
            started_at=iso_time(self._clock.now()),
            title=check_title(title),
            model=check_title(model) if model else None,
        ).tagged(check_tags(tags or []), now=self._clock.now())
        self._inbox.settle()
        self._store.create(info)
        self._hooks.fire("started", info)
        return name

    def end_session(self, session_id: str, status: str = "completed") -> None:
        """End a session: "completed", "failed" or "cancelled".

        Raises:
            UsageError: If the id or the status is not one.
            SessionNotFound: If there is no such session.
            StorageError: If it cannot be written.
        """
        final = check_status(status)
        if final == "active":
            raise UsageError(
                "A session cannot end as 'active'.",
                hint="Choose 'completed', 'failed' or 'cancelled'.",
            )
        now = self._clock.now()
        info = self._change(session_id, lambda info: info.ended(status=final, now=now))
        self._fire_end(info)

    def get_session(self, session_id: str) -> SessionInfo:
        """Return a session, with what a run of it under way in this manager has taken so far.

        Raises:
            UsageError: If the id is not one.
            SessionNotFound: If there is none; the hint names the closest id.
        """
        self._inbox.settle()
        return self._feed.with_run(self._store.get(session_id))

    def list_active_sessions(self) -> list[SessionInfo]:
        """Return the sessions that have not ended, the last used first, `is_cut_off` ones too."""
        self._inbox.settle()
        return self._store.read(lambda rows: list(rows.active()), empty=[])

    def persist_session(self, session_id: str) -> Path:
        """Write all that is known of a session now, and return its record's file.

        How far its session file goes now is what counts from here on, even where it went further
        before: after a restored backup that is right.

        Raises:
            SessionNotFound: If there is no such session.
            StorageError: If it cannot be written.
        """
        there = self._store.stored_head(check_session_id(session_id))
        info = self._change(session_id, lambda info: info if there is None else info.at(*there))
        self._hooks.fire("persisted", info)
        return record_path(self._home, session_id)

    def load_persisted_session(self, session_id: str) -> dict[str, Any] | None:
        """Return what is on disk of a session as plain JSON; None where there is none.

        Raises:
            UsageError: If the id is not one.
            CheckpointCorrupt: If its session file went further once than it does now.
        """
        self._inbox.settle()
        info = self._store.find(session_id)
        if info is None:
            return None
        self._store.check_file(info)
        return info.to_json()

    def is_cut_off(self, info: SessionInfo) -> bool:
        """Return whether the last run of a session died with its process: it can be resumed."""
        return self._store.is_cut_off(info)

    def search_sessions(self, filters: Mapping[str, Any] | None = None) -> SessionPage:
        """Return one page of the sessions that meet all filters.

        Args:
            filters: `status`; `tags` (all of them); `model`; `text` (every word, any part of a
                word, in the title or the first message); `archived` (True or False);
                `since` and `until` (the last use; ISO 8601 or datetime); `min_cost_usd`,
                `max_cost_usd`; `sort` ("updated", "started", "cost", "turns" or "tokens", with
                "-" before it the greatest first; "-updated" by default); `limit` (50 by
                default); `cursor` (`next_cursor` of the page before).

        Raises:
            UsageError: If a filter is unknown or its value is not one.
            StorageError: If the catalogue can neither be read nor made.
        """
        query = parse_filters(filters or {})
        self._inbox.settle()
        return self._store.search(query)

    def get_session_analytics(self) -> SessionAnalytics:
        """Return all sessions in figures.

        Raises:
            StorageError: If the catalogue can neither be read nor made.
        """
        self._inbox.settle()
        return analytics_of(
            self._store.sums(),
            hook_failures=self._hooks.failure_count,
            write_failures=self._inbox.failure_count,
        )

    def tag_session(self, session_id: str, tags: list[str], *, remove: bool = False) -> None:
        """Add tags to a session, or remove them.

        Raises:
            UsageError: If a tag is unusable, or there would be more than 32.
            SessionNotFound: If there is no such session.
            StorageError: If it cannot be written.
        """
        checked, now = check_tags(tags), self._clock.now()
        self._change(session_id, lambda info: info.tagged(checked, now=now, remove=remove))

    def archive_session(self, session_id: str) -> Path:
        """Put a session away: its file moves into the archive, and it stays in every search.

        One that is still active ends as cancelled. `unarchive_session` brings it back. Returns its
        file, or its record where it has no session file.

        Raises:
            SessionNotFound: If there is no such session.
            StorageError: If it is in use (`session_in_use`) or cannot be moved.
        """
        self._hooks.fire("archived", self._moved(session_id, away=True))
        return self._store.file_of(session_id)

    def unarchive_session(self, session_id: str) -> Path:
        """Bring a session back that was put away, and return its file.

        Raises:
            SessionNotFound: If there is no such session.
            StorageError: If another one has taken its place, or it cannot be moved.
        """
        self._moved(session_id, away=False)
        return self._store.file_of(session_id)

    def cleanup_sessions(self, older_than_days: float) -> int:
        """Delete sessions that were last used before that, and return how many.

        Active ones, those that were put away and those in use stay.

        Raises:
            UsageError: If the days are not a number from 0 to a million.
            StorageError: If the catalogue cannot be written.
        """
        check_days("older_than_days", older_than_days)
        before = iso_time(self._clock.now() - older_than_days * _SECONDS_PER_DAY)
        self._inbox.settle()
        return self._store.delete_before(before)

    def on(self, event: str, hook: Callable[[SessionInfo], object]) -> None:
        """Let `hook(info)` be called whenever a session is started, ended, persisted, archived or failed.

        It is called in a thread of its own; what it raises, and that it hangs, disturbs nobody.

        Raises:
            UsageError: If there is no such event.
        """
        self._hooks.add(event, hook)

    def export_sessions(self, format: str = "json") -> str:  # noqa: A002 - the promised name
        """Return all sessions as text, the one that started first first: "json" or "csv".

        Raises:
            UsageError: If the format is another one.
            StorageError: If the catalogue can neither be read nor made.
        """
        export_text([], format)
        self._inbox.settle()
        found: list[SessionInfo] = self._store.read(lambda rows: list(rows.all()), empty=[])
        return export_text([info.to_json() for info in found], format)

    def check_head(self, session_id: str, version: int, chain: str) -> None:
        """Refuse a session file that went further once than it does now, or another way.

        Args:
            session_id: The session.
            version: The last version that its file shows.
            chain: The hash of that version, hexadecimal.

        Raises:
            CheckpointCorrupt: With what is missing.
        """
        self._inbox.settle()
        if info := self._store.find(session_id):
            self._store.check_head(info, version, chain)

    def verify_catalog(self) -> bool:
        """Check the whole catalogue, make it anew if it is damaged, and return whether it was whole.

        Raises:
            StorageError: If it can neither be read nor made.
        """
        self._inbox.settle()
        return self._store.verify()

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Note what an event tells of its session; a thread writes it down.

        Raises:
            UsageError: If the event's session has an id that none can have.
        """
        found = self._feed.change_of(event)
        if found is not None:
            name, change = found
            # What the session file tells has to be asked now: the run is about to change it.
            base = self._store.base_of(name, now=self._clock.now())
            self._inbox.put(name, functools.partial(self._write, name, change, base))

    def close(self) -> None:
        """Write what is to be written, give hooks a second to end, and close the catalogue."""
        self._inbox.settle()
        self._hooks.wait(_HOOK_SECONDS)
        self._store.close()

    def __enter__(self) -> Self:
        """Return the manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _write(self, name: str, change: Change, base: SessionInfo | None) -> None:
        seen: list[SessionInfo] = []

        def noted(info: SessionInfo) -> SessionInfo:
            seen[:] = [info]
            return with_head(self._home, change(info))

        try:
            after = self._store.change(name, noted, base=base)
        except SessionNotFound:  # deleted since the change was told of
            base = SessionInfo(session_id=name, started_at=iso_time(self._clock.now()))
            after = self._store.change(name, noted, base=base)
        self._fire_change(None if seen[0] is base else seen[0], after)

    def _fire_change(self, before: SessionInfo | None, after: SessionInfo) -> None:
        if after.status != "active":
            self._fire_end(after)
        elif before is None or before.status != "active":
            self._hooks.fire("started", after)

    def _fire_end(self, info: SessionInfo) -> None:
        self._hooks.fire("ended", info)
        if info.status == "failed":
            self._hooks.fire("failed", info)

    def _change(self, session_id: str, change: Change) -> SessionInfo:
        self._inbox.settle()
        return self._store.change(session_id, change)

    def _moved(self, session_id: str, *, away: bool) -> SessionInfo:
        self._inbox.settle()
        return self._store.move(session_id, away=away, now=self._clock.now())

    def _price(self, reply: Reply) -> Money | None:
        catalog = self._catalog or default_catalog(self._home)
        return catalog.price(reply.model, reply.usage, at=utc_day(self._clock))

"""All sessions of a state folder: their records, their files and the catalogue, changed together.

Each change is one transaction under the catalogue's lock; it knows no event and nobody who is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.catalog_file import CatalogFile
from sdk_workflow.storage.catalog_query import cursor_after
from sdk_workflow.storage.errors import CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_folders import (
    current_path,
    delete_session,
    is_claimed,
    move_session,
    refuse_two_files,
)
from sdk_workflow.storage.session_info import SessionInfo, iso_time
from sdk_workflow.storage.session_paths import (
    check_new_session_id,
    check_session_id,
    session_path,
)
from sdk_workflow.storage.session_record import record_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.storage.catalog_query import SessionQuery
    from sdk_workflow.storage.catalog_rows import CatalogRows
    from sdk_workflow.storage.catalog_writing import CatalogWriting

    Change = Callable[[SessionInfo], SessionInfo]

__all__ = ["SessionPage", "SessionStore"]

T = TypeVar("T")
_DELETED_AT_ONCE = 100
_NAMES_COMPARED = 500


class SessionPage(list[SessionInfo]):
    """One page of a search; `next_cursor` is the filter for the next page, None on the last one."""

    next_cursor: str | None = None


class SessionStore:
    """Reads and changes sessions; safe for threads and processes.

    Args:
        home: The state folder.
        on_notice: Is told in a sentence what an operator should know.
        key: 32 bytes, where session files are encrypted.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = SessionStore(pathlib.Path(folder.name), on_notice=print)
        >>> store.create(SessionInfo(session_id="review-42", started_at=iso_time(0)))
        >>> store.change("review-42", lambda info: info.ended(status="failed", now=1.0)).status
        'failed'
        >>> store.close(); folder.cleanup()
    """

    def __init__(
        self, home: Path, *, on_notice: Callable[[str], None], key: bytes | None = None
    ) -> None:
        self._home = home
        self._key = key
        self._catalog = CatalogFile(home, on_notice=on_notice, key=key)

    def read(self, look: Callable[[CatalogRows], T], *, empty: T) -> T:
        """Return what `look` finds in the catalogue; `empty` where there is no session at all.

        Raises:
            StorageError: If the catalogue can neither be read nor made.
        """
        return self._catalog.read(look) if self._has_any() else empty

    @trace_function(name="catalog.search")
    def search(self, query: SessionQuery) -> SessionPage:
        """Return one page of the sessions that a query asks for.

        Raises:
            StorageError: If the catalogue can neither be read nor made.
        """
        found: list[SessionInfo] = self.read(lambda rows: rows.search(query), empty=[])
        page = SessionPage(found[: query.limit])
        if len(found) > query.limit:
            page.next_cursor = cursor_after(query, page[-1])
        return page

    def sums(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return what all sessions add up to, by status, by model and by whether they are put away.

        Raises:
            StorageError: If the catalogue can neither be read nor made.
        """
        names = ("status", "model", "archived")
        nothing: dict[str, dict[str, dict[str, int]]] = {name: {} for name in names}
        return self.read(lambda rows: {name: rows.sums(name) for name in names}, empty=nothing)

    def find(self, session_id: str) -> SessionInfo | None:
        """Return what a session's own files say; None where there are none.

        Raises:
            UsageError: If the id is not one.
            StorageError: If they cannot be read.
        """
        return self._catalog.look_up(check_session_id(session_id))

    def get(self, session_id: str) -> SessionInfo:
        """Return what a session's own files say.

        Raises:
            UsageError: If the id is not one.
            SessionNotFound: If there are none; the hint names the closest id.
            StorageError: If they cannot be read.
        """
        return self.find(session_id) or self._not_found(session_id)

    def base_of(self, session_id: str, *, now: float) -> SessionInfo | None:
        """Return what a session without a record begins with; None where it has one.

        Raises:
            UsageError: If none may be begun under that id.
            StorageError: If its files cannot be read.
        """
        if record_path(self._home, session_id).exists():
            return None
        known = self.find(session_id)
        if known is not None:
            return known
        return SessionInfo(session_id=check_new_session_id(session_id), started_at=iso_time(now))

    @trace_function(name="catalog.create")
    def create(self, info: SessionInfo) -> None:
        """Add a session.

        Raises:
            UsageError: If there is one of that id, or none may be begun under it.
            StorageError: If it cannot be written.
        """
        check_new_session_id(info.session_id)

        def add(writing: CatalogWriting) -> None:
            if writing.get(info.session_id) is not None:
                raise UsageError(
                    f"There is a session {info.session_id!r} already.",
                    code="session_exists",
                    hint="Choose another id, or leave it out to get a new one.",
                )
            writing.put(info)

        self._catalog.write(add)

    @trace_function(name="catalog.change")
    def change(
        self, session_id: str, change: Change, *, base: SessionInfo | None = None
    ) -> SessionInfo:
        """Change a session, and return it.

        Args:
            session_id: The session.
            change: Returns it as it is to be.
            base: What to change where it has no record.

        Raises:
            UsageError: If the id is not one.
            SessionNotFound: If there is none, and no `base`.
            StorageError: If it cannot be written.
        """
        name = check_session_id(session_id)

        def apply(writing: CatalogWriting) -> SessionInfo | None:
            known = writing.get(name, base=base)
            if known is None:
                return None
            info = change(known)
            writing.put(info)
            return info

        return self._catalog.write(apply) or self._not_found(name)

    @trace_function(name="catalog.move")
    def move(self, session_id: str, *, away: bool, now: float) -> SessionInfo:
        """Put a session away or bring it back, file and all, and return it.

        Raises:
            UsageError: If the id is not one.
            SessionNotFound: If there is no such session.
            StorageError: If it is in use, its file cannot be moved, or it has one in both places.
        """
        name = check_session_id(session_id)

        def apply(writing: CatalogWriting) -> SessionInfo | None:
            info = writing.get(name)
            if info is None:
                return None
            refuse_two_files(self._home, name)
            writing.note(name)
            if (info.archived_at is not None) != away and current_path(self._home, name):
                move_session(self._home, name, away=away, key=self._key)
            if away and info.status == "active":
                info = info.ended(status="cancelled", now=now)
            info = info.archived(now=now) if away else info.unarchived()
            writing.put(info)
            return info

        # Whoever looks for names must do so after the transaction: it is the connection's only one.
        return self._catalog.write(apply) or self._not_found(name)

    @trace_function(name="catalog.delete")
    def delete_before(self, updated_at: str) -> int:
        """Delete the sessions last used before a time, and return how many.

        Active ones, those put away, and those whose file is in use stay.

        Raises:
            StorageError: If the catalogue cannot be written.
        """
        names: list[str] = self.read(lambda rows: rows.ids_before(updated_at), empty=[])
        return sum(
            self._delete(names[start : start + _DELETED_AT_ONCE], updated_at)
            for start in range(0, len(names), _DELETED_AT_ONCE)
        )

    def file_of(self, session_id: str) -> Path:
        """Return a session's file; its record where it has none."""
        return current_path(self._home, session_id) or record_path(self._home, session_id)

    def is_cut_off(self, info: SessionInfo) -> bool:
        """Return whether a run of a session has begun and nobody runs it any more."""
        if info.status != "active" or not session_path(self._home, info.session_id).exists():
            return False
        return not is_claimed(self._home, info.session_id)

    def stored_head(self, session_id: str) -> tuple[int, str] | None:
        """Return the last version that a session's file shows, and its hash; None without a file.

        Raises:
            CheckpointCorrupt: If the file is damaged.
            StorageError: If it cannot be opened, or is encrypted with another key.
        """
        path = current_path(self._home, session_id)
        if path is None:
            return None
        with SessionFile.open(path, session_id=session_id, read_only=True, key=self._key) as file:
            facts = file.meta()
        return int(facts["last_version"]), str(facts["chain"])

    def check_file(self, info: SessionInfo) -> None:
        """Refuse a session whose file went further once than it does now.

        One that is encrypted is passed over where its key was not given.

        Raises:
            CheckpointCorrupt: With what is missing.
            StorageError: If the file cannot be opened.
        """
        try:
            there = self.stored_head(info.session_id)
        except StorageError as error:
            if error.code != "key_missing":
                raise
            return
        if there is not None:
            self.check_head(info, *there)

    def check_head(self, info: SessionInfo, version: int, chain: str) -> None:
        """Refuse a session file that went further once than it does now, or another way.

        Raises:
            CheckpointCorrupt: With what is missing.
        """
        if info.last_version > version:
            what = f"versions {version + 1} to {info.last_version} were saved but are missing"
        elif info.last_version == version and info.chain not in {"", chain}:
            what = f"version {version} is not the one that was saved"
        else:
            return
        raise CheckpointCorrupt(
            f"{str(self.file_of(info.session_id))!r} is damaged or an older copy: {what}.",
            version=info.last_version,
            hint="Restore a backup; persist_session() takes the file as it is from now on.",
        )

    def verify(self) -> bool:
        """Check the whole catalogue, make it anew if it is damaged; return whether it was whole.

        Raises:
            StorageError: If it can neither be read nor made.
        """
        return not self._has_any() or self._catalog.verify()

    def close(self) -> None:
        """Close the catalogue; the next use opens it again."""
        self._catalog.close()

    def _has_any(self) -> bool:
        # Looking for sessions must leave no trace where there never was one.
        names = ("catalog.sqlite", "sessions", "archive")
        return any((self._home / name).exists() for name in names)

    def _delete(self, names: list[str], updated_at: str) -> int:
        def delete(writing: CatalogWriting) -> int:
            return sum(int(self._delete_one(writing, name, updated_at)) for name in names)

        return self._catalog.write(delete)

    def _delete_one(self, writing: CatalogWriting, name: str, updated_at: str) -> bool:
        info = writing.get(name)  # it may have been used since the catalogue was asked
        is_used = info is not None and (
            info.updated_at >= updated_at or info.status == "active" or info.archived_at is not None
        )
        if is_used:
            return False
        writing.note(name)
        try:
            delete_session(self._home, name)
        except StorageError:
            if writing.get(name) is not None:
                return False
        writing.forget(name)
        return True

    def _not_found(self, session_id: str) -> NoReturn:
        known: list[str] = self.read(lambda rows: rows.latest_ids(_NAMES_COMPARED), empty=[])
        raise SessionNotFound(
            f"There is no session {session_id!r}.",
            hint=did_you_mean(session_id, known)
            or "Look for its id with: sdk_workflow sessions list.",
        )

"""One change of the catalogue while it is under way: a row, the record behind it, and word of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sdk_workflow.storage.session_record import record_path, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.storage.catalog_rows import CatalogRows
    from sdk_workflow.storage.session_info import SessionInfo

__all__ = ["CatalogWriting"]


class Catalog(Protocol):
    """What a change needs of the catalogue that it is made in."""

    home: Path

    def look_up(self, session_id: str, *, base: SessionInfo | None = None) -> SessionInfo | None:
        """Return what a session's own files say of it, else `base`."""

    def note_unfinished(self, session_id: str) -> None:
        """Leave word of a session whose row is about to change."""


class CatalogWriting:
    """One change of the catalogue under way.

    Args:
        catalog: The catalogue, locked.
        rows: Its tables, inside a transaction.
    """

    def __init__(self, catalog: Catalog, rows: CatalogRows) -> None:
        self._catalog = catalog
        self._rows = rows
        self._noted: list[str] = []

    def get(self, session_id: str, *, base: SessionInfo | None = None) -> SessionInfo | None:
        """Return what is known of a session by its own files; None where there are none.

        Where it has no record, `base` is what is known.

        Raises:
            StorageError: If they cannot be read.
        """
        return self._catalog.look_up(session_id, base=base)

    def put(self, info: SessionInfo) -> None:
        """Write a session's row, and its record: from then on the change stands.

        Raises:
            StorageError: If it cannot be written.
        """
        self._rows.put(info)
        self.note(info.session_id)
        write_record(record_path(self._catalog.home, info.session_id), info)

    def forget(self, session_id: str) -> None:
        """Delete a session's row, before its files go."""
        self._rows.delete(session_id)
        self.note(session_id)

    def note(self, session_id: str) -> None:
        """Leave word that a session's files are about to change, in case this process dies."""
        if session_id not in self._noted:
            self._noted.append(session_id)
            self._catalog.note_unfinished(session_id)

    @property
    def has_written(self) -> bool:
        """Whether a record may have been written, so that the change must not be made again."""
        return bool(self._noted)

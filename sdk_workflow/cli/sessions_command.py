"""`sdk_workflow sessions`: look at what was kept of earlier runs, tag it, put it away, hand it on."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.atomic_file import check_writable, write_atomically
from sdk_workflow.cli.exit_codes import ExitCode
from sdk_workflow.config.settings import load_settings
from sdk_workflow.core.session_export import SESSIONS_SCHEMA
from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.cli.console import Console
    from sdk_workflow.managers.session_manager import SessionInfo

__all__ = [
    "archive_session",
    "check_resumable",
    "export_sessions",
    "list_sessions",
    "show_session",
    "tag_session",
]

INTERRUPTED = "interrupted"
_HEADINGS = ("ID", "STATUS", "LAST USED", "TURNS", "COST", "MODEL", "TAGS", "TITLE")
_RIGHT = frozenset({"TURNS", "COST"})
_SHORTENED = frozenset({"MODEL", "TAGS", "TITLE"})
_LEFT_OUT_FIRST = frozenset({"MODEL", "TAGS"})
_BY_WEIGHT = ("ID", "STATUS", "TITLE", "LAST USED", "COST", "TURNS", "MODEL", "TAGS")
_WIDE = 110
_GAP = 2  # columns between two of them
_BEGINNING = 10
_PAGING = frozenset({"sort", "limit"})
_SECONDS = 19  # characters of an ISO time up to its seconds


def list_sessions(console: Console, filters: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Write one page of the sessions that meet the filters.

    Raises:
        UsageError: If a filter's value is not one.
        StorageError: If the catalogue cannot be read.
    """
    with _manager(console) as sessions:
        page = sessions.search_sessions(filters)
        states = [_status(info, sessions) for info in page]
    if as_json:
        found = [
            {**info.to_json(), "status": status} for info, status in zip(page, states, strict=True)
        ]
        _write_json(console, {"sessions": found, "next_cursor": page.next_cursor})
        return ExitCode.OK
    if not page:
        console.notice(_why_empty(filters))
        return ExitCode.OK
    rows = [_cells(info, status) for info, status in zip(page, states, strict=True)]
    console.result(_table(rows) if _is_terminal() else _lines([_HEADINGS, *rows]))
    if page.next_cursor is not None:
        console.notice(f"There are more: repeat this with --cursor {page.next_cursor}")
    return ExitCode.OK


def show_session(console: Console, session_id: str, *, as_json: bool) -> ExitCode:
    """Write all that is known of one session.

    Raises:
        UsageError: If the id is not one.
        SessionNotFound: If there is no such session.
    """
    with _manager(console) as sessions:
        info = sessions.get_session(session_id)
        status = _status(info, sessions)
    facts = {**info.to_json(), "status": status}
    if as_json:
        _write_json(console, {"session": facts})
        return ExitCode.OK
    facts["tags"] = ", ".join(info.tags)
    facts["cost_usd"] = str(Money(info.spent.cost_pico))
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        console.result(f"{name.replace('_', ' '):{width}}  {'-' if value in {None, ''} else value}")
    if status == INTERRUPTED or info.cut_off is not None:
        console.notice(f"To go on where it stood: sdk_workflow run --resume {session_id}")
    return ExitCode.OK


def check_resumable(console: Console, session_id: str) -> None:
    """Refuse a session that no run can go on with.

    Raises:
        UsageError: If the id is not one.
        SessionNotFound: If there is no such session.
        StorageError: If the session was put away.
    """
    with _manager(console) as sessions:
        info = sessions.get_session(session_id)
    if info.archived_at is not None:
        raise StorageError(
            f"Session {session_id!r} was put away.",
            code="session_archived",
            hint=f"Bring it back first: sdk_workflow sessions archive --undo {session_id}",
        )


def tag_session(
    console: Console, session_id: str, tags: Sequence[str], *, remove: bool
) -> ExitCode:
    """Add tags or remove them, and write those that the session has then.

    Raises:
        UsageError: If a tag or the id is not one.
        SessionNotFound: If there is no such session.
    """
    with _manager(console) as sessions:
        sessions.tag_session(session_id, list(tags), remove=remove)
        info = sessions.get_session(session_id)
    console.result("\n".join(info.tags))
    return ExitCode.OK


def archive_session(console: Console, session_id: str, *, undo: bool) -> ExitCode:
    """Put a session away or bring it back, and write where its file is then.

    Raises:
        UsageError: If the id is not one.
        StorageError: If there is no such session, or it is in use.
    """
    with _manager(console) as sessions:
        move = sessions.unarchive_session if undo else sessions.archive_session
        path = move(session_id)
    console.result(str(path))
    return ExitCode.OK


def export_sessions(console: Console, file: Path | None, *, form: str) -> ExitCode:
    """Write all sessions to a file or to standard output.

    Raises:
        UsageError: If the file cannot be written to.
        StorageError: If writing fails.
    """
    if file is not None:
        check_writable(file, "FILE")
    with _manager(console) as sessions:
        text = sessions.export_sessions(form)
    if file is None:
        console.result(text.removesuffix("\n"))
        return ExitCode.OK
    write_atomically(file, text if text.endswith("\n") else f"{text}\n")
    console.notice(f"Sessions: {file}")
    return ExitCode.OK


def _manager(console: Console) -> SessionManager:
    return SessionManager(load_settings().home, on_notice=console.notice)


def _write_json(console: Console, content: Mapping[str, Any]) -> None:
    document = {"schema": SESSIONS_SCHEMA, **content}
    console.result(json.dumps(document, indent=2, ensure_ascii=False))


def _why_empty(filters: Mapping[str, Any]) -> str:
    if any(value is not None for name, value in filters.items() if name not in _PAGING):
        return "No session meets these conditions."
    return 'There are no sessions yet. Every run is kept as one: sdk_workflow run "Hello"'


def _status(info: SessionInfo, sessions: SessionManager) -> str:
    """Return how a session stands, also where its process died before it could say so."""
    return INTERRUPTED if sessions.is_cut_off(info) else info.status


def _cells(info: SessionInfo, status: str) -> tuple[str, ...]:
    status = f"{status} (archived)" if info.archived_at else status
    return (
        info.session_id,
        status,
        info.updated_at[:_SECONDS].replace("T", " "),
        str(info.turns),
        str(Money(info.spent.cost_pico)),
        info.model or "-",
        ", ".join(info.tags) or "-",
        info.title or "-",
    )


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("\t".join(row) for row in rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    from rich.cells import cell_len, set_cell_size

    def fitted(text: str, index: int) -> str:
        width = widths[index]
        if cell_len(text) > width:
            return f"{set_cell_size(text, width - 1)}…"
        return text.rjust(width) if _HEADINGS[index] in _RIGHT else set_cell_size(text, width)

    width = shutil.get_terminal_size().columns
    whole = [max(map(cell_len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    widths = _widths(whole, width)
    if len(widths) == 1:  # a narrow terminal may break an id, but nothing of it is left out
        return _lines([(row[0],) for row in rows])
    gap = " " * _GAP
    return "\n".join(
        gap.join(fitted(row[index], index) for index in widths).rstrip()
        for row in (_HEADINGS, *rows)
    )


def _widths(whole: Sequence[int], width: int) -> dict[int, int]:
    """Return the columns that a terminal has room for, in their order, and how wide each is.

    The id is always among them. Figures are shown whole, of words at least the beginning.
    """
    shown: dict[int, int] = {}
    room = width + _GAP
    for name in _BY_WEIGHT:
        index = _HEADINGS.index(name)
        least = min(whole[index], _BEGINNING) if name in _SHORTENED else whole[index]
        fits = room >= least + _GAP and (width >= _WIDE or name not in _LEFT_OUT_FIRST)
        if fits or not shown:
            shown[index] = least
            room -= least + _GAP
    for index, least in shown.items():  # what is left goes to words that were cut
        shown[index] = min(whole[index], least + max(room, 0))
        room -= shown[index] - least
    return dict(sorted(shown.items()))

"""What a session file tells of its session, where no record does: who ran it without one, or it was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_info import (
    MAX_TEXT,
    MAX_TITLE,
    SessionInfo,
    Spent,
    cleaned,
    iso_time,
)
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.storage.session_info import SessionStatus
    from sdk_workflow.types import JournalRecord

__all__ = ["summarise_session"]

_STATUS_AFTER: dict[str, SessionStatus] = {"run_finished": "completed", "run_failed": "failed"}


def summarise_session(path: Path, session_id: str, *, key: bytes | None = None) -> SessionInfo:
    """Return what can be told from a session file; one that cannot be read says so in `last_error`.

    Args:
        path: The session file.
        session_id: Its session.
        key: 32 bytes, where the file is encrypted.
    """
    try:
        with SessionFile.open(path, session_id=session_id, read_only=True, key=key) as file:
            return _summary(file)
    except StorageError as error:
        when = iso_time(path.stat().st_mtime if path.exists() else 0.0)
        return SessionInfo(
            session_id=session_id,
            started_at=when,
            status="failed",
            ended_at=when,
            last_error=cleaned(f"Its file cannot be read: {error}", MAX_TEXT),
        )


def _summary(file: SessionFile) -> SessionInfo:
    facts, versions, records = file.meta(), file.versions(), file.records()
    state: Mapping[str, Any] = file.load() or {}
    started = float(facts["created_at"])
    updated = iso_time(max([started, *(version.created_at for version in versions)]))
    message = _first_message(state, records)
    status = _STATUS_AFTER.get(records[-1].kind, "active") if records else "completed"
    model = state.get("model")
    return SessionInfo(
        session_id=file.session_id,
        started_at=iso_time(started),
        updated_at=updated,
        ended_at=None if status == "active" else updated,
        status=status,
        title=cleaned(message, MAX_TITLE),
        first_message=cleaned(message, MAX_TEXT),
        model=cleaned(model, MAX_TITLE) if isinstance(model, str) else None,
        spent=_spent(state),
        last_error=_error(records),
        last_version=facts["last_version"],
        chain=facts["chain"] if facts["last_version"] else "",
    )


def _first_message(state: Mapping[str, Any], records: Sequence[JournalRecord]) -> str:
    history = state.get("history")
    messages = history if isinstance(history, list) else []
    texts = [_text_of(message) for message in messages[:1]]
    texts += [record.body.get("text") for record in records if record.kind == "run_started"]
    return next((text for text in texts if isinstance(text, str) and text), "")


def _text_of(message: object) -> object:
    return message.get("content") if isinstance(message, dict) else None


def _spent(state: Mapping[str, Any]) -> Spent:
    usage, turns = state.get("usage"), state.get("turns")
    counted = Usage.from_api(usage) if isinstance(usage, dict) else Usage()
    return Spent(
        turns=turns if type(turns) is int else 0,
        input_tokens=counted.prompt_tokens,
        output_tokens=counted.output_tokens,
    )


def _error(records: Sequence[JournalRecord]) -> str | None:
    if not records or records[-1].kind != "run_failed":
        return None
    body = records[-1].body
    return cleaned(f"{body.get('error')} ({body.get('code')})", MAX_TITLE)

"""Sessions as text for other programs: versioned JSON, or CSV with one line for each."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SESSIONS_SCHEMA", "export_text"]

SESSIONS_SCHEMA = "sdk_workflow.sessions/1"
_FORMATS = ("json", "csv")
_COLUMNS = (
    *("session_id", "status", "title", "model", "tags", "started_at", "updated_at", "ended_at"),
    *("archived_at", "turns", "input_tokens", "output_tokens", "cost_usd", "last_error"),
    "last_version",
)
# What a spreadsheet would run as a formula; titles are text that anybody may have sent.
_FORMULA = ("=", "+", "-", "@")


@trace_function(name="report.sessions")
def export_text(
    sessions: Sequence[Mapping[str, Any]], format: str  # noqa: A002 - the promised name
) -> str:
    """Return sessions as text.

    Args:
        sessions: The JSON forms of sessions.
        format: "json" or "csv". In CSV, text that a spreadsheet would take for a formula has an
            apostrophe before it.

    Raises:
        UsageError: If the format is another one.
    """
    if format == "json":
        document = {"schema": SESSIONS_SCHEMA, "sessions": list(sessions)}
        return json.dumps(document, indent=2, ensure_ascii=False)
    if format != "csv":
        raise UsageError(
            f"The format {format!r} is not known.",
            hint=did_you_mean(str(format), _FORMATS) or "Choose 'json' or 'csv'.",
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(session[name]) for name in _COLUMNS] for session in sessions)
    return text.getvalue()


def _cell(value: object) -> object:
    text = " ".join(value) if isinstance(value, list) else value
    if isinstance(text, str) and text.startswith(_FORMULA):
        return f"'{text}"
    return "" if text is None else text

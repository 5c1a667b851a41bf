"""The figures of a token manager as text: JSON, CSV, and a few lines for people."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sdk_workflow._internal.counting import count_of
from sdk_workflow.core.csv_text import csv_text
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.core.usage.records import TokenAnalytics, UsageRecord

__all__ = ["export_text", "summary_text"]

_SCHEMA = "sdk_workflow.tokens/1"
_SHOWN_NAMES = 5
_COLUMNS = (
    "at",
    "message_id",
    "model",
    "operation",
    "session_id",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
    "total_tokens",
)


def export_text(
    format: str,  # noqa: A002 - the promised name
    analytics: TokenAnalytics,
    records: Sequence[UsageRecord],
) -> str:
    """Return the analytics and the records as JSON, or the records alone as CSV.

    Raises:
        UsageError: If there is no such format.
    """
    rows = [_row(record) for record in records]
    if format == "csv":
        return csv_text(_COLUMNS, rows)
    if format == "json":
        history = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        return json.dumps({"schema": _SCHEMA, **analytics, "history": history}, indent=2)
    raise UsageError(f"The format {format!r} is not known.", hint="Choose 'json' or 'csv'.")


def summary_text(analytics: TokenAnalytics) -> str:
    """Return what was used, what for, and how full the context window is."""
    totals, context_pct = analytics["totals"], analytics["context_usage_pct"]
    whole, written = totals["total_tokens"], totals["output_tokens"]
    calls, tokens = count_of(totals["calls"], "call"), count_of(whole, "token")
    lines = [f"{calls}, {tokens}, {written:,} of them by the model"]
    if totals["calls"]:
        average, trend = analytics["average_tokens"], analytics["trend_tokens_per_call"]
        lines.append(f"{average:,.0f} tokens a call, {trend:+,.0f} from one to the next")
    if context_pct is not None:
        lines.append(f"Context window: {context_pct:.1f} % full")
    if analytics["saved_calls"]:
        calls = count_of(analytics["saved_calls"], "call")
        tokens = count_of(analytics["saved_tokens"], "token")
        lines.append(f"Answered by response caches: {calls}, {tokens} saved")
    groups = {"model": analytics["by_model"], "operation": analytics["by_operation"]}
    for title, names in groups.items():
        parts = [f"{name} {names[name]['total_tokens']:,}" for name in names]
        if parts:
            lines.append(f"By {title}: {', '.join(parts[:_SHOWN_NAMES])}")
    return "\n".join(lines)


def _row(record: UsageRecord) -> tuple[str | int | None, ...]:
    usage, at = record.usage, datetime.fromtimestamp(record.at, tz=timezone.utc)
    return (
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        record.message_id,
        record.model,
        record.operation,
        record.session_id,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
        record.total_tokens,
    )

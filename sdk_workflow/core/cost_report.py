"""A cost report as a document: JSON, CSV or PDF.

It shows a `CostReport` and adds nothing to it. The PDF's pages are `core.cost_pdf`'s business.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.atomic_file import write_atomically
from sdk_workflow._internal.paths import as_path
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.csv_text import csv_text
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.cost_records import CostEntry, CostReport, GroupTotal
    from sdk_workflow.types import Money

__all__ = ["FORMATS", "SCHEMA", "exact_usd", "render", "to_csv", "to_json"]

FORMATS = ("json", "csv", "pdf")
SCHEMA = "sdk_workflow.costs/1"

_PICO_DIGITS = 12
_COLUMNS = (
    "at",
    "operation",
    "model",
    "session_id",
    "tenant",
    "tool",
    "is_cache_hit",
    "is_upper_bound",
    "is_clamped",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
)


@trace_function(name="report.cost")
def render(
    format: str,  # noqa: A002 - promised
    report: CostReport,
    output_path: Path | str | None = None,
) -> str:
    """Return a report as text, or write it and return its path.

    Args:
        format: "json", "csv" or "pdf" (extra `pdf`, needs an output path).
        report: What to show.
        output_path: The file to write, whole or not at all.

    Raises:
        UsageError: If there is no such format, no path for a PDF, or the path is none.
        ConfigError: If a PDF is asked for and fpdf2 is not installed.
        StorageError: If the file cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(
            f"A cost report cannot be written as {format!r}.",
            hint=f"Choose one of {', '.join(FORMATS)}.",
        )
    path = None if output_path is None else as_path(output_path)
    if format == "pdf":
        return _write_pdf(report, path)
    text = to_json(report) if format == "json" else to_csv(report)
    if path is None:
        return text
    write_atomically(path, text)
    return str(path)


def to_json(report: CostReport) -> str:
    """Return everything; what was counted is there exactly, in pico-dollars, beside its dollars."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "made_at": _iso(report.made_at),
        "scope": report.scope,
        "calls": report.calls,
        "unpriced_calls": report.unpriced_calls,
        "upper_bound_calls": report.upper_bound_calls,
        **_amount("total", report.total),
        "budget": {
            **_amount("soft_limit", report.soft_limit),
            **_amount("hard_limit", report.hard_limit),
            **_amount("spent", report.spent),
            **_amount("held", report.held),
        },
        "groups": {
            dimension: [_group(group) for group in groups]
            for dimension, groups in report.groups.items()
        },
        "cache": dict(report.cache),
        "projection": None if report.projection is None else asdict(report.projection),
        "entries": [_entry(entry) for entry in report.entries],
    }
    return json.dumps(document, indent=2)


def to_csv(report: CostReport) -> str:
    """Return one line for each of the latest calls, with exact dollars.

    No text in it can run as a spreadsheet's formula.
    """
    rows = (
        (*_facts(entry), exact_usd(entry.cost), exact_usd(entry.saved)) for entry in report.entries
    )
    return csv_text((*_COLUMNS, "cost_usd", "saved_usd"), rows)


def exact_usd(money: Money | None) -> str | None:
    """Return an amount as a decimal number of dollars without rounding; None stays None.

    Example:
        >>> from sdk_workflow.types import Money
        >>> exact_usd(Money(1_250_000_000_001)), exact_usd(Money(0))
        ('1.250000000001', '0.00')
    """
    if money is None:
        return None
    sign, digits = "-" if money.pico < 0 else "", str(abs(money.pico)).zfill(_PICO_DIGITS + 1)
    whole, part = digits[:-_PICO_DIGITS], digits[-_PICO_DIGITS:].rstrip("0")
    return f"{sign}{whole}.{part.ljust(2, '0')}"


def _write_pdf(report: CostReport, output_path: Path | None) -> str:
    if output_path is None:
        raise UsageError("A PDF is not text.", hint="Say where to write it with `output_path`.")
    from sdk_workflow.core.cost_pdf import to_pdf

    write_atomically(output_path, to_pdf(report))
    return str(output_path)


def _facts(entry: CostEntry) -> tuple[str | int | bool | None, ...]:
    usage = entry.usage
    return (
        _iso(entry.at),
        entry.operation,
        entry.model,
        entry.session_id,
        entry.tenant,
        entry.tool,
        entry.is_cache_hit,
        entry.is_upper_bound,
        entry.is_clamped,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
    )


def _entry(entry: CostEntry) -> dict[str, Any]:
    facts = dict(zip(_COLUMNS, _facts(entry), strict=True))
    return {**facts, **_amount("cost", entry.cost), **_amount("saved", entry.saved)}


def _group(group: GroupTotal) -> dict[str, Any]:
    return {
        "name": group.name,
        "calls": group.calls,
        **asdict(group.usage),
        **_amount("cost", group.cost),
        **_amount("saved", group.saved),
    }


def _amount(name: str, money: Money | None) -> dict[str, float | int | None]:
    return {
        f"{name}_usd": None if money is None else money.usd,
        f"{name}_pico": None if money is None else money.pico,
    }


def _iso(at: float) -> str:
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

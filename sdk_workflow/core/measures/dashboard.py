"""Shows a summary of the metrics as plain text, at most 80 characters wide where names are short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk_workflow.core.measures.records import MetricsSummary, Percentiles

__all__ = ["dashboard"]

_MS_PER_SECOND = 1000
_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600
_NAME_WIDTH = 24


def dashboard(summary: MetricsSummary) -> str:
    """Return the figures as lines of text; sections without a figure are left out."""
    sections = (
        _requests(summary),
        _models(summary),
        _operations(summary),
        _caches(summary),
        _tools(summary),
        _errors(summary),
    )
    tables = [_table(rows) for rows in sections if len(rows) > 1]
    return "\n".join([*_header(summary), *(line for table in tables for line in ("", *table))])


def _header(summary: MetricsSummary) -> Iterator[str]:
    under_way, runs = summary["in_flight"], summary["runs"]
    total, last_hour = summary["windows"]["total"], summary["windows"]["1h"]
    yield f"{summary['taken_at']}  up {_duration(summary['uptime_seconds'] * _MS_PER_SECOND)}"
    yield (
        f"runs {runs['finished']} finished, {runs['failed']} failed, {runs['cancelled']} cancelled"
        f"; in flight {under_way['runs']}, with {under_way['tools']} tools"
    )
    unknown = f" + {runs['unpriced']} unpriced runs" if runs["unpriced"] else ""
    yield (
        f"cost ${total['cost_usd']:.4f}{unknown}, ${last_hour['cost_usd_per_hour']:.2f}/h"
        f"; caches saved ${total['saved_usd']:.4f}"
    )
    for limit, found in summary["budgets"].items():
        yield (
            f"BUDGET: {limit} limit ${found['limit_usd']:.4f} reached {found['reached']} times, last"
            f" at ${found['spent_usd']:.4f} spent, ${found['held_usd']:.4f} held"
        )
    if summary["loop_alarms"]:
        yield f"LOOP: {summary['loop_alarms']} alarms about a tool called again with the same input"
    if summary["overflow"]:
        counts = ", ".join(f"{kind} {count}" for kind, count in summary["overflow"].items())
        yield f"more names than there is room for, counted as other: {counts}"


def _requests(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("requests", "count", "per s", "errors", "p50", "p95", "p99", "tok/min")
    ]
    for name, window in summary["windows"].items():
        rows.append(
            (
                name,
                f"{window['requests']:,}",
                f"{window['requests_per_second']:.2f}",
                f"{window['error_rate']:.1%}",
                *_latency(window["latency_ms"]),
                f"{window['tokens_per_minute']:,.0f}",
            )
        )
    return rows


def _models(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("model", "calls", "errors", "p50", "p95", "p99", "1st tok", "tok/s")
    ]
    for name, model in summary["models"].items():
        speed = model["output_tokens_per_second"]["p50"]
        rows.append(
            (
                name,
                f"{model['answered'] + model['cached']:,}",
                f"{model['errors']:,}",
                *_latency(model["latency_ms"]),
                _duration(model["time_to_first_token_ms"]["p50"]),
                "-" if speed is None else f"{speed:.0f}",
            )
        )
    return rows


def _operations(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("operation", "count", "p50", "p95", "p99")]
    for name, found in summary["operations"].items():
        rows.append((name, f"{found['count']:,}", *_latency(found)))
    return rows


def _caches(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("cache", "hits", "misses", "rate", "skipped", "saved")]
    for name, tier in summary["caches"].items():
        rows.append(
            (
                name,
                f"{tier['hits']:,}",
                f"{tier['misses']:,}",
                f"{tier['hit_rate']:.1%}",
                f"{sum(tier['skipped'].values()):,}",
                f"${tier['saved_usd']:.4f}",
            )
        )
    return rows


def _tools(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("tool", "calls", "errors", "p50", "p95", "p99", "loops")]
    for name, tool in summary["tools"].items():
        rows.append(
            (
                name,
                f"{tool['calls']:,}",
                f"{tool['error_rate']:.1%}",
                *_latency(tool["latency_ms"]),
                f"{tool['loops']}",
            )
        )
    return rows


def _errors(summary: MetricsSummary) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("error", "count", "retried", "last at")]
    errors, retries = summary["errors"], summary["retries"]["by_error"]
    for name in sorted({*errors, *retries}):
        known = errors.get(name)
        rows.append(
            (
                name,
                f"{known['count'] if known else 0:,}",
                f"{retries.get(name, 0):,}",
                known["last_at"] if known else "-",
            )
        )
    return rows


def _latency(found: Percentiles) -> tuple[str, str, str]:
    return _duration(found["p50"]), _duration(found["p95"]), _duration(found["p99"])


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f} us"
    if milliseconds < _MS_PER_SECOND:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / _MS_PER_SECOND
    if seconds < _SECONDS_PER_MINUTE:
        return f"{seconds:.1f} s"
    hours = seconds / _SECONDS_PER_HOUR
    return f"{hours:.1f} h" if hours >= 1 else f"{seconds / _SECONDS_PER_MINUTE:.0f} min"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    widths[0] = max(widths[0], _NAME_WIDTH)
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]

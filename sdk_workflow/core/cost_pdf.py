"""A cost report as a PDF: figures, two pictures, tables and the latest calls.

It decides what stands where; `pdf_page` knows paper, `charts` the figures of the pictures.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sdk_workflow._internal.lazy import require
from sdk_workflow.core.charts import round_scale, spend_over_time
from sdk_workflow.types import Money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.core.charts import SpendOverTime
    from sdk_workflow.core.cost_records import CostEntry, CostReport, GroupTotal
    from sdk_workflow.core.pdf_page import Column, Page

__all__ = ["to_pdf"]

_MAX_CALLS = 500  # ten pages; ten thousand calls would be two hundred, which nobody reads
_MAX_GROUPS = 20
_MAX_BARS = 8
_PLOT_MM = 52.0
_AXIS_MM = 17.0
_DAY_SECONDS = 86_400
_NOTHING = "(none)"
_SPENT, _HELD, _EMPTY = (0, 114, 178), (134, 188, 221), (235, 235, 235)
_TITLES = {
    "model": "By model",
    "session": "By session",
    "tenant": "By tenant",
    "tool": "By tool whose results were read",
}
_GROUP_COLUMNS: tuple[Column, ...] = (
    ("name", 5.0, "L"),
    ("calls", 1.3, "R"),
    ("prompt tokens", 2.0, "R"),
    ("output tokens", 2.0, "R"),
    ("cost", 1.7, "R"),
    ("share", 1.1, "R"),
    ("cache saved", 1.7, "R"),
)
_CALL_COLUMNS: tuple[Column, ...] = (
    ("time (UTC)", 3.1, "L"),
    ("operation", 1.9, "L"),
    ("model", 2.7, "L"),
    ("session", 2.7, "L"),
    ("prompt", 1.4, "R"),
    ("output", 1.3, "R"),
    ("cost", 1.6, "R"),
    ("", 1.3, "L"),
)


def to_pdf(report: CostReport) -> bytes:
    """Return the report as a PDF; the same report gives the same bytes.

    Raises:
        ConfigError: If fpdf2 is not installed.
    """
    require("fpdf", extra="pdf", purpose="The cost report as PDF")
    from sdk_workflow.core.pdf_page import Page

    page = Page(f"Cost report: {report.scope}", made_at=report.made_at)
    _head(page, report)
    _budget(page, report)
    _remarks(page, report)
    _over_time(page, report)
    _by_operation(page, report)
    _caches(page, report)
    for dimension, title in _TITLES.items():
        _groups(
            page, title, [g for name, gs in report.groups.items() if name == dimension for g in gs]
        )
    _calls(page, report)
    return bytes(page.output())


def _head(page: Page, report: CostReport) -> None:
    page.style(18, bold=True)
    page.line_of("Cost report", 9.0)
    page.style(colour=(120, 120, 120))
    page.line_of(f"Budget {report.scope!r}, {_moment(report.made_at)} UTC")
    page.ln(3.0)
    figures = [
        ("spent", str(report.total), f"{report.calls:,} calls"),
        (
            "saved by caches",
            _dollars(report.cache["net_saved_usd"]),
            f"{report.cache['hit_rate']:.0%} of prompt tokens read",
        ),
        _projection_figure(report),
    ]
    top, width = page.y, page.epw / len(figures)
    for index, (title, figure, remark) in enumerate(figures):
        left = page.l_margin + index * width
        page.label((left, top + 3.0), title)
        page.style(16, bold=True)
        page.text(left, top + 10.0, figure)
        page.label((left, top + 15.0), remark)
    page.set_y(top + 18.0)


def _projection_figure(report: CostReport) -> tuple[str, str, str]:
    found = report.projection
    if found is None:
        return "projection", "-", "nothing was seen yet"
    between = "too few calls for an interval"
    if found.high_usd is not None:
        low, high = _dollars(found.low_usd), _dollars(found.high_usd)
        between = f"{low} to {high} in {found.confidence:.0%} of all cases"
    return f"the next {found.turns:,} calls like these", _dollars(found.mean_usd), between


def _budget(page: Page, report: CostReport) -> None:
    limit = report.hard_limit or report.soft_limit
    if limit is None or not limit.pico:
        return
    kind = "hard" if report.hard_limit else "soft"
    page.heading("Budget", keep_mm=20.0)
    left, top, width = page.l_margin, page.y + 1.0, page.epw
    per_pico = width / max(limit.pico, (report.spent + report.held).pico)
    spent, held = report.spent.pico * per_pico, report.held.pico * per_pico
    page.box((left, top), (width, 5.0), _EMPTY)
    page.box((left, top), (spent, 5.0), _SPENT)
    page.box((left + spent, top), (held, 5.0), _HELD)
    for mark in (report.soft_limit, limit):
        if mark is not None:
            at = left + mark.pico * per_pico
            page.rule((at, top - 1.0), (at, top + 6.0))
    page.set_y(top + 6.5)
    parts = [f"{report.spent} spent", f"{report.held} held for calls in flight"]
    if report.hard_limit and report.soft_limit:
        parts.append(f"soft limit {report.soft_limit}")
    page.line_of(f"{', '.join(parts)}, {kind} limit {limit}")


def _remarks(page: Page, report: CostReport) -> None:
    remarks = []
    if report.unpriced_calls:
        remarks.append(f"{report.unpriced_calls:,} calls have no known price and are in no sum.")
    if report.upper_bound_calls:
        remarks.append(
            f"{report.upper_bound_calls:,} calls ended without a known outcome and count at the "
            "most that they can have cost."
        )
    if remarks:
        page.ln(1.0)
        page.remark(" ".join(remarks))


def _over_time(page: Page, report: CostReport) -> None:
    found = spend_over_time(report.entries)
    if found is None:
        return
    page.heading("Spend over time", keep_mm=_PLOT_MM + 20.0)
    if len(report.entries) < report.calls:
        page.remark(f"The latest {len(report.entries):,} of {report.calls:,} calls.")
    bottom = page.y + 2.0 + _PLOT_MM
    scale = round_scale(found.highest_usd)
    for value in scale:
        y = bottom - value / scale[-1] * _PLOT_MM
        page.rule((page.l_margin + _AXIS_MM, y), (page.l_margin + page.epw, y))
        page.label((page.l_margin + _AXIS_MM - 1.5, y + 0.9), f"${value:,.10g}", align="R")
    _stacks(page, found, bottom, _PLOT_MM / scale[-1])
    _times(page, found, bottom + 4.0)
    _legend(page, found, bottom + 9.0)
    page.set_y(bottom + 12.0)


def _stacks(page: Page, found: SpendOverTime, bottom: float, mm_per_usd: float) -> None:
    from sdk_workflow.core.pdf_page import COLOURS

    step = (page.epw - _AXIS_MM) / len(found.bars)
    width = min(step * 0.8, 14.0)
    for index, bar in enumerate(found.bars):
        left = page.l_margin + _AXIS_MM + (index + 0.5) * step - width / 2
        y = bottom
        for usd, colour in zip(bar, COLOURS, strict=False):
            y -= usd * mm_per_usd
            if usd:
                page.box((left, y), (width, usd * mm_per_usd), colour)


def _times(page: Page, found: SpendOverTime, y: float) -> None:
    """Name the first stretch, the middle one and the last."""
    count = len(found.bars)
    step = (page.epw - _AXIS_MM) / count
    style = "%Y-%m-%d" if found.step_seconds >= _DAY_SECONDS else "%Y-%m-%d %H:%M"
    style = style if found.step_seconds >= 60 else f"{style}:%S"  # noqa: PLR2004 - a minute
    for index in sorted({0, count // 2, count - 1}):
        at = found.starts_at + index * found.step_seconds
        text = datetime.fromtimestamp(at, tz=timezone.utc).strftime(style)
        centre = page.l_margin + _AXIS_MM + (index + 0.5) * step
        page.set_font_size(7)
        half = page.get_string_width(text) / 2
        left = min(max(centre - half, page.l_margin), page.l_margin + page.epw - 2 * half)
        page.label((left, y), text)


def _legend(page: Page, found: SpendOverTime, y: float) -> None:
    from sdk_workflow.core.pdf_page import COLOURS, printable

    width = (page.epw - _AXIS_MM) / len(COLOURS)
    for index, (name, colour) in enumerate(zip(found.names, COLOURS, strict=False)):
        left = page.l_margin + _AXIS_MM + index * width
        page.box((left, y - 2.2), (2.5, 2.5), colour)
        page.set_font_size(7)
        page.label((left + 3.5, y), page.fitting(printable(name), width - 5.0))


def _by_operation(page: Page, report: CostReport) -> None:
    groups = _first(report.groups.get("operation", ()), _MAX_BARS)
    highest = max((group.cost.pico for group in groups), default=0)
    if not highest:
        return
    page.heading("By operation", keep_mm=6.0 * len(groups))
    left, width = page.l_margin + 45.0, page.epw - 45.0 - 38.0
    for group in groups:
        top = page.y
        page.cell(43.0, 5.0, _fit(page, group.name, 42.0))
        page.box((left, top + 0.8), (max(width * group.cost.pico / highest, 0.2), 3.4), _SPENT)
        page.set_x(left + width)
        calls = "call" if group.calls == 1 else "calls"
        page.cell(38.0, 5.0, f"{group.cost}, {group.calls:,} {calls}", align="R")
        page.set_xy(page.l_margin, top + 5.8)


def _caches(page: Page, report: CostReport) -> None:
    cache = report.cache
    page.heading("Caches")
    columns: tuple[Column, ...] = (
        ("", 6.0, "L"),
        ("tokens or answers", 2.0, "R"),
        ("dollars", 2.0, "R"),
    )
    surcharge = _dollars(-cache["write_surcharge_usd"])
    rows = [
        ("read from the prompt cache", f"{cache['read_tokens']:,}", _dollars(cache["saved_usd"])),
        ("written to it, beyond plain input", f"{cache['written_tokens']:,}", surcharge),
        (
            "answered by a response cache",
            f"{cache['response_cache_hits']:,}",
            _dollars(cache["response_cache_saved_usd"]),
        ),
        ("saved in all", "", _dollars(cache["net_saved_usd"])),
    ]
    page.rows_of(columns, rows)


def _groups(page: Page, title: str, groups: Sequence[GroupTotal]) -> None:
    if not groups or [group.name for group in groups] == [_NOTHING]:
        return
    page.heading(title)
    whole = sum(group.cost.pico for group in groups)
    rows = [
        (
            group.name,
            f"{group.calls:,}",
            f"{group.usage.prompt_tokens:,}",
            f"{group.usage.output_tokens:,}",
            str(group.cost),
            f"{group.cost.pico / whole:.1%}" if whole else "-",
            str(group.saved),
        )
        for group in _first(groups, _MAX_GROUPS)
    ]
    page.rows_of(_GROUP_COLUMNS, rows)


def _first(groups: Sequence[GroupTotal], most: int) -> Sequence[GroupTotal]:
    """Return the first groups, and what is left as one, so that the sums stay whole."""
    if len(groups) <= most:
        return groups
    from dataclasses import replace

    rest = groups[most - 1]
    for group in groups[most:]:
        rest = replace(
            rest,
            calls=rest.calls + group.calls,
            usage=rest.usage + group.usage,
            cost=rest.cost + group.cost,
            saved=rest.saved + group.saved,
        )
    count = len(groups) - most + 1
    return [*groups[: most - 1], replace(rest, name=f"({count:,} others)")]


def _calls(page: Page, report: CostReport) -> None:
    if not report.entries:
        return
    page.heading("Latest calls")
    if len(report.entries) > _MAX_CALLS:
        page.remark(
            f"The latest {_MAX_CALLS:,} of {report.calls:,}, the newest first; the CSV report lists "
            f"{len(report.entries):,}."
        )
    latest = report.entries[-_MAX_CALLS:]
    page.rows_of(_CALL_COLUMNS, [_call_row(entry) for entry in reversed(latest)])


def _call_row(entry: CostEntry) -> tuple[str, ...]:
    marks = {
        "cached": entry.is_cache_hit,
        "at most": entry.is_upper_bound,
        "clamped": entry.is_clamped,
    }
    return (
        _moment(entry.at),
        entry.operation,
        entry.model,
        entry.session_id or "",
        f"{entry.usage.prompt_tokens:,}",
        f"{entry.usage.output_tokens:,}",
        "no price" if entry.cost is None else str(entry.cost),
        ", ".join(name for name, is_so in marks.items() if is_so),
    )


def _fit(page: Page, text: str, width_mm: float) -> str:
    from sdk_workflow.core.pdf_page import printable

    return page.fitting(printable(text), width_mm)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _dollars(usd: float) -> str:
    amount = Money(round(abs(usd) * 10**12))
    return f"-{amount}" if usd < 0 and amount.pico else str(amount)

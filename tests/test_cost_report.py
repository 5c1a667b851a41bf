"""The cost report: the same figures as JSON, CSV and PDF."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.charts import round_scale, spend_over_time
from sdk_workflow.core.cost_pdf import to_pdf
from sdk_workflow.core.cost_records import CostEntry, Projection
from sdk_workflow.core.cost_report import exact_usd, render
from sdk_workflow.core.pdf_page import Page, printable
from sdk_workflow.exceptions import ConfigError, StorageError, UsageError
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.types import PICO_PER_USD, Call, Money, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sdk_workflow.core.cost_records import CostReport

SONNET = "claude-sonnet-5-5"
START = 1_795_000_000.0  # 2026-11-18T11:06:40Z
USAGE = Usage(input_tokens=1_000, cache_read_input_tokens=9_000, output_tokens=500)


def manager(**options: Any) -> tuple[CostManager, VirtualClock]:
    clock = VirtualClock(START)
    return CostManager(clock=clock, **options), clock


def report_of(calls: int, *, names: Sequence[str] = ("message",), **options: Any) -> CostReport:
    costs, clock = manager(**options)
    for number in range(calls):
        name = names[number % len(names)]
        costs.calculate_cost(USAGE, SONNET, operation=name, session_id=f"s{number % 30}")
        clock.advance(60)
    return costs.report()


def pages(report: CostReport) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(to_pdf(report))).pages]


def moment(number: int) -> str:
    at = datetime.fromtimestamp(START + 60 * number, tz=timezone.utc)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def entry(usd: str | None, *, at: float = START, operation: str = "message") -> CostEntry:
    cost = None if usd is None else Money.from_usd(usd)
    return CostEntry(at=at, operation=operation, model=SONNET, usage=USAGE, cost=cost)


# JSON and CSV


def test_json_holds_every_figure_exactly() -> None:
    costs, clock = manager(hard_limit_usd=5, soft_limit_usd=4)
    costs.calculate_cost(USAGE, SONNET, operation="plan", session_id="s1")
    clock.advance(60)
    costs.calculate_cost(USAGE, "nobody-knows", operation="plan")
    report = costs.report()
    found = json.loads(render("json", report))
    assert found["schema"] == "sdk_workflow.costs/1"
    assert found["made_at"] == "2026-11-18T11:07:40.000Z"
    assert (found["calls"], found["unpriced_calls"], found["upper_bound_calls"]) == (2, 1, 0)
    assert (found["total_pico"], found["total_usd"]) == (report.total.pico, report.total.usd)
    assert found["budget"]["hard_limit_pico"] == 5 * PICO_PER_USD
    assert found["budget"]["soft_limit_usd"] == 4.0
    assert found["budget"]["spent_pico"] == report.spent.pico
    assert found["budget"]["held_pico"] == 0
    assert found["groups"]["operation"][0]["name"] == "plan"
    assert found["groups"]["operation"][0]["calls"] == 2
    assert found["groups"]["session"][0]["cost_pico"] == report.total.pico
    assert found["groups"]["session"][0]["cache_read_input_tokens"] == 9_000
    assert found["cache"] == report.cache
    assert found["projection"]["samples"] == 1
    first, second = found["entries"]
    assert (first["at"], first["session_id"]) == ("2026-11-18T11:06:40.000Z", "s1")
    assert (first["cost_pico"], first["is_upper_bound"]) == (report.total.pico, False)
    assert first["saved_pico"] == report.groups["operation"][0].saved.pico
    assert (second["cost_pico"], second["cost_usd"]) == (None, None)


def test_a_report_of_nothing_is_whole_too() -> None:
    report = manager()[0].report()
    found = json.loads(render("json", report))
    assert (found["total_pico"], found["projection"], found["entries"]) == (0, None, [])
    assert found["budget"]["hard_limit_usd"] is None
    assert len(render("csv", report).splitlines()) == 1
    assert "nothing was seen yet" in pages(report)[0]


def test_csv_lists_every_call_with_exact_dollars() -> None:
    report = replace(
        report_of(3),
        entries=(
            entry("0.000000000001"),
            replace(entry("1.25"), is_clamped=True, tool="read+bash", saved=Money(0)),
            entry(None),
        ),
    )
    rows = list(csv.DictReader(io.StringIO(render("csv", report))))
    assert [row["cost_usd"] for row in rows] == ["0.000000000001", "1.25", ""]
    assert (rows[1]["is_clamped"], rows[1]["is_cache_hit"]) == ("true", "false")
    assert (rows[1]["tool"], rows[1]["saved_usd"]) == ("read+bash", "0.00")
    assert (rows[0]["output_tokens"], rows[0]["at"]) == ("500", "2026-11-18T11:06:40.000Z")


def test_no_name_in_the_csv_runs_as_a_formula() -> None:
    report = replace(report_of(1), entries=(entry("1", operation="=cmd|' /C calc'!A0"),))
    (row,) = csv.DictReader(io.StringIO(render("csv", report)))
    assert row["operation"].startswith("'=")


@given(pico=st.integers(-(10**24), 10**24))
def test_exact_dollars_are_read_back_exactly(pico: int) -> None:
    text = exact_usd(Money(pico))
    assert text is not None
    assert Money.from_usd(text).pico == pico
    assert len(text.partition(".")[2]) >= 2


# Files and formats


@pytest.mark.parametrize("format_name", ["json", "csv", "pdf"])
def test_a_report_is_written_where_asked(tmp_path: Path, format_name: str) -> None:
    path, report = tmp_path / f"costs.{format_name}", report_of(2)
    assert render(format_name, report, path) == str(path)
    if format_name == "pdf":
        assert path.read_bytes() == to_pdf(report)
    else:
        assert path.read_text(encoding="utf-8") == render(format_name, report)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format_name", ["json", "csv", "pdf"])
def test_a_file_that_cannot_be_written_says_so(tmp_path: Path, format_name: str) -> None:
    with pytest.raises(StorageError, match="could not be written") as caught:
        render(format_name, report_of(1), tmp_path / "absent" / "costs")
    assert caught.value.code == "file_not_written"


def test_a_folder_in_the_place_of_the_pdf_stays_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "costs.pdf").mkdir()
    with pytest.raises(StorageError):
        render("pdf", report_of(1), tmp_path / "costs.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["costs.pdf"]


def test_another_format_is_refused() -> None:
    with pytest.raises(UsageError, match="'xml'") as caught:
        render("xml", report_of(1))
    assert "json, csv, pdf" in caught.value.hint


def test_a_pdf_needs_a_path() -> None:
    with pytest.raises(UsageError, match="not text") as caught:
        render("pdf", report_of(1))
    assert "output_path" in caught.value.hint


def test_without_fpdf2_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fpdf", None)
    with pytest.raises(ConfigError, match="fpdf") as caught:
        render("pdf", report_of(1), tmp_path / "costs.pdf")
    assert "sdk-workflow[pdf]" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_manager_exports_through_it(tmp_path: Path) -> None:
    costs, _ = manager()
    costs.calculate_cost(USAGE, SONNET)
    costs.export_cost_report("pdf", output_path=tmp_path / "costs.pdf")
    assert len(PdfReader(tmp_path / "costs.pdf").pages) >= 1


# The PDF


def test_the_pdf_shows_figures_budget_pictures_and_calls() -> None:
    costs, clock = manager(hard_limit_usd=5, soft_limit_usd=4, scope="spring")
    for name in ("plan", "review", "plan"):
        costs.calculate_cost(USAGE, SONNET, operation=name, session_id="s1")
        clock.advance(3_600)
    message = {"role": "user", "content": "Hi"}
    held = costs.reserve(Call(model=SONNET, messages=(message,), max_tokens=1_000))
    report = costs.report()
    text = "\n".join(pages(report))
    for line in (
        "Budget 'spring', 2026-11-18 14:06:40 UTC",
        f"{report.total}",
        "3 calls",
        f"{report.total} spent, {held.held} held for calls in flight",
        "soft limit $4.0000, hard limit $5.0000",
        "Spend over time",
        "By operation",
        "By session",
        "90% of prompt tokens read",
        "Latest calls",
        "the next 100 calls like these",
        "1 / ",
    ):
        assert line in text
    assert "By tenant" not in text  # nobody named one
    assert "The latest" not in text


def test_the_same_report_gives_the_same_bytes() -> None:
    report = report_of(5)
    data = to_pdf(report)
    assert to_pdf(report) == data
    metadata = PdfReader(io.BytesIO(data)).metadata
    assert metadata is not None
    assert metadata.creation_date == datetime.fromtimestamp(report.made_at, tz=timezone.utc)


def test_ten_thousand_calls_break_well() -> None:
    names = [f"operation-{number}" for number in range(40)]
    report = report_of(10_000, names=names, max_entries=9_000)
    found = pages(report)
    text = "\n".join(found)
    assert 11 <= len(found) <= 14
    assert "The latest 9,000 of 10,000 calls." in text
    assert "The latest 500 of 10,000, the newest first; the CSV report lists 9,000." in text
    assert "(11 others) 3,663" in text  # of thirty sessions with 333 calls or one more
    assert "(33 others)" in text  # of forty operations
    assert "8,250 calls" in text
    heads = [page for page in found if "time (UTC)" in page]
    assert len(heads) >= 10  # the heading is repeated on every page of the table
    assert all(f"{number} / {len(found)}" in page for number, page in enumerate(found, 1))
    assert text.index(f"{moment(9_999)} operation-39") < text.index(f"{moment(9_500)} operation-20")
    assert moment(9_499) not in text


def test_nothing_is_drawn_outside_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    corners: list[tuple[float, float]] = []
    rect, line, text = Page.rect, Page.line, Page.text

    def kept_rect(self: Page, x: float, y: float, w: float, h: float, **options: Any) -> None:
        corners.extend([(x, y), (x + w, y + h)])
        rect(self, x, y, w, h, **options)

    def kept_line(self: Page, x1: float, y1: float, x2: float, y2: float) -> None:
        corners.extend([(x1, y1), (x2, y2)])
        line(self, x1, y1, x2, y2)

    def kept_text(self: Page, x: float, y: float, text_: str) -> None:
        corners.extend([(x, y), (x + self.get_string_width(text_), y)])
        text(self, x, y, text_)

    monkeypatch.setattr(Page, "rect", kept_rect)
    monkeypatch.setattr(Page, "line", kept_line)
    monkeypatch.setattr(Page, "text", kept_text)
    long = "a very long name of an operation that goes on and on and on and on " * 3
    report = report_of(600, names=[long, "x", "W" * 80, "y", "z", "\u6771\u4eac" * 20])
    to_pdf(replace(report, hard_limit=Money(1), soft_limit=Money(1)))  # spent far beyond it
    assert len(corners) > 500
    assert all(15.9 <= x <= 194.1 and 10 <= y <= 283 for x, y in corners)


@given(name=st.text(min_size=1, max_size=60))
def test_every_name_is_printable_and_stays_apart(name: str) -> None:
    shown = printable(name)
    shown.encode("latin-1")
    assert shown.isprintable()
    assert shown == name or "\\" in shown


@pytest.mark.parametrize(
    "name", ["\u6771\u4eac", "\U0001f600", "caf\u00e9", "a\nb\x00", "\ud800", "\u0645"]
)
def test_names_of_other_scripts_do_not_break_the_pdf(name: str) -> None:
    report = report_of(2, names=[name], scope=name)
    assert printable(name) in "\n".join(pages(report))


def test_remarks_tell_what_the_sums_leave_out() -> None:
    report = replace(report_of(2), unpriced_calls=1_234, upper_bound_calls=5)
    text = " ".join(pages(report)[0].split())
    assert "1,234 calls have no known price" in text
    assert "5 calls ended without a known outcome" in text


def test_a_soft_limit_alone_is_a_budget_and_a_limit_of_nothing_is_none() -> None:
    assert "soft limit $4.0000" in pages(report_of(1, soft_limit_usd=4))[0]
    assert "held for calls" not in pages(report_of(0, hard_limit_usd=0))[0]
    assert "held for calls" not in pages(report_of(1))[0]
    assert "in flight, hard limit $5.0000" in pages(report_of(1, hard_limit_usd=5))[0]


def test_calls_without_a_price_have_a_page_without_pictures() -> None:
    costs, _ = manager()
    costs.calculate_cost(USAGE, "nobody-knows")
    text = "\n".join(pages(costs.report()))
    assert "no price" in text
    assert "Spend over time" not in text
    assert "By operation" not in text


def test_marks_tell_what_is_odd_about_a_call() -> None:
    odd = replace(entry("0.1"), is_upper_bound=True, is_clamped=True)
    report = replace(report_of(1), entries=(odd, replace(entry("0"), is_cache_hit=True)))
    text = "\n".join(pages(report))
    assert "at most" in text
    assert "cached" in text


def test_one_call_projects_without_an_interval() -> None:
    assert "too few calls for an interval" in pages(report_of(1))[0]
    found = Projection(
        turns=7,
        samples=3,
        mean_usd=2.0,
        low_usd=1.0,
        high_usd=3.5,
        confidence=0.9,
        method="",
    )
    text = pages(replace(report_of(1), projection=found))[0]
    assert "$1.0000 to $3.5000 in 90% of all cases" in text
    assert "the next 7 calls" in text


def test_writing_more_than_was_saved_shows_as_a_loss() -> None:
    report = report_of(1)
    lost: Any = {**report.cache, "net_saved_usd": -0.5}
    assert "-$0.5000" in pages(replace(report, cache=lost))[0]


# The figures behind the pictures


ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from(["0", "0.01", "1.5", None]),
        at=st.floats(0, 4e9),
        operation=st.sampled_from("abcdefg"),
    ),
    max_size=40,
)


@given(entries=ENTRIES, max_bars=st.integers(1, 60))
def test_bars_hold_all_the_spend_in_no_more_stretches_than_fit(
    entries: list[CostEntry], max_bars: int
) -> None:
    found = spend_over_time(entries, max_bars=max_bars)
    whole = math.fsum(each.cost.usd for each in entries if each.cost)
    if found is None:
        assert whole == 0
        return
    assert math.fsum(math.fsum(bar) for bar in found.bars) == pytest.approx(whole)
    assert len(found.names) <= 5
    assert len(found.bars) <= max(max_bars, 2)
    assert all(len(bar) == len(found.names) for bar in found.bars)
    assert found.highest_usd == max(math.fsum(bar) for bar in found.bars)
    ends_at = found.starts_at + len(found.bars) * found.step_seconds
    assert all(found.starts_at <= each.at < ends_at for each in entries if each.cost)


def test_each_call_is_in_its_stretch_under_its_operation() -> None:
    calls = [
        entry("1", at=10.0, operation="a"),
        entry("5", at=70.0, operation="b"),
        entry("2", at=130.0, operation="a"),
        entry(None, at=500.0, operation="c"),
    ]
    found = spend_over_time(calls, max_bars=3)
    assert found is not None
    assert (found.starts_at, found.step_seconds) == (0, 60)
    assert found.names == ("b", "a")
    assert found.bars == ((0.0, 1.0), (5.0, 0.0), (0.0, 2.0))


def test_operations_beyond_the_fifth_are_shown_together() -> None:
    calls = [entry(f"{9 - index}", operation=name) for index, name in enumerate("abcdefg")]
    found = spend_over_time(calls)
    assert found is not None
    assert found.names == ("a", "b", "c", "d", "(others)")
    assert found.bars == ((9.0, 8.0, 7.0, 6.0, 12.0),)


@given(highest=st.floats(1e-12, 1e12))
def test_a_scale_is_round_and_just_reaches_the_highest(highest: float) -> None:
    scale = round_scale(highest)
    step = scale[1]
    assert scale[0] == 0.0
    assert scale[-1] >= highest * (1 - 1e-9)
    assert scale[-2] < highest
    assert 2 <= len(scale) <= 5
    assert f"{step:e}"[:3] in {"1.0", "2.0", "2.5", "5.0"}

"""The results as a person and as a program reads them, and the report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.benchmarking.comparison import compare, read_baseline
from sdk_workflow.benchmarking.operations import Target
from sdk_workflow.benchmarking.rendering import human, limit_text, markdown_table, to_markdown
from sdk_workflow.benchmarking.rendering import to_text as as_text
from sdk_workflow.benchmarking.validation_report import (
    MARK,
    check_report_file,
    report_text,
    write_report,
)
from sdk_workflow.exceptions import StorageError, UsageError
from tests.benchmarking.made_results import MACHINE, missing, results, row

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0.4, "0.40 ns"),
        (9.994, "9.99 ns"),
        (9.996, "10.0 ns"),
        (99.96, "100 ns"),
        (999.4, "999 ns"),
        (999.6, "1.00 us"),
        (12_345, "12.3 us"),
        (999_600, "1.00 ms"),
        (3.2e9, "3.20 s"),
        (3.2e12, "3200 s"),
    ],
)
def test_a_figure_has_three_digits_in_the_unit_that_reads_best(
    nanoseconds: float, text: str
) -> None:
    assert human(nanoseconds, "ns") == text


def test_a_ratio_has_two_decimals_and_a_missing_figure_is_empty() -> None:
    assert (human(1.0549, "x"), human(None, "ns")) == ("1.05 x", "")


def test_a_limit_is_written_without_needless_digits() -> None:
    assert [limit_text(limit, "ns") for limit in (150, 1_200, 20e3, 10e6, 2e9)] == [
        "150 ns",
        "1.2 us",
        "20 us",
        "10 ms",
        "2 s",
    ]


def test_a_cell_with_a_bar_does_not_end_the_column() -> None:
    assert markdown_table(["a"], [["x|y"]])[2] == "| x\\|y |"


def test_each_row_has_its_figures_and_a_verdict_on_each_target() -> None:
    run = results(
        row("get", plan=Target(50e6, "p95"), goal=Target(150)), row("set"), row("r", 1.5, unit="x")
    )

    lines = as_text(run).splitlines()

    assert lines[0] == "1,000 samples of each operation in 10 rounds, 2026-11-21T08:00:00Z"
    assert lines[1] == (
        "sdk_workflow 0.1.0, CPython 3.11.7, Linux x86_64, A processor, 2 cores, load 0.5"
    )
    assert lines[3].split() == ["caches", "p50", "p95", "p99", "min", "plan", "ours"]
    assert lines[4].split()[:9] == ["get", "200", "ns", "400", "ns", "600", "ns", "100", "ns"]
    assert lines[4].endswith("PASS p95 <= 50 ms  FAIL p50 <= 150 ns")
    assert lines[5].split()[-2:] == ["-", "-"]
    assert lines[6].split() == ["r", "1.50", "x", "-", "-"]
    assert lines[-2:] == ["Targets of the plan: 1 of 1 met.", "Our own targets: 0 of 1 met."]


def test_a_target_of_the_95th_percentile_is_held_against_it() -> None:
    found = row(p50=100, p95=300)

    assert found.verdict(Target(200, "p95")) == "FAIL"
    assert found.verdict(Target(200, "p50")) == "PASS"
    assert found.verdict(Target(300, "p95")) == "PASS"
    assert found.verdict(None) == "-"


def test_what_was_cut_skipped_or_failed_is_said() -> None:
    run = results(
        row("slow", is_cut=True, samples=40),
        row("slower", is_cut=True, samples=7),
        skipped=[missing()],
        failed=[missing("bad", "ValueError: no")],
    )

    text = as_text(run)

    assert "  slow *  " in text
    assert "* Cut at 1 s: 7 samples or more of 1,000." in text
    assert "Skipped: caches, similar: numpy is not installed." in text
    assert "FAILED: caches, bad: ValueError: no" in text
    assert "Failed operations: 1." in text


def test_an_interrupted_run_without_a_row_still_has_its_summary() -> None:
    text = as_text(results(is_interrupted=True, asked=1, rounds=1))

    assert text.startswith("1 sample of each operation in 1 round")
    assert text.endswith("Interrupted: this is what had been measured by then.")


def test_one_core_and_an_unknown_load_read_well() -> None:
    text = as_text(results(machine={**MACHINE, "cores": 1, "load": None}))

    assert text.splitlines()[1].endswith("A processor, 1 core")


def test_markdown_has_a_table_for_each_suite_and_a_list_of_remarks() -> None:
    run = results(row("get"), row("start", suite="managers"), skipped=[missing()])

    lines = to_markdown(run).splitlines()

    assert [line for line in lines if line.startswith("## ")] == ["## caches", "## managers"]
    assert "| get | 200 ns | 400 ns | 600 ns | 100 ns | - | - |" in lines
    assert "- Skipped: caches, similar: numpy is not installed." in lines
    assert lines[-1] == "Our own targets: 0 of 0 met."


def test_the_document_has_a_schema_and_every_figure() -> None:
    run = results(row(plan=Target(50e6, "p95")), skipped=[missing()], failed=[missing("bad")])

    found = json.loads(json.dumps(run.to_json()))

    assert found["schema"] == "sdk_workflow.benchmark/1"
    assert found["machine"] == MACHINE
    assert found["summary"] == {"plan": {"met": 1, "of": 1}, "goal": {"met": 0, "of": 0}}
    assert found["results"] == [
        {
            "suite": "caches",
            "name": "get",
            "unit": "ns",
            "timer": "wall",
            "p50": 200.0,
            "p95": 400.0,
            "p99": 600.0,
            "min": 100.0,
            "rounds": [200.0] * 10,
            "samples": 1000,
            "calls_per_sample": 1,
            "is_cut": False,
            "plan": {"at_most": 50e6, "of": "p95", "verdict": "PASS"},
            "goal": None,
        }
    ]
    assert [each["name"] for each in (*found["skipped"], *found["failed"])] == ["similar", "bad"]
    assert (found["operations"], found["rounds"], found["is_interrupted"]) == (1000, 10, False)


def test_the_report_gives_the_verdict_first_and_lists_what_was_missed() -> None:
    run = results(
        row("get", plan=Target(100, "p95"), goal=Target(200)),
        row("r", 1.5, unit="x", goal=Target(1.05)),
    )

    lines = report_text(run).splitlines()

    assert lines[:2] == [MARK, "# Validation report"]
    assert "- The plan's targets: **FAIL**, 0 of 1 met." in lines
    assert "- Our own targets: **FAIL**, 1 of 2 met." in lines
    assert "- caches, get: 400 ns (p95), the plan: at most 100 ns." in lines
    assert "- caches, r: 1.50 x (p50), our own: at most 1.05 x." in lines
    assert lines[-1] == "Packages: rich 15.0.0."


def test_the_report_of_a_good_run_says_so() -> None:
    lines = report_text(results(row(plan=Target(50e6)))).splitlines()

    assert "- The plan's targets: **PASS**, 1 of 1 met." in lines
    assert lines[lines.index("## Missed targets") + 2] == "None."
    assert "interrupted" not in "\n".join(lines)


def test_the_report_says_what_is_not_in_it() -> None:
    run = results(skipped=[missing()], failed=[missing("bad")], is_interrupted=True)

    text = report_text(run)

    assert "- Not measured: 1, with the reasons below." in text
    assert "- Failed with an error: 1, see below." in text
    assert "- **The run was interrupted**; this is a part of it." in text


def test_the_report_holds_the_comparison(tmp_path: Path) -> None:
    run = results(row())
    (tmp_path / "old.json").write_text(json.dumps(run.to_json()))

    text = report_text(run, compare(read_baseline(tmp_path / "old.json"), run))

    assert "## Compared with an earlier run" in text
    assert "| caches, get | 200 ns | 200 ns | 1.00 | x1.05 |  |" in text


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_report(path, results(row("old")))

    check_report_file(path)
    write_report(path, results(row("new")))

    assert "| new |" in path.read_text()
    assert "| old |" not in path.read_text()


def test_an_empty_file_and_a_new_one_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()

    check_report_file(tmp_path / "empty.md")
    check_report_file(tmp_path / "new.md")


def test_a_device_may_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")

    check_report_file(tmp_path / "null")
    write_report(tmp_path / "null", results())


@pytest.mark.parametrize("content", [b"notes", b"\xff\xfe", MARK.encode()[:-1]])
def test_a_file_that_is_no_report_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"is there and is no report") as caught:
        check_report_file(path)

    assert caught.value.code == "report_refused"
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        check_report_file(tmp_path / "none" / "report.md")


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "closed.md"
    path.write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)

    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        check_report_file(path)


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "report.md"

    with pytest.raises(StorageError, match="could not be written"):
        write_report(path, results())

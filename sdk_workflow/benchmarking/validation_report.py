"""The validation report: what was measured on which machine, and which targets are met, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.atomic_file import check_writable, write_atomically
from sdk_workflow.benchmarking.comparison_text import comparison_markdown
from sdk_workflow.benchmarking.rendering import human, limit_text, to_markdown
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.benchmarking.comparison import Comparison
    from sdk_workflow.benchmarking.results import Results

__all__ = ["MARK", "check_report_file", "report_text", "write_report"]

MARK = "<!-- written by sdk_workflow benchmark: the next report to this file replaces it -->"

_HOW = (
    "Each figure is one of wall time unless it says CPU. Operations are warmed up and take turns in "
    "rounds; those below 10 us are timed in loops, so that a sample is the mean of one loop. The "
    "plan's targets and our own are held against the percentile that they name. A figure depends on "
    "the machine and on what else it does: trust ratios and repeated runs more than one figure."
)


def check_report_file(path: Path) -> None:
    """Refuse a file that cannot be written, or that holds something else than a report.

    Raises:
        UsageError: If it is so.
    """
    check_writable(path, "--report")
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(MARK))
    except OSError as error:
        raise UsageError(
            f"--report {str(path)!r} is there and cannot be read: {error.strerror or error}.",
            code="report_refused",
            hint="Choose another file.",
        ) from error
    if start and start != MARK.encode():
        raise UsageError(
            f"--report {str(path)!r} is there and is no report of the benchmark.",
            code="report_refused",
            hint="Choose another file, or remove this one first.",
        )


def write_report(path: Path, results: Results, comparison: Comparison | None = None) -> None:
    """Write the report whole or not at all; an older report is replaced.

    Raises:
        StorageError: If it cannot be written.
    """
    write_atomically(path, report_text(results, comparison))


def report_text(results: Results, comparison: Comparison | None = None) -> str:
    """Return the report."""
    lines = [MARK, "# Validation report", "", *_overview(results), "", to_markdown(results), ""]
    missed = list(_missed(results))
    lines += ["## Missed targets", "", *(missed or ["None."]), ""]
    if comparison is not None:
        lines += ["## Compared with an earlier run", "", comparison_markdown(comparison), ""]
    lines += ["## How it was measured", "", _HOW, "", *_packages(results), ""]
    return "\n".join(lines)


def _overview(results: Results) -> Iterator[str]:
    for name, title in (("plan", "The plan's targets"), ("goal", "Our own targets")):
        met, of = results.count("plan" if name == "plan" else "goal")
        verdict = "PASS" if met == of else "FAIL"
        yield f"- {title}: **{verdict}**, {met} of {of} met."
    if results.skipped:
        yield f"- Not measured: {len(results.skipped)}, with the reasons below."
    if results.failed:
        yield f"- Failed with an error: {len(results.failed)}, see below."
    if results.is_interrupted:
        yield "- **The run was interrupted**; this is a part of it."


def _missed(results: Results) -> Iterator[str]:
    for row in results.rows:
        for owner, target in (("the plan", row.plan), ("our own", row.goal)):
            if target is not None and row.verdict(target) == "FAIL":
                yield (
                    f"- {row.suite}, {row.name}: {human(row.held_against(target), row.unit)} "
                    f"({target.share}), {owner}: at most {limit_text(target.limit, row.unit)}."
                )


def _packages(results: Results) -> Iterator[str]:
    names = results.machine["packages"]
    yield f"Packages: {', '.join(f'{name} {version}' for name, version in names.items())}."

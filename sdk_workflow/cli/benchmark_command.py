"""`sdk_workflow benchmark`: measures, shows the results, writes the report, compares with an old run."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.benchmarking.comparison import compare, read_baseline
from sdk_workflow.benchmarking.comparison_text import comparison_markdown, comparison_text
from sdk_workflow.benchmarking.rendering import to_markdown, to_text
from sdk_workflow.benchmarking.runner import run_suites
from sdk_workflow.benchmarking.sampling import Effort
from sdk_workflow.benchmarking.suites import find_suites
from sdk_workflow.benchmarking.validation_report import check_report_file, write_report
from sdk_workflow.cli.benchmark_parts import benchmark_parts
from sdk_workflow.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sdk_workflow.benchmarking.comparison import Comparison
    from sdk_workflow.benchmarking.results import Results
    from sdk_workflow.benchmarking.runner import Progress
    from sdk_workflow.cli.console import Console

__all__ = ["BenchmarkArgs", "benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkArgs:
    """What `benchmark` was asked for; None where an option was not given."""

    operations: int = 1000
    suite: str = "all"
    output: Literal["text", "json", "markdown"] = "text"
    report: Path | None = None
    compare: Path | None = None


def benchmark(console: Console, args: BenchmarkArgs) -> ExitCode:
    """Measure, and show what was found; Ctrl-C shows what was found by then.

    Returns:
        OK also where targets are missed; RUN_FAILED where an operation raised an error.

    Raises:
        UsageError: If there is no such suite, or a file cannot serve; nothing was measured then.
        StorageError: If the report could not be written; the result is shown by then.
    """
    suites = find_suites(args.suite)
    if args.report is not None:
        check_report_file(args.report)
    baseline = None if args.compare is None else read_baseline(args.compare)
    with _progress(console, args) as on_progress:
        results = run_suites(
            suites,
            benchmark_parts(),
            Effort(samples=args.operations),
            clock=SystemClock(),
            on_progress=on_progress,
        )
    comparison = None if baseline is None else compare(baseline, results)
    console.result(_rendered(args.output, results, comparison))
    if args.report is not None:
        write_report(args.report, results, comparison)
        console.notice(f"Report: {args.report}")
    return _exit_code(console, results)


def _exit_code(console: Console, results: Results) -> ExitCode:
    if results.is_interrupted:
        console.problem("Interrupted.")
        return ExitCode.INTERRUPTED
    for row in results.failed:
        console.problem(f"Error: {row.suite}, {row.name}: {row.reason}")
    return ExitCode.RUN_FAILED if results.failed else ExitCode.OK


def _rendered(
    output: Literal["text", "json", "markdown"], results: Results, comparison: Comparison | None
) -> str:
    if output == "json":
        document = results.to_json()
        if comparison is not None:
            document["comparison"] = comparison.to_json()
        return json.dumps(document, indent=2, ensure_ascii=False)
    if output == "markdown":
        parts = [to_markdown(results)]
        parts += [comparison_markdown(comparison)] if comparison else []
    else:
        parts = [to_text(results)]
        parts += [comparison_text(comparison)] if comparison else []
    return "\n\n".join(parts)


@contextmanager
def _progress(console: Console, args: BenchmarkArgs) -> Iterator[Callable[[Progress], None]]:
    """Draw a bar where somebody looks on: on a terminal, unless JSON goes to a program."""
    if not console.is_terminal or (args.output == "json" and not console.shows_results):
        yield lambda _: None
        return
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    # Drawn between two operations only: a thread that draws would be measured along.
    with Bar(
        *columns,
        TextColumn("{task.description}", markup=False),
        console=RichConsole(file=console.err),
        transient=True,
        auto_refresh=False,
    ) as bar:
        task = bar.add_task("")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                description=f"{progress.suite}: {progress.operation}",
                completed=progress.done,
                total=progress.total,
                refresh=True,
            )

        yield show

"""The results as text for a terminal and as Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sdk_workflow.benchmarking.machine import MachineFacts
    from sdk_workflow.benchmarking.operations import Target, Unit
    from sdk_workflow.benchmarking.results import Missing, Result, Results

__all__ = [
    "effort_line",
    "human",
    "limit_text",
    "machine_line",
    "markdown_table",
    "summary_lines",
    "to_markdown",
    "to_text",
]

_SCALES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
_DECIMALS = ((9.995, 2), (99.95, 1))  # below what rounds to one digit more
_HEADINGS = ("operation", "p50", "p95", "p99", "min", "plan", "ours")
_FIGURES = range(1, 5)  # the columns that are set flush right


def human(value: float | None, unit: Unit) -> str:
    """Return a figure with three digits, in the unit that is easiest to read.

    Example:
        >>> human(1_234.0, "ns"), human(56_700_000.0, "ns"), human(87.4, "ns"), human(1.055, "x")
        ('1.23 us', '56.7 ms', '87.4 ns', '1.05 x')
    """
    if value is None:
        return ""
    if unit == "x":
        return f"{value:.2f} x"
    for scale, name in _SCALES:
        if value >= scale * 0.9995:
            return f"{_digits(value / scale)} {name}"
    return f"{_digits(value)} ns"


def limit_text(limit: float, unit: Unit) -> str:
    """Return a limit as a reader would write it.

    Example:
        >>> limit_text(50e6, "ns"), limit_text(1_200, "ns"), limit_text(1.05, "x")
        ('50 ms', '1.2 us', '1.05 x')
    """
    if unit == "x":
        return f"{limit:g} x"
    scale, name = next((each for each in _SCALES if limit >= each[0]), (1.0, "ns"))
    return f"{limit / scale:g} {name}"


def to_text(results: Results) -> str:
    """Return the results as lines for a terminal."""
    lines = [effort_line(results), machine_line(results.machine), ""]
    if results.rows:
        lines += [_line(cells, _widths(results.rows)) for cells in _text_rows(results.rows)]
        lines.append("")
    lines += _notes(results)
    return "\n".join([*lines, *summary_lines(results)])


def to_markdown(results: Results) -> str:
    """Return the results as Markdown tables, one for each suite."""
    lines = [effort_line(results), "", machine_line(results.machine), ""]
    for suite, rows in _by_suite(results.rows).items():
        lines += [f"## {suite}", "", *markdown_table(_HEADINGS, [_cells(row) for row in rows]), ""]
    lines += [f"- {note}" for note in _notes(results)]
    if lines[-1]:
        lines.append("")
    return "\n".join([*lines, *(f"{line}\n" for line in summary_lines(results))]).rstrip()


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table.

    Example:
        >>> markdown_table(["a", "b"], [["1", "2"]])
        ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    body = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (headings, *rows))
    first, *rest = (f"| {line} |" for line in body)
    return [first, "|" + "---|" * len(headings), *rest]


def effort_line(results: Results) -> str:
    """Return what was measured how often."""
    rounds = "1 round" if results.rounds == 1 else f"{results.rounds} rounds"
    samples = "1 sample" if results.asked == 1 else f"{results.asked:,} samples"
    return f"{samples} of each operation in {rounds}, {results.created_at}"


def machine_line(machine: MachineFacts) -> str:
    """Return where it was measured."""
    load = "" if machine["load"] is None else f", load {machine['load']:g}"
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    return (
        f"sdk_workflow {machine['sdk_workflow']}, {machine['python']}, {machine['platform']}, "
        f"{machine['cpu']}, {cores}{load}"
    )


def summary_lines(results: Results) -> list[str]:
    """Return how many targets are met, and whether the run was cut short."""
    lines = []
    for name, title in (("plan", "Targets of the plan"), ("goal", "Our own targets")):
        met, of = results.count("plan" if name == "plan" else "goal")
        lines.append(f"{title}: {met} of {of} met.")
    if results.failed:
        lines.append(f"Failed operations: {len(results.failed)}.")
    if results.is_interrupted:
        lines.append("Interrupted: this is what had been measured by then.")
    return lines


def _text_rows(rows: Sequence[Result]) -> Iterator[Sequence[str]]:
    for suite, found in _by_suite(rows).items():
        yield (suite, *_HEADINGS[1:])
        for row in found:
            first, *rest = _cells(row)
            yield (f"  {first}", *rest)


def _widths(rows: Sequence[Result]) -> list[int]:
    return [max(map(len, column)) for column in zip(*_text_rows(rows), strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = (
        cell.rjust(width) if column in _FIGURES else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(placed).rstrip()


def _cells(row: Result) -> tuple[str, ...]:
    figures = (human(value, row.unit) for value in (row.p50, row.p95, row.p99, row.least))
    name = f"{row.name} *" if row.is_cut else row.name
    return (name, *figures, _judged(row, row.plan), _judged(row, row.goal))


def _judged(row: Result, target: Target | None) -> str:
    if target is None:
        return "-"
    share = "" if row.unit == "x" else f"{target.share} "
    return f"{row.verdict(target)} {share}<= {limit_text(target.limit, row.unit)}"


def _by_suite(rows: Sequence[Result]) -> Mapping[str, list[Result]]:
    suites: dict[str, list[Result]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    return suites


def _notes(results: Results) -> list[str]:
    cut = [row for row in results.rows if row.is_cut]
    notes = []
    if cut:
        least = min(row.samples for row in cut)
        notes.append(
            f"* Cut at {results.time_limit_seconds:g} s: {least:,} samples or more of "
            f"{results.asked:,}."
        )
    notes += [f"Skipped: {_missing(row)}" for row in results.skipped]
    return [*notes, *(f"FAILED: {_missing(row)}" for row in results.failed)]


def _missing(row: Missing) -> str:
    return f"{row.suite}, {row.name}: {row.reason}"


def _digits(value: float) -> str:
    """Return three significant digits, without an exponent."""
    decimals = next((count for least, count in _DECIMALS if value < least), 0)
    return f"{value:.{decimals}f}"

"""A comparison of two runs as text for a terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.benchmarking.rendering import human, markdown_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.benchmarking.comparison import Change, Comparison

__all__ = ["comparison_markdown", "comparison_text"]

_HEADINGS = ("operation", "then", "now", "ratio", "noise", "")


def comparison_text(comparison: Comparison) -> str:
    """Return the comparison as lines for a terminal."""
    rows = [_HEADINGS, *map(_cells, comparison.changes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"Compared with {comparison.created_at}"]
    for name, *rest in rows:
        figures = (cell.rjust(width) for cell, width in zip(rest[:4], widths[1:5], strict=True))
        lines.append("  ".join([f"  {name.ljust(widths[0])}", *figures, rest[4]]).rstrip())
    return "\n".join([*lines, *_notes(comparison)])


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as a Markdown table with its remarks."""
    table = markdown_table(_HEADINGS, list(map(_cells, comparison.changes)))
    notes = [f"- {note}" for note in _notes(comparison)]
    return "\n".join([f"The earlier run: {comparison.created_at}.", "", *table, "", *notes])


def _cells(change: Change) -> tuple[str, ...]:
    noise = "?" if change.noise is None else f"x{change.noise:.2f}"
    verdict = "" if change.verdict in {"same", "unknown"} else change.verdict
    return (
        f"{change.suite}, {change.name}",
        human(change.old, change.unit),
        human(change.new, change.unit),
        f"{change.ratio:.2f}",
        noise,
        verdict,
    )


def _notes(comparison: Comparison) -> Iterator[str]:
    verdicts = [change.verdict for change in comparison.changes]
    counts = ", ".join(
        f"{verdicts.count(name)} {name}" for name in ("faster", "slower") if name in verdicts
    )
    yield f"Beyond the noise: {counts or 'nothing'}."
    if "unknown" in verdicts:
        yield "?: too few rounds to tell a change from noise; take 5 samples or more in both runs."
    if comparison.machine_differences:
        differences = "; ".join(comparison.machine_differences)
        yield f"Not the same machine, so the figures cannot be compared: {differences}."
    if comparison.loads is not None:
        then, now = comparison.loads
        yield f"The machine was not equally busy: load {then:g} then, {now:g} now."
    for title, names in (("the earlier", comparison.only_then), ("this", comparison.only_now)):
        if names:
            yield f"Only in {title} run: {'; '.join(names)}."

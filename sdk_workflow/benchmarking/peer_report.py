"""What a program of benchmarks/ shows: the machine, tables, a verdict on each target, JSON on demand."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.machine import machine_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.benchmarking.timing import Series

__all__ = ["Report", "Row", "parse_arguments"]

_SCHEMA = "sdk_workflow.measurements/1"
_HEADINGS = ("measurement", "median", "p10", "p95", "unit", "target", "verdict")
_FIGURES = 3  # the columns after the name that are set flush right


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        series: Its rounds, in `unit`.
        unit: Such as `ms`; empty for a ratio.
        at_most: The median must not exceed this.
        at_least: The median must reach this.
        digits: Decimals to show.
    """

    name: str
    series: Series
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    digits: int = 2

    @property
    def target(self) -> str:
        """The target in words; empty for a figure that is there to be compared with."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def verdict(self) -> str:
        """`PASS`, `MISSED`, or nothing where there is no target."""
        if self.at_most is None and self.at_least is None:
            return ""
        is_low = self.at_most is None or self.series.median <= self.at_most
        is_high = self.at_least is None or self.series.median >= self.at_least
        return "PASS" if is_low and is_high else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, under `_HEADINGS`."""
        series = self.series
        figures = (f"{value:,.{self.digits}f}" for value in (series.median, series.p10, series.p95))
        return (self.name, *figures, self.unit, self.target, self.verdict)

    def to_json(self) -> dict[str, Any]:
        """Return the row for a machine to read."""
        return {
            "name": self.name,
            "unit": self.unit,
            "target": self.target,
            "verdict": self.verdict,
            **self.series.to_json(),
        }


@dataclass(slots=True)
class Report:
    """Collects rows and notes, and shows them section by section as they come."""

    title: str
    sections: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Show the title and the machine."""
        _show(self.title)
        facts: dict[str, Any] = {**machine_facts()}
        facts |= facts.pop("packages")
        _show("  " + ", ".join(f"{name} {value}" for name, value in facts.items()))

    def add(self, section: str, rows: Sequence[Row]) -> None:
        """Take the rows of one section and show them."""
        self.sections[section] = list(rows)
        _show(f"\n{section}")
        _show(_table([_HEADINGS, *(row.cells() for row in rows)]))

    def note(self, text: str) -> None:
        """Take a remark that belongs to the figures, and show it."""
        self.notes.append(text)
        _show(f"  note: {text}")

    def finish(self, path: Path | None) -> None:
        """Show how many targets were met, and write the JSON file where one is wanted."""
        verdicts = [row.verdict for rows in self.sections.values() for row in rows if row.verdict]
        _show(f"\n{verdicts.count('PASS')} of {len(verdicts)} targets met.")
        if path is not None:
            path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Return everything for a machine to read."""
        return {
            "schema": _SCHEMA,
            "title": self.title,
            "machine": machine_facts(),
            "sections": {
                name: [row.to_json() for row in rows] for name, rows in self.sections.items()
            },
            "notes": self.notes,
        }


def parse_arguments(description: str, *, rounds: int) -> argparse.Namespace:
    """Read `--rounds` and `--json`; `rounds` is the default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="interleaved rounds that count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value as JSON")
    found = parser.parse_args()
    if found.rounds < 1:
        parser.error("--rounds must be at least 1")
    return found


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + _line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *rest = row
    cells = [name.ljust(widths[0])]
    for index, (cell, width) in enumerate(zip(rest, widths[1:], strict=True)):
        cells.append(cell.rjust(width) if index < _FIGURES else cell.ljust(width))
    return "  ".join(cells).rstrip()

"""CSV text that a spreadsheet shows and never runs.

It knows rows and cells, not what they are about.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["csv_text"]

Cell = str | int | float | bool | None

# What starts a formula in common spreadsheets, with the full-width forms that some fold to ASCII.
# Source: OWASP, "CSV Injection".
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a CSV document (RFC 4180, but lines end in a plain newline).

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as the
    spreadsheet itself writes "this is text". Numbers stay numbers, None becomes an empty cell,
    what UTF-8 cannot hold a question mark, and every line break a newline.

    Args:
        header: The names of the columns.
        rows: One sequence of cells for each line.

    Example:
        >>> print(csv_text(["name", "cost"], [["=1+1", -0.5], [None, True]]), end="")
        name,cost
        '=1+1,-0.5
        ,true
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return target.getvalue()


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode("utf-8")
        # Before 3.13, the csv module leaves a carriage return unquoted, and it would end the row.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        # Spaces in front do not stop every spreadsheet from seeing the formula behind them.
        return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)

"""The parts of a picture: tables and rows of facts, as lines that fit a width.

Every text is cut to its place; nothing here knows what it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Cell", "Column", "beside", "facts", "fitted", "heading", "line", "table"]

_GAP = 2
_FACT_GAP = "   "
_HEADING = "bold cyan"
_DIM = "dim"


class Cell(NamedTuple):
    """A piece of text and its style."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: What stands above it.
        weight: Where there is no room for all, the columns of the least weight are left out.
        least: How narrow it may become; 0 for a column that is shown whole or not at all.
        is_left: Whether it stands at the left of its place, as words do.
    """

    title: str
    weight: int
    least: int = 0
    is_left: bool = False


def fitted(text: str, width: int, *, is_left: bool = True) -> str:
    """Return a text in exactly so many cells; one that is too long ends with an ellipsis."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return text + " " * (width - size) if is_left else " " * (width - size) + text


def line(cells: Iterable[Cell], width: int) -> Text:
    """Return pieces of text one after another, cut to a width."""
    text, room = Text(), width
    for cell in cells:
        size = cell_len(cell.text)
        if size > room:
            text.append(fitted(cell.text, room), cell.style)
            break
        text.append(cell.text, cell.style)
        room -= size
    return text


def heading(title: str, width: int) -> Text:
    """Return the line above a part."""
    return line([Cell(title, _HEADING)], width)


def facts(pairs: Iterable[tuple[str, Cell]], width: int) -> list[Text]:
    """Return names and values side by side, in as many lines as they take."""
    lines: list[list[Cell]] = [[]]
    room = width
    for name, value in pairs:
        size = cell_len(name) + 1 + cell_len(value.text)
        if lines[-1] and size + len(_FACT_GAP) > room:
            lines.append([])
            room = width
        gap = _FACT_GAP if lines[-1] else ""
        lines[-1] += [Cell(f"{gap}{name} ", _DIM), value]
        room -= size + len(gap)
    return [line(cells, width) for cells in lines if cells]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """Return a table: its heading, and one line for each row."""
    widths = _widths(columns, rows, width)
    titles = [Cell(column.title, _DIM) for column in columns]
    return [_table_line(columns, widths, cells) for cells in (titles, *rows)]


def beside(left: Sequence[Text], right: Sequence[Text], width: int, gap: int) -> list[Text]:
    """Return two pictures side by side.

    Args:
        left: The left one, of which no line is wider than `width`.
        right: The right one.
        width: How wide the left one is.
        gap: Blanks between the two.
    """
    lines = []
    for index in range(max(len(left), len(right))):
        text = left[index].copy() if index < len(left) else Text()
        if index < len(right):
            text.append(" " * (width - text.cell_len + gap))
            text.append_text(right[index])
        lines.append(text)
    return lines


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int
) -> dict[int, int]:
    """Return the columns that there is room for, in their order, and how wide each is."""
    whole = [
        max(cell_len(column.title), *(cell_len(row[index].text) for row in rows), 0)
        for index, column in enumerate(columns)
    ]
    shown: dict[int, int] = {}
    room = width + _GAP
    for index in sorted(range(len(columns)), key=lambda index: -columns[index].weight):
        least = min(whole[index], columns[index].least or whole[index])
        if not shown:
            least = min(least, width)  # the first one is there however narrow it is
        if room >= least + _GAP:
            shown[index] = least
            room -= least + _GAP
    for index, least in shown.items():  # what is left goes to the words that were cut
        more = min(whole[index] - least, room)
        shown[index] = least + more
        room -= more
    return dict(sorted(shown.items()))


def _table_line(columns: Sequence[Column], widths: dict[int, int], cells: Sequence[Cell]) -> Text:
    text = Text()
    for index, width in widths.items():
        if text:
            text.append(" " * _GAP)
        cell = cells[index]
        text.append(fitted(cell.text, width, is_left=columns[index].is_left), cell.style)
    return text

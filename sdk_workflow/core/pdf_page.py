r"""Pages of a PDF: headings, lines of text, boxes and tables that break well.

It knows paper, fonts and colours, and nothing of what a page is about. Importing it needs fpdf2.

Only the fonts that every PDF reader has are used, which hold Latin-1: no font has to be found,
shipped or embedded. Any other character is written as its code, such as `\u65e5`, so that
names stay apart.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from fpdf import FPDF
from fpdf.enums import XPos, YPos

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLOURS", "Column", "Page", "printable"]

Colour = tuple[int, int, int]

# Okabe and Ito's palette, which colour-blind readers can tell apart; grey for all others.
COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (140, 140, 140),
)
_INK: Colour = (30, 30, 30)
_FAINT: Colour = (120, 120, 120)
_RULE: Colour = (205, 205, 205)
_MARGIN_MM = 16.0
_ROW_MM = 5.0
_TEXT_PT = 8.5
_CELL_GAP_MM = 1.5

Column = tuple[str, float, Literal["L", "R"]]
"""The heading of a column, its share of the width, and on which side its cells stand."""


def printable(text: str) -> str:
    r"""Return a text in the characters that the fonts hold; others as their codes.

    Example:
        >>> print(printable("Zürich\n東京"))
        Zürich\n\u6771\u4eac
    """
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
    return shown.encode("latin-1", "backslashreplace").decode("latin-1")


class Page(FPDF):
    """A4 pages, written from top to bottom; each has a footer.

    Args:
        title: The document's title.
        made_at: When it was made, in seconds since the Unix epoch: the same data gives the same
            bytes.
    """

    def __init__(self, title: str, *, made_at: float) -> None:
        super().__init__(format="A4")
        self._footer_text = printable(title)
        self.set_title(title.encode("utf-8", "replace").decode("utf-8"))  # no lone surrogates
        self.set_creation_date(datetime.fromtimestamp(made_at, tz=timezone.utc))
        self.set_margin(_MARGIN_MM)
        self.c_margin = 0.0  # text, rules and boxes begin on one line
        self.set_auto_page_break(auto=False)
        self.add_page()
        self.style()

    @property
    def room_mm(self) -> float:
        """How much height is left on this page."""
        return float(self.h - self.y - _MARGIN_MM - _ROW_MM)

    def footer(self) -> None:
        """Write the title and the number of the page; fpdf2 calls it."""
        self.set_y(self.h - _MARGIN_MM)
        self.style(7.5, colour=_FAINT)
        self.cell(self.epw / 2, _ROW_MM, self._footer_text)
        self.cell(self.epw / 2, _ROW_MM, f"{self.page_no()} / {{nb}}", align="R")

    def style(self, size: float = _TEXT_PT, *, bold: bool = False, colour: Colour = _INK) -> None:
        """Choose how the next text looks; sizes are in points."""
        self.set_font("helvetica", "B" if bold else "", size)
        self.set_text_color(*colour)

    def ensure(self, height_mm: float) -> None:
        """Begin a new page if there is less room than that on this one."""
        if self.room_mm < height_mm:
            self.add_page()

    def heading(self, text: str, *, keep_mm: float = 25.0) -> None:
        """Write a heading that stays with what follows.

        Args:
            text: The heading.
            keep_mm: How much of what follows must fit on the same page.
        """
        self.ensure(12.0 + keep_mm)
        self.ln(5.0)
        self.style(11.5, bold=True)
        self.line_of(text, 7.0)
        self.style()

    def line_of(self, text: str, height_mm: float = _ROW_MM) -> None:
        """Write one line, cut off where it is too long."""
        self.cell(
            self.epw,
            height_mm,
            self.fitting(printable(text), self.epw),
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
        )

    def remark(self, text: str) -> None:
        """Write a paragraph in a fainter colour."""
        self.style(colour=_FAINT)
        self.ensure(3 * _ROW_MM)
        self.multi_cell(self.epw, 4.2, printable(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.style()

    def label(self, place: tuple[float, float], text: str, *, align: str = "L") -> None:
        """Write a small text at a place, or ending there with `align="R"`; millimetres."""
        self.style(7, colour=_FAINT)
        shown = printable(text)
        x = place[0] - (self.get_string_width(shown) if align == "R" else 0.0)
        self.text(x, place[1], shown)
        self.style()

    def box(self, place: tuple[float, float], size: tuple[float, float], colour: Colour) -> None:
        """Fill a rectangle; millimetres."""
        self.set_fill_color(*colour)
        self.rect(*place, *size, style="F")

    def rule(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a thin line; millimetres."""
        self.set_draw_color(*_RULE)
        self.set_line_width(0.15)
        self.line(*start, *end)

    def rows_of(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Write a table; its heading is repeated on every page that it goes on to."""
        self._table_head(columns)
        for row in rows:
            if self.room_mm < _ROW_MM:
                self.add_page()
                self._table_head(columns)
            self._table_row(columns, row)
            self.rule((self.l_margin, self.y), (self.l_margin + self.epw, self.y))

    def fitting(self, text: str, width_mm: float) -> str:
        """Return a text that is no wider than that, with three dots where it was cut."""
        if self.get_string_width(text) <= width_mm:
            return text
        low, high = 0, len(text)
        while low < high:  # the longest part that fits
            middle = (low + high + 1) // 2
            if self.get_string_width(f"{text[:middle]}...") <= width_mm:
                low = middle
            else:
                high = middle - 1
        return f"{text[:low]}..."

    def _table_head(self, columns: Sequence[Column]) -> None:
        self.style(bold=True)
        self._table_row(columns, [heading for heading, _, _ in columns])
        self.style()
        self.rule((self.l_margin, self.y), (self.l_margin + self.epw, self.y))

    def _table_row(self, columns: Sequence[Column], cells: Sequence[str]) -> None:
        whole = sum(share for _, share, _ in columns)
        for (_, share, align), text in zip(columns, cells, strict=True):
            width = self.epw * share / whole
            shown = self.fitting(printable(text), width - _CELL_GAP_MM)
            self.cell(width, _ROW_MM, shown, align=align)
        self.ln(_ROW_MM)

"""A terminal as a grid of lines, of which those are written that changed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.control import Control

from sdk_workflow.cli.monitor.figures import as_ascii

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TextIO

    from rich.text import Text

__all__ = ["Screen", "TerminalScreen", "can_draw", "plain_text", "takes_unicode"]

Size = tuple[int, int]
_USUAL = (80, 24)


class Screen(Protocol):
    """Where pictures are shown."""

    def opened(self) -> AbstractContextManager[None]:
        """Take the whole terminal, and give it back as it was at the end."""
        ...

    def size(self) -> Size:
        """Return how many columns and lines there are."""
        ...

    def show(self, lines: Sequence[Text], size: Size) -> None:
        """Show a picture of that size.

        Raises:
            OSError: If the terminal is gone.
        """
        ...


class TerminalScreen:
    """A terminal that knows the usual escape sequences.

    Args:
        file: The terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, highlight=False, markup=False, emoji=False)
        self._file = file
        self._is_ascii = not takes_unicode(file)
        self._shown: list[Text] = []
        self._size: Size = (0, 0)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Take the whole terminal, and give it back as it was at the end."""
        self._size = (0, 0)
        try:
            self._console.set_alt_screen(enable=True)
            self._console.show_cursor(show=False)
            yield
        finally:
            with contextlib.suppress(OSError):  # the terminal is gone
                self._console.show_cursor(show=True)
                self._console.set_alt_screen(enable=False)

    def size(self) -> Size:
        """Return how many columns and lines there are."""
        try:
            columns, rows = os.get_terminal_size(self._file.fileno())
        except OSError:
            return _USUAL
        return columns or _USUAL[0], rows or _USUAL[1]

    def show(self, lines: Sequence[Text], size: Size) -> None:
        """Write the lines that are not there yet.

        Raises:
            OSError: If the terminal is gone.
        """
        with self._console as console:  # one write for all of it
            if size != self._size:  # a terminal may have moved everything
                console.control(Control.clear(), Control.home())
                self._size, self._shown = size, []
            for row, line in enumerate(lines):
                if row >= len(self._shown) or line != self._shown[row]:
                    console.control(Control.move_to(0, row))
                    self._write(console, line, size[0])
        self._shown = list(lines)

    def _write(self, console: Console, line: Text, width: int) -> None:
        text = line.copy()
        text.pad_right(max(width - text.cell_len, 0))
        if self._is_ascii:
            text.plain = as_ascii(text.plain)
        console.print(text, end="", no_wrap=True, overflow="ignore", crop=False)


def can_draw(file: TextIO | None) -> bool:
    """Return whether a stream is a terminal on which lines can be written anywhere."""
    return file is not None and file.isatty() and not Console(file=file).is_dumb_terminal


def takes_unicode(file: TextIO | None) -> bool:
    """Return whether a stream takes every character."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").replace("_", "").startswith("utf")


def plain_text(lines: Sequence[Text], file: TextIO | None) -> str:
    """Return lines without styles, for a stream."""
    text = "\n".join(line.plain.rstrip() for line in lines)
    if takes_unicode(file):
        return text
    return "\n".join(map(as_ascii, text.split("\n")))

"""Keys as they are pressed, one by one, without an echo; waiting for one is how the monitor waits."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from threading import Event
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["CLOSED", "Keyboard", "NoKeyboard", "keyboard_of", "keys_of"]

CLOSED = "closed"
"""The key that stands for a terminal that went away."""

_REST_SECONDS = 0.03
_READ_BYTES = 1024
_PIECE = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_NAMES = {
    "\x1b": "esc",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
}
_SEQUENCES = {"A": "up", "B": "down", "H": "home", "F": "end",
              "5~": "page_up", "6~": "page_down", "1~": "home", "4~": "end"}  # fmt: skip


class Keyboard(Protocol):
    """Where keys come from."""

    def opened(self) -> AbstractContextManager[None]:
        """Have the terminal hand over each key at once, and restore it at the end."""
        ...

    def read(self, timeout_seconds: float) -> list[str]:
        """Return the keys that were pressed, after the first of them or so long a time."""
        ...


class NoKeyboard:
    """No keys at all: the end comes by a signal."""

    def opened(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return contextlib.nullcontext()

    def read(self, timeout_seconds: float) -> list[str]:
        """Wait so long."""
        Event().wait(timeout_seconds)
        return []


def keys_of(data: bytes) -> list[str]:
    r"""Return the keys that some bytes of a terminal stand for; unknown sequences are left out.

    Example:
        >>> keys_of(b"q\x1b[A\r\x1b[99~\x1b")
        ['q', 'up', 'enter', 'esc']
    """
    keys = []
    for piece in _PIECE.findall(data.decode(errors="ignore")):
        if len(piece) > 1:
            key = _SEQUENCES.get(piece[2:])
        else:
            key = _NAMES.get(piece, piece if piece.isprintable() else None)
        if key is not None:
            keys.append(key)
    return keys


if sys.platform != "win32":
    import select
    import termios
    import tty

    class TerminalKeyboard:
        """The keys of a terminal.

        Args:
            descriptor: The terminal's.
        """

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor

        @contextlib.contextmanager
        def opened(self) -> Iterator[None]:
            """Have the terminal hand over each key at once, and restore it at the end."""
            before = termios.tcgetattr(self._descriptor)
            try:
                tty.setcbreak(self._descriptor)
                yield
            finally:
                with contextlib.suppress(termios.error):  # the terminal is gone
                    termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

        def read(self, timeout_seconds: float) -> list[str]:
            """Return the keys that were pressed, after the first of them or so long a time."""
            data = self._bytes(timeout_seconds)
            if data is None:
                return [CLOSED]
            if data.endswith(b"\x1b"):  # the beginning of a sequence, or the key itself
                data += self._bytes(_REST_SECONDS) or b""
            return keys_of(data)

        def _bytes(self, timeout_seconds: float) -> bytes | None:
            try:
                ready, _, _ = select.select([self._descriptor], [], [], timeout_seconds)
                return (os.read(self._descriptor, _READ_BYTES) or None) if ready else b""
            except OSError:
                return None

    def keyboard_of(descriptor: int | None) -> Keyboard:
        """Return the keyboard of a terminal; one without keys where it is none."""
        if descriptor is None or not os.isatty(descriptor):
            return NoKeyboard()
        return TerminalKeyboard(descriptor)

else:  # pragma: no cover - another system
    import msvcrt

    _WINDOWS_KEYS = {"H": "up", "P": "down", "G": "home", "O": "end", "I": "page_up",
                     "Q": "page_down"}  # fmt: skip
    _STEP_SECONDS = 0.02

    class ConsoleKeyboard:
        """The keys of a Windows console."""

        def opened(self) -> AbstractContextManager[None]:
            """Do nothing: a console hands each key over at once."""
            return contextlib.nullcontext()

        def read(self, timeout_seconds: float) -> list[str]:
            """Return the keys that were pressed, after the first of them or so long a time."""
            for _ in range(max(round(timeout_seconds / _STEP_SECONDS), 1)):
                if msvcrt.kbhit():
                    break
                Event().wait(_STEP_SECONDS)
            keys = []
            while msvcrt.kbhit():
                char = msvcrt.getwch()
                if char in "\x00\xe0":
                    keys.append(_WINDOWS_KEYS.get(msvcrt.getwch(), ""))
                else:
                    keys += keys_of(char.encode(errors="ignore"))
            return [key for key in keys if key]

    def keyboard_of(descriptor: int | None) -> Keyboard:
        """Return the keyboard of the console; one without keys where there is none."""
        if descriptor is None or not os.isatty(descriptor):
            return NoKeyboard()
        return ConsoleKeyboard()

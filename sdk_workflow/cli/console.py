"""The two streams of the process: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

from sdk_workflow._internal.redaction import redact_text

if TYPE_CHECKING:
    from typing import TextIO

    from sdk_workflow.exceptions import SdkWorkflowError

__all__ = ["Console", "printable"]


def printable(text: str) -> str:
    r"""Return text that cannot move the cursor or colour the terminal: controls become visible.

    Example:
        >>> printable("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


class Console:
    """Where a command writes.

    A result that cannot be written is remembered, not raised: the events of a run that is under
    way must not be disturbed. `finish` tells of it. What stderr does not take is dropped.

    Args:
        out: Results; None where the process has no standard output.
        err: Notices, progress and errors; None where it has no standard error.
        is_quiet: Whether notices are left out; errors never are.
    """

    def __init__(self, out: TextIO | None, err: TextIO | None, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self.err = err
        self._out = out
        self._lost: OSError | None = None
        if out is None:
            self._lost = OSError(errno.EBADF, "Standard output is closed")

    @classmethod
    def of_process(cls, *, is_quiet: bool = False) -> Console:
        """Return the console of this process."""
        # A process may be started with its streams closed; the stubs do not know of it.
        return cls(sys.stdout, sys.stderr, is_quiet=is_quiet)

    @property
    def is_terminal(self) -> bool:
        """Whether progress can be drawn on stderr."""
        return self.err is not None and self.err.isatty()

    @property
    def can_write(self) -> bool:
        """Whether what is written as a result still arrives."""
        return self._lost is None

    @property
    def shows_results(self) -> bool:
        """Whether results go to a terminal, not to a file or a program."""
        return self._out is not None and self._out.isatty()

    def result(self, text: str, end: str = "\n") -> None:
        """Write a piece of the result, at once; an encoding that lacks a character replaces it."""
        if self._out is None or self._lost is not None:
            return
        if self._out.isatty():  # a file's escape codes must not drive the terminal
            text = printable(text)
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            self._out.write(text.encode(encoding, "replace").decode(encoding) + end)
            self._out.flush()
        except OSError as error:
            self._lost = error

    def notice(self, text: str) -> None:
        """Say something that is not the result."""
        if not self.is_quiet:
            self.problem(text)

    def problem(self, text: str) -> None:
        """Say what failed; not even `--quiet` leaves this out."""
        if self.err is None:
            return
        with contextlib.suppress(OSError):
            self.err.write(f"{printable(text)}\n")
            self.err.flush()

    def error(self, error: SdkWorkflowError) -> None:
        """Say what went wrong, and what to do next; a secret that it quotes is masked."""
        self.problem(f"Error: {redact_text(str(error), personal=True)}")
        if error.hint:
            self.problem(f"       {redact_text(error.hint, personal=True)}")

    def finish(self) -> bool:
        """Tell where results were lost; return whether all of them were written.

        A reader that went away (`| head`) wanted no more: that is not worth a word.
        """
        if self._lost is None:
            return True
        if not isinstance(self._lost, BrokenPipeError):
            self.problem(f"Error: The result could not be written: {self._lost.strerror}.")
            self.problem("       Send standard output to a file or a pipe with room for it.")
        self._discard_rest()
        return False

    def _discard_rest(self) -> None:
        """Keep Python from failing once more when it flushes stdout at exit."""
        if self._out is None:
            return
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

"""Signals as something that is asked for: nothing is interrupted half-way, least of all a restore."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Signals"]

_ENDS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_PAUSES = ("SIGTSTP",)


class Signals:
    """Remembers the signals that would end or stop the process, while it is entered.

    Outside the main thread, where Python allows no handlers, it sees none.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals over."""
        if threading.current_thread() is threading.main_thread():
            for name in (*_ENDS, *_PAUSES):
                number = getattr(signal, name, None)
                # Who starts it with a signal ignored (nohup) wants it to stay so.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back, and let those that came have their effect, but for Ctrl-C."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        for number in self._seen - {signal.SIGINT}:
            signal.raise_signal(number)

    @property
    def is_pending(self) -> bool:
        """Whether any came."""
        return bool(self._seen)

    def stop_if_asked(self) -> bool:
        """Stop the process if Ctrl-Z asked for it; return, once it goes on, whether it did."""
        asked = {number for number in self._seen if signal.Signals(number).name in _PAUSES}
        if not asked or self._seen - asked:
            return False
        self._seen.clear()
        os.kill(os.getpid(), signal.SIGSTOP)
        return True

    def _note(self, number: int, _: object) -> None:
        self._seen.add(number)

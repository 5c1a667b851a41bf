"""Work that must not hold up its caller: done in order by a thread that ends when there is none left."""

from __future__ import annotations

import logging
import os
import weakref
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]

_logger = logging.getLogger("sdk_workflow.background")


class Background:
    """A queue of tasks and, while there are any, one thread.

    Nothing has to be stopped: between tasks there is no thread. A child that was forked begins
    with an empty queue; the tasks of its parent stay the parent's.

    Args:
        name: The name of the thread.
        must_finish: Whether the interpreter waits for the queue at its exit.
        limit: How many tasks may wait; further ones are refused.

    Example:
        >>> seen = []
        >>> background = Background("notes")
        >>> background.submit(lambda: seen.append(1)), background.wait(5.0), seen
        (True, True, [1])
    """

    def __init__(self, name: str, *, must_finish: bool = False, limit: int = 10_000) -> None:
        self._name = name
        self._daemon = not must_finish
        self._limit = limit
        self._tasks: deque[Callable[[], object]] = deque()
        self._changed = Condition()
        self._is_working = False
        _all.add(self)

    def submit(self, task: Callable[[], object]) -> bool:
        """Queue a task; return whether there was room. What it raises is logged."""
        with self._changed:
            if len(self._tasks) >= self._limit:
                return False
            self._tasks.append(task)
            if not self._is_working:
                Thread(target=self._work, name=self._name, daemon=self._daemon).start()
                self._is_working = True
        return True

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the queue is done; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_working, timeout_seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._tasks:
                    self._is_working = False
                    self._changed.notify_all()
                    return
                task = self._tasks.popleft()
            try:
                task()
            except Exception:
                _logger.exception("A task of %s failed.", self._name)

    def _forget(self) -> None:
        self._tasks.clear()
        self._changed = Condition()
        self._is_working = False


_all: weakref.WeakSet[Background] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for background in list(_all):
        background._forget()  # noqa: SLF001 - the module's own class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

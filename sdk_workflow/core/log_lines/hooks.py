"""Those who look on while a logger writes: they see every entry, and cannot disturb it."""

from __future__ import annotations

import logging
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    LogHook = Callable[[Mapping[str, Any]], object]

__all__ = ["LogHooks"]

_logger = logging.getLogger("sdk_workflow.log_hooks")


class LogHooks:
    """The hooks of one logger, called in the thread that logs, in the order of their adding.

    A hook that raises is counted in `failure_count` and reported once. What a hook logs itself is
    written, but shown to no hook: otherwise it would see its own entries for ever.
    """

    def __init__(self) -> None:
        self.failure_count = 0
        self._hooks: tuple[LogHook, ...] = ()
        self._reported: list[LogHook] = []
        self._calling = threading.local()

    def __bool__(self) -> bool:
        """Whether there is any hook."""
        return bool(self._hooks)

    def add(self, hook: LogHook) -> None:
        """Let a hook see every further entry.

        Raises:
            UsageError: If it cannot be called.
        """
        if not callable(hook):
            raise UsageError(f"{hook!r} cannot be called.", hint="Give a function of one argument.")
        self._hooks = (*self._hooks, hook)

    def show(self, entry: Mapping[str, Any]) -> None:
        """Show an entry to every hook."""
        if getattr(self._calling, "is_under_way", False):
            return
        self._calling.is_under_way = True
        try:
            for hook in self._hooks:
                try:
                    hook(MappingProxyType(entry))
                except Exception as error:  # noqa: BLE001 - a hook's faults stay its own
                    self._contain(hook, error)
        finally:
            self._calling.is_under_way = False

    def _contain(self, hook: LogHook, error: Exception) -> None:
        self.failure_count += 1
        if not any(hook is known for known in self._reported):
            self._reported.append(hook)
            _logger.warning(
                "The log hook %r failed; later failures are only counted.", hook, exc_info=error
            )

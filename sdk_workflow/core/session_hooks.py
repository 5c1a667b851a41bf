"""Hooks on the life of sessions: called beside the work, and unable to disturb it.

Each hook has a queue and a thread of its own, so that one that hangs holds up nobody else.
"""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.background import Background
from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Hook = Callable[[Any], object]

__all__ = ["SESSION_EVENTS", "SessionHooks"]

SESSION_EVENTS = ("started", "ended", "persisted", "archived", "failed")
_MOST_WAITING = 1000
_logger = logging.getLogger("sdk_workflow.sessions")


class SessionHooks:
    """The hooks of one manager.

    A hook that raises, or whose queue is full because it hangs, is counted in `failure_count` and
    reported once.

    Example:
        >>> hooks, seen = SessionHooks(), []
        >>> hooks.add("ended", seen.append)
        >>> hooks.fire("ended", "review-42"); hooks.wait(5.0); seen
        True
        ['review-42']
    """

    def __init__(self) -> None:
        self._hooks: dict[str, list[tuple[Hook, Background]]] = {}
        self._failures: Counter[int] = Counter()
        self._lock = Lock()

    @property
    def failure_count(self) -> int:
        """How many calls of hooks have failed or were dropped."""
        return sum(self._failures.values())

    def add(self, event: str, hook: Hook) -> None:
        """Let a hook be called at every further event of a kind, in order.

        Raises:
            UsageError: If there is no such event, or the hook cannot be called.
        """
        if event not in SESSION_EVENTS:
            raise UsageError(
                f"There is no session event {event!r}.",
                hint=did_you_mean(str(event), SESSION_EVENTS)
                or f"The events are {', '.join(SESSION_EVENTS)}.",
            )
        if not callable(hook):
            raise UsageError(f"{hook!r} cannot be called.", hint="Give a function of one argument.")
        background = Background("sdk_workflow session hook", limit=_MOST_WAITING)
        with self._lock:
            self._hooks[event] = [*self._hooks.get(event, ()), (hook, background)]

    def fire(self, event: str, info: object) -> None:
        """Hand a session to every hook of an event, without waiting for any."""
        for hook, background in self._hooks.get(event, ()):
            if not background.submit(lambda hook=hook: self._call(hook, info)):  # type: ignore[misc]
                self._count(hook, f"is too slow: {_MOST_WAITING} calls of it wait", None)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the calls under way, up to a time for each hook; return whether all are done."""
        queues = [queue for hooks in self._hooks.values() for _, queue in hooks]
        done = [queue.wait(timeout_seconds) for queue in queues]
        return all(done)

    def _call(self, hook: Hook, info: object) -> None:
        try:
            hook(info)
        except BaseException as error:  # noqa: BLE001 - a hook's faults stay its own
            self._count(hook, "failed", error)

    def _count(self, hook: Hook, what: str, error: BaseException | None) -> None:
        with self._lock:
            self._failures[id(hook)] += 1
            is_first = self._failures[id(hook)] == 1
        if is_first:
            _logger.warning(
                "The session hook %r %s; later failures are only counted.",
                hook,
                what,
                exc_info=error,
            )

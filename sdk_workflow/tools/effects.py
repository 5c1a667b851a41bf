"""What a tool may know about doing its work twice: the key of the call, and how to answer for it.

A run that goes on after a crash may meet a call of which nobody knows whether it had its effect.
Who decides what becomes of it is the agent's business.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NOT_DONE", "NotDone", "idempotency_key", "keyed"]


class NotDone(Enum):
    """The type of `NOT_DONE`."""

    NOT_DONE = "not done"


NOT_DONE: Final[Literal[NotDone.NOT_DONE]] = NotDone.NOT_DONE
"""What a tool's `reconcile` returns where the effect has not happened: the call is run now."""

_key: ContextVar[str] = ContextVar("idempotency_key")


def idempotency_key() -> str:
    """Return the key of the tool call that is running: `session/run/step/tool_use_id`.

    A call that is run again after a crash has the same key, so that whoever carries it out can
    tell: a payment service, a table with a unique column, a folder of files named by keys.

    Raises:
        UsageError: If no tool call is running.

    Example:
        >>> with keyed("ses_1/run_1/0/toolu_1"):
        ...     idempotency_key()
        'ses_1/run_1/0/toolu_1'
    """
    try:
        return _key.get()
    except LookupError:
        raise UsageError(
            "There is no idempotency key: no tool call is running here.",
            code="no_tool_call",
            hint="Ask for it inside of a tool's function, before it starts threads of its own.",
        ) from None


@contextmanager
def keyed(key: str) -> Iterator[None]:
    """Let the code inside see the key of its tool call, also in a worker thread."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)

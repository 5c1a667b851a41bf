"""One time limit over everything that a call takes: waiting its turn, every attempt, every fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from sdk_workflow.exceptions import DeadlineExceeded

if TYPE_CHECKING:
    from sdk_workflow._internal.pipeline import Ask
    from sdk_workflow.types import Call

__all__ = ["TimeLimit", "limit_time"]

ResultT = TypeVar("ResultT")


class TimeLimit(Protocol):
    """A layer around a call, or around anything else that is done about a call."""

    async def __call__(self, call: Call, proceed: Ask[ResultT]) -> ResultT:
        """Proceed, as long as the time limit allows."""
        ...


def limit_time(seconds: float) -> TimeLimit:
    """Return a middleware that ends each call after `seconds`; what is open is closed.

    Layers further in ask `seconds_left` how long they may still wait. A call that is out of time
    raises `DeadlineExceeded`.

    Example:
        >>> import anyio
        >>> from sdk_workflow.types import Call
        >>> async def never(_call):
        ...     await anyio.sleep_forever()
        >>> anyio.run(limit_time(0.01), Call(model="claude-haiku-5-5", messages=()), never)
        Traceback (most recent call last):
            ...
        sdk_workflow.exceptions.DeadlineExceeded: The call did not finish within 0.01 s.
    """

    async def run(call: Call, proceed: Ask[ResultT]) -> ResultT:
        import anyio

        # A scope by itself takes 5 microseconds, `fail_after` 6.
        with anyio.CancelScope(deadline=anyio.current_time() + seconds):
            return await proceed(call)
        # Reached only where the scope ended the call: nothing else is swallowed by it.
        raise DeadlineExceeded(
            f"The call did not finish within {seconds:g} s.",
            hint="Raise request_timeout_seconds, or ask for less at once.",
        )

    return run

"""Waiting for money in an event loop: asleep until the desk wakes the claim, or its time is over."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from sdk_workflow._internal.loop_runner import running_loop_runner
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow._internal.tracing import trace_span
from sdk_workflow.exceptions import BudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.budgeting.desk import Claim, HoldDesk

__all__ = ["off_loop", "wait_for_room"]

ResultT = TypeVar("ResultT")

# Who wakes a claim: in one process the desk, and time alone ends a hold that nobody settles. Other
# processes wake nobody, so the first in the queue has to look by itself; those behind it need not.
_LOOK_AGAIN_SECONDS = 30.0
_LOOK_AGAIN_SHARED_SECONDS = 0.25


async def off_loop(function: Callable[..., ResultT], *args: Any, is_shared: bool) -> ResultT:
    """Call what may wait for a disk in a worker thread, and always see its result.

    A cancellation that comes meanwhile is raised at the next checkpoint.
    """
    if not is_shared:
        return function(*args)
    import anyio

    with anyio.CancelScope(shield=True):
        with trace_span("ledger.ask"):
            result = await anyio.to_thread.run_sync(functools.partial(function, *args))
    return result


async def wait_for_room(
    desk: HoldDesk, claim: Claim, *, waits: bool, max_wait_seconds: float
) -> bool:
    """Return once the claim has got its money: whether it had to wait for it.

    Args:
        desk: Gives out the money.
        claim: Wants it.
        waits: Whether it waits at all.
        max_wait_seconds: How long at the most.

    Raises:
        BudgetExceeded: If there is no room and waiting cannot help or is not wanted, or if it has
            waited for `max_wait_seconds` in vain (`budget_wait_timeout`).
    """
    import anyio

    bell = _Bell()
    claim.wake = bell.ring
    try:
        with anyio.move_on_after(max_wait_seconds):
            return await _wait(desk, claim, bell, may_wait=waits)
    except BaseException:
        await off_loop(desk.leave, claim, is_shared=desk.is_shared)
        raise
    await off_loop(desk.leave, claim, is_shared=desk.is_shared)
    raise BudgetExceeded(
        f"No room came up under the hard limit within {max_wait_seconds:g} s.",
        code="budget_wait_timeout",
        retryable=True,
        hint="Raise the hard limit, or run fewer calls at once.",
    )


@trace_function(name="budget.wait")
async def _wait(desk: HoldDesk, claim: Claim, bell: _Bell, *, may_wait: bool) -> bool:
    import anyio

    ask = functools.partial(desk.ask, claim, may_wait=may_wait)
    had_to_wait = False
    while (answer := await off_loop(ask, is_shared=desk.is_shared)) == "wait":
        had_to_wait = True
        is_alone = desk.is_shared and desk.is_first(claim)
        look_again = _LOOK_AGAIN_SHARED_SECONDS if is_alone else _LOOK_AGAIN_SECONDS
        with anyio.move_on_after(look_again):
            await bell.event.wait()
        bell.event = anyio.Event()
    if answer == "refused":
        raise desk.refusal(claim)
    return had_to_wait


class _Bell:
    """Wakes one task of the running event loop, from any thread."""

    __slots__ = ("_run_soon", "event")

    def __init__(self) -> None:
        import anyio

        self.event = anyio.Event()
        self._run_soon = running_loop_runner()

    def ring(self) -> None:
        """Wake it; raises RuntimeError once its loop is closed."""
        self._run_soon(self._set)

    def _set(self) -> None:
        self.event.set()

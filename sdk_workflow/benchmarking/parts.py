"""What a suite is handed, because it belongs to layers above or beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.protocols import Ledger

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How the suites get at what they may not name.

    Attributes:
        open_ledger: Opens a ledger in a file.
        simulated: Opens a runtime on the simulator, with its state in a folder; gives what opens
            a session of it.
        fan_out: Runs a coroutine function once for each of so many items, so many at once.
    """

    open_ledger: Callable[[Path], AbstractContextManager[Ledger]]
    simulated: Callable[[Path], AbstractContextManager[Callable[..., AgentSession]]]
    fan_out: Callable[[Callable[[], Awaitable[Any]], int, int], Awaitable[None]]

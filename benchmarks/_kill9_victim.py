"""The victim of `reliability_kill9`: a real agent run that appends to a file, and can be shot anywhere.

The package knows nothing of this: the gun is in the journal, the model and the tools given to it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.script import ScriptedCall, ScriptedReplies, ScriptedReply, When
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.storage.session_journal import SessionJournal
from sdk_workflow.tools.effects import idempotency_key
from sdk_workflow.tools.schema import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sdk_workflow.types import Call, JournalRecord, Reply

__all__ = ["EFFECTS", "PLAN", "SESSION_ID", "Gun", "run_victim"]

SESSION_ID = "victim"
EFFECTS = "effects.log"

# By turn: which tools the model asks for, and with which line.
PLAN: tuple[tuple[tuple[str, str], ...], ...] = (
    (("look", "a"),),
    (("append", "b"), ("append_once", "c"), ("look", "d")),
    (("append_once", "e"),),
    (("append", "f"),),
    (("append", "g"), ("append", "h")),
)


class Gun:
    """Kills its own process at the n-th point that the run passes; 0 lets it live.

    Args:
        kills_at: Which point.
        acknowledge: Told of every number of records that the journal says is safe.
    """

    def __init__(self, kills_at: int, acknowledge: Callable[[int], None]) -> None:
        self.kills_at = kills_at
        self.acknowledge = acknowledge
        self.points = 0

    def point(self) -> None:
        """Pass one point."""
        self.points += 1
        if self.points == self.kills_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _Journal:
    """A session's journal with the gun before and behind every write."""

    def __init__(self, journal: SessionJournal, gun: Gun) -> None:
        self._journal = journal
        self._gun = gun
        self._safe = len(journal.records())

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        self._gun.point()
        version = self._journal.append(*records, state=state)
        self._safe += len(records)
        self._gun.acknowledge(self._safe)
        self._gun.point()
        return version

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class _Model:
    """The simulator with a script, and the gun before and behind every answer."""

    def __init__(self, gun: Gun) -> None:
        replies = [
            ScriptedReply(
                calls=tuple(ScriptedCall(name, {"line": line}) for name, line in calls),
                when=When(turn=turn),
            )
            for turn, calls in enumerate(PLAN)
        ]
        script = ScriptedReplies([*replies, ScriptedReply(text="Done.", when=When(turn=len(PLAN)))])
        self._transport = SimulatorTransport(Engine(clock=SystemClock(), brain=script))
        self._gun = gun

    async def send(self, call: Call) -> Reply:
        self._gun.point()
        reply = await self._transport.send(call)
        self._gun.point()
        return reply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _tools(folder: Path, gun: Gun) -> list[Any]:
    effects = folder / EFFECTS

    def write(line: str) -> str:
        gun.point()
        with effects.open("ab", buffering=0) as file:
            file.write(f"{line} {idempotency_key()}\n".encode())
        gun.point()
        return f"wrote {line}"

    @tool(effect="other")
    def append(line: str) -> str:
        """Append a line."""
        return write(line)

    @tool(effect="idempotent")
    def append_once(line: str) -> str:
        """Append a line unless it is there under the key of this call."""
        known = effects.read_text("utf-8") if effects.exists() else ""
        return "was there" if idempotency_key() in known else write(line)

    @tool(effect="pure")
    def look(line: str) -> str:
        """Look at a line."""
        gun.point()
        return f"saw {line}"

    return [append, append_once, look]


async def run_victim(folder: Path, gun: Gun) -> None:
    """Begin the run, or go on with it, in a state folder."""
    journal: Any = _Journal(SessionJournal.open(folder, SESSION_ID, create=True), gun)
    model: Any = _Model(gun)
    client = AgentClientManager(model)
    session = AgentSession(
        client,
        model="haiku",
        tools=_tools(folder, gun),
        session_id=SESSION_ID,
        journal=journal,
    )
    async with client, session:
        if session.get_unfinished() is not None:
            await session.resume()
        elif not session.get_history():
            await session.message("Append the lines.")

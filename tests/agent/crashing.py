"""A run that can be struck down anywhere: a disk in memory, a model with a plan, and a fuse.

What happens in real life to a process happens here to one session object: from the moment the fuse
blows, nothing of it reaches the disk or the world any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sdk_workflow.agent.session import AgentSession
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.exceptions import StorageError
from sdk_workflow.tools.effects import idempotency_key
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import JournalRecord, ToolSpec
from tests.scripted import reply, text_reply, tool_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.types import Call, EffectClass, Reply


class Crash(BaseException):
    """The end of the process."""


class Fuse:
    """Blows at the n-th point that a run passes; 0 never blows."""

    def __init__(self, blows_at: int = 0) -> None:
        self.blows_at = blows_at
        self.passed: list[str] = []

    @property
    def is_blown(self) -> bool:
        return 0 < self.blows_at <= len(self.passed)

    def burn(self, point: str) -> None:
        if not self.is_blown:
            self.passed.append(point)
        if self.is_blown:
            raise Crash(point)


class Disk:
    """What outlives a crash: records and the latest state, as JSON text."""

    def __init__(self) -> None:
        self.commits: list[list[dict[str, Any]]] = []
        self.states: list[str] = []

    @property
    def records(self) -> list[JournalRecord]:
        return [JournalRecord(**record) for commit in self.commits for record in commit]

    @property
    def state(self) -> dict[str, Any] | None:
        return json.loads(self.states[-1]) if self.states else None

    def kinds(self) -> list[list[str]]:
        return [[record["kind"] for record in commit] for commit in self.commits]


class MemoryJournal:
    """A `RunJournal` on such a disk."""

    def __init__(self, disk: Disk, fuse: Fuse | None = None) -> None:
        self.disk = disk
        self.fuse = fuse or Fuse()
        self.is_closed = False
        self.error: Exception | None = None

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        if self.fuse.is_blown:
            raise StorageError("The process is gone.")
        if self.error is not None:
            raise self.error
        self.fuse.burn(f"before {records[-1].kind}")
        self.disk.commits.append(json.loads(json.dumps([asdict(record) for record in records])))
        if state is not None:
            self.disk.states.append(json.dumps(state))
        self.fuse.burn(f"after {records[-1].kind}")
        return None if state is None else len(self.disk.states)

    def records(self, run_id: str | None = None) -> Sequence[JournalRecord]:
        return [record for record in self.disk.records if run_id in {None, record.run_id}]

    def load_state(self) -> dict[str, Any] | None:
        return self.disk.state

    def close(self) -> None:
        self.is_closed = True


class World:
    """Where effects are felt: every time a tool did its work, and under which key."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, str]] = []
        self.calls: list[Call] = []
        self.errors: dict[int, Exception] = {}  # by turn: what the model raises instead, once
        self.last_words = "All done."

    def times(self, name: str) -> int:
        return sum(done == name for done, _ in self.effects)


class PlannedModel:
    """A transport that answers by a plan: one list of tool calls for each turn, then a text.

    How far a run has come it reads from the history, as a real model does.
    """

    def __init__(self, plan: Sequence[Sequence[str]], world: World, fuse: Fuse) -> None:
        self.plan = plan
        self.world = world
        self.fuse = fuse

    async def send(self, call: Call) -> Reply:
        self.fuse.burn("before model")
        self.world.calls.append(call)
        self.fuse.burn("after model")
        turn = sum(message["role"] == "assistant" for message in call.messages)
        if turn in self.world.errors:
            raise self.world.errors.pop(turn)
        if turn >= len(self.plan):
            words = self.world.last_words
            return text_reply(words) if words else reply([], stop_reason="end_turn")
        return tool_reply(
            *((effect, {"name": f"{turn}-{index}"}) for index, effect in enumerate(self.plan[turn]))
        )

    async def count_tokens(self, call: Call) -> int:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


def effect_tool(effect: EffectClass, world: World, fuse: Fuse) -> Tool:
    """Return a tool, named after its effect class, whose work is felt in the world."""

    async def run(name: str) -> str:
        fuse.burn(f"before {effect} {name}")
        world.effects.append((f"{effect} {name}", idempotency_key()))
        fuse.burn(f"after {effect} {name}")
        return f"did {name}"

    spec = ToolSpec(name=effect, description="Do it.", input_schema={"type": "object"})
    return Tool(spec=spec, run=run, effect=effect)


def open_crashing(
    plan: Sequence[Sequence[str]],
    disk: Disk,
    world: World,
    fuse: Fuse | None = None,
    **options: Any,
) -> AgentSession:
    """Open the session of that disk as a new process would."""
    fuse = fuse or Fuse()
    effects: tuple[EffectClass, ...] = ("pure", "idempotent", "other")
    defaults: dict[str, Any] = {
        "tools": [effect_tool(effect, world, fuse) for effect in effects],
        "journal": MemoryJournal(disk, fuse),
        "session_id": "ses_1",
        "model": "haiku",
    }
    client = AgentClientManager(PlannedModel(plan, world, fuse))
    return AgentSession(client, **{**defaults, **options})

"""A run with a tool of each effect class, stopped at every point there is, in every way there is.

Whatever the way, what it has reached is neither lost nor done again, and nothing is left open.
"""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import pytest

from sdk_workflow.exceptions import StorageError
from tests.agent.crashing import Crash, Disk, Fuse, MemoryJournal, World, open_crashing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.types import JournalRecord, RunResult

PLAN = [["pure"], ["idempotent", "other", "pure"], ["other"], ["idempotent"]]
CALLS = {
    f"{effect} {turn}-{index}": effect
    for turn, calls in enumerate(PLAN)
    for index, effect in enumerate(calls)
}
TURNS = len(PLAN) + 1


class CancellingFuse(Fuse):
    """Cancels the run at its n-th point, but lets the process live."""

    def __init__(self, blows_at: int, scope: anyio.CancelScope) -> None:
        super().__init__(blows_at)
        self.scope = scope

    @property
    def is_blown(self) -> bool:
        return False

    def burn(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) == self.blows_at:
            try:
                anyio.from_thread.run_sync(self.scope.cancel)
            except RuntimeError:  # in the event loop's own thread
                self.scope.cancel()


class AbandoningFuse(Fuse):
    """Cancels the task at its n-th point; a write under way reaches the disk behind all others."""

    def __init__(self, blows_at: int, task: asyncio.Task[Any]) -> None:
        super().__init__(blows_at)
        self.task = task
        self.loop = asyncio.get_running_loop()
        self.was_cancelled = threading.Event()

    @property
    def is_blown(self) -> bool:
        return False

    def burn(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) != self.blows_at:
            return
        if threading.current_thread() is threading.main_thread():
            self.task.cancel()
        else:
            self.loop.call_soon_threadsafe(self.task.cancel)
            self.loop.call_soon_threadsafe(self.let_go_on, 50)
            assert self.was_cancelled.wait(20)

    def let_go_on(self, after_rounds: int) -> None:
        """Let the write go on when the loop had time to end the task, unless that waits for it."""
        if after_rounds:
            self.loop.call_soon(self.let_go_on, after_rounds - 1)
        else:
            self.was_cancelled.set()


class RefusingJournal(MemoryJournal):
    """A journal on a disk that is full for its n-th write, and for so many that follow."""

    def __init__(self, disk: Disk, *, first: int, count: int) -> None:
        super().__init__(disk)
        self.refused = range(first, first + count)
        self.writes = 0

    def append(self, *records: JournalRecord, state: Mapping[str, Any] | None = None) -> int | None:
        self.writes += 1
        if self.writes in self.refused:
            raise StorageError("The disk is full.")
        return super().append(*records, state=state)


async def points() -> list[str]:
    fuse = Fuse()
    await open_crashing(PLAN, Disk(), World(), fuse).message("Go")
    return fuse.passed


def results(session: AgentSession) -> dict[str, Mapping[str, Any]]:
    """Return the result of every call by its name, having checked that each has exactly one."""
    found: dict[str, Mapping[str, Any]] = {}
    history = session.get_history()
    for message, answer in pairwise(history):
        calls = [block for block in message["content"] if block_type(block) == "tool_use"]
        given = [block for block in answer["content"] if block_type(block) == "tool_result"]
        if calls or given:
            assert [call["id"] for call in calls] == [result["tool_use_id"] for result in given]
        for call, result in zip(calls, given, strict=True):
            name = f"{call['name']} {call['input']['name']}"
            assert name not in found
            found[name] = result
    return found


def block_type(block: object) -> object:
    return block["type"] if isinstance(block, dict) else None


def check(session: AgentSession, world: World, disk: Disk, *, was_cut_in: set[str]) -> None:
    """Check a run that was seen through after one stop inside of some calls, or of none."""
    history = session.get_history()
    assert [message["role"] for message in history] == ["user", "assistant"] * TURNS
    assert history[-1]["content"][0]["text"] == "All done."
    found = results(session)
    assert found.keys() == CALLS.keys()
    for name, effect in CALLS.items():
        times = world.times(name)
        is_unknown = str(found[name]["content"]).startswith("Outcome unknown")
        assert is_unknown <= (effect == "other" and name in was_cut_in)
        assert is_unknown or times >= 1
        assert times <= (2 if name in was_cut_in and effect != "other" else 1)
    keys = dict(world.effects)
    assert len(set(world.effects)) == len(keys) == len(set(keys.values()))
    for call in world.calls:
        wanted, given = (
            [
                block[field]
                for message in call.messages
                for block in message["content"]
                if block_type(block) == kind
            ]
            for kind, field in (("tool_use", "id"), ("tool_result", "tool_use_id"))
        )
        assert wanted == given
    assert disk.state is not None
    assert disk.state["turns"] == TURNS
    assert disk.state["history"] == list(history)
    # And a later process finds the same.
    later = open_crashing(PLAN, disk, world)
    assert (later.get_history(), later.get_unfinished()) == (history, None)


def calls_in_doubt(disk: Disk) -> set[str]:
    """Return the calls that the disk knows to have begun, and not to have ended."""
    names = {
        (record.step, block["id"]): f"{block['name']} {block['input']['name']}"
        for record in disk.records
        if record.kind == "model_result"
        for block in record.body["content"]
        if block["type"] == "tool_use"
    }
    begun = {(r.step, r.key) for r in disk.records if r.kind == "tool_intent"}
    ended = {(r.step, r.key) for r in disk.records if r.kind == "tool_result"}
    return {names[place] for place in begun - ended}


async def see_through(session: AgentSession) -> RunResult | None:
    """Go on with a run that was stopped; one of which the disk knows nothing is begun anew."""
    if session.get_unfinished() is not None:
        return await session.resume()
    return None if session.get_history() else await session.message("Go")


def check_result(result: RunResult | None, world: World, calls_before: int) -> None:
    if result is None:  # it had finished
        assert len(world.calls) == calls_before
        return
    assert (result.text, result.turns) == ("All done.", TURNS)
    names = [f"{record.name} {record.input['name']}" for record in result.tool_calls]
    assert names == list(CALLS)
    assert len(world.calls) <= TURNS + 1


@pytest.mark.anyio
async def test_a_process_that_dies_at_any_point() -> None:
    for blows_at in range(1, 1 + len(await points())):
        disk, world = Disk(), World()
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - Crash, also in a group
            await open_crashing(PLAN, disk, world, Fuse(blows_at)).message("Go")
        assert not isinstance(caught.value, StorageError)
        in_doubt, asked = calls_in_doubt(disk), len(world.calls)

        session = open_crashing(PLAN, disk, world)
        check_result(await see_through(session), world, asked)

        check(session, world, disk, was_cut_in=in_doubt)


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("in_new_process", [True, False])
async def test_a_disk_that_is_full_at_any_write(count: int, *, in_new_process: bool) -> None:
    whole = Disk()
    await open_crashing(PLAN, whole, World()).message("Go")
    for first in range(1, 1 + len(whole.commits)):
        disk, world = Disk(), World()
        journal = RefusingJournal(disk, first=first, count=count)
        session = open_crashing(PLAN, disk, world, journal=journal)
        with pytest.raises(StorageError, match="full"):
            await session.message("Go")
        in_doubt, asked = calls_in_doubt(disk), len(world.calls)

        if in_new_process:
            session = open_crashing(PLAN, disk, world)
        check_result(await see_through(session), world, asked)

        check(session, world, disk, was_cut_in=in_doubt)


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_at_any_point() -> None:
    for blows_at in range(1, 1 + len(await points())):
        disk, world = Disk(), World()
        with anyio.CancelScope() as scope:
            fuse = CancellingFuse(blows_at, scope)
            session = open_crashing(PLAN, disk, world, fuse)
            await session.message("Go")
        in_doubt, asked = calls_in_doubt(disk), len(world.calls)

        check_result(await see_through(session), world, asked)

        check(session, world, disk, was_cut_in=in_doubt)


def test_a_task_that_is_abandoned_at_any_point_while_its_write_goes_on() -> None:
    async def abandon(blows_at: int, disk: Disk, world: World) -> None:
        begun = asyncio.Event()
        session: list[AgentSession] = []

        async def run() -> None:
            await begun.wait()
            await session[0].message("Go")

        task = asyncio.create_task(run())
        fuse = AbandoningFuse(blows_at, task)
        session.append(open_crashing(PLAN, disk, world, fuse))
        begun.set()
        await asyncio.wait([task])

    # The loop's end waits for the thread that writes.
    for blows_at in range(1, 1 + len(asyncio.run(points()))):
        disk, world = Disk(), World()
        asyncio.run(abandon(blows_at, disk, world))
        in_doubt, asked = calls_in_doubt(disk), len(world.calls)

        async def go_on(
            disk: Disk = disk, world: World = world, asked: int = asked
        ) -> AgentSession:
            session = open_crashing(PLAN, disk, world)
            check_result(await see_through(session), world, asked)
            return session

        check(asyncio.run(go_on()), world, disk, was_cut_in=in_doubt)


def test_the_points_are_those_of_every_record_and_every_effect() -> None:
    passed = asyncio.run(points())

    commits = [point for point in passed if point.endswith(("_intent", "_result", "_finished"))]
    assert {point.split()[0] for point in commits} == {"before", "after"}
    for name in CALLS:
        assert {f"before {name}", f"after {name}"} <= set(passed)
    assert passed.count("before model") == TURNS
    assert issubclass(Crash, BaseException)
    assert not issubclass(Crash, Exception)

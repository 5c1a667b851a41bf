"""Whole runs on the simulator, which answers at once: what is measured is all that the library adds."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, Target
from sdk_workflow.tools.schema import tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.benchmarking.operations import Entry
    from sdk_workflow.benchmarking.parts import Parts

__all__ = ["open_suite"]

_PLAN = Target(
    10e6, "p95"
)  # the plan: the wrapped call takes less than 10 ms more than the bare one
_ITEM_GOAL = Target(15e3)
_ITEMS, _CONCURRENCY = 20, 10
_EMPTY_ITEMS = 400


async def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return str(a + b)


@contextmanager
def open_suite(folder: Path, parts: Parts) -> Iterator[Sequence[Entry]]:
    """Prepare a runtime on the simulator, with its state in a folder."""
    with ExitStack() as stack:
        open_session = stack.enter_context(parts.simulated(folder))
        runs = _Runs(open_session)
        yield [
            *_single_runs(runs),
            Operation(
                name=f"run, one of {_ITEMS} at {_CONCURRENCY} at once",
                repeat=_fan_out(parts, runs.plain, _ITEMS),
                is_async=True,
                items=_ITEMS,
            ),
            Operation(
                name="fan-out, an item without a run",
                repeat=_fan_out(parts, _nothing, _EMPTY_ITEMS),
                is_async=True,
                items=_EMPTY_ITEMS,
                goal=_ITEM_GOAL,
            ),
        ]


def _single_runs(runs: _Runs) -> list[Entry]:
    work: dict[str, tuple[Callable[[], Awaitable[object]], Target | None]] = {
        "session: open, close": (runs.nothing, None),
        "run, plain": (runs.plain, _PLAN),
        "run, streamed": (runs.streamed, _PLAN),
        "run, answered by the exact cache": (runs.repeated, _PLAN),
        "run, one tool call": (runs.with_tool, None),
        "run, plain, kept on disk": (runs.kept, None),
    }
    return [
        Operation(name=name, repeat=_again(run), is_async=True, plan=plan)
        for name, (run, plan) in work.items()
    ]


class _Runs:
    """A run of each kind, in a session of its own; every question but one is new to the cache."""

    def __init__(self, open_session: Callable[..., AgentSession]) -> None:
        self._open = open_session
        self._number = itertools.count()
        self._add = tool(add)

    async def nothing(self) -> None:
        async with self._open():
            pass

    async def plain(self) -> None:
        await self._ask(self._question(), stream=False)

    async def streamed(self) -> None:
        await self._ask(self._question(), stream=True)

    async def repeated(self) -> None:
        await self._ask("How high is the tower?", stream=False)

    async def kept(self) -> None:
        await self._ask(self._question(), stream=False, journal=True)

    async def with_tool(self) -> None:
        question = f"Use add with a={next(self._number)} and b=3."
        if await self._ask(question, stream=False, tools=[self._add]) != 1:
            raise RuntimeError("The simulated model did not call the tool.")

    async def _ask(self, text: str, *, stream: bool, **options: Any) -> int:
        async with self._open(**options) as session:
            result = await session.message(text, stream=stream)
        return len(result.tool_calls)

    def _question(self) -> str:
        return f"How high is tower {next(self._number)}?"


async def _nothing() -> None: ...


def _again(work: Callable[[], Awaitable[object]]) -> Callable[[int], Awaitable[None]]:
    async def loop(count: int) -> None:
        for _ in range(count):
            await work()

    return loop


def _fan_out(
    parts: Parts, work: Callable[[], Awaitable[object]], items: int
) -> Callable[[int], Awaitable[None]]:
    return _again(lambda: parts.fan_out(work, items, _CONCURRENCY))

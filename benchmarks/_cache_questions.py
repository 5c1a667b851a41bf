"""Many short questions that share a long system prompt: at once, and in the mix of a working day."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from benchmarks._cache_savings import PATTERNS, START, make_conversation, play, words
from benchmarks._virtual_time import LoopClock, run_in_virtual_time
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.pipeline import compose
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.middleware.prompt_cache import PromptCacheMiddleware, prewarm
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.physics import Physics
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.types import Call, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Reply, StreamEvent

__all__ = ["SENDERS", "Outcome", "ask_together", "ask_typical_mix"]

_QUESTIONS = 40
_SYSTEM_TOKENS = 5_000
_ANSWER = Thought(text=words(random.Random(1), 120))  # noqa: S311 - has to be repeatable


@dataclass(frozen=True, slots=True)
class Outcome:
    """Dollars for all questions, and seconds until the last answer."""

    usd: float
    seconds: float


class _Brief:
    def think(self, _params: Mapping[str, Any]) -> Thought:
        return _ANSWER


async def _uncached(calls: list[Call], send: Proceed) -> None:
    await _together(calls, send)


async def _automatic(calls: list[Call], send: Proceed) -> None:
    marked = [
        Call.from_params({**call.to_params(), "cache_control": {"type": "ephemeral"}})
        for call in calls
    ]
    await _together(marked, send)


async def _ours_at_once(calls: list[Call], send: Proceed) -> None:
    optimizer = PromptCacheOptimizer(clock=LoopClock())
    middleware = PromptCacheMiddleware(optimizer, max_wait_seconds=0)
    await _together(calls, compose([middleware], send))


async def _ours(calls: list[Call], send: Proceed) -> None:
    middleware = PromptCacheMiddleware(PromptCacheOptimizer(clock=LoopClock()))
    await _together(calls, compose([middleware], send))


async def _ours_prewarmed(calls: list[Call], send: Proceed) -> None:
    optimizer = PromptCacheOptimizer(clock=LoopClock())
    await prewarm(optimizer, calls[0], send)
    await _together(calls, compose([PromptCacheMiddleware(optimizer)], send))


SENDERS: dict[str, Callable[[list[Call], Proceed], Awaitable[None]]] = {
    "uncached": _uncached,
    "automatic caching": _automatic,
    "ours, nobody waits": _ours_at_once,
    "ours": _ours,
    "ours, pre-warmed": _ours_prewarmed,
}


async def _together(calls: list[Call], send: Proceed) -> None:
    async def ask(call: Call) -> None:
        await send(call)

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(ask, call)


def ask_together(
    sender: Callable[[list[Call], Proceed], Awaitable[None]],
    model: str,
    seed: int,
    *,
    is_streamed: bool,
) -> Outcome:
    """Ask 40 questions at once, in simulated time."""
    found: Outcome = run_in_virtual_time(_ask_together, sender, model, seed, is_streamed)
    return found


async def _ask_together(
    sender: Callable[[list[Call], Proceed], Awaitable[None]],
    model: str,
    seed: int,
    is_streamed: bool,  # noqa: FBT001 - the virtual loop hands arguments on by position
) -> Outcome:
    source = random.Random(seed)  # noqa: S311 - has to be repeatable
    system = words(source, _SYSTEM_TOKENS)
    calls = [
        Call(
            model=model,
            system=system,
            messages=({"role": "user", "content": words(source, source.randint(20, 80))},),
            max_tokens=400,
            emit=_ignore if is_streamed else None,
        )
        for _ in range(_QUESTIONS)
    ]
    clock = LoopClock()
    engine = Engine(clock=clock, brain=_Brief(), seed=seed)
    transport = SimulatorTransport(Simulation(engine, clock=clock, physics=Physics(seed=seed)))
    total: list[float] = []

    async def send(call: Call) -> Reply:
        reply = await transport.send(call)
        total.append(_price(model, reply.usage))
        return reply

    await sender(calls, send)
    return Outcome(sum(total), clock.monotonic())


async def _ignore(_event: StreamEvent) -> None:
    """Take an event."""


def ask_typical_mix(
    way: Callable[[VirtualClock], Callable[[Call], Call]], model: str, seed: int
) -> float:
    """Return the dollars of a working day.

    Four conversations with tools (three at work, one with a pause now and then), one chat that is
    taken up every half hour, 60 questions one after the other to one system prompt, and 20 prompts
    of their own that nobody sends twice.
    """
    clock = VirtualClock(START)
    build = way(clock)
    usd = 0.0
    patterns = ["working: user 20-240 s"] * 3 + ["one pause in 6 questions", "every turn 6-50 min"]
    for number, pattern in enumerate(patterns):
        conversation = make_conversation(100 * seed + number, PATTERNS[pattern], prefix=number)
        session = f"session {number}"
        usd += play(conversation, build, model=model, clock=clock, session=session).usd
        clock.advance(600)
    return usd + _questions(build, model, seed, clock)


def _questions(build: Callable[[Call], Call], model: str, seed: int, clock: VirtualClock) -> float:
    source = random.Random(f"questions {seed}")  # noqa: S311 - has to be repeatable
    engine = Engine(clock=clock, brain=_Brief(), seed=seed)
    shared = words(source, 3_000)
    usd = 0.0
    for number in range(80):
        clock.advance(source.uniform(2, 150))
        is_own = number % 4 == 0
        call = Call(
            model=model,
            system=None if is_own else shared,
            messages=({"role": "user", "content": words(source, 2_500 if is_own else 60)},),
            max_tokens=400,
            operation="document" if is_own else "question",
        )
        usage = engine.create(build(call).to_params()).message()["usage"]
        usd += _price(model, Usage.from_api(usage))
    return usd


def _price(model: str, usage: Usage) -> float:
    price = default_catalog().price(model, usage)
    return 0.0 if price is None else price.usd

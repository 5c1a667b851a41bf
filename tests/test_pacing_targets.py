"""What pacing is held to: the ideal nearly reached, and next to nothing refused.

The benchmark beside it shows more rounds and the usual ways to compare with.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import anyio
import pytest

from benchmarks._pacing import PACED, POLICIES, SCENARIOS, simulate
from sdk_workflow.middleware.rate_limit import RateLimitMiddleware
from sdk_workflow.middleware.retry import RetryMiddleware
from sdk_workflow.simulator.physics import Physics
from sdk_workflow.testing import LoopClock, Simulator, run_virtual
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from sdk_workflow.protocols import Middleware


@pytest.mark.parametrize("name", SCENARIOS)
def test_600_calls_come_near_the_ideal_with_one_percent_refused_at_most(name: str) -> None:
    outcomes = [simulate(SCENARIOS[name], policy=PACED, seed=seed) for seed in range(3)]
    assert median(outcome.makespan for outcome in outcomes) <= SCENARIOS[name].at_most
    assert median(outcome.refused_share for outcome in outcomes) <= 0.01


def test_nothing_beats_the_ideal_and_no_fixed_number_is_refused_as_little() -> None:
    for policy in POLICIES:
        outcome = simulate(SCENARIOS["400k tokens a minute"], policy=policy, seed=0)
        assert outcome.makespan >= 1
        assert (outcome.refused_share > 0.2) == (policy != PACED)


@pytest.mark.parametrize("physics", [None, Physics(jitter=0)], ids=["at once", "as slow as real"])
@pytest.mark.parametrize(
    ("limits", "calls", "ideal_seconds"),
    [
        ("rpm=600,burst_seconds=1", 300, 29),
        ("rpm=60,burst_seconds=1", 60, 59),
        # about 656 tokens each
        ("itpm=60000,burst_seconds=1", 60, 38),
        ("itpm=60000,burst_seconds=10", 60, 29),
    ],
)
def test_buckets_that_hold_a_second_or_ten_are_used_as_fast_as_they_fill_up(
    limits: str, calls: int, ideal_seconds: float, physics: Physics | None
) -> None:
    clock = LoopClock()
    layers: list[Middleware] = [RetryMiddleware(clock=clock), RateLimitMiddleware(clock=clock)]
    simulator = Simulator(limits=limits, clock=clock, physics=physics, middleware=layers)

    async def ask_all() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(calls):
                content = f"{number}{' word' * 400}"
                message = {"role": "user", "content": content}
                call = Call(model="claude-haiku-5-5", messages=(message,), max_tokens=200)
                tasks.start_soon(simulator.client.create, call)

    run_virtual(ask_all)
    seconds = simulator.requests[-1].time - simulator.requests[0].time
    assert seconds <= 1.2 * ideal_seconds
    assert sum(asked.status == 429 for asked in simulator.requests) <= 10

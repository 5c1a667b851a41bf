"""How many calls a simulated Messages API answers, and what the parts around its engine cost.

    python benchmarks/benchmark_simulator.py [--rounds N] [--json FILE]

One process, one core, no network. Calls are plain ones of a few words, one after another, with a new
simulator per round, so that no round pays for the journal of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, interleave_async
from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.types import Call

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

_CALLS = 500
_LEAST_CALLS_A_SECOND = 2000
_PLENTY = "rpm=1e9,itpm=1e12,otpm=1e12"
_WHOLE = "transport, journal and limits"
_CALL = Call(
    model="claude-haiku-5-5",
    max_tokens=50,
    messages=({"role": "user", "content": "Hello, how are you?"},),
)


async def _engine_alone() -> None:
    engine = Engine(clock=SystemClock())
    params = _CALL.to_params()
    for _ in range(_CALLS):
        engine.create(params).message()


def _sending(call: Call, build: Callable[[], Simulation | None]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        transport = SimulatorTransport(build())
        for _ in range(_CALLS):
            await transport.send(call)

    return run


async def _forget(_event: Any) -> None:
    """Take an event and do nothing with it."""


async def speed_rows(rounds: int) -> list[Row]:
    """Measure calls a second, with more around the engine from row to row."""

    def whole() -> Simulation:
        return Simulation.build(limits=_PLENTY)

    streamed = Call(
        model=_CALL.model, max_tokens=_CALL.max_tokens, messages=_CALL.messages, emit=_forget
    )
    found = await interleave_async(
        {
            "engine": _engine_alone,
            "transport": _sending(_CALL, lambda: None),
            _WHOLE: _sending(_CALL, whole),
            "the same, streamed": _sending(streamed, whole),
        },
        rounds=rounds,
    )
    return [
        Row(
            name=name,
            series=Series([_CALLS / seconds for seconds in times.wall.values]),
            unit="calls/s",
            at_least=_LEAST_CALLS_A_SECOND if name == _WHOLE else None,
            digits=0,
        )
        for name, times in found.items()
    ]


def _main(arguments: argparse.Namespace) -> None:
    report = Report(f"The simulator: {_CALLS} calls in this process, one after another")
    report.begin()
    report.add("Calls a second", anyio.run(speed_rows, arguments.rounds))
    report.finish(arguments.json)


if __name__ == "__main__":
    _main(parse_arguments("Speed of the simulator.", rounds=15))

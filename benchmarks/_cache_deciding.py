"""What it takes to decide on one call: the optimiser's own time, beside what it leaves out."""

from __future__ import annotations

import json
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks._cache_savings import MODELS, PATTERNS, START, make_conversation, play
from benchmarks._report import Row
from benchmarks._timing import Series
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.cache import PromptCacheOptimizer

if TYPE_CHECKING:
    from sdk_workflow.types import Call

__all__ = ["deciding_rows"]

_REPEATS = 25
_MAX_US = 20.0


def deciding_rows(rounds: int) -> list[Row]:
    """Measure the last call of a conversation of 30, among others in their order."""
    calls: list[Call] = []

    def note(call: Call) -> Call:
        calls.append(call)
        return call

    play(make_conversation(3, PATTERNS["steady: 5-45 s"]), note, model=MODELS[0])
    ours = [_last_call_us(calls) for _ in range(rounds)]
    whole = [_serialised_us(calls[-1]) for _ in range(rounds)]
    return [
        Row(
            name="build_cached_request, 59 messages",
            series=Series(ours),
            unit="us",
            at_most=_MAX_US,
        ),
        Row(name="the same call as JSON text, once", series=Series(whole), unit="us"),
    ]


def _last_call_us(calls: list[Call]) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        clock = VirtualClock(START)
        optimizer = PromptCacheOptimizer(clock=clock)
        for call in calls[:-1]:
            clock.advance(20)
            optimizer.build_cached_request(call)
        clock.advance(20)
        began = perf_counter()
        optimizer.build_cached_request(calls[-1])
        best = min(best, perf_counter() - began)
    return best * 1e6


def _serialised_us(call: Call) -> float:
    params = call.to_params()
    best = float("inf")
    for _ in range(_REPEATS):
        began = perf_counter()
        json.dumps(params)
        best = min(best, perf_counter() - began)
    return best * 1e6

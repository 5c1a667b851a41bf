"""Operations of the managers that touch no disk, each ready to be called again and again.

The managers are as full as after a long day: thousands of calls, dozens of names.
"""

from __future__ import annotations

import itertools
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from benchmarks._timing import Series, percentile
from sdk_workflow.core.token_counter import CalibratingTokenCounter
from sdk_workflow.events import ModelCallFinished
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.managers.token_manager import TokenManager
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.core.cost_records import Reservation

__all__ = ["operations", "percentiles"]

_CALLS_BEFORE = 5_000
_CALLS_OF_A_ROUND = 500
_MODEL = "claude-sonnet-5-5"
_USAGE = Usage(input_tokens=900, cache_read_input_tokens=20_000, output_tokens=400)
_CALL = Call(
    model=_MODEL,
    messages=({"role": "user", "content": "Which of these is the longest? " * 30},),
    session_id="session-1",
)


def operations() -> dict[str, Callable[[], object]]:
    """Return every operation by its name."""
    return {**_of_tokens(), **_of_costs()}


def percentiles(
    work: Mapping[str, Callable[[], object]], *, rounds: int
) -> dict[str, tuple[Series, Series]]:
    """Return p50 and p95 of every operation, round by round, in microseconds.

    Each call is timed by itself; the operations of a round take turns in blocks.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for number in range(-1, rounds):
        for name, operation in work.items():
            taken = _times(operation)
            if number >= 0:
                found[name].append((percentile(taken, 0.5), percentile(taken, 0.95)))
    return {
        name: (Series([p50 for p50, _ in pairs]), Series([p95 for _, p95 in pairs]))
        for name, pairs in found.items()
    }


def _times(operation: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(_CALLS_OF_A_ROUND):
        started = perf_counter_ns()
        operation()
        taken.append((perf_counter_ns() - started) / 1000)
    return taken


def _of_tokens() -> dict[str, Callable[[], object]]:
    tokens, counter, number = TokenManager(), CalibratingTokenCounter(), itertools.count()
    params = _CALL.to_params()
    for index in range(_CALLS_BEFORE):
        tokens.update_tokens(_USAGE, **_names(index))
    counter.learn(params, 300)
    return {
        "tokens: update": lambda: tokens.update_tokens(_USAGE, **_names(next(number))),
        "tokens: update, same message": lambda: tokens.update_tokens(
            _USAGE, message_id="m", model=_MODEL
        ),
        "tokens: on_event": lambda: tokens.on_event(_finished(next(number))),
        "tokens: fill of the window": tokens.get_context_usage_pct,
        "tokens: predict an overflow": lambda: tokens.predict_overflow(5_000),
        "tokens: check a rate": lambda: tokens.check_rate_limit(60, 10**9),
        "tokens: last ten calls": tokens.get_usage_history,
        "tokens: analytics": tokens.get_analytics,
        "counter: count 900 bytes": lambda: counter.count(params),
        "counter: learn": lambda: counter.learn(params, 300),
    }


def _of_costs() -> dict[str, Callable[[], object]]:
    costs, number = CostManager(hard_limit_usd=1_000_000), itertools.count()
    for index in range(_CALLS_BEFORE):
        costs.calculate_cost(_USAGE, _MODEL, session_id=f"session-{index % 50}")

    reserved: list[Reservation] = []  # each round first reserves, then settles as many

    return {
        "costs: price and enter": lambda: costs.calculate_cost(_USAGE, _MODEL, session_id="s"),
        "costs: reserve": lambda: reserved.append(costs.reserve(_CALL)),
        "costs: settle": lambda: costs.settle(reserved.pop(), _USAGE),
        "costs: on_event": lambda: costs.on_event(_finished(next(number))),
        "costs: status of the budget": lambda: costs.check_budget_status(5.0),
        "costs: project": lambda: costs.project_session_cost(100),
        "costs: breakdown": costs.get_cost_breakdown,
        "costs: cache efficiency": costs.calculate_cache_efficiency,
        "costs: last ten calls": costs.get_cost_history,
    }


def _names(index: int) -> dict[str, Any]:
    return {
        "message_id": f"msg-{index}",
        "model": _MODEL,
        "session_id": f"session-{index % 50}",
        "operation": f"operation-{index % 8}",
    }


def _finished(index: int) -> ModelCallFinished:
    reply = Reply(
        id=f"reply-{index}", model=_MODEL, content=(), stop_reason="end_turn", usage=_USAGE
    )
    return ModelCallFinished(session_id="session-1", call=_CALL, reply=reply, duration_ms=1.0)

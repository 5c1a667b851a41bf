"""The managers as they are after a long day: thousands of calls, hundreds of sessions."""

from __future__ import annotations

import itertools
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, Target, times
from sdk_workflow.benchmarking.suites.checkpoints import checkpoint_entries
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.managers.token_manager import TokenManager
from sdk_workflow.types import Call, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry
    from sdk_workflow.benchmarking.parts import Parts

__all__ = ["PLAN", "open_suite"]

PLAN = Target(10e6, "p95")  # what the plan asks of every operation of a manager: below 10 ms
_GOAL = Target(20e3, "p95")
_CALLS_BEFORE = 5_000
_SESSIONS_BEFORE = 100
_LIMIT_USD = 1_000_000
_MODEL = "claude-sonnet-5-5"
_USAGE = Usage(input_tokens=900, cache_read_input_tokens=20_000, output_tokens=400)
_CALL = Call(
    model=_MODEL,
    messages=({"role": "user", "content": "Which of these is the longest? " * 30},),
    session_id="session-1",
)


@contextmanager
def open_suite(folder: Path, parts: Parts) -> Iterator[Sequence[Entry]]:
    """Prepare the managers in a folder."""
    catalog = ModelCatalog.load()
    with ExitStack() as stack:
        ledger = stack.enter_context(parts.open_ledger(folder / "ledger.sqlite"))
        home = folder / "checkpoints"
        checkpoints = stack.enter_context(CheckpointManager(home))
        sessions = stack.enter_context(SessionManager(folder / "sessions", catalog=catalog))
        in_memory = CostManager(hard_limit_usd=_LIMIT_USD, price_book=catalog)
        on_disk = CostManager(hard_limit_usd=_LIMIT_USD, price_book=catalog, ledger=ledger)
        yield [
            Operation(name="yardstick: a synced write of 4 KB", repeat=_synced_writes(folder)),
            *_of_tokens(TokenManager()),
            *_of_costs(in_memory),
            Operation(name="costs: reserve, settle; file", repeat=_hold(on_disk), plan=PLAN),
            *checkpoint_entries(checkpoints, home, plan=PLAN),
            *_of_sessions(sessions),
        ]


def _synced_writes(folder: Path) -> Callable[[int], None]:
    """Return what the disk makes of every durable change, whoever writes it."""
    path = folder / "yardstick"

    def write() -> None:
        with path.open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())

    return times(write)


def _of_tokens(tokens: TokenManager) -> list[Entry]:
    number = itertools.count()
    for _ in range(_CALLS_BEFORE):
        tokens.update_tokens(_USAGE, **_names(next(number)))

    def update() -> None:
        tokens.update_tokens(_USAGE, **_names(next(number)))

    return [
        Operation(name="tokens: update", repeat=times(update), plan=PLAN, goal=_GOAL),
        Operation(
            name="tokens: analytics", repeat=times(tokens.get_analytics), plan=PLAN, goal=_GOAL
        ),
    ]


def _names(index: int) -> dict[str, Any]:
    return {
        "message_id": f"msg-{index}",
        "model": _MODEL,
        "session_id": f"session-{index % 50}",
        "operation": f"operation-{index % 8}",
    }


def _of_costs(costs: CostManager) -> list[Entry]:
    for index in range(_CALLS_BEFORE):
        costs.calculate_cost(_USAGE, _MODEL, session_id=f"session-{index % 50}")

    def price() -> None:
        costs.calculate_cost(_USAGE, _MODEL, session_id="session-1")

    return [
        Operation(name="costs: price a call", repeat=times(price), plan=PLAN, goal=_GOAL),
        Operation(
            name="costs: reserve, settle; memory",
            repeat=_hold(costs),
            plan=PLAN,
            goal=Target(2 * _GOAL.limit, "p95"),  # they are two operations
        ),
    ]


def _hold(costs: CostManager) -> Callable[[int], None]:
    return times(lambda: costs.settle(costs.reserve(_CALL), _USAGE))


def _of_sessions(sessions: SessionManager) -> list[Entry]:
    for index in range(_SESSIONS_BEFORE):
        sessions.start_session(
            f"Review of file {index}", model=_MODEL, tags=["urgent"] if index % 4 == 0 else []
        )
    filters = {"tags": ["urgent"], "text": "review", "limit": 20}
    return [
        Operation(
            name="sessions: start", repeat=times(lambda: sessions.start_session("New")), plan=PLAN
        ),
        Operation(
            name="sessions: search",
            repeat=times(lambda: sessions.search_sessions(filters)),
            plan=PLAN,
        ),
    ]

"""Whatever the schedule: never a pico-dollar over the limit, and most of the budget is used."""

from __future__ import annotations

import random
import subprocess
import sys
from statistics import fmean, median
from typing import TYPE_CHECKING

import anyio
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _budget_schedules, reliability_budget
from benchmarks._budget_schedules import CALLERS, Schedule, simulate
from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.exceptions import BudgetExceeded, StreamInterrupted
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.middleware.budget import BudgetMiddleware
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.testing.virtual_time import LoopClock, run_virtual
from sdk_workflow.types import Call, Usage
from tests.scripted import text_reply

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sdk_workflow.protocols import Standing
    from sdk_workflow.types import Reply

SCHEDULES = 600


def test_random_schedules_never_pass_the_limit_and_use_the_budget() -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"--seed {seed}")  # noqa: T201 - a run that fails is repeated with it
    block = reliability_budget.run_block(seed, 0, SCHEDULES)
    assert block.faults == [], f"seed {seed}"
    assert median(share for _, share in block.usage) >= 0.94, f"seed {seed}"
    assert fmean(share for _, share in block.usage) >= 0.94, f"seed {seed}"
    assert min(share for _, share in block.usage) >= 15 / 16, f"seed {seed}"
    assert {callers for callers, _ in block.usage} <= set(CALLERS)


@given(st.integers(0, 2**32))
def test_no_schedule_passes_its_limit(seed: int) -> None:
    outcome = simulate(random.Random(seed))  # noqa: S311 - drawn to be repeated
    assert outcome.fault == ""
    assert max(outcome.billed, outcome.counted) <= outcome.schedule.limit


class ForgetfulLedger(MemoryLedger):
    """Lets a call through as long as anything is left: what peers do."""

    def reserve(
        self, scope: str, hold_id: str, amount: int, *, limit: int, expires_at: float, now: float
    ) -> Standing:
        limit = max(limit, amount) * 2
        return super().reserve(scope, hold_id, amount, limit=limit, expires_at=expires_at, now=now)


def test_the_simulation_notices_a_ledger_that_gives_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_budget_schedules, "MemoryLedger", ForgetfulLedger)
    outcomes = [simulate(random.Random(seed)) for seed in range(20)]  # noqa: S311 - repeatable
    assert sum("over the limit" in outcome.fault for outcome in outcomes) > 10


def test_every_kind_of_schedule_is_drawn() -> None:
    drawn = [Schedule.draw(random.Random(seed)) for seed in range(300)]  # noqa: S311 - repeatable
    assert {each.callers for each in drawn} == set(CALLERS)
    assert {each.is_plain for each in drawn} == {each.clamps for each in drawn} == {True, False}
    assert all(any(each.failures[kind] for each in drawn) for kind in range(4))


def test_the_same_seed_repeats_a_block() -> None:
    one, two = (reliability_budget.run_block(7, 3, 10) for _ in range(2))
    assert one == two


def test_the_long_run_says_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--schedules", "60", "--seed", "5", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["reliability_budget.py", *arguments])
    assert reliability_budget.main() in {0, 1}
    shown = capsys.readouterr().out
    assert "60 schedules, --seed 5" in shown
    assert "0 faults" in shown


def test_tasks_with_failures_never_pass_the_limit() -> None:
    source = random.Random(11)  # noqa: S311 - the same tasks in every run
    costs = CostManager(hard_limit_usd="0.15", clock=LoopClock())
    middleware = BudgetMiddleware(costs)
    asked = Call(model="claude-sonnet-5-5", messages=(), max_tokens=1000)
    answers = iter(range(10**6))

    async def send(_call: Call) -> Reply:
        await anyio.sleep(source.random())
        if source.random() < 0.1:
            raise StreamInterrupted("cut")
        usage = Usage(output_tokens=source.randrange(1001))
        return text_reply("x", id=f"msg_{next(answers)}", usage=usage)

    async def work() -> None:
        for _ in range(5):
            with anyio.move_on_after(source.choice((0.5, 100))):
                try:
                    await middleware(asked, send)
                except (BudgetExceeded, StreamInterrupted):
                    continue
            status = costs.check_budget_status(0.15)
            assert status["spent_usd"] + status["held_usd"] <= 0.15

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(work)

    run_virtual(main)
    report = costs.report()
    assert report.held.pico == 0
    assert report.total == report.spent
    assert 0.13 < report.spent.usd <= 0.15


def test_four_processes_with_one_ledger_never_pass_the_limit(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from sdk_workflow.exceptions import BudgetExceeded
from sdk_workflow.managers.cost_manager import CostManager
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.types import Call, Usage
costs = CostManager(hard_limit_usd="0.2", ledger=LedgerFile(Path(sys.argv[1])))
call = Call(model="claude-sonnet-5-5", messages=(), max_tokens=1000)
for index in range(40):
    try:
        reservation = costs.reserve(call)
    except BudgetExceeded:
        continue
    if index % 5 == 1:
        costs.forfeit(reservation)
    elif index % 5 != 2:
        costs.settle(reservation, Usage(output_tokens=300))
"""
    path = tmp_path / "ledger.sqlite"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [process.communicate()[1] for process in processes] == [b""] * 4
    standing = LedgerFile(path).standing("default", now=0.0)
    assert 0.18e12 < standing.spent + standing.held <= 0.2e12

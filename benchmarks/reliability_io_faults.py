"""Crashes, tears and fails every call that changes a file; nothing acknowledged may be lost.

    python benchmarks/reliability_io_faults.py [--scenarios NAME ...] [--modes NAME ...]
        [--samples N] [--seed S] [--workers W] [--folder DIR] [--without sync|busy-timeout]

A shim under the C library counts the calls of a process that saves, cleans up, migrates, backs up,
restores, books costs or keeps the catalogue. Then each of them is made to end otherwise, one at a
time: the process dies before it, after it, or with half of it written; it fails as on a full or a
failing disk, once or from there on; a lock is held by somebody else for a moment. Afterwards a fresh
process must find what was acknowledged, and get from there to the end. What a power loss leaves is
put together from what was written and what was synced, `--samples` at random for every moment
besides the least and the most. `--without` breaks the library, to show that this is noticed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import secrets
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from sdk_workflow.storage import session_connection, sqlite_file
from tests.reliability.fault_campaign import Campaign, warm_up
from tests.reliability.fault_shim import Mode, memory_folder, missing, run_again_under_shim
from tests.reliability.power_loss import PowerLoss
from tests.reliability.scenarios import SESSION_SCENARIOS
from tests.reliability.scenarios_books import BOOK_SCENARIOS

_SCENARIOS = {scenario.name: scenario for scenario in (*SESSION_SCENARIOS, *BOOK_SCENARIOS)}
_MODES = {mode.name.lower().replace("_", "-"): mode for mode in Mode if mode is not Mode.LIVE}
_POWER_LOSS = "power-loss"
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A share of one scenario's faults: those of one mode, every n-th of them."""

    scenario: str
    mode: str
    share: int
    shares: int
    seed: int
    samples: int
    folder: Path


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of some faults: how many of each ending, and what did not hold."""

    endings: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_task(task: Task) -> Found:
    """Let the faults of one task happen."""
    found = Found()
    with tempfile.TemporaryDirectory(dir=task.folder) as name:
        campaign = Campaign(_SCENARIOS[task.scenario], Path(name))
        if task.mode == _POWER_LOSS:
            _lose_power(campaign, task, Path(name), found)
        else:
            _fail_calls(campaign, task, found)
    return found


def _fail_calls(campaign: Campaign, task: Task, found: Found) -> None:
    points = list(campaign.points([_MODES[task.mode]]))
    for point in points[task.share :: task.shares]:
        try:
            found.endings[campaign.judge(point)] += 1
        except AssertionError as error:
            where = "lock" if point.mode is Mode.BUSY else f"call of {campaign.kinds}"
            found.faults.append(f"{task.scenario}, {task.mode} at {where} {point.at}: {error}")


def _lose_power(campaign: Campaign, task: Task, folder: Path, found: Found) -> None:
    source = random.Random(f"{task.seed}/{task.scenario}")  # noqa: S311 - to be repeated
    try:
        found.endings["power lost"] += PowerLoss(campaign, folder).judge(source, task.samples)
    except AssertionError as error:
        found.faults.append(f"{task.scenario}, --seed {task.seed}: {error}")


def tasks_of(given: argparse.Namespace, folder: Path) -> list[Task]:
    """Return the tasks, the long ones in shares, so that all workers end at about the same time."""
    tasks = []
    for scenario in given.scenarios:
        for mode in given.modes:
            shares = 1 if mode == _POWER_LOSS else given.workers
            tasks += [
                Task(
                    scenario=scenario,
                    mode=mode,
                    share=share,
                    shares=shares,
                    seed=given.seed,
                    samples=given.samples,
                    folder=folder,
                )
                for share in range(shares)
            ]
    return tasks


def run_all(tasks: list[Task], workers: int) -> Found:
    """Run all tasks, show how far they are and what came of each scenario, and return it all."""
    total, by_scenario = Found(), {task.scenario: Counter[str]() for task in tasks}
    context = multiprocessing.get_context("fork")  # children that have everything loaded
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        pending = {pool.submit(run_task, task): task for task in tasks}
        for number, done in enumerate(as_completed(pending), 1):
            found, task = done.result(), pending[done]
            by_scenario[task.scenario] += found.endings
            total.endings += found.endings
            total.faults += found.faults
            for fault in found.faults[:_MOST_SHOWN]:
                print(f"FAULT {fault}", flush=True)
            print(f"\r{number} of {len(tasks)} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for scenario, endings in by_scenario.items():
        shown = ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))
        print(f"{scenario:<18} {sum(endings.values()):>6,}  {shown}")
    return total


def break_library(part: str) -> None:
    """Take a safeguard away, to show that the campaign fails then."""
    if part == "sync":
        session_connection.SYNCHRONOUS["full"] = "off"
    elif part == "busy-timeout":
        sqlite_file.BUSY_TIMEOUT_SECONDS = 0.0


def main() -> int:
    """Run the campaign and show what came of it; 1 where something did not hold."""
    given = _arguments()
    reason = missing()
    if reason:
        print(f"Skipped: {reason}.")
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        return _campaign(given, Path(name))


def _campaign(given: argparse.Namespace, folder: Path) -> int:
    print(f"seed {given.seed}", flush=True)
    break_library(given.without)
    warm_up([each for each in _SCENARIOS.values() if not each.changes_library], folder / "warm")
    started = perf_counter()
    total = run_all(tasks_of(given, folder), given.workers)
    seconds, count = perf_counter() - started, sum(total.endings.values())
    print(
        f"{count + len(total.faults):,} faults in {seconds:.0f} s"
        f" ({(count + len(total.faults)) / seconds:.0f}/s),"
        f" {len(total.faults)} of them lost or broke something"
    )
    return int(bool(total.faults))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenarios", nargs="+", choices=_SCENARIOS, default=[*_SCENARIOS])
    modes = [*_MODES, _POWER_LOSS]
    parser.add_argument("--modes", nargs="+", choices=modes, default=modes)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=memory_folder())
    parser.add_argument("--without", choices=["nothing", "sync", "busy-timeout"], default="nothing")
    return parser.parse_args()


if __name__ == "__main__":
    if not missing():
        run_again_under_shim()
    sys.exit(main())

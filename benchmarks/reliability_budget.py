"""Random schedules under a hard limit: never a pico-dollar over, and most of the budget used.

    python benchmarks/reliability_budget.py [--schedules N] [--seed S] [--workers W]

Every block of schedules has a seed of its own, made of the given one and the number of the block;
a fault is shown with the arguments that repeat it.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sys
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean, median
from time import perf_counter
from typing import NamedTuple

from benchmarks._budget_schedules import CALLERS, simulate

_BLOCK = 500
_TARGET = 0.94


class Block(NamedTuple):
    """What came of the schedules of one block.

    Attributes:
        number: Which block.
        calls: How many calls were sent.
        faults: What went wrong, in words.
        usage: Callers and used share of the budget, of each plain schedule.
    """

    number: int
    calls: int
    faults: list[str]
    usage: list[tuple[int, float]]


def run_block(seed: int, number: int, schedules: int) -> Block:
    """Run the schedules of one block."""
    source = random.Random(f"{seed}/{number}")  # noqa: S311 - schedules are drawn to be repeated
    outcomes = [simulate(source) for _ in range(schedules)]
    return Block(
        number,
        sum(outcome.calls for outcome in outcomes),
        [outcome.fault for outcome in outcomes if outcome.fault],
        [
            (outcome.schedule.callers, outcome.billed / outcome.schedule.limit)
            for outcome in outcomes
            if outcome.schedule.is_plain
        ],
    )


def main() -> int:
    """Run all schedules and show what came of them; 1 where something went wrong."""
    arguments = _arguments()
    seed, started = arguments.seed, perf_counter()
    sizes = [
        min(_BLOCK, arguments.schedules - first) for first in range(0, arguments.schedules, _BLOCK)
    ]
    print(f"{arguments.schedules:,} schedules, --seed {seed}", flush=True)
    done = calls = 0
    faults: list[str] = []
    usage: list[tuple[int, float]] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        numbers = range(len(sizes))
        for block in pool.map(run_block, [seed] * len(sizes), numbers, sizes, chunksize=1):
            done += sizes[block.number]
            calls += block.calls
            faults += [f"block {block.number} of --seed {seed}: {each}" for each in block.faults]
            usage += block.usage
            if block.number % 20 == 0:
                _show_progress(done, arguments.schedules, perf_counter() - started)
    print(f"\n{done:,} schedules, {calls:,} calls, {len(faults)} faults", *faults[:10], sep="\n")
    return int(bool(faults) | _show_usage(usage))


def _show_progress(done: int, of: int, seconds: float) -> None:
    rate = done / seconds
    left = (of - done) / rate
    print(f"{done:>10,} of {of:,}  {rate:,.0f}/s  {left:,.0f} s left", file=sys.stderr, flush=True)


def _show_usage(usage: list[tuple[int, float]]) -> bool:
    """Show how much of a budget of 16 maximal calls was used; return whether it is too little."""
    print("\ncallers  schedules  median     mean       least      (share of the budget)")
    missed = False
    for callers in CALLERS:
        shares = [share for count, share in usage if count == callers]
        if shares:
            figures = (median(shares), fmean(shares), min(shares))
            missed |= figures[0] < _TARGET
            cells = "  ".join(f"{figure:.4%}" for figure in figures)
            print(f"{callers:>7}  {len(shares):>9,}  {cells}")
    return missed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

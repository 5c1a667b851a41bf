"""Cuts and flips every file of a state folder; each damage must be noticed or change nothing.

    python benchmarks/reliability_bit_flips.py [--things session|ledger|catalogue ...] [--flips N]
        [--cut-every BYTES] [--seed S] [--workers W] [--folder DIR] [--without hash]

Session file, log and head, ledger, catalogue and records, each closed and as a crash leaves it with
its log or journal. The files of sessions and ledgers are cut at every `--cut-every` bytes, those of
the catalogue, which is made anew each time, at every 512. `--without hash` breaks the library, to
show that this is noticed.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.storage import frames
from sdk_workflow.storage.snapshots import Value
from tests.reliability.damage import count_outcomes, cuts, flips, write_session
from tests.reliability.damage_books import write_catalogue, write_ledger
from tests.reliability.fault_shim import memory_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reliability.damage import Whole

_WRITERS: dict[str, Callable[..., Whole]] = {
    "session": write_session,
    "ledger": write_ledger,
    "catalogue": write_catalogue,
}
# Flips by what is damaged: a catalogue takes ten times as long, because it is made anew.
_SHARES = {"session": 0.7, "ledger": 0.25, "catalogue": 0.05}
_CATALOGUE_CUTS = 512
_PARTS = 8


class Task(NamedTuple):
    """Some of the damages of one thing."""

    what: str
    crashed: bool
    number: int
    flips: int
    cut_every: int
    seed: int
    folder: Path | None
    without: str


def run_task(task: Task) -> Counter[str]:
    """Do the damages of one task; what is wrong fails."""
    if task.without == "hash":
        frames.Replay.snapshot = _unchecked  # type: ignore[method-assign,assignment]
    with tempfile.TemporaryDirectory(dir=task.folder) as name:
        folder = Path(name)
        whole = _WRITERS[task.what](folder, crashed=task.crashed)
        outcomes = count_outcomes(folder, whole, flips(whole, task.flips, task.seed + task.number))
        cases = islice(cuts(whole, task.cut_every), task.number, None, _PARTS)
        return outcomes + count_outcomes(folder, whole, cases)


def _unchecked(self: frames.Replay, _frame: frames.Frame) -> dict[str, Any]:
    return {key: Value.of(pieces.joined()) for key, pieces in self._keys.items()}


def main() -> int:
    """Do all damages and show what came of them; 1 where something was wrong."""
    given = _arguments()
    print(f"seed {given.seed}", flush=True)
    tasks = _tasks(given)
    started = perf_counter()
    outcomes = {(task.what, task.crashed): Counter[str]() for task in tasks}
    faults = []
    with ProcessPoolExecutor(given.workers) as pool:
        pending = {pool.submit(run_task, task): task for task in tasks}
        for number, done in enumerate(as_completed(pending), 1):
            task = pending[done]
            try:
                outcomes[task.what, task.crashed] += done.result()
            except AssertionError as error:
                faults.append(f"{task.what}, crashed={task.crashed}: {str(error)[:1000]}")
            print(f"\r{number} of {len(tasks)} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _show(outcomes, perf_counter() - started)
    print(
        *[f"WRONG {fault}" for fault in faults], f"{len(faults)} parts with a wrong read", sep="\n"
    )
    return int(bool(faults))


def _tasks(given: argparse.Namespace) -> list[Task]:
    sources = random.Random(given.seed)  # noqa: S311 - to be repeated
    return [
        Task(
            what=what,
            crashed=crashed,
            number=number,
            flips=-(-int(given.flips * share) // (2 * _PARTS)),
            cut_every=_CATALOGUE_CUTS if what == "catalogue" else given.cut_every,
            seed=sources.randrange(2**32),
            folder=given.folder,
            without=given.without,
        )
        for what, share in _SHARES.items()
        if what in given.things
        for crashed in (False, True)
        for number in range(_PARTS)
    ]


def _show(outcomes: dict[tuple[str, bool], Counter[str]], seconds: float) -> None:
    count = 0
    for (what, crashed), found in outcomes.items():
        shown = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(found.items()))
        print(f"{what:<10} {'crashed' if crashed else 'closed':<8} {shown}")
        count += sum(found.values())
    print(f"{count:,} damages in {seconds:.0f} s ({count / seconds:,.0f}/s)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--things", nargs="+", choices=_SHARES, default=[*_SHARES])
    parser.add_argument("--flips", type=int, default=100_000)
    parser.add_argument("--cut-every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=memory_folder())
    parser.add_argument("--without", choices=["nothing", "hash"], default="nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Four processes on one ledger, killed at any moment: what they were told stays true."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.storage.ledger_file import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.protocols import Standing

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX")

LIMIT = 100_000
PROGRAM = """
import sys, time
from pathlib import Path
from sdk_workflow.storage.ledger_file import LedgerFile
ledger, me = LedgerFile(Path(sys.argv[1])), sys.argv[2]
print("begun", flush=True)
for index in range(10_000):
    hold_id = f"{me}-{index}"
    if not ledger.reserve("run", hold_id, 10, limit=100_000, expires_at=9e9, now=0.0).is_done:
        break
    print("held", hold_id, flush=True)
    time.sleep(0.005)  # the call is under way
    if index % 5 == 1:
        ledger.forfeit("run", hold_id, now=0.0)
        print("forfeited", hold_id, flush=True)
    else:
        ledger.settle("run", hold_id, 3, now=0.0)
        print("settled", hold_id, flush=True)
"""
COUNTS = {"held": 10, "settled": 3, "forfeited": 10}


def start(path: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), name], stdout=subprocess.PIPE, text=True
    )


def test_what_killed_processes_were_told_is_still_in_the_ledger(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201 - a run that fails is repeated with it
    source, path = random.Random(seed), tmp_path / "ledger.sqlite"  # noqa: S311 - repeatable
    told: dict[str, str] = {}
    kills = 0
    for cycle in range(4):
        processes = [start(path, f"{cycle}.{number}") for number in range(4)]
        watched = source.choice(processes)
        said = [next(watched.stdout or iter(())) for _ in range(source.randrange(4, 40))]
        for process in processes:
            process.kill()
        for process in processes:
            said += process.communicate()[0].splitlines(keepends=True)
            kills += process.returncode == -9
        told.update(heard(said))
    assert kills == 16
    ledger = LedgerFile(path)
    ledger.verify()
    standing = ledger.standing("run", now=0.0)
    assert len(told) > 20, seed
    # A settlement that was not told yet may be in the file, and takes seven off its hold.
    known = sum(COUNTS[event] for event in told.values())
    in_doubt = 7 * sum(event == "held" for event in told.values())
    counted = standing.spent + standing.held
    # One hold of each killed process, and its end, may be in the file before it was told.
    assert known - in_doubt <= counted <= known + 10 * kills
    assert not reserve(ledger, "too much", LIMIT - counted + 1).is_done
    assert reserve(ledger, "the rest", LIMIT - counted).is_done
    for hold_id, event in told.items():
        found = reserve(ledger, hold_id, 10)
        assert found.is_done, hold_id
        assert found.amount in ({3, 10} if event == "held" else {COUNTS[event]}), hold_id


def reserve(ledger: LedgerFile, hold_id: str, amount: int) -> Standing:
    return ledger.reserve("run", hold_id, amount, limit=LIMIT, expires_at=9e9, now=0.0)


def heard(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each hold and what was told of it; a line that was cut off tells nothing."""
    for line in lines:
        event, _, hold_id = line.partition(" ")
        if hold_id.endswith("\n"):
            yield hold_id.strip(), event

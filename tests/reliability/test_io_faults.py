"""Every call of a save that crashes, tears or fails; `benchmarks/reliability_io_faults.py` has them all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.fault_shim import missing

PROJECT = Path(__file__).parents[2]
FAULTS = ("crash-before", "half", "enospc", "eio")

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it can be used")


def campaign(*arguments: str, scenarios: tuple[str, ...]) -> tuple[int, str]:
    """Return how many faults there were and what was said of those that broke something."""
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/reliability_io_faults.py"),
            *("--scenarios", *scenarios, *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        # Not into the coverage files: a process that is struck down leaves them torn.
        env={**os.environ, "PYTHONPATH": str(PROJECT), "COVERAGE_PROCESS_CONFIG": ""},
        timeout=55,
    )
    found = re.search(r"^([\d,]+) faults .* (\d+) of them", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout + done.stderr
    assert done.returncode == int(found[2] != "0"), done.stdout + done.stderr
    return int(found[1].replace(",", "")), "".join(
        re.findall(r"^FAULT .*", done.stdout, re.MULTILINE)
    )


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["save-first", "save-delta", "save-keyframe"])
def test_a_save_loses_nothing_whichever_of_its_calls_fails(scenario: str) -> None:
    count, faults = campaign("--modes", *FAULTS, scenarios=(scenario,))
    assert not faults
    assert count > 100


def test_a_power_loss_at_any_moment_of_a_commit_loses_nothing_acknowledged() -> None:
    count, faults = campaign(
        *("--modes", "power-loss", "--samples", "1"), scenarios=("save-delta", "ledger-first")
    )
    assert not faults
    assert count > 60


def test_a_lock_that_somebody_holds_for_a_moment_is_waited_for() -> None:
    count, faults = campaign("--modes", "busy", scenarios=("save-delta", "ledger-first"))
    assert not faults
    assert count > 40


def test_a_save_that_is_not_synced_is_found_out() -> None:
    _, faults = campaign(
        *("--modes", "power-loss", "--samples", "0", "--without", "sync"),
        scenarios=("save-delta",),
    )
    assert "power lost" in faults


def test_a_lock_that_is_not_waited_for_is_found_out() -> None:
    _, faults = campaign(
        "--modes", "busy", "--without", "busy-timeout", scenarios=("ledger-first",)
    )
    assert "file_busy" in faults

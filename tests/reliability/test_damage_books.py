"""Turned bits and cuts of ledger and catalogue: noticed, or as it was at some moment."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.reliability.damage import count_outcomes, cuts, flips
from tests.reliability.damage_books import write_catalogue, write_ledger
from tests.reliability.test_io_faults import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.reliability.damage import Whole


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize(("write", "count"), [(write_ledger, 400), (write_catalogue, 60)])
def test_turned_bits_are_noticed_or_harmless(
    write: Callable[..., Whole], count: int, crashed: bool, tmp_path: Path  # noqa: FBT001
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    whole = write(tmp_path, crashed=crashed)
    outcomes = count_outcomes(tmp_path, whole, flips(whole, count, seed))
    assert sum(outcomes.values()) == count
    assert outcomes["noticed"] > 0


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize(("write", "step"), [(write_ledger, 257), (write_catalogue, 8191)])
def test_cuts_are_noticed_or_harmless(
    write: Callable[..., Whole], step: int, crashed: bool, tmp_path: Path  # noqa: FBT001
) -> None:
    whole = write(tmp_path, crashed=crashed)
    outcomes = count_outcomes(tmp_path, whole, cuts(whole, step))
    assert outcomes["noticed"] > 10


@pytest.mark.slow
@pytest.mark.parametrize(("without", "code"), [("nothing", 0), ("hash", 1)])
def test_a_hash_that_is_not_checked_is_found_out(without: str, code: int) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/reliability_bit_flips.py", "--things", "session"),
            *("--flips", "3000", "--cut-every", "8000", "--without", without, "--seed", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        timeout=55,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("is wrong" in done.stdout) == bool(code)

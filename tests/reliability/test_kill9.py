"""A few kills of a real agent run; `benchmarks/reliability_kill9.py` does as many as one likes."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX")


def test_a_run_that_is_killed_again_and_again_is_resumed_to_its_end(tmp_path: Path) -> None:
    seed = random.randint(0, 10**6)  # noqa: S311 - shown where it fails
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/reliability_kill9.py"),
            *("--cycles", "16", "--seed", str(seed), "--folder", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        timeout=55,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    kills = re.search(r"(\d+) kills in (\d+) runs of (\d+) points", done.stdout)
    assert kills is not None
    assert int(kills[1]) >= 16
    assert int(kills[3]) > 40

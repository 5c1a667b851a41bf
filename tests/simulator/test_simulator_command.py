"""`sdk_workflow simulate`: every option does what it says, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.simulator.simulated import HEADERS, params

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.socket,
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]


@contextlib.contextmanager
def simulating(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command; at the end it is interrupted as by Ctrl-C."""
    command = [sys.executable, "-m", "sdk_workflow", "simulate", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.send_signal(signal.SIGINT)


def post(url: str, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/messages", json=params(), headers={**HEADERS, **headers})


def refused(*options: str) -> str:
    """Return what is said about options that cannot work; the exit code is that of wrong usage."""
    command = [sys.executable, "-m", "sdk_workflow", "simulate", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_script_faults_limits_and_journal_are_honoured(tmp_path: Path) -> None:
    script, faults = tmp_path / "script.json", tmp_path / "faults.toml"
    script.write_text(json.dumps(["Scripted."]))
    faults.write_text('script = ["ok", "503"]\n')
    journal = tmp_path / "journal.json"
    options = ("--script", str(script), "--faults", str(faults), "--limits", "rpm=1")
    with simulating(*options, "--journal", str(journal)) as (url, process):
        answers = [post(url, **{"x-api-key": key}) for key in ("a", "a", "a")]
        assert [answer.status_code for answer in answers] == [200, 503, 400]
        assert answers[0].json()["content"][0]["text"] == "Scripted."
        assert answers[0].headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert "no reply is left" in answers[2].text
        assert httpx2.get(f"{url}/__sim/journal").json()["count"] == 3
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"3 requests are in {journal}" in errors
    written = json.loads(journal.read_text())
    assert [request["status"] for request in written["requests"]] == [200, 503, 400]
    assert list(tmp_path.iterdir()) != []
    assert not list(tmp_path.glob("*.tmp"))


def test_physics_takes_time_and_lenient_tolerates_unknown_features(tmp_path: Path) -> None:
    journal = tmp_path / "journal.json"
    unknown = {"anthropic-beta": "something-new-2027-01-01"}
    with simulating("--physics", "real", "--lenient", "--journal", str(journal)) as (url, process):
        assert post(url, **unknown).status_code == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    entry = json.loads(journal.read_text())["requests"][0]
    assert 0.3 < entry["first_byte_seconds"] < 5


def test_without_options_nothing_takes_time_and_unknown_features_are_refused() -> None:
    with simulating("--strict") as (url, _):
        assert post(url, **{"anthropic-beta": "something-new-2027-01-01"}).status_code == 400
        assert post(url).status_code == 200
        entry = httpx2.get(f"{url}/__sim/journal").json()["requests"][1]
    assert entry["first_byte_seconds"] < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--faults", "trunkate"), "Did you mean 'truncate'?"),
        (("--faults", ""), "The faults are empty"),
        (("--faults", "529:times=0"), "times is '0'"),
        (("--limits", "opsu.rpm=1"), "Did you mean 'opus'?"),
        (("--limits", "rmp=5"), "Did you mean 'rpm'?"),
        (("--script", "missing.json"), "missing.json cannot be read"),
        (("--journal", "missing/journal.json"), "there is no folder"),
        (("--physics", "slow"), "'off', 'real'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_before_anything_starts(
    options: tuple[str, ...], message: str
) -> None:
    assert message in " ".join(refused(*options).replace("│", " ").split())

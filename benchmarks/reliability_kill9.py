"""Kills an agent run with SIGKILL again and again; it must be resumed to its end, each effect once.

    python benchmarks/reliability_kill9.py [--cycles N] [--seed S] [--folder DIR]

Every run appends lines to a file through tools of all three effect classes. It is killed up to
three times: at a point of its own (before and behind every write of the journal, every effect and
every answer of the model, each point in its turn) or at a random time. What must hold then:

- nothing that the journal acknowledged is missing, and the session's file checks out;
- an effect that is not idempotent happened at most once, and exactly once where the model was told
  that it did; an idempotent one is there exactly once;
- every tool call in the history has its result, and the run has reached its end.

The page cache survives a kill: power loss is another program's business.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks._kill9_victim import EFFECTS, PLAN, SESSION_ID, Gun, run_victim
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import session_path

_KILLS_OF_A_RUN = 3
_AFTER_THE_END = 1.1  # of the time of a whole run: some kills come too late
_PROGRESS_SECONDS = 10.0
# Loaded once, before any child is forked: 0.1 of the 0.13 s of CPU that a run took without.
_WARM = ("anyio._backends._asyncio", "docstring_parser", "jsonschema_rs", "pydantic", "sqlite3")


class Shot(NamedTuple):
    """How one process is to end: at a point, at a time, or by itself (neither)."""

    point: int = 0
    seconds: float | None = None


class Ended(NamedTuple):
    """How one process ended: killed or not, and what it said before."""

    was_killed: bool
    acknowledged: int
    points: int
    seconds: float


def run_process(folder: Path, shot: Shot) -> Ended:
    """Let a process of its own go on with the run, and shoot it as told."""
    reading, writing = os.pipe()
    started = perf_counter()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_victim(folder, shot.point, writing)
    os.close(writing)
    if shot.seconds is not None:
        threading.Event().wait(shot.seconds)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().split()
    _, status = os.waitpid(child, 0)
    seconds = perf_counter() - started
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status != 0:
        raise AssertionError(f"The run ended with status {status}; see its message above.")
    numbers = [int(word) for word in said]
    points = -numbers.pop() if numbers and numbers[-1] < 0 else 0
    return Ended(killed, max(numbers, default=0), points, seconds)


def _be_victim(folder: Path, point: int, writing: int) -> None:
    """Run in the child, which never returns."""
    import anyio

    code = 1
    try:
        gun = Gun(point, lambda safe: _tell(writing, safe))
        anyio.run(run_victim, folder, gun)
        _tell(writing, -gun.points)
        code = 0
    except BaseException:  # noqa: BLE001 - the child must not go on with the parent's business
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _tell(writing: int, number: int) -> None:
    os.write(writing, b"%d\n" % number)


def check_acknowledged(folder: Path, acknowledged: int) -> None:
    """Expect all records that the journal called safe, on a file that checks out."""
    path = session_path(folder, SESSION_ID)
    if not acknowledged:
        return
    with SessionFile.open(path, session_id=SESSION_ID, read_only=True) as file:
        found = len(file.records())
        file.verify()
    assert found >= acknowledged, f"{acknowledged} records were acknowledged, {found} are there."


def check_end(folder: Path) -> Counter[str]:
    """Expect the run at its end with each effect as promised; return what the model was told."""
    path = session_path(folder, SESSION_ID)
    with SessionFile.open(path, session_id=SESSION_ID, read_only=True) as file:
        state = file.load()
        last = file.records()[-1].kind
    assert last == "run_finished", f"The journal ends with {last}."
    assert state is not None
    history = state["history"]
    assert history[-1]["content"] == [{"type": "text", "text": "Done."}], history[-1]
    assert len(history) == 2 * len(PLAN) + 2, len(history)
    lines = (folder / EFFECTS).read_text("utf-8").splitlines()
    effects = Counter(line.split()[0] for line in lines)
    assert len(set(lines)) == len({line.split()[1] for line in lines}), "Two calls share a key."
    told: Counter[str] = Counter()
    for turn, calls in enumerate(PLAN):
        asked, answered = history[2 * turn + 1]["content"], history[2 * turn + 2]["content"]
        ids = [block["id"] for block in asked if block["type"] == "tool_use"]
        assert [block.get("tool_use_id") for block in answered] == ids, "A call has no result."
        for (name, line), result in zip(calls, answered, strict=True):
            told[_check_effect(name, effects[line], result)] += 1
    return told


def _check_effect(name: str, times: int, result: dict[str, Any]) -> str:
    if result.get("is_error"):
        assert name == "append", f"{name}: {result['content']}"
        assert result["content"].startswith("Outcome unknown"), result["content"]
        assert times <= 1, f"An effect of unknown outcome happened {times} times."
        return f"unknown, happened {times}"
    expected = 0 if name == "look" else 1
    assert times == expected, f"An effect of {name} happened {times} times."
    return name


class Campaign:
    """Run after run, until that many processes were killed.

    Args:
        cycles: How many kills.
        seed: Makes points and times repeatable, as far as the machine is.
        folder: Where the state folders go.
    """

    def __init__(self, cycles: int, seed: int, folder: Path) -> None:
        self.cycles = cycles
        self.kills = 0
        self.runs = 0
        self.told: Counter[str] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - to be repeated
        self._folder = folder
        whole = run_process(self._new_folder(), Shot())
        self.points = whole.points
        self._seconds = whole.seconds
        self._next_point = 0
        self._shown = perf_counter()

    def run(self) -> None:
        """Kill, resume and check.

        Raises:
            AssertionError: What did not hold, and where the files are.
        """
        while self.kills < self.cycles:
            folder = self._new_folder()
            try:
                self._one_run(folder)
            except AssertionError as error:
                raise AssertionError(f"Run {self.runs} in {folder}: {error}") from error
            shutil.rmtree(folder)
            self._show()

    def _one_run(self, folder: Path) -> None:
        self.runs += 1
        for _ in range(self._random.randint(1, _KILLS_OF_A_RUN)):
            ended = run_process(folder, self._next_shot())
            self.kills += ended.was_killed
            check_acknowledged(folder, ended.acknowledged)
            if not ended.was_killed:
                break
        last = run_process(folder, Shot())
        assert not last.was_killed
        self.told += check_end(folder)

    def _next_shot(self) -> Shot:
        if self._random.random() < 0.5:
            return Shot(seconds=self._random.uniform(0, _AFTER_THE_END * self._seconds))
        self._next_point = self._next_point % self.points + 1
        return Shot(point=self._next_point)

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder))

    def _show(self) -> None:
        if perf_counter() - self._shown > _PROGRESS_SECONDS:
            self._shown = perf_counter()
            print(f"{self.kills} of {self.cycles} kills, {self.runs} runs", flush=True)


def main() -> int:
    """Run the campaign and show what came of it; 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    for name in _WARM:
        importlib.import_module(name)
    started = perf_counter()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        campaign = Campaign(given.cycles, given.seed, Path(folder))
        try:
            campaign.run()
        except AssertionError as error:
            print(f"FAILED with --seed {given.seed}: {error}")
            return 1
    seconds = perf_counter() - started
    print(
        f"{campaign.kills} kills in {campaign.runs} runs of {campaign.points} points, "
        f"{campaign.kills / seconds:.1f}/s: every run was resumed to its end."
    )
    for what, count in sorted(campaign.told.items()):
        print(f"{count:8}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

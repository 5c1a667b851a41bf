"""One fault at every call of a scenario, and what a reader finds after each.

Each step leads from one known state to the next. After a fault a fresh process must find the state
of the last acknowledged step or the one after, nothing else, and must get from there to the end.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.exceptions import StorageError
from tests.reliability.fault_shim import CRASHED, FaultShim, Mode
from tests.reliability.scenarios import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.reliability.scenarios import Scenario

    Tell = Callable[[str, Any], None]

__all__ = ["Campaign", "Point", "Snapshot", "in_process", "put_snapshot", "warm_up"]

Snapshot = dict[str, bytes]


class Point(NamedTuple):
    """One fault: what happens, at which call."""

    mode: Mode
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended, and what it said before: a word and a value each."""

    status: int
    said: list[tuple[str, Any]]

    def all(self, word: str) -> list[Any]:
        """Return every value that was said with a word."""
        return [value for known, value in self.said if known == word]


def in_process(job: Callable[[Tell], object]) -> Ended:
    """Run a job in a forked process, which is told how to say something, and wait for its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_and_exit(job, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return Ended(status=code, said=[(word, value) for word, value in said])


def _run_and_exit(job: Callable[[Tell], object], writing: int) -> None:
    def tell(word: str, value: Any) -> None:
        os.write(writing, json.dumps([word, value]).encode() + b"\n")

    code = 0
    try:
        job(tell)
    except BaseException as error:  # noqa: BLE001 - else the child goes on as the parent
        tell("fault", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}")
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def warm_up(scenarios: Sequence[Scenario], folder: Path) -> None:
    """Do everything once in this process, so that no child has to load what it needs."""
    for scenario in scenarios:
        world = scenario.prepared(folder / scenario.name)
        for step in scenario.steps:
            step(world)
        world.close()
        scenario.look(World(world.folder))
    shutil.rmtree(folder)
    gc.collect()
    gc.freeze()


def snapshot_of(folder: Path) -> Snapshot:
    """Return the bytes of every file under a folder, by its path there; folders end with "/"."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found.update({f"{name}/": b""} if path.is_dir() else {name: path.read_bytes()})
    return found


def put_snapshot(folder: Path, files: Snapshot) -> None:
    """Make a folder hold these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        if name.endswith("/"):
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(data)


class Campaign:
    """The faults of one scenario.

    Args:
        scenario: What is done.
        folder: Where it is done; it is emptied again and again.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self._folder = folder / "world"
        self._shim = FaultShim()
        self.before = self._prepared()
        self.states = self._clean_states()
        self.kinds, self.locks = self._counted()

    def points(self, modes: Sequence[Mode]) -> Iterator[Point]:
        """Yield every fault of these modes that makes a difference."""
        for mode in modes:
            if mode is Mode.BUSY:
                yield from (Point(mode, at) for at in range(1, self.locks + 1))
                continue
            for number, kind in enumerate(self.kinds, 1):
                if kind in mode.kinds:
                    yield Point(mode, number)

    def judge(self, point: Point) -> str:
        """Let one fault happen; return how it ended, in a word.

        Raises:
            AssertionError: With what did not hold.
        """
        put_snapshot(self._folder, self.before)
        ended = in_process(lambda tell: self._be_victim(tell, point))
        done = len(ended.all("done"))
        for fault in ended.all("fault"):
            raise AssertionError(f"after {done} steps: {fault}")
        if point.mode.crashes:
            assert (
                ended.status == CRASHED
            ), f"the process ended with {ended.status}, not at the call"
        else:
            assert ended.status == 0, f"the process ended with {ended.status}"
        if point.mode in {Mode.SHORT, Mode.BUSY}:
            # A file is replaced only where nobody has it open, and that is said at once.
            refused = point.mode is Mode.BUSY and ended.all("error") == ["session_in_use"]
            assert done == len(self.scenario.steps) or refused, f"step {done + 1}: {ended.said}"
        for found in ended.all("live"):
            self._index_of(found, done, "the process that met the error")
        self.check(done)
        return self._word(point, ended)

    def check(self, done: int) -> None:
        """Expect what so many acknowledged steps must have left, and that one can go on from it.

        Raises:
            AssertionError: With what a fresh process finds instead.
        """
        reader = in_process(lambda tell: self._be_reader(tell, done))
        for fault in reader.all("fault"):
            raise AssertionError(f"a fresh process, after {done} steps: {fault}")
        assert reader.status == 0, f"a fresh process ended with {reader.status}"

    def _word(self, point: Point, ended: Ended) -> str:
        if point.mode.crashes:
            return "crashed"
        if not ended.all("error"):
            return "went on"
        return "failed, read on" if ended.all("live") else "failed"

    def _be_victim(self, tell: Tell, point: Point) -> None:
        world = self.scenario.opened(self._folder)
        self._shim.watch(self._folder)
        self._shim.arm(point.at, point.mode)
        try:
            self._take_steps(world, tell)
        except StorageError as error:
            tell("error", error.code)
            self._look_while_alive(world, tell, point)
        world.close()
        self._shim.watch(None)

    def _take_steps(self, world: World, tell: Tell) -> None:
        for number, step in enumerate(self.scenario.steps):
            step(world)
            self._shim.mark(number + 1)
            tell("done", number)

    def _look_while_alive(self, world: World, tell: Tell, point: Point) -> None:
        """Read with the objects that met the error; only a disk that still fails may say no."""
        try:
            tell("live", self.scenario.look(world))
        except StorageError as error:
            if point.mode is not Mode.FULL:
                raise
            tell("unread", error.code)

    def _be_reader(self, tell: Tell, done: int) -> None:
        world = self.scenario.opened(self._folder)
        found = self.scenario.look(world)
        start = self._index_of(found, done, "a fresh process")
        for step in self.scenario.steps[start:]:
            step(world)
        world.close()
        last = self.scenario.look(World(self._folder))
        assert plain(last) == self.states[-1], f"going on ends elsewhere: {last}"
        tell("end", start)

    def _index_of(self, found: Any, done: int, who: str) -> int:
        """Return how many steps what was found has behind it."""
        for number in (done + 1, done):
            if number < len(self.states) and plain(found) == self.states[number]:
                return number
        if plain(found) in map(plain, self.scenario.between):
            return done
        raise AssertionError(
            f"{who} finds after {done} steps\n  {str(found)[:2000]}\nwhich is neither\n"
            + "\nnor\n".join(f"  {str(each)[:2000]}" for each in self.states[done : done + 2])
        )

    def _prepared(self) -> Snapshot:
        put_snapshot(self._folder, {})

        def prepare(_tell: Tell) -> None:
            world = self.scenario.prepared(self._folder)
            if not self.scenario.is_left_open:
                world.close()

        self._expect(in_process(prepare))
        return snapshot_of(self._folder)

    def _clean_states(self) -> list[Any]:
        """Return what a reader sees after no step, after one, after two, ..."""
        states = []
        for count in range(len(self.scenario.steps) + 1):
            put_snapshot(self._folder, self.before)

            def look(tell: Tell, count: int = count) -> None:
                world = self.scenario.opened(self._folder)
                for step in self.scenario.steps[:count]:
                    step(world)
                world.close()
                tell("state", self.scenario.look(World(self._folder)))

            states += self._expect(in_process(look)).all("state")
        return states

    def _counted(self) -> tuple[str, int]:
        put_snapshot(self._folder, self.before)

        def count(tell: Tell) -> None:
            world = self.scenario.opened(self._folder)
            self._shim.watch(self._folder)
            self._take_steps(world, lambda *_: None)
            world.close()
            tell("counted", [self._shim.kinds, self._shim.locks])

        (found,) = self._expect(in_process(count)).all("counted")
        return found[0], found[1]

    @staticmethod
    def _expect(ended: Ended) -> Ended:
        assert ended.status == 0, f"without any fault: {ended.said}"
        return ended


def plain(value: Any) -> Any:
    """Return a value as it is after a way through JSON."""
    return json.loads(json.dumps(value))

"""Damages stored files bit by bit and cut by cut, and judges what a reader of a session then sees.

What is damaged is a `Whole`: here a session with its log and its head; `damage_books` has the rest.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.storage.frames import FrameInfo

__all__ = ["Whole", "WholeSession", "count_outcomes", "cuts", "flips", "write_session"]

SESSION = "review-42"
VERSIONS = 4
PARTS = ("", "-wal", ".head")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(ABC):
    """Something stored as it was written: the bytes of its files, and who knows what they hold."""

    files: dict[str, bytes]

    @abstractmethod
    def path(self, folder: Path, name: str) -> Path:
        """Return where one of the files belongs."""

    @abstractmethod
    def judge(self, folder: Path, *, read_only: bool) -> str:
        """Return "harmless" or "noticed"; what a reader sees and is wrong fails."""

    def put(self, folder: Path, files: dict[str, bytes], present: dict[str, bytes]) -> None:
        """Make the folder hold these files; `present` are the ones that are known to be there."""
        for name, data in files.items():
            if present.get(name) is not data:
                path = self.path(folder, name)
                # Over the old bytes: emptying a file first makes some file systems sync it (3 ms).
                with path.open("r+b" if path.exists() else "wb") as file:
                    file.write(data)
                    file.truncate()


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSession(Whole):
    """A session as it was written, and all that it holds."""

    states: dict[int, dict[str, Any]]
    infos: list[FrameInfo]
    records: list[JournalRecord]

    def path(self, folder: Path, name: str) -> Path:
        return part(folder, name)

    def put(self, folder: Path, files: dict[str, bytes], present: dict[str, bytes]) -> None:
        part(folder, "-shm").unlink(missing_ok=True)
        # Not super(): a dataclass with slots is another class than the one that was defined.
        Whole.put(self, folder, files, present)

    def judge(self, folder: Path, *, read_only: bool) -> str:
        try:
            file = SessionFile.open(
                part(folder, ""), session_id=SESSION, read_only=read_only, durability="off"
            )
        except StorageError:
            return "noticed"
        with file:
            noticed = looks_otherwise(file, self)
            for version, state in self.states.items():
                noticed |= version_is_noticed(file, version, state)
        return "noticed" if noticed else "harmless"


def part(folder: Path, name: str) -> Path:
    return folder / (f"{SESSION}.head" if name == ".head" else f"{SESSION}.sqlite{name}")


def turn(number: int) -> dict[str, Any]:
    words = " ".join(f"word{number * 31 % 97}-{index}" for index in range(12))
    return {"role": "user", "content": [{"type": "text", "text": words}], "n": number}


def write_session(folder: Path, *, crashed: bool) -> WholeSession:
    """Write a session and take the bytes of its files: after closing, or as a crash leaves them."""
    file = SessionFile.open(
        part(folder, ""), session_id=SESSION, create=True, durability="full", clock=VirtualClock()
    )
    states: dict[int, dict[str, Any]] = {}
    turns: list[Any] = []
    records: list[JournalRecord] = []
    for number in range(VERSIONS):
        if number % 2 == 0:  # the others are too small to be packed: nothing but a hash checks them
            turns.append(turn(number))
        record = JournalRecord(run_id="r", step=number, kind="model_result", body={"n": number})
        records.append(record)
        state = {"turns": list(turns), "count": (number + 1) * 111_222_333_444_555_666}
        states[file.append_state(state, records=[record], meta={"title": f"t{number}"})] = state
        if crashed and number == VERSIONS // 2:
            file.close()  # half of it in the file, half in the log
            file = SessionFile.open(part(folder, ""), session_id=SESSION, clock=VirtualClock())
    infos = file.versions()
    if not crashed:
        file.close()
    files = {name: part(folder, name).read_bytes() for name in PARTS if part(folder, name).exists()}
    file.close()
    return WholeSession(files=files, states=states, infos=infos, records=records)


def version_is_noticed(file: SessionFile, version: int, state: dict[str, Any]) -> bool:
    """Return whether loading a version raises; wrong content fails at once."""
    try:
        found = file.load(version)
    except CheckpointCorrupt as error:
        # SQLite may refuse a page once and read it the next time: loading again decides.
        said_to_load = version in error.intact_versions
        assert not said_to_load or loads(file, version, state), f"version {version} does not load"
        return True
    except StorageError:
        return True
    assert found == state, f"version {version} is wrong"
    return False


def loads(file: SessionFile, version: int, state: dict[str, Any]) -> bool:
    try:
        return file.load(version) == state
    except StorageError:
        return False


def looks_otherwise(file: SessionFile, whole: WholeSession) -> bool:
    """Return whether reading what else there is raises; wrong content fails at once."""
    noticed = False
    for read, expected in (
        (file.load, whole.states[VERSIONS]),
        (file.versions, whole.infos),
        (file.records, whole.records),
    ):
        try:
            found = read()
        except StorageError:
            noticed = True
        else:
            assert found == expected, f"{read.__name__} is wrong"
    return noticed


Case = tuple[str, dict[str, bytes]]


def flips(whole: Whole, count: int, seed: int) -> Iterator[Case]:
    """Yield the files with one bit turned over; each file gets its share by a fair coin.

    Three of four bits are in bytes that hold something: much of a database file is empty.
    """
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    used = {
        name: [place for place, byte in enumerate(data) if byte]
        for name, data in whole.files.items()
        if data
    }
    names = [*used]
    for _ in range(count):
        name = source.choice(names)
        data = bytearray(whole.files[name])
        is_anywhere = source.random() < 0.25
        place = source.randrange(len(data)) if is_anywhere else source.choice(used[name])
        bit = source.randrange(8)
        data[place] ^= 1 << bit
        yield f"bit {bit} of byte {place} of {name or 'the file'}", {
            **whole.files,
            name: bytes(data),
        }


def cuts(whole: Whole, step: int, *, name: str | None = None) -> Iterator[Case]:
    """Yield the files with one of them cut short: each in its turn, or the one of that name."""
    for each, data in whole.files.items():
        for size in range(0, len(data) if name in {None, each} else 0, step):
            yield f"{each or 'the file'} cut to {size}", {**whole.files, each: data[:size]}


def count_outcomes(folder: Path, whole: Whole, cases: Iterator[Case]) -> Counter[str]:
    """Judge every case; one that is wrong fails with its name."""
    outcomes: Counter[str] = Counter()
    present: dict[str, bytes] = {}
    for number, (name, files) in enumerate(cases):
        read_only = number % 16 != 0
        whole.put(folder, files, present)
        try:
            outcomes[whole.judge(folder, read_only=read_only)] += 1
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        present = files if read_only else {}
    return outcomes

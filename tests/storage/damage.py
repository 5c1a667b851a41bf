"""Damages the files of a session bit by bit and cut by cut, and judges what a reader then sees.

As a program: `python tests/storage/damage.py --flips 100000 --seed 1` (0 wrong is the only pass).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.storage.frames import FrameInfo

SESSION = "review-42"
VERSIONS = 6
PARTS = ("", "-wal", ".head")


def turn(number: int) -> dict[str, Any]:
    words = " ".join(f"word{number * 31 % 97}-{index}" for index in range(12))
    return {"role": "user", "content": [{"type": "text", "text": words}], "n": number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A session as it was written: the bytes of its files, and all that it holds."""

    files: dict[str, bytes]
    states: dict[int, dict[str, Any]]
    infos: list[FrameInfo]
    records: list[JournalRecord]


def part(folder: Path, name: str) -> Path:
    return folder / (f"{SESSION}.head" if name == ".head" else f"{SESSION}.sqlite{name}")


def write_session(folder: Path, *, crashed: bool) -> Whole:
    """Write a session and take the bytes of its files: after closing, or as a crash leaves them."""
    file = SessionFile.open(
        part(folder, ""), session_id=SESSION, create=True, durability="full", clock=VirtualClock()
    )
    states: dict[int, dict[str, Any]] = {}
    turns: list[Any] = []
    records: list[JournalRecord] = []
    for number in range(VERSIONS):
        turns.append(turn(number))
        record = JournalRecord(run_id="r", step=number, kind="model_result", body={"n": number})
        records.append(record)
        state = {"turns": list(turns), "count": number}
        states[file.append_state(state, records=[record], meta={"title": f"t{number}"})] = state
        if crashed and number == VERSIONS // 2:
            file.close()  # half of it in the file, half in the log
            file = SessionFile.open(part(folder, ""), session_id=SESSION, clock=VirtualClock())
    infos = file.versions()
    if not crashed:
        file.close()
    files = {name: part(folder, name).read_bytes() for name in PARTS if part(folder, name).exists()}
    file.close()
    return Whole(files=files, states=states, infos=infos, records=records)


def judge(folder: Path, whole: Whole, *, read_only: bool) -> str:
    """Return "harmless" or "noticed"; what a reader sees and is wrong fails."""
    try:
        file = SessionFile.open(
            part(folder, ""), session_id=SESSION, read_only=read_only, durability="off"
        )
    except StorageError:
        return "noticed"
    with file:
        noticed = looks_otherwise(file, whole)
        for version, state in whole.states.items():
            noticed |= version_is_noticed(file, version, state)
    return "noticed" if noticed else "harmless"


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


def looks_otherwise(file: SessionFile, whole: Whole) -> bool:
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


def put(folder: Path, files: dict[str, bytes], present: dict[str, bytes]) -> None:
    """Make the folder hold these files; `present` are the ones that are known to be there."""
    part(folder, "-shm").unlink(missing_ok=True)
    for name, data in files.items():
        if present.get(name) is not data:
            path = part(folder, name)
            # Over the old bytes: emptying a file first makes some file systems sync it (3 ms).
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(data)
                file.truncate()


def flips(whole: Whole, count: int, seed: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the files with one bit turned over; each file gets its share by a fair coin."""
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    names = [name for name, data in whole.files.items() if data]
    for _ in range(count):
        name = source.choice(names)
        data = bytearray(whole.files[name])
        place = source.randrange(len(data) * 8)
        data[place // 8] ^= 1 << place % 8
        yield f"bit {place} of {name or 'the file'}", {**whole.files, name: bytes(data)}


def cuts(whole: Whole, step: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the files with one of them cut short."""
    for name, data in whole.files.items():
        for size in range(0, len(data), step):
            yield f"{name or 'the file'} cut to {size}", {**whole.files, name: data[:size]}


def count_outcomes(
    folder: Path, whole: Whole, cases: Iterator[tuple[str, dict[str, bytes]]]
) -> Counter[str]:
    """Judge every case; one that is wrong fails with its name."""
    outcomes: Counter[str] = Counter()
    present: dict[str, bytes] = {}
    for number, (name, files) in enumerate(cases):
        read_only = number % 16 != 0
        put(folder, files, present)
        try:
            outcomes[judge(folder, whole, read_only=read_only)] += 1
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        present = files if read_only else {}
    return outcomes


def run(crashed: bool, count: int, seed: int) -> Counter[str]:  # noqa: FBT001 - a pool's argument
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "s"
        folder.mkdir()
        whole = write_session(folder, crashed=crashed)
        return count_outcomes(folder, whole, flips(whole, count, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}")  # noqa: T201 - a program's output
    with ProcessPoolExecutor(2) as pool:
        parts = [
            pool.submit(run, crashed, options.flips // 4, options.seed + number)
            for number, crashed in enumerate((False, True, False, True))
        ]
        total = sum((each.result() for each in parts), Counter())
    print(dict(total))  # noqa: T201 - a program's output


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()

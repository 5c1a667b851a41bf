"""What a disk holds after a power loss: what was synced, and any part of what was not.

The shim has written down every change. Bytes that no sync covered may be there, missing, or torn
at 512 bytes, in any mixture; names (created, renamed, linked, deleted) may be missing from a point
on that no sync of their folder covers. No name becomes safe by syncing its file alone.
"""

from __future__ import annotations

import os
import struct
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.reliability.fault_campaign import in_process, put_snapshot
from tests.reliability.fault_shim import FaultShim, Mode

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from tests.reliability.fault_campaign import Campaign, Snapshot

__all__ = ["PowerLoss"]

_EVENT = struct.Struct("<c7xQqII")
_SECTOR = 512


class Event(NamedTuple):
    """One call as the shim has written it down; `offset` is a place, a size or a mark."""

    kind: str
    inode: int
    offset: int
    path: str
    data: bytes


def read_events(data: bytes) -> Iterator[Event]:
    """Yield what the shim has written down."""
    place = 0
    while place < len(data):
        kind, inode, offset, path_length, length = _EVENT.unpack_from(data, place)
        place += _EVENT.size
        path = data[place : place + path_length].decode()
        place += path_length
        yield Event(kind.decode(), inode, offset, path, data[place : place + length])
        place += length


@dataclass(slots=True)
class StoredFile:
    """A file as the disk has it, and the writes that it may or may not have."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        """Make every write safe."""
        self.safe, self.pending = self.after(self.pending), []

    def after(self, writes: list[tuple[int, bytes | None]]) -> bytearray:
        """Return the content with some of the writes; without data one sets the size."""
        found = bytearray(self.safe)
        for place, data in writes:
            end = place if data is None else place + len(data)
            found.extend(bytes(max(end - len(found), 0)))
            if data is None:
                del found[place:]
            else:
                found[place:end] = data
        return found


class Disk:
    """Files and names, each with what is safe and what is not yet.

    Args:
        before: What is there and safe at the start.
    """

    def __init__(self, before: Snapshot) -> None:
        self._safe_names: dict[str, StoredFile | None] = {}
        for name, data in before.items():
            file = None if name.endswith("/") else StoredFile(bytearray(data))
            self._safe_names[name.rstrip("/")] = file
        self._names = dict(self._safe_names)
        self._changes: list[Event] = []
        self._created: list[StoredFile] = []
        self._open: dict[int, StoredFile | str] = {}
        self.acknowledged = 0

    def take(self, event: Event) -> None:
        """Take in the next call."""
        if event.kind == "!":
            self.acknowledged = event.offset
        elif event.kind == "O":
            known = self._names.get(event.path)
            self._open[event.inode] = event.path if known is None else known
        elif event.kind in "wt":
            file = self._open[event.inode]
            assert isinstance(file, StoredFile)
            file.pending.append((event.offset, event.data if event.kind == "w" else None))
        elif event.kind == "s":
            self._sync(self._open[event.inode])
        else:
            self._change_names(event)

    def _change_names(self, event: Event) -> None:
        new = StoredFile()
        if event.kind == "o":
            self._open[event.inode] = new
        self._changes.append(event)
        self._created.append(new)
        _apply(self._names, event, new)

    def _sync(self, what: StoredFile | str) -> None:
        if isinstance(what, StoredFile):
            what.sync()
            return
        touched = [
            number
            for number, event in enumerate(self._changes, 1)
            if what in {_folder(event.path), _folder(event.data.decode())}
        ]
        count = max(touched, default=0)
        self._safe_names = self._names_after(count)
        del self._changes[:count], self._created[:count]

    def _names_after(self, count: int) -> dict[str, StoredFile | None]:
        names = dict(self._safe_names)
        for event, new in zip(self._changes[:count], self._created[:count], strict=True):
            _apply(names, event, new)
        return names

    def least(self) -> Snapshot:
        """Return what is there if nothing was stored that was not synced."""
        return {name: bytes(file.safe) for name, file in _files(self._safe_names)}

    def most(self) -> Snapshot:
        """Return what is there if everything was stored."""
        names = self._names_after(len(self._changes))
        return {name: bytes(file.after(file.pending)) for name, file in _files(names)}

    def some(self, source: random.Random) -> Snapshot:
        """Return one of the states between."""
        names = self._names_after(source.randint(0, len(self._changes)))
        return {name: bytes(_partly(file, source)) for name, file in _files(names)}


def _partly(file: StoredFile, source: random.Random) -> bytearray:
    share = source.choice((0.0, 0.2, 0.5, 0.8, 1.0))
    writes: list[tuple[int, bytes | None]] = []
    for place, data in file.pending:
        if data is None or len(data) <= _SECTOR:
            if source.random() < share:
                writes.append((place, data))
            continue
        sectors = range(0, len(data), _SECTOR)
        is_torn = source.random() < 0.3
        is_kept = source.random() < share
        writes += [
            (place + start, data[start : start + _SECTOR])
            for start in sectors
            if (source.random() < share if is_torn else is_kept)
        ]
    return file.after(writes)


def _apply(names: dict[str, StoredFile | None], event: Event, new: StoredFile) -> None:
    target = event.data.decode()
    if event.kind == "o":
        names[event.path] = new
    elif event.kind == "m":
        names[event.path] = None
    elif event.kind == "u":
        names.pop(event.path, None)
    elif event.kind == "l":
        names[target] = names[event.path]
    elif event.path in names:
        names[target] = names.pop(event.path)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _files(names: dict[str, StoredFile | None]) -> Iterator[tuple[str, StoredFile]]:
    # Folders come with their files; SQLite makes the index of a log anew when nobody has it open.
    for name, file in names.items():
        if file is not None and not name.endswith("-shm"):
            yield name, file


class PowerLoss:
    """The states in which a power loss at any moment can leave a scenario's folder.

    Args:
        campaign: The scenario, and the judge of what a reader finds.
        folder: Where it is done.
    """

    def __init__(self, campaign: Campaign, folder: Path) -> None:
        self._campaign = campaign
        self._folder = folder / "world"
        self._shim = FaultShim()
        self.events = self._recorded()

    def judge(self, source: random.Random, samples: int) -> int:
        """Judge states at every moment, each once; return how many there were.

        Raises:
            AssertionError: With the moment, and what did not hold.
        """
        seen: set[tuple[int, int]] = set()
        disk = Disk(self._campaign.before)
        for number, event in enumerate(self.events):
            disk.take(event)
            states = [disk.least(), disk.most(), *(disk.some(source) for _ in range(samples))]
            for found in states:
                key = (disk.acknowledged, hash(tuple(sorted(found.items()))))
                if key in seen:
                    continue
                seen.add(key)
                try:
                    self._judge_one(found, disk.acknowledged)
                except AssertionError as error:
                    shown = event._replace(data=event.data[:20])
                    raise AssertionError(
                        f"power lost after call {number}, {shown}: {error}"
                    ) from error
        return len(seen)

    def _judge_one(self, found: Snapshot, acknowledged: int) -> None:
        folders: Snapshot = {}
        for name in found:
            parts = name.split("/")[:-1]
            folders.update({"/".join(parts[: n + 1]) + "/": b"" for n in range(len(parts))})
        put_snapshot(self._folder, {**dict(sorted(folders.items())), **found})
        self._campaign.check(acknowledged)

    def _recorded(self) -> list[Event]:
        put_snapshot(self._folder, self._campaign.before)
        with tempfile.TemporaryFile() as log:

            def act(_tell: object) -> None:
                world = self._campaign.scenario.opened(self._folder)
                self._shim.watch(self._folder)
                self._shim.arm(0, Mode.LIVE)
                self._shim.record(log.fileno())
                for number, step in enumerate(self._campaign.scenario.steps, 1):
                    step(world)
                    self._shim.mark(number)
                world.close()
                self._shim.record(-1)

            ended = in_process(act)
            assert ended.status == 0, ended.said
            log.seek(0, os.SEEK_SET)
            return list(read_events(log.read()))

"""Ledger, catalogue and records as they were written, and what a reader of damaged ones sees.

A journal that a crash has left is part of them: SQLite takes back what it covers, or, where it is
damaged, may not. Both is as it was at some moment; anything else is wrong.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from tests.reliability.damage import Whole
from tests.reliability.scenarios import SESSION, START, World, saved

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["write_catalogue", "write_ledger"]

LIMIT = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class _WholeHome(Whole):
    """A state folder, by the paths of its files.

    Attributes:
        states: What may be found in it.
        spared: Files that are there as well, and never damaged.
    """

    states: tuple[Any, ...]
    spared: dict[str, bytes]

    def path(self, folder: Path, name: str) -> Path:
        return folder / "home" / name

    def put(self, folder: Path, files: dict[str, bytes], present: dict[str, bytes]) -> None:
        # A reader mends and moves aside: what it has left must not reach the next one.
        del present
        shutil.rmtree(folder / "home", ignore_errors=True)
        for name, data in {**files, **self.spared}.items():
            path = self.path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class WholeLedger(_WholeHome):
    """A ledger."""

    __slots__ = ()

    def judge(self, folder: Path, *, read_only: bool) -> str:
        del read_only  # a ledger has one way to be opened
        world = World(folder)
        try:
            found = look_at_holds(world)
        except StorageError:
            return "noticed"
        finally:
            world.close()
        assert found in self.states, f"the ledger says {found}"
        return "harmless"


class WholeCatalogue(_WholeHome):
    """A catalogue with the sessions that it lists."""

    __slots__ = ()

    def judge(self, folder: Path, *, read_only: bool) -> str:
        del read_only  # a catalogue has one way to be opened
        world = World(folder)
        try:
            found = look_at_list(world)
        except StorageError:
            return "noticed"
        finally:
            world.close()
        if world.notices:
            return "noticed"
        assert found in self.states, f"the catalogue says {found}"
        return "harmless"


def look_at_holds(world: World) -> Any:
    """Return how each scope stands, at a time when some holds have expired and at one when not."""
    return [
        tuple(world.ledger.standing(scope, now=START + seconds))
        for scope in ("run", "day")
        for seconds in (0.0, 1000.0)
    ]


def look_at_list(world: World) -> Any:
    """Return all that search, list and record say of the sessions."""
    found = world.sessions.search_sessions({"sort": "started"})
    single = [world.sessions.get_session(info.session_id).to_json() for info in found]
    named = [info.session_id for info in world.sessions.search_sessions({"text": "about"})]
    tagged = [info.session_id for info in world.sessions.search_sessions({"tags": ["night"]})]
    return [[info.to_json() for info in found], single, named, tagged]


def write_ledger(folder: Path, *, crashed: bool) -> Whole:
    """Write a ledger and take the bytes of its files: closed, or as a crash in a commit leaves it."""
    world = World(folder)
    ledger = world.ledger

    def hold(scope: str, name: str) -> None:
        ledger.reserve(scope, name, 700, limit=LIMIT, expires_at=START + 500.0, now=START)

    for number in range(12):
        for scope in ("run", "day"):
            hold(scope, f"hold-{number}")
            if number % 3:
                ledger.settle(scope, f"hold-{number}", 10 * number, now=START)
    states, journal = [look_at_holds(world)], {}
    if crashed:
        data = _journal_of(ledger.path, ledger._connection, lambda: hold("run", "last"))
        journal = {f"{ledger.path.name}-journal": data}
        states.append(look_at_holds(world))
    ledger.close()
    return WholeLedger(files=_files(world.home) | journal, states=tuple(states), spared={})


def write_catalogue(folder: Path, *, crashed: bool) -> Whole:
    """Write sessions and their catalogue; see `write_ledger`."""
    world = World(folder)
    saved(1)(world)
    world.checkpoints.close()
    sessions = world.sessions
    for number in range(4):
        world.at(100.0 * number)
        sessions.start_session(f"About night {number}", session_id=f"s{number}", tags=["night"])
    sessions.persist_session(SESSION)
    states, journal, note = [look_at_list(world)], {}, {}
    if crashed:
        catalog = sessions._store._catalog
        data = _journal_of(
            catalog.path, catalog._connection, lambda: sessions.tag_session("s1", ["moon"])
        )
        journal = {f"{catalog.path.name}-journal": data}
        states.append(look_at_list(world))
        # As a writer leaves it that dies in its commit. It has no check: damaged as well, the row
        # of that session lags behind its record until the next change.
        note = {"catalog.unfinished": b"s1\n"}
    sessions.close()
    return WholeCatalogue(files=_files(world.home) | journal, states=tuple(states), spared=note)


def _journal_of(
    path: Path, connection: sqlite3.Connection | None, change: Callable[[], object]
) -> bytes:
    """Make a change, and return the journal that SQLite has deleted at its end."""
    journal, kept = path.with_name(f"{path.name}-journal"), path.with_name("kept")
    assert connection is not None

    def keep(statement: str) -> None:
        if statement == "COMMIT":
            os.link(journal, kept)

    connection.set_trace_callback(keep)
    change()
    connection.set_trace_callback(None)
    data = kept.read_bytes()
    kept.unlink()
    return data


def _files(home: Path) -> dict[str, bytes]:
    """Return what holds something: locks and notes are empty."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.stat().st_size and not path.name.endswith("-shm")
    }

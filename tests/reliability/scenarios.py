"""What is done to a disk that fails: sequences of steps on sessions, and what a reader sees between them.

Steps come to the same every time: whoever finds a state can go on from it, and must reach the end.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.storage import migration, session_connection, session_tables
from sdk_workflow.storage.errors import CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_journal import SessionJournal
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

__all__ = ["DAY", "SESSION", "SESSION_SCENARIOS", "START", "Scenario", "World"]

SESSION = "review-42"
START = 1_800_000_000.0
DAY = 86_400.0


class World:
    """The managers of one process on one folder, made when they are needed.

    Args:
        folder: Where everything is: the state folder, and backups.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.backups = folder / "backups"
        self.clock = VirtualClock(START)
        self.notices: list[str] = []

    def at(self, seconds: float) -> None:
        """Move the clock to a time after the start, unless it is past that."""
        self.clock.advance(max(START + seconds - self.clock.now(), 0.0))

    @cached_property
    def checkpoints(self) -> CheckpointManager:
        return CheckpointManager(self.home, clock=self.clock)

    @cached_property
    def sessions(self) -> SessionManager:
        return SessionManager(self.home, clock=self.clock, on_notice=self.notices.append)

    @cached_property
    def ledger(self) -> LedgerFile:
        return LedgerFile(self.home / "ledger.sqlite")

    @contextmanager
    def file(self, **options: Any) -> Iterator[SessionFile]:
        """Open the session's own file."""
        path = session_path(self.home, SESSION)
        with SessionFile.open(path, session_id=SESSION, clock=self.clock, **options) as file:
            yield file

    def close(self) -> None:
        """Close what was made."""
        for name in ("checkpoints", "sessions", "ledger"):
            if name in self.__dict__:
                self.__dict__[name].close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Steps on a prepared folder.

    Attributes:
        name: How it is asked for.
        prepare: Makes what is there before; the world is not closed where `is_left_open`.
        steps: What is done; each is acknowledged when it returns.
        look: Reads everything there is, checked, as plain JSON.
        between: What a reader may see as well after a step was cut off.
        set_up: Changes the library for this process, as a later release would.
    """

    name: str
    steps: tuple[Callable[[World], object], ...]
    look: Callable[[World], Any]
    prepare: Callable[[World], object] | None = None
    is_left_open: bool = False
    between: tuple[Any, ...] = ()
    set_up: Callable[[], object] | None = None

    @property
    def changes_library(self) -> bool:
        """Whether the library is another one afterwards in a process that has set it up."""
        return self.set_up is not None

    def opened(self, folder: Path) -> World:
        """Return a world on a folder, in a process that is set up."""
        if self.set_up is not None:
            self.set_up()
        return World(folder)

    def prepared(self, folder: Path) -> World:
        """Return a world on a folder that holds what is there before."""
        world = World(folder)
        if self.prepare is not None:
            self.prepare(world)
        return world


# --- sessions: what is looked at ---------------------------------------------------------------


def look_at_session(world: World) -> Any:
    """Return every version, record and listed fact; None where there is no session."""
    try:
        with world.file(read_only=True) as file:
            found = _content(file)
    except SessionNotFound:
        return None
    known = world.checkpoints.load_checkpoint(SESSION)
    last = str(max(map(int, found["states"]), default=0))
    assert known == found["states"].get(last), "the manager loads another latest state"
    return found


def _content(file: SessionFile) -> dict[str, Any]:
    file.verify()
    infos, meta = file.versions(), file.meta()
    assert [info.version for info in infos] == list(
        range(meta["first_version"], meta["last_version"] + 1)
    )
    records = [(record.run_id, record.step, record.kind, record.body) for record in file.records()]
    return {
        "states": {str(info.version): file.load(info.version) for info in infos},
        "listed": [(info.version, info.created_at, info.meta) for info in infos],
        "records": records,
    }


def look_at_backups(world: World) -> Any:
    """Return the session and the content of every backup, each of which must be whole."""
    backups = {}
    for path in sorted(world.backups.glob("*.sqlite")):
        with SessionFile.open(path, session_id=SESSION, read_only=True) as file:
            backups[path.name] = _content(file)
    return {"session": look_at_session(world), "backups": backups}


# --- sessions: what is done --------------------------------------------------------------------


def state(number: int) -> dict[str, Any]:
    """Return a conversation of so many turns."""
    turns = [{"role": "user", "content": f"Turn {turn}: " + "word " * 40} for turn in range(number)]
    return {"turns": turns, "count": number}


def large_state(seed: int) -> dict[str, Any]:
    """Return a state of 60 KB that no compression makes small: its delta becomes a keyframe."""
    return {"noise": random.Random(seed).randbytes(60_000).hex(), "count": seed}  # noqa: S311


def save(world: World, number: int) -> None:
    """Save the version of that number."""
    world.at(60.0 * number)
    world.checkpoints.save_checkpoint(SESSION, expected_version=number - 1, **state(number))


def save_large(world: World, number: int) -> None:
    """Save that version as a keyframe."""
    world.at(60.0 * number)
    world.checkpoints.save_checkpoint(SESSION, expected_version=number - 1, **large_state(number))


def write_journal(world: World, number: int) -> None:
    """Save that version with the records of a run, and one record by itself before."""
    world.at(60.0 * number)
    records = [
        JournalRecord(run_id="run_1", step=0, kind="model_result", body={"number": 0}),
        JournalRecord(run_id="run_1", step=1, kind="run_finished", body={"number": 1}),
    ]
    journal = SessionJournal.open(world.home, SESSION, clock=world.clock)
    try:
        journal.append(*records, state=state(number))
    finally:
        journal.close()


def note_intent(world: World) -> None:
    """Write one record by itself."""
    record = JournalRecord(run_id="run_2", step=0, kind="tool_intent", body={"tool": "bash"})
    with world.file() as file:
        file.append_records([record])


def saved(*numbers: int) -> Callable[[World], None]:
    """Return what saves those versions."""

    def save_all(world: World) -> None:
        for number in numbers:
            save(world, number)

    return save_all


def save_groups(world: World) -> None:
    """Save three keyframes with a small version after each, ten days apart, and a finished run."""
    for number in range(1, 7):
        world.at(number * 10 * DAY)
        data = large_state(number) if number % 2 else state(number)
        world.checkpoints.save_checkpoint(SESSION, **data)
        with world.file() as file:
            file.append_records(
                [JournalRecord(run_id=f"run_{number}", step=0, kind="run_finished", body={})]
            )


def keep_recent(world: World) -> None:
    """Delete what is older than 35 days on day 60."""
    world.at(60 * DAY)
    world.checkpoints.cleanup_old_checkpoints(35)
    if world.checkpoints.get_analytics().skipped_sessions:  # so that many are told
        raise StorageError("The session was left alone.", code="skipped")


def keep_few(world: World) -> None:
    """Delete all but the last group."""
    with world.file() as file:
        file.prune(keep_versions=2)


def back_up(world: World) -> None:
    """Back the session up."""
    world.checkpoints.backup_checkpoint(SESSION, world.backups)


def restore(world: World) -> None:
    """Bring the latest backup back."""
    world.checkpoints.restore_checkpoint(max(world.backups.glob("*.sqlite")))


def _backed_up(world: World, *, instead: Callable[[World], object]) -> None:
    """Back up three versions, and leave something else in the session's place."""
    saved(1, 2, 3)(world)
    back_up(world)
    world.checkpoints.close()
    for path in session_path(world.home, SESSION).parent.iterdir():
        path.unlink()
    other = World(world.folder)  # whose clock begins anew
    instead(other)
    other.close()


def _damaged(world: World) -> None:
    saved(1, 2)(world)
    world.close()
    path = session_path(world.home, SESSION)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)


def look_at_damaged(world: World) -> Any:
    """Return "damaged" where the session is."""
    try:
        return look_at_session(world)
    except CheckpointCorrupt:
        return "damaged"


def be_a_later_release() -> None:
    """Give this process a schema 2 with one table more."""

    def add_notes(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE notes(text)")

    session_tables.SCHEMA_VERSION = 2
    migration.MIGRATIONS = {1: add_notes}


def look_at_any_schema(world: World) -> Any:
    """Return the session's schema and content, whichever release has written it."""
    with tempfile.TemporaryDirectory() as name:
        apart = World(Path(name))
        shutil.copytree(world.home, apart.home)
        with release_of(session_path(apart.home, SESSION)) as schema:
            found = look_at_session(apart)
            apart.close()
    return {"schema": schema, "content": found}


@contextmanager
def release_of(path: Path) -> Iterator[int]:
    """Read as the release does that has written a file; yields its schema."""
    schema = int.from_bytes(path.read_bytes()[60:64], "big")
    newest, session_tables.SCHEMA_VERSION = session_tables.SCHEMA_VERSION, schema
    try:
        yield schema
    finally:
        session_tables.SCHEMA_VERSION = newest


def move_log_at_once() -> None:
    """Let every save move the log into the file, as otherwise one in eighty does."""
    session_connection._LOG_BYTES = 1


SESSION_SCENARIOS = (
    Scenario(
        name="save-first",
        steps=(partial(save, number=1),),
        look=look_at_session,
        between=({"states": {}, "listed": [], "records": []},),  # begun, and nothing saved
    ),
    Scenario(
        name="save-delta",
        prepare=saved(1, 2, 3),
        steps=(partial(save, number=4), partial(save, number=5)),
        look=look_at_session,
    ),
    Scenario(
        name="save-keyframe",
        prepare=saved(1, 2),
        steps=(partial(save_large, number=3),),
        look=look_at_session,
    ),
    Scenario(
        name="save-journal",
        prepare=saved(1),
        steps=(partial(write_journal, number=2), note_intent),
        look=look_at_session,
    ),
    Scenario(
        name="save-moving-log",
        prepare=saved(1),
        steps=(partial(save, number=2), partial(save, number=3)),
        look=look_at_session,
        set_up=move_log_at_once,
    ),
    Scenario(
        name="save-after-crash",
        prepare=saved(1, 2, 3),
        is_left_open=True,
        steps=(partial(save, number=4),),
        look=look_at_session,
    ),
    Scenario(
        name="retention", prepare=save_groups, steps=(keep_recent, keep_few), look=look_at_session
    ),
    Scenario(
        name="migration",
        prepare=saved(1, 2, 3),
        steps=(lambda world: world.checkpoints.migrate(SESSION),),
        look=look_at_any_schema,
        set_up=be_a_later_release,
    ),
    Scenario(name="backup", prepare=saved(1, 2, 3), steps=(back_up,), look=look_at_backups),
    Scenario(
        name="restore-missing",
        prepare=partial(_backed_up, instead=lambda _: None),
        steps=(restore,),
        look=look_at_backups,
    ),
    Scenario(
        name="restore-older",
        prepare=partial(_backed_up, instead=saved(1, 2)),
        steps=(restore,),
        look=look_at_backups,
    ),
    Scenario(
        name="restore-damaged",
        prepare=partial(_backed_up, instead=_damaged),
        steps=(restore,),
        look=look_at_damaged,
        between=(None,),  # moved aside, and the backup not yet in its place
    ),
)

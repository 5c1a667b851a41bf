from __future__ import annotations

import dataclasses
import hashlib
import os
import sqlite3
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage import backup as backup_module
from sdk_workflow.storage import (
    frames,
    migration,
    session_check,
    session_paths,
    session_tables,
)
from sdk_workflow.storage.backup import backup_session, restore_session
from sdk_workflow.storage.chain import GENESIS, Head
from sdk_workflow.storage.encryption import Plain
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.frames import Packer
from sdk_workflow.storage.head_file import read_head_file
from sdk_workflow.storage.migration import migrate_session
from sdk_workflow.storage.records import chained
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_folders import move_session
from sdk_workflow.storage.session_info import SessionInfo, iso_time
from sdk_workflow.storage.session_paths import head_path, session_path
from sdk_workflow.storage.session_record import read_record, record_path, write_record
from sdk_workflow.storage.session_tables import SessionTables
from sdk_workflow.storage.snapshots import Value
from sdk_workflow.storage.sqlite_file import connect
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from pathlib import Path


def opened(home: Path, **options: Any) -> SessionFile:
    return SessionFile.open(session_path(home, "s"), session_id="s", **{"create": True, **options})


def filled(home: Path, versions: int = 3, **options: Any) -> None:
    with opened(home, **options) as file:
        for _ in range(versions):
            number = file.meta()["last_version"] + 1
            file.append_state(
                {"n": number}, records=[JournalRecord(run_id="r", step=number, kind="run_started")]
            )


def backed_up(home: Path, folder: Path, **options: Any) -> Path:
    with opened(home, **options) as file:
        return backup_session(file, folder)


def execute(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def whole(home: Path, versions: int, **options: Any) -> bool:
    with opened(home, create=False, **options) as file:
        file.verify()
        assert len(file.records()) == versions
        return [file.load(n + 1) for n in range(versions)] == [
            {"n": n + 1} for n in range(versions)
        ]


def test_a_backup_is_one_private_file_that_holds_everything(tmp_path: Path) -> None:
    filled(tmp_path / "home")
    with opened(tmp_path / "home") as file:
        file.append_state({"n": 4}, records=[JournalRecord(run_id="r", step=4, kind="run_started")])
        made = backup_session(file, tmp_path / "backups")  # part of it still in the log
        again = backup_session(file, tmp_path / "backups")
    assert made == again == tmp_path / "backups" / "s.v000004.sqlite"
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    if os.name != "nt":
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert restore_session(made, tmp_path / "new") == "s"
    assert whole(tmp_path / "new", 4)
    with opened(tmp_path / "new") as file:
        assert file.append_state({"n": 5}) == 5


@pytest.mark.parametrize("present", ["nothing", "older", "the same", "empty"])
def test_a_backup_takes_the_place_of_what_it_contains(tmp_path: Path, present: str) -> None:
    home = tmp_path / "home"
    if present == "empty":
        opened(home).close()
        filled(tmp_path / "other", 3)
        made = backed_up(tmp_path / "other", tmp_path / "b")
    else:
        filled(home, 2)
        older = session_path(home, "s").read_bytes()
        filled(home, 1)
        made = backed_up(home, tmp_path / "b")
        if present == "nothing":
            session_path(home, "s").unlink()
        if present == "older":
            session_path(home, "s").write_bytes(older)
            head_path(session_path(home, "s")).unlink()
    assert restore_session(made, home) == "s"
    assert whole(home, 3)
    known = read_head_file(head_path(session_path(home, "s")))
    assert known.version == 3


@pytest.mark.parametrize("present", ["newer", "another history"])
def test_a_backup_never_takes_the_place_of_what_it_does_not_contain(
    tmp_path: Path, present: str
) -> None:
    home = tmp_path / "home"
    filled(home, 3)
    made = backed_up(home, tmp_path / "b")
    if present == "newer":
        filled(home, 1)
    else:
        session_path(home, "s").unlink()
        head_path(session_path(home, "s")).unlink()
        with opened(home) as file:
            file.append_state({"n": "another"})
    before = session_path(home, "s").read_bytes()
    with pytest.raises(CheckpointConflict, match=r"what the backup .* does not") as caught:
        restore_session(made, home)
    assert caught.value.code == "restore_would_lose"
    assert session_path(home, "s").read_bytes() == before


@pytest.mark.parametrize("damage", ["row", "empty", "older copy"])
def test_a_damaged_file_is_moved_aside_for_the_backup(tmp_path: Path, damage: str) -> None:
    home = tmp_path / "home"
    target = session_path(home, "s")
    filled(home, 3)
    made = backed_up(home, tmp_path / "b")
    older = target.read_bytes()
    if damage == "row":
        execute(target, "UPDATE frames SET payload=X'00' WHERE version=2")
    elif damage == "empty":
        target.write_bytes(b"")
    else:
        filled(home, 2)
        target.write_bytes(older)
    for _ in range(2):  # the second time there is nothing to do
        assert restore_session(made, home) == "s"
        assert whole(home, 3)
    assert target.with_name("s.sqlite.damaged-1").exists()
    target.write_bytes(b"")
    restore_session(made, home)
    assert target.with_name("s.sqlite.damaged-2").read_bytes() == b""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE frames SET payload=X'00' WHERE version=2",
        "DELETE FROM frames WHERE version=3",
        "UPDATE journal SET body=X'5B5D' WHERE seq=1",
        "UPDATE meta SET value=X'00' WHERE key='facts'",
    ],
)
def test_a_damaged_backup_is_refused_and_changes_nothing(tmp_path: Path, statement: str) -> None:
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    execute(made, statement)
    with pytest.raises(CheckpointCorrupt):
        restore_session(made, tmp_path / "new")
    assert [*(tmp_path / "new").rglob("*.sqlite*")] == []


def test_a_damaged_session_is_not_backed_up(tmp_path: Path) -> None:
    filled(tmp_path / "home")
    execute(session_path(tmp_path / "home", "s"), "DELETE FROM frames WHERE version=2")
    with pytest.raises(CheckpointCorrupt):
        backed_up(tmp_path / "home", tmp_path / "b")
    assert [*(tmp_path / "b").iterdir()] == []


def test_equal_keys_in_a_backup_are_refused(tmp_path: Path) -> None:
    """A forged file: every hash is right, but its JSON is not what this library writes."""
    with opened(tmp_path / "home") as file:
        file.append_state({"n": {"a": 1, "b": 2}})
        made = backup_session(file, tmp_path / "b")
    forge(made, b'{"a":1,"b":2}', b'{"a":1,"a":2}')
    with pytest.raises(CheckpointCorrupt, match="names the key 'a' twice"):
        restore_session(made, tmp_path / "new")


def forge(path: Path, old: bytes, new: bytes) -> None:
    """Change the only frame of a session and all hashes that cover it."""
    connection = connect(path, journal_mode="delete")
    tables = SessionTables(connection)
    frame, _ = tables.frame(1)
    changed = replace(frame, payload=frame.payload.replace(old, new))
    assert changed != frame
    replay = Packer(session_id="s", codec=1, sealer=Plain()).replay()
    replay.apply(changed)
    values = {key: Value.of(pieces.joined()) for key, pieces in replay._keys.items()}
    changed = replace(changed, state=frames._digest("s", 1, values))
    chain = changed.chained_to(GENESIS)
    connection.execute("DELETE FROM frames")
    tables.insert_frame(changed, chain)
    tables.write_head(replace(tables.head(), chain=chain))
    connection.close()


def test_what_is_no_backup_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no backup"):
        restore_session(tmp_path / "nothing.sqlite", tmp_path)
    with pytest.raises(StorageError, match="There is no backup"):
        restore_session(tmp_path, tmp_path)
    text = tmp_path / "text.sqlite"
    text.write_text("hello")
    with pytest.raises(CheckpointCorrupt):
        restore_session(text, tmp_path)
    execute(tmp_path / "foreign.sqlite", "CREATE TABLE x(y)")
    with pytest.raises(StorageError, match="not a session"):
        restore_session(tmp_path / "foreign.sqlite", tmp_path)


def test_a_hostile_id_inside_a_backup_never_reaches_a_path(tmp_path: Path) -> None:
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    connection = sqlite3.connect(made, isolation_level=None)
    connection.text_factory = bytes
    tables = SessionTables(connection)
    tables.write_facts({**tables.facts(), "session_id": "../../x"})
    connection.close()
    with pytest.raises(UsageError, match="cannot be a session id"):
        restore_session(made, tmp_path / "new")


def test_an_encrypted_backup_needs_its_key(tmp_path: Path) -> None:
    key = b"k" * 32
    filled(tmp_path / "home", key=key)
    made = backed_up(tmp_path / "home", tmp_path / "b", key=key)
    with pytest.raises(StorageError, match="no key was given"):
        restore_session(made, tmp_path / "new")
    assert restore_session(made, tmp_path / "new", key=key) == "s"
    assert whole(tmp_path / "new", 3, key=key)


def test_a_session_that_is_open_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    filled(home, 2)
    older = session_path(home, "s").read_bytes()
    filled(home, 1)
    made = backed_up(home, tmp_path / "b")
    session_path(home, "s").write_bytes(older)
    head_path(session_path(home, "s")).unlink()
    with opened(home) as file:
        assert file.load() == {"n": 2}
        with pytest.raises(StorageError) as caught:
            restore_session(made, home)
        assert caught.value.code == "session_in_use"
        assert file.append_state({"n": 3}) == 3


def test_a_head_is_never_ahead_of_the_file_not_even_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup is older than what the head file witnesses of a damaged session."""
    home = tmp_path / "home"
    filled(home, 2)
    made = backed_up(home, tmp_path / "b")
    filled(home, 2)
    session_path(home, "s").write_bytes(b"")
    seen: list[Head] = []
    real = session_paths.sync_folder

    def watched(folder: Path) -> None:
        seen.append(read_head_file(head_path(session_path(home, "s"))))
        real(folder)

    monkeypatch.setattr(backup_module, "sync_folder", watched)
    restore_session(made, home)
    assert seen == [Head()]
    assert whole(home, 2)


def test_a_backup_in_the_making_is_its_own_and_leaves_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes back one session up at once: neither touches the other's copy."""
    filled(tmp_path / "home")
    real = session_check.verify_all
    inner: list[Path] = []

    def verify_while_another_starts(*values: Any, **options: Any) -> None:
        real(*values, **options)
        if not inner:
            inner.append(tmp_path)
            seen = {each.name for each in (tmp_path / "b").iterdir()}
            inner.append(backed_up(tmp_path / "home", tmp_path / "b"))
            assert seen <= {each.name for each in (tmp_path / "b").iterdir()}

    monkeypatch.setattr(backup_module, "verify_all", verify_while_another_starts)
    made = backed_up(tmp_path / "home", tmp_path / "b")
    assert [*(tmp_path / "b").iterdir()] == [made]
    monkeypatch.setattr(backup_module, "_name_for", lambda *_: tmp_path / "no" / "folder")
    with pytest.raises(StorageError):
        backed_up(tmp_path / "home", tmp_path / "b")
    assert [*(tmp_path / "b").iterdir()] == [made]


def test_a_session_that_was_only_cleaned_up_since_needs_no_restoring(tmp_path: Path) -> None:
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    with opened(tmp_path / "home") as file:
        file.prune(keep_versions=9)
    before = read_head_file(head_path(session_path(tmp_path / "home", "s")))
    assert restore_session(made, tmp_path / "home") == "s"
    assert read_head_file(head_path(session_path(tmp_path / "home", "s"))) == before
    assert whole(tmp_path / "home", 3)


def test_a_restore_holds_the_lock_from_its_first_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two restores write the same copy: one of them has to wait before it begins."""
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    lock = FileLock(head_path(session_path(tmp_path / "new", "s")))
    real = backup_module.copy_database

    def copy_while_another_asks(*values: Any) -> None:
        with pytest.raises(StorageError, match="in use"):
            lock.acquire(timeout_seconds=0.0)
        real(*values)

    monkeypatch.setattr(backup_module, "copy_database", copy_while_another_asks)
    restore_session(made, tmp_path / "new")
    lock.close()
    assert whole(tmp_path / "new", 3)


def test_a_backup_never_replaces_one_of_another_history(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b", "c"):
        with opened(tmp_path / name) as file:
            file.append_state({"by": name})
            made.append(backup_session(file, tmp_path / "b"))
    assert [path.name for path in made] == [
        "s.v000001.sqlite",
        "s.v000001-2.sqlite",
        "s.v000001-3.sqlite",
    ]
    made[1].write_bytes(b"damaged")
    with opened(tmp_path / "c") as file:
        assert backup_session(file, tmp_path / "b") == made[2]
    for number, name in ((0, "a"), (2, "c")):
        restore_session(made[number], tmp_path / f"new-{name}")
        with opened(tmp_path / f"new-{name}") as file:
            assert file.load() == {"by": name}


@pytest.mark.parametrize("versions", [0, 1])
def test_a_journal_that_the_backup_does_not_hold_is_never_lost(
    tmp_path: Path, versions: int
) -> None:
    home = tmp_path / "home"
    with opened(home) as file:
        for number in range(versions):
            file.append_state({"n": number})
        older = backup_session(file, tmp_path / "b")
        for number in range(4):
            file.append_state(
                {"n": 9}, records=[JournalRecord(run_id="x", step=number, kind="run_started")]
            )
        newer = backup_session(file, tmp_path / "b")
    again = tmp_path / "again"
    restore_session(older, again)
    with opened(again) as file:
        file.append_records([JournalRecord(run_id="mine", step=0, kind="run_started")])
    with pytest.raises(CheckpointConflict):
        restore_session(newer, again)
    with opened(again) as file:
        assert [record.run_id for record in file.records()] == ["mine"]


def test_a_backup_whose_start_was_pruned_takes_the_place_of_what_it_goes_on_from(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "home", clock=VirtualClock()) as file:
        file.append_state({"n": os.urandom(80_000).hex()})
        file.append_records([record("r", "run_started"), record("r", "run_finished")])
        older = backup_session(file, tmp_path / "b")
        file.append_state({"n": os.urandom(80_000).hex()})
        assert file.prune(created_before=2e9) == 1
        exact = backup_session(file, tmp_path / "b")
        file.append_state({"n": os.urandom(80_000).hex()})
        assert file.prune(created_before=2e9) == 1
        far = backup_session(file, tmp_path / "b")
    restore_session(older, tmp_path / "new")
    with pytest.raises(CheckpointConflict):  # it cannot be told any more what it goes on from
        restore_session(far, tmp_path / "new")
    opened(tmp_path / "empty").close()
    restore_session(far, tmp_path / "empty")
    restore_session(exact, tmp_path / "new")
    restore_session(far, tmp_path / "new")
    with opened(tmp_path / "new") as file:
        assert file.meta()["first_version"] == 3


def record(run_id: str, kind: Any) -> JournalRecord:
    return JournalRecord(run_id=run_id, step=0, kind=kind)


@pytest.mark.parametrize("key", [None, b"k" * 32])
def test_the_record_of_a_session_goes_with_its_backup(tmp_path: Path, key: bytes | None) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    info = SessionInfo(session_id="s", started_at=iso_time(0), title="A title of mine")
    filled(home, key=key)
    write_record(record_path(home, "s"), info)
    made = backed_up(home, tmp_path / "b", key=key)
    assert (b"A title of mine" in made.read_bytes()) == (key is None)
    restore_session(made, new, key=key)
    assert read_record(record_path(new, "s")) == info
    later = dataclasses.replace(info, title="A better title")
    write_record(record_path(new, "s"), later)
    restore_session(made, new, key=key)
    assert read_record(record_path(new, "s")) == later
    assert whole(new, 3, key=key)
    with opened(new, key=key) as file, file.connection.reading() as (tables, _head):
        assert tables.note() == b""


def test_a_damaged_record_is_left_out_of_a_backup_and_one_in_a_backup_is_refused(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    filled(home)
    info = SessionInfo(session_id="s", started_at=iso_time(0))
    write_record(record_path(home, "s"), info)
    made = backed_up(home, tmp_path / "b")
    record_path(home, "s").write_bytes(b"damaged")
    without = backed_up(home, tmp_path / "c")
    restore_session(without, tmp_path / "new")
    assert not record_path(tmp_path / "new", "s").exists()
    execute(made, "UPDATE meta SET value=X'7B7D' WHERE key='note'")
    with pytest.raises(CheckpointCorrupt):
        restore_session(made, tmp_path / "newer")
    assert not session_path(tmp_path / "newer", "s").exists()


def test_what_lies_beside_a_lost_file_is_moved_aside_for_the_backup(tmp_path: Path) -> None:
    home = tmp_path / "home"
    filled(home)
    made = backed_up(home, tmp_path / "b")
    target = session_path(home, "s")
    for number in (1, 2):
        with opened(home) as file:
            file.append_state({"n": "lost"})
            target.unlink()  # the log stays
        restore_session(made, home)
        assert whole(home, 3)
        assert target.with_name(f"s.sqlite.damaged-{number}-wal").exists()


def test_a_session_that_was_put_away_is_neither_made_anew_nor_restored_over(
    tmp_path: Path,
) -> None:
    filled(tmp_path)
    made = backed_up(tmp_path, tmp_path / "b")
    move_session(tmp_path, "s", away=True)
    for use in (
        lambda: opened(tmp_path),
        lambda: opened(tmp_path, create=False),
        lambda: restore_session(made, tmp_path),
    ):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "session_archived"
        assert "--undo s" in caught.value.hint
    move_session(tmp_path, "s", away=False)
    assert whole(tmp_path, 3)


@pytest.mark.parametrize(
    "facts",
    [
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"session_id":"s"}',
        b'{"session_id":"s","session_id":"t","created_us":0,"parent":null,"encryption":null}',
        b'{"session_id":"s","created_us":"0","parent":null,"encryption":null}',
        b'{"session_id":7,"created_us":0,"parent":null,"encryption":null}',
        b'{"session_id":"s","created_us":0,"parent":"t","encryption":null}',
        b'{"session_id":"s","created_us":0,"parent":null,"encryption":"x"}',
    ],
    ids=lambda facts: facts[:30].decode(),
)
def test_a_forged_record_of_the_session_itself_is_refused(tmp_path: Path, facts: bytes) -> None:
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    value = hashlib.sha256(facts).digest()[:8] + facts
    with sqlite3.connect(made) as connection:
        connection.execute("UPDATE meta SET value=? WHERE key='facts'", (value,))
    connection.close()
    with pytest.raises(CheckpointCorrupt):
        restore_session(made, tmp_path / "new")


def test_equal_keys_in_the_journal_of_a_backup_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as file:
        file.append_records([record("r", "run_started")])
        with file.connection.writing() as writing:
            row = (2, b"r", 0, b"run_failed", b"", 0, b"", b'{"a":1,"a":2}')
            chain = chained(row, writing.head.journal_chain)
            writing.tables.insert_record((*row[:6], chain, row[7]))
            writing.head = replace(writing.head, sequence=2, journal_chain=chain)
        made = backup_session(file, tmp_path / "b")
    with pytest.raises(CheckpointCorrupt, match="names the key 'a' twice"):
        restore_session(made, tmp_path / "new")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON frames BEGIN DELETE FROM journal; END",
        "CREATE VIEW v AS SELECT 1",
    ],
)
def test_a_backup_that_would_run_something_of_its_own_is_refused(
    tmp_path: Path, statement: str
) -> None:
    filled(tmp_path / "home")
    made = backed_up(tmp_path / "home", tmp_path / "b")
    execute(made, statement)
    with pytest.raises(CheckpointCorrupt, match="a view or a trigger"):
        restore_session(made, tmp_path / "new")


# --- migration --------------------------------------------------------------------------------


@pytest.fixture
def newer_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose schema 2 has one more table."""
    monkeypatch.setattr(session_tables, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(
        migration,
        "MIGRATIONS",
        {1: lambda connection: connection.execute("CREATE TABLE notes(text)")},
    )


def test_a_file_of_this_release_needs_no_migration(tmp_path: Path) -> None:
    filled(tmp_path)
    path = session_path(tmp_path, "s")
    before = path.read_bytes()
    assert migrate_session(path, "s") == 1
    assert path.read_bytes() == before


def test_an_older_file_is_refused_until_it_is_migrated_and_loses_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    filled(tmp_path)
    request.getfixturevalue("newer_release")
    with pytest.raises(StorageError) as caught:
        opened(tmp_path)
    assert caught.value.code == "schema_outdated"
    assert migrate_session(session_path(tmp_path, "s"), "s") == 2
    assert whole(tmp_path, 3)
    with opened(tmp_path) as file:
        assert file.meta()["schema"] == 2
        assert file.append_state({"n": 4}) == 4


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    path = session_path(tmp_path, "s")
    before = path.read_bytes()
    request.getfixturevalue("newer_release")
    for statement in ("CREATE TABLE frames(x)", "DELETE FROM frames WHERE version=2"):
        steps = {1: lambda connection, text=statement: connection.execute(text)}
        monkeypatch.setattr(migration, "MIGRATIONS", steps)
        with pytest.raises(CheckpointCorrupt):
            migrate_session(path, "s")
        assert path.read_bytes() == before
        assert not [each.name for each in path.parent.iterdir() if "migrated" in each.name]


@pytest.mark.parametrize("damage", ["log", "older copy"])
def test_a_shorter_history_is_not_migrated_and_the_evidence_stays(
    tmp_path: Path, request: pytest.FixtureRequest, damage: str
) -> None:
    path = session_path(tmp_path, "s")
    filled(tmp_path)
    older = path.read_bytes()
    with opened(tmp_path) as file:
        file.append_state({"n": 4})
        log = path.with_name("s.sqlite-wal").read_bytes()
    if damage == "log":
        path.with_name("s.sqlite-wal").write_bytes(log[:2000])
    path.write_bytes(older)
    known = read_head_file(head_path(path))
    request.getfixturevalue("newer_release")
    with pytest.raises(CheckpointCorrupt, match="versions 4 to 4 were saved but are missing"):
        migrate_session(path, "s")
    assert read_head_file(head_path(path)) == known
    assert path.read_bytes() == older
    assert damage != "log" or path.with_name("s.sqlite-wal").stat().st_size == 2000


@pytest.mark.parametrize(
    ("key", "name", "code"),
    [
        (None, "s", "key_missing"),
        (b"x" * 32, "s", "wrong_key"),
        (b"k" * 32, "t", "other_session"),
    ],
)
def test_a_migration_with_the_wrong_key_or_name_says_so(
    tmp_path: Path, request: pytest.FixtureRequest, key: bytes | None, name: str, code: str
) -> None:
    filled(tmp_path, key=b"k" * 32)
    request.getfixturevalue("newer_release")
    with pytest.raises(StorageError) as caught:
        migrate_session(session_path(tmp_path, "s"), name, key=key)
    assert caught.value.code == code


def test_what_cannot_be_migrated_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        migrate_session(session_path(tmp_path, "s"), "s")
    filled(tmp_path)
    execute(session_path(tmp_path, "s"), "PRAGMA user_version=9")
    with pytest.raises(StorageError) as caught:
        migrate_session(session_path(tmp_path, "s"), "s")
    assert caught.value.code == "schema_too_new"

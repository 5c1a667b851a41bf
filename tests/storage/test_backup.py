from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage import backup as backup_module
from sdk_workflow.storage import frames, migration, session_paths, session_tables
from sdk_workflow.storage.backup import backup_session, restore_session
from sdk_workflow.storage.chain import GENESIS, Head
from sdk_workflow.storage.encryption import Plain
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.frames import Packer
from sdk_workflow.storage.head_file import read_head_file
from sdk_workflow.storage.migration import migrate_session
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import head_path, session_path
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


def test_what_cannot_be_migrated_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        migrate_session(session_path(tmp_path, "s"), "s")
    filled(tmp_path)
    execute(session_path(tmp_path, "s"), "PRAGMA user_version=9")
    with pytest.raises(StorageError) as caught:
        migrate_session(session_path(tmp_path, "s"), "s")
    assert caught.value.code == "schema_too_new"

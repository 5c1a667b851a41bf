"""What the campaigns have found once, each as a test of its own."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.storage import session_folders
from sdk_workflow.storage.catalog_file import CatalogFile
from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.ledger_file import LedgerFile
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_info import SessionInfo, iso_time

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.storage.catalog_writing import CatalogWriting


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    made = LedgerFile(path)
    made.reserve("run", "a", 700, limit=10**6, expires_at=5.0, now=0.0)
    made.settle("run", "a", 300, now=0.0)
    made.close()
    return path


def spent(path: Path) -> int:
    ledger = LedgerFile(path)
    try:
        return ledger.standing("run", now=0.0).spent
    finally:
        ledger.close()


def changed(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_an_index_of_holds_that_does_not_fit_them_is_damage(ledger: Path) -> None:
    writing = LedgerFile(ledger)
    writing.reserve("run", "held", 500, limit=10**6, expires_at=5.0, now=0.0)
    writing.close()
    renamed = "UPDATE sqlite_master SET sql=replace(sql, 'state = {}', 'state = {}')"
    changed(ledger, "PRAGMA writable_schema=ON", renamed.format(0, 7))
    changed(ledger, "UPDATE holds SET expires_us=9 WHERE state=0")  # the index stays as it was
    changed(ledger, "PRAGMA writable_schema=ON", renamed.format(7, 0))
    with pytest.raises(StorageError, match="SQLite says") as caught:
        spent(ledger)
    assert caught.value.code == "ledger_corrupt"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET scope=CAST(scope AS TEXT)",
        "UPDATE holds SET hold_id=CAST(hold_id AS TEXT)",
    ],
)
def test_a_key_of_a_ledger_that_would_not_be_found_is_damage(ledger: Path, statement: str) -> None:
    changed(ledger, statement)
    with pytest.raises(StorageError, match="a key is of another type"):
        spent(ledger)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sessions SET status=CAST(status AS BLOB)",
        "UPDATE sessions SET id=CAST(id AS BLOB)",
        "UPDATE tags SET tag=CAST(tag AS BLOB)",
        "UPDATE tags SET tag='night'",
    ],
)
def test_a_catalogue_with_a_value_that_would_not_be_found_is_made_anew(
    tmp_path: Path, statement: str
) -> None:
    notices: list[str] = []
    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        sessions.start_session(session_id="a", tags=["urgent"])
        sessions.close()
        changed(tmp_path / "catalog.sqlite", statement)
        assert [info.session_id for info in sessions.list_active_sessions()] == ["a"]
        assert len(sessions.search_sessions({"tags": ["urgent"]})) == 1
    assert "a value is of another type" in notices[0] or "tags are" in notices[0]


def test_word_of_all_sessions_of_a_change_is_left_when_its_process_dies(tmp_path: Path) -> None:
    catalog = CatalogFile(tmp_path, on_notice=print)

    def die(writing: CatalogWriting) -> None:
        for name in ("a", "b", "a"):
            writing.put(SessionInfo(session_id=name, started_at=iso_time(0)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.write(die)
    assert (tmp_path / "catalog.unfinished").read_text("utf-8").split() == ["a", "b"]
    found = catalog.read(lambda rows: [info.session_id for info in rows.all()])
    catalog.close()
    assert found == ["a", "b"]


def test_a_session_whose_files_are_gone_is_not_listed_though_the_disk_failed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    clock = VirtualClock()
    with SessionManager(tmp_path, clock=clock) as sessions:
        sessions.start_session(session_id="old")
        sessions.end_session("old")
        clock.advance(10 * 86_400)
        monkeypatch.setattr(session_folders, "sync_folder", fail)
        assert sessions.cleanup_sessions(5) == 1
        assert sessions.search_sessions() == []


def test_a_session_whose_files_cannot_be_deleted_stays_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    clock = VirtualClock()
    with SessionManager(tmp_path, clock=clock) as sessions:
        sessions.start_session(session_id="old")
        sessions.end_session("old")
        clock.advance(10 * 86_400)
        monkeypatch.setattr(session_folders, "remove_database", fail)
        assert sessions.cleanup_sessions(5) == 0
        assert [info.session_id for info in sessions.search_sessions()] == ["old"]


def saved(path: Path, count: int) -> None:
    with SessionFile.open(path, session_id="s", create=True) as file:
        for number in range(count):
            file.append_state({"n": number})


def test_an_index_that_leads_to_another_record_does_not_hide_the_history(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    saved(path, 3)
    data = path.read_bytes()
    assert data.count(b"anchor\x03") == 1  # in the index of the records, with the number of its row
    path.write_bytes(data.replace(b"anchor\x03", b"anchor\x02"))  # that of the head
    with SessionFile.open(path, session_id="s") as file:
        assert file.load() == {"n": 2}
        assert file.append_state({"n": 3}) == 4
        assert file.prune(keep_versions=1) == 0
        assert [info.version for info in file.versions()] == [1, 2, 3, 4]


def test_versions_after_one_that_names_a_wrong_base_still_load(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    saved(path, 5)
    changed(path, "UPDATE frames SET base=0 WHERE version=3")
    with SessionFile.open(path, session_id="s") as file:
        with pytest.raises(CheckpointCorrupt) as caught:
            file.load(3)
        assert caught.value.intact_versions == (1, 2, 4, 5)
        assert [file.load(version) for version in (4, 5)] == [{"n": 3}, {"n": 4}]


def test_a_version_that_builds_on_a_broken_one_is_not_said_to_load(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    saved(path, 4)  # each replaces all of the one before: its hash would fit without it
    changed(path, "UPDATE frames SET payload=X'00' WHERE version=2")
    with SessionFile.open(path, session_id="s") as file:
        for version in (2, 3, 4):
            with pytest.raises(CheckpointCorrupt) as caught:
                file.load(version)
            assert caught.value.intact_versions == (1,)


def test_a_new_file_whose_log_cannot_be_moved_into_it_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement.startswith("PRAGMA wal_checkpoint"):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Full, **k))
    path = tmp_path / "s.sqlite"
    with pytest.raises(StorageError) as caught:
        SessionFile.open(path, session_id="s", create=True)
    assert caught.value.code == "disk_full"
    assert not path.exists()

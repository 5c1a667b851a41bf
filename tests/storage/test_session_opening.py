"""How a session file is opened, who may write, and what happens when a disk fails."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage import session_connection
from sdk_workflow.storage.errors import CheckpointCorrupt, SessionNotFound
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.session_paths import head_path
from sdk_workflow.storage.session_tables import SessionTables
from tests.storage.sessions import filled, make_fail, opened, pragma

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("batch", 1), ("off", 0)])
def test_the_connection_has_the_promised_settings(
    path: Path, durability: Any, synchronous: int
) -> None:
    with opened(path, durability=durability) as file:
        assert pragma(file, "synchronous") == synchronous
        assert pragma(file, "journal_mode") == b"wal"
        assert pragma(file, "busy_timeout") == 30_000
        assert pragma(file, "trusted_schema") == 0
        assert pragma(file, "cell_size_check") == 1
        assert pragma(file, "wal_autocheckpoint") == 0
        assert pragma(file, "auto_vacuum") == 2
        assert pragma(file, "page_size") == 8192
        assert pragma(file, "fullfsync") == 1
        assert pragma(file, "checkpoint_fullfsync") == 1


def test_batch_syncs_a_save_when_the_last_sync_is_a_tenth_of_a_second_old(
    path: Path, clock: VirtualClock
) -> None:
    with opened(path, durability="batch", clock=clock) as file:
        modes = []
        for pause in (0.0, 0.05, 0.06, 0.05):
            clock.advance(pause)
            file.append_state({})
            modes.append(pragma(file, "synchronous"))
        assert modes == [2, 1, 2, 1]


def test_a_durability_that_does_not_exist_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="'nearly'"):
        opened(path, durability="nearly")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX rights")
def test_files_are_private(path: Path) -> None:
    with opened(path) as file:
        file.append_state({})
        for name in ("s.sqlite", "s.sqlite-wal", "s.head"):
            assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_reader_writes_nothing_and_may_look_while_somebody_writes(path: Path) -> None:
    with opened(path) as writer, opened(path, read_only=True) as reader:
        writer.append_state({"n": 1})
        assert reader.load() == {"n": 1}
        writer.append_state({"n": 2})
        assert reader.load() == {"n": 2}
        for write in (lambda: reader.append_state({}), reader.claim):
            with pytest.raises(StorageError, match="reading only"):
                write()


def test_a_closed_file_is_not_opened_again(path: Path) -> None:
    file = opened(path)
    file.append_state({})
    file.close()
    file.close()
    with pytest.raises(UsageError, match="closed"):
        file.load()


def test_a_file_that_was_replaced_is_opened_again(path: Path, tmp_path: Path) -> None:
    filled(tmp_path / "other" / "s.sqlite", 5)
    with opened(path) as file:
        file.append_state({})
    with opened(path) as file:
        (tmp_path / "other" / "s.sqlite").replace(path)
        assert file.load() == {"n": 4, "turns": [0, 1, 2, 3]}
        assert file.append_state({}) == 6


def test_a_session_that_was_deleted_starts_anew(path: Path) -> None:
    filled(path, 3)
    path.unlink()
    head_path(path).unlink()
    with opened(path) as file:
        assert file.load() is None
        assert file.append_state({"n": 1}) == 1
    with opened(path) as file:
        assert file.load() == {"n": 1}


@pytest.mark.parametrize("left", ["head", "log"])
def test_a_file_that_was_lost_is_noticed_and_never_made_anew(path: Path, left: str) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        file.append_state({"n": 2})
        if left == "head":
            file.connection._drop()
        path.unlink()
        if left == "log":
            head_path(path).unlink()
        for look in (file.load, lambda: file.append_state({}), file.versions):
            with pytest.raises(CheckpointCorrupt, match="the file is gone"):
                look()
    for options in ({}, {"create": False}, {"read_only": True}):
        with pytest.raises(CheckpointCorrupt, match="saved in it"):
            opened(path, **options)
    assert not path.exists()


def test_reading_never_creates_what_was_deleted_and_writing_does(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        file.connection._drop()
        path.unlink()
        head_path(path).unlink()
        with pytest.raises(SessionNotFound):
            file.load()
        assert not path.exists()
        assert file.append_state({"n": 2}) == 1


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SessionTables, "create", failing)
    with pytest.raises(StorageError) as caught:
        opened(path)
    assert caught.value.code == "disk_full"
    assert [each.name for each in path.parent.iterdir()] == ["s.head"]


def test_a_folder_that_cannot_be_written_to_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 2)
    head_path(path).touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with opened(path) as file:
        assert file.load() == {"n": 1, "turns": [0]}
        assert [each.name for each in path.parent.iterdir() if "-shm" in each.name] == []
        with pytest.raises(StorageError) as caught:
            file.append_state({})
        assert caught.value.code == "read_only"


def test_closing_waits_for_nobody(path: Path) -> None:
    """A process that was refused says so at once, however long the other one runs."""
    with opened(path) as mine:
        mine.append_state({"n": 1})
        mine.claim()
        clock = VirtualClock()
        other = opened(path, clock=clock)
        other.close()
        assert clock.monotonic() == VirtualClock().monotonic()
        assert mine.append_state({"n": 2}) == 2


def test_what_is_forgotten_without_closing_is_let_go(path: Path) -> None:
    file = opened(path)
    file.append_state({"n": 1})
    file.claim()
    del file
    gc.collect()
    with opened(path, lock_timeout_seconds=0.0) as again:
        again.claim()
        assert again.append_state({"n": 2}) == 2


def test_batch_syncs_the_next_save_where_one_failed(path: Path, clock: VirtualClock) -> None:
    with opened(path, durability="batch", clock=clock) as file:
        make_fail(file, "COMMIT", "disk I/O error")
        with pytest.raises(StorageError):
            file.append_state({})
        file.append_state({})
        assert pragma(file, "synchronous") == 2


def test_another_history_of_the_same_length_is_not_taken_for_the_remembered_one(
    path: Path, tmp_path: Path
) -> None:
    with opened(tmp_path / "other" / "s.sqlite") as other:
        other.append_state({"by": "other"})
    with opened(path) as file:
        file.append_state({"by": "me"})
        file.connection._drop()
        (tmp_path / "other" / "s.sqlite").replace(path)
        head_path(path).unlink()
        assert file.load() == {"by": "other"}
        file.append_state({"by": "me"})
        assert file.load(1) == {"by": "other"}


def test_a_write_waits_for_the_lock_and_gives_up_with_a_reason(path: Path) -> None:
    lock = FileLock(head_path(path))
    with opened(path, lock_timeout_seconds=0.01) as file:
        file.append_state({"n": 1})
        with lock:
            with pytest.raises(StorageError, match="in use") as caught:
                file.append_state({"n": 2})
            assert caught.value.retryable
            assert file.load() == {"n": 1}
        assert file.append_state({"n": 2}) == 2
    lock.close()


def test_who_claims_a_session_is_its_only_writer(path: Path) -> None:
    with opened(path) as mine:
        mine.append_state({"n": 1})
        with opened(path, lock_timeout_seconds=0.01) as other:
            mine.claim()
            mine.claim()
            with pytest.raises(StorageError) as caught:
                other.claim()
            assert caught.value.code == "session_in_use"
            with pytest.raises(StorageError, match="in use"):
                other.append_state({"n": 2})
            assert mine.append_state({"n": 2}) == 2
            assert other.load() == {"n": 2}
        mine.append_state({"n": 3})
    with opened(path) as other:
        other.claim()
        assert other.append_state({"n": 4}) == 4


def test_a_writer_outside_the_lock_is_waited_for(path: Path) -> None:
    """Another program on the file: SQLite's own time-out, not an error at once."""
    with opened(path) as file:
        file.append_state({"n": 1})
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.05, other.execute, ("COMMIT",))
        timer.start()
        assert file.append_state({"n": 2}) == 2
        timer.join()
        other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parent_and_child_of_a_fork_both_go_on(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert file.connection._tables is None  # nothing of SQLite crosses a fork
                code = 0 if file.append_state({"by": "child"}) > 1 else 2
                file.close()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        file.append_state({"by": "parent"})
        assert [file.load(version) for version in (1, 2, 3)] == [
            {"n": 1},
            {"by": "child"},
            {"by": "parent"},
        ]
        file.verify()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_claim_stays_with_the_parent_of_a_fork(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        file.claim()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                file.claim()
            except StorageError as error:
                code = 0 if error.code == "session_in_use" else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert file.append_state({"n": 2}) == 2


def test_a_full_disk_is_said_and_loses_nothing(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        with file.connection.reading() as (tables, _head):
            pages = tables.connection.execute("PRAGMA page_count").fetchone()[0]
            tables.connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match="disk is full") as caught:
            file.append_state({"noise": os.urandom(100_000).hex()})
        assert (caught.value.code, bool(caught.value.hint)) == ("disk_full", True)
        assert file.load() == {"n": 1}
        assert file.append_state({"noise": os.urandom(100_000).hex()}) == 2  # space again
        file.verify()


def test_a_read_only_file_is_said_and_loads(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        with file.connection.reading() as (tables, _head):
            tables.connection.execute("PRAGMA query_only=1")
        with pytest.raises(StorageError) as caught:
            file.append_state({"n": 2})
        assert caught.value.code == "read_only"
        assert file.load() == {"n": 1}


@pytest.mark.parametrize("word", ["BEGIN IMMEDIATE", "INSERT INTO frames", "COMMIT"])
def test_a_disk_that_fails_in_a_save_leaves_the_versions_before(path: Path, word: str) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
        make_fail(file, word, "disk I/O error")
        with pytest.raises(StorageError) as caught:
            file.append_state({"n": 2})
        assert caught.value.code == "disk_failed"
        assert file.load() == {"n": 1}
        assert file.append_state({"n": 3}) == 2


def test_a_head_file_that_cannot_be_written_does_not_take_a_save_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(path) as file:
        file.append_state({"n": 1})
        monkeypatch.setattr(FileLock, "write", failing)
        assert file.append_state({"n": 2}) == 2
        monkeypatch.undo()
        assert file.load() == {"n": 2}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("database is locked", "file_busy"),
        ("unable to open database file", "file_not_opened"),
        ("string or blob too big", "too_large"),
    ],
)
def test_what_sqlite_says_has_a_meaning(path: Path, said: str, code: str) -> None:
    with opened(path) as file:
        make_fail(file, "BEGIN IMMEDIATE", said)
        with pytest.raises(StorageError) as caught:
            file.append_state({})
        assert (caught.value.code, caught.value.retryable) == (code, code == "file_busy")


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        opened(tmp_path / "file" / "s.sqlite")


def test_a_file_whose_end_is_missing_is_read_and_not_written_on(path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4096])
    with opened(path) as file:
        with pytest.raises(CheckpointCorrupt, match="its end is missing") as caught:
            file.load()
        assert caught.value.intact_versions == (1, 2, 3)
        assert file.load(3) == {"n": 2, "turns": [0, 1]}
        with pytest.raises(CheckpointCorrupt, match="its end is missing"):
            file.append_state({})
    assert path.read_bytes() == whole[:-4096]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("PRAGMA application_id=5", "foreign_file"),
        ("PRAGMA user_version=9", "schema_too_new"),
        ("PRAGMA user_version=0", "schema_outdated"),
    ],
)
def test_a_file_that_is_refused_is_not_written_to(path: Path, change: str, code: str) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # opening a session would change it
        connection.execute(change)
    connection.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StorageError) as caught:
            opened(path, read_only=read_only)
        assert caught.value.code == code
    assert path.read_bytes() == before


def test_no_session_is_begun_under_an_id_that_looks_like_an_option(path: Path) -> None:
    with pytest.raises(UsageError, match="begins with '-'") as caught:
        opened(path, session_id="-s")
    assert caught.value.code == "invalid_session_id"
    assert not path.parent.exists() or list(path.parent.iterdir()) == []


def test_a_session_that_was_begun_under_such_an_id_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_connection, "check_new_session_id", lambda _: None)
    filled(path, session_id="-s")
    monkeypatch.undo()
    with opened(path, session_id="-s") as file:
        assert file.append_state({}) == 4

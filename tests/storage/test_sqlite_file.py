from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage import sqlite_file
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.sqlite_file import (
    FileHeader,
    connect,
    create_private_file,
    is_cut,
    read_header,
    same_file,
    storage_errors,
)

if TYPE_CHECKING:
    from pathlib import Path


def value(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("asked", "synchronous"), [("full", 3), ("normal", 1)])
def test_where_there_can_be_no_log_the_strictest_rollback_journal_takes_its_place(
    asked: Any, synchronous: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect
    # A database in memory has no log, as some network file systems have none.
    monkeypatch.setattr(
        sqlite3, "connect", lambda *_, **options: real(":memory:", **{**options, "uri": False})
    )
    from pathlib import Path

    connection = connect(Path("x"), synchronous=asked)
    assert value(connection, "journal_mode") == b"memory"
    assert value(connection, "synchronous") == synchronous
    connection.close()


def test_a_file_in_a_folder_that_nobody_can_write_to_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sqlite"
    create_private_file(path)
    connection = connect(path)
    connection.execute("CREATE TABLE a(b)")
    connection.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    connection = connect(path, read_only=True)
    assert value(connection, "journal_mode")
    assert connection.execute("SELECT count(*) FROM a").fetchone() == (0,)
    assert [each.name for each in tmp_path.iterdir()] == ["a.sqlite"]
    connection.close()


def test_a_path_with_odd_characters_is_that_path(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#é%41 b.sqlite"
    create_private_file(path)
    connection = connect(path)
    connection.execute("CREATE TABLE a(b)")
    connection.close()
    assert path.stat().st_size > 0


def test_a_file_that_is_none_is_not_left_open(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(Damage), storage_errors(path):
        connect(path)


def test_a_file_that_cannot_be_created_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="could not be created"):
        create_private_file(tmp_path / "folder")


def test_whether_a_path_still_leads_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    found = (tmp_path / "a").stat()
    assert same_file(tmp_path / "a", (found.st_dev, found.st_ino))
    assert not same_file(tmp_path / "a", None)
    assert not same_file(tmp_path / "b", (found.st_dev, found.st_ino))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(28, "No space left on device"), StorageError, "No space left"),
        (sqlite3.OperationalError("no such table: frames"), Damage, "no such table"),
        (sqlite3.DatabaseError("database disk image is malformed"), Damage, "malformed"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), Damage, "text that is none"),
    ],
)
def test_every_failure_has_its_meaning(
    tmp_path: Path, error: Exception, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said), storage_errors(tmp_path / "a"):
        raise error


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(KeyError), storage_errors(tmp_path / "a"):
        raise KeyError("x")
    assert sqlite_file.BUSY_TIMEOUT_SECONDS == 30


def made(path: Path, *, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size=8192")
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA application_id=77")
        connection.execute("PRAGMA user_version=5")
        connection.execute("CREATE TABLE a(b)")
        connection.commit()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_header_is_read_without_changing_the_file(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a b%.sqlite"
    made(path, mode=mode)
    before = path.read_bytes()
    assert read_header(path) == FileHeader(77, 5, 2, 8192)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, None])
def test_what_is_no_database_has_no_header(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a"
    if content is not None:
        path.write_bytes(content)
    found = read_header(path)
    assert found is None or found.application_id == 0


def test_a_header_that_is_read_lets_go_of_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    made(path, mode="delete")
    writer = connect(path, journal_mode="delete")
    writer.execute("BEGIN EXCLUSIVE")
    read_header(path)
    intruder = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0);"
        " c.execute('BEGIN IMMEDIATE')"
    )
    done = subprocess.run(
        [sys.executable, "-c", intruder, str(path)], capture_output=True, text=True, check=False
    )
    assert "locked" in done.stderr
    writer.close()


@pytest.mark.parametrize(("lost", "expected"), [(0, False), (1, True), (4096, True)])
def test_a_file_whose_last_page_is_not_whole_is_cut(
    tmp_path: Path, lost: int, expected: bool  # noqa: FBT001 - a case
) -> None:
    path = tmp_path / "a.sqlite"
    made(path, mode="wal")
    path.write_bytes(path.read_bytes()[: 2 * 8192 - lost])
    assert is_cut(path) is expected


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_file_with_a_log_may_be_as_short_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "a.sqlite"
    made(path, mode="wal")
    path.write_bytes(path.read_bytes()[:-1])
    path.with_name(path.name + suffix).write_bytes(b"log")
    assert not is_cut(path)


@pytest.mark.parametrize("look", [2, 4])
def test_a_file_that_somebody_is_writing_is_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    path = tmp_path / "a.sqlite"
    made(path, mode="wal")
    path.write_bytes(path.read_bytes()[:-1])
    looks = iter(range(1, 9))
    # A log that appears between two looks.
    monkeypatch.setattr(sqlite_file, "log_bytes", lambda _: int(next(looks) >= look))
    assert not is_cut(path)

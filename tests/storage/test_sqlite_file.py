from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage import sqlite_file
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.sqlite_file import (
    connect,
    create_private_file,
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

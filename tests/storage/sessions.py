"""Short ways to open, fill and damage a session file in tests."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path, **options: Any) -> SessionFile:
    given: dict[str, Any] = {"session_id": "s", "create": True, **options}
    return SessionFile.open(path, **given)


def filled(path: Path, versions: int = 3, **options: Any) -> None:
    with opened(path, **options) as file:
        for number in range(versions):
            file.append_state({"n": number, "turns": list(range(number))})


def pragma(file: SessionFile, name: str) -> Any:
    with file.connection.reading() as (tables, _head):
        return tables.connection.execute(f"PRAGMA {name}").fetchone()[0]


def execute(path: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def record(run_id: str, step: int, **body: Any) -> JournalRecord:
    return JournalRecord(run_id=run_id, step=step, kind="tool_intent", key=f"k{step}", body=body)


class Failing:
    """A connection whose statements fail from the one that starts with a word on."""

    def __init__(self, real: sqlite3.Connection, word: str, error: Exception) -> None:
        self._real = real
        self._word = word
        self._error = error

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith(self._word):
            raise self._error
        return self._real.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def make_fail(file: SessionFile, word: str, said: str) -> None:
    """Let a file's connection fail in every statement that starts with a word."""
    with file.connection.reading() as (tables, _head):
        failing: Any = Failing(tables.connection, word, sqlite3.OperationalError(said))
        tables.connection = failing

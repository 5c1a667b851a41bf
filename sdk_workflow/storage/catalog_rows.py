"""The tables of the catalogue and every statement on them; nothing here opens or mends a file.

Columns and indices find a session, its packed record is what is returned: a row whose columns or
check do not fit is damage. The plan of a search is chosen by looking: a condition that few
sessions meet is followed from its index, otherwise the sorted index is read until a page is full.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.catalog_query import Condition, searched_text, sort_values
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.session_record import pack_info, unpack_info

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.storage.catalog_query import SessionQuery
    from sdk_workflow.storage.session_info import SessionInfo

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "CatalogRows"]

APPLICATION_ID = 0x53444B43  # "SDKC"
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE sessions(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, model TEXT NOT NULL,
    archived INTEGER NOT NULL, started_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    cost_pico INTEGER NOT NULL, turns INTEGER NOT NULL, tokens INTEGER NOT NULL,
    folded TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE tags(tag TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(tag, number))
    WITHOUT ROWID;
CREATE TABLE totals(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE INDEX by_updated ON sessions(updated_at, id);
CREATE INDEX by_started ON sessions(started_at, id);
CREATE INDEX by_cost ON sessions(cost_pico, id);
CREATE INDEX by_turns ON sessions(turns, id);
CREATE INDEX by_tokens ON sessions(tokens, id);
CREATE INDEX by_status ON sessions(status);
CREATE INDEX by_model ON sessions(model);
CREATE INDEX by_archived ON sessions(archived);
INSERT INTO totals VALUES('rows', 0), ('sum', 0);
"""
# Folded text in pieces of three: finds any part of a word, which word indices do not.
_WORDS = (
    "CREATE VIRTUAL TABLE words USING fts5(folded, tokenize='trigram', content='sessions',"
    " content_rowid='number')"
)
_COLUMNS = (
    "id, status, model, archived, started_at, updated_at, cost_pico, turns, tokens, folded, record"
)
# Text and bytes look alike when they are read, and differ when they are looked for.
_STRAY_VALUES = """
SELECT (SELECT count(*) FROM tags WHERE typeof(tag) <> 'text') + (
    SELECT count(*) FROM sessions WHERE typeof(id) <> 'text' OR typeof(status) <> 'text'
    OR typeof(model) <> 'text' OR typeof(started_at) <> 'text' OR typeof(updated_at) <> 'text'
    OR typeof(folded) <> 'text')
"""
_FEW = 1000
_PIECE = 3
_SPLIT = 10**9  # SQLite's sum of whole numbers must stay below 2**63


class CatalogRows:
    """The tables behind one open connection, inside a transaction.

    Args:
        connection: A connection of `sqlite_file.connect`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def create(self) -> None:
        """Create the tables; the index of words only where SQLite can make one."""
        import sqlite3

        for statement in filter(str.strip, _SCHEMA.split(";")):
            self.connection.execute(statement)
        try:
            self.connection.execute(_WORDS)
        except sqlite3.OperationalError as error:
            if not any(part in str(error) for part in ("no such module", "no such tokenizer")):
                raise
        self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        self.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def check_kind(self, path: Path) -> None:
        """Refuse a file that is no catalogue of this release.

        Raises:
            Damage: With what it is instead.
            StorageError: If a later release has written it.
        """
        if self._value("PRAGMA application_id") != APPLICATION_ID:
            raise Damage("it is no catalogue")
        schema = self._value("PRAGMA user_version")
        if schema > SCHEMA_VERSION and not self._has_our_tables():
            raise StorageError(
                f"The catalogue of sessions {str(path)!r} has schema {schema}; this release reads "
                f"up to {SCHEMA_VERSION}.",
                code="schema_too_new",
                hint="Upgrade sdk-workflow to the release that wrote it, or delete it: it is made "
                "anew from the sessions.",
            )
        if schema != SCHEMA_VERSION:
            raise Damage(f"it has schema {schema}, and this release writes {SCHEMA_VERSION}")

    def get(self, session_id: str) -> SessionInfo | None:
        """Return one session; None where the catalogue does not know it.

        Raises:
            Damage: If its row is not what was written.
        """
        for info in self._infos("WHERE id=?", (session_id,)):
            return info
        return None

    def all(self) -> Iterator[SessionInfo]:
        """Yield every session, the one that started first first.

        Raises:
            Damage: At a row that is not what was written.
        """
        return self._infos("ORDER BY started_at, id", ())

    def active(self) -> Iterator[SessionInfo]:
        """Yield the sessions that have not ended, the last used first.

        Raises:
            Damage: At a row that is not what was written.
        """
        return self._infos("WHERE status='active' ORDER BY updated_at DESC, id DESC", ())

    def put(self, info: SessionInfo) -> None:
        """Add a session, or replace what is known of it."""
        number = self._number(info.session_id)
        if number is not None:
            self._forget(number)
        values = _row_of(info)
        marks = ",".join("?" * (len(values) + 1))
        cursor = self.connection.execute(
            f"INSERT INTO sessions(number, {_COLUMNS}) VALUES({marks})",  # nosec B608 # constants
            (number, *values),
        )
        number = cursor.lastrowid
        if self._has_words():
            self.connection.execute(
                "INSERT INTO words(rowid, folded) VALUES(?,?)", (number, _folded(info))
            )
        self.connection.executemany(
            "INSERT INTO tags VALUES(?,?)", [(tag, number) for tag in info.tags]
        )
        self._count(1, values[-1])

    def delete(self, session_id: str) -> None:
        """Forget a session; one that is not known is no error."""
        number = self._number(session_id)
        if number is not None:
            self._forget(number)

    def search(self, query: SessionQuery) -> list[SessionInfo]:
        """Return one page of sessions, and one session more where there is a next page.

        Raises:
            Damage: At a row that is not what was written.
        """
        conditions = [*map(self._contains, query.words), *query.conditions]
        chosen = self._fewest(conditions)
        if chosen is not None:
            conditions.append(chosen)
        sign = "<" if query.descending else ">"
        if query.after is not None:
            sql = f"({query.column}, id) {sign} (?, ?)"
            conditions.append(Condition(sql=sql, values=query.after))
        order = "DESC" if query.descending else "ASC"
        where = " AND ".join(condition.sql for condition in conditions) or "1"
        values = [value for condition in conditions for value in condition.values]
        index = f"INDEXED BY by_{query.column.split('_')[0]}" if chosen is None else ""
        return list(
            self._infos(
                f"{index} WHERE {where} ORDER BY {query.column} {order}, id {order} LIMIT ?",
                (*values, query.limit + 1),
            )
        )

    def ids_before(self, updated_at: str) -> list[str]:
        """Return the sessions that are neither active nor put away and were last used before a time."""
        rows = self.connection.execute(
            "SELECT id FROM sessions WHERE updated_at<? AND archived=0 AND status<>'active'"
            " ORDER BY updated_at, id",
            (updated_at,),
        )
        return [_text(session_id) for (session_id,) in rows]

    def latest_ids(self, limit: int) -> list[str]:
        """Return the sessions that were used last."""
        rows = self.connection.execute(
            "SELECT id FROM sessions ORDER BY updated_at DESC, id DESC LIMIT ?", (limit,)
        )
        return [_text(session_id) for (session_id,) in rows]

    def sums(self, column: str) -> dict[str, dict[str, int]]:
        """Return count, turns, tokens and cost of the sessions by one of their columns."""
        names = ("sessions", "turns", "tokens", "cost_pico")
        rows = self.connection.execute(
            f"SELECT {column}, count(*), sum(turns), sum(tokens), sum(cost_pico / {_SPLIT}),"  # noqa: S608 # nosec B608 # a constant
            f" sum(cost_pico % {_SPLIT}) FROM sessions GROUP BY {column} ORDER BY {column}"
        )
        return {
            _text(key): dict(zip(names, (*counts, high * _SPLIT + low), strict=True))
            for key, *counts, high, low in rows
        }

    def verify(self) -> None:
        """Check the structure of the file, every index, and every row.

        Raises:
            Damage: With the first thing that is wrong.
        """
        answer = self._value("PRAGMA integrity_check(1)")
        if answer != b"ok":
            raise Damage(f"SQLite says: {answer.decode(errors='replace')}")
        if self._has_words():
            self.connection.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")
        if self._value(_STRAY_VALUES):
            raise Damage("a value is of another type")
        rows = summed = 0
        for (record,) in self.connection.execute("SELECT record FROM sessions"):
            rows, summed = rows + 1, summed ^ _sum(record)
        tags = [
            (_plain(info.session_id), _plain(tag))
            for info in self._infos("", ())
            for tag in info.tags
        ]
        if (rows, summed) != (self._total("rows"), self._total("sum")):
            raise Damage("sessions are missing")
        found = "SELECT id, tag FROM tags LEFT JOIN sessions USING(number)"
        if {*tags} != {*self.connection.execute(found)} or len(tags) != self._value(
            "SELECT count(*) FROM tags"
        ):
            raise Damage("tags are missing or changed")

    def _fewest(self, conditions: Sequence[Condition]) -> Condition | None:
        """Return the sessions that meet one condition, where they are few; None to go by the order."""
        for condition in conditions:
            if not condition.numbers:
                continue
            statement = f"{condition.numbers} LIMIT {_FEW + 1}"
            rows = self.connection.execute(statement, condition.values).fetchall()
            if len(rows) <= _FEW:
                numbers = ",".join(str(int(number)) for (number,) in rows)
                return Condition(sql=f"number IN ({numbers})")
        return None

    def _contains(self, word: str) -> Condition:
        if len(word) < _PIECE or not self._has_words():
            return Condition(sql="instr(folded, ?)", values=(word,))
        # Quoted for the index, in which a quote within is doubled.
        return Condition(
            sql="instr(folded, ?)",
            values=(word,),
            numbers="SELECT rowid FROM words WHERE words MATCH '\"' || replace(?, '\"', '\"\"') || '\"'",
        )

    def _has_our_tables(self) -> bool:
        """Return whether only the number of the schema is another: then a bit of it is wrong."""
        rows = self.connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'words%'"
        )
        statements = (statement.strip() for statement in _SCHEMA.split(";"))
        made = {each.encode() for each in statements if each.startswith("CREATE")}
        return {sql for (sql,) in rows} == made

    def _has_words(self) -> bool:
        return bool(self._value("SELECT count(*) FROM sqlite_master WHERE name='words'"))

    def _infos(self, rest: str, values: tuple[Any, ...]) -> Iterator[SessionInfo]:
        statement = f"SELECT {_COLUMNS} FROM sessions {rest}"  # noqa: S608 # nosec B608 # constants
        for row in self.connection.execute(statement, values):
            if type(row[-1]) is not bytes:
                raise Damage("a row holds values of other types")
            info = unpack_info(row[-1])
            expected = _row_of(info)
            if tuple(map(_plain, row)) != tuple(map(_plain, expected)):
                raise Damage(f"the row of session {info.session_id!r} contradicts itself")
            yield info

    def _number(self, session_id: str) -> int | None:
        found = self.connection.execute("SELECT number FROM sessions WHERE id=?", (session_id,))
        row = found.fetchone()
        return None if row is None else int(row[0])

    def _forget(self, number: int) -> None:
        row = self.connection.execute(
            "SELECT folded, record FROM sessions WHERE number=?", (number,)
        ).fetchone()
        if self._has_words():
            self.connection.execute(
                "INSERT INTO words(words, rowid, folded) VALUES('delete', ?, ?)",
                (number, row[0].decode(errors="replace")),
            )
        self.connection.execute("DELETE FROM sessions WHERE number=?", (number,))
        self.connection.execute("DELETE FROM tags WHERE number=?", (number,))
        self._count(-1, row[1])

    def _count(self, by: int, record: bytes) -> None:
        self._set_total("rows", self._total("rows") + by)
        self._set_total("sum", self._total("sum") ^ _sum(record))

    def _total(self, name: str) -> int:
        return int(self._value("SELECT value FROM totals WHERE name=?", name))

    def _set_total(self, name: str, value: int) -> None:
        self.connection.execute("UPDATE totals SET value=? WHERE name=?", (value, name))

    def _value(self, statement: str, *values: Any) -> Any:
        row = self.connection.execute(statement, values).fetchone()
        if row is None:
            raise Damage("a row that every catalogue has is missing")
        return row[0]


def _row_of(info: SessionInfo) -> tuple[Any, ...]:
    sorts = sort_values(info)
    return (
        info.session_id,
        info.status,
        info.model or "",
        int(info.archived_at is not None),
        *(sorts[name] for name in ("started_at", "updated_at", "cost_pico", "turns", "tokens")),
        _folded(info),
        pack_info(info),
    )


def _folded(info: SessionInfo) -> str:
    return searched_text(f"{info.title}\n{info.first_message}")


def _sum(record: object) -> int:
    data = record if isinstance(record, bytes) else b""
    return int.from_bytes(hashlib.sha256(data).digest()[:7], "big")


def _plain(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

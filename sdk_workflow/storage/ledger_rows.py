"""The tables of a ledger file, and the checks that every row carries.

    accounts(scope, spent, held, rows)          one counter for each scope
    holds(scope, hold_id, state, amount, cost, expires_us)     what the counters are made of
    totals(accounts, rows)                      one row: nothing as a whole may go missing

Each row holds a hash of its own fields, so that a changed one is noticed when it is read. The sums
of the holds must come to the counters, so that a lost one is noticed when the file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.chain import link
from sdk_workflow.storage.errors import Damage

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FORFEITED", "HELD", "MOST", "SETTLED", "Account", "Hold", "LedgerRows"]

HELD, FORFEITED, SETTLED = 0, 1, 2

_SCHEMA = """
CREATE TABLE accounts(
    scope BLOB PRIMARY KEY, spent INTEGER NOT NULL, held INTEGER NOT NULL, rows INTEGER NOT NULL,
    hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE holds(
    scope BLOB NOT NULL, hold_id BLOB NOT NULL, state INTEGER NOT NULL, amount INTEGER NOT NULL,
    cost INTEGER NOT NULL, expires_us INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY(scope, hold_id)) WITHOUT ROWID;
CREATE INDEX held ON holds(scope, expires_us, amount) WHERE state = 0;
CREATE TABLE totals(
    id INTEGER PRIMARY KEY, accounts INTEGER NOT NULL, rows INTEGER NOT NULL, hash BLOB NOT NULL);
"""
_SUMS = """
SELECT scope, sum(CASE state WHEN 0 THEN 0 ELSE cost END),
    sum(CASE state WHEN 0 THEN amount ELSE 0 END), count(*)
FROM holds GROUP BY scope ORDER BY scope
"""
# Text and bytes look alike when they are read, and differ when they are looked for.
_STRAY_KEYS = """
SELECT EXISTS(SELECT 1 FROM accounts WHERE typeof(scope) <> 'blob')
    OR EXISTS(SELECT 1 FROM holds WHERE typeof(scope) <> 'blob' OR typeof(hold_id) <> 'blob')
"""
_HASH_BYTES = 8
MOST = 2**62
"""The largest amount: far above any budget, and two of them still fit into SQLite's integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The counter of one scope, in pico-dollars; `rows` is how many holds it ever had."""

    scope: bytes
    spent: int = 0
    held: int = 0
    rows: int = 0

    def plus(self, *, spent: int = 0, held: int = 0, rows: int = 0) -> Account:
        """Return the counter after a change."""
        return replace(self, spent=self.spent + spent, held=self.held + held, rows=self.rows + rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold; `cost` is what it counts for once it is no longer held."""

    scope: bytes
    hold_id: bytes
    state: int
    amount: int
    cost: int = 0
    expires_us: int = 0


class LedgerRows:
    """Reads and writes the rows of one open ledger file; transactions are its caller's.

    Args:
        connection: An open connection whose text comes back as bytes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._connection = connection

    def create(self) -> None:
        """Create the tables of a new file."""
        for statement in _SCHEMA.split(";")[:-1]:
            self._execute(statement)
        self._execute("INSERT INTO totals VALUES (1, 0, 0, ?)", (_hash(0, 0),))

    def account(self, scope: bytes) -> Account:
        """Return the counter of a scope, a new one where there is none.

        Raises:
            Damage: If it is not what was written.
        """
        row = self._execute(
            "SELECT spent, held, rows, hash FROM accounts WHERE scope = ?", (scope,)
        ).fetchone()
        return Account(scope=scope) if row is None else _account(scope, row)

    def hold(self, scope: bytes, hold_id: bytes) -> Hold | None:
        """Return a hold; None where it is not known.

        Raises:
            Damage: If it is not what was written.
        """
        row = self._execute(
            "SELECT state, amount, cost, expires_us, hash FROM holds"
            " WHERE scope = ? AND hold_id = ?",
            (scope, hold_id),
        ).fetchone()
        return None if row is None else _hold(scope, hold_id, row)

    def expired(self, scope: bytes, now_us: int) -> int:
        """Return how much is held by holds that nobody has ended in time."""
        (amount,) = self._execute(
            "SELECT coalesce(sum(amount), 0) FROM holds"
            " WHERE scope = ? AND state = 0 AND expires_us <= ?",
            (scope, now_us),
        ).fetchone()
        return int(amount)

    def put(self, account: Account, hold: Hold, *, is_new: bool) -> None:
        """Write a hold and the counter that it changes.

        Raises:
            Damage: If the totals are not what was written.
            StorageError: If the counter is beyond all reason (`ledger_full`).
        """
        if max(account.spent, account.held) > MOST:
            raise StorageError(
                "A ledger counts up to four million dollars in one scope.",
                code="ledger_full",
                hint="Use a new scope for a new budget.",
            )
        fields = (hold.state, hold.amount, hold.cost, hold.expires_us)
        self._execute(
            "INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?, ?, ?)",
            (hold.scope, hold.hold_id, *fields, _hash(hold.scope, hold.hold_id, *fields)),
        )
        counts = (account.spent, account.held, account.rows)
        self._execute(
            "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)",
            (account.scope, *counts, _hash(account.scope, *counts)),
        )
        if is_new:
            self._count(accounts=int(account.rows == 1), rows=1)

    def check_sums(self) -> None:
        """Check that the holds come to the counters, that none is missing, and that the index fits.

        Raises:
            Damage: If anything is not what was written.
        """
        # The rest reads the rows; what has expired is told by the index alone.
        (answer,) = self._execute("PRAGMA integrity_check(1)").fetchone()
        if answer != b"ok":
            raise Damage(f"SQLite says: {answer.decode(errors='replace')}")
        if self._execute(_STRAY_KEYS).fetchone() != (0,):
            raise Damage("a key is of another type")
        counters = [
            _account(scope, row)
            for scope, *row in self._execute(
                "SELECT scope, spent, held, rows, hash FROM accounts ORDER BY scope"
            )
        ]
        sums = [
            Account(scope=scope, spent=spent, held=held, rows=rows)
            for scope, spent, held, rows in self._execute(_SUMS)
        ]
        if counters != sums:
            raise Damage("its holds do not come to what its counters say")
        if self._totals() != (len(counters), sum(account.rows for account in counters)):
            raise Damage("accounts or holds are missing")

    def check_rows(self) -> None:
        """Check every hold by itself, and the index that finds those which are held.

        Raises:
            Damage: If anything is not what was written.
        """
        held = 0
        for scope, hold_id, *row in self._execute(
            "SELECT scope, hold_id, state, amount, cost, expires_us, hash FROM holds"
        ):
            hold = _hold(scope, hold_id, row)
            held += hold.amount if hold.state == HELD else 0
        (indexed,) = self._execute(
            "SELECT coalesce(sum(amount), 0) FROM holds INDEXED BY held WHERE state = 0"
        ).fetchone()
        if indexed != held:
            raise Damage("its index of holds does not match them")

    def _count(self, *, accounts: int, rows: int) -> None:
        known = self._totals()
        counts = (known[0] + accounts, known[1] + rows)
        self._execute(
            "UPDATE totals SET accounts = ?, rows = ?, hash = ? WHERE id = 1",
            (*counts, _hash(*counts)),
        )

    def _totals(self) -> tuple[int, int]:
        row = self._execute("SELECT accounts, rows, hash FROM totals WHERE id = 1").fetchone()
        if row is None or not _is_intact(row[:2], row[2]):
            raise Damage("its totals are not what was written")
        return row[0], row[1]


def _account(scope: Any, row: Any) -> Account:
    spent, held, rows, check = row
    if not _is_intact((scope, spent, held, rows), check):
        raise Damage(f"the counter of {scope!r} is not what was written")
    return Account(scope=scope, spent=spent, held=held, rows=rows)


def _hold(scope: Any, hold_id: Any, row: Any) -> Hold:
    state, amount, cost, expires_us, check = row
    if not _is_intact((scope, hold_id, state, amount, cost, expires_us), check):
        raise Damage(f"the hold {hold_id!r} is not what was written")
    return Hold(
        scope=scope,
        hold_id=hold_id,
        state=state,
        amount=amount,
        cost=cost,
        expires_us=expires_us,
    )


def _is_intact(fields: tuple[Any, ...], check: object) -> bool:
    # A flipped bit can change a value's type as well; SQLite would not mind.
    return all(type(item) in {int, bytes} for item in fields) and _hash(*fields) == check


def _hash(*fields: int | bytes) -> bytes:
    return link(b"ledger", *fields)[:_HASH_BYTES]

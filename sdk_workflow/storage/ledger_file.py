"""The ledger on disk: one SQLite file that the processes of a user share.

Many write to it, so it keeps a rollback journal: SQLite 3.7.0 to 3.51.2 can lose pages of a
write-ahead log where one connection commits while another moves the log into the file
(sqlite.org/wal.html#walresetbug), and the SQLite that comes with Python is often older. Each change
is one BEGIN IMMEDIATE transaction, on disk when its method returns: the folder is synced too, else
a power loss could bring the journal back, and with it the balance before.

Damage is told and never mended by guessing: a ledger that says less than was spent lets more be
spent. So a ledger that was deleted is told as well: the empty file `<name>.begun` beside it says
that there was one.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

from sdk_workflow._internal.ids import new_id
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.protocols import Standing
from sdk_workflow.storage import sqlite_file
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.ledger_rows import FORFEITED, HELD, MOST, SETTLED, Hold, LedgerRows
from sdk_workflow.storage.session_paths import sync_folder
from sdk_workflow.storage.sqlite_file import (
    connect,
    create_private_file,
    read_header,
    remove_database,
    same_file,
    storage_errors,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.storage.ledger_rows import Account
    from sdk_workflow.storage.sqlite_file import FileHeader

__all__ = ["LedgerFile"]

_APPLICATION_ID = 0x5344_4B4C  # "SDKL"
_SCHEMA_VERSION = 1
_MICROSECONDS = 1_000_000
_LOOK_AGAIN_MS = 5
_BEGUN = ".begun"


class LedgerFile:
    """A `Ledger` in a file, for any number of threads and processes.

    Opening adds all rows up once; after that each change checks what it touches. A million calls take
    74 MB and 0.09 s to open, and each change is as fast as in a new file (measured).

    Args:
        path: The file; it is created at first use, for its owner only, with `<name>.begun` beside
            it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ledger = LedgerFile(Path(folder) / "ledger.sqlite")
        ...     _ = ledger.reserve("run", "a", 60, limit=100, expires_at=900.0, now=0.0)
        ...     print(ledger.settle("run", "a", 10, now=1.0))
        ...     ledger.close()
        Standing(is_done=True, spent=10, held=0, amount=10)
    """

    is_shared = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path.with_name(path.name + _BEGUN)
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._process = os.getpid()
        self._left_behind: list[sqlite3.Connection] = []

    def reserve(
        self, scope: str, hold_id: str, amount: int, *, limit: int, expires_at: float, now: float
    ) -> Standing:
        """Hold an amount if there is room; see `protocols.Ledger`.

        Raises:
            StorageError: If the file cannot be read or written (`disk_full`, `file_busy`, ...), is
                damaged (`ledger_corrupt`) or was deleted (`ledger_missing`). Then nothing is held,
                or it is held until it expires.
        """
        _check_amount(amount)
        with self._transaction() as rows:
            account = rows.account(_encoded(scope))
            known = rows.hold(account.scope, _encoded(hold_id))
            if known is not None:
                return _standing(rows, account, now, is_done=True, amount=_counts(known))
            if account.spent + account.held + amount > limit:
                return _standing(rows, account, now)
            account = account.plus(held=amount, rows=1)
            hold = Hold(
                scope=account.scope,
                hold_id=_encoded(hold_id),
                state=HELD,
                amount=amount,
                expires_us=round(expires_at * _MICROSECONDS),
            )
            rows.put(account, hold, is_new=True)
            return _standing(rows, account, now, is_done=True, amount=amount)

    def settle(self, scope: str, hold_id: str, cost: int, *, now: float) -> Standing:
        """Replace a hold by what was spent; see `protocols.Ledger`.

        Raises:
            StorageError: As `reserve`. Then the hold counts in full.
        """
        _check_amount(cost)
        with self._transaction() as rows:
            account = rows.account(_encoded(scope))
            known = rows.hold(account.scope, _encoded(hold_id))
            if known is not None and known.state == SETTLED:
                return _standing(rows, account, now, amount=known.cost)
            return self._end(rows, account, known, hold_id, (SETTLED, cost), now)

    def forfeit(self, scope: str, hold_id: str, *, now: float) -> Standing:
        """Count a hold as spent in full; see `protocols.Ledger`.

        Raises:
            StorageError: As `reserve`. Then the hold counts in full once it has expired.
        """
        with self._transaction() as rows:
            account = rows.account(_encoded(scope))
            known = rows.hold(account.scope, _encoded(hold_id))
            if known is None or known.state != HELD:
                counts = 0 if known is None else known.cost
                return _standing(rows, account, now, amount=counts)
            return self._end(rows, account, known, hold_id, (FORFEITED, known.amount), now)

    def standing(self, scope: str, *, now: float) -> Standing:
        """Return how the budget of a scope stands.

        Raises:
            StorageError: If the file cannot be read, or is damaged.
        """
        with self._transaction(writes=False) as rows:
            return _standing(rows, rows.account(_encoded(scope)), now)

    def verify(self) -> None:
        """Read every row and check it.

        Raises:
            StorageError: If the file cannot be read, or is damaged (`ledger_corrupt`).
        """
        with self._transaction(writes=False) as rows:
            rows.check_sums()
            rows.check_rows()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()

    @staticmethod
    def _end(  # noqa: PLR0917 - one transaction's facts
        rows: LedgerRows,
        account: Account,
        known: Hold | None,
        hold_id: str,
        outcome: tuple[int, int],
        now: float,
    ) -> Standing:
        state, cost = outcome
        amount = 0 if known is None else known.amount
        freed = amount if known is not None and known.state == HELD else 0
        counted = 0 if known is None else known.cost
        account = account.plus(spent=cost - counted, held=-freed, rows=int(known is None))
        hold = Hold(
            scope=account.scope,
            hold_id=_encoded(hold_id),
            state=state,
            amount=amount,
            cost=cost,
        )
        rows.put(account, hold, is_new=known is None)
        return _standing(rows, account, now, is_done=True, amount=cost)

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[LedgerRows]:
        if os.getpid() != self._process:
            self._forget_parent()
        with self._lock:
            try:
                with storage_errors(self.path):
                    connection = self._opened()
                    _begin(connection, "IMMEDIATE" if writes else "DEFERRED")
                    yield LedgerRows(connection)
                    connection.execute("COMMIT")
            except Damage as damage:
                self._drop()
                raise _corrupt(self.path, damage) from damage
            except BaseException:
                # Whatever the failed handle still believes, the next one reads from the file.
                self._drop()
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None:
            if same_file(self.path, self._identity):
                return self._connection
            raise Damage("it was removed or replaced while it was in use")
        is_begun = self._marker.exists()  # first: whoever is just beginning it marks it last
        if not self.path.exists():
            if is_begun:
                raise _missing(self.path, self._marker)
            _create_once(self.path)
        connection = _connected(self.path)
        try:
            connection.execute("BEGIN")
            LedgerRows(connection).check_sums()
            connection.execute("COMMIT")
            found = self.path.stat()
        except BaseException:
            connection.close()
            raise
        if not is_begun:
            with suppress(StorageError):  # a folder that nobody can write to loses no file either
                create_private_file(self._marker)
        self._connection, self._identity = connection, (found.st_dev, found.st_ino)
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _forget_parent(self) -> None:
        # A connection must not cross a fork. It is kept, not closed: closing would touch the
        # parent's transaction.
        if self._connection is not None:
            self._left_behind.append(self._connection)
        self._connection = None
        self._lock = Lock()
        self._process = os.getpid()


def _begin(connection: sqlite3.Connection, kind: str) -> None:
    """Begin a transaction, as soon as nobody else is in one.

    SQLite's own wait looks less and less often, and starved for 30 s where three others never
    rested; many short waits got their turn within 1.2 s there (measured).
    """
    import sqlite3

    longest_ms = int(sqlite_file.BUSY_TIMEOUT_SECONDS * 1000)
    connection.execute(f"PRAGMA busy_timeout={_LOOK_AGAIN_MS}")
    for waited_ms in range(0, longest_ms + 1, _LOOK_AGAIN_MS):
        try:
            connection.execute(f"BEGIN {kind}")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or waited_ms + _LOOK_AGAIN_MS > longest_ms:
                raise
    connection.execute(f"PRAGMA busy_timeout={longest_ms}")


def _connected(path: Path) -> sqlite3.Connection:
    """Open an existing ledger; an empty file is none, because none is ever left empty.

    Raises:
        Damage: If it is another file, or was emptied.
        StorageError: If a later version of this library has written it.
    """
    if path.stat().st_size == 0:
        raise Damage("it is empty")
    header = read_header(path)  # opening another file would write to it
    if header is not None:
        _check_kind(path, header)
    return connect(path, journal_mode="delete", synchronous="extra")


def _check_kind(path: Path, header: FileHeader) -> None:
    if header.application_id != _APPLICATION_ID:
        raise Damage("it is no ledger")
    if header.user_version != _SCHEMA_VERSION:
        raise StorageError(
            f"{str(path)!r} has version {header.user_version} of the ledger; this library knows "
            f"{_SCHEMA_VERSION}.",
            code="ledger_from_future",
            hint="Use the version of sdk_workflow that has written it, or a later one.",
        )


def _create_once(path: Path) -> None:
    """Create a ledger that is there whole or not at all, unless another process was faster."""
    fresh = path.with_name(new_id(f"{path.name}.new"))
    try:
        _create(fresh)
        os.link(fresh, path)  # a rename could replace what another process has put there
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            fresh.rename(path)
    finally:
        remove_database(fresh)
    sync_folder(path.parent)


def _create(path: Path) -> None:
    create_private_file(path)
    connection = connect(path, journal_mode="delete", synchronous="extra")
    try:
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        connection.execute("BEGIN IMMEDIATE")
        LedgerRows(connection).create()
        connection.execute("COMMIT")
    finally:
        connection.close()


def _standing(
    rows: LedgerRows, account: Account, now: float, *, is_done: bool = False, amount: int = 0
) -> Standing:
    expired = rows.expired(account.scope, round(now * _MICROSECONDS)) if account.held else 0
    return Standing(is_done, account.spent + expired, account.held - expired, amount)


def _counts(hold: Hold) -> int:
    return hold.amount if hold.state == HELD else hold.cost


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _check_amount(amount: int) -> None:
    if type(amount) is not int or not 0 <= amount <= MOST:
        raise UsageError(
            f"{amount!r} is no amount of pico-dollars.", hint="Give a whole number from 0 to 2**62."
        )


def _corrupt(path: Path, damage: Damage) -> StorageError:
    return StorageError(
        f"The ledger {str(path)!r} is damaged: {damage.what}. What was spent is not certain.",
        code="ledger_corrupt",
        hint="Restore it from a backup. To begin a new one with nothing spent, move it away and "
        f"delete {path.name + _BEGUN!r} beside it.",
    )


def _missing(path: Path, marker: Path) -> StorageError:
    return StorageError(
        f"The ledger {str(path)!r} is gone, though it was begun. What was spent is not known.",
        code="ledger_missing",
        hint=f"Restore it from a backup, or delete {str(marker)!r} to begin a new one with nothing "
        "spent.",
    )

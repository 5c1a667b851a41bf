"""The ledger on disk: shared by processes, and damage never makes it say less than was spent."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.protocols import Standing
from sdk_workflow.storage import ledger_file, sqlite_file
from sdk_workflow.storage.ledger_file import LedgerFile

if TYPE_CHECKING:
    from pathlib import Path

FLIP_SEED = 20261121


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a ledger with two scopes: settled, forfeited and held."""
    ledger = LedgerFile(path)
    for index in range(30):
        hold_id = f"hold_{index}"
        ledger.reserve("run", hold_id, 60, limit=10**6, expires_at=900.0, now=0.0)
        if index % 3 == 0:
            ledger.settle("run", hold_id, 10 + index, now=0.0)
        elif index % 3 == 1:
            ledger.forfeit("run", hold_id, now=0.0)
    ledger.settle("other", "x", 5, now=0.0)
    ledger.close()
    return path


def standings(path: Path) -> list[Standing]:
    ledger = LedgerFile(path)
    try:
        ledger.verify()
        return [ledger.standing(scope, now=0.0) for scope in ("run", "other")]
    finally:
        ledger.close()


def unchanged(spent: int, held: int, amount: int) -> Standing:
    return Standing(is_done=False, spent=spent, held=held, amount=amount)


def standings_or_code(path: Path) -> list[Standing] | str:
    try:
        return standings(path)
    except StorageError as error:
        return error.code


def test_spend_survives_a_restart(path: Path) -> None:
    first = LedgerFile(path)
    first.reserve("run", "a", 60, limit=100, expires_at=900.0, now=0.0)
    first.settle("run", "b", 7, now=0.0)
    first.close()
    assert LedgerFile(path).standing("run", now=0.0) == unchanged(7, 60, 0)


def test_the_file_is_private_and_nothing_is_left_beside_it(path: Path) -> None:
    LedgerFile(path).settle("run", "a", 7, now=0.0)
    assert {each.name for each in path.parent.iterdir()} == {"ledger.sqlite", "ledger.sqlite.begun"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_keeps_a_rollback_journal_and_syncs_fully(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = sqlite_file.connect

    def traced(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[arg-type]
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
        assert found == [b"delete", 3, 30_000]
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(ledger_file, "connect", traced)
    LedgerFile(path).reserve("run", "a", 1, limit=1, expires_at=9.0, now=0.0)
    assert "BEGIN IMMEDIATE" in statements


def test_a_change_is_on_disk_for_others_when_it_returns(path: Path) -> None:
    one, two = LedgerFile(path), LedgerFile(path)
    one.reserve("run", "a", 60, limit=100, expires_at=900.0, now=0.0)
    assert not two.reserve("run", "b", 60, limit=100, expires_at=900.0, now=0.0).is_done
    one.settle("run", "a", 10, now=0.0)
    assert two.reserve("run", "b", 60, limit=100, expires_at=900.0, now=0.0).is_done


def test_a_fresh_ledger_gives_way_to_the_one_that_was_faster(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        LedgerFile(target).settle("run", "theirs", 5, now=0.0)
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert LedgerFile(path).settle("run", "ours", 3, now=0.0).spent == 8
    assert {each.name for each in path.parent.iterdir()} == {"ledger.sqlite", "ledger.sqlite.begun"}


def test_a_file_system_without_links_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert LedgerFile(path).settle("run", "a", 3, now=0.0).spent == 3
    assert {each.name for each in path.parent.iterdir()} == {"ledger.sqlite", "ledger.sqlite.begun"}


def test_without_links_a_faster_process_is_not_overwritten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def refuse(_source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        LedgerFile(target).settle("run", "theirs", 5, now=0.0)
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert LedgerFile(path).settle("run", "ours", 3, now=0.0).spent == 8


def test_every_truncation_is_noticed(filled: Path) -> None:
    whole, truth = filled.read_bytes(), standings(filled)
    for size in [*range(0, len(whole), 997), len(whole) - 1]:
        filled.write_bytes(whole[:size])
        with pytest.raises(StorageError):
            standings(filled)
    filled.write_bytes(whole)
    assert standings(filled) == truth


def test_a_flipped_bit_never_changes_what_was_spent(filled: Path) -> None:
    whole, truth = filled.read_bytes(), standings(filled)
    used = [at for at, byte in enumerate(whole) if byte]
    source = random.Random(FLIP_SEED)  # noqa: S311 - the same bits in every run
    noticed = 0
    for _ in range(1000):
        at, bit = source.choice(used), source.randrange(8)
        filled.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        found = standings_or_code(filled)
        where = f"byte {at}, bit {bit}, seed {FLIP_SEED}"
        assert found in [truth, "ledger_corrupt", "ledger_from_future", "disk_failed"], where
        noticed += found != truth
    assert noticed > 700


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM holds WHERE hold_id = x'686f6c645f30'",
        "UPDATE holds SET cost = 0 WHERE state = 2",
        "UPDATE accounts SET spent = 0",
        "DELETE FROM accounts WHERE scope = x'6f74686572'",
        "DELETE FROM holds; DELETE FROM accounts",
        "UPDATE totals SET rows = 1",
        "DELETE FROM totals",
        "DROP TABLE holds",
    ],
)
def test_rows_that_were_changed_or_lost_are_noticed_at_the_next_start(
    filled: Path, change: str
) -> None:
    with sqlite3.connect(filled) as connection:
        connection.executescript(change)
    connection.close()
    with pytest.raises(StorageError) as caught:
        LedgerFile(filled).standing("run", now=0.0)
    assert caught.value.code == "ledger_corrupt"
    assert "ledger.sqlite.begun" in caught.value.hint


def test_a_changed_hold_is_noticed_where_its_sum_is_not(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("UPDATE holds SET expires_us = 1 WHERE hold_id = x'686f6c645f32'")
    connection.close()
    ledger = LedgerFile(filled)
    with pytest.raises(StorageError, match="hold_2"):
        ledger.settle("run", "hold_2", 1, now=0.0)
    with pytest.raises(StorageError, match="hold_2"):
        ledger.verify()


def test_an_index_that_does_not_match_is_noticed(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'state = 0', 'state = 9')"
            " WHERE name = 'held'"
        )
    connection.close()
    with sqlite3.connect(filled) as connection:
        connection.execute("REINDEX held")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'state = 9', 'state = 0')"
            " WHERE name = 'held'"
        )
    connection.close()
    with pytest.raises(StorageError, match="index"):
        LedgerFile(filled).verify()


def test_a_ledger_that_vanishes_while_in_use_is_noticed(filled: Path) -> None:
    ledger = LedgerFile(filled)
    ledger.standing("run", now=0.0)
    filled.unlink()
    with pytest.raises(StorageError, match="removed or replaced"):
        ledger.standing("run", now=0.0)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_foreign_file_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        LedgerFile(path).settle("run", "a", 1, now=0.0)
    assert caught.value.code == "ledger_corrupt"
    assert path.read_bytes() == content


def test_a_database_of_others_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts(x)")
    connection.close()
    with pytest.raises(StorageError, match="no ledger"):
        LedgerFile(path).standing("run", now=0.0)


def test_a_ledger_of_a_later_version_is_refused(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(StorageError) as caught:
        LedgerFile(filled).standing("run", now=0.0)
    assert caught.value.code == "ledger_from_future"


def test_a_ledger_that_is_locked_too_long_says_so(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger = LedgerFile(filled)
    with pytest.raises(StorageError) as caught:
        ledger.settle("run", "hold_2", 1, now=0.0)
    assert (caught.value.code, caught.value.retryable) == ("file_busy", True)
    other.execute("ROLLBACK")
    other.close()
    assert ledger.settle("run", "hold_2", 1, now=0.0).is_done


def test_opening_a_ledger_does_not_wait_for_who_writes_to_it(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = standings(filled)[0]
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert LedgerFile(filled).standing("run", now=0.0) == truth
    other.close()


def altered(monkeypatch: pytest.MonkeyPatch, pragma: str) -> None:
    """Let every connection start with a pragma."""
    connect = sqlite_file.connect

    def connected(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[arg-type]
        connection.execute(f"PRAGMA {pragma}")
        return connection

    monkeypatch.setattr(ledger_file, "connect", connected)


def fill(ledger: LedgerFile) -> None:
    for number in range(1000):
        ledger.reserve("run", f"new_{number}", 1, limit=10**9, expires_at=9.0, now=0.0)


def test_a_full_disk_refuses_new_holds_and_frees_none(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        altered(full, "max_page_count=1")  # as many as there are
        ledger, before = LedgerFile(filled), standings(filled)[0]
        with pytest.raises(StorageError) as caught:
            fill(ledger)
    assert caught.value.code == "disk_full"
    after = standings(filled)[0]
    assert after.spent == before.spent
    assert before.held <= after.held < before.held + 1000


def test_a_read_only_ledger_holds_nothing_and_says_so_at_once(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = standings(filled)[0]
    altered(monkeypatch, "query_only=ON")
    ledger = LedgerFile(filled)
    with pytest.raises(StorageError) as caught:
        ledger.reserve("run", "new", 1, limit=10**9, expires_at=9.0, now=0.0)
    assert (caught.value.code, caught.value.retryable) == ("read_only", False)
    assert ledger.standing("run", now=0.0) == truth


class Contended:
    """A connection whose first transactions others are in the way of."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.said: list[str] = []

    def execute(self, statement: str) -> None:
        self.said.append(statement)
        if statement.startswith("BEGIN") and self.messages:
            raise sqlite3.OperationalError(self.messages.pop(0))


def test_many_short_waits_take_the_place_of_a_long_one() -> None:
    busy = Contended("database is locked", "database table is locked")
    ledger_file._begin(busy, "IMMEDIATE")  # type: ignore[arg-type]
    assert busy.said == [
        "PRAGMA busy_timeout=5", *["BEGIN IMMEDIATE"] * 3, "PRAGMA busy_timeout=30000",
    ]  # fmt: skip


def test_no_other_fault_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Contended("disk I/O error")
    with pytest.raises(sqlite3.OperationalError, match="I/O"):
        ledger_file._begin(broken, "IMMEDIATE")  # type: ignore[arg-type]
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.01)
    stuck = Contended(*["database is locked"] * 9)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ledger_file._begin(stuck, "IMMEDIATE")  # type: ignore[arg-type]
    assert stuck.said.count("BEGIN IMMEDIATE") == 3


def test_a_counter_that_gets_too_large_is_refused_and_stays(filled: Path) -> None:
    ledger = LedgerFile(filled)
    before = ledger.standing("run", now=0.0)
    with pytest.raises(StorageError) as caught:
        ledger.settle("run", "huge", 2**62, now=0.0)
    assert caught.value.code == "ledger_full"
    assert ledger.standing("run", now=0.0) == before


def test_a_ledger_that_was_deleted_is_told_until_its_mark_is_deleted_too(filled: Path) -> None:
    mark = filled.with_name("ledger.sqlite.begun")
    assert mark.read_bytes() == b""
    filled.unlink()
    for _ in range(2):
        with pytest.raises(StorageError, match="is gone") as caught:
            LedgerFile(filled).reserve("run", "a", 1, limit=9, expires_at=9.0, now=0.0)
        assert caught.value.code == "ledger_missing"
        assert str(mark) in caught.value.hint
        assert not filled.exists()
    mark.unlink()
    assert LedgerFile(filled).standing("run", now=0.0) == unchanged(0, 0, 0)
    assert mark.exists()


def test_a_ledger_without_its_mark_is_marked_when_it_is_opened(filled: Path) -> None:
    mark = filled.with_name("ledger.sqlite.begun")
    mark.unlink()
    ledger = LedgerFile(filled)
    truth = ledger.standing("run", now=0.0)
    assert mark.exists()
    mark.unlink()
    assert ledger.standing("run", now=0.0) == truth
    assert not mark.exists()  # only opening looks


def test_a_ledger_that_cannot_be_marked_counts_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite_file.create_private_file

    def full(file: Path) -> None:
        if file.name.endswith(".begun"):
            raise StorageError("The disk is full.")
        real(file)

    monkeypatch.setattr(ledger_file, "create_private_file", full)
    assert LedgerFile(path).settle("run", "a", 5, now=0.0).spent == 5


@pytest.mark.parametrize("name", ["foreign", "later"])
def test_a_file_that_is_no_ledger_of_this_release_is_refused_and_not_written_to(
    filled: Path, name: str
) -> None:
    if name == "foreign":
        filled.unlink()
    with sqlite3.connect(filled) as connection:
        # A journal mode of its own, which opening it as a ledger would change.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE other(a)" if name == "foreign" else "PRAGMA user_version=7"
        )
    connection.close()
    before = filled.read_bytes()
    with pytest.raises(StorageError):
        LedgerFile(filled).standing("run", now=0.0)
    assert filled.read_bytes() == before
    assert not [each for each in filled.parent.iterdir() if each.suffix in {"-wal", "-shm"}]


def test_the_connection_of_a_parent_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerFile(path)
    ledger.settle("run", "parent", 1, now=0.0)
    parents = ledger._connection
    assert parents is not None
    monkeypatch.setattr(os, "getpid", lambda: -7)
    assert ledger.settle("run", "child", 2, now=0.0).spent == 3
    assert ledger._connection is not parents
    assert parents.execute("SELECT 1").fetchone() == (1,)
    LedgerFile(path)._forget_parent()
    parents.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_a_connection_of_its_own(path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from sdk_workflow.storage.ledger_file import LedgerFile
ledger = LedgerFile(Path(sys.argv[1]))
ledger.settle("run", "parent", 1, now=0.0)
child = os.fork()
if child == 0:
    ledger.settle("run", "child", 2, now=0.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(ledger.settle("run", "parent again", 4, now=0.0).spent)
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "7"


def test_four_processes_never_pass_the_limit_together(path: Path) -> None:
    program = """
import sys
from pathlib import Path
from sdk_workflow.storage.ledger_file import LedgerFile
ledger, me, spent = LedgerFile(Path(sys.argv[1])), sys.argv[2], 0
for index in range(60):
    hold_id = f"{me}-{index}"
    if not ledger.reserve("run", hold_id, 10, limit=300, expires_at=9e9, now=0.0).is_done:
        continue
    if index % 7 == 3:
        continue  # as if it had crashed: the hold stays
    spent += ledger.settle("run", hold_id, 4, now=0.0).amount
print(spent)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    settled = sum(int(process.communicate()[0]) for process in processes)
    standing = LedgerFile(path).standing("run", now=0.0)
    assert [process.returncode for process in processes] == [0] * 4
    assert standing.spent == settled
    assert 300 - 10 < standing.spent + standing.held <= 300

"""The catalogue: it finds what the sessions' records hold, and never holds anything else for long."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage import catalog_file, catalog_rows
from sdk_workflow.storage.catalog_file import CatalogFile
from sdk_workflow.storage.catalog_query import MAX_LIMIT, cursor_after, parse_filters
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.file_lock import FileLock
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_info import CutOff, SessionInfo, Spent, iso_time
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.storage.session_record import (
    pack_info,
    read_record,
    record_path,
    unpack_info,
    write_record,
)
from sdk_workflow.types import JournalRecord
from tests.storage.sessions import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sdk_workflow.storage.catalog_writing import CatalogWriting

FLIP_SEED = 20261121


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def catalog(tmp_path: Path, notices: list[str]) -> Iterator[CatalogFile]:
    found = CatalogFile(tmp_path, on_notice=notices.append)
    yield found
    found.close()


def info(number: int, **facts: Any) -> SessionInfo:
    given: dict[str, Any] = {
        "session_id": f"s{number:03d}",
        "started_at": iso_time(number),
        "title": f"Title {number}",
        "spent": Spent(turns=number, cost_pico=number * 10**11, output_tokens=number % 3),
        **facts,
    }
    return SessionInfo(**given)


def put(catalog: CatalogFile, *infos: SessionInfo) -> None:
    def change(writing: CatalogWriting) -> None:
        for each in infos:
            writing.put(each)

    catalog.write(change)


def everything(catalog: CatalogFile) -> list[SessionInfo]:
    return catalog.read(lambda rows: list(rows.all()))


def found(catalog: CatalogFile, **filters: Any) -> list[str]:
    query = parse_filters(filters)
    infos = catalog.read(lambda rows: rows.search(query))[: query.limit]
    return [each.session_id for each in infos]


SAMPLE = (
    info(1, status="failed", tags=("a", "b"), model="opus", title="Größe ÄNDERN"),
    info(2, status="completed", tags=("a",), first_message="50% of\nit_all"),
    info(3, status="active", archived_at=iso_time(9), title='Say "hi" now'),
    info(4, status="completed", model="opus", cut_off=CutOff(key="k", spent=Spent(turns=1))),
)


def test_a_catalogue_returns_exactly_what_was_put(catalog: CatalogFile) -> None:
    put(catalog, *SAMPLE)

    assert everything(catalog) == list(SAMPLE)
    assert catalog.read(lambda rows: rows.get("s002")) == SAMPLE[1]
    assert catalog.read(lambda rows: rows.get("other")) is None
    assert catalog.verify()


def test_putting_a_session_again_replaces_it_everywhere(catalog: CatalogFile) -> None:
    put(catalog, *SAMPLE)
    put(catalog, info(1, title="Harbour", tags=("c",)))

    assert found(catalog, text="größe") == []
    assert found(catalog, tags=["a"]) == ["s002"]
    assert found(catalog, text="arbou", tags=["c"]) == ["s001"]
    assert catalog.verify()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["s004", "s003", "s002", "s001"]),
        ({"status": "completed"}, ["s004", "s002"]),
        ({"tags": ["a", "b"]}, ["s001"]),
        ({"tags": "a", "sort": "updated"}, ["s001", "s002"]),
        ({"model": "opus", "status": "failed"}, ["s001"]),
        ({"archived": True}, ["s003"]),
        ({"archived": False, "limit": 2}, ["s004", "s002"]),
        ({"text": "GRÖSSE ändern"}, ["s001"]),
        ({"text": "rö"}, ["s001"]),
        ({"text": "50%"}, ["s002"]),
        ({"text": "it_all"}, ["s002"]),
        ({"text": "it%all"}, []),
        ({"text": '"hi"'}, ["s003"]),
        ({"text": "title hi"}, []),
        ({"text": "NOT nothing"}, []),
        ({"text": None}, ["s004", "s003", "s002", "s001"]),
        ({"since": "1970-01-01T00:00:02Z", "until": iso_time(3)}, ["s003", "s002"]),
        ({"since": "1970-01-02"}, []),
        ({"min_cost_usd": 0.2, "max_cost_usd": 0.3, "sort": "cost"}, ["s002", "s003"]),
        ({"sort": "-turns", "limit": 1}, ["s004"]),
        ({"sort": "started"}, ["s001", "s002", "s003", "s004"]),
        ({"sort": "-tokens"}, ["s002", "s004", "s001", "s003"]),
    ],
)
@pytest.mark.parametrize("few", [1000, 0])
def test_a_search_finds_what_meets_all_filters_whichever_way_it_is_planned(
    catalog: CatalogFile,
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, Any],
    expected: list[str],
    few: int,
) -> None:
    monkeypatch.setattr(catalog_rows, "_FEW", few)
    put(catalog, *SAMPLE)

    assert found(catalog, **filters) == expected


@pytest.mark.parametrize("said", ["no such module: fts5", "no such tokenizer: trigram"])
def test_text_is_found_where_sqlite_has_no_index_of_words(
    catalog: CatalogFile, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    name = said.rsplit(maxsplit=1)[-1]
    statement = catalog_rows._WORDS.replace(name, "absent")
    monkeypatch.setattr(catalog_rows, "_WORDS", statement)
    put(catalog, *SAMPLE)
    put(catalog, info(2, title="Harbour"))

    assert found(catalog, text="arbour") == ["s002"]
    assert found(catalog, text="rösse") == ["s001"]
    assert catalog.verify()


def test_another_failure_to_make_the_index_of_words_is_an_error(
    catalog: CatalogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_rows, "_WORDS", "CREATE nonsense")

    with pytest.raises(StorageError, match="syntax error"):
        everything(catalog)


@pytest.mark.parametrize("sort", ["-updated", "cost", "-tokens"])
def test_pages_follow_one_another_without_gap_though_sessions_come_in(
    catalog: CatalogFile, sort: str
) -> None:
    put(catalog, *(info(number) for number in range(9)))
    filters: dict[str, Any] = {"sort": sort, "limit": 4}
    whole = found(catalog, sort=sort)
    seen: list[str] = []

    for newcomer in (100, 101, 102):
        query = parse_filters(filters)
        page = catalog.read(lambda rows, query=query: rows.search(query))[:4]  # type: ignore[misc]
        seen += [each.session_id for each in page]
        filters["cursor"] = cursor_after(query, page[-1])
        put(catalog, info(newcomer, updated_at=iso_time(10**6), spent=Spent(cost_pico=0)))

    assert [name for name in seen if name < "s100"][:9] == whole
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("filters", "said", "hint"),
    [
        ({"stat": 1}, "no filter 'stat'", "'status'"),
        ({"zzz": 1}, "no filter", "The filters are status"),
        ({"status": "complete"}, "no status 'complete'", "'completed'"),
        ({"status": ["x"]}, "no status", "Choose one of"),
        ({"tags": 3}, "not as int", "Write"),
        ({"model": 3}, "model is of type int", "text"),
        ({"model": "\ud800"}, "surrogate", "Leave"),
        ({"text": "a " * 9 + "b c d e f g h i j"}, "text has", "fewer"),
        ({"text": "a" * 201}, "1 words", "shorter"),
        ({"archived": 1}, "archived is 1", "True or False"),
        ({"since": "yesterday"}, "since is 'yesterday'", "ISO 8601"),
        ({"until": 5.0}, "until is '5.0'", "ISO 8601"),
        ({"min_cost_usd": -1}, "min_cost_usd is '-1'", "0 or more"),
        ({"max_cost_usd": float("nan")}, "'nan'", "0 or more"),
        ({"max_cost_usd": float("inf")}, "'inf'", "0 or more"),
        ({"max_cost_usd": True}, "'True'", "0 or more"),
        ({"sort": "price"}, "no order 'price'", "Sort by one of"),
        ({"sort": "-costs"}, "no order '-costs'", "'cost'"),
        ({"sort": 3}, "no order '3'", "Sort by"),
        ({"limit": 0}, "limit is '0'", "from 1"),
        ({"limit": MAX_LIMIT + 1}, "limit is", "from 1"),
        ({"limit": True}, "limit is", "from 1"),
        ({"cursor": "nonsense"}, "no cursor", "page before"),
        ({"cursor": "é"}, "no cursor", "page before"),
        ({"cursor": 7}, "no cursor", "page before"),
        ({"cursor": "W10"}, "no cursor", "page before"),
    ],
)
def test_a_filter_that_is_none_is_refused_with_a_way_out(
    filters: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filters(filters)

    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_a_cursor_of_another_search_is_refused() -> None:
    cursor = cursor_after(parse_filters({"status": "failed"}), info(1))

    parse_filters({"status": "failed", "cursor": cursor, "limit": 3})
    with pytest.raises(UsageError, match="other filters"):
        parse_filters({"status": "active", "cursor": cursor})


@pytest.mark.parametrize(
    ("sort", "value", "session_id"),
    [
        ("cost", 10**30, "a"),
        ("cost", "a", "a"),
        ("cost", True, "a"),
        ("cost", 1.5, "a"),
        ("cost", 1, "\ud800"),
        ("cost", 1, "../../x"),
        ("cost", 1, None),
        ("updated", 1, "a"),
        ("updated", "\ud800", "a"),
        ("updated", None, "a"),
    ],
)
def test_a_cursor_that_no_search_has_made_is_refused(
    sort: str, value: Any, session_id: Any
) -> None:
    place = [parse_filters({"sort": sort}).digest, value, session_id]
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()

    with pytest.raises(UsageError, match="no cursor"):
        parse_filters({"sort": sort, "cursor": cursor})


@pytest.mark.parametrize("filters", ["active", [("status", "active")], 3])
def test_filters_that_are_no_dictionary_are_refused(filters: Any) -> None:
    with pytest.raises(UsageError, match="filters are of type"):
        parse_filters(filters)


def test_a_very_large_cost_filter_is_no_overflow(catalog: CatalogFile) -> None:
    put(catalog, info(1, spent=Spent(cost_pico=2**70)))

    for dollars in (10**30, 1e300, 2**63 / 10**12):
        assert found(catalog, min_cost_usd=dollars) == ["s001"]
        assert found(catalog, max_cost_usd=dollars) == ["s001"]
    assert found(catalog, max_cost_usd=9_223_371.9) == []
    assert catalog.read(lambda rows: rows.sums("status"))["active"]["cost_pico"] == 2**63 - 1


def test_sums_of_large_amounts_stay_exact(catalog: CatalogFile) -> None:
    put(catalog, *(info(n, spent=Spent(cost_pico=2**62 + n)) for n in (1, 2, 3)))

    sums = catalog.read(lambda rows: rows.sums("status"))
    assert sums["active"] == {
        "sessions": 3, "turns": 0, "tokens": 0, "cost_pico": 3 * 2**62 + 6,
    }  # fmt: skip


def test_files_are_the_users_alone(catalog: CatalogFile, tmp_path: Path) -> None:
    put(catalog, *SAMPLE)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {mode for name, mode in modes.items() if "." in name} == {0o600}
    assert {mode for name, mode in modes.items() if "." not in name} == {0o700}


def test_the_catalogue_keeps_to_the_rules_for_many_writers(catalog: CatalogFile) -> None:
    def pragma(name: str) -> Any:
        return catalog.read(lambda rows: rows.connection.execute(f"PRAGMA {name}").fetchone()[0])

    assert pragma("journal_mode") == b"delete"
    assert pragma("synchronous") == 3
    assert pragma("busy_timeout") == 30_000


# Made anew


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200:] = bytes(byte ^ 0x5A for byte in data[200:])
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("This is no database at all." * 99, "utf-8"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:9000]),
    "flipped": flip,
    "of the future": lambda path: execute(path, "PRAGMA user_version=99"),
    "foreign": lambda path: execute(path, "PRAGMA application_id=7"),
    "without a table": lambda path: execute(path, "DROP TABLE tags"),
    "short of a session": lambda path: execute(path, "DELETE FROM sessions WHERE id='s001'"),
    "short of a tag": lambda path: execute(path, "DELETE FROM tags WHERE tag='b'"),
    "with one tag too many": lambda path: execute(path, "INSERT INTO tags VALUES('x', 99)"),
    "changed": lambda path: execute(path, "UPDATE sessions SET status='failed'"),
    "with other types": lambda path: execute(path, "UPDATE sessions SET record='text'"),
    "without its totals": lambda path: execute(path, "DELETE FROM totals"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_catalogue_that_is_unusable_is_made_anew_with_equal_content(
    catalog: CatalogFile, notices: list[str], name: str
) -> None:
    put(catalog, *SAMPLE)
    catalog.close()
    DAMAGES[name](catalog.path)

    assert everything(catalog) == list(SAMPLE)
    assert found(catalog, tags=["a"]) == ["s002", "s001"]
    assert catalog.verify()
    assert "4 sessions" in notices[0]
    kept = list(catalog.path.parent.glob("catalog.sqlite.damaged*"))
    assert len(kept) == (name != "deleted")


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_under_an_open_catalogue_never_changes_what_is_found(
    catalog: CatalogFile, name: str
) -> None:
    put(catalog, *SAMPLE)
    DAMAGES[name](catalog.path)

    catalog.verify()

    assert everything(catalog) == list(SAMPLE)
    assert catalog.verify()


def test_damage_that_shows_while_reading_is_mended_on_the_way(
    catalog: CatalogFile, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_file, "_CHECKED_BYTES", 0)
    put(catalog, *SAMPLE)
    execute(catalog.path, "UPDATE sessions SET status='failed'")

    assert everything(catalog) == list(SAMPLE)
    assert "contradicts itself" in notices[0]


def test_damage_that_shows_while_writing_is_mended_and_the_change_made_once(
    catalog: CatalogFile, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_file, "_CHECKED_BYTES", 0)
    put(catalog, *SAMPLE)
    execute(catalog.path, "DROP TABLE tags")
    made: list[int] = []

    def change(writing: CatalogWriting) -> None:
        made.append(1)
        known = writing.get("s002")
        assert known is not None
        writing.put(known.ended(status="failed", now=50.0))

    catalog.write(change)

    assert [each.status for each in everything(catalog)][1] == "failed"
    assert "no such table" in notices[0]
    assert len(made) == 2  # the first attempt had written nothing


def test_a_catalogue_that_stays_damaged_is_an_error(
    catalog: CatalogFile,
) -> None:
    put(catalog, *SAMPLE)

    def never(_: object) -> None:
        raise Damage("it is never right")

    with pytest.raises(StorageError, match="never right") as caught:
        catalog.read(never)
    assert caught.value.code == "catalog_corrupt"

    with pytest.raises(StorageError, match="never right"):
        catalog.write(never)
    assert everything(catalog) == list(SAMPLE)


def test_bit_flips_and_cuts_of_a_catalogue_never_change_what_is_found(tmp_path: Path) -> None:
    notices: list[str] = []
    home = tmp_path / "home"
    original = CatalogFile(home, on_notice=notices.append)
    put(original, *SAMPLE)
    original.close()
    data = original.path.read_bytes()
    chance = random.Random(FLIP_SEED)  # noqa: S311 - places to damage

    for number in range(150):
        changed = bytearray(data)
        if number % 5:
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        else:
            del changed[chance.randrange(len(data)) :]
        original.path.write_bytes(changed)
        catalog = CatalogFile(home, on_notice=notices.append)
        assert everything(catalog) == list(SAMPLE), number
        assert found(catalog, tags=["a"], text="itl") == ["s002"], number
        assert found(catalog, tags=["a"]) == ["s002", "s001"], number
        catalog.close()
        for aside in home.glob("catalog.sqlite.damaged*"):
            aside.unlink()
    assert len(notices) > 25


def test_a_catalogue_is_made_of_session_files_that_have_no_record(
    catalog: CatalogFile, notices: list[str], tmp_path: Path
) -> None:
    path = session_path(tmp_path, "kept")
    state = {
        "model": "opus",
        "history": [{"role": "user", "content": "Look\x1b at it"}],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 3},
        "turns": 2,
    }
    with SessionFile.open(path, session_id="kept", create=True) as file:
        file.append_state(state, records=[JournalRecord(run_id="r", step=0, kind="run_finished")])
        chain = file.meta()["chain"]

    (kept,) = everything(catalog)

    assert (kept.status, kept.title, kept.model) == ("completed", "Look at it", "opus")
    assert kept.spent == Spent(turns=2, input_tokens=7, output_tokens=3)
    assert (kept.last_version, kept.chain) == (1, chain)
    assert kept.ended_at == kept.updated_at
    assert notices == []  # the first use is nothing to be told of


@pytest.mark.parametrize(
    ("records", "status", "error"),
    [
        ([("run_started", {"text": "Hi"})], "active", None),
        (
            [("run_started", {"text": "Hi"}), ("run_failed", {"error": "E", "code": "c"})],
            "failed",
            "E (c)",
        ),
    ],
)
def test_the_journal_tells_how_a_session_without_record_stands(
    catalog: CatalogFile,
    tmp_path: Path,
    records: list[tuple[Any, Any]],
    status: str,
    error: str | None,
) -> None:
    with SessionFile.open(session_path(tmp_path, "k"), session_id="k", create=True) as file:
        file.append_records(
            [JournalRecord(run_id="r", step=0, kind=kind, body=body) for kind, body in records]
        )

    (kept,) = everything(catalog)

    assert (kept.status, kept.title, kept.last_error) == (status, "Hi", error)
    assert (kept.ended_at is None) == (status == "active")


def test_states_of_another_make_are_summarised_without_a_guess(
    catalog: CatalogFile, tmp_path: Path
) -> None:
    for name, state in (
        ("a", {"history": 3, "usage": [], "turns": "x", "model": 4}),
        ("b", {"history": ["text"]}),
    ):
        with SessionFile.open(session_path(tmp_path, name), session_id=name, create=True) as file:
            file.append_state(state)

    assert [(each.title, each.model, each.spent, each.status) for each in everything(catalog)] == [
        ("", None, Spent(), "completed"),
        ("", None, Spent(), "completed"),
    ]


def test_a_session_file_that_cannot_be_read_is_listed_with_the_reason(
    catalog: CatalogFile, tmp_path: Path
) -> None:
    path = session_path(tmp_path, "broken")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing" * 50)

    (broken,) = everything(catalog)

    assert broken.status == "failed"
    assert "cannot be read" in str(broken.last_error)


def test_a_damaged_record_is_kept_aside_and_replaced_by_what_the_session_file_tells(
    catalog: CatalogFile, notices: list[str], tmp_path: Path
) -> None:
    put(catalog, *SAMPLE)
    with SessionFile.open(session_path(tmp_path, "s001"), session_id="s001", create=True) as file:
        file.append_state({"model": "haiku"})
    for name in ("s001", "s002"):
        path = record_path(tmp_path, name)
        path.write_bytes(path.read_bytes().replace(b"Title", b"Tutle").replace(b"ndern", b"!dern"))
        path.write_bytes(path.read_bytes()[:-9])

    catalog.rebuild("it was asked for")

    assert [each.session_id for each in everything(catalog)] == ["s003", "s004", "s001"]
    assert len([notice for notice in notices if "does not match its check" in notice]) == 2
    assert record_path(tmp_path, "s002").with_suffix(".json.damaged").exists()


def test_a_record_of_a_later_release_is_left_alone(
    catalog: CatalogFile, notices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("sdk_workflow.storage.session_record.RECORD_SCHEMA", 2)
        write_record(record_path(tmp_path, "s001"), SAMPLE[0])
    before = record_path(tmp_path, "s001").read_bytes()

    assert everything(catalog) == []
    assert any("'s001' is left out" in notice and "schema 2" in notice for notice in notices)
    assert record_path(tmp_path, "s001").read_bytes() == before


def test_files_that_are_no_sessions_are_passed_over(catalog: CatalogFile, tmp_path: Path) -> None:
    put(catalog, info(1))
    folder = record_path(tmp_path, "s001").parent
    for name in ("UPPER.json", "con.sqlite", "s001.json.damaged", "notes.txt", ".x.json", "z.json"):
        (folder / name).write_text("x", "utf-8")

    catalog.path.unlink()

    assert [each.session_id for each in everything(catalog)] == ["s001"]


# Records


@pytest.mark.parametrize("sample", SAMPLE, ids=lambda each: each.session_id)
def test_a_record_comes_back_equal(tmp_path: Path, sample: SessionInfo) -> None:
    path = record_path(tmp_path, sample.session_id)
    write_record(path, sample)

    assert read_record(path) == sample
    assert read_record(path.with_name("other.json")) is None


def test_every_bit_flip_and_cut_of_a_record_is_noticed() -> None:
    data = pack_info(SAMPLE[0])

    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(Damage):
            unpack_info(bytes(changed))
        with pytest.raises(Damage):
            unpack_info(data[:place])


def checked(text: str) -> bytes:
    from sdk_workflow.storage.session_record import _check

    return f'{{"check":"{_check(text)}","record":{text}}}\n'.encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "no object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"schema":1}', "fields"),
        ('{"schema":1,"cut_off":null,"tags":[],"spent":{},"x":1}', "fields"),
        (
            '{"schema":0,"cut_off":null,"tags":[],"spent":{},"session_id":"a","started_at":""}',
            "are",
        ),
        (
            '{"schema":1,"cut_off":null,"tags":[],"spent":{},"session_id":"a","started_at":"","status":"odd"}',
            "fields",
        ),
    ],
)
def test_a_record_of_another_make_is_damage(text: str, said: str) -> None:
    with pytest.raises(Damage, match=said):
        unpack_info(checked(text))


def test_a_record_under_another_name_is_damage(tmp_path: Path) -> None:
    write_record(record_path(tmp_path, "s001"), SAMPLE[0])
    moved = record_path(tmp_path, "s001").rename(tmp_path / "b.json")

    with pytest.raises(Damage, match="record of session 's001'"):
        read_record(moved)


def test_a_record_that_cannot_be_read_is_an_error_and_not_overwritten(tmp_path: Path) -> None:
    record_path(tmp_path, "s001").mkdir(parents=True)

    with pytest.raises(StorageError, match="could not be read"):
        read_record(record_path(tmp_path, "s001"))


# Many writers, and those that die


WRITER = """
import sys
from pathlib import Path
from sdk_workflow.storage.catalog_file import CatalogFile
from sdk_workflow.storage.session_info import SessionInfo, Spent, iso_time
home, name = Path(sys.argv[1]), sys.argv[2]
catalog = CatalogFile(home, on_notice=print)
for _ in range(5):
    def change(writing):
        info = writing.get("shared") or SessionInfo(session_id="shared", started_at=iso_time(0))
        writing.put(SessionInfo(session_id="shared", started_at=iso_time(0),
            spent=info.spent + Spent(turns=1), tags=tuple(sorted({*info.tags, name}))))
    catalog.write(change)
"""


def test_processes_that_change_one_session_at_once_lose_no_change(
    catalog: CatalogFile, tmp_path: Path
) -> None:
    home = tmp_path
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), f"w{number}"])
        for number in range(3)
    ]
    assert [writer.wait(timeout=50) for writer in writers] == [0, 0, 0]

    (shared,) = everything(catalog)
    assert shared.spent.turns == 15
    assert shared.tags == ("w0", "w1", "w2")
    assert catalog.verify()


def test_threads_that_change_and_search_at_once_lose_no_change(catalog: CatalogFile) -> None:
    put(catalog, info(1, spent=Spent()))

    def work() -> None:
        for _ in range(5):
            catalog.write(lambda writing: writing.put(one_more(writing.get("s001"))))
            assert found(catalog, status="active") == ["s001"]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert everything(catalog)[0].spent.turns == 20


def one_more(known: SessionInfo | None) -> SessionInfo:
    assert known is not None
    return info(1, spent=known.spent + Spent(turns=1))


def test_a_change_waits_while_another_process_makes_the_catalogue_anew(
    catalog: CatalogFile, tmp_path: Path
) -> None:
    put(catalog, info(1))
    lock = FileLock(tmp_path / "catalog.lock")
    with lock:
        thread = threading.Thread(target=put, args=(catalog, info(2)))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert read_record(record_path(tmp_path, "s002")) is None
    lock.close()
    thread.join()

    assert found(catalog) == ["s002", "s001"]


DYING = """
import os, sys
from pathlib import Path
from sdk_workflow.storage import catalog_file
from sdk_workflow.storage.session_info import SessionInfo, iso_time
catalog = catalog_file.CatalogFile(Path(sys.argv[1]), on_notice=print)
def change(writing):
    writing.put(SessionInfo(session_id="s001", started_at=iso_time(1), title="Harbour"))
    os._exit(9)
catalog.write(change)
"""


@pytest.mark.parametrize("opened", [False, True])
def test_a_row_that_a_dying_process_left_behind_is_mended_from_its_record(
    catalog: CatalogFile, tmp_path: Path, *, opened: bool
) -> None:
    put(catalog, *SAMPLE)
    if not opened:
        catalog.close()

    died = subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False)

    assert died.returncode == 9
    assert found(catalog, text="harbour") == ["s001"]
    assert catalog.verify()


def test_a_note_that_is_torn_is_harmless(catalog: CatalogFile, tmp_path: Path) -> None:
    put(catalog, *SAMPLE)
    (tmp_path / "catalog.unfinished").write_bytes(b"../../x\ns0\xff01\ns002\nunknown")

    assert everything(catalog) == list(SAMPLE)
    assert (tmp_path / "catalog.unfinished").read_bytes() == b""


def test_a_session_that_cannot_be_read_does_not_close_the_catalogue_to_all_others(
    catalog: CatalogFile, tmp_path: Path, notices: list[str]
) -> None:
    put(catalog, *SAMPLE)
    path = record_path(tmp_path, "s002")
    path.unlink()
    path.mkdir()
    (tmp_path / "catalog.unfinished").write_bytes(b"s002")

    assert everything(catalog) == list(SAMPLE)
    assert "session 's002'" in notices[0]
    assert everything(catalog) == list(SAMPLE)
    assert len(notices) == 1


def test_what_a_dead_writer_left_behind_is_not_forgotten_when_the_next_one_dies_too(
    catalog: CatalogFile, tmp_path: Path
) -> None:
    put(catalog, *SAMPLE)
    write_record(record_path(tmp_path, "s001"), info(1, title="Harbour"))
    (tmp_path / "catalog.unfinished").write_bytes(b"s001")

    def die(writing: CatalogWriting) -> None:
        writing.put(info(2, title="Lighthouse"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.write(die)

    assert found(catalog, text="harbour") == ["s001"]
    assert found(catalog, text="lighthouse") == ["s002"]


class FullDisk:
    """A connection whose commits meet a full disk."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return self._real.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_change_stands_though_the_catalogue_could_not_be_committed(
    catalog: CatalogFile, notices: list[str]
) -> None:
    put(catalog, *SAMPLE)
    failing: Any = FullDisk(catalog._connection)  # type: ignore[arg-type]
    catalog._connection = failing

    put(catalog, info(2, title="Harbour"))

    assert "lags behind" in notices[0]
    assert found(catalog, text="harbour") == ["s002"]


def test_a_commit_that_fails_before_anything_was_written_is_an_error(catalog: CatalogFile) -> None:
    put(catalog, *SAMPLE)
    failing: Any = FullDisk(catalog._connection)  # type: ignore[arg-type]
    catalog._connection = failing

    with pytest.raises(StorageError, match="disk is full"):
        catalog.write(lambda _: None)
    assert everything(catalog) == list(SAMPLE)


def test_a_change_that_raises_changes_nothing(catalog: CatalogFile) -> None:
    put(catalog, *SAMPLE)

    def change(writing: CatalogWriting) -> None:
        writing.forget("s001")
        raise UsageError("no")

    with pytest.raises(UsageError):
        catalog.write(change)
    assert everything(catalog) == list(SAMPLE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_by_a_connection_of_its_own(catalog: CatalogFile) -> None:
    put(catalog, *SAMPLE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            put(catalog, info(5))
            code = 0 if len(everything(catalog)) == 5 else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(everything(catalog)) == 5


def test_two_processes_that_find_no_catalogue_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []
    first = CatalogFile(tmp_path, on_notice=notices.append)
    second = CatalogFile(tmp_path, on_notice=notices.append)
    put(first, *SAMPLE)
    connect = second._connect
    calls: list[int] = []

    def late() -> sqlite3.Connection:
        calls.append(1)
        if len(calls) == 1:
            raise FileNotFoundError
        return connect()

    monkeypatch.setattr(second, "_connect", late)

    assert everything(second) == list(SAMPLE)
    assert notices == []
    first.close()
    second.close()


def test_a_catalogue_that_was_replaced_is_noticed(catalog: CatalogFile, tmp_path: Path) -> None:
    put(catalog, info(1))
    shutil.copy(catalog.path, tmp_path / "old")
    put(catalog, info(2))

    (tmp_path / "old").replace(catalog.path)
    catalog.write(lambda writing: writing.put(info(3)))

    assert [each.session_id for each in everything(catalog)] == ["s001", "s003"]


def later_release(
    path: Path, *, alters: str = "ALTER TABLE sessions ADD COLUMN later TEXT"
) -> bytes:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA user_version=2")
        connection.execute(alters)
    connection.close()
    return path.read_bytes()


def test_a_catalogue_of_a_later_release_is_refused_and_left_as_it_is(
    catalog: CatalogFile, notices: list[str]
) -> None:
    put(catalog, *SAMPLE)
    catalog.close()
    before = later_release(catalog.path)
    for ask in (lambda: everything(catalog), lambda: put(catalog, info(9)), catalog.verify):
        with pytest.raises(StorageError, match="schema 2") as caught:
            ask()
        assert caught.value.code == "schema_too_new"
        assert "delete it" in caught.value.hint
    assert catalog.path.read_bytes() == before
    assert notices == []
    catalog.path.unlink()
    assert everything(catalog) == list(SAMPLE)


def test_a_catalogue_of_which_only_the_number_is_that_of_a_later_release_is_made_anew(
    catalog: CatalogFile, notices: list[str]
) -> None:
    put(catalog, *SAMPLE)
    catalog.close()
    execute(catalog.path, "PRAGMA user_version=3")
    assert everything(catalog) == list(SAMPLE)
    assert "made anew" in notices[0]


def test_only_the_last_two_catalogues_that_were_damaged_are_kept(
    catalog: CatalogFile, notices: list[str], tmp_path: Path
) -> None:
    put(catalog, *SAMPLE)
    catalog.close()
    (tmp_path / "catalog.sqlite.damaged_Older").write_bytes(b"0")
    (tmp_path / "catalog.sqlite.damaged_Older-journal").write_bytes(b"0")
    for number in range(1, 13):
        catalog.path.write_bytes(b"%d" % number * 5000)
        assert everything(catalog) == list(SAMPLE)
        catalog.close()
    kept = {each.name: each.read_bytes()[:2] for each in tmp_path.glob("*.damaged*")}
    assert kept == {"catalog.sqlite.damaged_11": b"11", "catalog.sqlite.damaged_12": b"12"}
    assert "'catalog.sqlite.damaged_12'" in notices[-1]


def test_a_catalogue_that_is_gone_is_told_and_the_first_one_is_not(
    tmp_path: Path, notices: list[str]
) -> None:
    write_record(record_path(tmp_path, "s001"), info(1))
    catalog = CatalogFile(tmp_path, on_notice=notices.append)
    assert everything(catalog) == [info(1)]
    assert notices == []
    catalog.close()
    catalog.path.unlink()
    assert everything(catalog) == [info(1)]
    assert "made from 1 session: it was gone" in notices[0]
    catalog.close()

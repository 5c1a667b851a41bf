"""What a damaged session file says, and what of it still loads."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage import frames
from sdk_workflow.storage.encryption import Plain
from sdk_workflow.storage.errors import CheckpointCorrupt, Damage, SessionNotFound
from sdk_workflow.storage.frames import Frame, Packer
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import head_path
from tests.storage.sessions import execute, filled, opened, record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("statement", "bad", "said"),
    [
        ("DELETE FROM frames WHERE version=2", {2, 3}, "missing"),
        ("DELETE FROM frames WHERE version=3", {3}, "missing"),
        ("UPDATE frames SET payload=zeroblob(length(payload)) WHERE version=2", {2, 3}, ""),
        ("UPDATE frames SET payload=X'00' WHERE version=3", {3}, ""),
        ("UPDATE frames SET payload='text' WHERE version=3", {3}, ""),
        ("UPDATE frames SET payload=5 WHERE version=3", {3}, "another type"),
        ("UPDATE frames SET codec=2 WHERE version=1", {1, 2, 3}, ""),
        ("UPDATE frames SET codec='x' WHERE version=3", {3}, "number"),
        ("UPDATE frames SET raw_bytes=99999999999 WHERE version=3", {3}, "claims"),
        ("UPDATE frames SET kind=7 WHERE version=3", {3}, "base"),
        ("UPDATE frames SET kind=0 WHERE version=3", {3}, "builds on"),
        ("UPDATE frames SET base=2 WHERE version=3", {3}, "builds on"),
        ("UPDATE frames SET base=-1 WHERE version=3", {3}, "base"),
        ("UPDATE frames SET state_sha256=zeroblob(32) WHERE version=2", {2}, "hash"),
        ("UPDATE frames SET chain_sha256=zeroblob(32) WHERE version=3", {3}, "ends with"),
        ("UPDATE frames SET version=9 WHERE version=2", {2, 3}, "missing"),
    ],
)
def test_a_damaged_version_is_named_and_the_others_still_load(
    path: Path, statement: str, bad: set[int], said: str
) -> None:
    filled(path)
    execute(path, statement)
    good = {1, 2, 3} - bad
    with opened(path) as file:
        for version in good:
            assert file.load(version) == {"n": version - 1, "turns": list(range(version - 1))}
        for version in bad:
            with pytest.raises(CheckpointCorrupt) as caught:
                file.load(version)
            assert said in str(caught.value)
            assert str(path) in str(caught.value)
            assert set(caught.value.intact_versions) == good
            assert caught.value.version in bad
        for read in (file.versions, file.verify):
            with pytest.raises(CheckpointCorrupt):
                read()
        if 3 in bad:
            with pytest.raises(CheckpointCorrupt):
                file.append_state({})


def test_a_version_whose_listed_facts_were_changed_is_noticed_in_the_list(path: Path) -> None:
    filled(path)
    execute(path, "UPDATE frames SET created_us=created_us+1 WHERE version=2")
    with opened(path) as file:
        assert file.load(2) is not None
        with pytest.raises(CheckpointCorrupt, match=r"version 2 is damaged.*match its hash"):
            file.versions()


def test_a_version_cannot_pass_for_another_one(path: Path) -> None:
    with opened(path) as file:
        for number in (1, 2):
            file.append_state({"a": os.urandom(80_000).hex(), "n": number})
    execute(path, "DELETE FROM frames WHERE version=2")
    execute(
        path,
        "INSERT INTO frames SELECT 2, kind, 2, codec, created_us, raw_bytes, state_sha256,"
        " chain_sha256, meta, payload FROM frames WHERE version=1",
    )
    with opened(path) as file, pytest.raises(CheckpointCorrupt, match="version 2"):
        file.load(2)


@pytest.mark.parametrize("key", ["facts", "head", "anchor"])
@pytest.mark.parametrize(
    "change", ["SET value=substr(value, 1, 60) || X'00'", "SET value=3", "SET key='x'"]
)
def test_a_damaged_record_of_the_session_itself_is_noticed(
    path: Path, key: str, change: str
) -> None:
    filled(path)
    execute(path, f"UPDATE meta {change} WHERE key=?", key)
    with pytest.raises(CheckpointCorrupt), opened(path) as file:
        file.load()


def test_a_file_of_another_session_is_refused(path: Path) -> None:
    filled(path)
    with pytest.raises(StorageError, match="file of session 's', not of 't'") as caught:
        SessionFile.open(path, session_id="t")
    assert caught.value.code == "other_session"


def test_a_foreign_sqlite_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    execute(path, "CREATE TABLE x(y)")
    before = path.read_bytes()
    with pytest.raises(StorageError) as caught:
        opened(path, read_only=True)
    assert caught.value.code == "foreign_file"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a database at all " * 500, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_corrupt_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(CheckpointCorrupt, match="No version of it loads"):
            opened(path, read_only=read_only)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("schema", "code"), [(2, "schema_too_new"), (99, "schema_too_new"), (0, "schema_outdated")]
)
def test_a_file_of_another_schema_is_refused(path: Path, schema: int, code: str) -> None:
    filled(path)
    execute(path, f"PRAGMA user_version={schema}")
    with pytest.raises(StorageError) as caught:
        opened(path)
    assert caught.value.code == code


def test_a_missing_file_is_not_created_unless_asked(path: Path) -> None:
    for options in ({"create": False}, {"create": True, "read_only": True}):
        with pytest.raises(SessionNotFound, match="'s'"):
            opened(path, **options)
    assert not path.parent.exists()


def crash(path: Path, folder: Path, versions: int) -> Path:
    """Return a copy of a session as a killed process leaves it: with a log."""
    file = opened(path)
    for number in range(versions):
        file.append_state({"n": number})
    folder.mkdir()
    for name in ("s.sqlite", "s.sqlite-wal", "s.head"):
        (folder / name).write_bytes((path.parent / name).read_bytes())
    file.close()
    return folder / "s.sqlite"


def test_what_a_killed_process_left_in_the_log_is_there(path: Path, tmp_path: Path) -> None:
    left = crash(path, tmp_path / "left", 5)
    with opened(left) as file:
        assert file.load() == {"n": 4}
        assert file.append_state({"n": 5}) == 6
        file.verify()


@pytest.mark.parametrize("size", [0, 10, 5000, 40_000])
def test_a_log_that_was_cut_is_noticed_and_kept(path: Path, tmp_path: Path, size: int) -> None:
    left = crash(path, tmp_path / "left", 5)
    log = left.with_name("s.sqlite-wal")
    log.write_bytes(log.read_bytes()[:size])
    with opened(left) as file:
        for attempt in (file.versions, lambda: file.append_state({}), file.verify, file.meta):
            with pytest.raises(CheckpointCorrupt, match="saved but are missing"):
                attempt()
        with pytest.raises(CheckpointCorrupt, match="saved but are missing") as caught:
            file.load()
        for version in caught.value.intact_versions:
            assert file.load(version) == {"n": version - 1}
        with pytest.raises(CheckpointCorrupt, match="missing"):
            file.load(5)
        assert len(caught.value.intact_versions) < 5
    if size:
        assert log.stat().st_size == size


def test_a_journal_that_lost_its_end_is_noticed(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"n": 1})
    before = path.read_bytes()
    with opened(path) as file:
        file.append_records([record("r", 0)])
    path.write_bytes(before)
    with opened(path) as file, pytest.raises(CheckpointCorrupt, match="journal records 1 to 1"):
        file.records()


def test_an_older_copy_in_the_place_of_the_file_is_noticed(path: Path) -> None:
    filled(path, 2)
    before = path.read_bytes()
    with opened(path) as file:
        file.append_state({"n": 9})
    path.write_bytes(before)
    with opened(path) as file, pytest.raises(CheckpointCorrupt, match="versions 3 to 3"):
        file.load()


@pytest.mark.parametrize("damage", ["missing", "empty", "first slot", "second slot"])
def test_a_head_file_that_lags_behind_is_harmless(path: Path, damage: str) -> None:
    filled(path, 4)
    head = head_path(path)
    data = bytearray(head.read_bytes())
    if damage == "missing":
        head.unlink()
    else:
        place = {"first slot": 20, "second slot": 532}.get(damage, 0)
        data[place] ^= 1
        head.write_bytes(b"" if damage == "empty" else data)
    with opened(path) as file:
        assert file.load() == {"n": 3, "turns": [0, 1, 2]}
        assert file.append_state({"n": 4}) == 5
    filled(path, 1)


def test_the_log_is_moved_into_the_file_now_and_then_and_on_closing(path: Path) -> None:
    log = path.with_name("s.sqlite-wal")
    with opened(path, durability="off") as file:
        for number in range(200):
            file.append_state({"n": number, "noise": os.urandom(4000).hex()})
        assert log.stat().st_size < 3_000_000
        assert path.stat().st_size > 500_000
    assert not log.exists()
    assert not path.with_name("s.sqlite-shm").exists()


# --- what only forged or half-damaged files hold ----------------------------------------------


def frame(**changes: Any) -> Frame:
    fields: dict[str, Any] = {
        "version": 1, "kind": 0, "base": 1, "codec": 0, "created_us": 0, "raw_bytes": 0,
        "state": b"", "meta": b"", "payload": b"",
    }  # fmt: skip
    return Frame(**{**fields, **changes})


@pytest.mark.parametrize(
    ("header", "rest", "said"),
    [
        (b"{}", b"", "not a list of changes"),
        (b'{"set":[["a",0,0]]}', b"", "not a list of changes"),
        (b'{"set":[["a",0,0,1]]}', b"12", "longer or shorter"),
        (b'{"set":[["a",0,0,3]]}', b"12", "longer or shorter"),
        (b'{"set":[["a",1,0,1]]}', b"1", "does not fit"),
        (b'{"set":[["a",0,0,1]],"order":["b"]}', b"1", "orders keys"),
        (b'{"set":[["a",0.5,0,0]]}', b"", "not a list of changes"),
        (b'{"set":[[1,0,0,0]]}', b"", "not a list of changes"),
        (b"[", b"", "not JSON"),
        (b"[" * 100_000, b"", "not JSON"),
        (b'{"set":[["a",0,0,1]],"order":["a",1]}', b"1", "not a list of changes"),
        (b'{"set":[],"order":7}', b"", "not a list of changes"),
        (b'{"set":[],"drop":[["a"]]}', b"", "not a list of changes"),
        (b'{"set":[],"drop":7}', b"", "not a list of changes"),
    ],
)
def test_a_frame_that_makes_no_sense_is_damage(header: bytes, rest: bytes, said: str) -> None:
    raw = len(header).to_bytes(4, "big") + header + rest
    replay = Packer(session_id="s", codec=0, sealer=Plain()).replay()
    with pytest.raises(Damage, match=said):
        replay.apply(frame(payload=raw, raw_bytes=len(raw)))


def test_changes_that_add_up_to_a_bomb_are_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delta inflates to what a version may hold; only together they are too much."""
    monkeypatch.setattr(frames, "MAX_RAW_BYTES", 1000)
    replay = Packer(session_id="s", codec=0, sealer=Plain()).replay()

    def grow(version: int, key: str) -> None:
        header = f'{{"set":[["{key}",0,0,400]]}}'.encode()
        raw = len(header).to_bytes(4, "big") + header + b"x" * 400
        replay.apply(frame(version=version, kind=1, payload=raw, raw_bytes=len(raw)))

    grow(1, "a")
    grow(2, "b")
    with pytest.raises(Damage, match="more than a version may hold"):
        grow(3, "c")


def test_a_frame_without_a_header_is_damage() -> None:
    replay = Packer(session_id="s", codec=0, sealer=Plain()).replay()
    with pytest.raises(Damage, match="not a list of changes"):
        replay.apply(frame(payload=b"12", raw_bytes=2))


def test_many_gaps_in_what_still_loads_are_told_shortly(path: Path) -> None:
    filled(path, 40)
    execute(path, "UPDATE frames SET state_sha256=zeroblob(32) WHERE version % 2 = 0")
    with opened(path) as file:
        with pytest.raises(CheckpointCorrupt) as caught:
            file.load(2)
        assert "load: 1, 3, 5, 7, 9, 11, 13, 15, ..." in str(caught.value)
        assert file.load(39) is not None


def test_changes_without_a_version_or_a_record_can_be_missing_too(path: Path) -> None:
    filled(path, 2)
    before = path.read_bytes()
    with opened(path) as file, file.connection.writing():
        pass
    path.write_bytes(before)
    with opened(path) as file, pytest.raises(CheckpointCorrupt, match="changes were saved but"):
        file.load()


@pytest.mark.parametrize("part", ["chain", "journal_chain"])
def test_a_history_that_ends_elsewhere_is_noticed(path: Path, part: str) -> None:
    with opened(path) as file:
        file.append_state({"n": 1}, records=[record("r", 0)])
        with file.connection.writing() as writing:
            changes: dict[str, Any] = {part: b"x" * 32}
            writing.head = replace(writing.head, **changes)
        with pytest.raises(CheckpointCorrupt, match="ends with"):
            file.verify()


def test_a_structure_that_only_sqlite_understands_is_checked_too(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    data[39] = 7  # the count of free pages
    path.write_bytes(data)
    with opened(path, read_only=True) as file:
        assert file.load() is not None
        with pytest.raises(CheckpointCorrupt, match="SQLite says"):
            file.verify()

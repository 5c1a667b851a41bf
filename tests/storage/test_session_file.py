"""Versions, compare-and-set and the journal of a session file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.storage.errors import CheckpointConflict, CheckpointCorrupt
from sdk_workflow.types import JournalRecord
from tests.storage.sessions import execute, opened, record

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow._internal.clock import VirtualClock


def test_every_version_loads_as_it_was_saved_also_after_reopening(path: Path) -> None:
    states: list[dict[str, Any]] = [
        {},
        {"a": 1, "b": [1, 2], "é": {"x": None}},
        {"b": [1, 2, 3], "a": 1},
        {"b": [], "c": "new", "a": 1.0},
        {"a": True},
    ]
    with opened(path) as file:
        assert [file.append_state(state) for state in states] == [1, 2, 3, 4, 5]
        assert file.load() == states[-1]
    with opened(path) as file:
        for version, state in enumerate(states, start=1):
            found = file.load(version)
            assert repr(found) == repr(state)  # the types and the order of keys too
        assert file.load(6) is None
        assert file.load(0) is None
        assert file.load(-1) is None
        assert file.append_state({"a": 2}) == 6
        file.verify()


def test_there_is_nothing_before_the_first_version(path: Path) -> None:
    with opened(path) as file:
        assert file.load() is None
        assert file.versions() == []
        assert file.records() == []
        file.verify()


def test_what_is_listed_of_a_version(path: Path, clock: VirtualClock) -> None:
    with opened(path, clock=clock) as file:
        file.append_state({"t": ["word " * 400]}, meta={"title": "T"})
        clock.advance(5)
        file.append_state({"t": ["word " * 400, "more"]})
        first, second = file.versions()
        assert (first.version, first.kind, first.meta) == (1, "keyframe", {"title": "T"})
        assert (second.version, second.kind, second.meta) == (2, "delta", {})
        assert second.created_at - first.created_at == 5
        assert second.stored_bytes < first.stored_bytes < first.raw_bytes
        meta = file.meta()
        assert (meta["last_version"], meta["chain"]) == (2, second.chain)
        assert (meta["session_id"], meta["parent"], meta["encrypted"]) == ("s", None, False)


def test_a_clock_that_goes_back_does_not_make_versions_older(
    path: Path, clock: VirtualClock
) -> None:
    with opened(path, clock=clock) as file:
        file.append_state({"n": 1})
        clock._now = 5.0
        file.append_state({"n": 2})
        first, second = file.versions()
    assert second.created_at == first.created_at


def test_a_long_history_has_a_keyframe_now_and_then_and_grows_with_its_turns(path: Path) -> None:
    turns: list[Any] = []
    with opened(path, durability="off") as file:
        for number in range(300):
            turns.append({"role": "user", "content": f"turn {number} " * 20})
            file.append_state({"turns": turns})
        kinds = [info.kind for info in file.versions()]
        assert [n for n, kind in enumerate(kinds, start=1) if kind == "keyframe"] == [1, 130, 259]
        assert file.load(258) == {"turns": turns[:258]}
        assert sum(info.stored_bytes for info in file.versions()) < 60_000
    with opened(path) as file:  # a new writer goes on with the same count of deltas
        for _ in range(90):
            file.append_state({"turns": turns[:-1]})
            file.append_state({"turns": turns})
        assert {388} == {i.version for i in file.versions() if i.kind == "keyframe"} - {1, 130, 259}
        file.verify()


def test_a_large_change_becomes_a_keyframe(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"a": "x"})
        file.append_state({"a": os.urandom(80_000).hex()})
        file.append_state({"a": os.urandom(80_000).hex()})
        assert [info.kind for info in file.versions()] == ["keyframe"] * 3


def test_a_state_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_workflow.storage.frames.MAX_RAW_BYTES", 1000)
    with opened(path) as file:
        file.append_state({"a": 1})
        with pytest.raises(StorageError, match="more than the 1000"):
            file.append_state({"a": "x" * 1000})
        assert file.load() == {"a": 1}


def test_a_state_that_json_cannot_hold_changes_nothing(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"a": 1})
        with pytest.raises(UsageError, match=r"\$\.a\.b\[0\] is nan"):
            file.append_state({"a": {"b": [float("nan")]}}, records=[])
        with pytest.raises(UsageError, match="tool_intent"):
            file.append_state(
                {"a": 2},
                records=[JournalRecord(run_id="r", step=0, kind="tool_intent", body={"x": {1}})],
            )
        with pytest.raises(UsageError, match="meta"):
            file.append_state({"a": 2}, meta={"x": b""})
        assert file.load() == {"a": 1}
        assert file.records() == []
        assert file.append_state({"a": 3}) == 2


def test_a_save_on_top_of_another_version_is_refused(path: Path) -> None:
    with opened(path) as mine, opened(path) as theirs:
        assert mine.append_state({"by": "me"}, expected_version=0) == 1
        assert theirs.append_state({"by": "them"}, expected_version=1) == 2
        with pytest.raises(CheckpointConflict, match=r"Version 1 .* version 2 is the latest"):
            mine.append_state({"by": "me again"}, expected_version=1)
        assert mine.load() == {"by": "them"}
        assert mine.append_state({"by": "me at last"}, expected_version=2) == 3
        assert theirs.load() == {"by": "me at last"}


ADDER = """
import sys
from pathlib import Path
from sdk_workflow.storage.errors import CheckpointConflict
from sdk_workflow.storage.session_file import SessionFile
with SessionFile.open(Path(sys.argv[1]), session_id="s") as file:
    for number in range(int(sys.argv[3])):
        while True:
            at = file.meta()["last_version"]
            state = file.load(at)
            try:
                file.append_state({"names": [*state["names"], sys.argv[2]]}, expected_version=at)
                break
            except CheckpointConflict:
                pass
"""


def test_two_processes_lose_no_update_of_the_other(path: Path) -> None:
    with opened(path) as file:
        file.append_state({"names": []})
        writers = [
            subprocess.Popen([sys.executable, "-c", ADDER, str(path), name, "15"]) for name in "ab"
        ]
        assert [writer.wait(50) for writer in writers] == [0, 0]
        state = file.load()
        assert state is not None
        assert sorted(state["names"]) == ["a"] * 15 + ["b"] * 15
        assert len(file.versions()) == 31
        file.verify()


def test_threads_share_one_file(path: Path) -> None:
    with opened(path, durability="off") as file:

        def work(name: int) -> None:
            for number in range(10):
                file.append_state({"by": name, "n": number})
                file.load()

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(file.versions()) == 40
        file.verify()


def test_records_come_back_in_order_by_run_and_after_reopening(path: Path) -> None:
    mine, theirs = [record("r1", 0, a=[1]), record("r1", 1)], [record("ré", 0, x="é")]
    with opened(path) as file:
        file.append_records([])
        file.append_records([mine[0], theirs[0]])
        assert file.append_state({"a": 1}, records=[mine[1]]) == 1
    with opened(path, read_only=True) as file:
        assert file.records() == [mine[0], theirs[0], mine[1]]
        assert file.records("r1") == mine
        assert file.records("ré") == theirs
        assert file.records("none") == []
        assert file.meta()["records"] == 3


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal WHERE seq=2",
        "DELETE FROM journal WHERE seq=3",
        "UPDATE journal SET body=X'7B7D' WHERE seq=2",
        "UPDATE journal SET step='x' WHERE seq=2",
        "UPDATE journal SET run_id='r2' WHERE seq=2",
        "UPDATE journal SET chain_sha256=zeroblob(32) WHERE seq=3",
        "UPDATE meta SET value=(SELECT value FROM meta WHERE key='anchor') WHERE key='head'",
    ],
)
def test_a_journal_that_was_changed_is_noticed(path: Path, statement: str) -> None:
    with opened(path) as file:
        file.append_records([record("r", step, n=step) for step in range(3)])
    execute(path, statement)
    with opened(path) as file, pytest.raises(CheckpointCorrupt):
        file.records()

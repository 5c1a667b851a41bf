from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.retention import first_version_to_keep
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow._internal.clock import VirtualClock


def grouped(path: Path, clock: VirtualClock) -> SessionFile:
    """Versions 1 to 6 in three keyframe groups of two, a day apart."""
    file = SessionFile.open(path, session_id="s", create=True, clock=clock)
    for _ in range(3):
        noise = os.urandom(80_000).hex()
        file.append_state({"noise": noise})
        file.append_state({"noise": noise, "more": 1})
        clock.advance(86_400)
    assert [info.kind[0] for info in file.versions()] == ["k", "d"] * 3
    return file


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 30), st.integers(0, 40))
def test_what_is_kept_starts_with_a_keyframe_and_holds_all_that_was_asked_for(
    gaps: list[int], keep: int, before: int
) -> None:
    versions = [1]
    for gap in gaps:
        versions.append(versions[-1] + gap)
    keyframes = [(version, version) for version in versions]
    last = versions[-1] + 2
    by_count = first_version_to_keep(keyframes, last_version=last, keep_versions=keep)
    by_age = first_version_to_keep(keyframes, last_version=last, before_us=before)
    for first in (by_count, by_age):
        assert first in versions
    assert by_count == 1 or last - by_count + 1 >= keep
    # What goes ended before the next keyframe, which is old as well.
    assert by_age == 1 or by_age <= before
    later = [version for version in versions if version > by_age]
    assert not later or later[0] > before


def test_old_groups_go_and_the_rest_is_whole(path: Path, clock: VirtualClock) -> None:
    with grouped(path, clock) as file:
        before = file.versions()
        assert file.prune(created_before=clock.now() - 1.5 * 86_400) == 2
        assert file.versions() == before[2:]
        assert file.load(2) is None
        for version in (3, 4, 5, 6):
            assert file.load(version) is not None
        assert file.meta()["first_version"] == 3
        assert file.append_state({"n": 7}) == 7
        file.verify()
    size = path.stat().st_size
    with SessionFile.open(path, session_id="s") as file:
        file.verify()
        assert file.prune(created_before=clock.now() + 10**6) == 2
        assert [info.version for info in file.versions()] == [5, 6, 7]
        assert file.prune(created_before=clock.now() + 10**6) == 0
        file.verify()
    assert path.stat().st_size < 0.7 * size


def test_as_many_versions_stay_as_were_asked_for(path: Path, clock: VirtualClock) -> None:
    with grouped(path, clock) as file:
        assert file.prune(keep_versions=5) == 0
        assert file.prune(keep_versions=3) == 2
        assert file.prune(keep_versions=1) == 2
        assert [info.version for info in file.versions()] == [5, 6]


@pytest.mark.parametrize("version", [5, 6])
def test_nothing_is_deleted_where_what_would_stay_is_damaged(
    path: Path, clock: VirtualClock, version: int
) -> None:
    grouped(path, clock).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE frames SET payload=X'00' WHERE version=?", (version,))
    connection.close()
    with SessionFile.open(path, session_id="s") as file:
        with pytest.raises(CheckpointCorrupt):
            file.prune(keep_versions=1)
        for older in (1, 2, 3, 4):
            assert file.load(older) is not None


def record(run_id: str, kind: Any) -> JournalRecord:
    return JournalRecord(run_id=run_id, step=0, kind=kind)


def test_the_journal_of_runs_that_ended_goes_and_that_of_others_stays(
    path: Path, clock: VirtualClock
) -> None:
    with grouped(path, clock) as file:
        file.append_records([record("a", "run_started"), record("a", "run_finished")])
        file.append_records([record("b", "run_started")])
        file.append_records([record("c", "run_started"), record("c", "run_failed")])
        clock.advance(10)
        file.prune(created_before=clock.now())
        assert [each.run_id for each in file.records()] == ["b", "c", "c"]
        file.append_records([record("b", "run_finished")])
        file.prune(created_before=clock.now())
        assert [each.run_id for each in file.records()] == ["b", "c", "c", "b"]  # too young
        clock.advance(1)
        file.prune(created_before=clock.now())
        assert [each.run_id for each in file.records()] == ["c", "c", "b"]  # c can be resumed
        file.append_records([record("d", "run_started")])
        file.prune(created_before=clock.now())
        assert [each.run_id for each in file.records()] == ["d"]
        file.verify()
    with SessionFile.open(path, session_id="s") as file:
        assert [each.run_id for each in file.records()] == ["d"]


def test_nothing_is_deleted_where_what_stays_could_not_be_checked_any_more(
    path: Path, clock: VirtualClock
) -> None:
    grouped(path, clock).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE frames SET chain_sha256=zeroblob(32) WHERE version=4")
    connection.close()
    with SessionFile.open(path, session_id="s") as file:
        with pytest.raises(CheckpointCorrupt, match="version 5 is damaged"):
            file.prune(keep_versions=1)
        assert file.load(1) is not None

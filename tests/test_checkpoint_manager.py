from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.managers.checkpoint_manager import (
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointManager,
    SessionNotFound,
)
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_folders import delete_session
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = [
    "../../x",
    "",
    ".",
    "CON",
    "con",
    "x" * 4096,
    "\u0430",
    "a\0",
    "/etc/passwd",
    7,
    None,
    ["a"],
]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def manager(tmp_path: Path, clock: VirtualClock) -> Iterator[CheckpointManager]:
    with CheckpointManager(tmp_path, clock=clock) as checkpoints:
        yield checkpoints


def damage(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_what_was_saved_is_loaded_by_this_manager_and_by_another(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    path = manager.save_checkpoint("s", turns=[1], model="m")
    assert path == session_path(tmp_path, "s")
    assert path.exists()
    assert manager.save_checkpoint_versioned("s", turns=[1, 2]) == (path, 2)
    with CheckpointManager(tmp_path) as other:
        for each in (manager, other):
            assert each.load_checkpoint("s") == {"turns": [1, 2]}
            assert each.load_checkpoint_version("s", 1) == {"turns": [1], "model": "m"}
            assert [info.version for info in each.list_checkpoint_versions("s")] == [1, 2]
            assert each.checkpoint_exists("s")
            assert each.validate_checkpoint("s", 1)


def test_the_state_folder_is_the_users_own_unless_named(clean_environment: Path) -> None:
    with CheckpointManager() as manager:
        path = manager.save_checkpoint("s", a=1)
    assert path.is_relative_to(clean_environment)


def test_what_was_never_saved_is_not_there(manager: CheckpointManager, tmp_path: Path) -> None:
    assert manager.load_checkpoint("s") is None
    assert manager.load_checkpoint_version("s", 1) is None
    assert manager.list_checkpoint_versions("s") == []
    assert not manager.checkpoint_exists("s")
    assert not manager.validate_checkpoint("s", 1)
    assert [*tmp_path.iterdir()] == []
    manager.save_checkpoint("s", a=1)
    assert manager.load_checkpoint_version("s", 2) is None
    assert not manager.validate_checkpoint("s", 2)
    assert not manager.validate_checkpoint("s", 0)


@pytest.mark.parametrize("session_id", HOSTILE, ids=lambda value: ascii(value)[:12])
def test_a_hostile_id_is_refused_by_every_method(
    manager: CheckpointManager, tmp_path: Path, session_id: Any
) -> None:
    manager.save_checkpoint("good", a=1)
    before = sorted(tmp_path.rglob("*"))
    calls: list[Callable[[], Any]] = [
        lambda: manager.save_checkpoint(session_id, a=1),
        lambda: manager.save_checkpoint_versioned(session_id, a=1),
        lambda: manager.load_checkpoint(session_id),
        lambda: manager.load_checkpoint_version(session_id, 1),
        lambda: manager.list_checkpoint_versions(session_id),
        lambda: manager.validate_checkpoint(session_id, 1),
        lambda: manager.checkpoint_exists(session_id),
        lambda: manager.backup_checkpoint(session_id, tmp_path / "b"),
        lambda: manager.fork_checkpoint(session_id, 1, "new"),
        lambda: manager.fork_checkpoint("good", 1, session_id),
        lambda: manager.migrate(session_id),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="cannot be a session id"):
            call()
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


@pytest.mark.parametrize("version", ["1", 1.0, True, None])
def test_a_version_is_a_number(manager: CheckpointManager, version: Any) -> None:
    manager.save_checkpoint("s", a=1)
    calls: list[Callable[[], Any]] = [
        lambda: manager.load_checkpoint_version("s", version),
        lambda: manager.validate_checkpoint("s", version),
        lambda: manager.fork_checkpoint("s", version, "t"),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="not a version"):
            call()
    assert not manager.checkpoint_exists("t")


@pytest.mark.parametrize("version", [-1, 0, 2, 2**70])
def test_a_version_that_was_never_saved_is_not_there(
    manager: CheckpointManager, version: int
) -> None:
    manager.save_checkpoint("s", a=1)
    assert manager.load_checkpoint_version("s", version) is None
    assert not manager.validate_checkpoint("s", version)
    with pytest.raises(SessionNotFound):
        manager.fork_checkpoint("s", version, "t")
    assert manager.get_analytics().failures == 0


@pytest.mark.parametrize(
    "options",
    [{"keep_versions": 0}, {"keep_versions": 1.5}, {"max_open_files": 0}, {"encryption_key": b"x"}],
)
def test_arguments_out_of_range_are_refused_at_once(tmp_path: Path, options: Any) -> None:
    with pytest.raises(UsageError):
        CheckpointManager(tmp_path, **options)


def test_a_save_on_top_of_another_version_is_a_conflict(manager: CheckpointManager) -> None:
    manager.save_checkpoint("s", expected_version=0, a=1)
    with pytest.raises(CheckpointConflict):
        manager.save_checkpoint("s", expected_version=0, a=2)
    assert manager.save_checkpoint_versioned("s", expected_version=1, a=3)[1] == 2
    assert manager.get_analytics().conflicts == 1


def test_a_fork_goes_on_from_a_version_and_leaves_the_original(
    manager: CheckpointManager,
) -> None:
    for number in range(3):
        manager.save_checkpoint("s", n=number)
    path = manager.fork_checkpoint("s", 2, "t")
    assert path.name == "t.sqlite"
    assert manager.load_checkpoint("t") == {"n": 1}
    manager.save_checkpoint("t", n="other")
    assert manager.load_checkpoint("s") == {"n": 2}
    assert [info.version for info in manager.list_checkpoint_versions("t")] == [1, 2]
    with pytest.raises(CheckpointConflict, match="'t' exists"):
        manager.fork_checkpoint("s", 1, "t")
    for session_id, version in (("s", 9), ("nothing", 1)):
        with pytest.raises(SessionNotFound):
            manager.fork_checkpoint(session_id, version, "u")
    assert not manager.checkpoint_exists("u")


def test_a_damaged_version_is_said_and_the_way_on_works(manager: CheckpointManager) -> None:
    path = [manager.save_checkpoint("s", n=number) for number in range(3)][-1]
    manager.close()
    damage(path, "UPDATE frames SET payload=X'00' WHERE version=3")
    with pytest.raises(CheckpointCorrupt, match=r"version 3 .*Versions that still load: 1-2") as e:
        manager.load_checkpoint("s")
    assert "fork_checkpoint" in e.value.hint
    assert not manager.validate_checkpoint("s", 3)
    assert manager.validate_checkpoint("s", 2)
    manager.fork_checkpoint("s", max(e.value.intact_versions), "s-2")
    assert manager.load_checkpoint("s-2") == {"n": 1}


def test_a_backup_is_restored_in_another_home_and_over_damage(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    path = [manager.save_checkpoint("s", n=number) for number in range(3)][-1]
    made = manager.backup_checkpoint("s", tmp_path / "backups")
    with CheckpointManager(tmp_path / "elsewhere") as other:
        assert other.restore_checkpoint(made) == "s"
        assert other.load_checkpoint("s") == {"n": 2}
    manager.close()
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(StorageError):
        manager.load_checkpoint("s")
    manager.restore_checkpoint(made)
    assert [manager.load_checkpoint_version("s", n + 1) for n in range(3)] == [
        {"n": n} for n in range(3)
    ]
    manager.save_checkpoint("s", n=3)
    with pytest.raises(CheckpointConflict):
        manager.restore_checkpoint(made)
    assert manager.load_checkpoint("s") == {"n": 3}
    with pytest.raises(SessionNotFound):
        manager.backup_checkpoint("nothing", tmp_path / "backups")


def test_old_versions_of_all_sessions_go_and_the_latest_stays(
    manager: CheckpointManager, clock: VirtualClock, tmp_path: Path
) -> None:
    for name in ("a", "b", "broken"):
        for _ in range(3):
            manager.save_checkpoint(name, noise=os.urandom(80_000).hex())
    manager.close()
    session_path(tmp_path, "broken").write_bytes(b"broken")
    clock.advance(40 * 86_400)
    manager.save_checkpoint("b", noise=os.urandom(80_000).hex())
    assert manager.cleanup_old_checkpoints(60) == 0
    assert manager.cleanup_old_checkpoints() == 2 + 2
    assert [info.version for info in manager.list_checkpoint_versions("a")] == [3]
    assert [info.version for info in manager.list_checkpoint_versions("b")] == [3, 4]
    assert manager.cleanup_old_checkpoints(0) == 1
    analytics = manager.get_analytics()
    assert (analytics.pruned_versions, analytics.skipped_sessions) == (5, 3)
    bad: list[Any] = [-1, float("nan"), float("inf"), 1e308, 10**400, "30", True]
    for days in bad:
        with pytest.raises(UsageError, match="retention_days"):
            manager.cleanup_old_checkpoints(days)


def test_a_session_in_use_is_not_waited_for_when_others_are_cleaned_up(
    manager: CheckpointManager, clock: VirtualClock, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        for _ in range(2):
            manager.save_checkpoint(name, noise=os.urandom(80_000).hex())
    with SessionFile.open(session_path(tmp_path, "a"), session_id="a") as running:
        running.claim()
        started = clock.monotonic()
        assert manager.cleanup_old_checkpoints(0) == 1
        assert clock.monotonic() == started
        assert manager.get_analytics().skipped_sessions == 1
    assert len(manager.list_checkpoint_versions("a")) == 2


def test_a_session_that_runs_is_not_forked_over(manager: CheckpointManager, tmp_path: Path) -> None:
    manager.save_checkpoint("s", a=1)
    with SessionFile.open(session_path(tmp_path, "t"), session_id="t", create=True) as running:
        running.append_records([JournalRecord(run_id="r", step=0, kind="run_started")])
    with pytest.raises(CheckpointConflict, match="'t' exists"):
        manager.fork_checkpoint("s", 1, "t")
    assert manager.load_checkpoint("t") is None


def test_as_many_versions_are_kept_as_was_asked_for(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path, keep_versions=3, durability="off") as manager:
        for number in range(33):
            manager.save_checkpoint("s", n=number, noise=os.urandom(70_000).hex())
        versions = [info.version for info in manager.list_checkpoint_versions("s")]
    assert versions == [30, 31, 32, 33]  # looked at with version 32
    assert manager.get_analytics().pruned_versions == 29


def test_a_save_stands_although_pruning_fails(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path, keep_versions=1, durability="off") as manager:
        for number in range(15):
            manager.save_checkpoint("s", n=number, noise=os.urandom(70_000).hex())
        manager.close()
        path = session_path(tmp_path, "s")
        damage(path, "UPDATE frames SET kind=0, payload=X'00' WHERE version=14")
        damage(path, "DELETE FROM frames WHERE version=2")
        assert manager.save_checkpoint_versioned("s", n=16)[1] == 16
        assert manager.load_checkpoint("s") == {"n": 16}


def test_encrypted_checkpoints_need_the_key(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path, encryption_key=b"k" * 32) as manager:
        path = manager.save_checkpoint("s", secret="plain words")
        made = manager.backup_checkpoint("s", tmp_path / "b")
        manager.fork_checkpoint("s", 1, "t")
        assert manager.load_checkpoint("t") == {"secret": "plain words"}
    for file in (path, made, session_path(tmp_path, "t")):
        assert b"plain words" not in file.read_bytes()
    with CheckpointManager(tmp_path) as manager:
        with pytest.raises(StorageError, match="no key was given"):
            manager.load_checkpoint("s")
        assert manager.get_analytics().failures == 1


def test_few_files_stay_open_and_all_sessions_go_on(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path, max_open_files=2, durability="off") as manager:
        for _ in range(2):
            for name in "abcd":
                manager.save_checkpoint(name, by=name)
                assert manager.get_analytics().open_files <= 2
        for name in "abcd":
            assert manager.load_checkpoint(name) == {"by": name}
            assert len(manager.list_checkpoint_versions(name)) == 2
    assert manager.get_analytics().open_files == 0
    assert not [*tmp_path.rglob("*-wal")]
    assert manager.load_checkpoint("a") == {"by": "a"}  # closing is no end
    manager.close()


def test_threads_save_to_the_same_and_to_other_sessions(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with CheckpointManager(tmp_path, max_open_files=2, durability="off") as manager:

        def work(name: str) -> None:
            try:
                for number in range(8):
                    manager.save_checkpoint(name, n=number)
                    manager.save_checkpoint("shared", by=name)
                    assert manager.load_checkpoint(name) == {"n": number}
            except BaseException as error:  # noqa: BLE001 - told to the test below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(manager.list_checkpoint_versions("shared")) == 48


SAVER = """
import sys
from pathlib import Path
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
with CheckpointManager(Path(sys.argv[1])) as manager:
    for number in range(20):
        manager.save_checkpoint("shared", by=sys.argv[2], n=number)
"""


def test_processes_save_to_one_session_without_an_error(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), name]) for name in "abcd"
    ]
    assert [saver.wait(50) for saver in savers] == [0] * 4
    assert len(manager.list_checkpoint_versions("shared")) == 80
    seen = [manager.load_checkpoint_version("shared", n + 1) for n in range(80)]
    for name in "abcd":
        numbers = [state["n"] for state in seen if state and state["by"] == name]
        assert numbers == list(range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_manager_works_on_both_sides_of_a_fork(manager: CheckpointManager) -> None:
    manager.save_checkpoint("s", n=0)
    manager._files._lock.acquire()  # another thread holds it at the worst moment
    child = os.fork()
    if child == 0:
        code = 1
        try:
            manager.save_checkpoint("s", n=1)
            manager.save_checkpoint("child", n=1)
            manager.close()
            code = 0
        finally:
            os._exit(code)
    manager._files._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    manager.save_checkpoint("s", n=2)
    assert [manager.load_checkpoint_version("s", v) for v in (1, 2, 3)] == [
        {"n": 0},
        {"n": 1},
        {"n": 2},
    ]
    assert manager.load_checkpoint("child") == {"n": 1}


def test_migrate_answers_with_the_schema(manager: CheckpointManager) -> None:
    manager.save_checkpoint("s", n=0)
    assert manager.migrate("s") == 1
    assert manager.load_checkpoint("s") == {"n": 0}
    with pytest.raises(SessionNotFound):
        manager.migrate("nothing")


def test_a_home_that_vanished_is_made_again(manager: CheckpointManager, tmp_path: Path) -> None:
    manager.save_checkpoint("s", n=0)
    shutil.rmtree(tmp_path / "sessions")
    assert manager.load_checkpoint("t") is None
    assert manager.save_checkpoint_versioned("t", n=1)[1] == 1


@pytest.mark.parametrize("first", ["load", "save"])
def test_a_session_that_another_process_deleted_is_gone_until_it_is_saved(
    manager: CheckpointManager, tmp_path: Path, first: str
) -> None:
    manager.save_checkpoint("s", n=0)
    if first == "load":
        manager.close()
        manager.load_checkpoint("s")
    manager._files._entries["s"].file.connection._drop()
    delete_session(tmp_path, "s")
    assert manager.load_checkpoint("s") is None
    assert not manager.checkpoint_exists("s")
    assert not session_path(tmp_path, "s").exists()
    assert manager.save_checkpoint_versioned("s", n=1)[1] == 1


def test_a_home_that_cannot_be_written_to_is_read(
    manager: CheckpointManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save_checkpoint("s", n=0)
    manager.close()
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_RDWR and str(path).startswith(str(tmp_path / "sessions")):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "open", read_only)
    assert manager.load_checkpoint("s") == {"n": 0}
    assert manager.validate_checkpoint("s", 1)
    with pytest.raises(StorageError, match="Read-only file system"):
        manager.save_checkpoint("s", n=1)
    manager.close()
    monkeypatch.undo()
    assert manager.load_checkpoint("s") == {"n": 0}


def test_the_metrics_as_json_and_csv(manager: CheckpointManager) -> None:
    manager.save_checkpoint("s", n=0)
    manager.load_checkpoint("s")
    values = json.loads(manager.export_metrics())
    assert values["schema"] == "sdk_workflow.checkpoints/1"
    assert (values["saves"], values["loads"], values["open_files"]) == (1, 1, 1)
    (row,) = csv.DictReader(io.StringIO(manager.export_metrics("csv")))
    assert (row["saves"], row["loads"], row["conflicts"]) == ("1", "1", "0")
    with pytest.raises(UsageError, match="'xml'"):
        manager.export_metrics("xml")


def test_a_durability_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'nearly'"):
        CheckpointManager(tmp_path, durability="nearly")  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["1", 1.0, True, float("nan")])
def test_only_a_number_is_a_version_to_follow(manager: CheckpointManager, version: Any) -> None:
    manager.save_checkpoint("a", n=1)
    with pytest.raises(UsageError, match="is not a version"):
        manager.save_checkpoint("a", expected_version=version, n=2)
    assert manager.load_checkpoint("a") == {"n": 1}


def test_a_save_on_top_of_nothing_is_a_conflict_and_begins_no_session(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointConflict, match="no such session"):
        manager.save_checkpoint("a", expected_version=2, n=1)
    assert list(tmp_path.rglob("a.*")) == []
    assert manager.get_analytics().conflicts == 1
    assert manager.save_checkpoint_versioned("a", expected_version=0, n=1)[1] == 1


def test_a_save_on_top_of_a_lost_history_says_that_it_is_lost(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    path = manager.save_checkpoint("a", n=1)
    manager.close()
    path.unlink()
    with (
        CheckpointManager(tmp_path) as checkpoints,
        pytest.raises(CheckpointCorrupt, match="the file is gone"),
    ):
        checkpoints.save_checkpoint("a", expected_version=1, n=2)


def test_paths_can_be_named_as_text(tmp_path: Path) -> None:
    with CheckpointManager(str(tmp_path / "one")) as checkpoints:
        checkpoints.save_checkpoint("a", n=1)
        backup = checkpoints.backup_checkpoint("a", str(tmp_path / "backups"))
    with CheckpointManager(tmp_path / "two") as checkpoints:
        assert checkpoints.restore_checkpoint(str(backup)) == "a"
        assert checkpoints.load_checkpoint("a") == {"n": 1}
        with pytest.raises(UsageError, match="is no path"):
            checkpoints.restore_checkpoint(None)  # type: ignore[arg-type]

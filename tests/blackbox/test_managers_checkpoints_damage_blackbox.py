"""What becomes of checkpoints where files are damaged, disks are full and processes are killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import CheckpointCorrupt, SdkWorkflowError, StorageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from tests.blackbox.processes import start, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = 20261121
STATES: list[dict[str, Any]] = [
    {"turns": [f"turn {k} " * 20 for k in range(n + 1)], "n": n} for n in range(6)
]


def saved(home: Path, *, is_closed: bool = True) -> Path:
    """Save six versions; without closing, the last of them are in the side files alone."""
    program = (
        "import sys, os, json\n"
        "from pathlib import Path\n"
        "from sdk_workflow.managers.checkpoint_manager import CheckpointManager\n"
        "c = CheckpointManager(Path(sys.argv[1]))\n"
        "for state in json.loads(sys.argv[2]): p = c.save_checkpoint('tides', **state)\n"
        "print(p)\n"
        "sys.stdout.flush()\n"
        "c.close() if sys.argv[3] == 'True' else os._exit(0)\n"
    )
    (out,) = wait_for_all([start(program, home, str(home), json.dumps(STATES), str(is_closed))])
    return home.__class__(out.strip())


@pytest.fixture(scope="module")
def closed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("closed") / "state"
    saved(home)
    return home


@pytest.fixture(scope="module")
def killed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("killed") / "state"
    saved(home, is_closed=False)
    return home


def copy_of(home: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(home, target)
    return target


def loaded_or_told(ask: Callable[[], Any]) -> Any:
    """Return what was loaded, or the typed error; anything else is a failure of the test."""
    try:
        return ask()
    except StorageError as error:
        assert error.hint  # noqa: PT017 - either way will do
        return error


def assert_never_wrong(home: Path) -> bool:
    """Check that every answer is right or an error, and return whether damage was told."""
    is_told = False
    with CheckpointManager(home) as checkpoints:
        latest = loaded_or_told(lambda: checkpoints.load_checkpoint("tides"))
        is_told |= isinstance(latest, StorageError)
        assert is_told or latest == STATES[-1]
        if isinstance(latest, CheckpointCorrupt):
            for version in latest.intact_versions:
                assert checkpoints.load_checkpoint_version("tides", version) == STATES[version - 1]
        for version, state in enumerate(STATES, start=1):
            found = loaded_or_told(
                lambda version=version: checkpoints.load_checkpoint_version("tides", version)  # type: ignore[misc]
            )
            is_told |= isinstance(found, StorageError)
            assert isinstance(found, StorageError) or found == state
            assert checkpoints.validate_checkpoint("tides", version) is not isinstance(
                found, StorageError
            )
    return is_told


def test_what_a_killed_process_has_saved_is_all_there(killed_home: Path, tmp_path: Path) -> None:
    home = copy_of(killed_home, tmp_path)
    assert assert_never_wrong(home) is False


CUTS = [(suffix, k / 12) for suffix in (".sqlite", ".sqlite-wal") for k in range(12)]


@pytest.mark.parametrize(("suffix", "share"), CUTS)
def test_a_file_that_was_cut_is_noticed(
    closed_home: Path, killed_home: Path, tmp_path: Path, suffix: str, share: float
) -> None:
    origin = killed_home if suffix.endswith("wal") else closed_home
    home = copy_of(origin, tmp_path)
    (path,) = home.rglob("tides" + suffix)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    assert assert_never_wrong(home) is True


@pytest.mark.parametrize("suffix", [".sqlite", ".sqlite-wal"])
def test_a_file_that_is_gone_is_noticed(
    closed_home: Path, killed_home: Path, tmp_path: Path, suffix: str
) -> None:
    home = copy_of(killed_home if suffix.endswith("wal") else closed_home, tmp_path)
    (path,) = home.rglob("tides" + suffix)
    path.unlink()
    assert assert_never_wrong(home) is True


def test_the_whole_of_an_older_state_put_back_is_noticed_by_its_head(
    closed_home: Path, tmp_path: Path
) -> None:
    home = copy_of(closed_home, tmp_path)
    with CheckpointManager(tmp_path / "older") as older:
        older.save_checkpoint("tides", **STATES[0])
    (source,) = (tmp_path / "older").rglob("tides.sqlite")
    (target,) = home.rglob("tides.sqlite")
    shutil.copy(source, target)
    assert assert_never_wrong(home) is True


@pytest.mark.parametrize("suffix", [".sqlite", ".sqlite-wal", ".head"])
def test_no_flipped_bit_makes_a_state_wrong_or_a_history_shorter(
    closed_home: Path, killed_home: Path, tmp_path: Path, suffix: str
) -> None:
    origin = killed_home if suffix.endswith("wal") else closed_home
    home = copy_of(origin, tmp_path)
    (path,) = home.rglob("tides" + suffix)
    keep = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    whole = keep[path]
    source = random.Random(f"{SEED}{suffix}")  # noqa: S311 - repeatable damage
    for _ in range(50):
        for file in home.rglob("*"):
            if file.is_file() and file not in keep:
                file.unlink()
        for file, content in keep.items():
            file.write_bytes(content)
        place, bit = source.randrange(len(whole)), 1 << source.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        assert_never_wrong(home)


def test_damage_leaves_a_session_that_can_be_restored_and_the_damaged_file_stays(
    closed_home: Path, tmp_path: Path
) -> None:
    home = copy_of(closed_home, tmp_path)
    with CheckpointManager(home) as checkpoints:
        backup = checkpoints.backup_checkpoint("tides", tmp_path / "backups")
    (path,) = home.rglob("tides.sqlite")
    path.write_bytes(path.read_bytes()[:5000])
    with CheckpointManager(home) as checkpoints:
        with pytest.raises(StorageError):
            checkpoints.load_checkpoint("tides")
        with pytest.raises(StorageError):
            checkpoints.save_checkpoint("tides", n=7)
        with pytest.raises(StorageError):
            checkpoints.backup_checkpoint("tides", tmp_path / "more")
        assert checkpoints.restore_checkpoint(backup) == "tides"
        assert checkpoints.load_checkpoint("tides") == STATES[-1]
    assert len([file for file in home.rglob("*tides*") if file.stat().st_size == 5000]) == 1


def test_no_damaged_backup_is_restored_over_a_good_session(
    closed_home: Path, tmp_path: Path
) -> None:
    home = copy_of(closed_home, tmp_path)
    with CheckpointManager(home) as checkpoints:
        backup = checkpoints.backup_checkpoint("tides", tmp_path / "backups")
        whole = backup.read_bytes()
        source = random.Random(SEED)  # noqa: S311 - repeatable damage
        damaged = [whole[: len(whole) * k // 10] for k in range(10)]
        for _ in range(60):
            place = source.randrange(len(whole))
            damaged.append(
                whole[:place]
                + bytes([whole[place] ^ 1 << source.randrange(8)])
                + whole[place + 1 :]
            )
        for content in damaged:
            backup.write_bytes(content)
            loaded_or_told(lambda: checkpoints.restore_checkpoint(backup))
            assert checkpoints.load_checkpoint("tides") == STATES[-1]
            assert len(checkpoints.list_checkpoint_versions("tides")) == 6


def spoil_payloads(path: Path, content: bytes) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE frames SET payload = ?", (content,))
        connection.commit()


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"0" * 200_000_000, 9),
        gzip.compress(b"[" * 100_000),
        gzip.compress(b'{"a":1,"a":2}'),
        b"\x80\x04cos\nsystem\n",
        b"",
    ],
    ids=["bomb", "deep", "duplicate keys", "pickle", "empty"],
)
def test_a_payload_that_was_planted_is_told_and_takes_no_memory(
    closed_home: Path, tmp_path: Path, content: bytes
) -> None:
    import resource

    home = copy_of(closed_home, tmp_path)
    (path,) = home.rglob("tides.sqlite")
    spoil_payloads(path, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with CheckpointManager(home) as checkpoints:
        with pytest.raises(CheckpointCorrupt):
            checkpoints.load_checkpoint("tides")
        assert not checkpoints.validate_checkpoint("tides", 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tide (height REAL)")
        connection.commit()


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("# Not a database\n" * 400),
    "foreign database": foreign_database,
    "folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_in_the_place_of_a_session_is_told(tmp_path: Path, kind: str) -> None:
    put_in_place(tmp_path, kind)
    with CheckpointManager(tmp_path) as checkpoints:
        for ask in (
            lambda: checkpoints.load_checkpoint("tides"),
            lambda: checkpoints.save_checkpoint("tides", n=2),
        ):
            with pytest.raises(StorageError) as caught:
                ask()
            assert caught.value.hint


@pytest.mark.parametrize("kind", ["text", "empty", "foreign database"])
def test_a_foreign_file_in_the_place_of_a_session_is_left_as_it_is(
    tmp_path: Path, kind: str
) -> None:
    path = put_in_place(tmp_path, kind)
    before = path.read_bytes()
    with CheckpointManager(tmp_path) as checkpoints, pytest.raises(StorageError):
        checkpoints.load_checkpoint("tides")
    assert path.read_bytes() == before


def put_in_place(tmp_path: Path, kind: str) -> Path:
    with CheckpointManager(tmp_path) as checkpoints:
        path = checkpoints.save_checkpoint("tides", n=1)
    for file in tmp_path.rglob("tides*"):
        file.unlink()
    FOREIGN[kind](path)
    return path


def of_a_later_release(closed_home: Path, tmp_path: Path) -> tuple[Path, Path]:
    home = copy_of(closed_home, tmp_path)
    (path,) = home.rglob("tides.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")
        connection.commit()
    return home, path


def test_a_session_of_a_later_release_is_refused(closed_home: Path, tmp_path: Path) -> None:
    home, path = of_a_later_release(closed_home, tmp_path)
    with CheckpointManager(home) as checkpoints:
        asks: list[Callable[[], Any]] = [
            lambda: checkpoints.load_checkpoint("tides"),
            lambda: checkpoints.save_checkpoint("tides", n=2),
            lambda: checkpoints.migrate("tides"),
            lambda: checkpoints.backup_checkpoint("tides", tmp_path),
            lambda: checkpoints.restore_checkpoint(path),
        ]
        for ask in asks:
            with pytest.raises(StorageError) as caught:
                ask()
            assert caught.value.hint
            assert caught.value.code == "schema_too_new"


def test_a_session_of_a_later_release_is_not_touched(closed_home: Path, tmp_path: Path) -> None:
    home, path = of_a_later_release(closed_home, tmp_path)
    before = path.read_bytes()
    with CheckpointManager(home) as checkpoints, pytest.raises(StorageError):
        checkpoints.load_checkpoint("tides")
    assert path.read_bytes() == before


def test_a_file_that_was_copied_to_another_id_is_not_taken_for_it(
    closed_home: Path, tmp_path: Path
) -> None:
    home = copy_of(closed_home, tmp_path)
    with CheckpointManager(home) as checkpoints:
        other = checkpoints.save_checkpoint("ebb", own=True)
    (path,) = home.rglob("tides.sqlite")
    for file in home.rglob("ebb*"):
        file.unlink()
    shutil.copy(path, other)
    with CheckpointManager(home) as checkpoints, pytest.raises(StorageError):
        checkpoints.load_checkpoint("ebb")


def test_a_state_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with CheckpointManager(tmp_path / "file" / "state") as checkpoints:
        with pytest.raises(StorageError) as caught:
            checkpoints.save_checkpoint("tides", n=1)
        assert caught.value.hint


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from sdk_workflow.exceptions import StorageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoints, acknowledged = CheckpointManager(Path(sys.argv[1])), 0
checkpoints.save_checkpoint("tides", n=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
import secrets
for n in range(1, 60):
    try:
        checkpoints.save_checkpoint("tides", n=n, noise=secrets.token_hex(9000))
    except StorageError as error:
        assert error.hint, error
        assert checkpoints.load_checkpoint("tides")["n"] == acknowledged, "lost"
        break
    acknowledged = n
else:
    raise SystemExit("never full")
print(acknowledged)
"""


def test_a_full_disk_is_a_clear_error_and_what_was_saved_stays(tmp_path: Path) -> None:
    (out,) = wait_for_all([start(FULL_DISK, tmp_path, str(tmp_path / "state"))])
    with CheckpointManager(tmp_path / "state") as checkpoints:
        latest = checkpoints.load_checkpoint("tides")
        assert latest is not None
        assert latest["n"] >= int(out)
        checkpoints.save_checkpoint("tides", n=-1)
        assert checkpoints.load_checkpoint("tides") == {"n": -1}


COUNT_UP = """
import sys
from pathlib import Path
from sdk_workflow.exceptions import CheckpointConflict
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
checkpoints = CheckpointManager(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    while True:
        state = checkpoints.load_checkpoint("tides")
        try:
            checkpoints.save_checkpoint(
                "tides", expected_version=state["count"] + 1, count=state["count"] + 1
            )
            break
        except CheckpointConflict:
            pass
"""


def test_no_update_of_a_counter_is_lost_between_four_processes(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "state") as checkpoints:
        checkpoints.save_checkpoint("tides", count=0)
        wait_for_all([start(COUNT_UP, tmp_path, str(tmp_path / "state"), "15") for _ in range(4)])
        assert checkpoints.load_checkpoint("tides") == {"count": 60}
        assert len(checkpoints.list_checkpoint_versions("tides")) == 61


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
checkpoints = CheckpointManager(Path(sys.argv[1]), keep_versions=5)
n = (checkpoints.load_checkpoint("tides") or {"n": 0})["n"]
while True:
    n += 1
    checkpoints.save_checkpoint("tides", n=n, turns=["tide"] * n)
    print(n, flush=True)
"""


def test_no_version_that_a_killed_process_has_reported_is_lost(tmp_path: Path) -> None:
    source = random.Random(SEED)  # noqa: S311 - repeatable moments
    for _ in range(3):
        process = start(SAVE_FOR_EVER, tmp_path, str(tmp_path / "state"))
        assert process.stdout is not None
        line = ""
        for _ in range(source.randrange(3, 40)):
            line = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=20)
        reported = int((rest.split("\n")[-2:-1] or [line])[0] or line)
        with CheckpointManager(tmp_path / "state") as checkpoints:
            latest = checkpoints.load_checkpoint("tides")
            assert latest is not None
            assert reported <= latest["n"] <= reported + 1
            assert latest["turns"] == ["tide"] * latest["n"]
            assert all(
                checkpoints.validate_checkpoint("tides", info.version)
                for info in checkpoints.list_checkpoint_versions("tides")
            )


FORKING = """
import os, sys
from pathlib import Path
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
checkpoints = CheckpointManager(Path(sys.argv[1]))
checkpoints.save_checkpoint("tides", n=0)
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        for _ in range(5):
            checkpoints.save_checkpoint("tides", n=os.getpid())
        os._exit(0)
    children.append(pid)
for _ in range(5):
    checkpoints.save_checkpoint("tides", n=os.getpid())
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
assert len(checkpoints.list_checkpoint_versions("tides")) == 21
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_manager_can_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    assert sys.platform != "win32"
    wait_for_all([start(FORKING, tmp_path, str(tmp_path / "state"))])


def test_a_cleanup_passes_damaged_and_foreign_sessions_over(
    closed_home: Path, tmp_path: Path
) -> None:
    home = copy_of(closed_home, tmp_path)
    (path,) = home.rglob("tides.sqlite")
    path.write_bytes(b"nonsense" * 1000)
    with CheckpointManager(home) as checkpoints:
        for number in range(5):
            checkpoints.save_checkpoint("ebb", n=number)
        checkpoints.cleanup_old_checkpoints(0)
        assert checkpoints.load_checkpoint("ebb") == {"n": 4}
        assert checkpoints.get_analytics().skipped_sessions == 1
    assert path.read_bytes() == b"nonsense" * 1000


def test_every_error_of_storage_is_one_of_the_library() -> None:
    assert issubclass(StorageError, SdkWorkflowError)
    assert issubclass(CheckpointCorrupt, StorageError)

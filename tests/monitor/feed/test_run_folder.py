from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.monitor import run_folder
from sdk_workflow.monitor.old_folders import remove_old_folders
from sdk_workflow.monitor.run_folder import RunName, is_running, run_folders, start_key

NOW = 1_800_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


def test_the_same_process_always_has_the_same_key() -> None:
    assert start_key(os.getpid()) == start_key(os.getpid())
    assert start_key(os.getpid()) != start_key(os.getppid())


def test_a_running_process_is_known_by_pid_and_key() -> None:
    name = RunName(os.getpid(), start_key(os.getpid()) or "")
    assert is_running(name)
    assert is_running(name._replace(number=2))
    assert not is_running(name._replace(process_key="another"))


def test_a_process_that_has_ended_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    key = start_key(child.pid)
    assert key is not None
    child.communicate(b"\n")
    assert start_key(child.pid) is None
    assert not is_running(RunName(child.pid, key))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_process_that_is_dead_but_not_reaped_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_key(child.pid) is None
    child.communicate()


def test_a_command_with_a_parenthesis_in_its_name_is_read_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = " ".join(str(number) for number in range(4, 22))
    for pid, command in ((1, "agent"), (2, "a) S 1 (b")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({command}) S {fields} 777 23\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text("")
    monkeypatch.setattr(run_folder, "_PROC", tmp_path)
    assert run_folder._start_time(1) == " 777"
    assert start_key(1) == start_key(2)


def test_without_proc_the_start_comes_from_ps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ps = tmp_path / "ps"
    ps.write_text('#!/bin/sh\n[ "$4" = 42 ] && echo "Sat Nov 21 08:00:00 2026"\n')
    ps.chmod(0o755)
    monkeypatch.setattr(run_folder, "_PROC", tmp_path / "none")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert run_folder._start_time(42) == "Sat Nov 21 08:00:00 2026"
    assert start_key(43) is None


def test_without_proc_and_ps_no_process_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "_PROC", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert start_key(os.getpid()) is None


@given(
    st.integers(0, 2**31),
    st.from_regex(r"[0-9a-z]{1,32}", fullmatch=True),
    st.integers(1, 999),
)
def test_a_name_is_read_back_from_its_folder(pid: int, key: str, number: int) -> None:
    name = RunName(pid, key, number)
    assert RunName.parse(name.folder) == name
    assert name.folder == f"{pid}-{name.key}"


@pytest.mark.parametrize(
    "name", ["", "1", "1-", "-ab", "1-ab.", "1-ab/..", "1-AB", "x-ab", "1-ab\n", "1-ab.1.2", ".."]
)
def test_names_that_are_none_of_ours_are_not_read(name: str) -> None:
    assert RunName.parse(name) is None


def made(runs: Path, name: str, age: float) -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    (folder / "live.json").write_text("{}")
    for path in (folder / "live.json", folder):
        os.utime(path, (NOW - age, NOW - age))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return run_folders(tmp_path)


def left(runs: Path) -> int:
    return len(list(runs.iterdir()))


def test_the_last_twenty_of_the_dead_are_kept(runs: Path) -> None:
    folders = [made(runs, f"{90_000_000 + number}-ab", HOUR + number) for number in range(25)]
    assert remove_old_folders(runs / "own", now=NOW) == 5
    assert [folder.exists() for folder in folders] == [True] * 20 + [False] * 5


def test_the_dead_of_over_a_week_ago_are_removed(runs: Path) -> None:
    made(runs, "90000001-ab", 8 * DAY)
    kept = made(runs, "90000002-ab", 6 * DAY)
    assert remove_old_folders(runs / "own", now=NOW) == 1
    assert kept.exists()


def test_the_folder_of_a_living_process_is_never_removed(runs: Path) -> None:
    made(runs, f"{os.getpid()}-{start_key(os.getpid())}", 800 * DAY)
    made(runs, f"{os.getpid()}-{start_key(os.getpid())}.2", 800 * DAY)
    assert remove_old_folders(runs / "own", now=NOW) == 0


def test_the_own_folder_is_never_removed(runs: Path) -> None:
    own = made(runs, "90000001-ab", 800 * DAY)
    assert remove_old_folders(own, now=NOW) == 0


def test_what_was_touched_lately_is_kept_however_many_there_are(runs: Path) -> None:
    for number in range(30):
        made(runs, f"{90_000_000 + number}-ab", 60.0)
    assert remove_old_folders(runs / "own", now=NOW) == 0


def test_foreign_things_are_left_alone(runs: Path, tmp_path: Path) -> None:
    made(runs, "notes", 800 * DAY)
    full = made(runs, "90000001-ab", 800 * DAY)
    (full / "folder").mkdir()
    os.utime(full / "folder", (0, 0))
    (runs / "90000002-ab").write_text("a file")
    elsewhere = made(tmp_path / "elsewhere", "90000003-ab", 800 * DAY)
    (runs / "90000003-ab").symlink_to(elsewhere)
    assert remove_old_folders(runs / "own", now=NOW) == 0
    assert left(runs) == 4
    assert (elsewhere / "live.json").exists()


def test_where_there_is_no_folder_nothing_is_removed(tmp_path: Path) -> None:
    assert remove_old_folders(tmp_path / "none" / "own", now=NOW) == 0

"""Processes are found, told alive from dead, and followed from one look to the next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.monitor import processes as module
from sdk_workflow.monitor.processes import Processes
from sdk_workflow.monitor.run_folder import LIVE_FILE, run_folders, start_key
from tests.monitor.live_files import NOW, Home, live

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.monitor.processes import SeenProcess
    from sdk_workflow.monitor.run_folder import RunName


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(path=tmp_path)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def processes(home: Home, clock: VirtualClock) -> Processes:
    return Processes(home.path, clock=clock, is_alive=home.is_alive)


def only(processes: Processes) -> SeenProcess:
    (process,) = processes.seen
    return process


def test_there_is_nothing_to_see_in_a_folder_that_is_not_there(processes: Processes) -> None:
    assert not processes.look()
    assert processes.seen == ()


def test_what_is_no_run_folder_is_passed_over(home: Home, processes: Processes) -> None:
    for name in ("notes", "12", "-x", "12-../..", "99999999999-a", ".12-abc.tmp"):
        (run_folders(home.path) / name.replace("/", "_")).mkdir(parents=True)

    processes.look()

    assert processes.seen == ()


@pytest.mark.parametrize(
    ("state", "is_alive", "status"),
    [
        ("running", True, "running"),
        ("running", False, "died"),
        ("ended", True, "ended"),
        ("ended", False, "ended"),
        ("odd", True, "running"),
    ],
)
def test_a_process_runs_has_ended_or_has_died(
    *, state: str, is_alive: bool, status: str, home: Home, processes: Processes
) -> None:
    home.write(live(state=state), is_alive=is_alive)

    assert processes.look()
    assert only(processes).status == status
    assert only(processes).is_running == (status == "running")


def test_a_look_without_news_says_so_and_keeps_the_same_objects(
    home: Home, processes: Processes
) -> None:
    home.write(live())
    processes.look()
    before = only(processes)

    assert not processes.look()
    assert only(processes) is before


def test_a_new_version_is_read_at_the_next_look(home: Home, processes: Processes) -> None:
    home.write(live(requests=1))
    processes.look()
    home.write(live(requests=22))

    assert processes.look()
    assert (only(processes).live or {})["traffic"]["requests"] == 22


def test_a_torn_file_keeps_the_last_good_document_and_says_why(
    home: Home, processes: Processes
) -> None:
    home.write(live(requests=7))
    processes.look()
    home.write('{"schema": "sdk_w')

    assert processes.look()
    assert "cannot be read" in (only(processes).problem or "")
    assert (only(processes).live or {})["traffic"]["requests"] == 7

    home.write(live(requests=8))
    processes.look()
    assert only(processes).problem is None


def test_a_process_that_has_written_nothing_yet_is_there_without_a_document(
    home: Home, processes: Processes
) -> None:
    name = home.write(live())
    (home.folder(name) / LIVE_FILE).unlink()

    processes.look()

    assert (only(processes).live, only(processes).status) == (None, "running")
    assert only(processes).problem == "has written nothing yet"


def test_a_death_is_noticed_within_a_second(
    home: Home, processes: Processes, clock: VirtualClock
) -> None:
    name = home.write(live())
    processes.look()
    home.alive.discard(name)

    clock.advance(0.9)
    processes.look()
    assert only(processes).status == "running"
    clock.advance(0.2)
    assert processes.look()
    assert only(processes).status == "died"


def test_who_has_died_is_not_asked_about_again(home: Home, clock: VirtualClock) -> None:
    asked: list[RunName] = []

    def is_alive(name: RunName) -> bool:
        asked.append(name)
        return False

    home.write(live())
    processes = Processes(home.path, clock=clock, is_alive=is_alive)
    processes.look()
    first = len(asked)
    for _ in range(5):
        clock.advance(2)
        processes.look()

    assert len(asked) == first


def test_a_process_that_starts_later_is_found_within_half_a_second(
    home: Home, processes: Processes, clock: VirtualClock
) -> None:
    processes.look()
    home.write(live())
    clock.advance(0.1)
    assert not processes.look()
    clock.advance(0.5)

    assert processes.look()
    assert only(processes).is_running


def test_a_folder_that_is_removed_is_gone(
    home: Home, processes: Processes, clock: VirtualClock
) -> None:
    name = home.write(live())
    processes.look()
    (home.folder(name) / LIVE_FILE).unlink()
    home.folder(name).rmdir()
    clock.advance(1)

    assert processes.look()
    assert processes.seen == ()


def test_the_same_pid_twice_is_two_processes(home: Home, processes: Processes) -> None:
    home.write(live(state="ended"), key="old", is_alive=False)
    home.write(live(), key="young")

    processes.look()

    assert [process.status for process in processes.seen] == ["ended", "running"]


def test_only_the_process_that_was_asked_for_is_looked_at(home: Home, clock: VirtualClock) -> None:
    home.write(live(), pid=1)
    home.write(live(), pid=2)
    processes = Processes(home.path, clock=clock, pid=2, is_alive=home.is_alive)

    processes.look()

    assert only(processes).name.pid == 2


def test_of_very_many_those_that_wrote_last_are_looked_at(
    home: Home, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PROCESSES", 2)
    for pid, written_at in ((1, 300), (2, 100), (3, 200)):
        name = home.write(live(), pid=pid)
        os.utime(home.folder(name) / LIVE_FILE, (written_at, written_at))
    (run_folders(home.path) / "4-empty").mkdir()

    processes.look()

    assert [process.name.pid for process in processes.seen] == [1, 3]
    assert processes.left_out == 2


def test_this_very_process_runs_and_another_start_of_its_pid_has_died(
    home: Home, clock: VirtualClock
) -> None:
    key = start_key(os.getpid())
    assert key is not None
    home.write(live(), pid=os.getpid(), key=key)
    home.write(live(), pid=os.getpid(), key="other")
    processes = Processes(home.path, clock=clock)

    processes.look()

    assert {process.name.process_key: process.status for process in processes.seen} == {
        key: "running",
        "other": "died",
    }

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.events import RunStarted
from sdk_workflow.monitor import feed_writer as module
from sdk_workflow.monitor.alarms import LoopNoticed
from sdk_workflow.monitor.feed import Batch
from sdk_workflow.monitor.live_document import Source
from sdk_workflow.monitor.run_folder import RunName, start_key
from tests.monitor.feed.fakes import START, folder_writer

if TYPE_CHECKING:
    from sdk_workflow.monitor.feed_writer import FolderWriter

LOOP = LoopNoticed(session_id="ses_1", tool="read", times=5)
A_RUN = RunStarted(session_id="ses_1", text="private", model="haiku")
ONE_RUN = Batch({RunStarted: [(START, A_RUN)]})
END = Batch({}, is_last=True)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


def live(writer: FolderWriter) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((writer.folder / "live.json").read_text())
    return found


def test_the_folder_is_named_by_this_process(tmp_path: Path, clock: VirtualClock) -> None:
    writer = folder_writer(tmp_path, clock)
    writer.write(ONE_RUN)
    key = start_key(os.getpid())
    assert writer.folder == tmp_path / "run" / f"{os.getpid()}-{key}"
    process = live(writer)["process"]
    assert (process["pid"], process["start_key"], process["backend"]) == (
        os.getpid(), key, "simulator",
    )  # fmt: skip
    assert process["started_at"] == "2027-01-15T08:00:00.000Z"
    assert process["cwd"] == str(Path.cwd())
    writer.write(END)


def test_two_runtimes_of_one_process_have_a_folder_each(
    tmp_path: Path, clock: VirtualClock
) -> None:
    first, second = folder_writer(tmp_path, clock), folder_writer(tmp_path, clock)
    assert second.folder.name == f"{first.folder.name}.2"
    first.write(END)
    third = folder_writer(tmp_path, clock)
    assert third.folder == first.folder
    for writer in (second, third):
        writer.write(END)


def test_events_become_lines_sessions_and_alarms(tmp_path: Path, clock: VirtualClock) -> None:
    writer = folder_writer(tmp_path, clock)
    writer.write(Batch({RunStarted: [(START, A_RUN)], LoopNoticed: [(START, LOOP)]}, lost_events=2))
    document = live(writer)
    assert [row["session_id"] for row in document["sessions"]] == ["ses_1"]
    assert [row["kind"] for row in document["alarms"]] == ["loop"]
    lines = (writer.folder / "events.jsonl").read_text().splitlines()
    assert [json.loads(line).get("kind") for line in lines] == [None, "run_started", "loop_alarm"]
    assert "private" not in "".join(lines)
    writer.write(Batch({}, lost_events=2))
    assert live(writer)["lost"] == {"spans": 3, "events": 2, "writes": 0}
    writer.write(END)


def test_the_document_is_written_only_where_it_has_changed(
    tmp_path: Path, clock: VirtualClock
) -> None:
    figures = {"saved_usd": 1.0}
    writer = folder_writer(tmp_path, clock, Source(lambda: figures))
    writer.write(Batch({}))
    writer.write(Batch({}))
    assert live(writer)["sequence"] == 1
    figures["saved_usd"] = 2.0
    writer.write(Batch({}))
    assert live(writer)["sequence"] == 2
    writer.write(END)


def test_the_last_document_says_so_although_nothing_has_changed(
    tmp_path: Path, clock: VirtualClock
) -> None:
    writer = folder_writer(tmp_path, clock)
    writer.write(ONE_RUN)
    assert live(writer)["state"] == "running"
    assert writer.write(END) is None
    assert (live(writer)["state"], live(writer)["sequence"]) == ("ended", 2)


def test_the_windows_empty_themselves_while_nothing_happens(
    tmp_path: Path, clock: VirtualClock
) -> None:
    writer = folder_writer(tmp_path, clock)
    waits = [writer.write(ONE_RUN)]
    for seconds in (60.0, 60.0, 3_600.0):
        clock.advance(seconds)
        waits.append(writer.write(Batch({}, has_news=False)))
    assert waits == [1.0, 1.0, 30.0, None]
    assert writer.write(Batch({})) == 1.0
    writer.write(END)


def test_lines_that_were_lost_and_writes_that_failed_are_in_the_document(
    tmp_path: Path, clock: VirtualClock
) -> None:
    (tmp_path / "run").write_text("in the way")
    writer = folder_writer(tmp_path, clock)
    writer.write(ONE_RUN)
    (tmp_path / "run").unlink()
    writer.write(Batch({}))
    assert live(writer)["lost"] == {"spans": 3, "events": 1, "writes": 2}
    writer.write(END)


def test_old_folders_are_removed_with_the_first_document(
    tmp_path: Path, clock: VirtualClock
) -> None:
    old = tmp_path / "run" / "90000001-ab"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    writer = folder_writer(tmp_path, clock)
    writer.write(ONE_RUN)
    assert not old.exists()
    writer.write(END)


def test_a_process_without_a_start_time_and_a_folder_still_has_a_name(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(module, "start_key", lambda _: None)
    writer = folder_writer(tmp_path, clock)
    writer.write(END)
    assert RunName.parse(writer.folder.name) == RunName(os.getpid(), "0")
    assert live(writer)["process"]["cwd"] is None


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/usr/bin/sdk_workflow", "--verbose", "run", "a prompt"], "run"),
        (["/x/sdk_workflow/__main__.py", "simulate"], "simulate"),
        (["sdk-workflow", "a prompt"], "sdk_workflow"),
        (["/srv/agent.py", "run"], "agent.py"),
        (["-m"], "python"),
        ([], "python"),
    ],
)
def test_the_command_is_a_name_and_never_an_argument(argv: list[str], name: str) -> None:
    assert module.command_name(argv) == name


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_a_writer_that_is_killed_leaves_a_whole_document(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sdk_workflow._internal.clock import SystemClock\n"
        "from sdk_workflow.events import RunStarted\n"
        "from sdk_workflow.monitor.feed import Batch\n"
        "from sdk_workflow.monitor.live_document import Source\n"
        "from tests.monitor.feed.fakes import folder_writer\n"
        "count = iter(range(10**9))\n"
        "source = Source(lambda: {'history': ['x' * 100_000], 'saved_usd': next(count)})\n"
        "clock = SystemClock()\n"
        "writer = folder_writer(Path(sys.argv[1]), clock, source)\n"
        "event = RunStarted(session_id='s', text='', model='m')\n"
        "while True:\n"
        "    writer.write(Batch({RunStarted: [(clock.now(), event)]}))\n"
        "    print('written', flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    for _ in range(20):
        assert child.stdout.readline()
    name = RunName(child.pid, start_key(child.pid) or "")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    folder = tmp_path / "run" / name.folder
    document = json.loads((folder / "live.json").read_text())
    assert (document["state"], document["sequence"] >= 20) == ("running", True)
    whole = (folder / "events.jsonl").read_text().split("\n")[:-1]
    assert all(json.loads(line) for line in whole)

"""The file behind the log: what is written when, and what happens where it cannot be."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.background import Background
from sdk_workflow.core.log_lines import file_sink
from sdk_workflow.core.logging import FileSink, open_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="files are other there")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "app.jsonl"


@pytest.fixture
def sink(path: Path) -> Iterator[FileSink]:
    sink = FileSink(path, gap_line=lambda count: b"gap %d\n" % count)
    yield sink
    sink.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The tasks that would run in the background; the test runs them when it likes."""
    tasks: list[Callable[[], object]] = []

    def submit(_: Background, task: Callable[[], object]) -> bool:
        tasks.append(task)
        return True

    monkeypatch.setattr(Background, "submit", submit)
    monkeypatch.setattr(file_sink, "_FLUSH_SECONDS", 0)
    return tasks


class Disk:
    """Stands between the file and `os.write`: full, slow or torn as a test wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.most_at_once = 1 << 30
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: Any) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = min(len(data), self.most_at_once, len(data) if self.room is None else self.room)
        if self.room is not None:
            self.room -= size
        return self._write(descriptor, bytes(data[:size]))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


# When


def test_a_line_waits_for_the_background_and_an_urgent_one_takes_it_along(
    sink: FileSink, path: Path, held: list[Any]
) -> None:
    sink.write(b"1\n")
    sink.write(b"2\n")
    assert (len(held), path.exists()) == (1, False)
    sink.write(b"3\n", is_urgent=True)
    assert path.read_bytes() == b"1\n2\n3\n"


def test_the_background_writes_what_waits_and_is_asked_again_for_what_comes_then(
    sink: FileSink, path: Path, held: list[Any]
) -> None:
    sink.write(b"1\n")
    held.pop()()
    assert path.read_bytes() == b"1\n"
    sink.write(b"2\n")
    held.pop()()
    assert path.read_bytes() == b"1\n2\n"


def test_the_background_really_writes(path: Path) -> None:
    sink = FileSink(path)
    sink.write(b"1\n")
    assert sink._background.wait(10.0)
    assert path.read_bytes() == b"1\n"
    sink.close()


@pytest.mark.usefixtures("held")
def test_who_writes_faster_than_the_background_writes_itself(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_sink, "_MOST_WAITING", 10)
    monkeypatch.setattr(file_sink, "_MOST_IN_ONE_WRITE", 3)
    for _ in range(12):
        sink.write(b"x\n")
    assert path.read_bytes().count(b"\n") >= 11
    assert len(sink._waiting) <= 10


@pytest.mark.parametrize("outcome", ["raises", "is full"])
def test_where_no_thread_can_be_started_lines_are_written_at_once(
    outcome: str, sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(_: Any, __: Any) -> bool:
        if outcome == "raises":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        return False

    monkeypatch.setattr(Background, "submit", submit)
    sink.write(b"1\n")
    sink.write(b"2\n")
    assert path.read_bytes() == b"1\n2\n"


@pytest.mark.usefixtures("held")
def test_a_sink_that_is_closed_still_writes_what_comes(sink: FileSink, path: Path) -> None:
    sink.write(b"1\n")
    sink.close()
    assert path.read_bytes() == b"1\n"
    sink.write(b"2\n")
    assert path.read_bytes() == b"1\n2\n"
    assert sink._file._descriptor is None


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


PREAMBLE = """
import atexit, logging, os, pathlib, signal, sys, threading
from sdk_workflow.core.logging import FileSink, StructuredLogger, JsonHandler
path = pathlib.Path(sys.argv[1])
logger = StructuredLogger("app", sink=FileSink(path))
"""


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(3)",
        "raise ValueError",
        "atexit.register(logger.info, 'at exit')",
        "threading.Thread(target=logger.info, args=['from a thread']).start()",
    ],
)
def test_nothing_is_lost_at_the_end_of_a_process(end: str, path: Path) -> None:
    run(f"{PREAMBLE}\nlogger.info('said')\n{end}", path)
    assert messages(path)[:1] == ["said"]
    assert len(messages(path)) == (2 if "logger" in end else 1)


def test_what_is_logged_after_everything_else_is_written_too(path: Path) -> None:
    early = "import atexit\natexit.register(lambda: logger.info('last'))\n"
    result = run(f"{early}{PREAMBLE}\nlogger.info('first')", path)
    assert result.stderr == ""
    assert messages(path) == ["first", "last"]


@pytest.mark.usefixtures("held")
def test_at_the_end_all_files_are_written_and_each_later_line_at_once(
    sink: FileSink, path: Path
) -> None:
    sink.write(b"1\n")
    file_sink._hurry_all()
    sink.write(b"2\n")
    assert path.read_bytes() == b"1\n2\n"


def test_what_waited_at_a_fork_is_not_the_childs_to_write(
    sink: FileSink, path: Path, held: list[Any]
) -> None:
    sink.write(b"parent\n")
    file_sink._after_fork_in_child()
    sink.write(b"child\n")
    assert len(held) == 2
    sink.flush()
    assert path.read_bytes() == b"child\n"


@posix_only
def test_a_child_that_was_forked_writes_its_own_lines_and_none_of_its_parents(path: Path) -> None:
    program = f"""{PREAMBLE}
logger.info("parent before")
child = os.fork()
if child == 0:
    logger.info("child")
    logger.flush()
    os._exit(0)
os.waitpid(child, 0)
logger.info("parent after")
"""
    run(program, path)
    assert sorted(messages(path)) == ["child", "parent after", "parent before"]


@posix_only
def test_a_child_that_is_forked_while_the_file_is_being_written_is_not_stuck(path: Path) -> None:
    program = f"""{PREAMBLE}
sink = logger._sink
sink._lock.acquire()
child = os.fork()
if child == 0:
    logger.warning("child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
sink._lock.release()
"""
    result = run(program, path)
    assert result.returncode == 0, result.stderr
    assert messages(path) == ["child"]


@posix_only
def test_a_child_of_multiprocessing_loses_nothing(path: Path) -> None:
    program = f"""{PREAMBLE}
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=logger.info, args=["child"])
process.start()
process.join()
"""
    result = run(program, path)
    assert messages(path) == ["child"], result.stderr


@posix_only
def test_a_signal_that_comes_while_the_file_is_being_written_can_log(
    path: Path, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def interrupted(descriptor: int, data: Any) -> int:
        monkeypatch.setattr(os, "write", write)
        os.kill(os.getpid(), signal.SIGUSR1)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", interrupted)
    before = signal.signal(
        signal.SIGUSR1, lambda *_: sink.write(b"from the handler\n", is_urgent=True)
    )
    try:
        sink.write(b"said\n", is_urgent=True)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert path.read_bytes() == b"said\nfrom the handler\n"


@posix_only
def test_several_processes_share_a_file(path: Path) -> None:
    program = (
        f"{PREAMBLE}\nfor n in range(200): logger.log('WARNING' if n % 9 == 0 else 'INFO', 'x')"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [process.wait(50) for process in processes] == [0, 0, 0]
    assert messages(path) == ["x"] * 600


# Where it cannot


def test_a_full_disk_is_told_of_once_and_counted_and_the_gap_is_marked(
    sink: FileSink, path: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    disk.room = 0
    for _ in range(3):
        sink.write(b"lost\n", is_urgent=True)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device" in told
    assert str(path) in told
    disk.room = None
    sink.write(b"back\n", is_urgent=True)
    sink.write(b"again\n", is_urgent=True)
    assert sink.lost_lines == 3
    assert path.read_bytes() == b"gap 3\nback\nagain\n"
    disk.room = 0
    sink.write(b"lost\n", is_urgent=True)
    assert capsys.readouterr().err == ""
    assert sink.lost_lines == 4


@pytest.mark.usefixtures("capsys")
def test_half_a_line_spoils_no_other(path: Path, disk: Disk) -> None:
    sink = FileSink(path)
    disk.room = 4
    sink.write(b"first line\n", is_urgent=True)
    sink.write(b"lost\n", is_urgent=True)
    disk.room = None
    sink.write(b"second\n", is_urgent=True)
    assert path.read_bytes() == b"firs\nsecond\n"
    sink.close()


def test_a_disk_that_takes_little_at_a_time_gets_it_all(
    sink: FileSink, path: Path, disk: Disk
) -> None:
    disk.most_at_once = 3
    sink.write(b"a long line\n", is_urgent=True)
    assert path.read_bytes() == b"a long line\n"


@posix_only
def test_a_folder_that_is_removed_is_made_again(sink: FileSink, path: Path) -> None:
    sink.write(b"1\n", is_urgent=True)
    path.unlink()
    path.parent.rmdir()
    sink.write(b"2\n", is_urgent=True)
    assert path.read_bytes() == b"2\n"


@posix_only
def test_a_file_that_was_moved_away_is_begun_anew(sink: FileSink, path: Path) -> None:
    sink.write(b"1\n", is_urgent=True)
    path.rename(path.with_name("moved"))
    path.write_bytes(b"")
    sink.write(b"2\n", is_urgent=True)
    assert path.with_name("moved").read_bytes() == b"1\n"
    assert path.read_bytes() == b"2\n"


def test_a_folder_that_cannot_be_made_costs_lines_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    sink = FileSink(tmp_path / "logs" / "app.jsonl")
    sink.write(b"1\n", is_urgent=True)
    assert sink.lost_lines == 1
    assert "could not be written" in capsys.readouterr().err
    sink.close()


@posix_only
def test_a_file_that_was_closed_under_it_is_opened_again(sink: FileSink, path: Path) -> None:
    sink.write(b"1\n", is_urgent=True)
    assert sink._file._descriptor is not None
    os.close(sink._file._descriptor)
    sink.write(b"2\n", is_urgent=True)
    assert path.read_bytes() == b"1\n2\n"


@posix_only
def test_a_pipe_without_a_reader_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sink = FileSink(pipe)
    sink.write(b"1\n", is_urgent=True)
    assert sink.lost_lines == 1
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink.write(b"2\n", is_urgent=True)
    assert os.read(reader, 100) == b"2\n"
    os.close(reader)
    sink.write(b"3\n", is_urgent=True)  # a broken pipe
    assert sink.lost_lines == 2
    assert capsys.readouterr().err.count("\n") == 1
    sink.close()


def test_a_closed_stderr_is_no_obstacle(
    sink: FileSink, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.room = 0
    monkeypatch.setattr(sys, "stderr", None)
    sink.write(b"lost\n", is_urgent=True)
    assert sink.lost_lines == 1


@pytest.mark.usefixtures("capsys")
def test_the_log_of_a_state_folder_tells_of_its_gap(tmp_path: Path, disk: Disk) -> None:
    logger = open_logger(tmp_path)
    disk.room = 0
    logger.warning("lost")
    logging.getLogger("sdk_workflow.retry").info("not enabled")
    disk.room = None
    logger.warning("back")
    logger.close()
    gap, back = (
        json.loads(line)
        for line in (tmp_path / "logs" / "sdk_workflow.jsonl").read_text("utf-8").splitlines()
    )
    assert (gap["level"], gap["context"]) == ("WARNING", {"lost_lines": 1})
    assert back["message"] == "back"


# Rotation and rights


def test_a_file_that_is_too_long_is_set_aside_and_the_oldest_goes(path: Path) -> None:
    sink = FileSink(path, max_bytes=10, backups=2)
    for number in range(5):
        sink.write(b"line %d\n" % number, is_urgent=True)
    sink.close()
    names = sorted(item.name for item in path.parent.iterdir())
    assert names == ["app.jsonl", "app.jsonl.1", "app.jsonl.2"]
    contents = [path.with_name(name).read_bytes() for name in names]
    assert contents == [b"line 4\n", b"line 3\n", b"line 2\n"]


def test_a_file_is_set_aside_only_for_what_no_longer_fits(path: Path) -> None:
    sink = FileSink(path, max_bytes=14)
    sink.write(b"far too long for it\n", is_urgent=True)
    sink.write(b"line 1\n", is_urgent=True)
    sink.write(b"line 2\n", is_urgent=True)
    sink.close()
    assert path.read_bytes() == b"line 1\nline 2\n"
    assert sorted(item.name for item in path.parent.iterdir()) == ["app.jsonl", "app.jsonl.1"]


def test_without_backups_the_old_file_goes(path: Path) -> None:
    sink = FileSink(path, max_bytes=10, backups=0)
    for number in range(3):
        sink.write(b"line %d\n" % number, is_urgent=True)
    sink.close()
    assert [item.name for item in path.parent.iterdir()] == ["app.jsonl"]
    assert path.read_bytes() == b"line 2\n"


def test_a_file_of_any_length_stays_where_no_limit_is_set(path: Path) -> None:
    sink = FileSink(path, max_bytes=0)
    for _ in range(3):
        sink.write(b"x" * 100 + b"\n", is_urgent=True)
    sink.close()
    assert path.stat().st_size == 303


def test_where_a_file_cannot_be_set_aside_it_grows_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(type(path), "replace", refuse)
    sink = FileSink(path, max_bytes=10)
    for _ in range(3):
        sink.write(b"line 01\n", is_urgent=True)
    sink.close()
    assert (path.stat().st_size, sink.lost_lines) == (24, 0)


@posix_only
def test_two_processes_set_a_file_aside_once(path: Path) -> None:
    first, second = (FileSink(path, max_bytes=10) for _ in range(2))
    for sink in (first, second, second, first):
        sink.write(b"line 1\n", is_urgent=True)
    for sink in (first, second):
        sink.close()
    contents = [item.read_bytes() for item in path.parent.iterdir()]
    assert contents == [b"line 1\n"] * 4


@posix_only
def test_only_the_owner_can_read_the_log(sink: FileSink, path: Path) -> None:
    sink.write(b"1\n", is_urgent=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


@posix_only
def test_a_descriptor_that_cannot_be_closed_is_let_go(
    sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.write(b"1\n", is_urgent=True)
    descriptor = sink._file._descriptor

    def refuse(_: int) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", refuse)
        sink._file.close()
    assert sink._file._descriptor is None
    with contextlib.suppress(OSError):
        os.close(descriptor or -1)


def test_two_threads_that_flush_wait_for_each_other(
    sink: FileSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    write = os.write

    def slow(descriptor: int, data: Any) -> int:
        entered.set()
        assert go_on.wait(10.0)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    first = threading.Thread(target=sink.write, args=(b"1\n",), kwargs={"is_urgent": True})
    first.start()
    assert entered.wait(10.0)
    second = threading.Thread(target=sink.write, args=(b"2\n",), kwargs={"is_urgent": True})
    second.start()
    go_on.set()
    first.join(10.0)
    second.join(10.0)
    assert path.read_bytes() == b"1\n2\n"

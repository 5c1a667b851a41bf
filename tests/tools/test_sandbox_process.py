"""The launcher and what we do with its reports, also when it does not behave."""

from __future__ import annotations

import ctypes
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.exceptions import ToolFailed
from sdk_workflow.tools import _launcher, sandbox_process
from sdk_workflow.tools._protected import PLACEHOLDER_MODE
from sdk_workflow.tools.sandbox_process import (
    Orders,
    OutputBuffer,
    run_command,
    try_command,
    try_program,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the launcher needs POSIX"),
]


REPORTING_TWICE = """
import sys
sys.stdin.readline()
sys.stderr.write('{"error": "no"}\\n{"exit_code": 126}\\n')
"""


def make_orders(command: str, **changes: Any) -> Orders:
    options: dict[str, Any] = {
        "argv": ["/bin/sh", "-c", command],
        "cwd": "/",
        "env": {"PATH": "/usr/bin:/bin"},
        "timeout_seconds": 10.0,
        **changes,
    }
    return Orders(**options)


@given(
    st.integers(2, 50),
    st.lists(st.binary(max_size=40), max_size=10),
)
def test_the_buffer_keeps_head_and_tail_however_the_pieces_fall(
    limit: int, pieces: list[bytes]
) -> None:
    buffer = OutputBuffer(limit)
    for piece in pieces:
        buffer.add(piece)
    whole = b"".join(pieces)
    if len(whole) <= limit:
        assert buffer.text() == whole.decode("utf-8", "replace")
        return
    head, tail = limit // 2, limit - limit // 2
    middle = f"\n[... {len(whole) - limit:,} bytes left out ...]\n"
    expected = whole[:head].decode("utf-8", "replace"), whole[-tail:].decode("utf-8", "replace")
    assert buffer.text() == middle.join(expected)


def fake_launcher(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    invocation: tuple[list[str], dict[str, str]] = ([sys.executable, "-ISc", program], {})
    monkeypatch.setattr(sandbox_process, "launcher_invocation", lambda: invocation)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit", "launcher of commands ended before the command did"),
        ("import sys; sys.stdin.readline(); sys.stderr.write('Traceback')", "ended before"),
        (REPORTING_TWICE, "could not be started: no"),
    ],
)
async def test_a_launcher_that_fails_is_reported(
    monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    fake_launcher(monkeypatch, program)
    with pytest.raises(ToolFailed, match=message):
        await run_command(make_orders("true", env={"X": "y" * 200_000}), max_output_bytes=100)


async def test_a_launcher_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_process, "_END_SECONDS", 0.2)
    fake_launcher(monkeypatch, "import signal\nwhile True: signal.pause()")
    orders = make_orders("true", timeout_seconds=0.1, grace_seconds=0.0)
    with anyio.fail_after(10):
        with pytest.raises(ToolFailed, match="launcher did not answer"):
            await run_command(orders, max_output_bytes=100)


async def test_output_that_stays_open_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a process could escape: it holds the pipe, but the command has ended."""
    monkeypatch.setattr(sandbox_process, "_DRAIN_SECONDS", 0.1)
    program = """
import os, sys
sys.stdin.readline()
if os.fork() == 0:
    os.close(2)
    sys.stdin.read()
    os._exit(0)
print("seen", flush=True)
sys.stderr.write('{"exit_code": 0}')
"""
    fake_launcher(monkeypatch, program)
    with anyio.fail_after(10):
        result = await run_command(make_orders("true"), max_output_bytes=100)
    assert (result.output, result.exit_code) == ("seen\n", 0)


async def test_a_launcher_that_cannot_be_started_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox_process, "launcher_invocation", lambda: (["/nowhere"], {}))
    with pytest.raises(ToolFailed, match="launcher of commands could not be started"):
        await run_command(make_orders("true"), max_output_bytes=100)
    assert try_command(make_orders("echo x")) == ""


async def test_a_launcher_without_pipes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        stdin = stdout = stderr = None
        returncode = 0

        async def wait(self) -> int:
            return 0

        async def aclose(self) -> None:
            return

    async def start() -> Any:
        await anyio.lowlevel.checkpoint()
        return Bare()

    monkeypatch.setattr(sandbox_process, "_start", start)
    with pytest.raises(ToolFailed, match="without its pipes"):
        await run_command(make_orders("true"), max_output_bytes=100)


@pytest.mark.parametrize(
    ("command", "expected"),
    [("echo yes", "yes\n"), ("echo no; exit 1", ""), ("kill -9 $$", "")],
)
def test_trying_a_command_returns_its_output_only_when_it_succeeded(
    command: str, expected: str
) -> None:
    assert try_command(make_orders(command)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "yes\n"),
        ({"argv": ["/bin/sh", "-c", "echo no; exit 1"]}, ""),
        ({"argv": ["/nowhere"]}, ""),
        ({"argv": ["/bin/sleep", "60"], "timeout_seconds": 0.01}, ""),
    ],
)
def test_trying_a_program_returns_its_output_only_when_it_succeeded(
    changes: dict[str, Any], expected: str
) -> None:
    assert try_program(make_orders("echo yes", **changes)) == expected


def test_a_placeholder_is_made_when_it_is_missing_and_removed_when_nobody_uses_it(
    tmp_path: Path,
) -> None:
    missing, existing, filled = (tmp_path / name / "hooks" for name in ("a", "b", "c"))
    for folder in (missing, existing, filled):
        folder.parent.mkdir()
    existing.mkdir()
    wanted = [str(each) for each in (missing, existing, filled, tmp_path / "no" / "hooks")]
    first = _launcher._make(wanted, PLACEHOLDER_MODE)
    second = _launcher._make(wanted, PLACEHOLDER_MODE)
    (filled / "file").touch()
    _launcher._unmake(first, PLACEHOLDER_MODE)
    assert missing.is_dir()  # the second still relies on it
    for lock in first.values():
        os.close(lock)
    _launcher._unmake(second, PLACEHOLDER_MODE)
    for lock in second.values():
        os.close(lock)
    assert (missing.exists(), existing.exists(), filled.exists()) == (False, True, True)


def test_trying_a_command_that_cannot_be_started_returns_nothing() -> None:
    assert try_command(make_orders("x", argv=["/nowhere"])) == ""
    assert try_command(make_orders("x", cwd="/nowhere")) == ""


def test_the_launcher_inherits_nothing_of_ours() -> None:
    argv, env = sandbox_process.launcher_invocation()
    if not any(name.startswith("COVERAGE_") for name in os.environ):
        assert argv[:5] == [sys.executable, "-I", "-S", "-X", "utf8"]
        assert env == {}


def start_launcher() -> subprocess.Popen[bytes]:
    argv, env = sandbox_process.launcher_invocation()
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe)


def test_the_launcher_ends_when_nobody_gives_it_orders() -> None:
    with start_launcher() as launcher:
        output, report = launcher.communicate(b'{"argv": ["never')
    assert (output, report, launcher.returncode) == (b"", b"", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_the_launcher_ends_everything_when_it_is_asked_to_end() -> None:
    with start_launcher() as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        assert launcher.stderr is not None
        launcher.stdin.write(
            make_orders("(setsid sleep 86399 &); echo ready; sleep 86399").encode()
        )
        launcher.stdin.flush()
        assert launcher.stdout.readline() == b"ready\n"
        launcher.stdin.write(b"noise on the line is no end\n")
        launcher.stdin.flush()
        assert _launcher.descendants(launcher.pid)
        launcher.terminate()
        report = json.loads(launcher.stderr.read())
        assert launcher.stdout.read() == b""  # closed: nobody holds it any more
    assert report == {"ending": "abandoned", "exit_code": None}


def test_the_launcher_does_not_mind_when_nobody_listens_any_more() -> None:
    with start_launcher() as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        assert launcher.stderr is not None
        launcher.stderr.close()
        launcher.stdin.write(make_orders("echo done").encode())
        launcher.stdin.flush()
        assert launcher.stdout.read() == b"done\n"
    assert launcher.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_descendants_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 ("
    program.write_text("#!/bin/sh\nsleep 30 & echo ready; wait\n", encoding="utf-8")
    program.chmod(0o755)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        select.select([process.stdout], [], [], 10)
        found = _launcher.descendants(os.getpid())
        below = _launcher.descendants(process.pid)
        for number in below:
            os.kill(number, 9)
    assert found[process.pid] == "a) S 1 ("
    assert "sleep" in below.values()


def test_without_proc_the_process_group_is_what_can_be_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on macOS: no /proc, so only the group of the command is known."""
    monkeypatch.setattr(
        _launcher, "Path", lambda path: Path(str(path).replace("/proc", str(tmp_path), 1))
    )
    with subprocess.Popen(
        ["/bin/sh", "-c", "sleep 30 & echo ready; wait"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert _launcher.descendants(os.getpid()) == {}
        assert _launcher._has_group(process.pid)
        _launcher._signal_all(process.pid, 9)
        assert process.stdout.read() == b""
    assert not _launcher._has_group(2**30)


def test_a_process_that_has_just_ended_is_no_descendant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "12" / "stat").mkdir(parents=True)  # reading it fails
    monkeypatch.setattr(_launcher, "Path", lambda _path: tmp_path)
    assert _launcher.descendants(1) == {}


def test_killing_gives_up_on_what_cannot_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(_launcher, "_MAX_KILL_SECONDS", 0.01)
    monkeypatch.setattr(_launcher, "_signal_all", lambda command, _number: rounds.append(command))
    monkeypatch.setattr(_launcher, "_await_silence", lambda *_: False)
    _launcher._kill_all(7, 0)
    assert set(rounds) == {7}


def test_the_limit_of_processes_counts_what_the_user_runs_already(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_launcher, "Path", lambda _path: tmp_path)
    for process, threads in (("7", "123"), ("8", "4")):
        for thread in threads:
            (tmp_path / process / "task" / thread).mkdir(parents=True)
    (tmp_path / "9").mkdir()  # it has just ended
    (tmp_path / "sys" / "task" / "1").mkdir(parents=True)
    assert _launcher._tasks_of_user() == 4
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert _launcher._tasks_of_user() is None


@pytest.mark.parametrize(("tasks", "is_set"), [(7, True), (None, False)])
def test_processes_are_limited_only_where_they_can_be_counted(
    monkeypatch: pytest.MonkeyPatch, tasks: int | None, is_set: bool  # noqa: FBT001 - a table
) -> None:
    import resource

    chosen: dict[int, int] = {}
    monkeypatch.setattr(_launcher, "_tasks_of_user", lambda: tasks)
    monkeypatch.setattr(_launcher, "_lower", chosen.__setitem__)
    _launcher._limit_resources(512)
    assert chosen.get(resource.RLIMIT_NPROC) == (519 if is_set else None)
    assert chosen[resource.RLIMIT_CORE] == 0


@pytest.mark.parametrize(("hard", "expected"), [("infinite", 100), (1000, 100), (50, 50)])
def test_a_limit_is_only_ever_lowered(
    monkeypatch: pytest.MonkeyPatch, hard: int | str, expected: int
) -> None:
    import resource

    limit = resource.RLIM_INFINITY if hard == "infinite" else hard
    chosen: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10, limit))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: chosen.append((kind, pair)))
    _launcher._lower(resource.RLIMIT_CORE, 100)
    assert chosen == [(resource.RLIMIT_CORE, (expected, expected))]


def test_only_linux_is_asked_for_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: None) -> None:
        raise AssertionError

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    _launcher._prctl(36, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("tasks", "beneath", "expected"),
    [(100, 9, False), (110, 9, False), (111, 10, False), (111, 11, True), (None, 11, False)],
)
def test_a_swarm_is_noticed_where_the_machine_fills_up_with_our_own(
    monkeypatch: pytest.MonkeyPatch, tasks: int | None, beneath: int, *, expected: bool
) -> None:
    monkeypatch.setattr(_launcher, "_tasks_of_machine", lambda: 100)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    watch = _launcher._Watch(10)
    assert watch.pause == 0.05
    monkeypatch.setattr(_launcher, "_tasks_of_machine", lambda: tasks)
    monkeypatch.setattr(
        _launcher, "descendants", lambda _process: dict.fromkeys(range(beneath), "x")
    )
    assert watch.is_swarm() is expected


def test_only_root_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert _launcher._Watch(10).pause == float("inf")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(_launcher, "_tasks_of_machine", lambda: None)
    assert _launcher._Watch(10).pause == float("inf")


def test_the_machine_without_a_load_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert (_launcher._tasks_of_machine() or 0) > 0
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert _launcher._tasks_of_machine() is None

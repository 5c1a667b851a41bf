"""`sdk_workflow monitor` as its user runs it: options, pipes, terminals, and every way out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.cli.monitor_command import seconds_of
from sdk_workflow.exceptions import UsageError
from sdk_workflow.monitor.run_folder import start_key
from tests.cli.program import assert_refused, wait_until
from tests.monitor.live_files import Home, call_line, live, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.monitor.run_folder import RunName
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
# Typer itself loads pydantic, for the options of any command.
HEAVY = {"anthropic", "httpx2", "pydantic_settings", "anyio", "asyncio", "numpy"}


@pytest.fixture
def home(program: Program) -> Home:
    return Home(path=program.state)


@pytest.fixture
def pid() -> int:
    return os.getpid()


@pytest.fixture
def name(home: Home, pid: int) -> RunName:
    """Return the name of a process that runs: this one."""
    return home.write(live(pid), pid=pid, key=start_key(pid) or "")


def test_without_a_terminal_the_only_process_is_shown_once(invoke: Invoke, name: RunName) -> None:
    outcome = invoke("monitor")

    assert outcome.code == 0
    assert outcome.out.startswith(f"pid {name.pid}   status running")
    assert "claude-haiku-4-5" in outcome.out
    assert "\x1b" not in outcome.out


def test_several_processes_are_a_table_with_totals(
    invoke: Invoke, home: Home, name: RunName
) -> None:
    home.write(live(requests=30), pid=1, key="gone")
    home.write(live(requests=30, state="ended"), pid=2, key="over")
    beside = invoke("monitor", "--once").out

    home.write(live(requests=30, state="ended"), pid=name.pid, key=name.process_key)
    table = invoke("monitor", "--once").out

    assert beside.startswith(f"pid {name.pid}")  # the only one that runs
    assert table.startswith("requests 90   in flight 0")
    assert re.search(r"^ *1  died ", table, re.MULTILINE)
    assert re.search(rf"^ *{name.pid}  ended ", table, re.MULTILINE)


def test_nothing_yet_is_a_notice_and_no_error(invoke: Invoke) -> None:
    outcome = invoke("monitor")

    assert (outcome.code, outcome.out) == (0, "")
    assert "No process has written anything yet" in outcome.err


def test_json_is_one_versioned_document(invoke: Invoke, home: Home, name: RunName) -> None:
    home.write("torn", pid=7, key="x")

    outcome = invoke("monitor", "--json")

    document = json.loads(outcome.out)
    assert outcome.code == 0
    assert document["schema"] == "sdk_workflow.monitor/1"
    assert document["replay"] is None
    assert document["totals"]["processes"] == 2
    assert document["totals"]["cost_usd"] == 0.732
    torn, good = sorted(document["processes"], key=lambda process: int(process["pid"] == name.pid))
    assert (torn["status"], torn["live"]) == ("died", None)
    assert "cannot be read" in torn["problem"]
    assert (good["status"], good["problem"]) == ("running", None)
    assert good["live"]["windows"] == live()["windows"]
    assert good["start_key"] == name.process_key


def test_json_of_nothing_is_a_document_too(invoke: Invoke) -> None:
    assert json.loads(invoke("monitor", "--json").out)["processes"] == []


@pytest.mark.usefixtures("name")
def test_one_process_can_be_asked_for(invoke: Invoke, home: Home) -> None:
    home.write(live(8), pid=8, key="x")

    document = json.loads(invoke("monitor", "--json", "--pid", "8").out)

    assert [process["pid"] for process in document["processes"]] == [8]
    assert_refused(invoke("monitor", "--pid", "9999999"), 2, "No process 9999999", "These have: 8")


def test_a_pid_where_there_is_no_process_at_all_is_refused(invoke: Invoke) -> None:
    assert_refused(invoke("monitor", "--pid", "8"), 2, "No process 8", "Neither has any other.")


@pytest.mark.parametrize("other", [["--once"], ["--since", "1h"]])
def test_options_that_contradict_one_another_are_refused(other: list[str], invoke: Invoke) -> None:
    assert_refused(invoke("monitor", "--realtime", *other), 2, "--realtime", other[0])


# --since


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5 H", 5400), ("2d", 172_800), (" 1w ", 604_800)],
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0m", "1h30m", "1y", "yesterday", "1e3s"])
def test_what_is_no_length_of_time_is_refused_with_examples(text: str, invoke: Invoke) -> None:
    with pytest.raises(UsageError, match="is no length of time"):
        seconds_of(text)
    assert_refused(invoke("monitor", f"--since={text}"), 2, f"--since {text!r}", "30m, 1h, 2d")


@pytest.fixture
def events(home: Home, name: RunName, monkeypatch: pytest.MonkeyPatch) -> float:
    now = 1_795_252_380.0
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    home.write_events(
        [
            {"schema": "sdk_workflow.events/1"},
            call_line(now - 7200, model="old"),
            call_line(now - 600, model="claude-sonnet-5", cost_usd=0.5),
            {"at": time_text(now - 500), "kind": "call_failed", "model": "claude-sonnet-5",
             "error": "overloaded", "session_id": "s1", "duration_ms": 100.0},
            {"at": time_text(now - 400), "kind": "tool_finished", "tool": "bash",
             "is_error": True, "error": "tool_failed", "duration_ms": 30.0, "session_id": "s1"},
            {"at": time_text(now - 300), "kind": "cache_looked_up", "tier": "lru",
             "outcome": "hit", "saved_usd": 0.25, "session_id": None},
        ],
        name=name,
    )  # fmt: skip
    return now


def test_since_tells_what_happened_and_by_whom(invoke: Invoke, events: float) -> None:
    outcome = invoke("monitor", "--since", "1h")

    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert events
    assert outcome.code == 0
    assert lines[0] == "What happened since 08:13:00 UTC, 1h00m ago:"
    assert "calls 1 (0.0/min) failed 1 (50.0%)" in lines[1]
    assert "cost $0.500 ($0.500/h)" in " ".join(lines)
    for row in (
        "MODEL CALLS FAILED RETRIES MEAN IN OUT READ WRITTEN COST",
        "claude-sonnet-5 1 1 0 300ms 100 10 0 0 $0.500",
        "bash 1 1 30ms 0",
        "lru 1 $0.250",
        "overloaded 1 0 0 0",
        "tool_failed 0 0 1 0",
        "s1 0 1 1 1 0 $0.500",
    ):
        assert row in lines
    assert "old" not in outcome.out


def test_since_as_json_has_the_sums_of_each_process_and_of_all(
    invoke: Invoke, home: Home, name: RunName, events: float
) -> None:
    other = home.write(live(), pid=7, key="x")
    home.write_events([call_line(events - 60)], name=other, end="torn")

    document = json.loads(invoke("monitor", "--since", "3h", "--json").out)

    assert document["replay"]["totals"]["calls"] == 3
    assert document["replay"]["skipped_lines"] == 1
    assert document["replay"]["since"] == time_text(events - 3 * 3600)
    assert document["replay"]["first_at"] == time_text(events - 7200)
    assert document["replay"]["calls_per_minute"] == pytest.approx(3 / 180)
    assert document["replay"]["error_rate"] == 0.25
    assert document["replay"]["usd_per_hour"] == pytest.approx(0.5 / 3)
    by_pid = {process["pid"]: process["replay"] for process in document["processes"]}
    assert by_pid[name.pid]["by"]["tool"] == [
        {"name": "bash", "tool_calls": 1, "tool_errors": 1, "tool_ms": 30.0}
    ]
    assert by_pid[7]["totals"]["calls"] == 1


def test_since_a_time_when_nothing_happened_says_so(invoke: Invoke, events: float) -> None:
    outcome = invoke("monitor", "--since", "10s")
    document = json.loads(invoke("monitor", "--since", "10s", "--json").out)

    assert events
    assert outcome.out == "Nothing happened since 09:12:50 UTC, 10s ago.\n"
    assert document["replay"]["first_at"] is None
    assert document["replay"]["error_rate"] == 0


def test_since_says_where_the_oldest_is_missing(
    invoke: Invoke, events: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdk_workflow.monitor.replay.MOST_BYTES", 600)

    assert events
    assert "the oldest is missing" in invoke("monitor", "--since", "9w").out


def test_since_goes_back_to_the_epoch_at_most(invoke: Invoke, events: float) -> None:
    document = json.loads(invoke("monitor", "--since", "999999w", "--json").out)

    assert events
    assert document["replay"]["since"] == "1970-01-01T00:00:00.000Z"


# The real program.


def test_the_monitor_loads_nothing_that_it_does_not_need(program: Program, name: RunName) -> None:
    code = (
        "import atexit, sys; sys.argv = ['sdk_workflow', 'monitor', '--once']\n"
        f"atexit.register(lambda: print(sorted({HEAVY!r} & set(sys.modules))))\n"
        "from sdk_workflow.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True,
        cwd=program.folder, env=program.environment(), timeout=40,
    )  # fmt: skip

    assert f"pid {name.pid}" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_lines_of_json_go_on_until_a_signal(program: Program, home: Home, name: RunName) -> None:
    process = program.start("monitor", "--realtime", "--json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    home.write(live(requests=999), pid=name.pid, key=name.process_key)
    second = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=20)

    requests = [item["processes"][0]["live"]["traffic"]["requests"] for item in (first, second)]
    assert requests == [120, 999]
    assert (rest, err, process.returncode) == (b"", b"", 0)


def test_a_pipe_gets_lines_of_text_with_realtime(program: Program, name: RunName) -> None:
    process = program.start("monitor", "--realtime")
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    process.terminate()
    process.communicate(timeout=20)

    assert f"{name.pid} running  120 requests" in line
    assert process.returncode == (-signal.SIGTERM if sys.platform != "win32" else 1)


class OnTerminal:
    """The monitor on a pseudo-terminal, and what it has written there."""

    def __init__(self, program: Program, *arguments: str, env: dict[str, str], keys: bool) -> None:
        import fcntl
        import struct
        import termios

        self.ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._termios, self.theirs, self.before = termios, theirs, termios.tcgetattr(theirs)
        environment = program.environment({"TERM": "xterm-256color", **env})
        self.process = subprocess.Popen(
            [*program.command, "monitor", *arguments],
            stdin=theirs if keys else subprocess.DEVNULL, stdout=theirs, stderr=theirs,
            cwd=program.folder, env=environment, start_new_session=True,
        )  # fmt: skip
        self.text = ""
        os.set_blocking(self.ours, False)

    def shows(self, words: str) -> bool:
        with contextlib.suppress(BlockingIOError, OSError):
            self.text += os.read(self.ours, 65536).decode(errors="replace")
        return words in self.text

    def wait_for(self, words: str) -> None:
        wait_until(lambda: self.shows(words))

    def press(self, keys: str) -> None:
        self.text = ""
        os.write(self.ours, keys.encode())

    def code(self) -> int:
        wait_until(lambda: not self.shows("\0") and self.process.poll() is not None)
        self.shows("\0")
        return self.process.returncode

    def is_restored(self) -> bool:
        return (
            self.text.rstrip("\r\n").endswith("\x1b[?25h\x1b[?1049l")
            and self._termios.tcgetattr(self.theirs) == self.before
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=20)
        os.close(self.ours)
        os.close(self.theirs)


@contextlib.contextmanager
def on_terminal(
    program: Program, *arguments: str, keys: bool = True, **env: str
) -> Iterator[OnTerminal]:
    terminal = OnTerminal(program, *arguments, env=env, keys=keys)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.usefixtures("name")
@needs_terminal
def test_a_terminal_is_drawn_on_answers_keys_and_is_restored(program: Program, home: Home) -> None:
    home.write(live(), pid=1, key="gone")
    with on_terminal(program) as terminal:
        terminal.wait_for("? help")
        assert "\x1b[?1049h" in terminal.text
        terminal.press("\x1b")
        terminal.wait_for("died")
        terminal.press("/died")
        terminal.wait_for("died")
        terminal.press("\rq")
        assert terminal.code() == 0
        assert terminal.is_restored()


@needs_terminal
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -15), ("SIGHUP", -1)]
)
def test_a_signal_ends_it_and_the_terminal_is_restored(
    number: Any, code: int, program: Program, name: RunName
) -> None:
    with on_terminal(program) as terminal:
        terminal.wait_for(f"{name.pid}")
        terminal.wait_for("? help")
        terminal.process.send_signal(getattr(signal, number) if isinstance(number, str) else number)
        assert terminal.code() == code
        assert terminal.is_restored()


@needs_terminal
def test_without_keys_it_is_drawn_all_the_same(program: Program, name: RunName) -> None:
    with on_terminal(program, keys=False) as terminal:
        terminal.wait_for(f"{name.pid}")
        terminal.wait_for("? help")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.code() == 0


@needs_terminal
@pytest.mark.parametrize("arguments", [[], ["--realtime"]], ids=["plain", "realtime"])
def test_a_dumb_terminal_gets_no_escape_codes(
    arguments: list[str], program: Program, name: RunName
) -> None:
    with on_terminal(program, *arguments, TERM="dumb") as terminal:
        terminal.wait_for(f"{name.pid}")
        if arguments:
            terminal.process.send_signal(signal.SIGINT)
        assert terminal.code() == 0
        assert "\x1b" not in terminal.text


@needs_terminal
def test_a_terminal_without_unicode_is_drawn_on_in_ascii(program: Program, name: RunName) -> None:
    with on_terminal(program, PYTHONIOENCODING="ascii") as terminal:
        terminal.wait_for(f"{name.pid}")
        terminal.wait_for("^v")
        terminal.press("q")
        assert terminal.code() == 0


@needs_terminal
def test_hostile_texts_cannot_drive_the_terminal(program: Program, home: Home, pid: int) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e\r\n"
    document = live(pid)
    document["process"]["command"] = evil
    document["sessions"] = [{**document["sessions"][0], "session_id": evil}]
    home.write(document, pid=pid, key=start_key(pid) or "")

    with on_terminal(program) as terminal:
        terminal.wait_for("? help")
        terminal.press("q")
        assert terminal.code() == 0
        shown = terminal.text
    once = program.run("monitor", "--json")

    assert not {"\x1b]", "\x07", "\x9b", "\u202e"} & set(
        re.findall(r"\x1b\]|[\x07\x9b\u202e]", shown)
    )
    assert once.out.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", once.out)

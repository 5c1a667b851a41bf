"""Looking, drawing and keys over time, on a terminal, a keyboard and a clock made for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.cli.console import Console
from sdk_workflow.cli.monitor.changes import write_changes
from sdk_workflow.cli.monitor.keyboard import CLOSED, NoKeyboard, keyboard_of, keys_of
from sdk_workflow.cli.monitor.screen import TerminalScreen, can_draw, plain_text, takes_unicode
from sdk_workflow.cli.monitor.signals import Signals
from sdk_workflow.cli.monitor.viewer import Terminal, Viewer, watch
from sdk_workflow.monitor.processes import Processes
from tests.monitor.live_files import NOW, Home, live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


class FakeKeyboard:
    """Presses a key a step, does something in some of them, and lets time pass."""

    def __init__(self, clock: VirtualClock, steps: Sequence[str | Callable[[], object]]) -> None:
        self._clock = clock
        self._steps = list(steps)
        self.opened_times = self.closed_times = 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        self.opened_times += 1
        try:
            yield
        finally:
            self.closed_times += 1

    def read(self, timeout_seconds: float) -> list[str]:
        self._clock.advance(timeout_seconds)
        step = self._steps.pop(0) if self._steps else "q"
        if callable(step):
            step()
            return []
        return [step] if step else []


class FakeScreen:
    """Remembers what it was shown, and when."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.size_now = (100, 20)
        self.shown: list[tuple[float, str]] = []
        self.opened_times = self.closed_times = 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        self.opened_times += 1
        try:
            yield
        finally:
            self.closed_times += 1

    def size(self) -> tuple[int, int]:
        return self.size_now

    def show(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        assert len(lines) == size[1]
        text = "\n".join(line.plain for line in lines)
        self.shown.append((round(self.clock.now() - NOW, 3), text))


class FakeSignals(Signals):
    """Signals that come when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0

    def come(self, number: int) -> None:
        self._note(number, None)

    def stop_if_asked(self) -> bool:
        if signal.SIGINT in self._seen:
            return False
        was_asked = bool(self._seen)
        self._seen.clear()
        self.stops += was_asked
        return was_asked


class Bench:
    """A viewer with everything around it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(path=folder)
        self.clock = VirtualClock(NOW)
        self.screen = FakeScreen(self.clock)
        self.signals = FakeSignals()
        self.keyboard = FakeKeyboard(self.clock, [])
        self.processes = Processes(folder, clock=self.clock, is_alive=self.home.is_alive)
        self.viewer = Viewer(self.processes, clock=self.clock)

    def run(self, *steps: str | Callable[[], object]) -> list[tuple[float, str]]:
        self.keyboard = FakeKeyboard(self.clock, steps)
        terminal = Terminal(self.keyboard, self.screen, self.signals)
        watch(self.viewer, terminal, clock=self.clock)
        return self.screen.shown

    def last(self) -> str:
        return self.screen.shown[-1][1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_only_process_is_shown_at_once(bench: Bench) -> None:
    bench.home.write(live())

    shown = bench.run()

    assert [at for at, _ in shown] == [0.0]
    assert "pid 4242" in shown[0][1]


def test_without_news_times_go_on_once_a_second(bench: Bench) -> None:
    bench.home.write(live())

    shown = bench.run(*[""] * 45)

    assert [at for at, _ in shown] == pytest.approx([0, 1.0, 2.0])


def test_news_are_shown_seven_times_a_second_at_most(bench: Bench) -> None:
    counts = iter(range(1, 100))
    bench.home.write(live())

    shown = bench.run(*[lambda: bench.home.write(live(requests=next(counts)))] * 40)

    assert [at for at, _ in shown] == pytest.approx([step * 0.15 for step in range(14)])


def test_news_after_a_pause_are_shown_at_the_next_look(bench: Bench) -> None:
    bench.home.write(live(requests=1))

    shown = bench.run(*[""] * 4, lambda: bench.home.write(live(requests=777)))

    assert [at for at, _ in shown] == pytest.approx([0, 0.25])
    assert "777" in shown[-1][1]


def test_a_key_and_another_size_are_answered_at_once(bench: Bench) -> None:
    bench.home.write(live())

    def grow() -> None:
        bench.screen.size_now = (120, 30)

    shown = bench.run("?", "x", grow, "")

    assert [at for at, _ in shown] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert "quit" in shown[1][1]
    assert shown[-1][1].count("\n") == 29


def test_a_pause_keeps_the_picture_and_the_end_of_it_shows_the_news(bench: Bench) -> None:
    bench.home.write(live(requests=111))
    write = lambda: bench.home.write(live(requests=222))  # noqa: E731 - a step

    shown = bench.run("p", write, *[""] * 24, "p", "")

    paused = [text for _, text in shown if "PAUSED" in text]
    assert paused
    assert all("222" not in text for text in paused)
    assert "222" in shown[-1][1]


def test_a_process_that_starts_while_nothing_is_there_is_opened(bench: Bench) -> None:
    shown = bench.run(*[""] * 2, lambda: bench.home.write(live()), *[""] * 20)

    assert "No process has written anything yet" in shown[0][1]
    assert "pid 4242" in shown[-1][1]


def test_a_second_process_does_not_take_the_first_one_away(bench: Bench) -> None:
    bench.home.write(live(), pid=1)

    bench.run(*[""] * 2, lambda: bench.home.write(live(), pid=2), *[""] * 24)

    assert "2 running" in bench.last()
    assert "pid 1 " in bench.last()


def test_an_opened_process_whose_folder_is_removed_gives_way_to_the_list(bench: Bench) -> None:
    name = bench.home.write(live(), pid=1)
    folder = bench.home.folder(name)

    def remove() -> None:
        (folder / "live.json").unlink()
        folder.rmdir()
        bench.home.write(live(), pid=2)

    bench.run(remove, *[""] * 24)

    assert bench.viewer.state.opened is None
    assert "PID" in bench.last()


def test_keys_go_to_what_is_shown(bench: Bench) -> None:
    for pid in (1, 2, 3):
        bench.home.write(live(pid, uptime=pid), pid=pid)

    bench.run("down", "enter", "")

    assert "pid 2 " in bench.last()


def test_scrolling_beyond_the_end_is_taken_back(bench: Bench) -> None:
    bench.home.write(live())

    bench.run("end", "", "")

    assert 0 < bench.viewer.state.scroll < 100


def test_the_end_of_the_keyboard_ends_it(bench: Bench) -> None:
    bench.home.write(live())

    shown = bench.run("/", CLOSED, *["x"] * 50)

    assert len(shown) == 2


def test_a_signal_ends_it_and_the_terminal_is_restored_once(bench: Bench) -> None:
    bench.run(lambda: bench.signals.come(signal.SIGINT), *[""] * 50)

    assert (bench.screen.opened_times, bench.screen.closed_times) == (1, 1)
    assert (bench.keyboard.opened_times, bench.keyboard.closed_times) == (1, 1)
    assert len(bench.screen.shown) == 1


def test_a_stop_gives_the_terminal_back_and_takes_it_again_afterwards(bench: Bench) -> None:
    bench.run(lambda: bench.signals.come(signal.SIGTERM), "", "q")

    assert bench.signals.stops == 1
    assert (bench.screen.opened_times, bench.screen.closed_times) == (2, 2)
    assert (bench.keyboard.opened_times, bench.keyboard.closed_times) == (2, 2)


def test_a_terminal_that_is_gone_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(bench.screen, "show", fail)

    bench.run(*[""] * 50)

    assert (bench.screen.closed_times, bench.keyboard.closed_times) == (1, 1)


# Lines instead of pictures.


def changes(bench: Bench, *steps: str | Callable[[], object], as_json: bool) -> list[str]:
    out = io.StringIO()
    keyboard = FakeKeyboard(bench.clock, [*steps, lambda: bench.signals.come(signal.SIGINT)])
    write_changes(
        Console(out, None), bench.processes, bench.signals,
        clock=bench.clock, keyboard=keyboard, as_json=as_json,
    )  # fmt: skip
    return out.getvalue().splitlines()


def test_each_change_is_one_line_of_json(bench: Bench) -> None:
    bench.home.write(live(requests=1))

    lines = changes(bench, "", "", lambda: bench.home.write(live(requests=2)), "", "", as_json=True)

    documents = [json.loads(line) for line in lines]
    assert [document["schema"] for document in documents] == ["sdk_workflow.monitor/1"] * 2
    found = [document["processes"][0]["live"]["traffic"]["requests"] for document in documents]
    assert found == [1, 2]


def test_nothing_at_all_is_an_empty_list(bench: Bench) -> None:
    (line,) = changes(bench, "", "", as_json=True)

    assert json.loads(line)["processes"] == []
    assert changes(bench, "", "", as_json=False) == []


def test_as_text_who_changed_has_a_line_once_a_second(bench: Bench) -> None:
    bench.home.write(live(), pid=1)
    bench.home.write("torn", pid=2)
    counts = iter(range(500, 600))
    busy = [lambda: bench.home.write(live(requests=next(counts)), pid=1)] * 12

    lines = changes(bench, *busy, as_json=False)

    assert lines[0] == (
        "09:13:00  1 running  120 requests, 3 in flight, 2 errors, p95 2.41s, 250.8k tokens, "
        "$0.732 ($3.64/h), 42% of the budget"
    )
    assert lines[1] == "09:13:00  2 running  has written something that cannot be read (yet)"
    assert len(lines) == 3
    assert lines[2].startswith("09:13:01  1 running  5")


def test_a_line_names_alarms_and_leaves_out_a_budget_that_there_is_not(bench: Bench) -> None:
    bench.home.write(live(budget=None, alarms=[{"kind": "loop"}]))

    (line,) = changes(bench, as_json=False)

    assert line.endswith("($3.64/h), alarms 1")


def test_a_reader_that_went_away_ends_the_lines(bench: Bench) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    bench.home.write(live())
    keyboard = FakeKeyboard(bench.clock, [""] * 3 + [lambda: pytest.fail("It went on.")])

    write_changes(
        Console(Closed(), None), bench.processes, bench.signals,
        clock=bench.clock, keyboard=keyboard, as_json=True,
    )  # fmt: skip


# Keys.


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"abc", ["a", "b", "c"]),
        (b"\x1b[A\x1bOB\x1b[H\x1b[4~", ["up", "down", "home", "end"]),
        (b"\x1b[5~\x1b[6~\x7f\x08\n", ["page_up", "page_down", "backspace", "backspace", "enter"]),
        (b"\x1b", ["esc"]),
        (b"\x1b\x1b[B", ["esc", "down"]),
        (b"\x1b[1;5C\x1b[200~", []),
        ("é世".encode(), ["é", "世"]),
        (b"\xff\x00\x01", []),
    ],
)
def test_bytes_of_a_terminal_become_keys(data: bytes, keys: list[str]) -> None:
    assert keys_of(data) == keys


def test_without_a_terminal_there_are_no_keys_and_the_wait_is_short() -> None:
    keyboard = NoKeyboard()

    with keyboard.opened():
        assert keyboard.read(0) == []
    assert isinstance(keyboard_of(None), NoKeyboard)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    yield ours, theirs
    for descriptor in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@needs_terminal
def test_a_terminal_hands_over_each_key_and_is_restored(terminal: tuple[int, int]) -> None:
    import termios

    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    keyboard = keyboard_of(theirs)

    with keyboard.opened():
        assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
        os.write(ours, b"q\x1b[A")
        assert keyboard.read(5) == ["q", "up"]
        os.write(ours, b"\x1b")
        assert keyboard.read(5) == ["esc"]
        assert keyboard.read(0) == []

    assert termios.tcgetattr(theirs) == before


@needs_terminal
def test_a_key_that_arrives_in_two_pieces_is_one_key(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = terminal
    pieces = iter([b"\x1b", b"[A"])
    keyboard = keyboard_of(theirs)

    with keyboard.opened():
        os.write(ours, b"x")
        monkeypatch.setattr(os, "read", lambda *_: next(pieces))
        assert keyboard.read(5) == ["up"]


@needs_terminal
def test_a_terminal_that_hangs_up_is_closed(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    keyboard = keyboard_of(theirs)

    with keyboard.opened():
        os.close(ours)
        assert keyboard.read(5) == [CLOSED]


# The terminal.


class FakeTerminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return FakeTerminal()


def written(file: FakeTerminal) -> str:
    text = file.getvalue()
    file.truncate(0)
    file.seek(0)
    return text


def test_only_the_lines_that_changed_are_written(file: FakeTerminal) -> None:
    screen = TerminalScreen(file)

    with screen.opened():
        assert written(file) == "\x1b[?1049h\x1b[H\x1b[?25l"
        screen.show([Text("one", "red"), Text("two")], (5, 2))
        assert written(file) == "\x1b[2J\x1b[H\x1b[1;1H\x1b[31mone  \x1b[0m\x1b[2;1Htwo  "
        screen.show([Text("one", "red"), Text("2")], (5, 2))
        assert written(file) == "\x1b[2;1H2    "
        screen.show([Text("one", "red"), Text("2")], (5, 2))
        assert written(file) == ""
        screen.show([Text("one", "red"), Text("2")], (6, 2))
        assert "one" in written(file)
    assert written(file) == "\x1b[?25h\x1b[?1049l"


def test_a_terminal_that_was_given_back_is_drawn_anew(file: FakeTerminal) -> None:
    screen = TerminalScreen(file)

    for _ in range(2):
        with screen.opened():
            written(file)
            screen.show([Text("one")], (5, 1))
            assert "one" in written(file)


def test_an_error_gives_the_terminal_back(file: FakeTerminal) -> None:
    screen = TerminalScreen(file)

    with pytest.raises(ValueError, match="planted"), screen.opened():
        raise ValueError("planted")

    assert written(file).endswith("\x1b[?25h\x1b[?1049l")


def test_colours_are_left_out_where_they_are_not_wanted(
    file: FakeTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = TerminalScreen(file)

    screen.show([Text("one", "red")], (5, 1))

    assert "\x1b[3" not in written(file)


def test_a_terminal_without_unicode_gets_ascii(file: FakeTerminal) -> None:
    file.encoding = "ascii"
    screen = TerminalScreen(file)

    screen.show([Text("▁█ é…")], (5, 1))

    assert written(file).endswith(".# ?~")
    assert plain_text([Text("▁█  "), Text("é")], file) == ".#\n?"


def test_plain_text_has_no_blanks_at_the_end_of_its_lines() -> None:
    assert plain_text([Text("a  "), Text(""), Text("▁")], None) == "a\n\n▁"


def test_what_has_no_size_has_the_usual_one(file: FakeTerminal) -> None:
    assert TerminalScreen(file).size() == (80, 24)


@needs_terminal
def test_the_size_is_that_of_the_terminal_and_the_usual_one_where_it_says_none(
    terminal: tuple[int, int],
) -> None:
    import fcntl
    import struct
    import termios

    with os.fdopen(os.dup(terminal[1]), "w", encoding="utf-8") as stream:
        screen = TerminalScreen(stream)
        assert screen.size() == (80, 24)
        fcntl.ioctl(terminal[0], termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        assert screen.size() == (77, 33)


def test_only_a_terminal_that_is_not_dumb_can_be_drawn_on(
    file: FakeTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_draw(file)
    assert not can_draw(io.StringIO())
    assert not can_draw(None)
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw(file)


@pytest.mark.parametrize(
    ("encoding", "expected"), [("UTF-8", True), ("utf_8", True), ("ascii", False), (None, True)]
)
def test_every_unicode_encoding_takes_every_character(
    *, encoding: str | None, expected: bool
) -> None:
    stream = FakeTerminal()
    stream.encoding = encoding  # type: ignore[assignment] # a stream may have none

    assert takes_unicode(stream) is expected


# Signals.


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_noted_and_has_its_effect_at_the_end(name: str) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"there is no {name} here")
    came: list[int] = []
    before = signal.signal(number, lambda number, _: came.append(number))
    try:
        with Signals() as signals:
            seen = [signals.is_pending]
            signal.raise_signal(number)
            seen += [signals.is_pending, signals.stop_if_asked()]
            assert came == []
        signal.raise_signal(number)
    finally:
        signal.signal(number, before)

    assert seen == [False, True, False]
    # Ctrl-C was the wish to leave, which has been met; each other one still counts.
    assert len(came) == (1 if name == "SIGINT" else 2)


@needs_terminal
def test_a_signal_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert not signals.is_pending
    finally:
        signal.signal(signal.SIGHUP, before)


@needs_terminal
def test_ctrl_z_stops_the_process_and_is_forgotten_then(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))

    with Signals() as signals:
        signal.raise_signal(signal.SIGTSTP)
        seen = [signals.is_pending, signals.stop_if_asked()]
        seen += [signals.is_pending, signals.stop_if_asked()]

    assert seen == [True, True, False, False]
    assert sent == [(os.getpid(), signal.SIGSTOP)]


def test_outside_the_main_thread_signals_stay_as_they_are() -> None:
    seen: list[bool] = []

    def enter() -> None:
        with Signals() as signals:
            seen.append(signals.is_pending)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [False]

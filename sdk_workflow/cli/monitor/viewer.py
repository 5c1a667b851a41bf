"""Keeps a picture up to date until the person has seen enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow.cli.monitor.keyboard import CLOSED
from sdk_workflow.cli.monitor.picture import Snapshot, draw
from sdk_workflow.cli.monitor.view_state import ViewState, first_state, press

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text

    from sdk_workflow.cli.monitor.keyboard import Keyboard
    from sdk_workflow.cli.monitor.screen import Screen
    from sdk_workflow.cli.monitor.signals import Signals
    from sdk_workflow.monitor.processes import Processes
    from sdk_workflow.protocols import Clock

__all__ = ["Terminal", "Viewer", "watch"]

_LOOK_SECONDS = 0.05
# A little less than 3 and 20 looks, so that this look is one that draws. Processes write each 200 ms:
# drawn at that pace too, what is shown could for ever be one version behind.
_DRAW_SECONDS = 0.14
_TICK_SECONDS = 0.98


class Viewer:
    """What is shown, and what the person does about it.

    Args:
        processes: What there is to look at.
        clock: Says what time it is.
    """

    def __init__(self, processes: Processes, *, clock: Clock) -> None:
        self._processes = processes
        self._clock = clock
        self._snapshot = Snapshot(processes=(), now=clock.now())
        self.state = ViewState()

    def look(self) -> bool:
        """Look at the processes; return whether there is something else to show."""
        changed = self._processes.look()
        if self.state.is_paused:
            return False
        seen = self._processes.seen
        if seen and not self._snapshot.processes and self.state == ViewState():
            self.state = first_state(seen)
        self._snapshot = Snapshot(
            processes=seen, now=self._clock.now(), left_out=self._processes.left_out
        )
        if self.state.opened not in {None, *(process.name for process in seen)}:
            self.state = replace(self.state, opened=None)  # its folder was removed
        return changed

    def press(self, keys: Iterable[str]) -> None:
        """Do what keys ask for."""
        for key in keys:
            if key == CLOSED:
                self.state = replace(self.state, is_done=True)
                return
            names = [row.process.name for row in self._snapshot.rows(self.state)]
            self.state = press(self.state, key, names)

    def draw(self, width: int, height: int) -> list[Text]:
        """Return the picture."""
        picture = draw(self._snapshot, self.state, width, height)
        if self.state.scroll > picture.most_scroll:
            self.state = replace(self.state, scroll=picture.most_scroll)
        return picture.lines


class Terminal(NamedTuple):
    """What the person has in front of them.

    Attributes:
        keyboard: Where keys come from.
        screen: Where pictures go.
        signals: What else may end it.
    """

    keyboard: Keyboard
    screen: Screen
    signals: Signals


def watch(viewer: Viewer, terminal: Terminal, *, clock: Clock) -> None:
    """Show pictures until a key or a signal ends it; the terminal is then as it was before.

    Files are looked at 20 times a second. A key and another size are answered at once, news seven
    times a second at most, and where there is none, times go on once a second.
    """
    while True:
        try:
            with terminal.keyboard.opened(), terminal.screen.opened():
                _watch(viewer, terminal, clock)
        except OSError:  # the terminal is gone
            return
        if not terminal.signals.stop_if_asked():
            return


def _watch(viewer: Viewer, terminal: Terminal, clock: Clock) -> None:
    keyboard, screen, signals = terminal
    drawn_at, drawn_size, is_news, is_pressed = float("-inf"), (0, 0), True, False
    while not viewer.state.is_done and not signals.is_pending:
        is_news |= viewer.look()
        size = screen.size()
        now = clock.monotonic()
        wait = _DRAW_SECONDS if is_news else _TICK_SECONDS
        if is_pressed or size != drawn_size or now - drawn_at >= wait:
            screen.show(viewer.draw(*size), size)
            drawn_at, drawn_size, is_news = now, size, False
        keys = keyboard.read(_LOOK_SECONDS)
        is_pressed = bool(keys)
        viewer.press(keys)

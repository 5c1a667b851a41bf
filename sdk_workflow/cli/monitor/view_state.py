"""What the person looks at, and what each key changes about it; pure, without a terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sdk_workflow.cli.monitor.rows import SORTS
from sdk_workflow.cli.monitor.series import PART_SORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk_workflow.monitor.processes import SeenProcess
    from sdk_workflow.monitor.run_folder import RunName

__all__ = ["ViewState", "first_state", "press"]

_PAGE = 10
_FAR = 1_000_000
_MOST_FILTER = 40
_MOVES = {"up": -1, "down": 1, "k": -1, "j": 1, "page_up": -_PAGE, "page_down": _PAGE,
          "home": -_FAR, "end": _FAR}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """What is looked at.

    Attributes:
        opened: The process that is shown alone; None for the list.
        selected: The process that the list points at; None for the first one.
        sort: The order of the list.
        part_sort: The order of models, tools and sessions of one process.
        wanted: What rows have to hold.
        scroll: How many lines of one process are above the screen.
        is_typing: Whether keys go into `wanted`.
        is_paused: Whether what is shown stays as it was.
        shows_help: Whether the keys are explained.
        is_done: Whether the person has seen enough.
    """

    opened: RunName | None = None
    selected: RunName | None = None
    sort: str = "state"
    part_sort: str = "calls"
    wanted: str = ""
    scroll: int = 0
    is_typing: bool = False
    is_paused: bool = False
    shows_help: bool = False
    is_done: bool = False


def first_state(processes: Sequence[SeenProcess]) -> ViewState:
    """Return what is looked at first: the only process, or the only one that runs, else the list."""
    running = [process for process in processes if process.is_running]
    for found in (running, processes):
        if len(found) == 1:
            return ViewState(opened=found[0].name)
    return ViewState()


def press(state: ViewState, key: str, names: Sequence[RunName]) -> ViewState:
    """Return what is looked at after a key.

    Args:
        state: What is looked at before.
        key: A character, or a name such as `up`, `enter` or `esc`.
        names: The processes of the list, as they are shown.
    """
    if state.is_typing:
        return _typed(state, key)
    if state.shows_help:
        return replace(state, shows_help=False, is_done=key == "q")
    if key in _MOVES:
        return _moved(state, _MOVES[key], names)
    action = _ACTIONS.get(key)
    return state if action is None else action(state, names)


def _typed(state: ViewState, key: str) -> ViewState:
    if key == "enter":
        return replace(state, is_typing=False)
    if key == "esc":
        return replace(state, is_typing=False, wanted="")
    if key == "backspace":
        return replace(state, wanted=state.wanted[:-1])
    if len(key) == 1 and key.isprintable() and len(state.wanted) < _MOST_FILTER:
        return replace(state, wanted=state.wanted + key, scroll=0)
    return state


def _moved(state: ViewState, by: int, names: Sequence[RunName]) -> ViewState:
    if state.opened is not None:
        return replace(state, scroll=max(state.scroll + by, 0))
    if not names:
        return state
    index = names.index(state.selected) if state.selected in names else 0
    return replace(state, selected=names[min(max(index + by, 0), len(names) - 1)])


def _entered(state: ViewState, names: Sequence[RunName]) -> ViewState:
    if state.opened is not None or not names:
        return state
    selected = state.selected if state.selected in names else names[0]
    return replace(state, opened=selected, selected=selected, wanted="", scroll=0)


def _gone_back(state: ViewState, _: Sequence[RunName]) -> ViewState:
    if state.wanted:
        return replace(state, wanted="")
    return replace(state, opened=None, selected=state.opened or state.selected, scroll=0)


def _sorted(state: ViewState, _: Sequence[RunName]) -> ViewState:
    if state.opened is None:
        return replace(state, sort=_after(state.sort, tuple(SORTS)))
    return replace(state, part_sort=_after(state.part_sort, PART_SORTS))


def _after(current: str, names: Sequence[str]) -> str:
    return names[(names.index(current) + 1) % len(names)]


_ACTIONS: dict[str, Callable[[ViewState, Sequence[RunName]], ViewState]] = {
    "q": lambda state, _: replace(state, is_done=True),
    "p": lambda state, _: replace(state, is_paused=not state.is_paused),
    "/": lambda state, _: replace(state, is_typing=True),
    "?": lambda state, _: replace(state, shows_help=True),
    "s": _sorted,
    "enter": _entered,
    "esc": _gone_back,
    "backspace": _gone_back,
}

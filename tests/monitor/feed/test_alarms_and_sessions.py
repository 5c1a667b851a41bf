from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sdk_workflow.events import (
    BudgetReached,
    ContextFilling,
    ModelCallFinished,
    ModelCallStarted,
    RunStarted,
    StateChanged,
)
from sdk_workflow.monitor.alarms import Alarms, LoopNoticed
from sdk_workflow.monitor.session_board import SessionBoard
from tests.measures.made_events import cached, call, replied, run_ended, run_failed

if TYPE_CHECKING:
    from sdk_workflow.events import Event

LOOP = LoopNoticed(session_id="ses_1", tool="read", times=5)


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (LOOP, "loop", "read ran 5 times with the same arguments"),
        (
            BudgetReached(limit="hard", limit_usd=1.0, spent_usd=0.9, held_usd=0.1),
            "budget",
            "hard limit of $1.0000 reached: $0.9000 spent, $0.1000 held",
        ),
        (
            ContextFilling(used_tokens=83, window_tokens=100, turns_left=3),
            "context",
            "context window 83% full, about 3 more turns fit",
        ),
        (ContextFilling(used_tokens=83, window_tokens=100), "context", "context window 83% full"),
    ],
)
def test_an_alarm_says_what_is_the_matter(event: Event, kind: str, text: str) -> None:
    alarms = Alarms()
    alarms.note_all({type(event): [(1_800_000_000.0, event)]})
    assert alarms.rows() == [
        {
            "kind": kind,
            "at": "2027-01-15T08:00:00.000Z",
            "session_id": event.session_id,
            "text": text,
        }
    ]


def test_other_events_give_no_alarm() -> None:
    alarms = Alarms()
    alarms.note_all({ModelCallFinished: [(0.0, replied())]})
    assert alarms.rows() == []


def test_the_last_fifty_alarms_are_kept() -> None:
    alarms = Alarms()
    for number in range(60):
        loop = LoopNoticed(session_id="s", tool="read", times=number)
        alarms.note_all({LoopNoticed: [(0.0, loop)]})
    assert [row["text"].split()[2] for row in alarms.rows()] == [str(n) for n in range(10, 60)]


def started(session_id: str = "session-1") -> RunStarted:
    return RunStarted(session_id=session_id, text="private", model="asked-model")


def board_after(*events: Event, board: SessionBoard | None = None) -> SessionBoard:
    board = board or SessionBoard()
    for at, event in enumerate(events):
        board.note_all({type(event): [(float(at), event)]})
    return board


def reply(**fields: object) -> Event:
    made = replied(**fields)  # type: ignore[arg-type]
    return type(made)(
        session_id="session-1", call=made.call, reply=made.reply, duration_ms=made.duration_ms
    )


def test_a_session_is_shown_with_what_it_did() -> None:
    (row,) = board_after(started(), reply(), reply(), run_ended(0.02)).rows()
    assert row == {
        "session_id": "session-1",
        "status": "idle",
        "model": "claude-haiku-5-5",
        "turns": 2,
        "cost_usd": 0.02,
        "context_share": None,
        "started_at": "1970-01-01T00:00:00.000Z",
        "last_active_at": "1970-01-01T00:00:03.000Z",
    }


def test_the_status_is_the_state_of_the_session() -> None:
    moved = StateChanged(session_id="session-1", before="ready", after="executing_tool")
    assert board_after(started()).rows()[0]["status"] == "awaiting_model"
    assert board_after(started(), moved).rows()[0]["status"] == "executing_tool"
    assert board_after(started(), run_failed(ValueError())).rows()[0]["status"] == "error"


def test_the_context_share_is_the_last_prompt_and_answer_in_the_window_of_the_model() -> None:
    windows = {"claude-haiku-5-5": 10_210}
    board = board_after(started(), reply(), board=SessionBoard(window_of=windows.get))
    assert board.rows()[0]["context_share"] == 0.1


def test_where_the_window_is_not_known_the_warning_tells_the_share() -> None:
    filling = ContextFilling(session_id="session-1", used_tokens=9, window_tokens=10)
    assert board_after(started(), reply(), filling).rows()[0]["context_share"] == 0.9


def test_an_answer_out_of_a_cache_fills_no_window() -> None:
    hit = cached()
    event = type(hit)(session_id="session-1", call=hit.call, reply=hit.reply, duration_ms=1.0)
    board = board_after(started(), event, board=SessionBoard(window_of=lambda _: 100))
    assert board.rows()[0]["context_share"] is None
    assert board.rows()[0]["turns"] == 1


def test_costs_that_the_books_know_go_before_those_of_finished_runs() -> None:
    board = SessionBoard(costs_of=lambda names: dict.fromkeys(names, 0.75))
    assert board_after(started(), run_ended(0.02), board=board).rows()[0]["cost_usd"] == 0.75


def test_events_of_no_session_and_of_no_matter_are_left_out() -> None:
    assert board_after(replied(), ModelCallStarted(session_id="s", call=call())).rows() == []


def test_the_fifty_that_were_active_last_are_shown_in_that_order() -> None:
    board = board_after(*[started(f"s{number}") for number in range(60)], started("s0"))
    names = [row["session_id"] for row in board.rows()]
    assert names == ["s0", *(f"s{number}" for number in range(59, 10, -1))]


def test_of_many_sessions_the_one_that_was_active_longest_ago_is_forgotten() -> None:
    early = [started(f"s{number}") for number in range(200)]
    board = board_after(*early, started("s0"), started("new"))
    assert {"s0", "new", "s2"} <= set(board._sessions)
    assert "s1" not in board._sessions


def test_what_happened_between_two_writes_is_followed_in_its_order() -> None:
    board = SessionBoard()
    moved = StateChanged(session_id="session-1", before="idle", after="closed")
    board.note_all({StateChanged: [(3.0, moved)], RunStarted: [(1.0, started())]})
    assert board.rows()[0]["status"] == "closed"


def test_a_call_without_a_run_makes_a_session_too() -> None:
    assert board_after(reply()).rows()[0]["turns"] == 1

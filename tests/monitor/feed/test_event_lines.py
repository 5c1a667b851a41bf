from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.events import (
    BudgetReached,
    ContextFilling,
    FallbackUsed,
    PrefixMoved,
    RunStarted,
    StateChanged,
)
from sdk_workflow.exceptions import OverloadedError
from sdk_workflow.monitor.alarms import LoopNoticed
from sdk_workflow.monitor.event_lines import MOST_LINES_OF_A_KIND, event_lines
from tests.measures.made_events import (
    call,
    failed,
    looked_up,
    replied,
    retried,
    run_ended,
    run_failed,
    tool_ended,
)

if TYPE_CHECKING:
    from sdk_workflow.events import Event
    from sdk_workflow.monitor.feed import TimedEvent

AT = 1_800_000_000.25
MANY = MOST_LINES_OF_A_KIND + 1
ERROR = OverloadedError("A private answer.")


def timed(*events: Event) -> dict[type[Event], list[TimedEvent]]:
    found: dict[type[Event], list[TimedEvent]] = {}
    for number, event in enumerate(events):
        found.setdefault(type(event), []).append((AT + number, event))
    return found


def written(*events: Event) -> list[dict[str, Any]]:
    lines = event_lines(timed(*events))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_a_line_says_when_what_and_whose() -> None:
    (line,) = written(RunStarted(session_id="ses_1", text="private", model="haiku"))
    assert line == {
        "at": "2027-01-15T08:00:00.250Z",
        "kind": "run_started",
        "session_id": "ses_1",
        "model": "haiku",
    }


def test_a_call_says_its_tokens_and_its_duration() -> None:
    (line,) = written(replied(12.34567))
    assert line["kind"] == "call_finished"
    assert line["served_by"] == "api"
    assert line["input_tokens"] == 100
    assert line["cache_read_tokens"] == 600
    assert line["cache_write_5m_tokens"] == 200
    assert line["cache_write_1h_tokens"] == 100
    assert line["output_tokens"] == 21
    assert line["duration_ms"] == 12.346


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (failed(), {"kind": "call_failed", "error": "overloaded", "duration_ms": 50.0}),
        (retried(), {"kind": "call_retried", "error": "overloaded", "wait_seconds": 1.5}),
        (
            FallbackUsed(call=call(), error=ERROR, fallback="sonnet"),
            {"kind": "fallback_used", "fallback": "sonnet"},
        ),
        (
            looked_up("hit", saved_usd=0.25),
            {"kind": "cache_looked_up", "tier": "lru", "outcome": "hit", "saved_usd": 0.25},
        ),
        (
            PrefixMoved(call=call(), part="tools", reason="private"),
            {"kind": "prefix_moved", "part": "tools"},
        ),
        (tool_ended("read"), {"kind": "tool_finished", "tool": "read", "is_error": False}),
        (run_ended(), {"kind": "run_finished", "cost_usd": 0.02, "turns": 1}),
        (run_failed(ValueError()), {"kind": "run_failed", "error": "ValueError"}),
        (
            BudgetReached(limit="soft", limit_usd=1.0, spent_usd=1.1, held_usd=0.2),
            {"kind": "budget_reached", "limit": "soft", "spent_usd": 1.1},
        ),
        (
            ContextFilling(used_tokens=80, window_tokens=100),
            {"kind": "context_filling", "used_tokens": 80, "turns_left": None},
        ),
        (
            LoopNoticed(session_id="s", tool="read", times=5),
            {"kind": "loop_alarm", "tool": "read", "times": 5},
        ),
    ],
)
def test_each_kind_has_its_facts(event: Event, facts: dict[str, Any]) -> None:
    (line,) = written(event)
    assert {name: line[name] for name in facts} == facts


def test_no_line_holds_a_text_of_the_user_or_the_model() -> None:
    lines = written(
        RunStarted(session_id="s", text="private", model="m"),
        replied(),
        failed(ERROR),
        tool_ended("read", path="private"),
        run_ended(),
        PrefixMoved(call=call(), part="tools", reason="private"),
    )
    assert len(lines) == 6
    assert "private" not in json.dumps(lines)


def test_the_name_of_a_tool_that_there_is_not_is_left_out() -> None:
    (line,) = written(tool_ended("the model's own words", error_code="tool_not_found"))
    assert line["tool"] == "unknown"


def test_what_changes_a_state_has_no_line() -> None:
    assert written(StateChanged(before="a", after="b")) == []


def test_hostile_names_stay_inside_their_line_and_short() -> None:
    (line,) = event_lines(timed(tool_ended("\x1b[2J\n" * 100, session_id="../../etc\n")))
    assert line.count("\n") == 1
    assert line.isascii()
    assert "\x1b" not in line
    assert len(json.loads(line)["tool"]) == 64


def test_as_many_as_get_a_line_each_do() -> None:
    assert len(written(*[replied()] * MOST_LINES_OF_A_KIND)) == MOST_LINES_OF_A_KIND


def test_more_of_a_kind_share_a_line_with_sums_and_the_mean_duration() -> None:
    (line,) = written(*[replied(float(number)) for number in range(MANY)])
    assert line["count"] == MANY
    assert line["input_tokens"] == 100 * MANY
    assert line["duration_ms"] == sum(range(MANY)) / MANY
    assert line["session_id"] is None
    assert line["at"] == "2027-01-15T08:00:20.250Z"


def test_shared_lines_keep_models_apart() -> None:
    lines = written(*[replied(model="one")] * MANY, *[replied(model="two")] * 2)
    assert sorted((line["model"], line["count"]) for line in lines) == [("one", MANY), ("two", 2)]


def test_a_shared_line_leaves_out_costs_that_are_not_known() -> None:
    (line,) = written(*[run_ended(None, None)] * MANY, run_ended(0.5))
    assert (line["cost_usd"], line["count"]) == (0.5, MANY + 1)


def test_kinds_with_few_events_keep_their_lines_beside_one_with_many() -> None:
    lines = written(failed(), *[replied()] * MANY, run_ended())
    assert [line["kind"] for line in lines] == ["call_failed", "call_finished", "run_finished"]


def test_alarms_never_share_a_line() -> None:
    reached = BudgetReached(limit="soft", limit_usd=1.0, spent_usd=1.1, held_usd=0.0)
    assert [line["limit_usd"] for line in written(*[reached] * MANY)] == [1.0] * MANY

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from sdk_workflow.core.measures import loop_alarm
from sdk_workflow.core.measures.loop_alarm import LoopAlarm, fingerprint
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import ToolCall


def digest(session_id: str = "s", name: str = "read", **arguments: Any) -> bytes:
    return fingerprint(session_id, ToolCall(id="any", name=name, input=arguments))


def test_the_order_of_arguments_and_the_id_of_a_call_make_no_difference() -> None:
    other = ToolCall(id="another", name="read", input=MappingProxyType({"b": [2], "a": 1}))
    assert digest(a=1, b=[2]) == fingerprint("s", other)


@pytest.mark.parametrize(
    "other",
    [
        digest("t", path="a"),
        digest(name="write", path="a"),
        digest(path="b"),
        digest(path="a", limit=1),
        digest(),
    ],
)
def test_another_session_tool_or_argument_is_another_call(other: bytes) -> None:
    assert digest(path="a") != other


def test_arguments_that_are_not_json_are_told_apart_by_what_they_show() -> None:
    assert digest(value={1, 2}) == digest(value={1, 2})
    assert digest(value={1, 2}) != digest(value={1, 3})


def test_the_alarm_comes_at_the_threshold_and_at_each_multiple() -> None:
    alarm = LoopAlarm(3)
    assert [alarm.note(b"a") for _ in range(7)] == [None, None, 3, None, None, 6, None]


def test_other_calls_in_between_do_not_hide_a_loop() -> None:
    alarm = LoopAlarm(2)
    assert [alarm.note(call) for call in (b"a", b"b", b"a")] == [None, None, 2]


def test_cleared_counts_begin_anew() -> None:
    alarm = LoopAlarm(2)
    alarm.note(b"a")
    alarm.clear()
    assert alarm.note(b"a") is None


def test_the_call_that_was_not_made_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_alarm, "_MAX_REMEMBERED", 2)
    alarm = LoopAlarm(3)
    for call in (b"a", b"b", b"a", b"c"):  # b goes: a was made after it
        alarm.note(call)
    assert alarm.note(b"a") == 3
    assert [alarm.note(b"b") for _ in range(2)] == [None, None]
    assert len(alarm._counts) == 2


@pytest.mark.parametrize("threshold", [1, 0, -3])
def test_fewer_than_two_calls_are_no_loop(threshold: int) -> None:
    with pytest.raises(UsageError, match=f"{threshold} equal calls are no loop") as caught:
        LoopAlarm(threshold)
    assert "at least 2" in caught.value.hint

"""Pre-warming: a call that writes what others share, and what the API would refuse of it."""

from __future__ import annotations

from typing import Any

import pytest

from sdk_workflow.exceptions import UsageError
from tests.prompt_caching.prompts import (
    MARK,
    RULES,
    Desk,
    call,
    marks_of,
    text,
    tool,
    user,
    words,
)

LONE: dict[str, Any] = {"session_id": None}


def test_prewarming_writes_what_the_calls_share() -> None:
    desk = Desk()
    warming = desk.optimizer.prewarm(call(user("Hi"), tools=(tool(),)))
    written = desk.send(warming).usage
    read = desk.ask(call(user("Hi"), tools=(tool(),))).cache_read_input_tokens
    assert written.output_tokens == 0
    assert written.cache_write_5m_input_tokens == read > 2_000


def test_prewarming_can_be_for_an_hour() -> None:
    desk = Desk()
    assert desk.send(desk.optimizer.prewarm(call(), ttl="1h")).usage.cache_write_1h_input_tokens
    assert desk.marks(call(user(words("Hi")), **LONE)) == {"system.0": "1h"}


def test_prewarming_drops_what_the_api_refuses() -> None:
    schema = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    demanding = call(
        tools=(tool(cache_control=MARK),),
        system=(text(RULES, cache_control=MARK), text("More.")),
        tool_choice={"type": "any"},
        parameters={
            "output_config": {"format": schema, "effort": "low"},
            "stop_sequences": ["x"],
            "cache_control": MARK,
            "thinking": {"type": "between_tools"},
        },
    )
    warming = Desk().optimizer.prewarm(demanding)
    assert marks_of(warming) == {"system.1": "5m"}
    assert warming.parameters == {
        "output_config": {"effort": "low"},
        "thinking": {"type": "between_tools"},
    }
    assert warming.tool_choice is None
    assert (warming.session_id, warming.operation) == (None, "prewarm")
    assert Desk().send(warming).usage.cache_write_5m_input_tokens


def test_prewarming_keeps_a_choice_that_forces_nothing() -> None:
    choice = {"type": "auto"}
    only_format = {"output_config": {"format": None}}
    warming = Desk().optimizer.prewarm(call(tool_choice=choice, parameters=only_format))
    assert warming.tool_choice == choice
    assert warming.parameters == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"system": None}, "neither tools nor a system prompt"),
        ({"system": "Be brief."}, "caches none below 512"),
        ({"parameters": {"thinking": {"type": "enabled", "budget_tokens": 2_000}}}, "budget"),
    ],
)
def test_what_cannot_be_prewarmed_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        Desk().optimizer.prewarm(call(**fields))
    assert caught.value.code == "prewarm_refused"
    assert caught.value.hint


def test_a_prewarming_call_gets_no_further_breakpoints() -> None:
    desk = Desk()
    warming = desk.optimizer.prewarm(call())
    assert desk.build(warming) is warming

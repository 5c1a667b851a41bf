"""System messages within a conversation: their place, and the tools that come and go in them."""

from __future__ import annotations

from typing import Any

import pytest

from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.situation import Probe
from tests.simulator.asking import Desk, assistant, text, tool, user

ASK = user("Hello")
CHANGES = "mid-conversation-tool-changes-2026-07-01"
INLINE = "inline-tools-2026-09-15"


class Spy:
    """A brain that notes what it was offered, and calls the last of it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def think(self, params: Any) -> Thought:
        self.names = [each["name"] for each in params.get("tools", ())]
        return Thought(calls=(Probe(tool=self.names[-1], input={}),)) if self.names else Thought()


def system(*blocks: Any, **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": list(blocks), **more}


def change(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "tool": {"type": "tool_reference", "name": name, **more}}


def test_tools_come_and_go_within_a_conversation() -> None:
    spy = Spy()
    desk = Desk(brain=spy)
    tools = [tool("a"), tool("b", defer_loading=True)]
    desk.say(ASK, tools=tools)
    assert spy.names == ["a"]
    added = [ASK, system(change("tool_addition", "b"))]
    desk.say(*added, tools=tools, betas=CHANGES)
    assert spy.names == ["a", "b"]
    removed = [*added, assistant(text()), ASK, system(change("tool_removal", "a"), text("Bye."))]
    desk.say(*removed, tools=tools, betas=CHANGES)
    assert spy.names == ["b"]
    inline = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool("c")}}
    desk.say(ASK, system(inline), system(inline), tools=tools, betas=INLINE)
    assert spy.names == ["a", "c"]
    desk.say(ASK, system(inline), betas=INLINE, tool_choice={"type": "any"})
    assert spy.names == ["c"]


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (change("tool_addition", "x"), "tool_reference_unresolved"),
        (change("tool_removal", "x"), "tool_reference_unresolved"),
        (
            {
                "type": "tool_addition",
                "tool": {"type": "tool_definition", "definition": tool("a", description="other")},
            },
            "tool_name_conflict",
        ),
    ],
)
def test_a_tool_change_that_makes_no_sense_has_its_code(block: Any, code: str) -> None:
    refused = Desk().refusal(ASK, system(block), tools=[tool("a")], betas=INLINE)
    assert (refused.status, refused.error_code) == (400, code)


def test_more_tools_than_can_be_available_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_workflow.simulator.tool_changes.MAX_TOOLS", 1)
    tools = [tool("a"), tool("b", defer_loading=True)]
    refused = Desk().refusal(ASK, system(change("tool_addition", "b")), tools=tools, betas=CHANGES)
    assert refused.error_code == "available_tools_limit_exceeded"


@pytest.mark.parametrize(
    ("message", "betas", "said"),
    [
        (
            system(change("tool_removal", "a")),
            "",
            "messages.1.content.0.type: Input should be one of 'text'",
        ),
        (
            system(
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {}}}
            ),
            CHANGES,
            (
                "messages.1.content.0.tool.type: inline definitions need the beta header "
                f"`{INLINE}`"
            ),
        ),
        (
            system(
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {}}}
            ),
            INLINE,
            "messages.1.content.0.tool.definition.custom.name: Field required",
        ),
        (
            system({"type": "tool_removal", "tool": {"type": "tool_definition"}}),
            CHANGES,
            "messages.1.content.0.tool.type: Input should be one of 'tool_reference'",
        ),
        (
            system(text(), clear_at="never"),
            "",
            "messages.1.clear_at: Extra inputs are not permitted",
        ),
        (
            system(text(), clear_at="soon"),
            "mid-conversation-system-clear-at-2026-08-21",
            "messages.1.clear_at: Input should be one of 'next_user_message', 'never'",
        ),
        (
            system(text(), output_config={"effort": "low"}),
            "",
            "messages.1.output_config: Extra inputs are not permitted",
        ),
        (
            system(text(), output_config={"effort": "huge"}),
            "mid-conversation-output-config-2026-07-01",
            (
                "messages.1.output_config.effort: Input should be one of 'low', 'medium', 'high', "
                "'xhigh', 'max'"
            ),
        ),
        (
            system(output_config={}),
            "mid-conversation-output-config-2026-07-01",
            (
                "messages.1: all messages must have non-empty content except for the optional final "
                "assistant message"
            ),
        ),
    ],
)
def test_a_malformed_system_message_is_refused(message: Any, betas: str, said: str) -> None:
    assert Desk().refusal(ASK, message, tools=[tool("a")], betas=betas).message == said


def test_a_system_message_may_set_the_effort_and_say_nothing() -> None:
    beta = "mid-conversation-output-config-2026-07-01"
    asked = [ASK, system(output_config={"effort": "low"})]
    record = Desk().ask(*asked, betas=beta).record
    other = Desk().ask(ASK, system(output_config={"effort": "max"}), betas=beta).record
    assert record.cache.positions[1].digest != other.cache.positions[1].digest


def test_a_system_message_that_sets_the_effort_needs_no_content() -> None:
    desk, beta = Desk(), "mid-conversation-output-config-2026-07-01"
    bare = {"role": "system", "output_config": {"effort": "low"}}
    empty = {**bare, "content": ""}
    one, two = (desk.ask(ASK, each, betas=beta).record for each in (bare, empty))
    assert one.cache.positions == two.cache.positions
    counted = {"model": "claude-haiku-5-5", "messages": [ASK, bare]}
    assert desk.engine.count_tokens(counted, betas=frozenset({beta}))
    needed = "messages.1.content: Field required"
    assert desk.refusal(ASK, bare).message == needed
    for message in ({"role": "system"}, {"role": "system", "output_config": None}):
        assert desk.refusal(ASK, message, betas=beta).message == needed
    assert desk.refusal(ASK, {**bare, "role": "user"}, betas=beta).message == needed
    assert desk.refusal(ASK, 5, betas=beta).message == "messages.1: Input should be an object"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (
            [ASK, assistant(text()), system(text())],
            (
                "messages.2: a system message must come after a user message or after an assistant "
                "one that ends in server tool use"
            ),
        ),
        ([system(text()), ASK], 'messages: first message must use the "user" role'),
        (
            [ASK, system(text()), system(text()), ASK],
            "messages.2: a system message must be last or come before an assistant one",
        ),
    ],
)
def test_a_system_message_has_its_place(messages: list[Any], message: str) -> None:
    assert Desk().refusal(*messages).message == message


def test_several_system_messages_in_a_row_are_one() -> None:
    assert Desk().say(ASK, system(text()), system(text("y")), assistant(text()), ASK)["content"]

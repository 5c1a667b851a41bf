"""The verdict on what a client makes of a conversation: its cache, its threads, its budget."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdk_workflow.simulator.fault_spec import parse_faults
from sdk_workflow.simulator.physics import Physics
from sdk_workflow.simulator.steps import Answer, Send
from tests.simulator.scene import TEXT, Scene, go_on
from tests.simulator.simulated import HEADERS, params

SYSTEM = {"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}


def talk(*contents: Any, **changes: Any) -> dict[str, Any]:
    """Return a request whose messages are by turns the user's and the model's."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": each} for i, each in enumerate(contents)]
    return {**params(), "system": [SYSTEM], **changes, "messages": messages}


def test_another_conversation_that_begins_with_the_same_words_breaks_nothing() -> None:
    other = [{**SYSTEM, "text": "another rule " * 6000}]
    scene = Scene()
    scene.send(talk("Hi"))
    scene.send(talk("Hi", "Hello.", "More"))
    scene.send(talk("Hi", max_tokens=90))
    scene.send(talk("Hi", system=other))
    assert scene.codes() == set()


def test_a_conversation_that_goes_another_way_behind_what_is_cached_breaks_nothing() -> None:
    scene = Scene()
    for reply in ("Hello.", "Good day."):
        scene.send(talk("Hi", reply, "More"))
    assert scene.codes() == set()


def test_going_back_to_an_earlier_turn_breaks_nothing() -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    scene = Scene()
    scene.send(talk("Hi", "Hello.", "More", "Here.", "Enough", **marked))
    scene.send(talk("Hi", "Hello.", "More", **marked))
    assert scene.codes() == set()


def test_changing_a_setting_that_holds_for_the_cached_prefix_is_found() -> None:
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    marked = {"cache_control": {"type": "ephemeral"}, "tools": tools}
    scene = Scene()
    scene.send(talk("Hi", "Hello.", "More", **marked))
    scene.send(talk("Hi", "Hello.", "More", tool_choice={"type": "none"}, **marked))
    finding = scene.verdict().findings[0]
    assert (finding.code, finding.evidence["tier"]) == ("cache_breaking_prefix", "messages")
    assert 0 < finding.evidence["lost_tokens"] < 100


TOOLS = [
    {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
]


def call_of(scene: Scene, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the tool call that a stream has begun, as a careless client would take it."""
    steps = list(scene.simulated.create(asked, is_streamed=True))
    events = [step.event for step in steps if isinstance(step, Send)]
    opened = next(event for event in events if event["type"] == "content_block_start")
    return {**opened["content_block"], "input": {}}


def test_going_on_from_a_tool_call_that_was_cut_off_is_found() -> None:
    script = [{"tools": [{"name": "look", "input": {"at": "word " * 40}}]}]
    asked = params(tools=TOOLS, max_tokens=500)
    scene = Scene(faults="truncate:after_events=6@0", script=script * 2)
    call = call_of(scene, asked)
    scene.clock.advance(1)
    whole = call_of(scene, asked)
    for taken, found in ((whole, set()), (call, {"truncated_stream_accepted"})):
        result = {"type": "tool_result", "tool_use_id": taken["id"], "content": "Nothing."}
        messages = [
            *asked["messages"],
            {"role": "assistant", "content": [taken]},
            {"role": "user", "content": [result]},
        ]
        scene.send({**asked, "messages": messages})
        codes = scene.codes() - {"retried_non_retryable", "gave_up"}
        assert codes == found


def test_a_retry_that_says_the_same_as_what_was_cut_off_is_the_answer() -> None:
    scene = Scene(faults="truncate:after_events=999@0", script=[TEXT] * 3)
    assert scene.send(stream=True) == TEXT
    scene.clock.advance(1)
    assert scene.send(stream=True) == TEXT
    scene.send(go_on(TEXT))
    assert scene.codes() == set()


BETA = {"anthropic-beta": "message-threads-2026-08-12"}


class Threads(Scene):
    """A client that uses message threads, over HTTP as they demand their header."""

    def post(self, *contents: str, thread: Any = None, **changes: Any) -> Any:
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": each} for i, each in enumerate(contents)]
        asked = {**params(), "messages": messages, **changes}
        body = json.dumps(asked if thread is None else {**asked, "thread": thread}).encode()
        steps = self.simulated.handle("POST", "/v1/messages", {**HEADERS, **BETA}, body)
        return next(step.body for step in steps if isinstance(step, Answer))

    def lose(self) -> dict[str, Any]:
        """Lose a thread, ask for it, and return what was asked for."""
        said = self.post("Hi", thread={"type": "create"})
        self.simulated.engine.threads.lose()
        thread = {"type": "continue", "previous_message_id": said["id"]}
        lost = self.post("More", thread=thread)
        assert lost["error"]["details"] == {"error_code": "thread_not_found"}
        return thread


def test_a_lost_thread_that_is_not_replayed_is_found() -> None:
    scene = Threads()
    thread = scene.lose()
    assert scene.codes() == {"missing_thread_replay"}
    no_replays: list[tuple[tuple[str, ...], Any]] = [
        (("More",), {"type": "create"}),
        (("More", "Yes?", "And more"), thread),
        (("Hi", "Hello.", "Something else"), {"type": "create"}),
    ]
    for contents, said in no_replays:
        scene.post(*contents, thread=said)
        assert (1,) in {found.requests for found in scene.verdict().findings}
    scene.post("Hi", "Hello.", "More", thread={"type": "create"})
    assert (1,) not in {found.requests for found in scene.verdict().findings}


@pytest.mark.parametrize("thread", [{"type": "create"}, None])
def test_a_lost_thread_is_replayed_with_or_without_a_new_one(thread: Any) -> None:
    scene = Threads()
    scene.lose()
    marked = [{"type": "text", "text": "More", "cache_control": {"type": "ephemeral"}}]
    scene.post("Hi", "Hello.", "More", thread=thread)
    assert scene.codes() == set()
    again = Threads()
    said = again.post("Hi", thread={"type": "create"})
    again.simulated.engine.threads.lose()
    continued = {"type": "continue", "previous_message_id": said["id"]}
    again.post(marked, thread=continued)  # type: ignore[arg-type] # blocks are content too
    again.post("Hi", "Hello.", [{"type": "text", "text": "More"}], thread=thread)  # type: ignore[arg-type]
    assert again.codes() == set()


def test_a_prompt_that_the_journal_has_let_go_of_proves_nothing() -> None:
    scene = Threads()
    scene.lose()
    journal = scene.simulated.journal
    assert journal is not None
    for entry in journal.entries():
        entry.prompt = None
    assert scene.codes() == set()


def test_a_turn_that_is_still_under_way_may_be_sent_again() -> None:
    scene = Threads(faults="400:error_code=thread_continue_in_flight@0")
    scene.post("Hi")
    assert scene.codes() == set()
    scene.clock.advance(1)
    scene.post("Hi")
    assert scene.codes() == set()


def test_breaking_the_prefix_of_a_thread_is_found_in_a_turn_without_an_assistant() -> None:
    scene = Threads()
    marked = {"cache_control": {"type": "ephemeral"}}
    said = scene.post("word " * 6000, thread={"type": "create"}, **marked)
    thread = {"type": "continue", "previous_message_id": said["id"]}
    image = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    scene.post([{"type": "image", "source": image}], thread=thread, **marked)  # type: ignore[arg-type]
    assert scene.codes() == {"cache_breaking_prefix"}


def test_going_on_when_the_budget_is_spent_is_found_where_one_is_named() -> None:
    scene = Scene()
    for text in ("One", "Two", "Three"):
        scene.send(params(text))
        scene.clock.advance(1)
    scene.simulated.faults = parse_faults("400")
    scene.send(params("Refused"))
    journal = scene.simulated.journal
    assert journal is not None
    costs = [entry.cost.usd for entry in journal.entries() if entry.cost]
    assert scene.codes() == scene.codes(budget_usd=sum(costs) * 1.01) == set()
    finding = scene.verdict(budget_usd=costs[0] + costs[1]).findings[0]
    assert (finding.code, finding.requests) == ("budget_overrun", (2, 3))
    assert finding.evidence["spent_usd"] == pytest.approx(costs[0] + costs[1])
    assert scene.verdict(budget_usd=costs[0]).findings[0].requests == (1, 2, 3)
    assert scene.verdict(budget_usd=0).findings[0].requests == (0, 1, 2, 3)


def test_what_is_under_way_when_a_request_starts_has_cost_nothing_yet() -> None:
    scene = Scene(physics=Physics(jitter=0.0))
    steps = [scene.simulated.create(params(str(number))) for number in range(3)]
    for each in steps:
        next(each)
    scene.clock.advance(5)
    for each in steps:
        assert [step.status for step in each if isinstance(step, Answer)] == [200]
    assert scene.codes(budget_usd=1e-9) == set()
    scene.clock.advance(1)
    list(scene.simulated.create(params("Late")))
    assert scene.verdict(budget_usd=1e-9).findings[0].requests == (3,)


def test_the_messages_that_were_given_out_may_come_from_an_iterator() -> None:
    scene = Scene(faults="truncate@0-1")
    for text in ("One", "Two"):
        scene.send(params(text), stream=True)
    journal = scene.simulated.journal
    assert journal is not None
    given = reversed([entry.message_id or "" for entry in journal.entries()])
    findings = scene.verdict(accepted=given).findings
    assert [found.code for found in findings].count("truncated_stream_accepted") == 2

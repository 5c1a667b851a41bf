"""One suite for every `Transport`: what is written for one way to a model holds for the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anthropic.types import TextBlock

from sdk_workflow.exceptions import ContextOverflow, LLMError, RequestRejected
from sdk_workflow.protocols import Transport
from sdk_workflow.types import Call, ToolResult, ToolSpec

if TYPE_CHECKING:
    from sdk_workflow.types import Emit, Reply, StreamEvent

pytestmark = pytest.mark.anyio

MODEL = "claude-haiku-5-5"
READ = ToolSpec(
    name="read",
    description="Read a file.",
    input_schema={
        "type": "object",
        "properties": {"path": {"type": "string", "description": "The file."}},
        "required": ["path"],
    },
)
SEQUENCE = re.compile(
    r"message_start (ping )?"
    r"(content_block_start (content_block_delta )+content_block_stop )+"
    r"message_delta message_stop "
)


class Collector:
    """An `emit` that keeps what it is handed."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []

    async def __call__(self, event: StreamEvent) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> str:
        return "".join(f"{event['type']} " for event in self.events)

    @property
    def text(self) -> str:
        return "".join(event.get("delta", {}).get("text", "") for event in self.events)


def ask(prompt: str = "Tell me about the sea.", *, emit: Emit | None = None, **fields: Any) -> Call:
    messages = ({"role": "user", "content": prompt},)
    return Call(**{"model": MODEL, "messages": messages, "emit": emit, **fields})


async def refusal(transport: Transport, call: Call) -> LLMError:
    """Return the error that a call comes to."""
    with pytest.raises(LLMError) as caught:
        await transport.send(call)
    return caught.value


async def test_it_is_a_transport(transport: Transport) -> None:
    assert isinstance(transport, Transport)


async def test_a_plain_reply_is_whole(transport: Transport) -> None:
    reply = await transport.send(ask())
    assert reply.text
    assert (reply.model, reply.stop_reason, reply.stop_sequence) == (MODEL, "end_turn", None)
    assert reply.id.startswith("msg_")
    assert reply.request_id
    assert reply.request_id.startswith("req_")
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0
    assert reply.time_to_first_token_ms is None


async def test_a_streamed_reply_is_the_plain_one(transport: Transport) -> None:
    plain = await transport.send(ask())
    collector = Collector()
    streamed = await transport.send(ask(emit=collector))
    assert (streamed.text, streamed.usage) == (plain.text, plain.usage)
    assert (streamed.stop_reason, streamed.model) == (plain.stop_reason, plain.model)
    assert collector.text == plain.text
    assert streamed.time_to_first_token_ms is not None
    assert streamed.time_to_first_token_ms >= 0


async def test_the_events_come_in_the_order_of_the_api(transport: Transport) -> None:
    collector = Collector()
    await transport.send(ask(emit=collector))
    assert SEQUENCE.fullmatch(collector.kinds)
    started, ended = collector.events[0], collector.events[-2]
    assert started["message"]["content"] == []
    assert started["message"]["stop_reason"] is None
    assert ended["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


async def test_each_event_is_taken_before_the_next_is_handed_over(transport: Transport) -> None:
    is_taking = False
    count = 0

    async def slow(_event: StreamEvent) -> None:
        nonlocal is_taking, count
        assert not is_taking
        is_taking = True
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        is_taking = False
        count += 1

    await transport.send(ask(emit=slow))
    assert not is_taking
    assert count > 5


async def test_nothing_goes_on_while_an_event_is_not_taken(transport: Transport) -> None:
    collector = Collector()
    may_go_on = anyio.Event()

    async def stuck(event: StreamEvent) -> None:
        await collector(event)
        await may_go_on.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.send, ask(emit=stuck))
        while not collector.events:
            await anyio.lowlevel.checkpoint()
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert len(collector.events) == 1
        may_go_on.set()
    assert SEQUENCE.fullmatch(collector.kinds)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_a_tool_call_makes_the_round_trip(transport: Transport, *, is_streamed: bool) -> None:
    emit = Collector() if is_streamed else None
    first = ask("Read notes.txt", tools=(READ.to_api(),), emit=emit)
    asked = await transport.send(first)
    assert asked.stop_reason == "tool_use"
    (tool_call,) = asked.tool_calls
    assert (tool_call.name, tool_call.input) == ("read", {"path": "notes.txt"})
    result = ToolResult(tool_call_id=tool_call.id, content="The tide is high at seven.")
    answered = await transport.send(
        ask(
            tools=first.tools,
            emit=emit,
            messages=(
                *first.messages,
                {"role": "assistant", "content": list(asked.content)},
                {"role": "user", "content": [result.to_block()]},
            ),
        )
    )
    assert answered.stop_reason == "end_turn"
    assert "The tide is high at seven." in answered.text


async def test_the_arguments_of_a_tool_call_arrive_in_pieces_of_json(transport: Transport) -> None:
    collector = Collector()
    await transport.send(ask("Read notes.txt", tools=(READ.to_api(),), emit=collector))
    assert SEQUENCE.fullmatch(collector.kinds)
    pieces = [event.get("delta", {}).get("partial_json", "") for event in collector.events]
    assert "".join(pieces) == '{"path": "notes.txt"}'


async def test_counting_agrees_with_what_is_charged(transport: Transport) -> None:
    call = ask(system="Be brief.", tools=(READ.to_api(),))
    reply = await transport.send(call)
    assert await transport.count_tokens(call) == reply.usage.prompt_tokens
    longer = ask("Tell me about the sea and the sky.", system=call.system, tools=call.tools)
    assert await transport.count_tokens(longer) > reply.usage.prompt_tokens


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_an_unknown_model_is_refused(transport: Transport, *, is_streamed: bool) -> None:
    emit = Collector() if is_streamed else None
    error = await refusal(transport, ask(model="claude-nobody-1", emit=emit))
    assert type(error) is RequestRejected
    assert (error.status, error.retryable) == (404, False)
    assert "claude-nobody-1" in str(error)
    assert error.request_id
    assert emit is None or emit.events == []


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # advice of aiohttp
async def test_a_prompt_that_is_too_long_overflows_the_context(transport: Transport) -> None:
    error = await refusal(transport, ask("wave " * 1_200_000))
    assert type(error) is ContextOverflow
    assert (error.status, error.retryable) == (400, False)
    assert "prompt is too long" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": ()}, "messages"),
        ({"messages": ({"role": "bishop", "content": "Hi"},)}, "messages.0.role"),
        ({"parameters": {"wishes": 3}}, "wishes"),
        ({"tools": ({"name": "read", "input_schema": {"type": "array"}},)}, "tools.0"),
    ],
)
async def test_an_invalid_request_is_refused_with_its_path(
    transport: Transport, fields: dict[str, Any], path: str
) -> None:
    error = await refusal(transport, ask(**fields))
    assert type(error) is RequestRejected
    assert error.status == 400
    assert path in str(error)


async def test_counting_refuses_what_sending_refuses(transport: Transport) -> None:
    with pytest.raises(RequestRejected, match="claude-nobody-1") as caught:
        await transport.count_tokens(ask(model="claude-nobody-1"))
    assert caught.value.status == 404


async def test_a_refusal_leaves_the_transport_usable(transport: Transport) -> None:
    await refusal(transport, ask(model="claude-nobody-1"))
    assert (await transport.send(ask())).text


async def test_output_stops_at_its_limits(transport: Transport) -> None:
    whole = (await transport.send(ask())).text
    cut = await transport.send(ask(max_tokens=3))
    assert cut.stop_reason == "max_tokens"
    assert cut.usage.output_tokens <= 3
    assert whole.startswith(cut.text)
    word = whole.split()[2]
    stopped = await transport.send(ask(parameters={"stop_sequences": [word]}))
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert word not in stopped.text


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
async def test_text_of_any_script_arrives_as_it_was_said(
    transport: Transport, *, is_streamed: bool
) -> None:
    said = "Æther 海 🌊 \u2028 Ὀδυσσεύς"
    asked = ToolResult(tool_call_id="toolu_1", content=said)
    use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.txt"}}
    messages = (
        {"role": "user", "content": "Read a.txt"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [asked.to_block()]},
    )
    emit = Collector() if is_streamed else None
    reply = await transport.send(ask(messages=messages, tools=(READ.to_api(),), emit=emit))
    assert "海 🌊" in reply.text
    assert emit is None or emit.text == reply.text


async def test_cancelling_in_the_middle_leaves_the_transport_usable(transport: Transport) -> None:
    collector = Collector()
    with anyio.CancelScope() as scope:

        async def cancel(event: StreamEvent) -> None:
            await collector(event)
            if event["type"] == "content_block_delta":
                scope.cancel()
                await anyio.lowlevel.checkpoint()

        await transport.send(ask(emit=cancel))
    assert scope.cancelled_caught
    assert collector.events[-1]["type"] == "content_block_delta"
    assert (await transport.send(ask())).stop_reason == "end_turn"


async def test_an_error_of_the_listener_comes_out_as_it_is(transport: Transport) -> None:
    fault = ValueError("The listener is tired.")

    async def tired(_event: StreamEvent) -> None:
        raise fault

    with pytest.raises(ValueError, match="tired") as caught:
        await transport.send(ask(emit=tired))
    assert caught.value is fault
    assert (await transport.send(ask())).text


async def test_calls_side_by_side_keep_to_themselves(transport: Transport) -> None:
    names = [f"file{number}.txt" for number in range(8)]
    replies: dict[str, Reply] = {}

    async def one(name: str) -> None:
        call = ask(f"Read {name}", tools=(READ.to_api(),), emit=Collector())
        replies[name] = await transport.send(call)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(one, name)
    assert {name: replies[name].tool_calls[0].input for name in names} == {
        name: {"path": name} for name in names
    }
    assert len({reply.id for reply in replies.values()}) == len(names)
    assert len({reply.request_id for reply in replies.values()}) == len(names)


async def test_the_reply_says_who_served_it(transport: Transport) -> None:
    assert (await transport.send(ask())).served_by == "simulator", "also where HTTP lies between"
    assert (await transport.send(ask(emit=Collector()))).served_by == "simulator"


async def test_closing_twice_does_nothing(transport: Transport) -> None:
    await transport.send(ask())
    await transport.aclose()
    await transport.aclose()


async def test_what_was_never_used_can_be_closed(transport: Transport) -> None:
    await transport.aclose()


def endless() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    return circle


@pytest.mark.parametrize(
    "value",
    ["\ud800", b"bytes", float("nan"), 10**5000, endless(), object()],
    ids=["half a pair", "bytes", "nan", "5000 digits", "circle", "object"],
)
async def test_what_json_cannot_carry_is_refused_with_its_place(
    transport: Transport, value: Any
) -> None:
    tool = {**READ.to_api(), "input_schema": {"type": "object", "default": value}}
    call = ask(tools=(tool,))
    for refused in (transport.send, transport.count_tokens):
        with pytest.raises(RequestRejected, match=r"tools\.0\.input_schema\.default") as caught:
            await refused(call)
        assert (caught.value.code, caught.value.retryable) == ("unencodable_request", False)


async def test_objects_that_stand_for_json_are_read_as_json(transport: Transport) -> None:
    block = TextBlock(type="text", text="Hello")
    reply = await transport.send(ask(messages=({"role": "user", "content": (block,)},)))
    assert reply.stop_reason == "end_turn"

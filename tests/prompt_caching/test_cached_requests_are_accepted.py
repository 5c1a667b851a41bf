"""Properties of whatever the optimiser makes of a call: the API takes it, and it says the same."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import assume, given, settings

from sdk_workflow.core.prompt_caching.anatomy import (
    LOOKBACK,
    automatic_ttl,
    explicit_marks,
    last_markable,
)
from sdk_workflow.core.prompt_caching.savings import CacheBooks
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.types import Call, Usage
from tests.prompt_caching.prompts import (
    HOUR,
    MARK,
    Desk,
    assistant,
    marks_of,
    result,
    text,
    tool,
    use,
    user,
    words,
)

MODELS = ("claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5-5", "claude-opus-4-7")
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="},
}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}
DOCUMENT = {
    "type": "document",
    "source": {"type": "content", "content": [text("inside"), text("too")]},
}
SIZES = st.sampled_from([1, 20, 700, 4_500])


@st.composite
def systems(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["none", "text", "blocks"]))
    if kind == "none":
        return None
    if kind == "text":
        return words("rules", draw(SIZES))
    return tuple(text(words(str(n), draw(SIZES))) for n in range(draw(st.integers(1, 3))))


@st.composite
def toolsets(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    found = [tool(f"t{n}") for n in range(draw(st.integers(0, 3)))]
    if found:
        found.insert(0, tool("look"))
        if draw(st.booleans()):
            found.append(tool("late", defer_loading=True))
    return tuple(found)


@st.composite
def exchanges(draw: st.DrawFn, first: int) -> list[dict[str, Any]]:
    """Return an answer of the model and what follows it."""
    said: list[Any] = [THOUGHT] if draw(st.booleans()) else []
    calls = draw(st.sampled_from([0, 0, 1, 1, 2, 11, 24]))
    if not calls or draw(st.booleans()):
        said.append(text(words("said", draw(SIZES))))
    said += [use(first + number) for number in range(calls)]
    back: list[Any] = []
    for number in range(calls):
        content = draw(st.sampled_from(["ok", words("long", 300), [text("a"), text("b")]]))
        back.append(result(first + number, content))
    if not calls or draw(st.booleans()):
        back.append(draw(st.sampled_from([text("Go on."), IMAGE, DOCUMENT])))
    if not calls and draw(st.booleans()):
        return [assistant(*said), user("Go on.")]
    return [assistant(*said), user(*back)]


@st.composite
def conversations(draw: st.DrawFn) -> list[Call]:
    """Return the calls of a conversation, each with the messages of those before it."""
    messages: list[Any] = [user(words("first", draw(SIZES)))]
    model, system, tools = draw(st.sampled_from(MODELS)), draw(systems()), draw(toolsets())
    session = draw(st.sampled_from([None, "s"]))
    calls: list[Call] = []
    for turn in range(draw(st.integers(1, 5))):
        if turn:
            messages += draw(exchanges(1000 * turn)) if tools else [assistant("Yes."), user("And?")]
        calls.append(
            Call(
                model=model,
                messages=tuple(messages),
                max_tokens=50,
                system=system,
                tools=tools,
                session_id=session,
            )
        )
    return calls


@st.composite
def with_marks_of_the_user(draw: st.DrawFn, call: Call) -> Call:
    """Return the call with up to four breakpoints in an order that the API takes."""
    params = call.to_params()
    system = params.get("system")
    groups: list[list[Any]] = [list(params.get("tools", ())), []]
    groups[1] = list(system) if isinstance(system, list) else []
    messages = [dict(message) for message in params["messages"]]
    for message in messages:
        if not isinstance(message["content"], str):
            message["content"] = list(message["content"])
            groups.append(message["content"])
    spots = [(group, number) for group in groups for number in range(len(group))]
    chosen = sorted(draw(st.sets(st.integers(0, len(spots) - 1), max_size=4))) if spots else []
    hours = draw(st.integers(0, len(chosen)))
    for rank, index in enumerate(chosen):
        group, number = spots[index]
        group[number] = {**group[number], "cache_control": HOUR if rank < hours else MARK}
    changed = {**params, "messages": messages}
    if groups[0]:
        changed["tools"] = groups[0]
    if groups[1]:
        changed["system"] = groups[1]
    if draw(st.booleans()):
        changed["cache_control"] = draw(st.sampled_from([MARK, HOUR]))
    marked = Call.from_params(changed)
    return Call(**{**_fields(marked), "session_id": call.session_id})


def _fields(call: Call) -> dict[str, Any]:
    return {name: getattr(call, name) for name in call.__dataclass_fields__}


def is_accepted(desk: Desk, call: Call) -> bool:
    try:
        desk.engine.create(call.to_params())
    except ApiError:
        return False
    return True


def said(value: Any) -> Any:
    """Return a call or a value in it without breakpoints, its texts as blocks."""
    if isinstance(value, Call):
        return said(value.to_params())
    if isinstance(value, dict):
        return {
            name: (
                [text(item)]
                if name in {"content", "system"} and isinstance(item, str)
                else said(item)
            )
            for name, item in value.items()
            if name != "cache_control"
        }
    return [said(item) for item in value] if isinstance(value, (list, tuple)) else value


def count_of_marks(call: Call) -> int:
    """Return how many breakpoints the API counts."""
    tail = last_markable(call.messages)
    places = [mark.place for mark in explicit_marks(call)]
    return len(places) + (automatic_ttl(call) is not None and tail not in places)


GAPS = st.sampled_from([0.0, 5.0, 290.0, 400.0, 2_000.0, 5_000.0])


@settings(max_examples=120, deadline=None)
@given(data=st.data(), calls=conversations(), is_automatic=st.booleans())
def test_every_built_call_is_accepted_unchanged_and_final(
    data: st.DataObject, calls: list[Call], *, is_automatic: bool
) -> None:
    desk, judge = Desk(automatic=is_automatic), Desk()
    for call in calls:
        own = data.draw(with_marks_of_the_user(call)) if data.draw(st.booleans()) else call
        assume(is_accepted(judge, own))
        built = desk.build(own, after=data.draw(GAPS))
        desk.engine.create(built.to_params())
        assert said(built) == said(call)
        assert count_of_marks(built) <= 4
        assert marks_of(own).items() <= marks_of(built).items()
        assert desk.build(built, after=0) is built


@settings(max_examples=60, deadline=None)
@given(calls=conversations(), gap=GAPS)
def test_our_books_are_those_of_the_simulator(calls: list[Call], gap: float) -> None:
    assume(calls[0].model != "claude-haiku-4-5")  # it drops thinking from the history
    assume(not any("image" in str(call.messages) for call in calls))  # they change the settings
    desk, books = Desk(), CacheBooks(PseudoTokenizer())
    for call in calls:
        built = desk.build(call, after=gap)
        least = desk.optimizer._facts_of(call.model).min_tokens
        billed = desk.send(built).usage
        ours = books.bill(built, now=desk.clock.now(), min_tokens=least)
        assert ours == Usage(**{**_usage_fields(billed), "output_tokens": 0})


def _usage_fields(usage: Usage) -> dict[str, int]:
    return {name: getattr(usage, name) for name in usage.__dataclass_fields__}


@settings(max_examples=40, deadline=None)
@given(calls=conversations())
def test_quick_turns_read_everything_that_was_written(calls: list[Call]) -> None:
    assume(calls[0].model != "claude-haiku-4-5")
    assume(not any("image" in str(call.messages) for call in calls))
    desk, left = Desk(), 0
    for call in calls:
        usage = desk.ask(call, after=20.0)
        assert usage.cache_read_input_tokens >= left
        left = usage.prompt_tokens - usage.input_tokens
    assert LOOKBACK == 20

"""Validators, interceptors and hooks: who may refuse, who may change, who may only look."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import ToolDenied
from sdk_workflow.types import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.types import ToolCall

from tests.tools.dispatching import make_call, make_dispatcher, make_tool, raising

pytestmark = pytest.mark.anyio


async def test_validators_refuse_by_a_string_or_by_raising() -> None:
    async def too_rude(arguments: Any) -> str | None:
        return "that is rude" if arguments["text"] == "rude" else None

    def too_long(arguments: Any) -> None:
        if len(arguments["text"]) > 10:
            raise ValueError("too long")
        if arguments["text"] == "no":
            raise ToolDenied("Not this word.")

    dispatcher = make_dispatcher()
    dispatcher.register_validator("echo", too_rude)
    dispatcher.register_validator("echo", too_long)
    dispatcher.register_validator("other", raising(AssertionError()))
    results = [await dispatcher.dispatch(make_call(text=t)) for t in ("ok", "rude", "x" * 11, "no")]
    assert [(result.content, result.error_code) for result in results] == [
        ("ok", None),
        ("The arguments of tool 'echo' were refused: that is rude", "invalid_tool_input"),
        ("The arguments of tool 'echo' were refused: ValueError: too long", "invalid_tool_input"),
        ("Not this word.", "tool_denied"),
    ]


async def test_interceptors_change_a_call_one_after_the_other() -> None:
    def upper(call: ToolCall) -> ToolCall:
        return replace(call, id="forged", input={"text": call.input["text"].upper()})

    async def exclaim(call: ToolCall) -> ToolCall:
        return replace(call, input={"text": call.input["text"] + "!"})

    dispatcher = make_dispatcher()
    dispatcher.on_before_tool_call(upper)
    dispatcher.on_before_tool_call(exclaim)
    dispatcher.on_before_tool_call(lambda _call: None)
    result = await dispatcher.dispatch(make_call())
    assert result == ToolResult(tool_call_id="t1", content="HELLO!")


async def test_a_changed_call_is_checked_again() -> None:
    dispatcher = make_dispatcher()
    dispatcher.register_validator("echo", lambda arguments: "no" if arguments["text"] == "" else 0)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"input": {"text": ""}}, "invalid_tool_input"),
        ({"input": {"text": 5}}, "invalid_tool_input"),
        ({"name": "gone"}, "tool_not_found"),
    ]
    for changed, expected in cases:
        dispatcher._interceptors.clear()
        dispatcher.on_before_tool_call(partial(replace, **changed))
        assert (await dispatcher.dispatch(make_call())).error_code == expected


async def test_a_call_that_was_changed_in_place_is_checked_again() -> None:
    ran: list[str] = []
    dispatcher = make_dispatcher(make_tool(lambda **arguments: ran.append(str(arguments))))

    def corrupt(call: ToolCall) -> None:
        assert isinstance(call.input, dict)
        call.input.update(text=5, extra=1)

    dispatcher.on_before_tool_call(corrupt)
    assert (await dispatcher.dispatch(make_call())).error_code == "invalid_tool_input"
    assert ran == []


async def test_what_a_tool_does_to_its_arguments_does_not_change_the_call() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "array"}}}
    dispatcher = make_dispatcher(make_tool(lambda text: text.clear(), schema=schema))
    call = make_call(text=["a", ["b"]])

    assert not (await dispatcher.dispatch(call)).is_error
    assert call.input == {"text": ["a", ["b"]]}


async def test_arguments_that_are_nested_beyond_measure_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    schema = {"type": "object", "properties": {"text": {"type": "array"}}}
    dispatcher = make_dispatcher(make_tool(lambda text: str(len(text)), schema=schema))

    result = await dispatcher.dispatch(make_call(text=deep))

    assert result.error_code == "invalid_tool_input"
    assert "nested too deeply" in result.content


async def test_an_interceptor_denies_and_the_tool_does_not_run() -> None:
    ran: list[str] = []
    dispatcher = make_dispatcher(make_tool(lambda text: ran.append(f"ran {text}")))
    dispatcher.on_before_tool_call(raising_call(ToolDenied("Not now.", hint="Ask first.")))
    result = await dispatcher.dispatch(make_call())
    assert (result.content, result.error_code) == ("Not now.\nAsk first.", "tool_denied")
    assert ran == []


@pytest.mark.parametrize("answer", [ZeroDivisionError("secret detail"), "not a call"])
async def test_an_interceptor_that_fails_denies_the_call(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = make_dispatcher()
    is_error = isinstance(answer, Exception)
    dispatcher.on_before_tool_call(raising_call(answer) if is_error else lambda _call: answer)
    with caplog.at_level(logging.ERROR, logger="sdk_workflow.tools"):
        result = await dispatcher.dispatch(make_call())
    assert result.error_code == "tool_denied"
    assert "secret detail" not in result.content
    assert "An interceptor of tool echo failed" in caplog.text


def raising_call(error: BaseException) -> Callable[[ToolCall], Any]:
    def intercept(_call: ToolCall) -> None:
        raise error

    return intercept


async def test_hooks_see_and_change_the_result_of_every_execution() -> None:
    seen: list[tuple[str, bool]] = []

    async def note(call: ToolCall, result: ToolResult) -> None:
        seen.append((call.name, result.is_error))

    def mask(_call: ToolCall, result: ToolResult) -> ToolResult:
        return replace(result, tool_call_id="forged", content=result.content.replace("l", "*"))

    dispatcher = make_dispatcher(make_tool(), make_tool(raising(OSError("full")), name="bad"))
    dispatcher.on_after_tool_execution(note)
    dispatcher.on_after_tool_execution(mask)
    good = await dispatcher.dispatch(make_call())
    bad = await dispatcher.dispatch(make_call("bad"))
    await dispatcher.dispatch(make_call("unknown"))
    assert good == ToolResult(tool_call_id="t1", content="he**o")
    assert bad.content == "Too* 'bad' fai*ed with OSError: fu**"
    assert seen == [("echo", False), ("bad", True)]


@pytest.mark.parametrize("answer", [RuntimeError("broken"), "no result"])
async def test_a_hook_that_fails_changes_nothing_and_is_logged(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_call: ToolCall, _result: ToolResult) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    dispatcher = make_dispatcher()
    dispatcher.on_after_tool_execution(hook)
    with caplog.at_level(logging.ERROR, logger="sdk_workflow.tools"):
        result = await dispatcher.dispatch(make_call())
    assert result.content == "hello"
    assert "A hook behind tool echo failed" in caplog.text

"""What interceptors make of a call: it is what runs, and never what the model is said to have asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.tools.effects import NOT_DONE
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec
from tests.agent.crashing import Crash, Disk, Fuse, World, effect_tool, open_crashing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.types import ToolCall

pytestmark = pytest.mark.anyio


def in_place(call: ToolCall) -> None:
    assert isinstance(call.input, dict)
    call.input["name"] = f"safe-{call.input['name']}"


def by_another(call: ToolCall) -> ToolCall:
    return replace(call, input={"name": f"safe-{call.input['name']}"})


def asked_for(session: AgentSession) -> list[Mapping[str, Any]]:
    return [
        block
        for message in session.get_history()
        for block in message["content"]
        if isinstance(block, dict) and block["type"] == "tool_use"
    ]


@pytest.mark.parametrize("interceptor", [in_place, by_another])
async def test_the_history_keeps_what_the_model_asked_for(
    interceptor: Callable[[ToolCall], Any],
) -> None:
    disk, world = Disk(), World()
    session = open_crashing([["other"]], disk, world)
    session.on_before_tool_call(interceptor)

    result = await session.message("Go")

    assert world.times("other safe-0-0") == 1
    assert [block["input"] for block in asked_for(session)] == [{"name": "0-0"}]
    assert [record.input for record in result.tool_calls] == [{"name": "0-0"}]
    said = [record.body["content"] for record in disk.records if record.kind == "model_result"]
    assert said[0][0]["input"] == {"name": "0-0"}


@pytest.mark.parametrize("interceptor", [in_place, by_another])
async def test_a_call_in_doubt_is_reconciled_as_it_was_run(
    interceptor: Callable[[ToolCall], Any],
) -> None:
    disk, world = Disk(), World()
    session = crashing(disk, world)
    session.on_before_tool_call(interceptor)
    with pytest.raises(Crash):
        await session.message("Go")
    asked: list[Mapping[str, Any]] = []

    def reconcile(_key: str, arguments: Mapping[str, Any]) -> Any:
        asked.append(arguments)
        return NOT_DONE

    resumed = open_crashing([["other"]], disk, world, tools=[reconcilable(world, reconcile)])
    resumed.on_before_tool_call(interceptor)
    await resumed.resume()

    assert asked == [{"name": "safe-0-0"}]
    # It is run again as the model has asked for it, so that interceptors change it once.
    assert world.effects[-1][0] == "other safe-0-0"


async def test_a_call_that_was_led_to_another_tool_is_reconciled_by_that_one() -> None:
    disk, world = Disk(), World()
    session = crashing(disk, world)
    session.on_before_tool_call(lambda call: replace(call, name="idempotent"))
    with pytest.raises(Crash):
        await session.message("Go")

    def refuse(_key: str, _arguments: Mapping[str, Any]) -> Any:
        raise AssertionError("This tool was never run.")

    resumed = open_crashing(
        [["other"]],
        disk,
        world,
        tools=[reconcilable(world, refuse), effect_tool("idempotent", world, Fuse())],
    )
    resumed.on_before_tool_call(lambda call: replace(call, name="idempotent"))
    result = await resumed.resume()

    assert [effect for effect, _ in world.effects] == ["idempotent 0-0"] * 2
    assert len({key for _, key in world.effects}) == 1
    assert [(record.name, record.is_error) for record in result.tool_calls] == [("other", False)]


async def test_a_record_says_what_was_run_and_the_arguments_only_where_they_were_changed() -> None:
    disk, world = Disk(), World()
    session = open_crashing([["other"], ["other"]], disk, world)
    session.on_before_tool_call(lambda call: by_another(call) if "0-0" in str(call.input) else None)

    await session.message("Go")

    bodies = [record.body for record in disk.records if record.kind == "tool_intent"]
    assert [body.get("arguments") for body in bodies] == [{"name": "safe-0-0"}, None]


def crashing(disk: Disk, world: World) -> AgentSession:
    """Return a session that crashes right behind the effect of its first call."""

    class AfterEffect(Fuse):
        def burn(self, point: str) -> None:
            if point.startswith(("after other", "after idempotent")):
                self.blows_at = len(self.passed) + 1
            super().burn(point)

    return open_crashing([["other"]], disk, world, AfterEffect())


def reconcilable(world: World, reconcile: Callable[..., Any]) -> Tool:
    spec = ToolSpec(name="other", description="Do it.", input_schema={"type": "object"})
    return Tool(spec=spec, run=effect_tool("other", world, Fuse()).run, reconcile=reconcile)

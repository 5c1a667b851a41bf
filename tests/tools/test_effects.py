"""What a tool may know about doing its work twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.exceptions import StorageError, UsageError
from sdk_workflow.tools.builtin import builtin_tools
from sdk_workflow.tools.dispatcher import ToolDispatcher
from sdk_workflow.tools.effects import NOT_DONE, idempotency_key, keyed
from sdk_workflow.tools.registry import Tool, ToolRegistry
from sdk_workflow.tools.sandbox import UnavailableSandbox
from sdk_workflow.tools.schema import tool
from sdk_workflow.tools.workspace import Workspace
from sdk_workflow.types import ToolCall, ToolResult, ToolSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ToolSpec(name="pay", description="Pay.", input_schema={"type": "object"})
CALL = ToolCall(id="toolu_1", name="pay", input={"amount": 3})


def dispatcher_of(**facts: Any) -> ToolDispatcher:
    facts.setdefault("run", lambda amount: f"paid {amount}")
    registry = ToolRegistry([Tool(spec=SPEC, **facts)])
    return ToolDispatcher(registry, clock=SystemClock(), default_timeout_seconds=0.2)


def test_there_is_no_key_outside_of_a_tool_call() -> None:
    with pytest.raises(UsageError, match="no tool call is running"):
        idempotency_key()
    with keyed("a"), keyed("b"):
        assert idempotency_key() == "b"
    with pytest.raises(UsageError):
        idempotency_key()


@pytest.mark.anyio
async def test_a_tool_in_a_worker_thread_sees_the_key_of_its_call() -> None:
    seen: list[tuple[str, bool]] = []

    def run(amount: int) -> None:
        del amount
        seen.append((idempotency_key(), threading.current_thread() is threading.main_thread()))

    with keyed("ses/run/0/toolu_1"):
        await dispatcher_of(run=run).dispatch(CALL)

    assert seen == [("ses/run/0/toolu_1", False)]


def test_the_built_in_tools_say_what_running_them_twice_does(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        tools = builtin_tools(
            ["read", "write", "bash"], workspace, sandbox=UnavailableSandbox("a test")
        )

    assert {each.name: each.effect for each in tools} == {
        "read": "pure",
        "write": "idempotent",
        "bash": "other",
    }


def test_a_function_becomes_a_tool_with_its_effect() -> None:
    def find(key: str, arguments: Any) -> None:
        del key, arguments

    @tool(effect="idempotent", reconcile=find)
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    @tool
    def plain() -> str:
        """Do."""
        return ""

    assert (pay.effect, pay.reconcile) == ("idempotent", find)
    assert (plain.effect, plain.reconcile) == ("other", None)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"effect": "idempotant"}, "is 'idempotant'"),
        ({"effect": None}, "is None"),
        ({"reconcile": "find"}, "not a function"),
    ],
)
def test_an_effect_that_is_none_is_refused(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        ToolRegistry([Tool(spec=SPEC, run=print, **facts)])
    assert caught.value.hint


@pytest.mark.anyio
async def test_what_is_told_before_the_run_is_told_behind_all_checks() -> None:
    steps: list[str] = []

    async def before_run(told: Tool, _as_run: ToolCall) -> None:
        steps.append(f"before {told.name}")

    dispatcher = dispatcher_of(run=lambda amount: steps.append(f"run {amount}"))
    dispatcher.on_before_tool_call(lambda _call: steps.append("asked"))
    await dispatcher.dispatch(CALL, before_run=before_run)
    await dispatcher.dispatch(ToolCall(id="2", name="gone", input={}), before_run=before_run)

    assert steps == ["asked", "before pay", "run 3"]


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 3])
async def test_what_fails_before_the_run_is_raised_plainly_and_nothing_runs(count: int) -> None:
    ran: list[int] = []
    dispatcher = dispatcher_of(run=ran.append)

    async def before_run(_tool: Tool, _as_run: ToolCall) -> None:
        await anyio.lowlevel.checkpoint()
        raise StorageError("The disk is full.")

    async def run_one(call: ToolCall) -> ToolResult:
        return await dispatcher.dispatch(call, before_run=before_run)

    with pytest.raises(StorageError, match="full"):
        await dispatcher.dispatch_all([CALL] * count, run_one=run_one)

    assert ran == []


@pytest.mark.anyio
async def test_what_one_call_raises_ends_the_others() -> None:
    async def run_one(call: ToolCall) -> ToolResult:
        if call is CALL:
            raise StorageError("The disk is full.")
        await anyio.sleep_forever()
        raise AssertionError(call)

    other = ToolCall(id="toolu_2", name="pay", input={})
    with anyio.fail_after(5), pytest.raises(StorageError):
        await dispatcher_of().dispatch_all([other, CALL, other], run_one=run_one)


async def hang(_key: str, _arguments: Any) -> str:
    await anyio.sleep_forever()
    return "never"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reconcile", "answer"),
    [
        (None, None),
        (lambda _key, _arguments: None, None),
        (lambda _key, _arguments: NOT_DONE, NOT_DONE),
        (hang, None),
    ],
)
async def test_a_hook_answers_or_cannot_tell(reconcile: Any, answer: Any) -> None:
    assert await dispatcher_of(reconcile=reconcile).reconcile(CALL, "k") is answer


@pytest.mark.anyio
async def test_a_hook_runs_in_a_worker_thread_and_its_answer_is_fit_for_a_model() -> None:
    seen: list[Any] = []

    def find(key: str, arguments: Any) -> str:
        seen.append((key, arguments, threading.current_thread() is threading.main_thread()))
        return "paid \ud800"

    result = await dispatcher_of(reconcile=find).reconcile(CALL, "k")

    assert isinstance(result, ToolResult)
    assert (result.tool_call_id, result.content) == ("toolu_1", "paid \ufffd")
    assert seen == [("k", {"amount": 3}, False)]


@pytest.mark.anyio
async def test_nobody_answers_for_a_tool_that_is_gone() -> None:
    gone = ToolCall(id="1", name="gone", input={})
    assert await dispatcher_of().reconcile(gone, "k") is None

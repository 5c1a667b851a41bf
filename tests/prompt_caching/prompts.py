"""Calls to be cached, and a simulator that bills them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

NOVEMBER_21 = 1_795_219_200.0  # 2026-11-21T00:00:00Z
MODEL = "claude-sonnet-5-5"  # shortest prefix 512
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
RULES = "Answer for the warehouse, and quote the rule that applies. " * 120


def words(name: str, count: int = 50) -> str:
    return f"{name} " + "word " * count


def text(value: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def user(*blocks: Any) -> dict[str, Any]:
    is_plain = len(blocks) == 1 and isinstance(blocks[0], str)
    return {"role": "user", "content": blocks[0] if is_plain else list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {**user(*blocks), "role": "assistant"}


def use(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {"n": number}}


def result(number: int, content: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content, **more}


def tool(name: str = "look", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": words(name, 400),
        "input_schema": {"type": "object"},
        **more,
    }


def call(*messages: Any, **fields: Any) -> Call:
    """Return a call of a session with a system prompt that is long enough."""
    defaults: dict[str, Any] = {
        "model": MODEL,
        "system": RULES,
        "session_id": "s",
        "max_tokens": 50,
    }
    return Call(messages=messages or (user("Hi"),), **{**defaults, **fields})


def exchange(number: int, words_of_result: int = 200) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a tool call and its result."""
    return assistant(text("I look."), use(number)), user(
        result(number, words("r", words_of_result))
    )


def reply(**usage: int) -> Reply:
    return Reply(id="m", model=MODEL, content=(), stop_reason="end_turn", usage=Usage(**usage))


def marks_of(built: Call) -> dict[str, Any]:
    """Return the breakpoints of a call by their path."""
    found: dict[str, Any] = {}
    params = built.to_params()
    if "cache_control" in params:
        found["automatic"] = params["cache_control"].get("ttl", "5m")
    for index, each in enumerate(params.get("tools", ())):
        _note(found, f"tools.{index}", each)
    if not isinstance(params.get("system", ""), str):
        for index, each in enumerate(params["system"]):
            _note(found, f"system.{index}", each)
    for index, message in enumerate(params["messages"]):
        if not isinstance(message["content"], str):
            for number, block in enumerate(message["content"]):
                _note(found, f"messages.{index}.{number}", block)
    return found


def _note(found: dict[str, Any], path: str, block: Mapping[str, Any]) -> None:
    if "cache_control" in block:
        found[path] = block["cache_control"].get("ttl", "5m")


class _Nod:
    def think(self, _params: Mapping[str, Any]) -> Thought:
        return Thought(text="ok")


class Desk:
    """An optimiser and a simulator on one clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(NOVEMBER_21)
        self.optimizer = PromptCacheOptimizer(clock=self.clock, **options)
        self.engine = Engine(clock=self.clock, brain=_Nod(), lenient=True)

    def build(self, each: Call, *, after: float = 10.0) -> Call:
        self.clock.advance(after)
        return self.optimizer.build_cached_request(each)

    def marks(self, each: Call, *, after: float = 10.0) -> dict[str, Any]:
        return marks_of(self.build(each, after=after))

    def send(self, built: Call) -> Reply:
        return Reply.from_api(self.engine.create(built.to_params()).message())

    def ask(self, each: Call, *, after: float = 10.0) -> Usage:
        return self.send(self.build(each, after=after)).usage

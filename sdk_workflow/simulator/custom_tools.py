"""Decides whether a prompt calls for one of the caller's own tools, and makes up its arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.fitting import fitting_input
from sdk_workflow.simulator.situation import Probe
from sdk_workflow.simulator.wants import Want

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.simulator.situation import Situation

__all__ = ["custom_wants", "forced_probe"]

_WORD = re.compile(r"[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EMPTY = frozenset(
    [
        "a",
        "an",
        "and",
        "api",
        "are",
        "at",
        "by",
        "call",
        "current",
        "do",
        "fetch",
        "find",
        "for",
        "from",
        "get",
        "given",
        "in",
        "is",
        "it",
        "look",
        "make",
        "of",
        "on",
        "or",
        "return",
        "returns",
        "run",
        "set",
        "the",
        "this",
        "to",
        "tool",
        "up",
        "use",
        "using",
        "value",
        "what",
        "with",
        "you",
        "your",
    ]
)
_MIN_COMMON = 2


def custom_wants(situation: Situation) -> tuple[Want, ...]:
    """Return a want for every custom tool that the question names or clearly describes."""
    question = situation.question
    return tuple(
        Want(goal="custom", subject=tool["name"], probes=(make_probe(tool, question),))
        for tool in situation.custom_tools
        if _is_meant(tool, question)
    )


def forced_probe(situation: Situation) -> Probe:
    """Return the call that a `tool_choice` of `any` or `tool` demands."""
    choice = situation.tool_choice or {}
    tools: Sequence[Mapping[str, Any]] = situation.tools
    if choice.get("type") == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    words = _words(situation.question)
    best = max(tools, key=lambda tool: len(words & _words(_told(tool))))
    return make_probe(best, situation.question)


def make_probe(tool: Mapping[str, Any], question: str) -> Probe:
    """Return a call of the tool with arguments that fit its schema.

    Raises:
        ApiError: 400 where none were found.
    """
    return Probe(tool=tool["name"], input=fitting_input(tool, question))


def _is_meant(tool: Mapping[str, Any], question: str) -> bool:
    name = tool["name"].lower()
    if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", question.lower()):
        return True
    asked = _words(question)
    named = _words(tool["name"])
    if named and named <= asked:
        return True
    return len(asked & _words(tool.get("description") or "")) > _MIN_COMMON


def _told(tool: Mapping[str, Any]) -> str:
    return f"{tool['name']} {tool.get('description') or ''}"


def _words(text: str) -> set[str]:
    """Return the telling words, without the ending that only marks a plural."""
    words = _WORD.findall(_CAMEL.sub(" ", text).lower())
    return {word.removesuffix("s") for word in words if word not in _EMPTY}

"""The stand-in for a model: decides, from rules alone, what to say and which tools to ask for.

It knows nothing of tokens, limits or events: `replies` cuts and frames what it says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sdk_workflow.simulator.answers import describe_plan, describe_results, plain_answer
from sdk_workflow.simulator.custom_tools import custom_wants, forced_probe
from sdk_workflow.simulator.fitting import FORMAT_PATH, fitting_value
from sdk_workflow.simulator.intents import follow_up, offered, recognise
from sdk_workflow.simulator.situation import read_situation
from sdk_workflow.simulator.wants import next_probes, pursue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.simulator.situation import Probe, Situation

__all__ = ["Brain", "RuleBrain", "Thought"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """What the model wants to say, then the tools that it wants to call, side by side."""

    text: str = ""
    calls: tuple[Probe, ...] = ()


class Brain(Protocol):
    """Answers checked requests; the same request always gets the same thought."""

    def think(self, params: Mapping[str, Any]) -> Thought:
        """Return what to say to a request."""
        ...


class RuleBrain:
    """Holds an agentic loop: asks for tools that would help, then answers from their results.

    Args:
        seed: Varies the wording of answers.

    Example:
        >>> tool = {"type": "object", "properties": {"path": {"type": "string"}}}
        >>> thought = RuleBrain().think({
        ...     "messages": [{"role": "user", "content": "What does notes.txt say?"}],
        ...     "tools": [{"name": "read", "input_schema": tool}],
        ... })
        >>> thought.text, dict(thought.calls[0].input)
        ('I will read notes.txt.', {'path': 'notes.txt'})
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def think(self, params: Mapping[str, Any]) -> Thought:
        """Return what to say to a request."""
        situation = read_situation(params)
        choice = situation.tool_choice or {}
        thought = self._pursue(situation)
        if choice.get("type") in {"any", "tool"}:
            thought = _forced(situation, thought)
        if choice.get("disable_parallel_tool_use"):
            thought = Thought(text=thought.text, calls=thought.calls[:1])
        return thought if thought.calls else _formatted(params, situation, thought)

    def _pursue(self, situation: Situation) -> Thought:
        question = situation.question
        wants = recognise(question)
        chosen = (*offered(wants, situation.known_tools), *custom_wants(situation))
        outcomes = [pursue(want, situation) for want in chosen]
        later = offered(follow_up(question, outcomes), situation.known_tools)
        outcomes += [pursue(want, situation) for want in later]
        if (situation.tool_choice or {}).get("type") == "none":
            outcomes = [outcome for outcome in outcomes if outcome.is_satisfied]
        pending = next_probes(outcomes)
        if pending:
            calls = tuple(outcome.probe for outcome in pending if outcome.probe is not None)
            return Thought(text=describe_plan(pending), calls=calls)
        if outcomes:
            return Thought(text=describe_results(question, outcomes))
        return Thought(text=plain_answer(question, self._seed, lacks_tools=bool(wants)))


def _forced(situation: Situation, thought: Thought) -> Thought:
    """Obey a `tool_choice` that demands a call, with the planned calls where they fit."""
    choice = situation.tool_choice or {}
    name = choice.get("name")
    calls = tuple(call for call in thought.calls if name is None or call.tool == name)
    # As with the real API, a forced call comes without words before it.
    return Thought(calls=calls or (forced_probe(situation),))


def _formatted(params: Mapping[str, Any], situation: Situation, thought: Thought) -> Thought:
    """Put the answer into the JSON form that the request demands, if it does."""
    form = (params.get("output_config") or {}).get("format")
    if form is None:
        return thought
    value = fitting_value(FORMAT_PATH, form["schema"], situation.question, thought.text)
    return Thought(text=json.dumps(value, ensure_ascii=False))

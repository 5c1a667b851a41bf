"""Scripted replies: a brain that says what a test tells it to, where the test tells it to.

It decides on words and tool calls only; limits, tokens and events are the engine's business.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union

from sdk_workflow.simulator.brain import RuleBrain, Thought
from sdk_workflow.simulator.errors import invalid_request
from sdk_workflow.simulator.fitting import FORMAT_PATH, fitting_input, fitting_value
from sdk_workflow.simulator.situation import Probe, read_situation, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sdk_workflow.simulator.brain import Brain

__all__ = ["ScriptedCall", "ScriptedReplies", "ScriptedReply", "ScriptedThought", "When"]

Pattern = Union[str, re.Pattern[str]]  # noqa: UP007 - evaluated on Python 3.10
Unmatched = Literal["error", "rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What a request has to look like; a text has to be equal, a pattern to be found.

    Attributes:
        user: The last user text.
        tool_result: The text of a tool result in the last message.
        turn: How many replies the conversation holds already: 0 for its first request.
        system: The system prompt.

    Example:
        >>> hello = {"messages": [{"role": "user", "content": "Hello there"}]}
        >>> When(user=re.compile("hello", re.IGNORECASE)).matches(hello), When(turn=1).matches(hello)
        (True, False)
    """

    user: Pattern | None = None
    tool_result: Pattern | None = None
    turn: int | None = None
    system: Pattern | None = None

    def matches(self, params: Mapping[str, Any]) -> bool:
        """Return whether a checked request looks like that."""
        messages = params["messages"]
        if self.turn is not None and self.turn != _turn(messages):
            return False
        if self.system is not None and not _fits(self.system, text_of(params.get("system"))):
            return False
        if self.user is not None and not _fits(self.user, read_situation(params).question):
            return False
        return self.tool_result is None or any(
            _fits(self.tool_result, text) for text in _results(messages)
        )


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call; without an input, one is made that fits the tool's schema."""

    name: str
    input: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """One reply.

    Attributes:
        text: What is said.
        calls: The tools that are asked for, behind the text.
        value: A JSON value that is said in place of a text.
        from_schema: Whether a value is said that fits the request's `output_config.format`.
        stop_reason: How it ends; by default as its content and the request's limits have it.
        stop_details: Why, for a refusal.
        when: Which requests it is for; every one by default.
        times: How often it is used; once where it is for every request, else always by default.
    """

    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    value: Any = None
    from_schema: bool = False
    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None
    when: When | None = None
    times: int | None = None

    @property
    def uses(self) -> float:
        """How often it may be used."""
        if self.times is not None:
            return self.times
        return 1 if self.when is None else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedThought(Thought):
    """What is said, and how it ends where that is scripted too."""

    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Taken:
    """One use of a scripted reply; `ScriptedReplies.give_back` undoes it."""

    number: int
    reply: ScriptedReply


class ScriptedReplies:
    """A `Brain` that answers from a script: of the replies that match and are left, the first.

    Replies without `when` form a queue. A reply that did not reach its client is given back by the
    simulation, so that a retry gets the same one.

    Args:
        replies: The script; a text stands for a reply that says it.
        unmatched: What happens to a request that nothing is left for: `"error"` refuses it with a
            400 that says so, `"rules"` lets the simulator's own rules answer.
        fallback: What answers under `"rules"`; None takes `RuleBrain`.

    Example:
        >>> script = ScriptedReplies(["First.", ScriptedReply(text="Bye.", when=When(user="Bye"))])
        >>> ask = lambda text: script.think({"messages": [{"role": "user", "content": text}]}).text
        >>> ask("Hello"), ask("Bye")
        ('First.', 'Bye.')
    """

    def __init__(
        self,
        replies: Sequence[ScriptedReply | str] = (),
        *,
        unmatched: Unmatched = "error",
        fallback: Brain | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._used: dict[int, int] = {}
        self.replies: tuple[ScriptedReply, ...] = ()
        self.unmatched: Unmatched = unmatched
        self._fallback: Brain = RuleBrain() if fallback is None else fallback
        self.last_taken: Taken | None = None
        self.extend(*replies)

    @property
    def remaining(self) -> int:
        """How many uses are left of the replies that can be used up."""
        return sum(
            int(reply.uses) - self._used.get(number, 0)
            for number, reply in enumerate(self.replies)
            if reply.uses != float("inf")
        )

    def extend(self, *replies: ScriptedReply | str) -> None:
        """Add replies behind the others."""
        added = (ScriptedReply(text=item) if isinstance(item, str) else item for item in replies)
        with self._lock:
            self.replies = (*self.replies, *added)

    def replace_with(self, other: ScriptedReplies) -> None:
        """Take over another script, and start it from its beginning."""
        with self._lock:
            self.replies = other.replies
            self.unmatched = other.unmatched
            self._used.clear()

    def rewind(self) -> None:
        """Start from the beginning."""
        with self._lock:
            self._used.clear()

    def give_back(self, taken: Taken) -> None:
        """Let a reply be used once more, because it did not reach its client."""
        with self._lock:
            used = self._used.get(taken.number, 0)
            if used and self.replies[taken.number : taken.number + 1] == (taken.reply,):
                self._used[taken.number] = used - 1

    def think(self, params: Mapping[str, Any]) -> Thought:
        """Return what to say to a request.

        Raises:
            ApiError: 400 where nothing is left for it and the script says that this is an error.
        """
        taken = self._take(params)
        self.last_taken = taken
        if taken is not None:
            return _thought(taken.reply, params)
        if self.unmatched == "rules":
            return self._fallback.think(params)
        raise invalid_request(
            f"script: no reply is left for this request; {self.remaining} of {len(self.replies)} "
            f"are for others. Its last user text is {read_situation(params).question[:200]!r}, "
            f"its turn {_turn(params['messages'])}."
        )

    def _take(self, params: Mapping[str, Any]) -> Taken | None:
        with self._lock:
            for number, reply in enumerate(self.replies):
                if self._used.get(number, 0) >= reply.uses:
                    continue
                if reply.when is None or reply.when.matches(params):
                    self._used[number] = self._used.get(number, 0) + 1
                    return Taken(number=number, reply=reply)
        return None


def _thought(reply: ScriptedReply, params: Mapping[str, Any]) -> ScriptedThought:
    if reply.stop_reason == "refusal" and params.get("fallbacks"):
        raise invalid_request("fallbacks: a fallback after a scripted refusal is not simulated")
    text = reply.text
    if reply.value is not None:
        text = json.dumps(reply.value, ensure_ascii=False)
    elif reply.from_schema:
        text = _text_from_schema(params)
    return ScriptedThought(
        text=text,
        calls=tuple(_probe(call, params) for call in reply.calls),
        stop_reason=reply.stop_reason,
        stop_details=reply.stop_details,
    )


def _text_from_schema(params: Mapping[str, Any]) -> str:
    form = (params.get("output_config") or {}).get("format")
    if form is None:
        raise invalid_request(
            "script: the reply is to be made from a schema, but the request has no "
            "`output_config.format`."
        )
    value = fitting_value(FORMAT_PATH, form["schema"], read_situation(params).question)
    return json.dumps(value, ensure_ascii=False)


def _probe(call: ScriptedCall, params: Mapping[str, Any]) -> Probe:
    if call.input is not None:
        return Probe(tool=call.name, input=call.input)
    situation = read_situation(params)
    for tool in situation.tools:
        if tool.get("name") == call.name:
            return Probe(tool=call.name, input=fitting_input(tool, situation.question))
    raise invalid_request(
        f"script: the input of tool {call.name!r} is to be made from its schema, but the request "
        "offers no such tool."
    )


def _fits(pattern: Pattern, text: str) -> bool:
    if isinstance(pattern, str):
        return pattern.strip() == text.strip()
    return pattern.search(text) is not None


def _turn(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def _results(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    users = [message for message in messages if message["role"] == "user"]
    content = users[-1]["content"] if users else ()
    for block in () if isinstance(content, str) else content:
        if block["type"] == "tool_result":
            yield text_of(block.get("content"))

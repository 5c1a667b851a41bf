"""Conversations of realistic size on a virtual clock, billed by the simulator, and the best there is.

One conversation is the same for every way of caching: the words of both sides come from a seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.situation import Probe
from sdk_workflow.types import Call, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "MODELS",
    "PATTERNS",
    "Conversation",
    "automatic",
    "best_possible",
    "make_conversation",
    "optimised",
    "plain",
    "play",
    "words",
]

MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-haiku-4-5")
START = 1_795_219_200.0  # 2026-11-21T00:00:00Z
_WORDS = ["the", "of", "order", "ship", "stock", "price", "page", "line", "count", "test", "reads"]
_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}


class Step(NamedTuple):
    """One call to the model: the gap before it, what is new in the prompt, and the answer."""

    gap: float
    content: Any
    thought: Thought


@dataclass(frozen=True, slots=True)
class Conversation:
    """Calls in their order, with the system prompt and the tools that they share."""

    steps: tuple[Step, ...]
    system: str
    tools: tuple[Mapping[str, Any], ...]


def words(source: random.Random, tokens: int) -> str:
    """Return text of about so many tokens."""
    return " ".join(source.choice(_WORDS) for _ in range(int(tokens * 0.77)))


@lru_cache
def _prefix(seed: int) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    source = random.Random(f"prefix {seed}")  # noqa: S311 - has to be repeatable
    fields = {name: {"type": "string", "description": words(source, 12)} for name in "abcd"}
    tools = tuple(
        {
            "name": f"tool_{number}",
            "description": words(source, 90),
            "input_schema": {"type": "object", "properties": fields},
        }
        for number in range(6)
    )
    return words(source, 2_000), tools


def _tool_pace(source: random.Random) -> float:
    return source.uniform(5, 45)


def _steady(source: random.Random, _is_user: bool) -> float:  # noqa: FBT001 - all have this form
    return _tool_pace(source)


def _working(source: random.Random, is_user: bool) -> float:  # noqa: FBT001
    return source.uniform(20, 240) if is_user else _tool_pace(source)


def _one_pause(source: random.Random, is_user: bool) -> float:  # noqa: FBT001
    if is_user and source.random() < 1 / 6:
        return source.uniform(360, 3_000)
    return _working(source, is_user)


def _pauses(source: random.Random, is_user: bool) -> float:  # noqa: FBT001
    return source.uniform(360, 3_000) if is_user else _tool_pace(source)


def _slow(source: random.Random, _is_user: bool) -> float:  # noqa: FBT001
    return source.uniform(360, 3_000)


def _daily(source: random.Random, _is_user: bool) -> float:  # noqa: FBT001
    return source.uniform(4_000, 80_000)


PATTERNS: dict[str, Callable[[random.Random, bool], float]] = {
    "steady: 5-45 s": _steady,
    "working: user 20-240 s": _working,
    "one pause in 6 questions": _one_pause,
    "user pauses 6-50 min": _pauses,
    "every turn 6-50 min": _slow,
    "every turn over an hour": _daily,
}
"""Gaps between the starts of calls; the flag says whether the user speaks, else a tool answers."""


def make_conversation(
    seed: int,
    gap_of: Callable[[random.Random, bool], float],
    *,
    turns: int = 30,
    parallel: int = 1,
    prefix: int = 0,
) -> Conversation:
    """Return a conversation of so many calls to the model; a question takes 2 to 6 of them.

    Args:
        seed: Its words, sizes and gaps.
        gap_of: The pattern of its gaps.
        turns: Calls to the model.
        parallel: Tools that are called at once.
        prefix: Which system prompt and tools it has.
    """
    source = random.Random(f"conversation {seed}")  # noqa: S311 - has to be repeatable
    steps: list[Step] = []
    left = 0
    results: list[dict[str, Any]] = []
    for turn in range(turns):
        is_user = left == 0
        gap = gap_of(source, is_user) if turn else 0.0
        if is_user:
            left = source.randint(2, 6)
            content: Any = words(source, source.randint(20, 120))
        else:
            content = results
        left -= 1
        thought = _thought(source, parallel if left else 0)
        results = [
            {
                "type": "tool_result",
                "content": words(source, source.randint(150, 1_500) // parallel),
            }
            for _ in thought.calls
        ]
        steps.append(Step(gap, content, thought))
    return Conversation(tuple(steps), *_prefix(prefix))


def _thought(source: random.Random, calls: int) -> Thought:
    if not calls:
        return Thought(text=words(source, source.randint(100, 350)))
    probes = tuple(
        Probe(tool=f"tool_{source.randrange(6)}", input={"a": words(source, 25), "b": str(number)})
        for number in range(calls)
    )
    return Thought(text=words(source, 30), calls=probes)


class _Reader:
    """Says what the conversation says next."""

    def __init__(self) -> None:
        self.thought = Thought(text="")

    def think(self, _params: Mapping[str, Any]) -> Thought:
        return self.thought


@dataclass(slots=True)
class Bill:
    """What a conversation came to: dollars in all, dollars for prompts alone, and the books."""

    usd: float
    prompt_usd: float
    usages: list[Usage]


def play(
    conversation: Conversation,
    build: Callable[[Call], Call],
    *,
    model: str,
    clock: VirtualClock | None = None,
    session: str = "s",
) -> Bill:
    """Hold a conversation with a simulator of its own, and return what it is billed."""
    clock = clock or VirtualClock(START)
    reader = _Reader()
    engine = Engine(clock=clock, brain=reader)
    messages: list[Mapping[str, Any]] = []
    catalog, usages = default_catalog(), list[Usage]()
    for step in conversation.steps:
        clock.advance(step.gap)
        messages.append({"role": "user", "content": _answered(messages, step.content)})
        call = Call(
            model=model,
            messages=tuple(messages),
            system=conversation.system,
            tools=conversation.tools,
            session_id=session,
        )
        reader.thought = step.thought
        reply = engine.create(build(call).to_params()).message()
        messages.append({"role": "assistant", "content": reply["content"]})
        usages.append(Usage.from_api(reply["usage"]))
    prices = [catalog.price(model, usage) for usage in usages]
    written = [catalog.price(model, Usage(output_tokens=usage.output_tokens)) for usage in usages]
    usd = sum(price.usd for price in prices if price is not None)
    return Bill(usd, usd - sum(price.usd for price in written if price is not None), usages)


def _answered(messages: Sequence[Mapping[str, Any]], content: Any) -> Any:
    """Give the results of tools the ids of the calls that they answer."""
    if isinstance(content, str):
        return content
    uses = [block for block in messages[-1]["content"] if block["type"] == "tool_use"]
    return [{**result, "tool_use_id": use["id"]} for result, use in zip(content, uses, strict=True)]


def plain(call: Call) -> Call:
    """Cache nothing."""
    return call


def automatic(call: Call) -> Call:
    """Leave it to the API: one breakpoint of five minutes at the end."""
    return Call.from_params({**call.to_params(), "cache_control": {"type": "ephemeral"}})


def optimised(clock: VirtualClock) -> Callable[[Call], Call]:
    """Return the optimiser's way, with nothing learned yet."""
    return PromptCacheOptimizer(clock=clock).build_cached_request


class _Entry(NamedTuple):
    turn: int
    ttl: str
    expires: float


def best_possible(conversation: Conversation, uncached: Bill, *, model: str) -> float:
    """Return the dollars of the best placement, found by trying all of them with foresight.

    At each turn nothing, five minutes or an hour is written at its end, and the longest live entry
    is read, however far behind it is: all 3^30 sequences, by dynamic programming over the sets of
    live entries. A set that another one of no higher cost covers is left out: every entry of it has
    one there that reaches as far, lives as long and is as long-lived by kind.
    """
    found = default_catalog().find(model)
    rates = found.prices[-1].rates
    tokens = [usage.prompt_tokens for usage in uncached.usages]
    states: dict[tuple[_Entry, ...], int] = {(): 0}
    now = 0.0
    for turn, step in enumerate(conversation.steps):
        now += step.gap
        choices: dict[str | None, int] = {None: rates.input}
        if tokens[turn] >= found.min_cacheable_tokens:
            choices |= {"5m": rates.cache_write_5m, "1h": rates.cache_write_1h}
        following: dict[tuple[_Entry, ...], int] = {}
        for entries, cost in states.items():
            live, hit = _read(entries, now)
            read = 0 if hit is None else tokens[hit.turn]
            base = cost + read * rates.cache_read
            for ttl, rate in choices.items():
                key = _useful(live if ttl is None else [*live, _written(turn, ttl, now)])
                total = base + (tokens[turn] - read) * rate
                following[key] = min(total, following.get(key, total))
        states = _undominated(following)
    answers = uncached.usd - uncached.prompt_usd
    return min(states.values()) / 1e12 + answers


def _read(entries: Sequence[_Entry], now: float) -> tuple[list[_Entry], _Entry | None]:
    """Return the live entries, the longest one refreshed, and that one as it was."""
    live = [entry for entry in entries if entry.expires > now]
    hit = max(live, default=None)
    if hit is None:
        return live, None
    expires = max(hit.expires, now + _TTL_SECONDS[hit.ttl])
    return [*(entry for entry in live if entry != hit), hit._replace(expires=expires)], hit


def _written(turn: int, ttl: str, now: float) -> _Entry:
    return _Entry(turn, ttl, now + _TTL_SECONDS[ttl])


def _covers(one: _Entry, other: _Entry) -> bool:
    return one.turn >= other.turn and one.expires >= other.expires and one.ttl <= other.ttl


def _useful(entries: Sequence[_Entry]) -> tuple[_Entry, ...]:
    """Leave out entries that another one makes superfluous ("1h" < "5m")."""
    kept = [
        entry
        for entry in set(entries)
        if not any(other != entry and _covers(other, entry) for other in entries)
    ]
    return tuple(sorted(kept))


def _undominated(states: dict[tuple[_Entry, ...], int]) -> dict[tuple[_Entry, ...], int]:
    kept: dict[tuple[_Entry, ...], int] = {}
    for entries, cost in sorted(states.items(), key=lambda item: (item[1], -len(item[0]))):
        if not any(
            all(any(_covers(mine, each) for mine in others) for each in entries) for others in kept
        ):
            kept[entries] = cost
    return kept

"""A stream of real questions with its natural repeats, through the caches and the simulator's billing.

Both columns of the Quora pairs, row by row, as questions of many users to one assistant. Knows not
where the data is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from benchmarks._cache_savings import MODELS, START, words
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.pipeline import compose
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.core.semantic_cache import SemanticCache
from sdk_workflow.middleware.prompt_cache import PromptCacheMiddleware
from sdk_workflow.middleware.response_cache import ResponseCacheMiddleware
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks._cache_accuracy import VectorStore
    from sdk_workflow.protocols import Middleware
    from sdk_workflow.types import Reply

__all__ = ["MODES", "Asked", "Outcome", "Pair", "play_stream"]

MODES = ("off", "exact", "semantic", "full")
_SYSTEM_TOKENS = 3_000
_ANSWER_TOKENS = 120
_GAP_SECONDS = (2.0, 20.0)
_MAX_ENTRIES = 50_000
_TTL_SECONDS = 30 * 86_400.0
_PATIENCE_SECONDS = 60.0  # vectors are there already: a busy machine must not change the figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, and whether people said that they want one answer."""

    a: str
    b: str
    is_same: bool


@dataclass(slots=True)
class Outcome:
    """What one mode did with the stream.

    `unknown` are the hits between two texts that nobody labelled: right in the optimistic reading,
    wrong in the pessimistic one.
    """

    usd: float = 0.0
    asked: int = 0
    hits_by_tier: dict[str, int] = field(default_factory=dict)
    right: int = 0
    wrong: int = 0
    unknown: int = 0

    @property
    def hits(self) -> int:
        """All hits."""
        return sum(self.hits_by_tier.values())


class Asked:
    """The questions of the stream in their order, with what is known about pairs of them."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.texts = [text for pair in pairs for text in (pair.a, pair.b)]
        self._labels = {frozenset((pair.a, pair.b)): pair.is_same for pair in pairs}

    def is_same(self, asked: str, stored: str) -> bool | None:
        """Return whether two questions want the same answer; None where nobody said so."""
        return True if asked == stored else self._labels.get(frozenset((asked, stored)))


class _KnownVectors:
    """The light encoder's vectors of texts that were encoded before the stream begins."""

    def __init__(self, tag: str, by_text: Mapping[str, Any]) -> None:
        self.tag = tag
        self.dimension = len(next(iter(by_text.values())))
        self._by_text = by_text

    def encode(self, text: str) -> Any:
        """Return the vector of a text of the stream."""
        return self._by_text[text]


class _Answers:
    """Answers each question in words of its own, as a model would."""

    def think(self, params: Mapping[str, Any]) -> Thought:
        """Return the answer to the last message."""
        content = params["messages"][-1]["content"]
        asked = content if isinstance(content, str) else content[-1]["text"]
        return Thought(text=words(random.Random(asked), _ANSWER_TOKENS))  # noqa: S311 - repeatable


def play_stream(pairs: Sequence[Pair], store: VectorStore, tag: str) -> dict[str, Outcome]:
    """Send the stream once in each mode; return what came of it."""
    asked = Asked(pairs)
    first = store.encode("qqp-a", [pair.a for pair in pairs])
    second = store.encode("qqp-b", [pair.b for pair in pairs])
    by_text = {pair.a: vector for pair, vector in zip(pairs, first, strict=True)}
    by_text |= {pair.b: vector for pair, vector in zip(pairs, second, strict=True)}
    embedder = _KnownVectors(tag, by_text)
    return {mode: anyio.run(_play, mode, asked, embedder) for mode in MODES}


async def _play(mode: str, asked: Asked, embedder: _KnownVectors) -> Outcome:
    clock = VirtualClock(START)
    transport = SimulatorTransport(Engine(clock=clock, brain=_Answers()), clock=clock)
    outcome = Outcome()
    question_of: dict[str, str] = {}

    async def bill(call: Call) -> Reply:
        reply = await transport.send(call)
        price = default_catalog().price(reply.model, reply.usage)
        outcome.usd += 0.0 if price is None else price.usd
        return reply

    manager = _manager(mode, clock, embedder)
    send = compose(_layers(mode, clock, manager), bill)
    source = random.Random("stream")  # noqa: S311 - has to be repeatable
    system = words(source, _SYSTEM_TOKENS)
    try:
        for text in asked.texts:
            clock.advance(source.uniform(*_GAP_SECONDS))
            reply = await send(_call(system, text))
            if reply.cache_hit is None:
                question_of[reply.id] = text
            else:
                _note_hit(outcome, reply, asked.is_same(text, question_of[reply.id]))
    finally:
        if manager is not None:
            manager.close()
    outcome.asked = len(asked.texts)
    return outcome


def _call(system: str, text: str) -> Call:
    message = {"role": "user", "content": text}
    return Call(model=MODELS[0], system=system, messages=(message,), max_tokens=400)


def _manager(mode: str, clock: VirtualClock, embedder: _KnownVectors) -> CacheManager | None:
    if mode == "off":
        return None
    semantic = None
    if mode != "exact":
        semantic = SemanticCache(
            embedder=embedder,
            clock=clock,
            ttl_seconds=_TTL_SECONDS,
            encode_timeout_seconds=_PATIENCE_SECONDS,
            random_share=random.Random("shadow").random,  # noqa: S311 - has to be repeatable
        )
    return CacheManager(
        LRUCache(_MAX_ENTRIES, _TTL_SECONDS, clock=clock),
        semantic,
        None,
        backend="simulator",
        catalog=default_catalog(),
        clock=clock,
        ttl_seconds=_TTL_SECONDS,
    )


def _layers(mode: str, clock: VirtualClock, manager: CacheManager | None) -> list[Middleware]:
    layers: list[Middleware] = []
    if manager is not None:
        layers.append(ResponseCacheMiddleware(manager))
    if mode == "full":
        layers.append(PromptCacheMiddleware(PromptCacheOptimizer(clock=clock)))
    return layers


def _note_hit(outcome: Outcome, reply: Reply, is_same: bool | None) -> None:  # noqa: FBT001
    tier = str(reply.served_by)
    outcome.hits_by_tier[tier] = outcome.hits_by_tier.get(tier, 0) + 1
    outcome.right += is_same is True
    outcome.wrong += is_same is False
    outcome.unknown += is_same is None

"""How long a simulated model takes: time to the first token, tokens a second, pings, piece size.

Pure arithmetic; who waits, and on which clock, is the skins' business.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdk_workflow.types import Usage

__all__ = ["REAL_PACES", "Pace", "Physics", "Tempo", "regrouped"]

_CHARACTERS_PER_TOKEN = 4
_DELTA_TEXT = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast one class of models is.

    Time to the first token = `base_seconds` + `seconds_per_uncached_token` x (tokens that are not
    read from the prompt cache) + `seconds_per_cached_token` x (tokens that are).

    Example:
        >>> from sdk_workflow.types import Usage
        >>> pace = Pace(base_seconds=0.5, seconds_per_uncached_token=1e-5, tokens_per_second=80)
        >>> pace.first_token_seconds(Usage(input_tokens=50_000))
        1.0
    """

    base_seconds: float = 0.0
    seconds_per_uncached_token: float = 0.0
    seconds_per_cached_token: float = 0.0
    tokens_per_second: float = float("inf")

    def first_token_seconds(self, usage: Usage) -> float:
        """Return how long the first token of a prompt takes, without jitter."""
        cached = usage.cache_read_input_tokens
        uncached = usage.prompt_tokens - cached
        return (
            self.base_seconds
            + self.seconds_per_uncached_token * uncached
            + self.seconds_per_cached_token * cached
        )


# Assumptions of this library, for comparing one way of working with another: no provider publishes
# such figures, and they differ by hour and region. Cached tokens cost a tenth of uncached ones.
REAL_PACES: Mapping[str, Pace] = MappingProxyType(
    {
        "fable": Pace(
            base_seconds=1.2,
            seconds_per_uncached_token=6e-5,
            seconds_per_cached_token=6e-6,
            tokens_per_second=45,
        ),
        "opus": Pace(
            base_seconds=0.9,
            seconds_per_uncached_token=5e-5,
            seconds_per_cached_token=5e-6,
            tokens_per_second=60,
        ),
        "sonnet": Pace(
            base_seconds=0.6,
            seconds_per_uncached_token=3e-5,
            seconds_per_cached_token=3e-6,
            tokens_per_second=80,
        ),
        "haiku": Pace(
            base_seconds=0.35,
            seconds_per_uncached_token=2e-5,
            seconds_per_cached_token=2e-6,
            tokens_per_second=150,
        ),
    }
)
_OTHER = REAL_PACES["sonnet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """The timing of every model.

    Attributes:
        paces: The pace of each tier (`"opus"`, ...); other models run at `default`.
        default: The pace of a model whose tier is not listed.
        jitter: How far each wait may differ, as a share of it; 0 for none.
        ping_interval_seconds: The longest silence inside a stream before a `ping` fills it.
        delta_characters: Length of the pieces in which text arrives; None leaves them as generated.
        seed: Varies the jitter.

    Example:
        >>> from sdk_workflow.types import Usage
        >>> tempo = Physics(jitter=0.0).tempo("haiku", Usage(input_tokens=1000), request_index=0)
        >>> round(tempo.first_token_seconds, 3)
        0.37
    """

    paces: Mapping[str, Pace] = field(default_factory=lambda: REAL_PACES)
    default: Pace = _OTHER
    jitter: float = 0.1
    ping_interval_seconds: float = 10.0
    delta_characters: int | None = None
    seed: int = 0

    def tempo(
        self, tier: str, usage: Usage, *, request_index: int, token_factor: float = 1.0
    ) -> Tempo:
        """Return the timing of one answer; the same request of the same seed gets the same one.

        Args:
            tier: The model's tier.
            usage: What the prompt's tokens were: read from the cache or not.
            request_index: Which request this is, for the jitter.
            token_factor: How many tokens the model makes of a text, relative to the base tokenizer.
        """
        pace = self.paces.get(tier, self.default)
        dice = random.Random(f"{self.seed}/{request_index}")  # noqa: S311 # nosec B311 # repeatable
        spread = 1 + self.jitter * dice.uniform(-1, 1)
        return Tempo(
            first_token_seconds=pace.first_token_seconds(usage) * spread,
            seconds_per_token=1 / pace.tokens_per_second,
            token_factor=token_factor,
            ping_interval_seconds=self.ping_interval_seconds,
            jitter=self.jitter,
            dice=dice,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """The timing of one answer."""

    first_token_seconds: float
    seconds_per_token: float
    token_factor: float
    ping_interval_seconds: float
    jitter: float
    dice: random.Random

    def whole_seconds(self, output_tokens: int) -> float:
        """Return how long an answer takes that is not streamed."""
        return self.first_token_seconds + output_tokens * self.seconds_per_token

    def paced(self, events: Iterator[dict[str, Any]]) -> Iterator[Wait | dict[str, Any]]:
        """Yield the events of a stream with the waits between them, and pings in long waits.

        All waits together come to the time of the answer's `output_tokens`, give or take jitter.
        """
        spent = 0.0
        for event in events:
            tokens = self._tokens_before(event, spent)
            if tokens > 0:
                spent += tokens
                spread = 1 + self.jitter * self.dice.uniform(-1, 1)
                yield from self._silence(tokens * self.seconds_per_token * spread)
            yield event

    def _tokens_before(self, event: dict[str, Any], spent: float) -> float:
        if event["type"] == "content_block_delta":
            name = _DELTA_TEXT.get(event["delta"]["type"], "")
            size = len(event["delta"].get(name, ""))
            # Never more than the tokenizer counts, so that the rest below is never negative.
            return size / _CHARACTERS_PER_TOKEN * self.token_factor
        if event["type"] == "message_delta":
            return float(event["usage"]["output_tokens"]) - spent
        return 0.0

    def _silence(self, seconds: float) -> Iterator[Wait | dict[str, Any]]:
        while seconds > self.ping_interval_seconds:
            yield Wait(self.ping_interval_seconds)
            yield {"type": "ping"}
            seconds -= self.ping_interval_seconds
        yield Wait(seconds)


def regrouped(events: Iterator[dict[str, Any]], characters: int) -> Iterator[dict[str, Any]]:
    """Yield the same stream with its text cut into pieces of `characters`, the last one shorter."""
    held = ""
    last: dict[str, Any] = {}
    for event in events:
        name = (
            _DELTA_TEXT.get(event["delta"]["type"])
            if "delta" in event and "index" in event
            else None
        )
        if name is None:
            if held:
                yield _piece(last, held)
                held = ""
            yield event
            continue
        last = event
        held += event["delta"][name]
        while len(held) >= characters:
            yield _piece(event, held[:characters])
            held = held[characters:]


def _piece(event: dict[str, Any], text: str) -> dict[str, Any]:
    delta = event["delta"]
    return {**event, "delta": {**delta, _DELTA_TEXT[delta["type"]]: text}}

"""The vocabulary: the values that travel between the parts of the library.

Everything here is immutable and knows nothing but itself. Messages, content blocks and stream
events stay the plain dictionaries of the Messages API, so that nothing the API adds is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Block", "CacheHit", "CacheTier", "Call", "EffectClass", "Emit", "JournalKind",
    "JournalRecord", "Message", "Money", "Reply", "RunResult", "ServedBy", "StreamEvent",
    "ToolCall", "ToolRecord", "ToolResult", "ToolSpec", "Usage",
]  # fmt: skip

Block = Mapping[str, Any]
"""One content block of the Messages API: text, tool_use, tool_result, ..."""

Message = Mapping[str, Any]
"""One turn: `{"role": "user" | "assistant", "content": str | list of blocks}`."""

StreamEvent = Mapping[str, Any]
"""One event of a streamed reply, as the API names it: `{"type": "content_block_delta", ...}`."""

Emit = Callable[[StreamEvent], Awaitable[None]]
"""Where a transport hands each stream event, and waits until it was taken."""

ServedBy = Literal["api", "lru", "semantic", "simulator"]
"""Who produced a reply."""

EffectClass = Literal["pure", "idempotent", "other"]
"""What running a tool twice does: nothing, the same as once, or harm."""

JournalKind = Literal[
    "run_started", "model_intent", "model_result", "tool_intent", "tool_result",
    "run_finished", "run_failed",
]  # fmt: skip
"""What a journal record tells: an intent is on disk before the effect, a result after it."""

CacheTier = Literal["lru", "semantic"]
"""A cache that can answer instead of the model."""

PICO_PER_USD = 10**12


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount in pico-dollars (1e-12 $).

    The unit is the smallest in which one token of the cheapest model stays a whole number after
    batch and region multipliers: 0.01 $/MTok is 10,000 pico-dollars a token.

    Example:
        >>> Money.from_usd("1.25") + Money(500_000_000_000)
        Money(pico=1750000000000)
        >>> (Money.from_usd("0.10") * 3).usd
        0.3
    """

    pico: int = 0

    @classmethod
    def from_usd(cls, usd: str) -> Money:
        """Read a decimal amount of dollars exactly; more than 12 decimals raise ValueError."""
        from decimal import Decimal

        pico = Decimal(usd) * PICO_PER_USD
        if pico != pico.to_integral_value():
            raise ValueError(f"{usd!r} $ is not a whole number of pico-dollars.")
        return cls(int(pico))

    @property
    def usd(self) -> float:
        """The amount in dollars, rounded to the nearest float: for showing, not for adding."""
        return self.pico / PICO_PER_USD

    def __add__(self, other: Money) -> Money:
        """Add exactly."""
        return Money(self.pico + other.pico)

    def __sub__(self, other: Money) -> Money:
        """Subtract exactly."""
        return Money(self.pico - other.pico)

    def __mul__(self, count: int) -> Money:
        """Multiply by a whole number, such as a count of tokens."""
        return Money(self.pico * count)

    def __str__(self) -> str:
        """Return dollars with four decimals, and two significant digits below a tenth of a cent."""
        if 0 < abs(self.usd) < 0.001:  # noqa: PLR2004 - where four decimals stop to tell anything
            return f"${self.usd:.2g}"
        return f"${self.usd:.4f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of one reply, or of several added up.

    `input_tokens` counts only what was neither read from nor written to the prompt cache, as in
    the API. The size of the prompt is `prompt_tokens`, the sum of all four input fields.

    Example:
        >>> Usage(input_tokens=10, cache_read_input_tokens=90, output_tokens=5).prompt_tokens
        100
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_5m_input_tokens: int = 0
    cache_write_1h_input_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt: uncached, read and written."""
        return (
            self.input_tokens
            + self.cache_read_input_tokens
            + self.cache_write_5m_input_tokens
            + self.cache_write_1h_input_tokens
        )

    def __add__(self, other: Usage) -> Usage:
        """Add field by field."""
        return Usage(
            **{
                item.name: getattr(self, item.name) + getattr(other, item.name)
                for item in dataclasses.fields(self)
            }
        )

    @classmethod
    def from_api(cls, usage: Mapping[str, Any]) -> Usage:
        """Read the API's `usage` object; absent and null fields count as 0.

        Where the API does not split the written tokens by lifetime, they count as 5-minute writes,
        the API's default.
        """
        split = usage.get("cache_creation") or {}
        written = usage.get("cache_creation_input_tokens") or 0
        one_hour = split.get("ephemeral_1h_input_tokens") or 0
        return cls(
            input_tokens=usage.get("input_tokens") or 0,
            output_tokens=usage.get("output_tokens") or 0,
            cache_read_input_tokens=usage.get("cache_read_input_tokens") or 0,
            cache_write_5m_input_tokens=max(written - one_hour, 0),
            cache_write_1h_input_tokens=one_hour,
        )

    def to_api(self) -> dict[str, Any]:
        """Return the API's `usage` object."""
        written = self.cache_write_5m_input_tokens + self.cache_write_1h_input_tokens
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": self.cache_read_input_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m_input_tokens,
                "ephemeral_1h_input_tokens": self.cache_write_1h_input_tokens,
            },
            "output_tokens": self.output_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """What the model is told about a tool; `input_schema` is a JSON schema of type object."""

    name: str
    description: str
    input_schema: Mapping[str, Any]

    def to_api(self) -> dict[str, Any]:
        """Return the API's tool definition."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": dict(self.input_schema),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model's wish to run a tool."""

    id: str
    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool call came to: the text that the model will read."""

    tool_call_id: str
    content: str
    is_error: bool = False
    error_code: str | None = None

    def to_block(self) -> dict[str, Any]:
        """Return the API's `tool_result` block."""
        block: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": self.tool_call_id,
            "content": self.content,
        }
        if self.is_error:
            block["is_error"] = True
        return block


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRecord:
    """One finished tool call, as a run's result reports it."""

    id: str
    name: str
    input: Mapping[str, Any]
    is_error: bool
    duration_ms: float
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """One fact of a run's journal.

    `step` counts the model calls of the run from 0. `key` names the model call or the `tool_use`
    within it, and joins an intent with its result. `body` is plain JSON.
    """

    run_id: str
    step: int
    kind: JournalKind
    key: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


_CALL_FIELDS = ("model", "max_tokens", "messages", "system", "tools", "tool_choice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the Messages API, with what the layers in between need to know about it.

    `parameters` holds every further Messages-API parameter by its own name (`stop_sequences`,
    `thinking`, `output_config`, ...). `emit` asks for a streamed reply. `operation`, `session_id`,
    `tenant` and `hold_id` never leave the process; `hold_id` names what a budget holds for the
    call, so that whoever resumes a run finds the hold again.

    Example:
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> sorted(call.to_params())
        ['max_tokens', 'messages', 'model']
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int = 4096
    system: str | tuple[Block, ...] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    operation: str = "message"
    session_id: str | None = None
    tenant: str | None = None
    hold_id: str | None = field(default=None, compare=False, repr=False)
    emit: Emit | None = field(default=None, compare=False, repr=False)

    def to_params(self) -> dict[str, Any]:
        """Return the body of the request as plain JSON values; `stream` is left to the transport."""
        params: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": list(self.messages),
        }
        if self.system:
            params["system"] = self.system if isinstance(self.system, str) else list(self.system)
        if self.tools:
            params["tools"] = list(self.tools)
        if self.tool_choice is not None:
            params["tool_choice"] = dict(self.tool_choice)
        params.update(self.parameters)
        return params

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Call:
        """Read the plain dictionary of Messages-API parameters; `stream` is dropped."""
        system = params.get("system")
        return cls(
            model=params["model"],
            messages=tuple(params["messages"]),
            max_tokens=params.get("max_tokens", 4096),
            system=tuple(system) if isinstance(system, list) else system,
            tools=tuple(params.get("tools") or ()),
            tool_choice=params.get("tool_choice"),
            parameters={
                name: value
                for name, value in params.items()
                if name not in _CALL_FIELDS and name != "stream"
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """How a reply came out of a response cache.

    `hit_id` names the hit for `report_wrong`. `usage` is what the stored reply was billed when the
    model wrote it: the tokens that were saved. `saved` is their price, None where the model has
    none. `similarity` is the cosine of a semantic hit.
    """

    tier: CacheTier
    hit_id: str
    age_seconds: float
    usage: Usage
    saved: Money | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One finished message of the model.

    Where `cache_hit` is set, the reply was stored by an earlier call: `usage` is empty, because
    nothing is billed. `inference_geo` is where the model ran, as the API reports it: the price
    depends on it.
    """

    id: str
    model: str
    content: tuple[Block, ...]
    stop_reason: str | None
    usage: Usage
    stop_sequence: str | None = None
    served_by: ServedBy = "api"
    request_id: str | None = None
    time_to_first_token_ms: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cache_hit: CacheHit | None = None
    inference_geo: str | None = None

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return "".join(block["text"] for block in self.content if block.get("type") == "text")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model asks for, in its order."""
        return tuple(
            ToolCall(id=block["id"], name=block["name"], input=block["input"])
            for block in self.content
            if block.get("type") == "tool_use"
        )

    @classmethod
    def from_api(cls, message: Mapping[str, Any], **facts: Any) -> Reply:
        """Read the API's `message` object; `facts` are the fields that the message does not hold."""
        usage = message.get("usage") or {}
        return cls(
            id=message["id"],
            model=message["model"],
            content=tuple(message["content"]),
            stop_reason=message.get("stop_reason"),
            stop_sequence=message.get("stop_sequence"),
            usage=Usage.from_api(usage),
            inference_geo=usage.get("inference_geo"),
            **facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What one user message came to, after every model call and tool call that it needed.

    `cost_usd` and `saved_usd` (what replies out of a cache, and reading from the prompt cache,
    spared) are None where a model has no known price. Durations are wall time; `time_to_first_token_ms` is measured from the
    start of the run and is None where the reply was not streamed.
    """

    text: str
    stop_reason: str | None
    usage: Usage
    cost_usd: float | None
    saved_usd: float | None
    served_by: ServedBy
    model: str
    session_id: str
    trace_id: str | None
    turns: int
    tool_calls: tuple[ToolRecord, ...]
    duration_ms: float
    time_to_first_token_ms: float | None

"""Says which requests a cache may answer, and which replies it may keep: nothing that is not allowed.

Pure rules over one request or one reply. They know no cache and no key, and no reason that they
give holds text of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdk_workflow.types import Block, CacheTier, Call, Reply

__all__ = ["Eligibility", "EligibilityRules", "last_user_text", "why_not_stored"]

# The server keeps a part of the conversation, or runs tools of its own: the request is not all.
_SERVER_STATE = ("thread", "container", "mcp_servers", "context_management")
_MEDIA = frozenset({"image", "document", "container_upload"})
# What these sources hold is in the request, and so in the key.
_INLINE_SOURCES = frozenset({"base64", "text", "content"})
# 128 tokens at 4 bytes each: behind them the vector no longer sees the whole question.
_MAX_SEMANTIC_BYTES = 512
_VOLATILE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|current|currently|present|latest|newest"
    r"|recent|recently|upcoming|live|ago|(?:this|next|last) (?:week|month|year|quarter|morning"
    r"|evening|weekend)|so far|up to date|weather|forecast|news|headlines|what time|at the moment|right now"
    r"|next|random|uuid|(?:roll|flip|shuffle|pick|draw) (?:a|an|one|some)|just (?:say|said|ask|asked)"
    r"|(?:am|was|did|have|had) i|my|mine|our)\b",
    re.IGNORECASE,
)


class Eligibility(Protocol):
    """Decides about requests; replaceable, because only the application knows its questions."""

    def refusal(self, call: Call, tier: CacheTier) -> str | None:
        """Return the name of the rule that keeps a call out of a tier, or None where it may go in.

        It is asked before every lookup, and must not hold text of the prompt.
        """
        ...

    def ttl_seconds(self, call: Call) -> float | None:
        """Return how long a reply to the call stays true; None takes the cache's own lifetime."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibilityRules:
    """The rules by default. What they do not allow is not cached.

    A request without a temperature is cached, though the model might answer it in other words each
    time: a repeat gets the same words.

    Attributes:
        cacheable_tools: Names of the tools whose results stay the same. A request that offers any
            other tool is not cached.
        allows_temperature: Whether requests with a temperature above 0 go into the exact tier.
        volatile_ttl_seconds: How long an answer is kept whose question asks about the present or
            the asker ("today", "latest", "my"); 0 does not keep it. The words are English.

    Example:
        >>> from sdk_workflow.types import Call
        >>> def ask(text, **fields):
        ...     return Call(model="m", messages=({"role": "user", "content": text},), **fields)
        >>> rules = EligibilityRules()
        >>> rules.refusal(ask("What is a monad?"), "semantic") is None
        True
        >>> rules.refusal(ask("What is the latest news?"), "semantic")
        'volatile'
        >>> rules.ttl_seconds(ask("What is the latest news?"))
        60.0
        >>> rules.refusal(ask("List the files.", tools=({"name": "bash"},)), "lru")
        'tools'
    """

    cacheable_tools: frozenset[str] = frozenset()
    allows_temperature: bool = False
    volatile_ttl_seconds: float = 60.0

    def refusal(self, call: Call, tier: CacheTier) -> str | None:
        """Return the rule that keeps a call out of a tier, or None where it may go in."""
        return self._exact_refusal(call) or (
            _semantic_refusal(call) if tier == "semantic" else None
        )

    def ttl_seconds(self, call: Call) -> float | None:
        """Return the short lifetime of a volatile question; None for any other one."""
        return self.volatile_ttl_seconds if _is_volatile(call) else None

    def _exact_refusal(self, call: Call) -> str | None:
        parameters = call.parameters
        if any(parameters.get(name) for name in _SERVER_STATE):
            return "server_state"
        if parameters.get("temperature") and not self.allows_temperature:
            return "temperature"
        if any(tool.get("name") not in self.cacheable_tools for tool in call.tools):
            return "tools"
        if not all(_is_inline(block) for block in _media(call)):
            return "media_elsewhere"
        return None


def why_not_stored(reply: Reply) -> str | None:
    """Return why a reply is not kept, or None where it may be; no setting changes these rules."""
    if reply.stop_reason != "end_turn":
        return f"stop_reason_{reply.stop_reason}"
    if reply.cache_hit is not None:
        return "from_cache"
    if not any(_says_something(block) for block in reply.content):
        return "empty"
    return None


def _says_something(block: Block) -> bool:
    return block.get("type") != "text" or bool(str(block.get("text", "")).strip())


def last_user_text(call: Call) -> str:
    """Return all text of the last message of the user."""
    for message in reversed(call.messages):
        if message.get("role") == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "\n".join(b["text"] for b in content if b.get("type") == "text")
    return ""


def _semantic_refusal(call: Call) -> str | None:
    if call.tools:
        return "tools"
    if call.parameters.get("temperature"):
        return "temperature"
    if any(True for _ in _media(call)):
        return "media"
    text = last_user_text(call)
    if not text or call.messages[-1].get("role") != "user":
        return "no_text"
    if len(text.encode("utf-8", "replace")) > _MAX_SEMANTIC_BYTES:
        return "long_text"
    return "volatile" if _is_volatile(call) else None


def _is_volatile(call: Call) -> bool:
    return _VOLATILE.search(last_user_text(call)) is not None


def _media(call: Call) -> Iterator[Block]:
    """Yield the images and documents of a call, those in the results of tools included."""
    if isinstance(call.system, tuple):
        yield from _media_in(call.system)
    for message in call.messages:
        content = message["content"]
        if not isinstance(content, str):
            yield from _media_in(content)


def _media_in(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        if block.get("type") in _MEDIA:
            yield block
        inner = block.get("content")
        if inner and not isinstance(inner, str):
            yield from _media_in(inner)


def _is_inline(block: Block) -> bool:
    source = block.get("source")
    return isinstance(source, Mapping) and source.get("type") in _INLINE_SOURCES

"""Remembers what the last answered calls of a conversation were made of, and left in the cache.

Digests and token counts only, no text. It knows what changed from one call to the next, and no
prices or plans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.core.prompt_caching.anatomy import MARK, fingerprint
from sdk_workflow.core.prompt_caching.turn_gaps import TTL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk_workflow.core.prompt_caching.anatomy import Prompt
    from sdk_workflow.types import Call, Message, Reply, Usage

__all__ = ["Change", "Comparison", "Trail"]

Change = Literal["model", "tools", "system", "parameters", "messages"]
"""What differs first, in the order in which it voids the cache."""

# Calls of one conversation may take turns, such as a large and a small model.
_MAX_TRACES = 3
_PARAMETERS = ("tool_choice", "thinking", "output_config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a call had to expect of an earlier one of its conversation.

    Attributes:
        left_tokens: What the earlier call had left in the cache.
        change: What differs first; None where the call continues the earlier one.
        is_late: Whether what the earlier call wrote had lapsed by then.
    """

    left_tokens: int
    change: Change | None
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """One answered call: the digests of its parts, and what it left in the cache."""

    reply_id: str
    parts: Mapping[Change, bytes]
    history: bytes
    blocks: int
    started: float
    usage: Usage

    @property
    def left_tokens(self) -> int:
        usage = self.usage
        written = usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens
        return usage.cache_read_input_tokens + written

    def lapses(self) -> float:
        """Return when the first of what it left lapses."""
        usage = self.usage
        is_hour = usage.cache_write_1h_input_tokens and not usage.cache_write_5m_input_tokens
        return self.started + TTL_SECONDS["1h" if is_hour else "5m"]

    def change(self, parts: Mapping[Change, bytes], histories: Sequence[bytes]) -> Change | None:
        """Return what first keeps a call from continuing this one."""
        for name, part in self.parts.items():
            if parts[name] != part:
                return name
        is_kept = self.blocks < len(histories) and histories[self.blocks] == self.history
        return None if is_kept else "messages"


class Trail:
    """The last answered calls of one conversation. Not safe for threads."""

    __slots__ = ("_traces",)

    def __init__(self) -> None:
        self._traces: tuple[_Trace, ...] = ()

    def compare(
        self, call: Call, reply: Reply, prefix: Prompt, *, started: float
    ) -> Comparison | None:
        """Compare a call with the last one that it continues, or else the last; then remember it.

        A reply that was compared before is compared with the same calls again.

        Args:
            call: With or without its breakpoints.
            reply: Its reply.
            prefix: Its tools and system prompt without breakpoints.
            started: When it started.
        """
        parts, histories = _parts(call, prefix), _histories(call.messages)
        earlier = self._before(reply.id)
        if earlier is self._traces:
            trace = _Trace(
                reply_id=reply.id,
                parts=parts,
                history=histories[-1],
                blocks=len(histories) - 1,
                started=started,
                usage=reply.usage,
            )
            self._traces = (*self._traces, trace)[-_MAX_TRACES:]
        changes = [(each, each.change(parts, histories)) for each in reversed(earlier)]
        if call.session_id is None:
            blocks = len(histories) - 1
            changes = [each for each in changes if _is_one_conversation(*each, blocks)]
        if not changes:
            return None
        last, change = next((each for each in changes if each[1] is None), changes[0])
        return Comparison(
            left_tokens=last.left_tokens, change=change, is_late=started >= last.lapses()
        )

    def _before(self, reply_id: str) -> tuple[_Trace, ...]:
        for index, trace in enumerate(self._traces):
            if trace.reply_id == reply_id:
                return self._traces[:index]
        return self._traces


def _is_one_conversation(trace: _Trace, change: Change | None, blocks: int) -> bool:
    """Return whether a call without a session goes on from another, by more than its first words.

    What is no longer, and differs, is more likely another conversation that begins alike.
    """
    return trace.blocks < blocks or change in {None, "parameters"}


def _parts(call: Call, prefix: Prompt) -> dict[Change, bytes]:
    """Return digests of what stands in front of the messages, and of what voids them."""
    params = {"tool_choice": call.tool_choice, **call.parameters}
    features = sorted(set(_features(_plain(call.messages))))
    return {
        "model": _digest([call.model, params.get("speed")]),
        "tools": _digest(_plain(prefix.tools)),
        "system": _digest(_plain(prefix.system)),
        "parameters": _digest([features, *(_plain(params.get(name)) for name in _PARAMETERS)]),
    }


def _histories(messages: Sequence[Message]) -> list[bytes]:
    """Return the digest of the messages up to each of their blocks, that of none first."""
    found = [b""]
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            found.append(_digest([found[-1], message["role"], _plain(block)]))
    return found


def _features(value: Any) -> Iterator[str]:
    """Yield what is in messages that voids the cache of the messages in front of it, too."""
    if isinstance(value, list):
        for each in value:
            yield from _features(each)
    elif isinstance(value, dict):
        if value.get("type") == "image":
            yield "images"
        citations = value.get("citations")
        if isinstance(citations, dict) and citations.get("enabled"):
            yield "citations"
        yield from _features(list(value.values()))


def _plain(value: Any) -> Any:
    """Return a value in the same form whatever holds it, without breakpoints."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items() if name != MARK}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(fingerprint(value), digest_size=16).digest()

"""What the optimiser remembers of earlier calls: prefixes, conversations, and their cache entries.

Bounded in number; the ones used longest ago are forgotten. It decides nothing, and takes no lock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sdk_workflow.core.prompt_caching.anatomy import (
    bare,
    can_hold_mark,
    fingerprint,
    opening_text,
    tools_end,
)
from sdk_workflow.core.prompt_caching.trails import Trail
from sdk_workflow.core.prompt_caching.turn_gaps import TTL_SECONDS, Tally, TurnTallies

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from sdk_workflow.core.prompt_caching.anatomy import Mark, Place, Ttl, TurnKind
    from sdk_workflow.protocols import TokenCounter
    from sdk_workflow.types import Block, Call, Message

__all__ = ["ColdReason", "Conversation", "Entry", "Memory", "Plan", "Prefix", "Shared"]

ColdReason = Literal[
    "below_minimum", "not_worth_it", "first_sight", "expired", "prefix_moved", "not_yet_readable"
]
"""Why less can be read than a call has in common with earlier ones."""

RecordT = TypeVar("RecordT")

_ANSWER_BEGINS_SECONDS = 10.0  # at the latest, where nobody says so


@dataclass(slots=True)
class Entry:
    """A prefix that a call has written: everything up to a block."""

    tokens: int
    place: Place
    ttl: Ttl
    expires: float

    def refresh(self, now: float) -> None:
        """Take into account that a call which started now has read it."""
        self.expires = max(self.expires, now + TTL_SECONDS[self.ttl])


@dataclass(slots=True, eq=False)
class Shared:
    """The end of the tools or of the system prompt, which many conversations may have in common."""

    tokens: int
    entry: Entry | None = None
    last_use: float | None = None
    tally: Tally = field(default_factory=Tally)
    written_at: float = 0.0
    has_answer: bool = False

    def write(self, place: Place, ttl: Ttl, now: float) -> None:
        """Note that a call which starts now writes it; nobody can read it before the answer."""
        self.entry = Entry(self.tokens, place, ttl, now + TTL_SECONDS[ttl])
        self.written_at = now
        self.has_answer = False

    def is_readable(self, now: float) -> bool:
        """Return whether the answer to the call that wrote the live entry must have begun."""
        is_old = now - self.written_at >= _ANSWER_BEGINS_SECONDS
        return self.live(now) is not None and (self.has_answer or is_old)

    def live(self, now: float) -> Entry | None:
        """Return the entry that can be read now."""
        return self.entry if self.entry is not None and self.entry.expires > now else None


@dataclass(slots=True, eq=False)
class Prefix:
    """One combination of tools and system prompt, for one model and tenant."""

    tools: tuple[Mapping[str, Any], ...]
    system: str | tuple[Block, ...] | None
    whole: Shared
    tools_part: Shared | None = None

    @property
    def shared(self) -> tuple[Shared, ...]:
        """Its parts that others may have in common with it, the longest first."""
        return (self.whole,) if self.tools_part is None else (self.whole, self.tools_part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done to a call, and what is expected of it.

    Attributes:
        marks: Breakpoints to place besides the one at the end, the most useful first.
        tail_ttl: The lifetime of the breakpoint at the end; None for no breakpoint there.
        tail: The block that it falls on.
        tokens: The estimated size of the prompt.
        expected_read_tokens: What is believed to be in the cache.
        cold_reason: Why that is not more.
        previous_prefix: The prefix of the conversation's last call, where it was another one.
        prefix: Tools and system prompt.
        is_new_prefix: Whether nobody has used them before.
        is_cold_prefix: Whether the call writes a prefix that others may be waiting for.
    """

    prefix: Prefix
    tokens: int
    marks: tuple[Mark, ...] = ()
    tail_ttl: Ttl | None = None
    tail: Place | None = None
    expected_read_tokens: int = 0
    cold_reason: ColdReason | None = None
    previous_prefix: Prefix | None = None
    is_new_prefix: bool = False
    is_cold_prefix: bool = False


@dataclass(slots=True, eq=False)
class Conversation:
    """The last call of a conversation, and the entries that it can read again."""

    prefix: Prefix
    messages: int = 0
    message_tokens: int = 0
    opening: str = ""
    started: float = 0.0
    kind: TurnKind | None = None
    tail: Entry | None = None
    hour: Entry | None = None
    plan: Plan | None = None
    tallies: TurnTallies = field(default_factory=TurnTallies)

    def goes_on(self, messages: Sequence[Message]) -> bool:
        """Return whether messages may continue the last call: its beginning is not cut off."""
        return len(messages) >= self.messages and opening_text(messages) == self.opening

    def live(self, now: float, messages: Sequence[Message]) -> Entry | None:
        """Return the longest entry that a call with these messages can read now."""
        for entry in (self.tail, self.hour):
            if entry is not None and entry.expires > now and can_hold_mark(messages, entry.place):
                return entry
        return None


class _Bounded(Generic[RecordT]):
    """A map that forgets what was used longest ago."""

    __slots__ = ("_max_size", "_records")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._records: OrderedDict[Hashable, RecordT] = OrderedDict()

    def get(self, key: Hashable) -> RecordT | None:
        found = self._records.get(key)
        if found is not None:
            self._records.move_to_end(key)
        return found

    def put(self, key: Hashable, record: RecordT) -> RecordT:
        self._records[key] = record
        if len(self._records) > self._max_size:
            self._records.popitem(last=False)
        return record

    def get_or_make(self, key: Hashable, make: Callable[[], RecordT]) -> RecordT:
        found = self.get(key)
        return self.put(key, make()) if found is None else found


class Memory:
    """Finds the records of a call.

    Args:
        counter: Estimates the sizes of tools and system prompts.
        max_conversations: Conversations to remember; prefixes and operations are a tenth.
    """

    def __init__(self, counter: TokenCounter, *, max_conversations: int = 10_000) -> None:
        self._counter = counter
        self._conversations: _Bounded[Conversation] = _Bounded(max_conversations)
        few = max(1, max_conversations // 10)
        self._prefixes: _Bounded[Prefix] = _Bounded(few)
        self._tools: _Bounded[Shared] = _Bounded(few)
        self._operations: _Bounded[TurnTallies] = _Bounded(few)
        self._trails: _Bounded[Trail] = _Bounded(max_conversations)

    def prefix(self, call: Call) -> Prefix:
        """Return the record of the call's tools and system prompt, breakpoints left out."""
        key = _prefix_key(call, call.tools, call.system)
        found = self._prefixes.get(key)
        if found is not None:
            return found
        tools, system = tuple(bare(tool) for tool in call.tools), _plain_system(call.system)
        plain_key = _prefix_key(call, tools, system)
        prefix = self._prefixes.get(plain_key)
        if prefix is None:
            prefix = self._prefixes.put(plain_key, self._new_prefix(call, tools, system))
        return self._prefixes.put(key, prefix)

    def find_conversation(self, call: Call) -> Conversation | None:
        """Return what is remembered of the call's conversation."""
        return self._conversations.get(_conversation_key(call, self.prefix(call)))

    def conversation(self, call: Call, prefix: Prefix) -> Conversation:
        """Return the record of the call's conversation, which begins with it where there is none."""
        return self._conversations.get_or_make(
            _conversation_key(call, prefix), lambda: Conversation(prefix)
        )

    def trail(self, call: Call) -> Trail:
        """Return the answered calls of the call's conversation, whatever their models and prefixes.

        Side calls of a session, such as one for a title, go by their operation.
        """
        name = (False, opening_text(call.messages))
        if call.session_id is not None:
            name = (True, call.session_id)
        return self._trails.get_or_make((call.tenant, call.operation, *name), Trail)

    def operation(self, call: Call) -> TurnTallies:
        """Return how calls of the same kind of work went on so far."""
        key = (call.tenant, call.operation, call.session_id is None, bool(call.tools))
        return self._operations.get_or_make(key, TurnTallies)

    def _new_prefix(
        self,
        call: Call,
        tools: tuple[Mapping[str, Any], ...],
        system: str | tuple[Block, ...] | None,
    ) -> Prefix:
        params: dict[str, Any] = {"model": call.model, "tools": tools}
        part = None
        if system and tools_end(tools) is not None:
            size = self._counter.count(params)
            key = _prefix_key(call, tools, None)
            part = self._tools.get_or_make(key, lambda: Shared(size))
        tokens = self._counter.count({**params, "system": system}) if tools or system else 0
        return Prefix(tools, system, Shared(tokens), part)


def _prefix_key(
    call: Call, tools: tuple[Mapping[str, Any], ...], system: str | tuple[Block, ...] | None
) -> Hashable:
    # A string keeps its hash: a long system prompt costs nothing from the second call on.
    text = system if system is None or isinstance(system, str) else fingerprint(system)
    return call.tenant, call.model, fingerprint(tools) if tools else b"", text


def _conversation_key(call: Call, prefix: Prefix) -> Hashable:
    if call.session_id is not None:
        return call.tenant, call.model, call.session_id
    return prefix, call.operation, opening_text(call.messages)


def _plain_system(system: str | tuple[Block, ...] | None) -> str | tuple[Block, ...] | None:
    """Return a system prompt without breakpoints; a single text is the same as a string."""
    if system is None or isinstance(system, str):
        return system or None
    blocks = tuple(bare(block) for block in system)
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks

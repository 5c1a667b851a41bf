"""Decides where a call's breakpoints go and how long they live: the policy of the optimiser.

It reads and updates the records of earlier calls, and changes no call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow.core.prompt_caching.anatomy import (
    LOOKBACK,
    Mark,
    Place,
    Tier,
    blocks_after,
    can_hold_mark,
    last_markable,
    message_at,
    next_markable,
    opening_text,
    prefix_end,
    tools_end,
    turn_kind,
)
from sdk_workflow.core.prompt_caching.economics import Lifetimes, best_lifetimes
from sdk_workflow.core.prompt_caching.records import Entry, Plan
from sdk_workflow.core.prompt_caching.turn_gaps import TTL_SECONDS, turn_odds

if TYPE_CHECKING:
    from sdk_workflow.core.prompt_caching.anatomy import Ttl, TurnKind
    from sdk_workflow.core.prompt_caching.economics import PriceRatios
    from sdk_workflow.core.prompt_caching.records import (
        ColdReason,
        Conversation,
        Memory,
        Prefix,
        Shared,
    )
    from sdk_workflow.core.prompt_caching.turn_gaps import TurnTallies
    from sdk_workflow.protocols import TokenCounter
    from sdk_workflow.types import Call

__all__ = ["Planner"]

_SAME_CALL_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One call while it is being decided on."""

    call: Call
    now: float
    prefix: Prefix
    conversation: Conversation
    kind: TurnKind
    message_tokens: int
    previous_prefix: Prefix | None
    is_new: bool
    goes_on: bool
    """Whether the messages may continue those of the conversation's last call."""
    own: Entry | None = None
    """The conversation's entry that can be read."""
    shared: Shared | None = None
    """The longest shared part that can be read, where there is no own entry."""

    @property
    def tokens(self) -> int:
        return self.prefix.whole.tokens + self.message_tokens

    @property
    def expected_tokens(self) -> int:
        """What is believed to be in the cache."""
        if self.own is not None:
            return self.own.tokens
        return 0 if self.shared is None else self.shared.tokens

    @property
    def live_tokens(self) -> int:
        """What of it can be read already."""
        if self.shared is not None and not self.shared.is_readable(self.now):
            return 0
        return self.expected_tokens


class Planner:
    """Plans one call after the other. Not safe for threads: its owner holds the lock."""

    def __init__(self, memory: Memory, counter: TokenCounter) -> None:
        self._memory = memory
        self._counter = counter

    def plan(self, call: Call, ratios: PriceRatios, *, min_tokens: int, now: float) -> Plan:
        """Return what to do to a call that starts now.

        The same call again within a second gets the same plan, and is counted once.
        """
        prefix = self._memory.prefix(call)
        conversation = self._memory.conversation(call, prefix)
        known = conversation.plan
        if known is not None and _is_repeat(call, prefix, conversation, now):
            return known
        turn = self._turn(call, prefix, conversation, now)
        plan = self._decide(turn, ratios, min_tokens)
        self._remember(turn, plan)
        return plan

    def _turn(self, call: Call, prefix: Prefix, conversation: Conversation, now: float) -> _Turn:
        operation = self._memory.operation(call)
        is_new = conversation.kind is None
        moved = None if is_new or conversation.prefix is prefix else conversation.prefix
        goes_on = conversation.goes_on(call.messages)
        if moved is not None or not goes_on:
            conversation.tail = conversation.hour = None
        elif conversation.kind is not None:
            gap = now - conversation.started
            conversation.tallies.add_gap(conversation.kind, gap)
            operation.add_gap(conversation.kind, gap)
        turn = _Turn(
            call=call,
            now=now,
            prefix=prefix,
            conversation=conversation,
            kind=turn_kind(call.messages),
            message_tokens=self._message_tokens(call, conversation),
            previous_prefix=moved,
            is_new=is_new,
            goes_on=goes_on,
            own=conversation.live(now, call.messages),
        )
        if turn.own is None:
            self._find_shared(turn, operation)
        return turn

    def _find_shared(self, turn: _Turn, operation: TurnTallies) -> None:
        """Note the gaps since the prefix was used last, and find what of it is still there."""
        for shared in turn.prefix.shared:
            if shared.last_use is not None:
                gap = turn.now - shared.last_use
                shared.tally = shared.tally.with_gap(gap)
                if shared is turn.prefix.whole:
                    operation.prefix = operation.prefix.with_gap(gap)
            if turn.shared is None and shared.live(turn.now) is not None:
                turn.shared = shared

    def _message_tokens(self, call: Call, conversation: Conversation) -> int:
        """Estimate the messages, only the new ones where the conversation goes on."""
        messages = call.messages
        start = conversation.messages if len(messages) >= conversation.messages else 0
        known = conversation.message_tokens if start else 0
        return known + self._counter.count({"model": call.model, "messages": messages[start:]})

    def _decide(self, turn: _Turn, ratios: PriceRatios, min_tokens: int) -> Plan:
        if turn.tokens < min_tokens:
            return Plan(
                prefix=turn.prefix,
                tokens=turn.tokens,
                cold_reason="below_minimum",
                previous_prefix=turn.previous_prefix,
                is_new_prefix=turn.prefix.whole.last_use is None,
            )
        messages = turn.call.messages
        tail = last_markable(messages)
        history = _history_place(turn, tail)
        lifetimes = self._lifetimes(turn, ratios, tail, history)
        shared = self._shared_marks(turn, ratios, min_tokens, lifetimes)
        marks = (*shared[:1], *_history_marks(turn, tail, history, lifetimes), *shared[1:])
        is_used = bool(marks) or lifetimes.tail is not None
        return Plan(
            prefix=turn.prefix,
            tokens=turn.tokens,
            marks=marks,
            tail_ttl=lifetimes.tail,
            tail=tail,
            expected_read_tokens=turn.expected_tokens if is_used else 0,
            cold_reason=_cold_reason(turn) if is_used else "not_worth_it",
            previous_prefix=turn.previous_prefix,
            is_new_prefix=turn.prefix.whole.last_use is None,
            is_cold_prefix=turn.own is None and bool(shared) and _is_cold(turn),
        )

    def _lifetimes(
        self, turn: _Turn, ratios: PriceRatios, tail: Place | None, history: Place | None
    ) -> Lifetimes:
        if tail is None:
            return Lifetimes()
        call, conversation = turn.call, turn.conversation
        odds = turn_odds(
            turn.kind,
            conversation.tallies,
            self._memory.operation(call),
            is_conversation=call.session_id is not None or bool(call.tools),
        )
        hour, protected = conversation.hour, 0
        if hour is not None and hour.expires - turn.now > TTL_SECONDS["1h"] / 2:
            protected = hour.tokens
        return best_lifetimes(
            odds,
            ratios,
            total=turn.tokens,
            live=turn.live_tokens,
            protected=protected,
            history=self._tokens_up_to(turn, history),
        )

    def _tokens_up_to(self, turn: _Turn, history: Place | None) -> int:
        """Return the tokens up to the first block behind the conversation's own entry."""
        if history is None or turn.own is None:
            return 0
        message = message_at(turn.call.messages, history)
        size = self._counter.count({"model": turn.call.model, "messages": (message,)})
        return turn.own.tokens + size

    def _shared_marks(
        self, turn: _Turn, ratios: PriceRatios, min_tokens: int, lifetimes: Lifetimes
    ) -> tuple[Mark, ...]:
        """Return the breakpoints behind system and tools, the longer prefix first."""
        prefix, marks = turn.prefix, list[Mark]()
        behind = lifetimes.history or lifetimes.tail
        for shared, place in (
            (prefix.whole, prefix_end(prefix)),
            (prefix.tools_part, tools_end(prefix.tools)),
        ):
            if shared is None or place is None or shared.tokens < min_tokens:
                continue
            ttl = self._shared_ttl(turn, shared, ratios)
            # Within what is written anyway a breakpoint is free. An hour may not come behind less.
            behind = "1h" if "1h" in (ttl, behind) else ttl or behind
            if behind is not None:
                marks.append(Mark(place, behind))
        return tuple(marks)

    def _shared_ttl(self, turn: _Turn, shared: Shared, ratios: PriceRatios) -> Ttl | None:
        if turn.own is not None:
            return "5m"  # nothing is written that far in front
        entry = shared.live(turn.now)
        if entry is not None:
            return entry.ttl
        odds = self._memory.operation(turn.call).prefix_odds(shared.tally)
        total = shared.tokens
        return best_lifetimes(odds, ratios, total=total, live=turn.live_tokens).tail

    def _remember(self, turn: _Turn, plan: Plan) -> None:
        conversation, now = turn.conversation, turn.now
        operation = self._memory.operation(turn.call)
        conversation.tallies.add_call(turn.kind)
        operation.add_call(turn.kind)
        if turn.own is None:
            operation.prefix = operation.prefix.with_call()
            for shared in turn.prefix.shared:
                shared.tally, shared.last_use = shared.tally.with_call(), now
            _renew_shared(turn, plan)
        else:
            turn.own.refresh(now)
        self._note_written(turn, plan)
        conversation.prefix = turn.prefix
        conversation.messages = len(turn.call.messages)
        conversation.opening = opening_text(turn.call.messages)
        conversation.message_tokens = turn.message_tokens
        conversation.started, conversation.kind = now, turn.kind
        conversation.plan = plan

    def _note_written(self, turn: _Turn, plan: Plan) -> None:
        conversation, now = turn.conversation, turn.now
        if plan.tail_ttl is None or plan.tail is None:
            return
        expires = now + TTL_SECONDS[plan.tail_ttl]
        conversation.tail = Entry(plan.tokens, plan.tail, plan.tail_ttl, expires)
        if plan.tail_ttl == "1h":
            conversation.hour = conversation.tail
            return
        for place, ttl in plan.marks:
            if ttl == "1h" and place.tier == Tier.MESSAGES and turn.own is not None:
                tokens = self._tokens_up_to(turn, place)
                conversation.hour = Entry(tokens, place, ttl, now + TTL_SECONDS[ttl])


def _is_repeat(call: Call, prefix: Prefix, conversation: Conversation, now: float) -> bool:
    """Return whether a call is the conversation's last one, built once more."""
    plan, messages = conversation.plan, call.messages
    return (
        plan is not None
        and conversation.prefix is prefix
        and conversation.messages == len(messages)
        and 0 <= now - conversation.started < _SAME_CALL_SECONDS
        and plan.tail in {None, last_markable(messages)}
        and all(
            can_hold_mark(messages, mark.place)
            for mark in plan.marks
            if mark.place.tier == Tier.MESSAGES
        )
    )


def _renew_shared(turn: _Turn, plan: Plan) -> None:
    """Note which shared entries the call reads, and which it writes."""
    if turn.shared is not None and turn.shared.entry is not None:
        turn.shared.entry.refresh(turn.now)
    for mark in plan.marks:
        shared = _shared_at(turn.prefix, mark.place)
        if shared is not None and shared.tokens > turn.expected_tokens:
            shared.write(mark.place, mark.ttl, turn.now)


def _shared_at(prefix: Prefix, place: Place) -> Shared | None:
    if place == prefix_end(prefix):
        return prefix.whole
    return prefix.tools_part if place == tools_end(prefix.tools) else None


def _history_place(turn: _Turn, tail: Place | None) -> Place | None:
    """Return the first block behind the entry to read, where that is not the end itself.

    A breakpoint there finds the entry however far behind it the end is.
    """
    messages = turn.call.messages
    if turn.own is not None:
        place = next_markable(messages, turn.own.place)
    elif turn.is_new:
        # Another process may have written it: a request ends where the model's next answer begins.
        place = _last_answer(turn)
    else:
        return None
    return None if place is None or tail is None or place >= tail else place


def _last_answer(turn: _Turn) -> Place | None:
    messages = turn.call.messages
    for index in range(len(messages) - 1, 0, -1):
        if messages[index]["role"] == "assistant" != messages[index - 1]["role"]:
            return next_markable(messages, Place(Tier.MESSAGES, index, -1))
    return None


def _history_marks(
    turn: _Turn, tail: Place | None, history: Place | None, lifetimes: Lifetimes
) -> tuple[Mark, ...]:
    """Return the breakpoint of the history: for an hour, or because the end is too far behind."""
    if lifetimes.tail is None:
        return () if turn.own is None else (Mark(turn.own.place, turn.own.ttl),)
    if history is None or tail is None:
        return ()
    if lifetimes.history is not None:
        return (Mark(history, lifetimes.history),)
    messages = turn.call.messages
    own = turn.own
    distance = (
        blocks_after(messages, history) + 1 if own is None else blocks_after(messages, own.place)
    )
    if distance <= LOOKBACK:
        return ()
    return (Mark(history, lifetimes.tail),)


def _is_cold(turn: _Turn) -> bool:
    return turn.shared is not turn.prefix.whole or not turn.shared.is_readable(turn.now)


def _cold_reason(turn: _Turn) -> ColdReason | None:
    """Return why less can be read than earlier calls have sent; None where nothing is missing."""
    if turn.own is not None:
        return None
    if turn.previous_prefix is not None:
        return "prefix_moved"
    if not turn.is_new and turn.goes_on:
        return "expired"
    if not turn.is_new and turn.call.session_id is not None:
        return "prefix_moved"  # without a session it is another conversation that begins alike
    if turn.shared is None:
        return "first_sight" if turn.prefix.whole.last_use is None else "expired"
    return None if turn.shared.is_readable(turn.now) else "not_yet_readable"

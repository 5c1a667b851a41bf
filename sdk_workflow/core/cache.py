"""Places prompt-cache breakpoints: what they are worth is decided from the calls seen so far.

The parts live in `prompt_caching`; this module owns their state and the lock around it. It sends
nothing and knows no reply but the one that it is asked to explain.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow._internal.clock import SystemClock, utc_day
from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.prompt_caching.anatomy import MARK, explicit_marks
from sdk_workflow.core.prompt_caching.breakpoints import with_breakpoints
from sdk_workflow.core.prompt_caching.diagnosis import CacheDiagnosis, CacheReason, diagnose
from sdk_workflow.core.prompt_caching.economics import PriceRatios
from sdk_workflow.core.prompt_caching.planning import Planner
from sdk_workflow.core.prompt_caching.prefix_guard import (
    PrefixChange,
    assert_stable_prefix,
    compare_prefixes,
    find_prefix_change,
)
from sdk_workflow.core.prompt_caching.prefix_watch import PrefixWatch
from sdk_workflow.core.prompt_caching.prewarming import prewarming_call
from sdk_workflow.core.prompt_caching.records import Memory
from sdk_workflow.core.prompt_caching.savings import SavingsEstimate, estimate_savings
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.prompt_caching.anatomy import Ttl
    from sdk_workflow.core.prompt_caching.records import Plan, Prefix
    from sdk_workflow.core.prompt_caching.trails import Comparison
    from sdk_workflow.protocols import Clock, TokenCounter
    from sdk_workflow.types import Call, Reply

__all__ = [
    "CacheDiagnosis",
    "CacheReason",
    "PrefixChange",
    "PreparedCall",
    "PromptCacheOptimizer",
    "SavingsEstimate",
    "assert_stable_prefix",
    "find_prefix_change",
]

# Of most models that can be asked today; the others cache only longer prefixes.
_UNKNOWN_MIN_TOKENS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCall:
    """A call ready to be sent, and what is to be known about it.

    Attributes:
        call: With its breakpoints.
        change: What moved at the front of the prompt, the first time that it did so.
        cold_prefix: Stands for tools and system prompt where this call writes them and others may
            be about to do the same; None where they can be read, or are too short.
    """

    call: Call
    change: PrefixChange | None = None
    cold_prefix: Prefix | None = None


@dataclass(frozen=True, slots=True)
class _ModelFacts:
    min_tokens: int
    ratios: PriceRatios


class PromptCacheOptimizer:
    """Adds breakpoints to calls where reading them again pays for writing them.

    Four tiers: tools, system, history, current. The end of the prompt is left to the API's
    automatic caching; tools and system get breakpoints of their own, so that other conversations
    can read them; the history gets one where the end is more than 20 blocks behind the last entry.
    Five minutes or an hour is decided from the gaps between the turns of the conversation, of its
    operation, and of whatever shares the prefix. Nothing is marked that by these gaps would cost
    more than it saves. Safe for threads.

    Args:
        catalog: Minimum lengths and prices of models; None loads the built-in one.
        counter: Estimates sizes; by their length by default.
        clock: Where times come from; the machine's clock by default.
        automatic: Whether the server knows top-level `cache_control`; Bedrock's older API does not.
        max_conversations: Conversations to remember, about 1 KB each, and as much as that again
            for each whose replies are explained twice or more.

    Example:
        >>> from sdk_workflow.types import Call
        >>> question = {"role": "user", "content": "Which of these rules is the oldest?"}
        >>> rules = "Be exact and quote the rule that applies. " * 100
        >>> call = Call(model="claude-haiku-5-5", system=rules, messages=(question,))
        >>> PromptCacheOptimizer().build_cached_request(call).system[0]["cache_control"]
        {'type': 'ephemeral'}
    """

    def __init__(
        self,
        catalog: ModelCatalog | None = None,
        *,
        counter: TokenCounter | None = None,
        clock: Clock | None = None,
        automatic: bool = True,
        max_conversations: int = 10_000,
    ) -> None:
        self._catalog = catalog
        self._counter: TokenCounter = counter or CharacterTokenCounter()
        self._clock: Clock = clock or SystemClock()
        self._automatic = automatic
        self._max_conversations = max_conversations
        self._lock = Lock()
        self._memory = Memory(self._counter, max_conversations=max_conversations)
        self._planner = Planner(self._memory, self._counter)
        self._watch = PrefixWatch()
        self._facts: dict[str, _ModelFacts] = {}

    def build_cached_request(self, call: Call) -> Call:
        """Return the call with its breakpoints; it is about to start.

        The call itself is never changed, and nothing in it but `cache_control` differs in the
        result. A call that was built before comes back as it is. Breakpoints that are there
        already are kept and count towards the four that the API allows.
        """
        return self.prepare(call).call

    @trace_function(name="prompt_cache.plan")
    def prepare(self, call: Call) -> PreparedCall:
        """Do what `build_cached_request` does, and tell what a middleware has to know."""
        if call.max_tokens == 0 and explicit_marks(call):
            return PreparedCall(call=call)  # pre-warms: what it marks is all that it is for
        if "thread" in call.parameters:
            return PreparedCall(call=self._continuing_thread(call))
        facts = self._facts_of(call.model)
        with self._lock:
            plan = self._planner.plan(
                call, facts.ratios, min_tokens=facts.min_tokens, now=self._clock.now()
            )
            change = self._watch.check(call, plan)
        return PreparedCall(
            call=with_breakpoints(call, plan, uses_automatic=self._automatic),
            change=change,
            cold_prefix=plan.prefix if plan.is_cold_prefix else None,
        )

    def note_answering(self, call: Call) -> None:
        """Take into account that the model has begun to answer: what the call wrote is readable."""
        with self._lock:
            self._note_readable(call)

    def prewarm(self, call: Call, *, ttl: Ttl | None = None) -> Call:
        """Return a call that writes the tools and the system prompt of `call`, and nothing else.

        It asks for no answer (`max_tokens` 0) and costs what the first of the calls would have paid
        for writing the prefix. It pays before many calls at once that share a long prefix, or to
        have the prefix ready when somebody comes; for calls one after the other it is only a detour.

        Args:
            call: One of the calls to come.
            ttl: How long the prefix is to live; by default as long as it did before, or 5m.

        Raises:
            UsageError: The call has neither tools nor system prompt, or too little of them, or a
                thinking budget (`prewarm_refused`).
        """
        least = self._facts_of(call.model).min_tokens
        with self._lock:
            shared = self._memory.prefix(call).whole
            if 0 < shared.tokens < least:
                raise UsageError(
                    f"A prefix of about {shared.tokens} tokens cannot be pre-warmed: "
                    f"{call.model} caches none below {least}.",
                    code="prewarm_refused",
                    hint="Send the calls as they are.",
                )
            lifetime = ttl or ("5m" if shared.entry is None else shared.entry.ttl)
            warming = prewarming_call(call, lifetime)
            shared.write(explicit_marks(warming)[0].place, lifetime, self._clock.now())
        return warming

    @trace_function(name="prompt_cache.explain")
    def explain(
        self, call: Call, reply: Reply, *, diagnostics: Mapping[str, Any] | None = None
    ) -> CacheDiagnosis:
        """Return what a call read, wrote and missed, and why.

        What was missed is measured against the replies of the conversation that were explained
        before: explain each reply, and before the conversation's next call is built.

        Args:
            call: As it was, with or without its breakpoints.
            reply: Its reply.
            diagnostics: The API's `diagnostics` of the reply, where they were asked for.
        """
        with self._lock:
            conversation = self._memory.find_conversation(call)
            plan = None if conversation is None else conversation.plan
            self._note_readable(call)
            started = self._clock.now() if conversation is None else conversation.started
            comparison = self._compare(call, reply, started)
        moved = None if plan is None else _moved_part(plan)
        return diagnose(
            reply.usage, plan, comparison=comparison, moved_part=moved, diagnostics=diagnostics
        )

    def estimate_cache_savings(
        self, calls: Sequence[Call], *, gap_seconds: float = 30.0
    ) -> SavingsEstimate:
        """Return what the prompts of some calls would cost without caching, and with it.

        It starts from an empty cache and learns from these calls alone; nothing of it is kept.
        Sizes are those of the counter, prices those of today. Breakpoints in the calls are counted
        in with the added ones.

        Args:
            calls: In the order in which they start, each answered before the next.
            gap_seconds: The time from one start to the next.
        """
        from sdk_workflow._internal.clock import VirtualClock

        clock = VirtualClock(self._clock.now())
        scratch = PromptCacheOptimizer(
            self._known_catalog(),
            counter=self._counter,
            clock=clock,
            automatic=self._automatic,
            max_conversations=self._max_conversations,
        )

        def build(call: Call) -> Call:
            built = scratch.build_cached_request(call)
            clock.advance(gap_seconds)
            return built

        return estimate_savings(
            calls,
            [build(call) for call in calls],
            catalog=self._known_catalog(),
            counter=self._counter,
            gap_seconds=gap_seconds,
            day=utc_day(self._clock),
            min_tokens_of=lambda model: self._facts_of(model).min_tokens,
        )

    def _continuing_thread(self, call: Call) -> Call:
        """Mark the end of a prompt that the server knows better than the caller."""
        if MARK in call.parameters or explicit_marks(call) or not self._automatic:
            return call
        parameters = {**call.parameters, MARK: {"type": "ephemeral"}}
        return dataclasses.replace(call, parameters=parameters)

    def _compare(self, call: Call, reply: Reply, started: float) -> Comparison | None:
        if call.max_tokens == 0 or "thread" in call.parameters:
            return None  # what is sent is not the conversation
        prefix = self._memory.prefix(call)
        return self._memory.trail(call).compare(call, reply, prefix, started=started)

    def _note_readable(self, call: Call) -> None:
        for shared in self._memory.prefix(call).shared:
            shared.has_answer = True

    def _facts_of(self, name: str) -> _ModelFacts:
        facts = self._facts.get(name)
        if facts is None:
            facts = self._facts[name] = self._read_facts(name)
        return facts

    def _read_facts(self, name: str) -> _ModelFacts:
        day = utc_day(self._clock)
        model = self._known_catalog().get(name, at=day)
        if model is None:
            return _ModelFacts(_UNKNOWN_MIN_TOKENS, PriceRatios())
        period = model.prices_on(day)
        ratios = PriceRatios() if period is None else PriceRatios.from_rates(period.rates)
        return _ModelFacts(model.min_cacheable_tokens, ratios)

    def _known_catalog(self) -> ModelCatalog:
        if self._catalog is None:
            from sdk_workflow.config.models import default_catalog

            self._catalog = default_catalog()
        return self._catalog


def _moved_part(plan: Plan) -> Literal["tools", "system", "messages"] | None:
    before, now = plan.previous_prefix, plan.prefix
    if before is None:
        return "messages"
    change = compare_prefixes((before.tools, before.system), (now.tools, now.system))
    return None if change is None else change.part

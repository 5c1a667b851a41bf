"""Everything that the metrics engine has counted, as plain sums, and how each event adds to them.

It takes no lock, asks no clock and shows nothing. Labels are names of models, tools, operations,
tiers, rules and errors; ids and texts stay out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.core.measures.labels import UNKNOWN, Labelled
from sdk_workflow.core.measures.sums import Count, Sums
from sdk_workflow.core.measures.windows import RequestSums, Windows
from sdk_workflow.exceptions import SdkWorkflowError, ToolNotFound

if TYPE_CHECKING:
    from sdk_workflow.events import (
        BudgetReached,
        CacheLookedUp,
        CallRetried,
        ModelCallFailed,
        ModelCallFinished,
        ToolFinished,
    )
    from sdk_workflow.types import Reply, RunResult, Usage

__all__ = [
    "MILLI",
    "PROMPT",
    "BudgetSums",
    "CacheSums",
    "ErrorSums",
    "MetricsState",
    "ModelSums",
    "RunSums",
    "ToolSums",
    "to_nanoseconds",
]

PROMPT = "prompt"
"""The cache tier of the API itself, which is counted from the usage of replies."""

MILLI = 1000
"""Speeds are kept in thousandths of a token per second, because a histogram takes whole numbers."""

# Labels with few values of their own, such as reasons and codes: some come from applications.
_REASONS = 50
_MAX_MESSAGE = 1000  # characters; secrets are taken out before it is cut for showing
_counts = partial(Labelled, Count, limit=_REASONS)


@dataclass(slots=True)
class ModelSums(Sums):
    """The calls to one model: `answered` by itself, or `cached` by one of the response caches.

    The histograms hold answered calls only, in nanoseconds and thousandths of a token per second.
    """

    answered: int = 0
    cached: int = 0
    errors: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    latency: Histogram = field(default_factory=Histogram)
    first_token: Histogram = field(default_factory=Histogram)
    speed: Histogram = field(default_factory=Histogram)

    def add_usage(self, usage: Usage) -> None:
        """Add the tokens of one reply."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_input_tokens
        self.cache_write_5m_tokens += usage.cache_write_5m_input_tokens
        self.cache_write_1h_tokens += usage.cache_write_1h_input_tokens


@dataclass(slots=True)
class ToolSums(Sums):
    """The calls of one tool; `loops` counts the alarms about it."""

    calls: int = 0
    errors: int = 0
    loops: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class CacheSums(Sums):
    """The lookups in one tier of the caches, with the reasons of those that were no hit."""

    hits: int = 0
    misses: int = 0
    saved_usd: float = 0.0
    skipped: Labelled[Count] = field(default_factory=_counts)
    miss_reasons: Labelled[Count] = field(default_factory=_counts)


@dataclass(slots=True)
class RunSums(Sums):
    """How runs ended; `unpriced` are those that finished at a cost that is not known."""

    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    unpriced: int = 0


@dataclass(slots=True)
class ErrorSums(Sums):
    """The errors of one type; `last_at` is in seconds since the Unix epoch.

    `last` is the text of the latest one, secrets and all: no summary shows it.
    """

    count: int = 0
    last_at: float = 0.0
    last: str = ""

    def note(self, error: BaseException, wall_time: float) -> None:
        """Add one error."""
        self.count += 1
        self.last_at = wall_time
        self.last = str(error)[:_MAX_MESSAGE]

    def merge(self, other: ErrorSums) -> None:
        """Add another one's count, and keep the later error."""
        self.count += other.count
        if other.last_at >= self.last_at:
            self.last_at, self.last = other.last_at, other.last


@dataclass(slots=True)
class BudgetSums(Sums):
    """How often one limit of a budget was reached, and how it stood the last time, in dollars."""

    reached: int = 0
    limit_usd: float = 0.0
    spent_usd: float = 0.0
    held_usd: float = 0.0

    def note(self, event: BudgetReached) -> None:
        """Add one time."""
        self.reached += 1
        self._stand(event)

    def merge(self, other: BudgetSums) -> None:
        """Add another one's count, and keep how the one stood that had spent more."""
        self.reached += other.reached
        if other.spent_usd >= self.spent_usd:
            self._stand(other)

    def _stand(self, other: BudgetReached | BudgetSums) -> None:
        self.limit_usd = other.limit_usd
        self.spent_usd = other.spent_usd
        self.held_usd = other.held_usd


@dataclass(slots=True, kw_only=True)
class MetricsState(Sums):
    """The sums of one engine; `fresh` makes an empty one."""

    windows: Windows
    total: RequestSums
    models: Labelled[ModelSums]
    operations: Labelled[Histogram]
    tools: Labelled[ToolSums]
    caches: Labelled[CacheSums]
    runs: RunSums = field(default_factory=RunSums)
    errors: Labelled[ErrorSums] = field(
        default_factory=partial(Labelled, ErrorSums, limit=_REASONS)
    )
    retries: Labelled[Count] = field(default_factory=_counts)
    retry_wait_seconds: float = 0.0
    fallbacks: Labelled[Count] = field(default_factory=_counts)
    prefix_moves: Labelled[Count] = field(default_factory=_counts)
    budgets: Labelled[BudgetSums] = field(
        default_factory=partial(Labelled, BudgetSums, limit=_REASONS)
    )

    @classmethod
    def fresh(cls, started_at: float, *, max_labels: int) -> MetricsState:
        """Return an empty one.

        Args:
            started_at: The monotonic time at which counting begins.
            max_labels: How many models, operations, tools and tiers get a series, each.
        """
        return cls(
            windows=Windows(started_at),
            total=RequestSums(latency=Histogram()),
            models=Labelled(ModelSums, limit=max_labels),
            operations=Labelled(Histogram, limit=max_labels),
            tools=Labelled(ToolSums, limit=max_labels),
            caches=Labelled(CacheSums, limit=max_labels),
        )

    def copy(self) -> MetricsState:
        """Return the same sums, to be read while these go on."""
        copied = self.fresh(self.windows.started_at, max_labels=self.models.limit)
        copied.merge(self)
        return copied

    def note_reply(self, event: ModelCallFinished, now: float) -> None:
        """Add a call that was answered, by the model or by a cache."""
        reply, usage = event.reply, event.reply.usage
        latency = to_nanoseconds(event.duration_ms)
        prompt_tokens = usage.prompt_tokens
        for sums in (self.total, self.windows.slot(now)):
            sums.requests += 1
            sums.input_tokens += prompt_tokens
            sums.output_tokens += usage.output_tokens
            sums.latency.observe(latency)
        self.operations.of(event.call.operation).observe(latency)
        model = self.models.of(_model_name(event.call.model, reply.model))
        if reply.cache_hit is not None:
            model.cached += 1
            return
        model.answered += 1
        model.add_usage(usage)
        model.latency.observe(latency)
        _note_speed(model, reply, latency)
        self._note_prompt_cache(usage)

    def note_failure(self, event: ModelCallFailed, now: float, wall_time: float) -> None:
        """Add a call that raised; one that was cancelled is no error, and has no latency."""
        is_error = isinstance(event.error, Exception)
        latency = to_nanoseconds(event.duration_ms)
        model = self.models.of(event.call.model)
        model.errors += is_error
        model.cancelled += not is_error
        for sums in (self.total, self.windows.slot(now)):
            sums.requests += 1
            sums.errors += is_error
            sums.cancelled += not is_error
            if is_error:
                sums.latency.observe(latency)
        if is_error:
            self.operations.of(event.call.operation).observe(latency)
            self.errors.of(_error_type(event.error)).note(event.error, wall_time)

    def note_retry(self, event: CallRetried) -> None:
        """Add an attempt that failed and was made again."""
        self.retries.of(_error_type(event.error)).count += 1
        self.retry_wait_seconds += event.wait_seconds

    def note_lookup(self, event: CacheLookedUp, now: float) -> None:
        """Add a question to a response cache, or one that a rule kept out of it."""
        tier = self.caches.of(event.tier)
        if event.outcome == "skipped":
            tier.skipped.of(event.reason or UNKNOWN).count += 1
            return
        if event.outcome == "miss":
            tier.miss_reasons.of(event.reason or UNKNOWN).count += 1
        self.note_cache(event.tier, event.saved_usd, now, hit=event.outcome == "hit")

    def note_cache(self, tier: str, saved_usd: float, now: float, *, hit: bool) -> None:
        """Add one hit or miss of a tier."""
        sums = self.caches.of(tier)
        sums.hits += hit
        sums.misses += not hit
        self._note_saved(sums, saved_usd, now)

    def note_tool(self, event: ToolFinished, *, is_loop: bool) -> None:
        """Add a finished tool call; the name of a tool that does not exist is the model's own words."""
        is_invented = event.result.error_code == ToolNotFound.default_code
        tool = self.tools.of(UNKNOWN if is_invented else event.tool_call.name)
        tool.calls += 1
        tool.errors += event.result.is_error
        tool.loops += is_loop
        tool.latency.observe(to_nanoseconds(event.duration_ms))

    def note_run(self, result: RunResult, now: float) -> None:
        """Add a run that finished: its cost, and what the prompt cache saved it."""
        self.runs.finished += 1
        self.runs.unpriced += result.cost_usd is None
        for sums in (self.total, self.windows.slot(now)):
            sums.cost_usd += result.cost_usd or 0.0
        if result.saved_usd:
            self._note_saved(self.caches.of(PROMPT), result.saved_usd, now)

    def note_failed_run(self, error: BaseException) -> None:
        """Add a run that raised, or was cancelled."""
        is_error = isinstance(error, Exception)
        self.runs.failed += is_error
        self.runs.cancelled += not is_error

    def _note_saved(self, tier: CacheSums, saved_usd: float, now: float) -> None:
        tier.saved_usd += saved_usd
        self.total.saved_usd += saved_usd
        self.windows.slot(now).saved_usd += saved_usd

    def _note_prompt_cache(self, usage: Usage) -> None:
        """Count a reply that read from the prompt cache as a hit, one that only wrote as a miss."""
        if usage.cache_read_input_tokens:
            self.caches.of(PROMPT).hits += 1
        elif usage.cache_write_5m_input_tokens or usage.cache_write_1h_input_tokens:
            self.caches.of(PROMPT).misses += 1


def to_nanoseconds(milliseconds: float) -> int:
    """Return a duration as the whole number that histograms take."""
    return int(milliseconds * 1e6)


def _note_speed(model: ModelSums, reply: Reply, latency: int) -> None:
    """Add the time to the first token, and how fast the others came after it.

    tokens per second = (output tokens - 1) / (duration - time to first token), the inverse of the
    time per output token. A reply that was not streamed shows neither.
    """
    if reply.time_to_first_token_ms is None:
        return
    first_token = to_nanoseconds(reply.time_to_first_token_ms)
    model.first_token.observe(first_token)
    further_tokens = reply.usage.output_tokens - 1
    if further_tokens > 0 and latency > first_token:
        model.speed.observe(further_tokens * MILLI * 10**9 // (latency - first_token))


def _model_name(asked: str, answered: str) -> str:
    """Return the model that answered, by the name that it was asked for where that is its alias."""
    return asked if answered.startswith(asked) else answered


def _error_type(error: BaseException) -> str:
    return error.code if isinstance(error, SdkWorkflowError) else type(error).__name__

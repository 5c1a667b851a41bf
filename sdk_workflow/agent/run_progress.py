"""What one run has come to so far, and the result that it adds up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_day
from sdk_workflow.config.models import multipliers_in
from sdk_workflow.core.genai_names import run_metrics
from sdk_workflow.core.span_summary import metric_facts
from sdk_workflow.events import RunFailed
from sdk_workflow.types import Money, RunResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from sdk_workflow._internal.tracing import NoopSpan, Span
    from sdk_workflow.agent.loop import LoopOutcome
    from sdk_workflow.agent.resume import UnfinishedRun
    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Reply, ToolRecord

__all__ = ["RunProgress", "note_run"]


@dataclass(slots=True, kw_only=True)
class RunProgress:
    """Collects replies, tool records and times while a run goes on."""

    clock: Clock
    parameters: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(init=False)
    replies: list[Reply] = field(default_factory=list)
    records: list[ToolRecord] = field(default_factory=list)
    time_to_first_token_ms: float | None = None

    def __post_init__(self) -> None:
        """Take the time."""
        self.started = self.clock.monotonic()

    def take_up(self, earlier: UnfinishedRun | None) -> None:
        """Count what an earlier part of the run has come to, if there is one."""
        if earlier is not None:
            self.replies.extend(earlier.replies)
            self.records.extend(earlier.records())

    def elapsed_ms(self) -> float:
        """Return the wall time since the run began."""
        return (self.clock.monotonic() - self.started) * 1000

    def note_reply(self, reply: Reply, *, first_text_ms: float | None) -> None:
        """Add a finished reply.

        Args:
            reply: The reply.
            first_text_ms: When its first text arrived, since the run began; None where none did,
                or where it was not streamed.
        """
        self.replies.append(reply)
        if self.time_to_first_token_ms is None:
            self.time_to_first_token_ms = first_text_ms

    def usage(self) -> Usage:
        """Return the tokens of all replies so far."""
        return sum((reply.usage for reply in self.replies), Usage())

    def result(
        self,
        outcome: LoopOutcome,
        catalog: ModelCatalog,
        *,
        session_id: str,
        trace_id: str | None,
    ) -> RunResult:
        """Return the result of the finished run, at the prices of today."""
        today = utc_day(self.clock)
        factors = multipliers_in(self.parameters)
        return RunResult(
            text=outcome.reply.text,
            stop_reason=outcome.stop_reason,
            usage=self.usage(),
            cost_usd=self._total(lambda item: _price(item, catalog, today, factors)),
            saved_usd=self._total(lambda item: _saved(item, catalog, today)),
            served_by=outcome.reply.served_by,
            model=outcome.reply.model,
            session_id=session_id,
            trace_id=trace_id,
            turns=outcome.turns,
            tool_calls=tuple(self.records),
            duration_ms=self.elapsed_ms(),
            time_to_first_token_ms=self.time_to_first_token_ms,
        )

    def failure(self, error: BaseException, *, session_id: str) -> RunFailed:
        """Return what is to be told of the run where it has failed."""
        return RunFailed(
            session_id=session_id, error=error, usage=self.usage(), turns=len(self.replies)
        )

    def _total(self, amount_of: Callable[[Reply], Money | None]) -> float | None:
        """Add exactly; one unknown amount makes the total unknown."""
        amounts = [amount_of(reply) for reply in self.replies]
        known = [amount for amount in amounts if amount is not None]
        return sum(known, Money()).usd if len(known) == len(amounts) else None


def note_run(span: Span | NoopSpan, result: RunResult) -> None:
    """Note on the span of a run how long it took and what it called."""
    if span.is_sampled:
        for name, value, unit in run_metrics(result):
            span.add_event(name, **metric_facts(value, unit))


def _price(
    reply: Reply, catalog: ModelCatalog, today: date, factors: Mapping[str, Any]
) -> Money | None:
    where = {} if reply.inference_geo is None else {"geo": reply.inference_geo}
    return catalog.price(reply.model, reply.usage, at=today, **{**factors, **where})


def _saved(reply: Reply, catalog: ModelCatalog, today: date) -> Money | None:
    """Return what either kind of cache spared: a whole reply, or parts of its prompt."""
    if reply.cache_hit is not None:
        return reply.cache_hit.saved
    return catalog.saved(reply.model, reply.usage, at=today)

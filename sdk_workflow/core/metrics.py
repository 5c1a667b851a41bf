"""The metrics engine: counts what happens to calls, caches, tools and runs, in constant memory.

It only looks on: `on_event` is an event sink. Where figures go, and who shows them, is for others.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.core.forks import renew_after_fork
from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.core.measures.in_flight import InFlight
from sdk_workflow.core.measures.loop_alarm import Loop, LoopAlarm, fingerprint
from sdk_workflow.core.measures.records import MetricsSummary, Percentiles
from sdk_workflow.core.measures.state import MetricsState, to_nanoseconds
from sdk_workflow.events import (
    BudgetReached,
    CacheLookedUp,
    CallRetried,
    FallbackUsed,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    PrefixMoved,
    RunFailed,
    RunFinished,
    RunStarted,
    ToolFinished,
    ToolStarted,
    shows_no_text,
)
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.measures.records import InFlightSummary
    from sdk_workflow.events import Event
    from sdk_workflow.protocols import Clock

__all__ = ["Loop", "MetricsEngine", "MetricsSummary", "Percentiles"]

ResultT = TypeVar("ResultT")

_LAST_MINUTE = 60


class MetricsEngine:
    """Counts events and durations; every method is safe for threads.

    Give `on_event` to a client or a session as a sink, and each call, lookup, tool and run counts.
    The `track_` methods count what no event tells. Figures by name (model, operation, tool, tier)
    have room for `max_labels` names each; further ones share the series `other`, and are counted.
    No name comes from a prompt, and none is the id of a session.

    Args:
        max_labels: How many models, operations, tools and tiers get figures of their own, each.
        loop_threshold: How often a session may run one tool with the same arguments until that is
            a loop; each multiple gives alarm again.
        on_loop: Is called with each alarm, after the call has been counted.
        clock: Its monotonic time decides about windows, so that no change of the date moves them.

    Raises:
        UsageError: If `max_labels` is below 1 or `loop_threshold` below 2.

    Example:
        >>> metrics = MetricsEngine()
        >>> for milliseconds in (12.0, 15.0, 90.0):
        ...     metrics.track_latency("parse", milliseconds)
        >>> found = metrics.get_latency_percentiles("parse")
        >>> found["count"], round(found["p50"]), round(found["p99"])
        (3, 15, 90)
    """

    def __init__(
        self,
        *,
        max_labels: int = 50,
        loop_threshold: int = 5,
        on_loop: Callable[[Loop], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if max_labels < 1:
            raise UsageError(
                f"{max_labels!r} names are no room for any figure.",
                hint="Pass max_labels of at least 1.",
            )
        self._clock: Clock = clock or SystemClock()
        self._max_labels = max_labels
        self._on_loop = on_loop
        self._alarm = LoopAlarm(loop_threshold)
        self._in_flight = InFlight()
        self._state = MetricsState.fresh(self._clock.monotonic(), max_labels=max_labels)
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            ModelCallStarted: self._on_call_start,
            ModelCallFinished: self._on_reply,
            ModelCallFailed: self._on_failure,
            CallRetried: self._on_retry,
            FallbackUsed: self._on_fallback,
            CacheLookedUp: self._on_lookup,
            PrefixMoved: self._on_prefix_move,
            ToolStarted: self._on_tool_start,
            ToolFinished: self._on_tool_end,
            BudgetReached: self._on_budget,
            RunStarted: self._on_run_start,
            RunFinished: self._on_run_end,
            RunFailed: self._on_run_failure,
        }
        self.renew()
        renew_after_fork(self)

    # Counting

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Count an event; kinds that say nothing about figures are ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def track_request(self, event: ModelCallFinished | ModelCallFailed) -> None:
        """Count a call to the model that ended.

        An engine that gets all events through `on_event` counts them already.

        Raises:
            UsageError: If `event` is neither of the two.
        """
        if not isinstance(event, (ModelCallFinished, ModelCallFailed)):
            raise UsageError(
                f"A {type(event).__name__} is not the end of a call to the model.",
                hint="Pass a ModelCallFinished or a ModelCallFailed, or use on_event.",
            )
        self.on_event(event)

    def track_latency(self, operation: str, latency_ms: float) -> None:
        """Add one duration to those of an operation; a negative one counts as 0.

        Args:
            operation: A name out of a small set, never an id or a text.
            latency_ms: How long it took.

        Raises:
            UsageError: If the duration is infinite or not a number.
        """
        _check_finite(latency_ms, "latency_ms")
        nanoseconds = to_nanoseconds(latency_ms)
        with self._lock:
            self._state.operations.of(operation).observe(nanoseconds)

    def track_cache(
        self,
        tier: str,
        hit: bool,  # noqa: FBT001 - promised to be positional
        saved_usd: float = 0.0,
    ) -> None:
        """Count one lookup in a cache that sends no events.

        The tier `prompt`, the API's own cache, is counted from the usage of replies, and its
        savings from the results of runs.

        Args:
            tier: The name of the cache.
            hit: Whether it had the answer.
            saved_usd: What the hit saved.

        Raises:
            UsageError: If the amount is infinite or not a number.
        """
        _check_finite(saved_usd, "saved_usd")
        now = self._clock.monotonic()
        with self._lock:
            self._state.note_cache(tier, saved_usd, now, hit=hit)

    def merge(self, other: MetricsEngine) -> None:
        """Add everything that another engine has counted until now; what is in flight stays its own.

        Both must go by one clock, or the windows do not fit together.

        Raises:
            UsageError: If `other` is this engine.
        """
        if other is self:
            raise UsageError(
                "An engine merged with itself would count everything twice.",
                hint="Pass another engine.",
            )
        theirs = other._copy()
        with self._lock:
            self._state.merge(theirs)

    def reset(self) -> None:
        """Begin anew, with all figures at zero; what is in flight stays in flight."""
        fresh = MetricsState.fresh(self._clock.monotonic(), max_labels=self._max_labels)
        with self._lock:
            self._state = fresh
            self._alarm.clear()

    def renew(self) -> None:
        """Start with a free lock in a forked process, where its holder does not exist."""
        # Re-entrant: an event may come out of a finalizer that runs while the lock is held.
        self._lock = threading.RLock()

    # Reading

    def get_latency_percentiles(self, operation: str) -> Percentiles:
        """Return the distribution of an operation's durations, in milliseconds.

        Calls to the model go by the operation of the `Call`, which is `message` if not told
        otherwise. An operation that was never counted has a count of 0, and None for the rest.
        """
        from sdk_workflow.core.measures.summary import percentiles

        copied = Histogram()
        with self._lock:
            found = self._state.operations.find(operation)
            if found is not None:
                copied.merge(found)
        return percentiles(copied)

    def get_throughput(self) -> float:
        """Return the requests per second of the last minute."""
        now = self._clock.monotonic()
        with self._lock:
            sums, covered_seconds = self._state.windows.last(_LAST_MINUTE, now=now)
        return sums.requests / covered_seconds

    def get_error_rate(self) -> float:
        """Return the share of errors in the requests of the last minute, 0..1.

        Requests that were cancelled are left out; without any request the share is 0.
        """
        now = self._clock.monotonic()
        with self._lock:
            sums, _ = self._state.windows.last(_LAST_MINUTE, now=now)
        return sums.error_rate

    def get_realtime_dashboard(self) -> str:
        """Return the present figures as lines of plain text."""
        from sdk_workflow.core.measures.dashboard import dashboard

        return dashboard(self.get_summary())

    def get_summary(self) -> MetricsSummary:
        """Return every figure."""
        from sdk_workflow.core.measures.summary import summarize

        state, in_flight = self._copy(), self._in_flight_summary()
        return summarize(state, in_flight, now=self._clock.monotonic(), wall_time=self._clock.now())

    def to_prometheus(self) -> str:
        """Return every figure in Prometheus' text format, to be served as `text/plain; version=0.0.4`."""
        from sdk_workflow.core.measures.prometheus import to_prometheus

        state, in_flight = self._copy(), self._in_flight_summary()
        uptime = max(self._clock.monotonic() - state.windows.started_at, 0.0)
        return to_prometheus(state, in_flight, uptime_seconds=uptime)

    def read(self, look: Callable[[MetricsState, InFlight], ResultT]) -> ResultT:
        """Return what `look` finds in the sums; nothing is counted meanwhile, so it must be quick.

        `get_summary` copies everything first (3 ms); this is for those who read a little often.
        """
        with self._lock:
            return look(self._state, self._in_flight)

    def _copy(self) -> MetricsState:
        """Return the sums as they are now: readers work on a copy, so the lock is held shortly."""
        with self._lock:
            return self._state.copy()

    def _in_flight_summary(self) -> InFlightSummary:
        with self._lock:
            return self._in_flight.summary()

    # Events

    def _on_call_start(self, _: ModelCallStarted) -> None:
        with self._lock:
            self._in_flight.calls += 1

    def _on_reply(self, event: ModelCallFinished) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._in_flight.end_call()
            self._state.note_reply(event, now)

    def _on_failure(self, event: ModelCallFailed) -> None:
        now, wall_time = self._clock.monotonic(), self._clock.now()
        with self._lock:
            self._in_flight.end_call()
            self._state.note_failure(event, now, wall_time)

    def _on_retry(self, event: CallRetried) -> None:
        with self._lock:
            self._state.note_retry(event)

    def _on_fallback(self, event: FallbackUsed) -> None:
        with self._lock:
            self._state.fallbacks.of(event.fallback).count += 1

    def _on_lookup(self, event: CacheLookedUp) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._state.note_lookup(event, now)

    def _on_prefix_move(self, event: PrefixMoved) -> None:
        with self._lock:
            self._state.prefix_moves.of(event.part).count += 1

    def _on_budget(self, event: BudgetReached) -> None:
        with self._lock:
            self._state.budgets.of(event.limit).note(event)

    def _on_tool_start(self, event: ToolStarted) -> None:
        with self._lock:
            self._in_flight.add_tools(event.session_id, 1)

    def _on_tool_end(self, event: ToolFinished) -> None:
        session_id, call = event.session_id, event.tool_call
        digest = None if session_id is None else fingerprint(session_id, call)
        with self._lock:
            repeats = None if digest is None else self._alarm.note(digest)
            self._state.note_tool(event, is_loop=repeats is not None)
            self._in_flight.add_tools(session_id, -1)
        if repeats is not None and session_id is not None and self._on_loop is not None:
            self._on_loop(Loop(session_id=session_id, tool=call.name, count=repeats))

    def _on_run_start(self, event: RunStarted) -> None:
        with self._lock:
            self._in_flight.begin_run(event.session_id)

    def _on_run_end(self, event: RunFinished) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._in_flight.end_run(event.session_id)
            self._state.note_run(event.result, now)

    def _on_run_failure(self, event: RunFailed) -> None:
        with self._lock:
            self._in_flight.end_run(event.session_id)
            self._state.note_failed_run(event.error)


def _check_finite(value: float, name: str) -> None:
    if not math.isfinite(value):
        raise UsageError(f"{name}={value!r} is no amount.", hint=f"Pass a finite {name}.")

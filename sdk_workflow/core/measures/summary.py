"""Turns the sums of the metrics engine into the figures that it hands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.core.measures.state import MILLI
from sdk_workflow.core.measures.windows import WINDOWS

if TYPE_CHECKING:
    from sdk_workflow.core.measures.histogram import Histogram
    from sdk_workflow.core.measures.labels import Labelled
    from sdk_workflow.core.measures.records import (
        BudgetSummary,
        CacheTierSummary,
        InFlightSummary,
        MetricsSummary,
        ModelSummary,
        Percentiles,
        PromptCacheSummary,
        ToolSummary,
        WindowSummary,
    )
    from sdk_workflow.core.measures.state import (
        BudgetSums,
        CacheSums,
        MetricsState,
        ModelSums,
        ToolSums,
    )
    from sdk_workflow.core.measures.sums import Count
    from sdk_workflow.core.measures.windows import RequestSums

__all__ = ["NANOSECONDS_PER_MS", "overflow_of", "percentiles", "summarize"]

NANOSECONDS_PER_MS = 10**6
_SCHEMA = "sdk_workflow.metrics/1"
_SHARES = (0.5, 0.9, 0.95, 0.99)


def summarize(
    state: MetricsState, in_flight: InFlightSummary, *, now: float, wall_time: float
) -> MetricsSummary:
    """Return all figures.

    Args:
        state: The sums; nobody may add to them meanwhile.
        in_flight: What is under way.
        now: The monotonic time.
        wall_time: Seconds since the Unix epoch.
    """
    uptime = max(now - state.windows.started_at, 0.0)
    windows = {
        name: _window(*state.windows.last(seconds, now=now)) for name, seconds in WINDOWS.items()
    }
    errors = state.errors.by_label()
    return {
        "schema": _SCHEMA,
        "taken_at": utc_text(wall_time),
        "uptime_seconds": uptime,
        "in_flight": in_flight,
        "windows": {**windows, "total": _window(state.total, max(uptime, 1.0))},
        "runs": {
            "finished": state.runs.finished,
            "failed": state.runs.failed,
            "cancelled": state.runs.cancelled,
            "unpriced": state.runs.unpriced,
        },
        "models": {name: _model(sums) for name, sums in state.models.by_label()},
        "operations": {name: percentiles(sums) for name, sums in state.operations.by_label()},
        "tools": {name: _tool(sums) for name, sums in state.tools.by_label()},
        "caches": {name: _cache_tier(sums) for name, sums in state.caches.by_label()},
        "prompt_cache": _prompt_cache(state),
        "errors": {
            name: {"count": sums.count, "last_at": utc_text(sums.last_at)} for name, sums in errors
        },
        "last_error": max(errors, key=lambda item: item[1].last_at)[0] if errors else None,
        "retries": {
            "by_error": _counts(state.retries),
            "wait_seconds": state.retry_wait_seconds,
        },
        "fallbacks": _counts(state.fallbacks),
        "budgets": {name: _budget(sums) for name, sums in state.budgets.by_label()},
        "loop_alarms": sum(sums.loops for sums in state.tools.all()),
        "overflow": overflow_of(state),
    }


def percentiles(histogram: Histogram, *, unit: int = NANOSECONDS_PER_MS) -> Percentiles:
    """Return a distribution; `unit` is how many of the histogram's units make one of the result's."""
    found = histogram.quantiles(_SHARES)
    p50, p90, p95, p99 = (value / unit for value in found) if found else (None,) * len(_SHARES)
    mean, largest = histogram.mean, histogram.largest
    return {
        "count": histogram.count,
        "mean": None if mean is None else mean / unit,
        "p50": p50,
        "p90": p90,
        "p95": p95,
        "p99": p99,
        "max": None if largest is None else largest / unit,
    }


def overflow_of(state: MetricsState) -> dict[str, int]:
    """Return how often each kind of label had to go to `other`; kinds without such are left out."""
    tiers = state.caches.all()
    found = {
        "model": state.models.overflow,
        "operation": state.operations.overflow,
        "tool": state.tools.overflow,
        "cache_tier": state.caches.overflow,
        "reason": sum(tier.skipped.overflow + tier.miss_reasons.overflow for tier in tiers),
        "error": state.errors.overflow + state.retries.overflow,
        "fallback": state.fallbacks.overflow,
    }
    return {kind: count for kind, count in found.items() if count}


def _window(sums: RequestSums, covered_seconds: float) -> WindowSummary:
    tokens = sums.input_tokens + sums.output_tokens
    return {
        "covered_seconds": covered_seconds,
        "requests": sums.requests,
        "errors": sums.errors,
        "cancelled": sums.cancelled,
        "requests_per_second": sums.requests / covered_seconds,
        "error_rate": sums.error_rate,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "tokens_per_minute": tokens * 60 / covered_seconds,
        "cost_usd": sums.cost_usd,
        "cost_usd_per_hour": sums.cost_usd * 3600 / covered_seconds,
        "saved_usd": sums.saved_usd,
        "latency_ms": percentiles(sums.latency),
    }


def _model(sums: ModelSums) -> ModelSummary:
    return {
        "answered": sums.answered,
        "cached": sums.cached,
        "errors": sums.errors,
        "cancelled": sums.cancelled,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cache_read_tokens": sums.cache_read_tokens,
        "cache_write_5m_tokens": sums.cache_write_5m_tokens,
        "cache_write_1h_tokens": sums.cache_write_1h_tokens,
        "latency_ms": percentiles(sums.latency),
        "time_to_first_token_ms": percentiles(sums.first_token),
        "output_tokens_per_second": percentiles(sums.speed, unit=MILLI),
    }


def _tool(sums: ToolSums) -> ToolSummary:
    return {
        "calls": sums.calls,
        "errors": sums.errors,
        "error_rate": sums.errors / sums.calls,
        "loops": sums.loops,
        "latency_ms": percentiles(sums.latency),
    }


def _cache_tier(sums: CacheSums) -> CacheTierSummary:
    return {
        "hits": sums.hits,
        "misses": sums.misses,
        "hit_rate": sums.hits / ((sums.hits + sums.misses) or 1),
        "saved_usd": sums.saved_usd,
        "skipped": _counts(sums.skipped),
        "miss_reasons": _counts(sums.miss_reasons),
    }


def _prompt_cache(state: MetricsState) -> PromptCacheSummary:
    models = state.models.all()
    read = sum(sums.cache_read_tokens for sums in models)
    short = sum(sums.cache_write_5m_tokens for sums in models)
    long = sum(sums.cache_write_1h_tokens for sums in models)
    uncached = sum(sums.input_tokens for sums in models)
    return {
        "read_tokens": read,
        "write_5m_tokens": short,
        "write_1h_tokens": long,
        "uncached_tokens": uncached,
        "read_share": read / ((read + short + long + uncached) or 1),
        "prefix_moves": _counts(state.prefix_moves),
    }


def _budget(sums: BudgetSums) -> BudgetSummary:
    return {
        "reached": sums.reached,
        "limit_usd": sums.limit_usd,
        "spent_usd": sums.spent_usd,
        "held_usd": sums.held_usd,
    }


def _counts(series: Labelled[Count]) -> dict[str, int]:
    return {label: item.count for label, item in series.by_label()}

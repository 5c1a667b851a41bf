"""The figures that the metrics engine hands out: plain dictionaries, ready for JSON.

Shares and rates of hits and errors are 0..1. What cannot be known before the first value is None.
"""

from __future__ import annotations

from typing import TypedDict

__all__ = [
    "BudgetSummary",
    "CacheTierSummary",
    "ErrorSummary",
    "InFlightSummary",
    "MetricsSummary",
    "ModelSummary",
    "Percentiles",
    "PromptCacheSummary",
    "RetrySummary",
    "RunSummary",
    "ToolSummary",
    "WindowSummary",
]


class Percentiles(TypedDict):
    """A distribution; the values are milliseconds, or tokens per second where the key says so.

    All but the exact `mean` are within 0.4 % of a value that was measured; those of the windows
    of up to an hour within 1.6 %.
    """

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


class WindowSummary(TypedDict):
    """The requests of some time; `covered_seconds` is the time that the rates are divided by.

    `requests` counts all that ended, answered by the model or by a cache; `error_rate` leaves out
    those that were cancelled. `input_tokens` is the whole prompt. `cost_usd` is known when a run
    finishes, and counts there.
    """

    covered_seconds: float
    requests: int
    errors: int
    cancelled: int
    requests_per_second: float
    error_rate: float
    input_tokens: int
    output_tokens: int
    tokens_per_minute: float
    cost_usd: float
    cost_usd_per_hour: float
    saved_usd: float
    latency_ms: Percentiles


class ModelSummary(TypedDict):
    """The calls to one model; the distributions leave out what a cache answered.

    The speed is that of the tokens after the first one, of streamed replies.
    """

    answered: int
    cached: int
    errors: int
    cancelled: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    latency_ms: Percentiles
    time_to_first_token_ms: Percentiles
    output_tokens_per_second: Percentiles


class ToolSummary(TypedDict):
    """The calls of one tool; `loops` counts the alarms about it."""

    calls: int
    errors: int
    error_rate: float
    loops: int
    latency_ms: Percentiles


class CacheTierSummary(TypedDict):
    """One tier of the caches; what was skipped is no part of the hit rate."""

    hits: int
    misses: int
    hit_rate: float
    saved_usd: float
    skipped: dict[str, int]
    miss_reasons: dict[str, int]


class PromptCacheSummary(TypedDict):
    """The tokens of the API's own cache; `read_share` is that of all tokens of all prompts.

    `prefix_moves` counts changes of what should have stayed the same, by part of the prompt.
    """

    read_tokens: int
    write_5m_tokens: int
    write_1h_tokens: int
    uncached_tokens: int
    read_share: float
    prefix_moves: dict[str, int]


class ErrorSummary(TypedDict):
    """The failed calls of one type; `last_at` is UTC, ISO 8601."""

    count: int
    last_at: str


class RetrySummary(TypedDict):
    """Attempts that failed and were made again, by error, and the waits before them."""

    by_error: dict[str, int]
    wait_seconds: float


class RunSummary(TypedDict):
    """How runs ended; `unpriced` are those that finished at a cost that is not known."""

    finished: int
    failed: int
    cancelled: int
    unpriced: int


class BudgetSummary(TypedDict):
    """One limit of a budget: how often it was reached, and how it stood the last time."""

    reached: int
    limit_usd: float
    spent_usd: float
    held_usd: float


class InFlightSummary(TypedDict):
    """What is under way; `calls` are those to the model."""

    calls: int
    runs: int
    tools: int


class MetricsSummary(TypedDict):
    """Everything that the engine knows.

    `windows` holds "1m", "5m", "1h" and "total"; `budgets` the limits that were reached, "soft" or
    "hard". In all that goes by name, "other" stands for the
    names that there was no room for; `overflow` counts, by kind, how often that happened.
    """

    schema: str
    taken_at: str
    uptime_seconds: float
    in_flight: InFlightSummary
    windows: dict[str, WindowSummary]
    runs: RunSummary
    models: dict[str, ModelSummary]
    operations: dict[str, Percentiles]
    tools: dict[str, ToolSummary]
    caches: dict[str, CacheTierSummary]
    prompt_cache: PromptCacheSummary
    errors: dict[str, ErrorSummary]
    last_error: str | None
    retries: RetrySummary
    fallbacks: dict[str, int]
    budgets: dict[str, BudgetSummary]
    loop_alarms: int
    overflow: dict[str, int]

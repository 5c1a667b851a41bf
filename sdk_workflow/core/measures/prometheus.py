"""Writes the sums of the metrics engine in the text format of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ - no names of sessions, no texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.measures.state import MILLI
from sdk_workflow.core.measures.summary import overflow_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sdk_workflow.core.measures.histogram import Histogram
    from sdk_workflow.core.measures.labels import Labelled
    from sdk_workflow.core.measures.records import InFlightSummary
    from sdk_workflow.core.measures.state import MetricsState, ModelSums
    from sdk_workflow.core.measures.sums import Count

__all__ = ["to_prometheus"]

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

_NANO = 10**9
# Seconds: from a hit in a cache to a long answer.
_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0,
            40.0, 80.0, 160.0)  # fmt: skip
_SPEEDS = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 320.0, 640.0)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def to_prometheus(state: MetricsState, in_flight: InFlightSummary, *, uptime_seconds: float) -> str:
    """Return all series; a bucket may hold what lies above its bound by less than 0.8 %."""
    lines = [
        *_gauge("uptime_seconds", "Time since counting began.", [((), uptime_seconds)]),
        *_gauge(
            "in_flight",
            "Runs and tools under way.",
            [
                ((("kind", "call"),), in_flight["calls"]),
                ((("kind", "run"),), in_flight["runs"]),
                ((("kind", "tool"),), in_flight["tools"]),
            ],
        ),
        *_request_lines(state),
        *_run_lines(state),
        *_tool_lines(state),
        *_cache_lines(state),
        *_budget_lines(state),
        *_counter(
            "series_overflow_total",
            "Uses of a label that had to go to the series called other.",
            [((("kind", kind),), count) for kind, count in overflow_of(state).items()],
        ),
    ]
    return "\n".join(lines) + "\n"


def _request_lines(state: MetricsState) -> Iterator[str]:
    models = state.models.by_label()
    yield from _counter(
        "requests_total",
        "Calls to the model that ended, by how.",
        [
            ((("model", name), ("outcome", outcome)), count)
            for name, sums in models
            for outcome, count in _outcomes(sums).items()
        ],
    )
    yield from _counter(
        "tokens_total",
        "Tokens of the model, by what they were billed as.",
        [
            ((("model", name), ("kind", kind)), count)
            for name, sums in models
            for kind, count in _tokens(sums).items()
        ],
    )
    yield from _histogram(
        "request_duration_seconds",
        "Duration of calls that the model answered.",
        "model",
        {name: sums.latency for name, sums in models},
    )
    yield from _histogram(
        "time_to_first_token_seconds",
        "Time to the first token of streamed replies.",
        "model",
        {name: sums.first_token for name, sums in models},
    )
    yield from _histogram(
        "output_tokens_per_second",
        "Speed of the tokens after the first one.",
        "model",
        {name: sums.speed for name, sums in models},
        bounds=_SPEEDS,
        unit=MILLI,
    )
    yield from _histogram(
        "operation_duration_seconds",
        "Duration of operations, calls to the model among them.",
        "operation",
        dict(state.operations.by_label()),
    )


def _run_lines(state: MetricsState) -> Iterator[str]:
    errors = [((("type", name),), sums.count) for name, sums in state.errors.by_label()]
    yield from _counter("errors_total", "Calls to the model that failed.", errors)
    yield from _counted("retries_total", "Attempts that were made again.", "error", state.retries)
    yield from _counter(
        "retry_wait_seconds_total", "Waits before retries.", [((), state.retry_wait_seconds)]
    )
    yield from _counted("fallbacks_total", "Calls given to another model.", "to", state.fallbacks)
    runs = state.runs
    outcomes = {"finished": runs.finished, "failed": runs.failed, "cancelled": runs.cancelled}
    yield from _counter(
        "runs_total",
        "Runs of agents that ended, by how.",
        [((("outcome", outcome),), count) for outcome, count in outcomes.items()],
    )
    yield from _counter(
        "unpriced_runs_total", "Finished runs of unknown cost.", [((), runs.unpriced)]
    )
    yield from _counter("cost_usd_total", "Cost of finished runs.", [((), state.total.cost_usd)])


def _tool_lines(state: MetricsState) -> Iterator[str]:
    tools = state.tools.by_label()
    calls: list[Sample] = []
    for name, sums in tools:
        calls.append(((("tool", name), ("outcome", "ok")), sums.calls - sums.errors))
        calls.append(((("tool", name), ("outcome", "error")), sums.errors))
    yield from _counter("tool_calls_total", "Tool calls that finished.", calls)
    yield from _counter(
        "tool_loop_alarms_total",
        "Alarms about a tool that a session runs with the same arguments again and again.",
        [((("tool", name),), sums.loops) for name, sums in tools],
    )
    yield from _histogram(
        "tool_duration_seconds",
        "Duration of tool calls.",
        "tool",
        {name: sums.latency for name, sums in tools},
    )


def _cache_lines(state: MetricsState) -> Iterator[str]:
    tiers = state.caches.by_label()
    lookups: list[Sample] = []
    skipped: list[Sample] = []
    reasons: list[Sample] = []
    for tier, sums in tiers:
        lookups.append(((("tier", tier), ("outcome", "hit")), sums.hits))
        lookups.append(((("tier", tier), ("outcome", "miss")), sums.misses))
        skipped += _by_reason(tier, sums.skipped)
        reasons += _by_reason(tier, sums.miss_reasons)
    yield from _counter("cache_lookups_total", "Lookups in a tier of the caches.", lookups)
    yield from _counter("cache_skipped_total", "Calls kept out of a tier, by rule.", skipped)
    yield from _counter("cache_miss_reasons_total", "Lookups that were no hit, by why.", reasons)
    yield from _counter(
        "cache_saved_usd_total",
        "Dollars that a tier saved.",
        [((("tier", tier),), sums.saved_usd) for tier, sums in tiers],
    )
    yield from _counted(
        "prompt_prefix_moves_total",
        "Changes of a part of the prompt that should stay the same.",
        "part",
        state.prefix_moves,
    )


def _budget_lines(state: MetricsState) -> Iterator[str]:
    budgets = state.budgets.by_label()
    yield from _counter(
        "budget_reached_total",
        "How often a limit of a budget was reached.",
        [((("limit", name),), sums.reached) for name, sums in budgets],
    )
    for amount, text in (
        ("limit_usd", "The limit that was reached last."),
        ("spent_usd", "What was spent when the limit was reached last."),
        ("held_usd", "What was held for calls in flight when the limit was reached last."),
    ):
        yield from _gauge(
            f"budget_{amount}",
            text,
            [((("limit", name),), getattr(sums, amount)) for name, sums in budgets],
        )


def _outcomes(sums: ModelSums) -> dict[str, int]:
    return {
        "answered": sums.answered,
        "cached": sums.cached,
        "error": sums.errors,
        "cancelled": sums.cancelled,
    }


def _tokens(sums: ModelSums) -> dict[str, int]:
    return {
        "input": sums.input_tokens,
        "output": sums.output_tokens,
        "cache_read": sums.cache_read_tokens,
        "cache_write_5m": sums.cache_write_5m_tokens,
        "cache_write_1h": sums.cache_write_1h_tokens,
    }


def _by_reason(tier: str, reasons: Labelled[Count]) -> Iterator[Sample]:
    for reason, item in reasons.by_label():
        yield (("tier", tier), ("reason", reason)), item.count


def _counted(name: str, text: str, label: str, series: Labelled[Count]) -> Iterator[str]:
    return _counter(name, text, [(((label, key),), item.count) for key, item in series.by_label()])


def _counter(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    return _family(name, text, "counter", [("", *sample) for sample in samples])


def _gauge(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    return _family(name, text, "gauge", [("", *sample) for sample in samples])


def _histogram(
    name: str,
    text: str,
    label: str,
    series: Mapping[str, Histogram],
    *,
    bounds: tuple[float, ...] = _SECONDS,
    unit: int = _NANO,
) -> Iterator[str]:
    samples: list[tuple[str, Labels, float]] = []
    for key, histogram in series.items():
        labels = ((label, key),)
        count = histogram.count
        below = histogram.counts_up_to([bound * unit for bound in bounds])
        for bound, seen in zip((*map(repr, bounds), "+Inf"), (*below, count), strict=True):
            samples.append(("_bucket", (*labels, ("le", bound)), seen))
        samples += [("_sum", labels, histogram.total / unit), ("_count", labels, count)]
    return _family(name, text, "histogram", samples)


def _family(
    name: str, text: str, kind: str, samples: Iterable[tuple[str, Labels, float]]
) -> Iterator[str]:
    full_name = f"sdk_workflow_{name}"
    yield f"# HELP {full_name} {text}"
    yield f"# TYPE {full_name} {kind}"
    for suffix, labels, value in samples:
        yield f"{full_name}{suffix}{_written(labels)} {value!r}"


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{inside}}}"

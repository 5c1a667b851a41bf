"""All sessions in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.trace_function import trace_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    Sums = Mapping[str, Mapping[str, int]]

__all__ = ["SessionAnalytics", "analytics_of"]

_PICO_PER_USD = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnalytics:
    """All sessions: counts by status and model, what they have taken, what went wrong.

    `tokens` are those of prompts and answers. `hook_failures` and `write_failures` are those of
    the manager that was asked.
    """

    sessions: int
    archived: int
    turns: int
    tokens: int
    cost_usd: float
    by_status: Mapping[str, int]
    by_model: Mapping[str, Mapping[str, float]]
    hook_failures: int
    write_failures: int


@trace_function(name="report.session_analytics")
def analytics_of(
    sums: Mapping[str, Sums], *, hook_failures: int, write_failures: int
) -> SessionAnalytics:
    """Return the figures.

    Args:
        sums: For "status", "model" and "archived": by their values, the counts of `sessions`,
            `turns`, `tokens` and `cost_pico`.
        hook_failures: Calls of hooks that failed.
        write_failures: Changes that could not be written at once.
    """
    every = sums["status"].values()
    return SessionAnalytics(
        sessions=sum(each["sessions"] for each in every),
        archived=sums["archived"].get("1", {}).get("sessions", 0),
        turns=sum(each["turns"] for each in every),
        tokens=sum(each["tokens"] for each in every),
        cost_usd=sum(each["cost_pico"] for each in every) / _PICO_PER_USD,
        by_status={status: each["sessions"] for status, each in sums["status"].items()},
        by_model={
            model
            or "unknown": {
                "sessions": each["sessions"],
                "tokens": each["tokens"],
                "cost_usd": each["cost_pico"] / _PICO_PER_USD,
            }
            for model, each in sums["model"].items()
        },
        hook_failures=hook_failures,
        write_failures=write_failures,
    )

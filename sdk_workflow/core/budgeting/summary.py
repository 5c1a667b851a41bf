"""The costs in a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.counting import count_of

if TYPE_CHECKING:
    from sdk_workflow.core.cost_records import CostReport

__all__ = ["summary_text"]

_MOST_NAMES = 5


def summary_text(report: CostReport) -> str:
    """Return what was spent, on what, how the budget stands and what comes next."""
    lines = [f"{count_of(report.calls, 'call')}, {report.total}"]
    if report.unpriced_calls:
        one, many = "has no known price and is", "have no known price and are"
        lines.append(f"{_calls(report.unpriced_calls, one, many)} not in it.")
    if report.upper_bound_calls:
        one, many = "counts at the most it", "count at the most they"
        lines.append(f"{_calls(report.upper_bound_calls, one, many)} can have cost.")
    if report.hard_limit is not None:
        lines.append(
            f"Budget {report.scope!r}: {report.spent} of {report.hard_limit} spent, "
            f"{report.held} held."
        )
    for dimension in ("operation", "model"):
        groups = report.groups[dimension][:_MOST_NAMES]
        parts = ", ".join(f"{group.name} {group.cost}" for group in groups)
        if parts:
            lines.append(f"By {dimension}: {parts}")
    if report.cache["prompt_tokens"]:
        share = report.cache["hit_rate"]
        lines.append(f"Prompt cache: {share:.0%} read, ${report.cache['saved_usd']:.4f} saved.")
    projection = report.projection
    if projection is not None:
        high = projection.high_usd
        between = "" if high is None else f" (${projection.low_usd:.4f} to ${high:.4f})"
        lines.append(f"Next {projection.turns} calls: ${projection.mean_usd:.4f}{between}")
    return "\n".join(lines)


def _calls(number: int, one: str, many: str) -> str:
    return f"{count_of(number, 'call')} {one if number == 1 else many}"

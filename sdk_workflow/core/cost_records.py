"""What is known about money: one entry for each call, and the records that are made of many.

Plain values. `managers.cost_manager` fills them in; `core.cost_report` turns a `CostReport` into a
document: `render(format, report, output_path=None) -> str`.
Amounts are exact `Money` inside, and float dollars in what is handed to a user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from sdk_workflow.types import Money, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AggregatedCosts",
    "BudgetStatus",
    "CacheEfficiency",
    "Cost",
    "CostEntry",
    "CostReport",
    "Dimension",
    "GroupTotal",
    "Projection",
    "Reservation",
]

Dimension = Literal["operation", "model", "session", "tenant", "tool"]
"""What spend can be broken down by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call came to.

    Attributes:
        model: The name that the call was priced under.
        usage: The tokens that were billed.
        total: The price; None where the model has none.
        saved: What reading from the prompt cache saved; None where the model has no price.
        is_upper_bound: The outcome is unknown, and `total` is the most that it can have cost.
        write_surcharge: What writing to the prompt cache cost beyond plain input.

    Example:
        >>> cost = Cost(model="m", usage=Usage(), total=Money.from_usd("0.25"), saved=Money())
        >>> cost.usd
        0.25
    """

    model: str
    usage: Usage
    total: Money | None
    saved: Money | None
    is_upper_bound: bool = False
    write_surcharge: Money = Money()  # noqa: RUF009 - immutable

    @property
    def usd(self) -> float | None:
        """The price in dollars, for showing; None where the model has none."""
        return None if self.total is None else self.total.usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money that is set aside for one call, until it is settled or forfeited.

    Attributes:
        hold_id: Names the hold in the ledger.
        model: The model of the call.
        held: What is set aside: the most that the call can cost. Nothing without a hard limit.
        max_tokens: How many tokens the call may produce; fewer than it asked for where it was
            clamped to the room that is left.
        is_clamped: Whether that is so.
        reserved_at: When, in seconds since the Unix epoch: prices go by that day.
        operation: What the call is for.
        session_id: Whose call it is.
        tenant: Whose money it is.
        tool: The tools whose results the call reads, joined by `+`; None without any.
        multipliers: What else the price depends on: `geo` and `fast`.
    """

    hold_id: str
    model: str
    held: Money
    max_tokens: int
    is_clamped: bool
    reserved_at: float
    operation: str = "message"
    session_id: str | None = None
    tenant: str | None = None
    tool: str | None = None
    multipliers: Mapping[str, str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEntry:
    """One call in the books.

    Attributes:
        at: When it was settled, in seconds since the Unix epoch.
        operation: What the call was for, such as `"message"`.
        model: The model that was called.
        session_id: The session that called; None outside of one.
        tenant: Whose money it is; None where nobody said.
        tool: The tools whose results the call read, sorted and joined by `+`; None without any.
        usage: The tokens that were billed.
        cost: The price; None where the model has none.
        saved: What the prompt cache saved, or the response cache where `is_cache_hit`; None where
            the model has no price.
        is_cache_hit: A response cache answered: nothing was billed.
        is_upper_bound: The outcome is unknown, and the whole hold counts as spent.
        is_clamped: `max_tokens` was cut to the room that the budget had left.
    """

    at: float
    operation: str
    model: str
    session_id: str | None = None
    tenant: str | None = None
    tool: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Money | None = None
    saved: Money | None = None
    is_cache_hit: bool = False
    is_upper_bound: bool = False
    is_clamped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTotal:
    """The sum over the entries of one operation, model, session, tenant or tool."""

    name: str
    calls: int
    usage: Usage
    cost: Money
    saved: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What more calls like those seen so far will cost.

    Attributes:
        turns: How many calls are projected.
        samples: How many calls this is learned from.
        mean_usd: The expected cost.
        low_usd: The lower end of the interval.
        high_usd: Its upper end; None where fewer than two samples allow none.
        confidence: How often the true cost lies in the interval, if the calls to come are like
            those seen.
        method: How the interval was found, in words.
    """

    turns: int
    samples: int
    mean_usd: float
    low_usd: float
    high_usd: float | None
    confidence: float
    method: str


class BudgetStatus(TypedDict):
    """How spending stands against a limit, in dollars.

    `spent_usd` counts what was settled, and in full every hold whose outcome is unknown. `state` is
    "exhausted" where nothing is left, "busy" where only holds in flight fill the budget, "soft"
    above the soft limit.
    """

    limit_usd: float
    spent_usd: float
    held_usd: float
    remaining_usd: float
    used_pct: float
    state: Literal["ok", "soft", "busy", "exhausted"]


class CacheEfficiency(TypedDict):
    """What the caches did for the bill.

    `hit_rate` is the share of all prompt tokens that were read from the prompt cache, 0 to 1.
    `write_surcharge_usd` is what writing to it cost beyond plain input; `net_saved_usd` is what is
    left of the savings after it, response-cache hits included.
    """

    prompt_tokens: int
    read_tokens: int
    written_tokens: int
    hit_rate: float
    saved_usd: float
    write_surcharge_usd: float
    response_cache_hits: int
    response_cache_saved_usd: float
    net_saved_usd: float


class AggregatedCosts(TypedDict):
    """The costs of several sessions; `missing` are those that nothing is known of."""

    total_usd: float
    calls: int
    by_session: dict[str, float]
    missing: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """Everything that a report shows.

    Attributes:
        made_at: When, in seconds since the Unix epoch.
        scope: The budget that the figures belong to.
        total: The sum of all priced entries, also of those that `entries` no longer holds.
        calls: How many calls there were.
        unpriced_calls: How many of them have no known price and are missing in `total`.
        upper_bound_calls: How many outcomes are unknown and counted at their full hold.
        soft_limit: Where a warning is given; None without one.
        hard_limit: What is never exceeded; None without one.
        spent: What the ledger counts as spent in this scope, by all processes that share it.
        held: What is in flight.
        groups: The sums by dimension, the dearest first.
        entries: The latest calls, the oldest first.
        cache: What the caches saved.
        projection: What the next calls will cost; None where nothing was seen yet.
    """

    made_at: float
    scope: str
    total: Money
    calls: int
    unpriced_calls: int
    upper_bound_calls: int
    soft_limit: Money | None
    hard_limit: Money | None
    spent: Money
    held: Money
    groups: Mapping[Dimension, tuple[GroupTotal, ...]]
    entries: tuple[CostEntry, ...]
    cache: CacheEfficiency
    projection: Projection | None

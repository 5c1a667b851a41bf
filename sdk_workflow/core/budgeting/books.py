"""The books of a cost manager: sums over everything that was spent, and the latest calls one by one.

It adds up what it is given; prices, limits and holds are none of its business. Not thread-safe:
its owner has the lock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

from sdk_workflow.core.budgeting.projection import CostMoments
from sdk_workflow.core.cost_records import Dimension, GroupTotal
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Money, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk_workflow.core.cost_records import AggregatedCosts, CacheEfficiency, CostEntry

__all__ = ["DIMENSIONS", "OTHERS", "Books"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
OTHERS = "(others)"
"""Where spend is counted once a dimension has more names than are kept apart."""

_NONE = "(none)"
_MAX_MESSAGE_IDS = 65_536
_MAX_BOUNDS = 10_000
_PROJECTED_TURNS = 100
_CONFIDENCE = 0.9


class _Total:
    """A running sum; plain numbers, because adding `Usage` records takes 4 us each."""

    __slots__ = ("calls", "cost", "output", "plain", "read", "saved", "write_1h", "write_5m")

    def __init__(self) -> None:
        self.calls = self.cost = self.saved = 0
        self.plain = self.output = self.read = self.write_5m = self.write_1h = 0

    def add(self, usage: Usage, cost: int, saved: int) -> None:
        self.calls += 1
        self.cost += cost
        self.saved += saved
        self.plain += usage.input_tokens
        self.output += usage.output_tokens
        self.read += usage.cache_read_input_tokens
        self.write_5m += usage.cache_write_5m_input_tokens
        self.write_1h += usage.cache_write_1h_input_tokens

    def take_back(self, cost: int) -> None:
        """Forget a call without a usage."""
        self.calls -= 1
        self.cost -= cost

    @property
    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.plain,
            output_tokens=self.output,
            cache_read_input_tokens=self.read,
            cache_write_5m_input_tokens=self.write_5m,
            cache_write_1h_input_tokens=self.write_1h,
        )


class Books:
    """Sums by dimension, exact however long the history gets; its latest entries one by one.

    Args:
        max_entries: How many of the latest calls are kept one by one.
        max_names: How many names of one dimension are kept apart; later ones count as others.

    Example:
        >>> from sdk_workflow.core.cost_records import CostEntry
        >>> books = Books()
        >>> books.add(CostEntry(at=0.0, operation="plan", model="m", cost=Money.from_usd("0.5")))
        >>> [(group.name, str(group.cost)) for group in books.groups("operation")]
        [('plan', '$0.5000')]
    """

    def __init__(self, *, max_entries: int = 10_000, max_names: int = 10_000) -> None:
        self._max_names = max_names
        self.entries: deque[CostEntry] = deque(maxlen=max_entries)
        self.moments = CostMoments()
        self.unpriced_calls = 0
        self.upper_bound_calls = 0
        self.cache_hits = 0
        self.cache_hits_saved = 0
        self.write_surcharge = 0
        self._whole = _Total()
        self._groups: dict[Dimension, dict[str, _Total]] = {name: {} for name in DIMENSIONS}
        self._message_ids: OrderedDict[str, None] = OrderedDict()
        self._bounds: OrderedDict[str, CostEntry] = OrderedDict()

    @property
    def total(self) -> Money:
        """The sum of all priced calls."""
        return Money(self._whole.cost)

    @property
    def calls(self) -> int:
        """How many calls there were, hits of a response cache included."""
        return self._whole.calls

    def is_new(self, message_id: str | None) -> bool:
        """Return whether a message was not seen before, and remember it."""
        if message_id is None:
            return True
        if message_id in self._message_ids:
            return False
        self._message_ids[message_id] = None
        if len(self._message_ids) > _MAX_MESSAGE_IDS:
            self._message_ids.popitem(last=False)
        return True

    def add(
        self, entry: CostEntry, *, hold_id: str | None = None, write_surcharge: int = 0
    ) -> None:
        """Enter one call; it takes the place of an earlier entry that was an upper bound only.

        Args:
            entry: The call.
            hold_id: The hold that it belongs to; None where there was none.
            write_surcharge: What writing to the prompt cache cost beyond plain input, in
                pico-dollars.
        """
        if hold_id is not None:
            self.drop_bound(hold_id)
        if hold_id is not None and entry.is_upper_bound:
            self._bounds[hold_id] = entry
            if len(self._bounds) > _MAX_BOUNDS:
                self._bounds.popitem(last=False)
        cost = 0 if entry.cost is None else entry.cost.pico
        saved = 0 if entry.saved is None else entry.saved.pico
        self.entries.append(entry)
        self.write_surcharge += write_surcharge
        self.upper_bound_calls += entry.is_upper_bound
        if entry.is_cache_hit:
            self.cache_hits += 1
            self.cache_hits_saved += saved
        elif entry.cost is None:
            self.unpriced_calls += 1
        else:
            self.moments.add(cost)
        for total in self._totals_of(entry):
            total.add(entry.usage, cost, saved)

    def drop_bound(self, hold_id: str) -> None:
        """Forget a call that was entered as an upper bound, because it was not billed."""
        bound = self._bounds.pop(hold_id, None)
        if bound is not None:
            self._take_back(bound)

    def latest(self, limit: int) -> list[CostEntry]:
        """Return the latest entries, the oldest of them first; none for a limit below 1."""
        return list(islice(reversed(self.entries), max(limit, 0)))[::-1]

    def breakdown(self, dimension: Dimension) -> dict[str, float]:
        """Return dollars by name, the dearest first.

        Raises:
            UsageError: If there is no such dimension.
        """
        if dimension not in DIMENSIONS:
            raise UsageError(
                f"Costs are not broken down by {dimension!r}.",
                hint=f"Choose one of {', '.join(DIMENSIONS)}.",
            )
        return {group.name: group.cost.usd for group in self.groups(dimension)}

    def groups(self, dimension: Dimension) -> tuple[GroupTotal, ...]:
        """Return the sums of one dimension, the dearest first."""
        found = self._groups[dimension]
        ordered = sorted(found, key=lambda name: (-found[name].cost, name))
        return tuple(_group(name, found[name]) for name in ordered)

    def group(self, dimension: Dimension, name: str) -> GroupTotal | None:
        """Return the sum of one name; None where nothing was entered under it."""
        found = self._groups[dimension].get(name)
        return None if found is None else _group(name, found)

    def aggregate(self, session_ids: Iterable[str]) -> AggregatedCosts:
        """Return the sums of several sessions, each counted once."""
        names = dict.fromkeys(session_ids)
        groups = {name: self.group("session", name) for name in names}
        found = {name: group for name, group in groups.items() if group is not None}
        return {
            "total_usd": Money(sum(group.cost.pico for group in found.values())).usd,
            "calls": sum(group.calls for group in found.values()),
            "by_session": {name: group.cost.usd for name, group in found.items()},
            "missing": [name for name in names if name not in found],
        }

    def for_report(self) -> dict[str, Any]:
        """Return the fields of a `CostReport` that the books know."""
        return {
            "total": self.total,
            "calls": self.calls,
            "unpriced_calls": self.unpriced_calls,
            "upper_bound_calls": self.upper_bound_calls,
            "groups": {name: self.groups(name) for name in DIMENSIONS},
            "entries": tuple(self.entries),
            "cache": self.cache_efficiency(),
            "projection": self.moments.project(_PROJECTED_TURNS, confidence=_CONFIDENCE),
        }

    def cache_efficiency(self) -> CacheEfficiency:
        """Return what the caches did for the bill."""
        whole, usage = self._whole, self._whole.usage
        prompt_saved = whole.saved - self.cache_hits_saved
        written = whole.write_5m + whole.write_1h
        return {
            "prompt_tokens": usage.prompt_tokens,
            "read_tokens": whole.read,
            "written_tokens": written,
            "hit_rate": whole.read / usage.prompt_tokens if usage.prompt_tokens else 0.0,
            "saved_usd": Money(prompt_saved).usd,
            "write_surcharge_usd": Money(self.write_surcharge).usd,
            "response_cache_hits": self.cache_hits,
            "response_cache_saved_usd": Money(self.cache_hits_saved).usd,
            "net_saved_usd": Money(whole.saved - self.write_surcharge).usd,
        }

    def _take_back(self, entry: CostEntry) -> None:
        """Remove the entry of a call whose true cost is known now."""
        if entry in self.entries:
            self.entries.remove(entry)
        self.upper_bound_calls -= 1
        if entry.cost is None:
            self.unpriced_calls -= 1
        else:
            self.moments.take_back(entry.cost.pico)
        for total in self._totals_of(entry):
            total.take_back(0 if entry.cost is None else entry.cost.pico)

    def _totals_of(self, entry: CostEntry) -> tuple[_Total, ...]:
        return (
            self._whole,
            self._total_of("operation", entry.operation),
            self._total_of("model", entry.model),
            self._total_of("session", entry.session_id),
            self._total_of("tenant", entry.tenant),
            self._total_of("tool", entry.tool),
        )

    def _total_of(self, dimension: Dimension, name: str | None) -> _Total:
        totals = self._groups[dimension]
        name = _NONE if name is None else str(name)  # a call may name itself by what is no text
        found = totals.get(name)
        if found is None:
            if len(totals) >= self._max_names and name != OTHERS:
                return self._total_of(dimension, OTHERS)
            found = totals[name] = _Total()
        return found


def _group(name: str, total: _Total) -> GroupTotal:
    return GroupTotal(
        name=name,
        calls=total.calls,
        usage=total.usage,
        cost=Money(total.cost),
        saved=Money(total.saved),
    )

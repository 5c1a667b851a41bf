"""The figures behind two pictures of spend: stacked bars over time, and a round scale for them.

Pure arithmetic over entries; how a bar is drawn is not known here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.core.cost_records import CostEntry

__all__ = ["SpendOverTime", "round_scale", "spend_over_time"]

OTHERS = "(others)"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
# Widths that people think in; beyond a week, whole multiples of one.
_STEPS = (1, 5, 15, 30, _MINUTE, 300, 900, 1_800, _HOUR, 10_800, 21_600, 43_200, _DAY, 7 * _DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendOverTime:
    """Spend in equal stretches of time, split by operation.

    Attributes:
        starts_at: When the first stretch begins, in seconds since the Unix epoch.
        step_seconds: How long each is.
        names: The operations, the dearest first; the last one may stand for all others.
        bars: One for each stretch: dollars in the order of `names`.
    """

    starts_at: float
    step_seconds: int
    names: tuple[str, ...]
    bars: tuple[tuple[float, ...], ...]

    @property
    def highest_usd(self) -> float:
        """The spend of the dearest stretch."""
        return max((math.fsum(bar) for bar in self.bars), default=0.0)


def spend_over_time(
    entries: Sequence[CostEntry], *, max_bars: int = 48, max_names: int = 5
) -> SpendOverTime | None:
    """Return the spend of entries over time; None where nothing has a price.

    Args:
        entries: The calls, in any order.
        max_bars: How many stretches there may be.
        max_names: How many operations are told apart.

    Example:
        >>> from sdk_workflow.core.cost_records import CostEntry
        >>> from sdk_workflow.types import Money
        >>> at = (0.0, 50.0, 3_000.0)
        >>> calls = [CostEntry(at=t, operation="x", model="m", cost=Money(10**12)) for t in at]
        >>> found = spend_over_time(calls, max_bars=4)
        >>> found.step_seconds, found.bars
        (1800, ((2.0,), (1.0,)))
    """
    spent: dict[str, int] = {}
    priced = [
        (entry.at, entry.operation, entry.cost.pico) for entry in entries if entry.cost is not None
    ]
    for _, name, pico in priced:
        spent[name] = spent.get(name, 0) + pico
    if not any(spent.values()):
        return None
    names = sorted(spent, key=lambda name: (-spent[name], name))
    if len(names) > max_names:
        names = [*names[: max_names - 1], OTHERS]
    place = {name: index for index, name in enumerate(names)}
    first, last = min(priced)[0], max(priced)[0]
    step = _step_for(first, last, max_bars)
    origin = first // step * step
    sums = [[0] * len(names) for _ in range(int((last - origin) // step) + 1)]
    for at, name, pico in priced:
        sums[int((at - origin) // step)][place.get(name, len(names) - 1)] += pico
    bars = tuple(tuple(pico / 10**12 for pico in each) for each in sums)
    return SpendOverTime(starts_at=origin, step_seconds=step, names=tuple(names), bars=bars)


def _step_for(first: float, last: float, max_bars: int) -> int:
    """Return the shortest usual stretch of which `max_bars` cover the time, wherever they begin."""
    least = (last - first) / max(max_bars - 1, 1)
    for step in _STEPS:
        if step >= least:
            return step
    return math.ceil(least / _STEPS[-1]) * _STEPS[-1]


def round_scale(highest: float, *, lines: int = 4) -> tuple[float, ...]:
    """Return round values from 0 to at least `highest`, a step of 1, 2, 2.5 or 5 x 10^n apart.

    Args:
        highest: What the scale must reach; above 0.
        lines: How many steps there are at the most.

    Example:
        >>> round_scale(0.0093)
        (0.0, 0.0025, 0.005, 0.0075, 0.01)
    """
    magnitude = 10.0 ** math.floor(math.log10(highest / lines))
    step = next(
        factor * magnitude
        for factor in (1, 2, 2.5, 5, 10, 20)
        if factor * magnitude * lines >= highest
    )
    count = math.ceil(round(highest / step, 9))
    digits = 2 - math.floor(math.log10(step))
    return tuple(round(index * step, digits) for index in range(count + 1))

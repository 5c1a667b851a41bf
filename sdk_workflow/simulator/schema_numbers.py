"""Picks a number that lies within the bounds of a JSON schema, exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["number_for"]


def number_for(
    schema: Mapping[str, Any], wanted: float, *, is_integer: bool, variant: int = 0
) -> float | int:
    """Return the number near `wanted` that a schema takes; any number where it takes none.

    Args:
        schema: `minimum`, `maximum`, their exclusive forms, and `multipleOf` count.
        wanted: Is returned where it fits.
        is_integer: Whether it has to be whole.
        variant: Which of the numbers: others for other variants, where there are several.

    Example:
        >>> number_for({"exclusiveMinimum": 1, "exclusiveMaximum": 1.5}, 7, is_integer=False)
        1.25
    """
    low, high = _bound(schema, "inimum", max), _bound(schema, "aximum", min)
    step = _step(schema, is_integer=is_integer)
    value = Fraction(wanted)
    if step is None and variant == 0 and _is_within(schema, value):
        return _plain(value)
    grid = step or Fraction(1)
    first = None if low is None else _snapped(schema, "exclusiveMinimum", low, grid)
    last = None if high is None else _snapped(schema, "exclusiveMaximum", high, grid)
    if first is not None and last is not None and first > last:
        # Nothing whole lies between; something else may.
        between = step is None and low is not None and high is not None
        return _plain(_between(low, high, variant) if between else first)  # type: ignore[arg-type] # checked
    return _plain(_on_grid((first, last), grid, _nearest(value, grid), variant))


def _bound(schema: Mapping[str, Any], ending: str, tighter: Any) -> Fraction | None:
    names = (f"m{ending}", f"exclusiveM{ending}")
    found = [schema[name] for name in names if _is_number(schema.get(name))]
    return Fraction(str(tighter(found))) if found else None


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _step(schema: Mapping[str, Any], *, is_integer: bool) -> Fraction | None:
    step = Fraction(str(schema["multipleOf"])) if _is_number(schema.get("multipleOf")) else None
    if not is_integer:
        return step
    # The whole multiples of p/q, in lowest terms, are the multiples of p.
    return Fraction(1) if step is None else Fraction(step.numerator)


def _is_within(schema: Mapping[str, Any], value: Fraction) -> bool:
    is_inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
    is_above = value > schema.get("exclusiveMinimum", -math.inf)
    return bool(is_inside and is_above and value < schema.get("exclusiveMaximum", math.inf))


def _snapped(
    schema: Mapping[str, Any], exclusive: str, bound: Fraction, grid: Fraction
) -> Fraction:
    """Return the outermost point of the grid that a bound leaves."""
    is_lower = exclusive == "exclusiveMinimum"
    count = math.ceil(bound / grid) if is_lower else math.floor(bound / grid)
    point = count * grid
    limit = schema.get(exclusive)
    if limit is not None and point == Fraction(str(limit)):
        point += grid if is_lower else -grid
    return point


def _nearest(value: Fraction, grid: Fraction) -> Fraction:
    return math.ceil(value / grid) * grid


def _on_grid(
    bounds: tuple[Fraction | None, Fraction | None], grid: Fraction, value: Fraction, variant: int
) -> Fraction:
    first, last = bounds
    if first is not None and value < first:
        value = first
    if last is not None and value > last:
        value = last
    if last is None:
        return value + variant * grid
    if first is None:
        return value - variant * grid
    count = (last - first) / grid + 1
    return first + ((value - first) / grid + variant) % count * grid


def _between(low: Fraction, high: Fraction, variant: int) -> Fraction:
    return low + (high - low) * Fraction(variant + 1, variant + 2)


def _plain(value: Fraction) -> float | int:
    return int(value) if value.denominator == 1 else float(value)

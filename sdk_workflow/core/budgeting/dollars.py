"""Reading amounts of dollars from users: exactly, and nothing that is no amount."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import PICO_PER_USD, Money

__all__ = ["read_dollars"]

_MAX_USD = 1_000_000_000


def read_dollars(amount: float | str | Decimal | Money, name: str) -> Money:
    """Return an amount of dollars; what is below a pico-dollar is cut off.

    A float counts as what it shows: 0.1 is exactly ten cents.

    Args:
        amount: The dollars, up to a billion.
        name: What the error calls it.

    Raises:
        UsageError: If it is no finite number, negative, or beyond all reason.

    Example:
        >>> read_dollars(0.1, "limit").pico
        100000000000
    """
    if isinstance(amount, Money):
        amount = Decimal(amount.pico) / PICO_PER_USD
    try:
        dollars = Decimal(str(amount))  # of anything else than an amount, its text is none either
    except InvalidOperation:
        dollars = Decimal("NaN")
    if dollars.is_finite() and 0 <= dollars <= _MAX_USD:
        return Money(int(dollars * PICO_PER_USD))
    raise UsageError(
        f"{name} = {amount!r} is no amount of dollars.",
        hint=f"Give a number from 0 to {_MAX_USD:,}.",
    )

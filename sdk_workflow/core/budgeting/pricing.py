"""Turning usages into costs and calls into quotes, with the catalogue's prices of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.core.budgeting.upper_bound import Quote, unbounded_part
from sdk_workflow.core.cost_records import Cost
from sdk_workflow.exceptions import UnpricedModel, UsageError
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from datetime import date

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.types import Call

__all__ = ["Pricing"]

_SECONDS_PER_DAY = 86_400


class Pricing:
    """Prices by date; the catalogue is read at first use.

    Args:
        catalog: Models and prices; the packaged ones and the user's by default.

    Example:
        >>> pricing = Pricing()
        >>> str(pricing.cost("sonnet", Usage(output_tokens=1000), at=1_795_000_000.0).total)
        '$0.0100'
    """

    def __init__(self, catalog: ModelCatalog | None = None) -> None:
        self._catalog = catalog
        self._today: tuple[int, date] | None = None

    def cost(self, model: str, usage: Usage, *, at: float, **multipliers: Any) -> Cost:
        """Return what a usage has cost.

        Args:
            model: Any name of the model.
            usage: The tokens.
            at: When, in seconds since the Unix epoch.
            **multipliers: `batch`, `geo` and `fast`, as in `ModelCatalog.price`.

        Raises:
            UsageError: If a count of tokens is negative or no whole number.
        """
        _check(usage)
        catalog, day = self._loaded(), self._day_of(at)
        return Cost(
            model=model,
            usage=usage,
            total=catalog.price(model, usage, at=day, **multipliers),
            saved=catalog.saved(model, usage, at=day),
        )

    def write_surcharge(self, cost: Cost, *, at: float, **multipliers: Any) -> int:
        """Return what the writes to the prompt cache cost beyond plain input, in pico-dollars."""
        usage = cost.usage
        written = usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens
        if not written or cost.total is None:
            return 0
        plain = Usage(
            input_tokens=usage.input_tokens + written,
            output_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens,
        )
        without = self._loaded().price(cost.model, plain, at=self._day_of(at), **multipliers)
        return 0 if without is None else cost.total.pico - without.pico

    def quote(self, call: Call, *, at: float, counted_prompt_tokens: int | None = None) -> Quote:
        """Return what a call can cost at most.

        Raises:
            UnpricedModel: If the model has no price, or the call uses what has no bound.
        """
        part = unbounded_part(call)
        if part is not None:
            raise UnpricedModel(
                f"What {part} costs is known only afterwards, and a hard limit is set.",
                code="unbounded_call",
                hint="Leave it out, or call it in a runtime without a hard limit.",
            )
        quote = Quote(call, self._loaded(), self._day_of(at), counted_prompt_tokens)
        if not quote.is_priced:
            raise UnpricedModel(
                f"The model {call.model!r} has no known price, and a hard limit is set.",
                hint="Add its prices to models.toml in the state folder, or use a priced model.",
            )
        return quote

    def _loaded(self) -> ModelCatalog:
        if self._catalog is None:
            from sdk_workflow.config.models import default_catalog

            self._catalog = default_catalog()
        return self._catalog

    def _day_of(self, at: float) -> date:
        number, today = int(at // _SECONDS_PER_DAY), self._today
        if today is not None and today[0] == number:
            return today[1]
        from datetime import datetime, timezone

        day = datetime.fromtimestamp(at, tz=timezone.utc).date()
        self._today = (number, day)
        return day


def _check(usage: Usage) -> None:
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
    )
    for count in counts:
        if type(count) is not int or count < 0:
            raise UsageError(
                f"{count!r} is no count of tokens: {usage!r}.",
                hint="Pass the usage as the API reported it.",
            )

"""Turning usages into costs and calls into quotes, with the catalogue's prices of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.core.budgeting.upper_bound import Quote, multipliers_of, unbounded_part
from sdk_workflow.core.cost_records import Cost, Reservation
from sdk_workflow.exceptions import UnpricedModel, UsageError
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.types import Call, Money

__all__ = ["Pricing"]

_SECONDS_PER_DAY = 86_400
_MOST_TOKENS = 10**12  # a trillion tokens in one call is a mistake, not a call


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

        def price(billed: Usage) -> Money | None:
            return catalog.price(model, billed, at=day, **multipliers)

        total = price(usage)
        if total is None:
            return Cost(model=model, usage=usage, total=None, saved=None)
        read = usage.cache_read_input_tokens
        written = usage.cache_write_5m_input_tokens + usage.cache_write_1h_input_tokens
        unread = price(_without_reads(usage)) if read else total
        unwritten = price(_without_writes(usage, written)) if written else total
        return Cost(
            model=model,
            usage=usage,
            total=total,
            saved=(unread or total) - total,
            write_surcharge=total - (unwritten or total),
        )

    def bill(
        self,
        usage: Usage,
        asked: Reservation | Call,
        *,
        model: str | None,
        geo: str | None,
        now: float,
    ) -> Cost:
        """Return what a call has cost, on the dearer of the day it was asked on and the next.

        Args:
            usage: The tokens.
            asked: What was asked for.
            model: The model that answered; the one that was asked where it has no price.
            geo: Where it ran, as the reply reports it; None where nothing is reported.
            now: Seconds since the Unix epoch.

        Raises:
            UsageError: If a count of tokens is negative or no whole number.
        """
        multipliers, since = _terms(asked, now)
        until = max(since, min(now, since + _SECONDS_PER_DAY))  # as far as its hold reaches
        is_one_day = since // _SECONDS_PER_DAY == until // _SECONDS_PER_DAY
        times = (since,) if is_one_day else (since, until)
        reported = multipliers if geo is None else {**multipliers, "geo": geo}
        attempts = ((model or asked.model, reported), (asked.model, reported))
        for name, each in attempts:
            found = max((self.cost(name, usage, at=at, **each) for at in times), key=_pico)
            if found.total is not None:
                return found
        return max((self.cost(asked.model, usage, at=at, **multipliers) for at in times), key=_pico)

    def quote(self, call: Call, *, at: float, counted_prompt_tokens: int | None = None) -> Quote:
        """Return what a call can cost at most.

        Raises:
            UnpricedModel: If the model has no price, or the call uses what has no bound.
            UsageError: If the call has a part of another form than the API's.
        """
        try:
            part = unbounded_part(call)
            quote = Quote(call, self._loaded(), self._day_of(at), counted_prompt_tokens)
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"What the call can cost cannot be told, because a part of it is malformed: {error}",
                hint="Build messages, tools and parameters as the Messages API has them.",
            ) from error
        if part is not None:
            raise UnpricedModel(
                f"What {part} costs is known only afterwards, and a hard limit is set.",
                code="unbounded_call",
                hint="Leave it out, or call it in a runtime without a hard limit.",
            )
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


def _without_reads(usage: Usage) -> Usage:
    """Return a usage whose prompt was not read from the cache; `replace` would take twice as long."""
    return Usage(
        input_tokens=usage.input_tokens + usage.cache_read_input_tokens,
        output_tokens=usage.output_tokens,
        cache_write_5m_input_tokens=usage.cache_write_5m_input_tokens,
        cache_write_1h_input_tokens=usage.cache_write_1h_input_tokens,
    )


def _without_writes(usage: Usage, written: int) -> Usage:
    """Return a usage whose prompt was not written to the cache."""
    return Usage(
        input_tokens=usage.input_tokens + written,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
    )


def _terms(asked: Reservation | Call, now: float) -> tuple[Mapping[str, Any], float]:
    """Return what else the price depends on, and since when the call may have been billed."""
    if isinstance(asked, Reservation):
        return asked.multipliers, asked.reserved_at
    return multipliers_of(asked), now


def _pico(cost: Cost) -> int:
    return -1 if cost.total is None else cost.total.pico


def _check(usage: object) -> None:
    if not isinstance(usage, Usage):
        raise UsageError(
            f"{usage!r} is no usage.",
            hint="Pass a Usage; Usage.from_api() makes one of what the API sent.",
        )
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_5m_input_tokens,
        usage.cache_write_1h_input_tokens,
    )
    for count in counts:
        if type(count) is not int or not 0 <= count <= _MOST_TOKENS:
            raise UsageError(
                f"{count!r} is no count of tokens: {usage!r}.",
                hint="Pass the usage as the API reported it.",
            )

"""What a breakpoint is worth: the price of writing against the chance that somebody reads.

Pure arithmetic in units of an uncached input token. It knows no request and no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sdk_workflow.config.prices import Rates
    from sdk_workflow.core.prompt_caching.anatomy import Ttl

__all__ = ["Lifetimes", "Odds", "PriceRatios", "best_lifetimes"]


class Odds(NamedTuple):
    """How likely a prompt is used again within five minutes, and within an hour, of its start."""

    within_5m: float
    within_1h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRatios:
    """What the cache costs, as multiples of an uncached input token.

    The defaults hold for every model of the API but the newest, which read for less.
    """

    write_5m: float = 1.25
    write_1h: float = 2.0
    read: float = 0.1

    @classmethod
    def from_rates(cls, rates: Rates) -> PriceRatios:
        """Return the ratios of a model's prices."""
        if not rates.input:
            return cls()
        return cls(
            write_5m=rates.cache_write_5m / rates.input,
            write_1h=rates.cache_write_1h / rates.input,
            read=rates.cache_read / rates.input,
        )


class Lifetimes(NamedTuple):
    """How long the end of a prompt and its history are to live; None for no breakpoint."""

    tail: Ttl | None = None
    history: Ttl | None = None


_NONE, _SHORT, _LONG, _SPLIT = Lifetimes(), Lifetimes("5m"), Lifetimes("1h"), Lifetimes("5m", "1h")


def best_lifetimes(
    odds: Odds,
    ratios: PriceRatios,
    *,
    total: int,
    live: int = 0,
    protected: int = 0,
    history: int = 0,
) -> Lifetimes:
    """Return the lifetimes with which a prompt is best written; none where writing does not pay.

    Only the tokens behind the longest live entry are written, and billed. So an hour for the first
    block behind it is cheap, and protects all that comes before: the history lives for an hour,
    the current turn for five minutes. What is gained is the difference between writing again and
    reading, each time that the prompt is used in time:

        value(none)       = gain * (p5 * live  + (p1 - p5) * protected)
        value(5m)         = gain * (p5 * total + (p1 - p5) * protected) - cost_5m
        value(history 1h) = gain * (p5 * total + (p1 - p5) * history)   - cost_5m - cost_history
        value(1h)         = gain *  p1 * total                          - cost_1h

    Args:
        odds: The chance of the next use, p5 and p1.
        ratios: Prices of the model; gain = write_5m - read.
        total: Tokens up to the end.
        live: Tokens of the longest entry that can be read now.
        protected: Tokens of the longest entry that will outlive five minutes anyway.
        history: Tokens up to a breakpoint close behind the live entry; 0 where there is none.

    Example:
        >>> often, rarely = Odds(0.95, 0.96), Odds(0.01, 0.02)
        >>> best_lifetimes(rarely, PriceRatios(), total=5_000)
        Lifetimes(tail=None, history=None)
        >>> best_lifetimes(often, PriceRatios(), total=9_000, live=8_000, history=8_100)
        Lifetimes(tail='5m', history='1h')
    """
    gain = ratios.write_5m - ratios.read
    later = gain * (odds.within_1h - odds.within_5m)
    soon, fresh = gain * odds.within_5m, total - live
    five = soon * total - (ratios.write_5m - 1) * fresh
    extra = (ratios.write_1h - ratios.write_5m) * (history - live)
    best, value = _SHORT, five + later * protected
    hour = (soon + later) * total - (ratios.write_1h - 1) * fresh
    if hour > value:
        best, value = _LONG, hour
    if history > live and five + later * history - extra > value:
        best, value = _SPLIT, five + later * history - extra
    return _NONE if soon * live + later * protected > value else best

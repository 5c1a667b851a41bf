"""Rate limits as the API keeps them: token buckets by API key and class of models.

Input tokens count what was not read from the prompt cache. Output tokens are taken from
`max_tokens` when a request starts and given back when its length is known. It decides and carries
nothing out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.option_tables import (
    check_keys,
    is_file_name,
    load_option_file,
    number,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["Limiter", "Limits", "RateLimits", "Refusal", "Ticket", "TokenBucket"]

SPENT_CODE = "enforced_spend_limit_reached"
_HINT = "Write it as in rpm=50,itpm=40000,otpm=8000,concurrency=5,opus.rpm=5."


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What one API key may do with one class of models; None for no limit.

    Attributes:
        rpm: Requests per minute.
        itpm: Input tokens per minute: uncached and written to the cache, not read from it.
        otpm: Output tokens per minute.
        concurrency: Requests at once.
        spend_usd: What the key may spend on all models; from there on no request is accepted.
        burst_seconds: How much of a limit a full bucket holds, as seconds of its rate.
    """

    rpm: float | None = None
    itpm: float | None = None
    otpm: float | None = None
    concurrency: int | None = None
    spend_usd: float | None = None
    burst_seconds: float = 60.0


# What is counted; the others are measured.
_COUNTS = frozenset({"rpm", "itpm", "otpm", "concurrency"})
_RATE_KEYS = tuple(item.name for item in fields(RateLimits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of every class of models.

    Attributes:
        default: What holds for a class that is not listed, and for each of them by itself.
        classes: Limits by class (the tier: `"opus"`, `"sonnet"`, ...).

    Example:
        >>> limits = Limits.parse("rpm=50,opus.rpm=5")
        >>> limits.of("sonnet").rpm, limits.of("opus").rpm
        (50, 5)
    """

    default: RateLimits = field(default_factory=RateLimits)
    classes: Mapping[str, RateLimits] = field(default_factory=dict)

    def of(self, model_class: str) -> RateLimits:
        """Return the limits of a class."""
        return self.classes.get(model_class, self.default)

    @classmethod
    def parse(cls, spec: Any, *, classes: Collection[str] | None = None) -> Limits:
        """Read limits from a line, a table, or the name of a JSON or TOML file.

        In a table, `classes` holds one table per class; a class has the default's limits where it
        has none of its own.

        Args:
            spec: What is to be read; a `Limits` is returned as it is.
            classes: The classes that exist; None takes those of the built-in models.

        Raises:
            UsageError: It says what is wrong, and what was probably meant.
        """
        if isinstance(spec, Limits):
            return spec
        if isinstance(spec, Path) or (isinstance(spec, str) and is_file_name(spec)):
            spec = load_option_file(Path(spec), "limits")
        if isinstance(spec, str):
            spec = _from_line(spec)
        table = check_keys("limits", spec, (*_RATE_KEYS, "classes"))
        shared = {name: value for name, value in table.items() if name != "classes"}
        tables = _class_tables(table.get("classes", {}), classes)
        return cls(
            default=_rates("limits", shared),
            classes={
                name: _rates(
                    f"limits.classes.{name}",
                    {**shared, **check_keys(f"limits.classes.{name}", own, _RATE_KEYS)},
                )
                for name, own in tables.items()
            },
        )


def _class_tables(tables: Any, known: Collection[str] | None) -> Mapping[str, Any]:
    if not isinstance(tables, dict):
        raise UsageError(f"limits.classes is {tables!r}.", hint="Write one table per class.")
    if tables and known is None:
        from sdk_workflow.config.models import default_catalog

        known = default_catalog().tiers()
    for name in tables:
        if name not in (known or ()):
            guess = did_you_mean(str(name), known or ())
            raise UsageError(
                f"The limits name the class {name!r}, which no model has.",
                hint=f"{guess} The classes are {', '.join(known or ())}.".lstrip(),
            )
    return tables


def _from_line(line: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in line.split(","))):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UsageError(f"The limit {pair!r} has no value.", hint=_HINT)
        model_class, dot, key = name.rpartition(".")
        target = table.setdefault("classes", {}).setdefault(model_class, {}) if dot else table
        if key in target:
            raise UsageError(f"The limit {name!r} is given twice.", hint="Leave one of them out.")
        target[key] = value
    if not table:
        raise UsageError("The limits are empty.", hint=_HINT)
    return table


def _rates(where: str, table: Mapping[str, Any]) -> RateLimits:
    values: dict[str, Any] = {}
    for name, value in table.items():
        # A limit of nothing would refuse everything for ever: a status fault says that better.
        if name in _COUNTS:
            values[name] = whole_number(f"{where}: {name}", value, minimum=1)
        else:
            least = 0.0 if name == "spend_usd" else 1e-6
            values[name] = number(f"{where}: {name}", value, minimum=least)
    return RateLimits(**values)


class TokenBucket:
    """A bucket that refills evenly, up to what it holds.

    A request that needs more than the bucket holds is let in when the bucket is full, and leaves it
    in debt: otherwise it could never be sent, and the rate holds all the same.

    Example:
        >>> bucket = TokenBucket(per_minute=60, capacity=60, now=0.0)
        >>> bucket.take(60, 0.0)
        >>> bucket.seconds_until(3, 1.0)
        2.0
    """

    def __init__(self, *, per_minute: float, capacity: float, now: float) -> None:
        self.limit = per_minute
        self.capacity = capacity
        self._rate = per_minute / 60
        self._level = capacity
        self._at = now

    def level(self, now: float) -> float:
        """Return what is in it; negative while it is in debt."""
        self._level = min(self.capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def take(self, amount: float, now: float) -> None:
        """Take something out, whether it is there or not; a negative amount is given back."""
        self._level = min(self.capacity, self.level(now) - amount)

    def seconds_until(self, amount: float, now: float) -> float:
        """Return how long it takes until `amount` may be taken; 0 where it may be now."""
        missing = min(amount, self.capacity) - self.level(now)
        return max(0.0, missing / self._rate)


@dataclass(slots=True, kw_only=True)
class _Account:
    """The state of one key and class."""

    limits: RateLimits
    buckets: dict[str, TokenBucket]
    running: int = 0


@dataclass(slots=True)
class _Purse:
    """What one key has spent."""

    usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Admission of one request, to be given back with `Limiter.settle`."""

    max_tokens: int
    account: _Account = field(repr=False)
    purse: _Purse = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request has to wait, or may not come at all (`retry_after_seconds` is None)."""

    message: str
    retry_after_seconds: int | None = None
    error_code: str | None = None


_NOUNS = {
    "requests": "requests per minute",
    "input-tokens": "input tokens per minute",
    "output-tokens": "output tokens per minute",
}


class Limiter:
    """Admits requests, and says in headers what is left.

    Args:
        limits: What holds.

    Example:
        >>> limiter = Limiter(Limits.parse("rpm=1"))
        >>> def ask(now: float):
        ...     return limiter.admit("key", "haiku", input_tokens=9, max_tokens=9, now=now)
        >>> type(ask(0.0)).__name__, ask(0.0).retry_after_seconds, type(ask(60.0)).__name__
        ('Ticket', 60, 'Ticket')
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._purses: dict[str, _Purse] = {}

    def admit(
        self, key: str, model_class: str, *, input_tokens: int, max_tokens: int, now: float
    ) -> Ticket | Refusal:
        """Let a request in and take what it needs, or take nothing and say why it has to wait.

        Args:
            key: Who asks.
            model_class: The class of the model.
            input_tokens: The prompt's tokens without those read from the cache.
            max_tokens: The most that the answer may take.
            now: Seconds on the simulation's clock.
        """
        account = self._account(key, model_class, now)
        purse = self._purses.setdefault(key, _Purse())
        refusal = _spent(account.limits, purse) or _crowded(account)
        needs = {"requests": 1, "input-tokens": input_tokens, "output-tokens": max_tokens}
        refusal = refusal or _short(account, needs, now)
        if refusal is not None:
            return refusal
        for name, bucket in account.buckets.items():
            bucket.take(needs[name], now)
        account.running += 1
        return Ticket(max_tokens=max_tokens, account=account, purse=purse)

    def settle(self, ticket: Ticket, *, output_tokens: int, cost_usd: float, now: float) -> None:
        """End an admitted request: give back the output tokens that it did not use."""
        ticket.account.running -= 1
        ticket.purse.usd += cost_usd
        bucket = ticket.account.buckets.get("output-tokens")
        if bucket is not None:
            bucket.take(output_tokens - ticket.max_tokens, now)

    def spent(self, key: str, model_class: str) -> Refusal | None:
        """Return why a key may spend no more on a class of models; None where it may."""
        purse = self._purses.setdefault(key, _Purse())
        return _spent(self.limits.of(model_class), purse)

    def spend(self, key: str, cost_usd: float) -> None:
        """Note what a key has spent outside of its requests, such as on a batch."""
        self._purses.setdefault(key, _Purse()).usd += cost_usd

    def headers(self, key: str, model_class: str, *, now: float, epoch: float) -> dict[str, str]:
        """Return the `anthropic-ratelimit-*` headers of a key and class.

        Args:
            key: Who asks.
            model_class: The class of the model.
            now: Seconds on the simulation's clock.
            epoch: The same moment as seconds since the Unix epoch.
        """
        buckets = self._account(key, model_class, now).buckets
        headers: dict[str, str] = {}
        for name, bucket in buckets.items():
            headers.update(_bucket_headers(name, bucket, now, epoch))
        tokens = [buckets[name] for name in ("input-tokens", "output-tokens") if name in buckets]
        if tokens:
            tightest = min(tokens, key=lambda bucket: bucket.level(now) / bucket.capacity)
            headers.update(_bucket_headers("tokens", tightest, now, epoch))
        return headers

    def reset(self) -> None:
        """Fill every bucket and forget what was spent; running requests count no more."""
        self._accounts.clear()
        self._purses.clear()

    def _account(self, key: str, model_class: str, now: float) -> _Account:
        account = self._accounts.get((key, model_class))
        if account is None:
            limits = self.limits.of(model_class)
            account = _Account(limits=limits, buckets=dict(_buckets(limits, now)))
            self._accounts[key, model_class] = account
        return account


def _buckets(limits: RateLimits, now: float) -> Iterator[tuple[str, TokenBucket]]:
    rates = {"requests": limits.rpm, "input-tokens": limits.itpm, "output-tokens": limits.otpm}
    for name, per_minute in rates.items():
        if per_minute is not None:
            capacity = max(1.0, per_minute * limits.burst_seconds / 60)
            yield name, TokenBucket(per_minute=per_minute, capacity=capacity, now=now)


def _spent(limits: RateLimits, purse: _Purse) -> Refusal | None:
    limit = limits.spend_usd
    if limit is None or purse.usd < limit:
        return None
    return Refusal(
        message=f"You have reached your specified API usage limits (${limit:g}).",
        error_code=SPENT_CODE,
    )


def _crowded(account: _Account) -> Refusal | None:
    limit = account.limits.concurrency
    if limit is None or account.running < limit:
        return None
    return Refusal(
        message="Number of concurrent connections has exceeded your rate limit.",
        retry_after_seconds=1,
    )


def _short(account: _Account, needs: Mapping[str, int], now: float) -> Refusal | None:
    waits = {
        name: bucket.seconds_until(needs[name], now) for name, bucket in account.buckets.items()
    }
    name = max(waits, key=waits.__getitem__, default="")
    # A fraction of a token that only floating point sees is no reason to wait.
    if not name or waits[name] <= 1e-9:  # noqa: PLR2004 - seconds below every clock's resolution
        return None
    bucket = account.buckets[name]
    return Refusal(
        message=f"This request would exceed your rate limit of {bucket.limit:,.0f} {_NOUNS[name]}.",
        retry_after_seconds=max(1, math.ceil(waits[name] - 1e-9)),
    )


def _bucket_headers(name: str, bucket: TokenBucket, now: float, epoch: float) -> dict[str, str]:
    prefix = f"anthropic-ratelimit-{name}"
    full = math.ceil(epoch + bucket.seconds_until(bucket.capacity, now))
    return {
        f"{prefix}-limit": f"{bucket.limit:.0f}",
        f"{prefix}-remaining": f"{max(0, math.floor(bucket.level(now) + 1e-9))}",
        f"{prefix}-reset": datetime.fromtimestamp(full, timezone.utc).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
    }

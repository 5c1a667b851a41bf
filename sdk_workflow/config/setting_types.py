"""What the values of settings may be: the annotated types of `settings.Settings`, and their rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import (
        ValidationInfo,
    )

__all__ = [
    "DOLLARS_RULE",
    "HEADER_RULE",
    "MAX_DOLLARS",
    "SECONDS_RULE",
    "Count",
    "Dollars",
    "Limit",
    "Name",
    "Seconds",
    "Secret",
    "check_url",
    "expand_user",
    "not_above",
    "refuse_bool",
    "split_names",
    "whole_number",
]


def refuse_bool(value: object) -> object:
    """Refuse True and False, which Python counts as 1 and 0."""
    if type(value) is bool:
        raise ValueError("a boolean is not a number")
    return value


def split_names(value: object) -> object:
    """Read names that are separated by commas."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _check_secret(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("a secret travels in a header, so it is printable ASCII without spaces")
    return secret


def check_url(url: str) -> str:
    """Insist on an http or https address without credentials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", url):
        raise ValueError("not an http or https address")
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong in an address")
    return url


def expand_user(path: Path) -> Path:
    """Read a leading `~`."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such user") from error


def whole_number(maximum: int | None = None, *, minimum: int = 1) -> Any:
    """Return the field of a whole number within bounds, with the words that describe it."""
    upper = "" if maximum is None else f" to {maximum}"
    return Field(ge=minimum, le=maximum, description=f"a whole number from {minimum}{upper}")


def not_above(other: str) -> Callable[[float | None, ValidationInfo], float | None]:
    """Return a check that a value is not above that of another setting, where both are set."""

    def check(value: float | None, info: ValidationInfo) -> float | None:
        most = info.data.get(other)
        if value is not None and most is not None and value > most:
            raise ValueError(f"it is above {other}")
        return value

    return check


MAX_DOLLARS = 1_000_000_000
Count = Annotated[int, BeforeValidator(refuse_bool)]
Seconds = Annotated[float, BeforeValidator(refuse_bool), Field(gt=0, allow_inf_nan=False)]
SECONDS_RULE = "a number of seconds above 0"
Limit = Annotated[Seconds, Field(description=SECONDS_RULE)]
Name = Annotated[str, Field(min_length=1)]
Secret = Annotated[
    SecretStr,
    BeforeValidator(_strip),
    AfterValidator(_check_secret),
]
Dollars = Annotated[
    float, BeforeValidator(refuse_bool), Field(ge=0, le=MAX_DOLLARS, allow_inf_nan=False)
]
DOLLARS_RULE = f"a number of dollars from 0 to {MAX_DOLLARS:,}"
HEADER_RULE = "one line of printable ASCII characters without spaces"

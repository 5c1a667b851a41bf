"""What a search asks for: checked filters, and the place that a page goes on from.

Pure: it turns a user's dictionary into conditions, and knows no connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.session_info import check_status, check_tags, iso_time
from sdk_workflow.storage.session_paths import check_session_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.storage.session_info import SessionInfo

__all__ = [
    "SORTS",
    "Condition",
    "SessionQuery",
    "cursor_after",
    "parse_filters",
    "searched_text",
    "sort_values",
]

SORTS = ("updated", "started", "cost", "turns", "tokens")
"""What a list can be sorted by; with "-" before it the greatest comes first."""

MAX_LIMIT = 10_000
_DEFAULT_LIMIT = 50
_MAX_WORDS = 8
_MAX_WORD = 200
_MAX_SHOWN = 60
_PICO_PER_USD = 10**12
_GREATEST_PICO = 2**63 - 1
_GREATEST_USD = _GREATEST_PICO // _PICO_PER_USD
_GREATEST_COUNT = 10**12  # the sum of a million such sessions still fits into 64 bits
_COLUMNS = {
    "updated": "updated_at",
    "started": "started_at",
    "cost": "cost_pico",
    "turns": "turns",
    "tokens": "tokens",
}
Value = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that a session must be.

    Attributes:
        sql: SQL over the columns of `sessions`.
        values: Its values.
        numbers: SQL with the same values that finds the sessions by an index; "" where none does.
    """

    sql: str
    values: tuple[Value, ...] = ()
    numbers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """A search: all conditions must hold, and all words be in the title or the first message."""

    conditions: tuple[Condition, ...] = ()
    words: tuple[str, ...] = ()
    column: str = "updated_at"
    descending: bool = True
    limit: int = _DEFAULT_LIMIT
    after: tuple[Value, str] | None = None
    digest: str = ""


def parse_filters(filters: Mapping[str, Any]) -> SessionQuery:
    """Return the search that a user's filters stand for.

    Args:
        filters: `status`, `tags`, `model`, `text`, `archived`, `since`, `until` (of the last
            activity), `min_cost_usd`, `max_cost_usd`, `sort`, `limit`, `cursor`. None counts as
            not given.

    Raises:
        UsageError: If a name is unknown or a value is not one.

    Example:
        >>> parse_filters({"status": "failed", "sort": "cost"}).column
        'cost_pico'
    """
    if not isinstance(filters, Mapping):
        raise UsageError(
            f"The filters are of type {type(filters).__name__}.",
            hint="Give a dictionary, such as {'status': 'failed'}.",
        )
    given = {name: value for name, value in filters.items() if value is not None}
    known = (*_CONDITIONS, "text", "sort", "limit", "cursor")
    for name in given:
        if name not in known:
            raise UsageError(
                f"There is no filter {str(name)[:_MAX_SHOWN]!r}.",
                code="unknown_filter",
                hint=did_you_mean(str(name)[:_MAX_SHOWN], known)
                or f"The filters are {', '.join(known)}.",
            )
    conditions = [
        condition
        for name, make in _CONDITIONS.items()
        if name in given
        for condition in make(given[name])
    ]
    words = _words(given.get("text", ""))
    column, descending = _order(given.get("sort", "-updated"))
    digest = _digest(conditions, words, column, descending=descending)
    return SessionQuery(
        conditions=tuple(conditions),
        words=words,
        column=column,
        descending=descending,
        limit=_limit(given.get("limit", _DEFAULT_LIMIT)),
        after=_after(given["cursor"], digest, column) if "cursor" in given else None,
        digest=digest,
    )


def cursor_after(query: SessionQuery, last: SessionInfo) -> str:
    """Return where the page after one that ends with `last` begins; it names a place, not a number.

    Sessions that come in meanwhile shift nothing.
    """
    place = [query.digest, sort_value(query, last), last.session_id]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def sort_value(query: SessionQuery, info: SessionInfo) -> Value:
    """Return what a session is sorted by."""
    return sort_values(info)[query.column]


def sort_values(info: SessionInfo) -> dict[str, Value]:
    """Return all that sessions are sorted by, within what the catalogue can hold and add up."""
    spent = info.spent
    return {
        "updated_at": info.updated_at,
        "started_at": info.started_at,
        "cost_pico": _within(spent.cost_pico, _GREATEST_PICO),
        "turns": _within(spent.turns, _GREATEST_COUNT),
        "tokens": _within(spent.input_tokens + spent.output_tokens, _GREATEST_COUNT),
    }


def searched_text(text: str) -> str:
    """Return text as it is searched: upper and lower case alike, composed or not, in any alphabet."""
    return unicodedata.normalize("NFC", text.casefold())


def _column(sql: str, value: Value) -> Condition:
    numbers = f"SELECT number FROM sessions WHERE {sql}"  # noqa: S608 # nosec B608 # constants
    return Condition(sql=sql, values=(value,), numbers=numbers)


def _statuses(value: object) -> list[Condition]:
    return [_column("status=?", check_status(value))]


def _tags(value: object) -> list[Condition]:
    tags = check_tags([value] if isinstance(value, str) else value)
    # As a question about each session: a list of all that have a frequent tag would be long.
    sql = "EXISTS (SELECT 1 FROM tags WHERE tag=? AND tags.number=sessions.number)"
    numbers = "SELECT number FROM tags WHERE tag=?"
    return [Condition(sql=sql, values=(tag,), numbers=numbers) for tag in tags]


def _model(value: object) -> list[Condition]:
    return [_column("model=?", _text("model", value))]


def _archived(value: object) -> list[Condition]:
    if not isinstance(value, bool):
        raise UsageError(f"archived is {value!r}.", hint="Give True or False.")
    return [_column("archived=?", int(value))]


def _since(value: object) -> list[Condition]:
    return [_column("updated_at>=?", _time("since", value))]


def _until(value: object) -> list[Condition]:
    return [_column("updated_at<=?", _time("until", value))]


def _min_cost(value: object) -> list[Condition]:
    return [_column("cost_pico>=?", _pico("min_cost_usd", value))]


def _max_cost(value: object) -> list[Condition]:
    return [_column("cost_pico<=?", _pico("max_cost_usd", value))]


_CONDITIONS: dict[str, Callable[[object], list[Condition]]] = {
    "status": _statuses,
    "tags": _tags,
    "model": _model,
    "archived": _archived,
    "since": _since,
    "until": _until,
    "min_cost_usd": _min_cost,
    "max_cost_usd": _max_cost,
}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is of type {type(value).__name__}.", hint="Give it as text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{name} holds half of a surrogate pair.", hint="Leave that character out."
        ) from None
    return value


def _words(value: object) -> tuple[str, ...]:
    words = searched_text(_text("text", value)).replace("\0", " ").split()
    if len(words) > _MAX_WORDS or any(len(word) > _MAX_WORD for word in words):
        raise UsageError(
            f"text has {len(words):,} words; {_MAX_WORDS} of up to {_MAX_WORD} characters are "
            "searched for.",
            hint="Search for fewer or shorter words.",
        )
    return tuple(dict.fromkeys(words))


def _time(name: str, value: object) -> str:
    """Return a moment as text that sorts; a time without a zone is UTC."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise UsageError(
            f"{name} is {str(value)[:_MAX_SHOWN]!r}, which is no time.",
            hint="Give ISO 8601 such as '2026-11-21' or '2026-11-21T09:30:00Z', or a datetime.",
        )
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return iso_time(moment.timestamp())


def _pico(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_amount(value):
        raise UsageError(f"{name} is {str(value)[:_MAX_SHOWN]!r}.", hint="Give dollars, 0 or more.")
    if value >= _GREATEST_USD:
        return _GREATEST_PICO
    return round(value * _PICO_PER_USD)


def _is_amount(value: float) -> bool:
    return value >= 0 and (isinstance(value, int) or math.isfinite(value))


def _within(value: int, limit: int) -> int:
    return max(-limit, min(value, limit))


def _order(value: object) -> tuple[str, bool]:
    name = value.removeprefix("-") if isinstance(value, str) else ""
    if name not in SORTS:
        raise UsageError(
            f"There is no order {str(value)[:_MAX_SHOWN]!r}.",
            hint=did_you_mean(name[:_MAX_SHOWN], SORTS)
            or f"Sort by one of {', '.join(SORTS)}; '-' before it puts the greatest first.",
        )
    return _COLUMNS[name], str(value).startswith("-")


def _limit(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_LIMIT:
        raise UsageError(
            f"limit is {str(value)[:_MAX_SHOWN]!r}.",
            hint=f"Give a whole number from 1 to {MAX_LIMIT:,}.",
        )
    return value


def _after(cursor: object, digest: str, column: str) -> tuple[Value, str]:
    try:
        text = _text("cursor", cursor)
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        found, value, session_id = place
        check_session_id(session_id)
    except (UsageError, ValueError, TypeError, RecursionError, binascii.Error):
        found, value, session_id = "", None, ""
    if not _is_place(value, column):
        raise UsageError(
            f"{str(cursor)[:_MAX_SHOWN]!r} is no cursor.",
            hint="Give the cursor of the page before, or none to begin.",
        )
    if found != digest:
        raise UsageError(
            "The cursor belongs to a search with other filters or another order.",
            hint="Repeat the filters of the page before; only limit may change.",
        )
    return value, session_id


def _is_place(value: object, column: str) -> bool:
    if column.endswith("_at"):
        return isinstance(value, str) and value.isascii()
    return type(value) is int and abs(value) <= _GREATEST_PICO


def _digest(
    conditions: list[Condition], words: tuple[str, ...], column: str, *, descending: bool
) -> str:
    asked = [[[item.sql, item.values] for item in conditions], words, column, descending]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]

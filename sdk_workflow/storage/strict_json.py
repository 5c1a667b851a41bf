"""JSON without silent rewriting: what cannot come back equal is refused with its place.

Fast serialisers turn NaN into null, tuples and sets into lists, keys into strings and keep the
last of two equal keys. A checkpoint that did so would load as something that was never saved.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.errors import Damage

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DEPTH", "check_json", "dump", "load", "load_trusted"]

MAX_DEPTH = 128
"""Levels of nesting; the parser's own limit is 200."""

_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**64 - 1
_SHOWN_STEPS = 12
_SHOWN = 60
_HINTS = {
    "bytes": "Encode bytes as base64 text.",
    "datetime": "Store a time as isoformat() text or as seconds.",
    "set": "Use a list.",
    "tuple": "Use a list: a tuple would come back as one.",
}


def check_json(value: object, place: str = "$") -> None:
    """Refuse whatever JSON cannot carry there and back without a change.

    Only exactly dict, list, str, int, float, bool and None pass: a subclass would come back as
    its base.

    Args:
        value: What is to be stored.
        place: How the error names the value's own place.

    Raises:
        UsageError: With the place of the first value that cannot be stored.

    Example:
        >>> check_json({"turns": [1, 2.5, None]})
        >>> check_json({"turns": [1, {2}]})
        Traceback (most recent call last):
        ...
        sdk_workflow.exceptions.UsageError: $.turns[1] is a set, which JSON cannot hold.
    """
    try:
        _check(value, 1)
    except _Refused as refused:
        steps = [*reversed(refused.steps[-_SHOWN_STEPS:])]
        if len(refused.steps) > _SHOWN_STEPS:
            steps.append(" ...")
        raise UsageError(
            f"{place}{''.join(steps)} {refused.why}.", code="not_json", hint=refused.hint
        ) from None


class _Refused(Exception):
    """What is wrong with a value; every level on the way out adds its step to the place."""

    def __init__(self, why: str, hint: str = "Store plain JSON values only.") -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint
        self.steps: list[str] = []


def _check(value: Any, depth: int) -> None:
    # By exact type, most frequent first: 1 MB of message blocks takes 0.2 to 2.6 ms.
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_text(value)
    elif kind is dict or kind is list:
        if depth > MAX_DEPTH:
            raise _Refused(
                f"is nested deeper than {MAX_DEPTH} levels, or contains itself",
                "Flatten it, or store it as text.",
            )
        (_check_dict if kind is dict else _check_list)(value, depth)
    elif kind is int or kind is float:
        _check_number(value)
    elif value is not None and kind is not bool:
        _refuse_type(kind)


def _check_number(value: float) -> None:
    if not math.isfinite(value):
        raise _Refused(f"is {value}, which JSON cannot hold", "Store null or text instead.")
    if type(value) is int and not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
        raise _Refused("is an integer of more than 64 bits", "Store it as text.")


def _check_dict(value: dict[Any, Any], depth: int) -> None:
    for key, item in value.items():
        if type(key) is not str:
            raise _Refused(
                f"has the key {_short(key)}, which is not text", "Turn every key into text."
            )
        try:
            if not key.isascii():
                _check_text(key)
            _check(item, depth + 1)
        except _Refused as refused:
            refused.steps.append(f".{key}" if key.isidentifier() else f"[{_short(key)}]")
            raise


def _check_list(value: list[Any], depth: int) -> None:
    for index, item in enumerate(value):
        try:
            _check(item, depth + 1)
        except _Refused as refused:
            refused.steps.append(f"[{index}]")
            raise


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Refused(
            f"holds half of a surrogate pair at character {error.start}, which is not text",
            "Decode the source with errors='replace'.",
        ) from None


def _refuse_type(kind: type) -> NoReturn:
    article = "an" if kind.__name__[0] in "aeiouAEIOU" else "a"
    why = f"is {article} {kind.__name__}, which JSON cannot hold"
    for base in kind.__mro__:
        if base.__name__ in _HINTS:
            raise _Refused(why, _HINTS[base.__name__])
        if base in {dict, list, str, int, float}:
            raise _Refused(
                f"is {article} {kind.__name__}, which would come back as a plain {base.__name__}",
                f"Convert it with {base.__name__}().",
            )
    raise _Refused(why)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def serialiser() -> Callable[[Any], bytes]:
    """Return the function that turns checked values into compact UTF-8 JSON."""
    from pydantic_core import to_json

    return to_json


def dump(value: object, place: str = "$") -> bytes:
    """Return a value as compact UTF-8 JSON, keys in their own order.

    Raises:
        UsageError: If it holds something that JSON cannot.
    """
    check_json(value, place)
    return serialiser()(value)


def load_trusted(data: bytes) -> Any:
    """Parse JSON that `dump` wrote and a hash has vouched for: of two equal keys the last wins.

    Raises:
        Damage: If it is not JSON, or nested too deeply.
    """
    from pydantic_core import from_json

    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise Damage(f"it is not JSON ({error})") from error


def load(data: bytes) -> Any:
    """Parse JSON of unknown origin.

    Raises:
        Damage: If it is not JSON, is nested too deeply, names a key twice, or holds what `dump`
            would have refused.
    """
    value = load_trusted(data)  # refuses by depth first: the parser below would crash on it
    try:
        json.loads(data, object_pairs_hook=_distinct)
        check_json(value)
    except UsageError as error:
        raise Damage(f"its JSON is not what this library writes: {error.message}") from error
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Damage(f"its JSON names the key {_short(twice)} twice")
    return found

"""Compares two JSON values and says where they differ, as a person would point at it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MISSING", "Difference", "differences"]

_MAX_SHOWN = 100
_CONTEXT = 20


class _Missing:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two values differ.

    Example:
        >>> str(Difference("messages.0.content", "Hello", "Hullo"))
        "messages.0.content: 'Hello' -> 'Hullo'"
    """

    path: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        """Return `path: expected -> got`; of two long texts, what surrounds their first difference."""
        expected, got = self.expected, self.got
        start = 0
        if isinstance(expected, str) and isinstance(got, str):
            start = max(0, _common(expected, got) - _CONTEXT)
            if max(len(expected), len(got)) <= _MAX_SHOWN:
                start = 0
        return f"{self.path}: {_shown(expected, start)} -> {_shown(got, start)}"


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Difference]:
    """Yield the places at which two JSON values differ, in order; list and tuple are alike."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for name in dict.fromkeys((*expected, *got)):
            where = f"{path}.{name}" if path else str(name)
            yield from differences(expected.get(name, MISSING), got.get(name, MISSING), where)
    elif _is_list(expected) and _is_list(got):
        for index in range(max(len(expected), len(got))):
            where = f"{path}.{index}" if path else str(index)
            yield from differences(_item(expected, index), _item(got, index), where)
    elif expected != got or isinstance(expected, bool) is not isinstance(got, bool):
        yield Difference(path, expected, got)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _item(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else MISSING


def _common(first: str, second: str) -> int:
    """Return how many characters two texts begin with in common."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def _shown(value: Any, start: int) -> str:
    if isinstance(value, str):
        cut = value[start : start + _MAX_SHOWN]
        before = "…" if start else ""
        after = "…" if start + _MAX_SHOWN < len(value) else ""
        return f"{before}{cut!r}{after}"
    if value is MISSING:
        return repr(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"

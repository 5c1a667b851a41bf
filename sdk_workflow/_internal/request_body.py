"""The body of a request as bytes, or the place in it that JSON cannot carry.

It knows JSON, not the Messages API: whether a body makes sense is the server's to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sdk_workflow.exceptions import RequestRejected

__all__ = ["encode_body"]

_MAX_PLACES = 20
# TypeError: no JSON value. ValueError: not a number, half a surrogate pair, a circle, an endless
# integer. RecursionError: nested too deeply.
_REFUSALS = (TypeError, ValueError, RecursionError)


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return the body of a request as UTF-8; dates and models of pydantic as the SDK writes them.

    Raises:
        RequestRejected: If a value is none of JSON (`unencodable_request`); nothing was sent.

    Example:
        >>> encode_body({"model": "m", "messages": ({"role": "user", "content": "Hi"},)})
        b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    """
    try:
        return _encode(body)
    except _REFUSALS as error:
        place, value = _culprit(body)
        raise RequestRejected(
            f"The request cannot be written as JSON: {place} holds {_named(value)}.",
            code="unencodable_request",
            hint="Put text, finite numbers, lists and dictionaries with text as keys there.",
        ) from error


def _encode(value: Any) -> bytes:
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
    )
    return text.encode()


def _plain(value: Any) -> Any:
    """Return what stands for an object that is no JSON value itself."""
    if hasattr(value, "model_dump"):  # as the official SDK writes its own objects
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"A {type(value).__name__} is no JSON value.")


def _culprit(value: Any) -> tuple[str, Any]:
    """Return the innermost value that cannot be written, and where it stands."""
    path: list[str] = []
    while len(path) < _MAX_PLACES:
        found = next(((k, part) for k, part in _parts(value) if not _is_writable(part)), None)
        if found is None:
            break
        path.append(found[0])
        value = found[1]
    return ".".join(path) or "the body", value


def _parts(value: Any) -> Sequence[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(ascii(name).strip("'"), part) for name, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(str(index), part) for index, part in enumerate(value)]
    return ()


def _is_writable(value: Any) -> bool:
    try:
        _encode(value)
    except _REFUSALS:
        return False
    return True


def _named(value: Any) -> str:
    if isinstance(value, float):
        return f"{value!r}, which is no number of JSON"
    if isinstance(value, str):
        return "half of a surrogate pair, which is no character"
    if isinstance(value, int):
        return "an integer of more digits than Python writes"
    if isinstance(value, (Mapping, list, tuple)):
        return "a key that is no text, or other values within each other without an end"
    return f"{type(value).__name__!r}, which is no value of JSON"

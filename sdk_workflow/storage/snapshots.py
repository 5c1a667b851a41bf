"""The JSON bytes of a state, key by key, and how little of them a save has to make anew.

A conversation grows at its end. So each element of a top-level list leaves a fingerprint, and an
element whose fingerprint has not changed is neither checked nor serialised nor hashed again.
"""

from __future__ import annotations

import hashlib
import marshal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.splices import Splice, difference
from sdk_workflow.storage.strict_json import check_json, serialiser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.storage.chain import Digest

__all__ = ["Snapshot", "Value", "encode"]

# Beyond that many elements their overhead (0.4 us each) costs more than the whole serialised anew.
_MOST_ELEMENTS = 10_000

# Version 2 writes the same bytes for equal values of the same types, whatever else refers to them,
# and tells 1 from True and 1.0. Nothing ever reads these bytes: they are compared only.
_MARSHAL_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One top-level key: its JSON, the JSON's hash, and fingerprints to know it by next time.

    `sizes` are the lengths of the elements' JSON where the value is a list. `hashed` has taken in
    the first `hashed_bytes` bytes. Without fingerprints (read from disk) all is made anew once.
    """

    data: bytes
    digest: bytes
    prints: list[bytes] | None = None
    sizes: list[int] = field(default_factory=list)
    hashed: Digest | None = None
    hashed_bytes: int = 0

    @classmethod
    def of(cls, data: bytes) -> Value:
        """Return a value that was read from disk."""
        return cls(data=data, digest=hashlib.sha256(data).digest())


Snapshot = dict[str, Value]
"""A state as bytes: its top-level keys in their order."""


def encode(
    state: Mapping[str, Any], before: Snapshot | None = None
) -> tuple[Snapshot, dict[str, Splice]]:
    """Return a state as bytes, and by key what changed since `before`.

    Nobody may change the state while it is encoded.

    Raises:
        UsageError: If it holds something that JSON cannot, naming its place.
    """
    known = before or {}
    snapshot: Snapshot = {}
    changes: dict[str, Splice] = {}
    for key, value in state.items():
        if type(key) is not str or not key.isascii():
            check_json({key: None})
        old = known.get(key)
        snapshot[key], splice = _encode(f"$.{key}", value, old)
        if splice is not None:
            changes[key] = splice
    return snapshot, changes


def _encode(place: str, value: Any, old: Value | None) -> tuple[Value, Splice | None]:
    """Return the value as bytes and its change; None where nothing changed."""
    elements = value if type(value) is list and len(value) <= _MOST_ELEMENTS else None
    prints = _fingerprints([value] if elements is None else elements, place)
    if old is not None and old.prints == prints and bool(old.sizes) == bool(elements):
        return old, None
    if elements is None:
        return _encode_whole(place, value, prints, old)
    if old is None or not old.sizes:
        return _encode_new_list(place, elements, prints, old)
    return _encode_list(place, elements, prints, old)


def _fingerprints(elements: list[Any], place: str) -> list[bytes]:
    try:
        return [marshal.dumps(element, _MARSHAL_VERSION) for element in elements]
    except ValueError:  # not even marshal takes it: a foreign type, or nested too deeply
        for index, element in enumerate(elements):
            check_json(element, f"{place}[{index}]" if len(elements) > 1 else place)
        raise UsageError(
            f"{place} cannot be stored as JSON.",
            code="not_json",
            hint="Store plain JSON values only.",
        ) from None


def _encode_whole(
    place: str, value: Any, prints: list[bytes], old: Value | None
) -> tuple[Value, Splice | None]:
    check_json(value, place)
    data = serialiser()(value)
    splice = _change(old, data)
    if old is not None and splice is None:
        return Value(data=data, digest=old.digest, prints=prints), None
    return Value(data=data, digest=hashlib.sha256(data).digest(), prints=prints), splice


def _encode_new_list(
    place: str, elements: list[Any], prints: list[bytes], old: Value | None
) -> tuple[Value, Splice | None]:
    parts = _serialised(place, elements, 0)
    data = b"[" + b",".join(parts) + b"]"
    sizes = [len(part) for part in parts]
    return _hashed_list(data, prints, sizes, hashlib.sha256(), hashed_bytes=0), _change(old, data)


def _encode_list(
    place: str, elements: list[Any], prints: list[bytes], old: Value
) -> tuple[Value, Splice | None]:
    """Serialise only the elements between those at the head and the tail that stayed."""
    head, tail = _unchanged(old.prints or [], prints)
    end = len(elements) - tail
    parts = _serialised(place, elements[head:end], head)
    sizes = [*old.sizes[:head], *map(len, parts), *old.sizes[len(old.sizes) - tail :]]
    kept_before = 1 + _length(old.sizes[:head])
    kept_after = 1 + _length(old.sizes[len(old.sizes) - tail :])
    middle = b",".join(parts)
    if head and (parts or tail):
        middle = b"," + middle
    if tail and parts:
        middle += b","
    fresh = difference(old.data[kept_before : len(old.data) - kept_after], middle)
    splice = Splice(kept_before + fresh.prefix, kept_after + fresh.suffix, fresh.middle)
    data = old.data[:kept_before] + middle + old.data[len(old.data) - kept_after :]
    # The hash goes on from where it stood: over 1 MB it takes 0.5 ms.
    if old.hashed is not None and splice.prefix >= old.hashed_bytes:
        return (
            _hashed_list(data, prints, sizes, old.hashed.copy(), hashed_bytes=old.hashed_bytes),
            splice,
        )
    return _hashed_list(data, prints, sizes, hashlib.sha256(), hashed_bytes=0), splice


def _unchanged(old: list[bytes], new: list[bytes]) -> tuple[int, int]:
    """Return how many elements stayed at the head and, beyond those, at the tail."""
    shortest = min(len(old), len(new))
    if old[:shortest] == new[:shortest]:  # appended or cut off: one comparison in C
        return shortest, 0
    head = next(index for index in range(shortest) if old[index] != new[index])
    tail = 0
    while tail < shortest - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def _length(sizes: list[int]) -> int:
    """Return the length of elements joined by commas."""
    return sum(sizes) + max(0, len(sizes) - 1)


def _serialised(place: str, elements: list[Any], first: int) -> list[bytes]:
    to_json = serialiser()
    for index, element in enumerate(elements, start=first):
        check_json(element, f"{place}[{index}]")
    # One by one: a buffer that grows to 1 MB is copied so often that it takes 2.5 times as long.
    return [to_json(element) for element in elements]


def _hashed_list(
    data: bytes, prints: list[bytes], sizes: list[int], hashed: Digest, *, hashed_bytes: int
) -> Value:
    """Return a list's value; `hashed` has taken in the first bytes and takes in the rest."""
    end = len(data) - 1
    hashed.update(memoryview(data)[hashed_bytes:end])
    whole = hashed.copy()
    whole.update(data[end:])
    return Value(
        data=data,
        digest=whole.digest(),
        prints=prints,
        sizes=sizes,
        hashed=hashed,
        hashed_bytes=end,
    )


def _change(old: Value | None, data: bytes) -> Splice | None:
    """Return the splice from the old bytes to the new ones; None where they are the same."""
    if old is None:
        return Splice(0, 0, data)
    return None if old.data == data else difference(old.data, data)

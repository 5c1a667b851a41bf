"""Reads float32 tensors from a safetensors file, and its SHA-256 on the way.

The format: a 64-bit length, a JSON header of that length, then the tensors' bytes without gaps.
Whatever the header claims is checked against the file's size before anything is allocated.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_float32_tensors"]

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a tensor lies in the file's data, and what it is said to be."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_float32_tensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Return the tensors that are asked for and the SHA-256 of the whole file.

    The file is read once, front to back, so the digest is that of the very bytes that are used.

    Args:
        path: The file.
        shapes: The tensors to return, by name without a leading `bert.`, with their shapes.

    Raises:
        ConfigError: If the file is missing, malformed, or lacks a tensor in that form.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _read(file, path, shapes)
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error


def _read(
    file: FileIO, path: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    digest = hashlib.sha256()
    places = _read_header(file, path, digest)
    _check_wanted(path, places, shapes)
    found: dict[str, NDArray[np.float32]] = {}
    for place in places:
        if place.name in shapes:
            tensor = np.empty(place.shape, dtype=_FLOAT32)
            _fill(file, path, tensor.data.cast("B"))
            digest.update(tensor.data)
            found[place.name] = tensor.astype(np.float32, copy=False)
        else:
            _skip(file, path, place.stop - place.start, digest)
    return found, digest.hexdigest()


def _read_header(file: FileIO, path: Path, digest: Any) -> list[_Place]:
    size = os.fstat(file.fileno()).st_size
    prefix = bytearray(_LENGTH_BYTES)
    _fill(file, path, memoryview(prefix))
    length = int.from_bytes(prefix, "little")
    if length > min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
        raise _damaged(path, f"its header claims {length:,} bytes")
    header = bytearray(length)
    _fill(file, path, memoryview(header))
    digest.update(prefix)
    digest.update(header)
    return _places(path, header, data_bytes=size - _LENGTH_BYTES - length)


def _places(path: Path, header: bytearray, *, data_bytes: int) -> list[_Place]:
    """Return the tensors in the order of the file; together they must cover its data."""
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        places = sorted((_place(*entry) for entry in entries.items()), key=lambda one: one.start)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, "its header is malformed") from error
    position = 0
    for place in places:
        if place.start != position or place.stop < position:
            raise _damaged(path, f"the bytes of {place.name!r} overlap others or leave a gap")
        position = place.stop
    if position != data_bytes:
        raise _damaged(path, f"it holds {data_bytes:,} bytes of data, not {position:,}")
    return places


def _place(name: str, entry: Mapping[str, Any]) -> _Place:
    start, stop = entry["data_offsets"]
    if not all(type(number) is int for number in (start, stop, *entry["shape"])):
        raise ValueError("An offset or a size is not a whole number.")
    return _Place(
        name=name.removeprefix("bert."),
        dtype=str(entry["dtype"]),
        shape=tuple(entry["shape"]),
        start=start,
        stop=stop,
    )


def _check_wanted(path: Path, places: list[_Place], shapes: Mapping[str, tuple[int, ...]]) -> None:
    by_name = {place.name: place for place in places}
    for name, shape in shapes.items():
        place = by_name.get(name)
        if place is None:
            raise _damaged(path, f"the tensor {name!r} is missing")
        if place.dtype != "F32" or place.shape != shape:
            raise _damaged(path, f"{name!r} is {place.dtype} {place.shape}, not F32 {shape}")
        if place.stop - place.start != math.prod(shape) * _FLOAT32.itemsize:
            raise _damaged(path, f"{name!r} has {place.stop - place.start:,} bytes for {shape}")


def _fill(file: FileIO, path: Path, view: memoryview) -> None:
    while len(view):
        count = file.readinto(view)
        if not count:
            raise _damaged(path, "it ends too early")
        view = view[count:]


def _skip(file: FileIO, path: Path, count: int, digest: Any) -> None:
    """Read past a tensor that nobody asked for; the digest covers it all the same."""
    while count:
        chunk = bytearray(min(count, _CHUNK_BYTES))
        _fill(file, path, memoryview(chunk))
        digest.update(chunk)
        count -= len(chunk)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The weights in {str(path)!r} cannot be used: {why}.",
        code="model_damaged",
        hint="Download or copy the model folder again.",
    )

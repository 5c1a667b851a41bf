"""The form in which caches are written down, as bytes: JSON, float32 numbers, and seals.

    seal header LF | little-endian float32 vectors | gzip of lines: seal record LF

A seal is a digest keyed with the tenant's secret. Whatever does not fit its seal, its count or its
length is refused; nothing is ever executed. This module reads and writes no file.
"""

from __future__ import annotations

import array
import gzip
import hashlib
import hmac
import json
import sys
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["SCHEMA", "Snapshot", "SnapshotEntry", "decode_snapshot", "encode_snapshot", "merge"]

SCHEMA = "sdk_workflow.response_cache"
VERSION = 1
MAX_UNPACKED_BYTES = 256 * 2**20
_MAX_HEADER_BYTES = 4_096
_FLOAT_BYTES = 4
_COUNTS = ("dimension", "vectors", "records", "packed_bytes", "unpacked_bytes")
_SEAL_BYTES = 16
_SEAL_CHARACTERS = 2 * _SEAL_BYTES
_GZIP_WINDOW = 31
_HINT = "It was left out; the cache starts empty and fills again."
# Longer than any answer is kept, so that a wrong one cannot come back from another process.
_MEMORY_OF_WRONG_SECONDS = 90 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEntry:
    """One stored reply, and under which scope, text and vector the semantic tier finds it."""

    stored: StoredReply
    scope: str | None = None
    text: str | None = None
    vector: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that the caches of one tenant hold at one moment.

    Attributes:
        entries: The stored replies, each key once.
        wrong: Exact key -> when its answer was reported wrong: no older answer may come back.
        embedder: The tag of the embedder that made the vectors; None where there are none.
        dimension: The count of numbers in a vector.
        dropped: Records that were damaged, and were left out when it was read.
    """

    entries: tuple[SnapshotEntry, ...] = ()
    wrong: Mapping[str, float] = field(default_factory=dict)
    embedder: str | None = None
    dimension: int = 0
    dropped: int = 0


def encode_snapshot(snapshot: Snapshot, secret: bytes) -> bytes:
    """Return a snapshot as bytes, sealed with the tenant's secret.

    Example:
        >>> data = encode_snapshot(Snapshot(wrong={"a key": 5.0}), b"the secret")
        >>> decode_snapshot(data, b"the secret").wrong
        {'a key': 5.0}
        >>> decode_snapshot(data[:-1], b"the secret")
        Traceback (most recent call last):
            ...
        sdk_workflow.exceptions.StorageError: The cache file is damaged: its length is wrong.
    """
    seals = _Seals(secret)
    size = snapshot.dimension * _FLOAT_BYTES
    # A vector of another length would shift all that follow it.
    vectors = [entry.vector for entry in snapshot.entries if len(entry.vector or b"") == size > 0]
    packed = b"".join(_little_endian(vector) for vector in vectors if vector is not None)
    lines = b"".join(map(seals.line, _records(snapshot)))
    records = gzip.compress(lines, compresslevel=1, mtime=0)
    header = {
        "schema": SCHEMA,
        "version": VERSION,
        "owner": seals.owner,
        "embedder": snapshot.embedder,
        "dimension": snapshot.dimension,
        "vectors": len(vectors),
        "vectors_seal": seals.seal(packed),
        "records": len(snapshot.entries) + len(snapshot.wrong),
        "packed_bytes": len(records),
        "unpacked_bytes": len(lines),
    }
    return seals.line(header) + packed + records


def decode_snapshot(data: bytes, secret: bytes) -> Snapshot:
    """Read what `encode_snapshot` wrote, and believe nothing of it.

    Raises:
        StorageError: If it is no cache file or damaged (`cache_damaged`), of a later version
            (`cache_version`), or of another tenant (`cache_of_another_tenant`).
    """
    seals = _Seals(secret)
    head, newline, _ = data[:_MAX_HEADER_BYTES].partition(b"\n")
    header = _header(head if newline else b"", seals)
    packed_end = len(head) + 1 + header["vectors"] * header["dimension"] * _FLOAT_BYTES
    if packed_end + header["packed_bytes"] != len(data):
        raise _damaged("its length is wrong")
    packed = data[len(head) + 1 : packed_end]
    if not seals.fits(packed, header.get("vectors_seal")):
        raise _damaged("the vectors do not fit their seal")
    lines = _unpacked(data[packed_end:], header["unpacked_bytes"]).splitlines(keepends=True)
    if len(lines) != header["records"]:
        raise _damaged("records are missing")
    return _snapshot(header, packed, lines, seals)


def merge(mine: Snapshot, other: Snapshot, *, now: float, max_entries: int) -> Snapshot:
    """Return one snapshot of two: of each key the newest reply, none expired, none reported wrong.

    Vectors of two embedders never mix: those of `other` go where `mine` has another embedder. A
    text without a vector is embedded again when it is asked about.
    """
    wrong = dict(other.wrong)
    for key, at in mine.wrong.items():
        wrong[key] = max(at, wrong.get(key, at))
    embedder, dimension = mine.embedder, mine.dimension
    if embedder is None:
        embedder, dimension = other.embedder, other.dimension
    by_key: dict[str, SnapshotEntry] = {}
    for snapshot in (other, mine):
        keeps_vectors = (snapshot.embedder, snapshot.dimension) == (embedder, dimension)
        for entry in snapshot.entries:
            stored = entry.stored
            is_wrong = stored.created <= wrong.get(stored.key, stored.created - 1)
            if stored.expires > now and not is_wrong:
                kept = entry if keeps_vectors else _without_vector(entry)
                by_key[stored.key] = _newest(by_key.get(stored.key), kept)
    newest = sorted(by_key.values(), key=lambda entry: entry.stored.created, reverse=True)
    return Snapshot(
        entries=tuple(newest[:max_entries]),
        wrong={key: at for key, at in wrong.items() if at > now - _MEMORY_OF_WRONG_SECONDS},
        embedder=embedder,
        dimension=dimension,
        dropped=mine.dropped + other.dropped,
    )


class _Seals:
    """Digests that only who knows the secret can make."""

    def __init__(self, secret: bytes) -> None:
        key = hashlib.blake2b(secret, digest_size=32, person=b"cache file").digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=_SEAL_BYTES)
        self.owner = self.seal(b"owner")

    def seal(self, data: bytes) -> str:
        hasher = self._keyed.copy()
        hasher.update(data)
        return hasher.hexdigest()

    def fits(self, data: bytes, seal: object) -> bool:
        return hmac.compare_digest(self.seal(data).encode(), str(seal).encode("utf-8", "replace"))

    def check(self, data: bytes, seal: bytes) -> None:
        if not self.fits(data, seal.decode("latin-1")):
            raise ValueError("it does not fit its seal")

    def line(self, record: Mapping[str, Any]) -> bytes:
        text = json.dumps(record, separators=(",", ":")).encode()
        return self.seal(text).encode() + b" " + text + b"\n"


def _records(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    position, size = 0, snapshot.dimension * _FLOAT_BYTES
    for entry in snapshot.entries:
        has_vector = len(entry.vector or b"") == size > 0
        yield {
            **entry.stored.to_json(),
            "scope": entry.scope,
            "text": entry.text,
            "vector": position if has_vector else None,
        }
        position += has_vector
    for key, at in snapshot.wrong.items():
        yield {"wrong": key, "at": at}


def _header(head: bytes, seals: _Seals) -> dict[str, Any]:
    try:
        header = json.loads(head[_SEAL_CHARACTERS + 1 :])
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise _damaged("it does not begin like a cache file")
    if header.get("version") != VERSION:
        raise StorageError(
            f"The cache file has version {header.get('version')!r}, and this program reads {VERSION}.",
            code="cache_version",
            hint="Update the program, or choose another cache folder for it.",
        )
    if header.get("owner") != seals.owner:
        raise StorageError(
            "The cache file belongs to another tenant: it was sealed with another secret.",
            code="cache_of_another_tenant",
            hint="Choose another cache folder, or the secret that the file was written with.",
        )
    if not seals.fits(head[_SEAL_CHARACTERS + 1 :], head[:_SEAL_CHARACTERS].decode("latin-1")):
        raise _damaged("its header does not fit its seal")
    if any(type(header.get(name)) is not int or header[name] < 0 for name in _COUNTS):
        raise _damaged("its header counts in something else than numbers")
    if not isinstance(header.get("embedder"), (str, type(None))):
        raise _damaged("its embedder has no name")
    return header


def _unpacked(records: bytes, size: int) -> bytes:
    if size > MAX_UNPACKED_BYTES:
        raise _damaged(f"it would unpack to {size:,} bytes")
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        # One byte more than was announced shows a file that unpacks to more.
        lines = reader.decompress(records, size + 1)
    except zlib.error:
        raise _damaged("its records cannot be unpacked") from None
    if len(lines) != size or not reader.eof or reader.unused_data:
        raise _damaged("its records do not unpack to what was announced")
    return lines


def _snapshot(
    header: Mapping[str, Any], packed: bytes, lines: Iterable[bytes], seals: _Seals
) -> Snapshot:
    entries: dict[str, SnapshotEntry] = {}
    wrong: dict[str, float] = {}
    dropped = 0
    size = header["dimension"] * _FLOAT_BYTES
    vectors = [packed[start : start + size] for start in range(0, len(packed), size or 1)]
    for line in lines:
        text = line[_SEAL_CHARACTERS + 1 : -1]
        try:
            seals.check(text, line[:_SEAL_CHARACTERS])
            record = json.loads(text)
            if "wrong" in record:
                wrong[str(record["wrong"])] = float(record["at"])
            else:
                entry = _entry(record, vectors)
                entries[entry.stored.key] = entry
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            dropped += 1
    return Snapshot(
        entries=tuple(entries.values()),
        wrong=wrong,
        embedder=header.get("embedder"),
        dimension=header["dimension"],
        dropped=dropped,
    )


def _entry(record: Mapping[str, Any], vectors: list[bytes]) -> SnapshotEntry:
    position = record["vector"]
    scope, text = record["scope"], record["text"]
    if not {type(scope), type(text)} <= {str, type(None)}:
        raise ValueError("scope and text are texts")
    return SnapshotEntry(
        stored=StoredReply.from_json(record),
        scope=scope,
        text=text,
        vector=None if position is None else _little_endian(vectors[position]),
    )


def _newest(known: SnapshotEntry | None, entry: SnapshotEntry) -> SnapshotEntry:
    """Return the newer reply of two of one key; scope, text and vector are of the key itself."""
    if known is None:
        return entry
    newer, older = (
        (entry, known) if entry.stored.created >= known.stored.created else (known, entry)
    )
    source = newer if newer.vector is not None or older.text is None else older
    return SnapshotEntry(
        stored=newer.stored, scope=source.scope, text=source.text, vector=source.vector
    )


def _without_vector(entry: SnapshotEntry) -> SnapshotEntry:
    return SnapshotEntry(stored=entry.stored, scope=entry.scope, text=entry.text)


def _little_endian(vector: bytes) -> bytes:
    """Turn native float32 bytes into little-endian ones, or back."""
    if sys.byteorder == "little":
        return vector
    numbers = array.array("f", vector)
    numbers.byteswap()
    return numbers.tobytes()


def _damaged(why: str) -> StorageError:
    return StorageError(f"The cache file is damaged: {why}.", code="cache_damaged", hint=_HINT)

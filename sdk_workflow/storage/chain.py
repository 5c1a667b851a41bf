"""Hashes that bind a session's history together: of states, of frames and of journal records.

They find damage; they do not stop a forger who can write the file.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sdk_workflow.storage.errors import Damage

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["GENESIS", "Digest", "Head", "link", "state_digest"]

GENESIS = bytes(32)
"""What the first frame and the first record are chained to."""


class Digest(Protocol):
    """A hash under way, as `hashlib` makes them."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the hash of what was taken in."""
        ...

    def copy(self) -> Digest:
        """Return a hash that goes on from here by itself."""
        ...


def state_digest(session_id: str, version: int, values: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return the hash of a state as one version of one session.

    Args:
        session_id: The session that it belongs to.
        version: The version that it is.
        values: Key, length of its JSON, and SHA-256 of its JSON, in order.
    """
    digest = hashlib.sha256(_packed(b"state", session_id.encode(), version))
    for key, length, value_digest in values:
        digest.update(_packed(key.encode(), length, value_digest))
    return digest.digest()


def link(before: bytes, *fields: int | bytes) -> bytes:
    """Return the hash of a row that follows on another.

    Args:
        before: The hash of the row before.
        *fields: Every field of the row; the lengths are hashed too, so that none can move over.
    """
    return hashlib.sha256(_packed(before, *fields)).digest()


def _packed(*fields: int | bytes) -> bytes:
    return b"".join(
        (
            b"i" + struct.pack(">q", item)
            if isinstance(item, int)
            else b"b" + struct.pack(">Q", len(item)) + item
        )
        for item in fields
    )


_HEAD = struct.Struct(">8sQQ32sQ32s")
_HEAD_MAGIC = b"sdkwhd01"
_CHECK_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a session's history goes: its last version and its last journal record.

    `writes` counts the transactions, so that of two heads the later one is known.

    Example:
        >>> Head.unpack(Head(version=3, writes=5).pack()).version
        3
    """

    writes: int = 0
    version: int = 0
    chain: bytes = GENESIS
    sequence: int = 0
    journal_chain: bytes = GENESIS

    def pack(self) -> bytes:
        """Return the head as bytes of a fixed length that carry their own check."""
        body = _HEAD.pack(
            _HEAD_MAGIC, self.writes, self.version, self.chain, self.sequence, self.journal_chain
        )
        return body + hashlib.sha256(body).digest()[:_CHECK_BYTES]

    @classmethod
    def unpack(cls, data: object) -> Head:
        """Read what `pack` wrote.

        Raises:
            Damage: If it is anything else.
        """
        if not isinstance(data, bytes) or len(data) != HEAD_BYTES:
            raise Damage("the record of its last version is missing or cut")
        body = data[: _HEAD.size]
        magic, writes, version, chain, sequence, journal_chain = _HEAD.unpack(body)
        if (
            magic != _HEAD_MAGIC
            or hashlib.sha256(body).digest()[:_CHECK_BYTES] != data[len(body) :]
        ):
            raise Damage("the record of its last version does not match its check")
        return cls(
            writes=writes,
            version=version,
            chain=chain,
            sequence=sequence,
            journal_chain=journal_chain,
        )


HEAD_BYTES = _HEAD.size + _CHECK_BYTES

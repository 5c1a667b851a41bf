"""One version of a session as one row: how a state becomes a frame and frames a state again.

A keyframe holds a whole state, a delta what changed since the version before. It knows no file.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.chain import link, state_digest
from sdk_workflow.storage.codecs import MAX_RAW_BYTES, compress, decompress
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.snapshots import Value
from sdk_workflow.storage.splices import Pieces, Splice
from sdk_workflow.storage.strict_json import dump, load_trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sdk_workflow.storage.encryption import Sealer
    from sdk_workflow.storage.snapshots import Snapshot

__all__ = [
    "DELTA",
    "KEYFRAME",
    "Frame",
    "FrameFacts",
    "FrameInfo",
    "Packer",
    "Replay",
    "is_keyframe_due",
    "wants_keyframe",
]

KEYFRAME, DELTA = 0, 1

# Beyond 128 deltas a load gets slow. Deltas that outgrow their keyframe call for a new one, which
# keeps the bytes of n turns O(n); below 256 KB they load within a millisecond whatever the
# keyframe's size, and waiting saves a third of the file of a 500-turn session. A delta of half a
# keyframe saves nothing worth having.
_MOST_DELTAS = 128
_SMALL_DELTAS_BYTES = 256 * 1024
_LARGEST_DELTA = 0.5
_SMALL_DELTA_BYTES = 64 * 1024

_HEADER_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A row of the table `frames`, as it is stored."""

    version: int
    kind: int
    base: int
    codec: int
    created_us: int
    raw_bytes: int
    state: bytes
    meta: bytes
    payload: bytes

    def chained_to(self, before: bytes) -> bytes:
        """Return the hash of this frame after the one whose hash is given."""
        return link(
            before,
            self.version,
            self.kind,
            self.base,
            self.codec,
            self.created_us,
            self.raw_bytes,
            self.state,
            self.meta,
            self.payload,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInfo:
    """What is known of one version without loading it.

    `created_at` is in seconds since the Unix epoch and never falls from one version to the next;
    `raw_bytes` is what was packed, `stored_bytes` what it takes; `chain` is the hash of the
    history up to here.
    """

    version: int
    created_at: float
    raw_bytes: int
    stored_bytes: int
    kind: Literal["keyframe", "delta"]
    chain: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFacts:
    """What a frame is told of itself: its version, its time and what is listed with it."""

    version: int
    created_us: int
    meta: Mapping[str, Any]


def is_keyframe_due(*, deltas: int, delta_bytes: int, keyframe_bytes: int) -> bool:
    """Return whether the next frame has to hold the whole state.

    Args:
        deltas: How many deltas follow the last keyframe.
        delta_bytes: What they take together.
        keyframe_bytes: What the keyframe takes; 0 where there is none yet.
    """
    if keyframe_bytes == 0 or deltas >= _MOST_DELTAS:
        return True
    return delta_bytes > max(keyframe_bytes, _SMALL_DELTAS_BYTES)


def wants_keyframe(delta: Frame, *, keyframe_bytes: int) -> bool:
    """Return whether a delta is so large that the whole state should be stored instead."""
    return len(delta.payload) > max(_LARGEST_DELTA * keyframe_bytes, _SMALL_DELTA_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packer:
    """What all frames of a session are packed with."""

    session_id: str
    codec: int
    sealer: Sealer

    def keyframe(self, facts: FrameFacts, snapshot: Snapshot) -> Frame:
        """Return a frame that holds the whole state.

        Raises:
            StorageError: If the state is larger than a session file may hold.
            UsageError: If the facts hold something that JSON cannot.
        """
        whole = {key: Splice(0, 0, value.data) for key, value in snapshot.items()}
        return self._frame(facts, facts.version, snapshot, _payload(whole, [], None))

    def delta(
        self,
        facts: FrameFacts,
        base: int,
        snapshot: Snapshot,
        changes: Mapping[str, Splice],
        *,
        before: Snapshot,
    ) -> Frame:
        """Return a frame that holds what changed since the version before.

        Raises:
            StorageError: If the state is larger than a session file may hold.
            UsageError: If the facts hold something that JSON cannot.
        """
        dropped = [key for key in before if key not in snapshot]
        order = [key for key in before if key in snapshot]
        order += [key for key in changes if key not in before]
        raw = _payload(changes, dropped, None if order == [*snapshot] else [*snapshot])
        return self._frame(facts, base, snapshot, raw)

    def _frame(self, facts: FrameFacts, base: int, snapshot: Snapshot, raw: bytes) -> Frame:
        size = sum(len(value.data) for value in snapshot.values())
        if max(size, len(raw)) > MAX_RAW_BYTES:
            raise StorageError(
                f"The state takes {size} bytes as JSON, more than the {MAX_RAW_BYTES} of a version.",
                code="too_large",
                hint="Keep large results in files of their own and store their paths.",
            )
        version = facts.version
        is_delta = base != version
        codec, packed = compress(raw, self.codec, is_delta=is_delta)
        meta = dump(dict(facts.meta), "meta") if facts.meta else b""
        return Frame(
            version=version,
            kind=DELTA if is_delta else KEYFRAME,
            base=base,
            codec=codec,
            created_us=facts.created_us,
            raw_bytes=len(raw),
            state=self.sealer.tag(_digest(self.session_id, version, snapshot)),
            meta=self.sealer.seal(meta, "meta", version) if meta else b"",
            payload=self.sealer.seal(packed, "frame", version, codec),
        )

    def info(self, frame: Frame, chain: bytes) -> FrameInfo:
        """Return what is known of a frame without its state.

        Raises:
            Damage: If its facts are not what was written.
        """
        meta = self.sealer.unseal(frame.meta, "meta", frame.version) if frame.meta else b"{}"
        return FrameInfo(
            version=frame.version,
            created_at=frame.created_us / 1_000_000,
            raw_bytes=frame.raw_bytes,
            stored_bytes=len(frame.payload),
            kind="keyframe" if frame.kind == KEYFRAME else "delta",
            chain=chain.hex(),
            meta=load_trusted(meta),
        )

    def replay(self) -> Replay:
        """Return what turns frames back into a state."""
        return Replay(self.session_id, self.sealer)


class Replay:
    """Applies a keyframe and the deltas after it, and returns no state that it has not checked."""

    def __init__(self, session_id: str, sealer: Sealer) -> None:
        self._session_id = session_id
        self._sealer = sealer
        self._keys: dict[str, Pieces] = {}

    def apply(self, frame: Frame) -> None:
        """Take in the next frame.

        Raises:
            Damage: If its bytes are not what was written.
        """
        packed = self._sealer.unseal(frame.payload, "frame", frame.version, frame.codec)
        raw = decompress(packed, frame.codec, frame.raw_bytes)
        if frame.kind == KEYFRAME:
            self._keys = {}
        changes, dropped, order = _parts(raw)
        for key, splice in changes:
            self._keys.setdefault(key, Pieces()).apply(splice)
        for key in dropped:
            self._keys.pop(key, None)
        if order is not None:
            if sorted(order) != sorted(self._keys):
                raise Damage("it orders keys that it does not have")
            self._keys = {key: self._keys[key] for key in order}
        if sum(len(pieces) for pieces in self._keys.values()) > MAX_RAW_BYTES:
            raise Damage("it inflates to more than a version may hold")

    def snapshot(self, frame: Frame) -> Snapshot:
        """Return the state after a frame as bytes.

        Raises:
            Damage: If it is not the state that was saved as that version.
        """
        snapshot = {key: Value.of(pieces.joined()) for key, pieces in self._keys.items()}
        if self._sealer.tag(_digest(self._session_id, frame.version, snapshot)) != frame.state:
            raise Damage("its state does not match the hash that was stored with it")
        return snapshot


def parsed(snapshot: Snapshot) -> dict[str, Any]:
    """Return the state that checked bytes stand for.

    Raises:
        Damage: If they are no JSON.
    """
    return {key: load_trusted(value.data) for key, value in snapshot.items()}


def _digest(session_id: str, version: int, snapshot: Snapshot) -> bytes:
    values = ((key, len(value.data), value.digest) for key, value in snapshot.items())
    return state_digest(session_id, version, values)


def _payload(changes: Mapping[str, Splice], dropped: list[str], order: list[str] | None) -> bytes:
    header = json.dumps(
        {
            "set": [
                [key, splice.prefix, splice.suffix, len(splice.middle)]
                for key, splice in changes.items()
            ],
            **({"drop": dropped} if dropped else {}),
            **({"order": order} if order is not None else {}),
        },
        separators=(",", ":"),
    ).encode()
    middles = (splice.middle for splice in changes.values())
    return b"".join([_HEADER_LENGTH.pack(len(header)), header, *middles])


def _parts(raw: bytes) -> tuple[list[tuple[str, Splice]], list[str], list[str] | None]:
    """Read what `_payload` wrote; anything else is damage."""
    try:
        (size,) = _HEADER_LENGTH.unpack_from(raw)
        position = _HEADER_LENGTH.size + size
        header = load_trusted(raw[_HEADER_LENGTH.size : position])
        changes = []
        for key, prefix, suffix, length in header["set"]:
            if not (type(key) is str and type(prefix) is type(suffix) is type(length) is int):
                raise Damage("its content is not a list of changes")
            middle = raw[position : position + length]
            position += length
            changes.append((key, Splice(prefix, suffix, middle)))
        dropped, order = header.get("drop", []), header.get("order")
        "".join([*dropped, *(order or ())])  # keys, and nothing else
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise Damage(f"its content is not a list of changes ({error})") from error
    if position != len(raw):
        raise Damage("its content is longer or shorter than its changes")
    return changes, dropped, order


def row_of(frame: Frame, chain: bytes) -> tuple[Any, ...]:
    """Return a frame as the values of its row."""
    return (
        frame.version,
        frame.kind,
        frame.base,
        frame.codec,
        frame.created_us,
        frame.raw_bytes,
        frame.state,
        chain,
        frame.meta,
        frame.payload,
    )


_NUMBERS = ("version", "kind", "base", "codec", "created_us", "raw_bytes")


def frame_of(row: Iterable[Any]) -> tuple[Frame, bytes]:
    """Return a row as a frame and its hash; a value of another type is damage."""
    values = [*row]
    numbers, texts = values[: len(_NUMBERS)], values[len(_NUMBERS) :]
    if not all(type(item) is int for item in numbers):
        raise Damage("a number in its row is none")
    if not all(type(item) is bytes for item in texts):
        raise Damage("a field of its row is of another type")
    state, chain, meta, payload = texts
    frame = Frame(
        **dict(zip(_NUMBERS, numbers, strict=True)), state=state, meta=meta, payload=payload
    )
    if frame.kind not in {KEYFRAME, DELTA} or not 0 <= frame.base <= frame.version:
        raise Damage("its row names a base that cannot be")
    return frame, chain

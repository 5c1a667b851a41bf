"""A reply as the caches keep it: a text that nobody can change, and what it was billed."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.reply_builder import read_message
from sdk_workflow.types import CacheHit, Money, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.types import CacheTier

__all__ = ["StoredReply", "message_of"]

_NOTHING_BILLED = Usage()


# Without slots: what is alive is found by weak references, which need a slot of their own that
# dataclasses offer from Python 3.11 on only.
@dataclass(frozen=True, kw_only=True)
class StoredReply:
    """One answer, with the request's key and its own lifetime.

    The message is kept as JSON, because a caller may change the content of a reply that it was
    given: parsing takes 5 microseconds, and each hit gets an answer of its own.

    Attributes:
        key: The exact key of the request.
        message_json: The API's message object.
        usage: What the model billed for it.
        saved: The price of that usage; None where it is not known.
        created: When the model wrote it, in seconds since the Unix epoch.
        expires: When it stops being true, in seconds since the Unix epoch.

    Example:
        >>> reply = Reply(id="msg_1", model="m", content=({"type": "text", "text": "4"},),
        ...     stop_reason="end_turn", usage=Usage(output_tokens=1))
        >>> stored = StoredReply(key="k", message_json=json.dumps(message_of(reply)),
        ...     usage=reply.usage, saved=None, created=100.0, expires=200.0)
        >>> again = stored.reply("lru", hit_id="h", now=130.0)
        >>> again.text, again.usage.output_tokens, again.cache_hit.age_seconds
        ('4', 0, 30.0)
    """

    key: str
    message_json: str
    usage: Usage
    saved: Money | None
    created: float
    expires: float

    @property
    def weight(self) -> int:
        """The characters of the stored message: what a cache may limit by."""
        return len(self.message_json)

    @property
    def text(self) -> str:
        """The text blocks of the message, joined."""
        blocks = json.loads(self.message_json)["content"]
        return "".join(block["text"] for block in blocks if block.get("type") == "text")

    def message(self) -> dict[str, Any]:
        """Return the API's message object as it was stored, a new one at each call."""
        message: dict[str, Any] = json.loads(self.message_json)
        return message

    def age_seconds(self, now: float) -> float:
        """Return how long ago the model wrote it; a clock that was set back makes it 0."""
        return max(0.0, now - self.created)

    def reply(
        self, tier: CacheTier, *, hit_id: str, now: float, similarity: float | None = None
    ) -> Reply:
        """Return the reply as one that came out of a tier: nothing is billed for it."""
        message = json.loads(self.message_json)
        return Reply(
            id=message["id"],
            model=message["model"],
            content=tuple(message["content"]),
            stop_reason=message["stop_reason"],
            stop_sequence=message.get("stop_sequence"),
            usage=_NOTHING_BILLED,
            served_by=tier,
            cache_hit=CacheHit(
                tier=tier,
                hit_id=hit_id,
                age_seconds=self.age_seconds(now),
                usage=self.usage,
                saved=self.saved,
                similarity=similarity,
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "key": self.key,
            "message": self.message_json,
            "usage": dataclasses.asdict(self.usage),
            "saved_pico": None if self.saved is None else self.saved.pico,
            "created": self.created,
            "expires": self.expires,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> StoredReply:
        """Read what `to_json` wrote, and believe nothing of it.

        Raises:
            ValueError: If a field is missing or of the wrong kind, or the message is no message.
        """
        saved = record.get("saved_pico")
        stored = cls(
            key=_checked(record.get("key"), str),
            message_json=_checked(record.get("message"), str),
            usage=_usage(record.get("usage")),
            saved=None if saved is None else Money(_count(saved)),
            created=_time(record.get("created")),
            expires=_time(record.get("expires")),
        )
        _check_message(stored.message_json)
        return stored


def message_of(reply: Reply) -> dict[str, Any]:
    """Return the API's message object of a reply."""
    return {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": list(reply.content),
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "usage": reply.usage.to_api(),
    }


def _check_message(text: str) -> None:
    try:
        read_message(json.loads(text))
    except AttributeError as error:  # a field is of a kind that has no fields
        raise ValueError("no message") from error


def _usage(value: object) -> Usage:
    counts = _checked(value, dict)
    names = {field.name for field in dataclasses.fields(Usage)}
    if set(counts) != names:
        raise ValueError("a usage has other fields")
    return Usage(**{name: _count(count) for name, count in counts.items()})


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a count is a whole number, 0 or more")
    return value


def _time(value: object) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError("a time is a finite number")
    return float(value)  # type: ignore[arg-type]


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{kind.__name__} expected")
    return value

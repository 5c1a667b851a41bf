"""Notices an agent that runs the same tool with the same arguments again and again.

It keeps digests and counts, never names or arguments. What to do about a loop is not its business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from sdk_workflow.types import ToolCall

__all__ = ["Loop", "LoopAlarm", "fingerprint"]

_MAX_REMEMBERED = 16_384  # about 2 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A session has run one tool with the same arguments `count` times."""

    session_id: str
    tool: str
    count: int


def fingerprint(session_id: str, call: ToolCall) -> bytes:
    """Return a digest that calls share when they are the same call of the same session."""
    facts = json.dumps([session_id, call.name, call.input], sort_keys=True, default=_plain)
    return blake2b(facts.encode(), digest_size=16).digest()


class LoopAlarm:
    """Counts equal calls, and gives alarm at the threshold and at each multiple of it.

    The counts that were touched last are kept, so memory is bounded.

    Args:
        threshold: How many equal calls are a loop; at least 2.

    Raises:
        UsageError: If `threshold` is below 2.

    Example:
        >>> alarm = LoopAlarm(threshold=2)
        >>> [alarm.note(b"digest") for _ in range(4)]
        [None, 2, None, 4]
    """

    __slots__ = ("_counts", "_threshold")

    def __init__(self, threshold: int) -> None:
        if threshold < 2:  # noqa: PLR2004 - one call is no loop
            raise UsageError(
                f"{threshold!r} equal calls are no loop.",
                hint="Pass a loop_threshold of at least 2.",
            )
        self._threshold = threshold
        self._counts: dict[bytes, int] = {}  # what was touched last comes last

    def note(self, digest: bytes) -> int | None:
        """Count a call; return how many there were where that is an alarm."""
        count = self._counts.pop(digest, 0) + 1
        self._counts[digest] = count
        if len(self._counts) > _MAX_REMEMBERED:
            del self._counts[next(iter(self._counts))]
        return None if count % self._threshold else count

    def clear(self) -> None:
        """Forget every count."""
        self._counts.clear()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)

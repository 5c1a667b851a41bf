"""The text of `live.json`, put together from sources of which each is asked as often as it can bear.

It knows the keys of the document and what stands there where nothing is known; not what they mean.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.monitor.run_folder import LIVE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sdk_workflow.protocols import Clock

__all__ = ["LiveDocument", "Source"]

_logger = logging.getLogger("sdk_workflow.monitor")
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

_WINDOW = {
    "requests": 0, "errors": 0, "cancelled": 0, "input_tokens": 0, "output_tokens": 0,
    "cost_usd": 0.0, "saved_usd": 0.0, "p50_ms": None, "p95_ms": None, "p99_ms": None,
}  # fmt: skip
_UNKNOWN: dict[str, Any] = {
    "budget": None,
    "burn": {"usd_per_hour": 0.0, "tokens_per_minute": 0.0},
    "traffic": {
        "requests": 0, "in_flight": 0, "running_tools": 0, "active_runs": 0,
        "requests_per_second": 0.0, "error_rate": 0.0, "retries": 0, "retry_wait_seconds": 0.0,
        "fallbacks": 0,
    },
    "windows": dict.fromkeys(("1m", "5m", "1h", "total"), _WINDOW),
    "history": [],
    "tokens": dict.fromkeys(
        ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), 0
    ),
    "saved_usd": 0.0,
    "models": [], "caches": [], "tools": [], "sessions": [], "spans": [], "errors": [],
    "alarms": [],
    "lost": {"spans": 0, "events": 0, "writes": 0},
}  # fmt: skip


class Source(NamedTuple):
    """Where some keys of the document come from.

    Attributes:
        read: Returns values by key.
        every_seconds: It is asked no more often than this; 0 for each time.
    """

    read: Callable[[], Mapping[str, Any]]
    every_seconds: float = 0.0


class LiveDocument:
    """Asks the sources and keeps what they said, as JSON text.

    A source that raises, or says what is no JSON, is named once in the log; its keys stay as they
    were.

    Args:
        process: Facts about the process, by name.
        sources: Where the keys come from; of two that give one key, the later one counts.
        clock: Decides when a source is due.
        started_at: The clock's monotonic time at which the uptime begins.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> document = LiveDocument(
        ...     {"pid": 1}, [Source(lambda: {"saved_usd": 2.5})], VirtualClock(), started_at=0.0
        ... )
        >>> document.refresh()
        True
        >>> json.loads(document.text(sequence=1, is_last=False))["saved_usd"]
        2.5
    """

    def __init__(
        self,
        process: Mapping[str, Any],
        sources: Iterable[Source],
        clock: Clock,
        *,
        started_at: float,
    ) -> None:
        self._process = _encode(dict(process))
        self._sources = tuple(sources)
        self._clock = clock
        self._started_at = started_at
        self._asked_at: dict[int, float] = {}
        self._failed: set[int] = set()
        self._values = {key: _encode(value) for key, value in _UNKNOWN.items()}

    def refresh(self, *, is_last: bool = False) -> bool:
        """Ask the sources that are due, or all at the end; return whether anything has changed."""
        now = self._clock.monotonic()
        before = self._values.copy()
        for number, source in enumerate(self._sources):
            asked_at = self._asked_at.get(number)
            if is_last or asked_at is None or now - asked_at >= source.every_seconds:
                self._asked_at[number] = now
                self._ask(number, source)
        return self._values != before

    def text(self, *, sequence: int, is_last: bool) -> str:
        """Return the whole document as it stands.

        Args:
            sequence: The number of this version, from 1.
            is_last: Whether the runtime has ended.
        """
        head = {
            "schema": LIVE_SCHEMA,
            "sequence": sequence,
            "written_at": utc_text(self._clock.now()),
            "state": "ended" if is_last else "running",
        }
        uptime = round(self._clock.monotonic() - self._started_at, 3)
        members = ",".join(f'"{key}":{value}' for key, value in self._values.items())
        return f'{_encode(head)[:-1]},"process":{self._process},"uptime_seconds":{uptime},{members}}}\n'

    def _ask(self, number: int, source: Source) -> None:
        try:
            found = {key: _encode(value) for key, value in source.read().items()}
        except Exception:
            if number not in self._failed:
                self._failed.add(number)
                _logger.warning("A source of the monitor failed.", exc_info=True)
            return
        self._values.update(found)

"""Finished spans, bounded by count and by age; whatever leaves before it was asked for is counted."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow._internal.tracing import Span

__all__ = ["SpanBuffer"]

_SPANS_PER_LOOK = 1_024
"""How many spans may be added before the old ones are looked for again."""


class SpanBuffer:
    """A ring of spans, in the order in which they finished.

    Args:
        max_spans: How many are kept; the oldest makes room.
        max_age_seconds: How long after its end a span is kept; None for as long as there is room.
        now_ns: Tells the time that the spans were taken by.

    Raises:
        UsageError: If `max_spans` is below 1, or `max_age_seconds` not above 0.

    Example:
        >>> from time import perf_counter_ns
        >>> buffer = SpanBuffer(max_spans=2, max_age_seconds=None, now_ns=perf_counter_ns)
        >>> buffer.spans(), buffer.dropped
        ([], 0)
    """

    def __init__(
        self, *, max_spans: int, max_age_seconds: float | None, now_ns: Callable[[], int]
    ) -> None:
        _check_bounds(max_spans, max_age_seconds)
        self._spans: deque[Span] = deque(maxlen=max_spans)
        self._max_age_ns = None if max_age_seconds is None else int(max_age_seconds * 1e9)
        self._now_ns = now_ns
        # Counting must not take a lock in the hot path: `next` is atomic, `+= 1` is not.
        self._count = itertools.count(1).__next__
        self._append = self._spans.append
        self.add: Callable[[Span], None] = (
            self._add if max_age_seconds is None else self._add_and_expire
        )
        """Keep one finished span."""
        self._looks = 0
        self._expired = 0
        self._lock = threading.Lock()

    def _add(self, span: Span) -> None:
        self._append(span)
        self._count()

    def _add_and_expire(self, span: Span) -> None:
        self._append(span)
        if self._count() % _SPANS_PER_LOOK == 0:
            self._expire()

    def spans(self) -> list[Span]:
        """Return the spans that are kept."""
        self._expire()
        return list(self._spans.copy())

    def latest(self, limit: int) -> list[Span]:
        """Return the spans that finished last, the oldest of them first.

        One by one from the end, because others add spans meanwhile: that is no error here, and
        copying 100,000 of them would take 0.6 ms.
        """
        found: dict[int, Span] = {}  # where one was added meanwhile, a span is seen twice
        try:
            for place in range(1, limit + 1):
                span = self._spans[-place]
                found.setdefault(span.span_id, span)
        except IndexError:
            pass
        return list(found.values())[::-1]

    @property
    def dropped(self) -> int:
        """How many spans had to make room for newer ones."""
        with self._lock:
            added = self._count() - 1 - self._looks
            self._looks += 1
            return max(added - self._expired - len(self._spans), 0)

    @property
    def expired(self) -> int:
        """How many spans were let go because of their age."""
        self._expire()
        return self._expired

    def _expire(self) -> None:
        if self._max_age_ns is None:
            return
        with self._lock:
            oldest_ns = self._now_ns() - self._max_age_ns
            while self._spans and self._spans[0].end_ns < oldest_ns:
                self._spans.popleft()
                self._expired += 1


def _check_bounds(max_spans: int, max_age_seconds: float | None) -> None:
    if max_spans < 1:
        raise UsageError(
            f"A tracer cannot keep {max_spans!r} spans.", hint="Pass max_spans of at least 1."
        )
    if max_age_seconds is not None and not max_age_seconds > 0:
        raise UsageError(
            f"A tracer cannot keep spans for {max_age_seconds!r} seconds.",
            hint="Pass max_age_seconds above 0, or None to keep them as long as there is room.",
        )

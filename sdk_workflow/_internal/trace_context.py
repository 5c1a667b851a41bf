"""What is above a trace where no span of ours is: W3C trace context, read and checked."""

from __future__ import annotations

import re

__all__ = ["RemoteId", "RemoteParent", "parse_traceparent"]

# https://www.w3.org/TR/trace-context/: a later version may add fields behind these four.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class RemoteId(int):
    """The id of a span in another process; costs its child nothing but their parent's id."""

    __slots__ = ()


class RemoteParent:
    """A parent that is no span of ours: from a `traceparent`, or from another tracing library.

    Args:
        trace_id: The trace that the child joins.
        span_id: The span that it hangs under; 0 makes it the root of that trace.
        is_sampled: Whether the trace is recorded at all.
        is_remote: Whether the parent runs in another process.
    """

    __slots__ = ("is_sampled", "span_id", "trace_id")

    def __init__(
        self, trace_id: int, span_id: int, *, is_sampled: bool = True, is_remote: bool = True
    ) -> None:
        self.trace_id = trace_id
        self.span_id: int = RemoteId(span_id) if is_remote else span_id
        self.is_sampled = is_sampled


def parse_traceparent(header: str) -> RemoteParent | None:
    """Return the parent that a W3C `traceparent` names; None where the header is not valid.

    Example:
        >>> parent = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        >>> f"{parent.span_id:016x}", parent.is_sampled
        ('b7ad6b7169203331', True)
    """
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    is_sampled = bool(int(flags, 16) & _SAMPLED)
    return RemoteParent(int(trace_id, 16), int(span_id, 16), is_sampled=is_sampled)

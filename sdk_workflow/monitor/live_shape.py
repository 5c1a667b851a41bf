"""The shape of `live.json`: whatever a file holds, what comes out of here has every key and no surprise.

Files may be torn, foreign, of another version or made to do harm; whoever shows them relies on this:
a number is finite, a time is one, and a text has no character that could drive a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

__all__ = ["Live", "clean_text", "live_document", "parse_time"]

Live = dict[str, Any]
"""A live document of which every key is there; what is not known is None."""

Read = Callable[[object], Any]

_MAX_CHARACTERS = 300
_MOST_ROWS = 100
_GREATEST = 1e15
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def clean_text(value: str) -> str:
    r"""Return at most 300 characters, those that are no letter, sign or blank replaced.

    That takes away terminal escapes, line ends, marks that turn the writing direction, and halves
    of surrogate pairs.

    Example:
        >>> clean_text("a\x1b[31mb").encode()
        b'a\xef\xbf\xbd[31mb'
    """
    text = value[:_MAX_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _REPLACEMENT for char in text)


def parse_time(text: str | None) -> float | None:
    """Return the seconds since the Unix epoch of an ISO 8601 time with a zone; else None.

    Example:
        >>> parse_time("1970-01-01T00:01:00Z"), parse_time("soon")
        (60.0, None)
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return None if time.tzinfo is None else time.astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


def live_document(value: object) -> Live:
    """Return any JSON value as a live document of the version that this library knows.

    Example:
        >>> live_document({"sequence": 3, "process": {"pid": "x"}})["process"]["pid"] is None
        True
    """
    document: Live = _DOCUMENT(value)
    return document


def _text(value: object) -> str | None:
    return clean_text(value) if isinstance(value, str) else None


def _time(value: object) -> str | None:
    text = _text(value)
    return text if parse_time(text) is not None else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if -_GREATEST < value < _GREATEST else None  # false for NaN, too


def _amount(value: object) -> float:
    """Read what counts something: what is not known adds nothing."""
    return max(_number(value) or 0, 0)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _record(**fields: Read) -> Read:
    def read(value: object) -> dict[str, Any]:
        source = value if isinstance(value, dict) else {}
        return {name: field(source.get(name)) for name, field in fields.items()}

    return read


def _optional(read: Read) -> Read:
    return lambda value: read(value) if isinstance(value, dict) else None


def _rows(**fields: Read) -> Read:
    read = _record(**fields)

    def read_all(value: object) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            return []
        return [read(item) for item in value[-_MOST_ROWS:] if isinstance(item, dict)]

    return read_all


_window = _record(
    requests=_amount,
    errors=_amount,
    cancelled=_amount,
    input_tokens=_amount,
    output_tokens=_amount,
    cost_usd=_amount,
    saved_usd=_amount,
    p50_ms=_number,
    p95_ms=_number,
    p99_ms=_number,
)

_PROCESS = _record(
    pid=_number,
    start_key=_text,
    started_at=_time,
    command=_text,
    backend=_text,
    version=_text,
    python=_text,
    cwd=_text,
)

_BUDGET = _record(
    limit_usd=_number,
    soft_limit_usd=_number,
    spent_usd=_amount,
    held_usd=_amount,
    used_share=_number,
    projected_end_at=_time,
    is_exhausted=_flag,
)

_TRAFFIC = _record(
    requests=_amount,
    in_flight=_amount,
    running_tools=_amount,
    active_runs=_amount,
    requests_per_second=_amount,
    error_rate=_amount,
    retries=_amount,
    retry_wait_seconds=_amount,
    fallbacks=_amount,
)

_MODELS = _rows(
    model=_text,
    calls=_amount,
    cached=_amount,
    errors=_amount,
    p50_ms=_number,
    p95_ms=_number,
    p99_ms=_number,
    first_token_p50_ms=_number,
    first_token_p95_ms=_number,
    tokens_per_second_p50=_number,
    input_tokens=_amount,
    output_tokens=_amount,
    cache_read_tokens=_amount,
    cache_write_tokens=_amount,
    cost_usd=_number,
)

_TOOLS = _rows(
    tool=_text,
    calls=_amount,
    errors=_amount,
    error_rate=_number,
    p50_ms=_number,
    p95_ms=_number,
    loops=_amount,
)

_SESSIONS = _rows(
    session_id=_text,
    status=_text,
    model=_text,
    turns=_amount,
    cost_usd=_number,
    context_share=_number,
    started_at=_time,
    last_active_at=_time,
)

_SPANS = _rows(
    name=_text,
    started_at=_time,
    duration_ms=_number,
    status=_text,
    error=_text,
    trace_id=_text,
    span_id=_text,
)

_DOCUMENT = _record(
    schema=_text,
    sequence=_number,
    written_at=_time,
    state=_text,
    process=_PROCESS,
    uptime_seconds=_number,
    budget=_optional(_BUDGET),
    burn=_record(usd_per_hour=_amount, tokens_per_minute=_amount),
    traffic=_TRAFFIC,
    windows=_record(**dict.fromkeys(("1m", "5m", "1h", "total"), _window)),
    history=_rows(at=_time, requests=_amount, errors=_amount, cost_usd=_amount, p95_ms=_number),
    tokens=_record(
        input=_amount,
        output=_amount,
        cache_read=_amount,
        cache_write_5m=_amount,
        cache_write_1h=_amount,
    ),
    saved_usd=_amount,
    models=_MODELS,
    caches=_rows(tier=_text, hits=_amount, misses=_amount, hit_rate=_number, saved_usd=_amount),
    tools=_TOOLS,
    sessions=_SESSIONS,
    spans=_SPANS,
    errors=_rows(type=_text, count=_amount, last_at=_time, last_message=_text),
    alarms=_rows(kind=_text, at=_time, session_id=_text, text=_text),
    lost=_record(spans=_amount, events=_amount, writes=_amount),
)

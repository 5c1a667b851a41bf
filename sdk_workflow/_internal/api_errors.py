"""The API's error envelope, read into the typed errors; the one place that knows its types.

    {"type": "error", "error": {"type": "...", "message": "...", "details": {"error_code": "..."}},
     "request_id": "req_..."}

Errors inside a stream arrive under status 200, so the envelope's own type decides, not the status.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.redaction import redact_text
from sdk_workflow.exceptions import (
    AuthenticationFailed,
    ContextOverflow,
    OverloadedError,
    RateLimitError,
    RequestRejected,
    ServiceUnavailable,
    StreamInterrupted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.exceptions import (
        LLMError,
    )

__all__ = ["error_from_envelope", "error_from_response", "http_time", "retry_after_seconds"]

_BY_TYPE: dict[str, type[LLMError]] = {
    "authentication_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
    "billing_error": RequestRejected,
    "invalid_request_error": RequestRejected,
    "not_found_error": RequestRejected,
    "conflict_error": RequestRejected,
    "request_too_large": RequestRejected,
    "rate_limit_error": RateLimitError,
    "timeout_error": ServiceUnavailable,
    "api_error": ServiceUnavailable,
    "overloaded_error": OverloadedError,
}
_BY_STATUS: dict[int, type[LLMError]] = {
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    408: ServiceUnavailable,
    429: RateLimitError,
    529: OverloadedError,
}
_HINTS: dict[type[LLMError], str] = {
    AuthenticationFailed: "Check ANTHROPIC_API_KEY and the rights of its workspace.",
    RateLimitError: "Send fewer requests at once, or wait and try again.",
    OverloadedError: "Wait a little and try again.",
    ServiceUnavailable: "Try again; if it lasts, look at the status page of the API.",
    ContextOverflow: "Shorten the prompt or choose a model with a larger context window.",
}
# Waiting cannot help against these, although their status is 429.
_SPEND_LIMIT_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})

_PASSING = frozenset({ServiceUnavailable, RateLimitError, OverloadedError})
_CONFLICT = 409
_CONFLICT_HINT = "Another request held this one off; send it again."
_SHOULD_RETRY = {"true": True, "false": False}


def error_from_response(
    status: int,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    now: float | None = None,
) -> LLMError:
    """Return the typed error of an HTTP response.

    Args:
        status: The HTTP status.
        body: The decoded JSON body, or text where it was not JSON.
        headers: The response's headers, with lower-case names.
        now: Seconds since the Unix epoch, for a `retry-after` that is a date.
    """
    headers = headers or {}
    envelope = body if isinstance(body, dict) else {}
    error = error_from_envelope(
        envelope,
        status=status,
        fallback=body if isinstance(body, str) else "",
        request_id=headers.get("request-id"),
        wait=retry_after_seconds(headers, now=now),
    )
    error.headers = headers
    if error.code not in _SPEND_LIMIT_CODES:
        # The server's own word on its own failure goes before what the status lets one expect.
        error.retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", ""), error.retryable)
    return error


def error_from_envelope(
    envelope: Mapping[str, Any],
    *,
    status: int | None = None,
    fallback: str = "",
    request_id: str | None = None,
    wait: float | None = None,
    partial_text: str = "",
) -> LLMError:
    """Return the typed error of an error envelope, which may be empty or malformed."""
    error = envelope.get("error")
    error = error if isinstance(error, dict) else {}
    kind = str(error.get("type") or "")
    # A server may repeat the key that it refuses, and messages are shown.
    text = redact_text(str(error.get("message") or fallback[:300] or "no message"))
    found = _class_of(kind, status, text)
    if found is StreamInterrupted:
        return StreamInterrupted(
            f"The API broke the stream off: {text}",
            partial_text=partial_text,
            request_id=envelope.get("request_id") or request_id,
        )
    code = _error_code(error)
    is_spent = code in _SPEND_LIMIT_CODES
    hint = "Raise the spend limit of the organisation." if is_spent else _HINTS.get(found, "")
    is_conflict = found is RequestRejected and (kind == "conflict_error" or status == _CONFLICT)
    return found(
        f"The API answered {_label(kind, status)}: {text}",
        status=status,
        request_id=envelope.get("request_id") or request_id,
        retry_after_seconds=wait,
        code=code,
        retryable=False if is_spent else is_conflict or None,
        hint=_CONFLICT_HINT if is_conflict else hint,
    )


def retry_after_seconds(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return how long the server asks to wait: `retry-after-ms`, else `retry-after`.

    Args:
        headers: The response's headers, with lower-case names.
        now: Seconds since the Unix epoch, for a `retry-after` that is a date. The server's own
            `date` header goes before it, so that no clock that is wrong makes a wait of hours.

    Example:
        >>> retry_after_seconds({"retry-after": "Sat, 21 Nov 2026 07:28:00 GMT"}, now=1795246070.0)
        10.0
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    until = http_time(headers.get("retry-after"))
    since = http_time(headers.get("date"))
    since = now if since is None else since
    return None if until is None or since is None else max(until - since, 0.0)


def http_time(date: str | None) -> float | None:
    """Return an HTTP date as seconds since the Unix epoch; None for anything else."""
    if date is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):  # TypeError: Python 3.10 on what is no date
        return None


def _class_of(kind: str, status: int | None, text: str) -> type[LLMError]:
    if kind == "invalid_request_error" and "prompt is too long" in text:
        return ContextOverflow
    by_status = _class_of_status(status)
    found = _BY_TYPE.get(kind, by_status)
    # A 408 may carry the type of a wrong request, but what passes is not the request's fault.
    if found is RequestRejected and by_status in _PASSING:
        return by_status
    return found


def _class_of_status(status: int | None) -> type[LLMError]:
    if status is None:
        return StreamInterrupted
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ServiceUnavailable if status >= 500 else RequestRejected  # noqa: PLR2004 - HTTP classes


def _error_code(error: Mapping[str, Any]) -> str | None:
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return str(code) if code else None


def _label(kind: str, status: int | None) -> str:
    return " ".join(str(part) for part in (status, kind) if part) or "with an error"

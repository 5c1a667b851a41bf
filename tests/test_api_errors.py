from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.api_errors import (
    error_from_envelope,
    error_from_response,
    retry_after_seconds,
)
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
    from sdk_workflow.exceptions import (
        LLMError,
    )


def envelope(kind: str, message: str = "why", code: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("authentication_error", AuthenticationFailed),
        ("permission_error", AuthenticationFailed),
        ("billing_error", RequestRejected),
        ("invalid_request_error", RequestRejected),
        ("not_found_error", RequestRejected),
        ("conflict_error", RequestRejected),
        ("request_too_large", RequestRejected),
        ("rate_limit_error", RateLimitError),
        ("timeout_error", ServiceUnavailable),
        ("api_error", ServiceUnavailable),
        ("overloaded_error", OverloadedError),
    ],
)
def test_the_type_of_the_envelope_decides_even_under_status_200(
    kind: str, expected: type[LLMError]
) -> None:
    error = error_from_response(200, envelope(kind))
    assert type(error) is expected
    assert (error.status, error.request_id) == (200, "req_1")
    assert kind in str(error)
    assert "why" in str(error)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, RequestRejected),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (408, ServiceUnavailable),
        (413, RequestRejected),
        (429, RateLimitError),
        (500, ServiceUnavailable),
        (503, ServiceUnavailable),
        (529, OverloadedError),
    ],
)
def test_the_status_decides_where_the_body_is_no_envelope(
    status: int, expected: type[LLMError]
) -> None:
    error = error_from_response(status, "<html>oops</html>", {"request-id": "req_h"})
    assert type(error) is expected
    assert error.request_id == "req_h"
    assert str(error) == f"The API answered {status}: <html>oops</html>"


@pytest.mark.parametrize("body", [None, [], {}, {"error": "text"}, {"error": {}}])
def test_a_malformed_body_still_gives_an_error(body: Any) -> None:
    assert str(error_from_response(500, body)) == "The API answered 500: no message"


def test_a_prompt_that_is_too_long_has_an_error_of_its_own() -> None:
    error = error_from_response(400, envelope("invalid_request_error", "prompt is too long: 2 > 1"))
    assert type(error) is ContextOverflow
    assert "Shorten" in error.hint


def test_the_error_code_is_kept_and_only_spend_limits_stop_the_retries() -> None:
    ramp = error_from_response(429, envelope("rate_limit_error", code="ramp_limit_exceeded"))
    spent = error_from_response(
        429, envelope("rate_limit_error", code="contract_spend_limit_reached")
    )
    plain = error_from_response(429, {**envelope("rate_limit_error"), "details": "none"})
    assert (ramp.code, ramp.retryable) == ("ramp_limit_exceeded", True)
    assert (spent.code, spent.retryable) == ("contract_spend_limit_reached", False)
    assert (plain.code, plain.retryable) == ("rate_limited", True)
    assert "spend limit" in spent.hint


def test_an_unknown_error_inside_a_stream_is_an_interruption() -> None:
    error = error_from_envelope({"error": {"message": "gone"}}, partial_text="half")
    assert isinstance(error, StreamInterrupted)
    assert error.partial_text == "half"


def test_an_error_without_status_and_type_says_at_least_that_it_is_one() -> None:
    error = error_from_envelope(envelope("api_error"))
    assert str(error) == "The API answered api_error: why"


def test_the_wait_that_the_server_asks_for_is_read() -> None:
    error = error_from_response(429, envelope("rate_limit_error"), {"retry-after": "7"})
    assert error.retry_after_seconds == 7.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "soon"}, 9.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 07:28:00 GMT"}, None),
    ],
)
def test_only_waits_that_make_sense_are_believed(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers) == seconds


NOW = 1_795_246_070.0  # ten seconds before the date below
DATE = "Sat, 21 Nov 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "now", "seconds"),
    [
        ({"retry-after": DATE}, NOW, 10.0),
        ({"retry-after": DATE}, None, None),
        ({"retry-after": DATE, "date": "Sat, 21 Nov 2026 07:27:57 GMT"}, NOW, 3.0),
        ({"retry-after": DATE, "date": "Sat, 21 Nov 2026 07:27:57 GMT"}, None, 3.0),
        ({"retry-after": DATE, "date": "yesterday"}, NOW, 10.0),
        ({"retry-after": DATE}, NOW + 60, 0.0),
        ({"retry-after": DATE, "retry-after-ms": "250"}, NOW, 0.25),
        ({"retry-after": "tomorrow"}, NOW, None),
        ({"retry-after": "Sat, 99 Nov 2026 07:28:00 GMT"}, NOW, None),
    ],
)
def test_a_wait_may_be_a_date_against_the_servers_own_clock_where_it_shows_it(
    headers: dict[str, str], now: float | None, seconds: float | None
) -> None:
    assert retry_after_seconds(headers, now=now) == seconds
    error = error_from_response(429, envelope("rate_limit_error"), headers, now=now)
    assert error.retry_after_seconds == seconds


def test_the_headers_of_a_response_are_kept() -> None:
    headers = {"anthropic-ratelimit-requests-limit": "50"}
    assert error_from_response(429, envelope("rate_limit_error"), headers).headers == headers
    assert error_from_response(429, envelope("rate_limit_error")).headers == {}
    assert error_from_envelope(envelope("api_error")).headers == {}


@pytest.mark.parametrize(
    ("said", "kind", "code", "retryable"),
    [
        ("true", "conflict_error", None, True),
        ("false", "overloaded_error", None, False),
        ("perhaps", "overloaded_error", None, True),
        ("true", "rate_limit_error", "contract_spend_limit_reached", False),
    ],
)
def test_the_servers_own_word_on_trying_again_goes_first(
    said: str, kind: str, code: str | None, *, retryable: bool
) -> None:
    headers = {"x-should-retry": said}
    assert error_from_response(409, envelope(kind, code=code), headers).retryable is retryable


@pytest.mark.parametrize(
    "body", [envelope("conflict_error"), envelope("invalid_request_error"), ""]
)
def test_a_conflict_is_over_soon_and_may_be_tried_again(body: Any) -> None:
    error = error_from_response(409, body)
    assert (type(error), error.retryable) == (RequestRejected, True)
    assert error.hint


@pytest.mark.parametrize("body", [envelope("invalid_request_error"), envelope("timeout_error"), ""])
@pytest.mark.parametrize(
    ("status", "expected"),
    [(408, ServiceUnavailable), (429, RateLimitError), (502, ServiceUnavailable)],
)
def test_a_status_that_passes_goes_before_a_type_that_does_not(
    status: int, expected: type[LLMError], body: Any
) -> None:
    error = error_from_response(status, body)
    assert error.retryable
    assert error.hint
    if body != envelope("timeout_error"):
        assert type(error) is expected


def test_a_status_that_does_not_pass_leaves_the_type_as_it_is() -> None:
    error = error_from_response(403, envelope("not_found_error"))
    assert (type(error), error.retryable) == (RequestRejected, False)


@pytest.mark.parametrize("body", [envelope("api_error", "key sk-ant-abc-1"), "key sk-ant-abc-1"])
def test_a_key_that_the_server_repeats_is_not_in_the_message(body: Any) -> None:
    assert "sk-ant-abc" not in str(error_from_response(500, body))

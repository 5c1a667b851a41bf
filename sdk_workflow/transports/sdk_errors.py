"""The errors of the official SDK's own calls, turned into ours."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.api_errors import error_from_response
from sdk_workflow._internal.redaction import redact_text
from sdk_workflow.exceptions import ConfigError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx2

__all__ = ["plain_headers", "typed_errors"]


@contextmanager
def typed_errors(secrets: Sequence[str], *, now: float) -> Iterator[None]:
    """Turn the errors of the SDK into ours; whatever a listener raises has to stay outside.

    Args:
        secrets: What no message may show; a server may repeat the key that it refuses.
        now: Seconds since the Unix epoch, for a `retry-after` that is a date.

    Raises:
        LLMError: Whatever the API or the way to it answered.
        ConfigError: If the SDK finds no usable credentials.
    """
    import anthropic
    import httpx2

    try:
        yield
    except anthropic.APIStatusError as error:
        body = _read(redact_text(error.response.text, secrets=secrets))
        headers = plain_headers(error.response)
        raise error_from_response(error.status_code, body, headers, now=now) from error
    except anthropic.APITimeoutError as error:
        raise _timed_out(
            has_connected=type(error.__cause__) is not httpx2.ConnectTimeout
        ) from error
    except (anthropic.APIConnectionError, httpx2.RequestError) as error:
        # The SDK reads the body of a refusal, and lets through what breaks meanwhile.
        raise _unreachable(error.__cause__ or error) from error
    except anthropic.AnthropicError as error:
        raise _sdk_refused(error) from error
    except TypeError as error:
        # The SDK's way to say that it has no credentials; other mistakes stay what they are.
        if "authentication method" not in str(error):
            raise
        raise _sdk_refused(error) from error


def plain_headers(response: httpx2.Response) -> dict[str, str]:
    """Return the headers of a response with lower-case names."""
    return {name.lower(): value for name, value in response.headers.items()}


def _read(text: str) -> Any:
    """Return the body of an error: JSON where it is, and else as it stands."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _timed_out(*, has_connected: bool) -> ServiceUnavailable:
    if not has_connected:
        return _unreachable("there was no connection within the time limit")
    return ServiceUnavailable(
        "The API did not answer within the SDK's time limit.",
        code="timeout",
        hint="Try again, or ask for fewer output tokens at once.",
    )


def _unreachable(why: object) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"The API could not be reached: {why}",
        code="connection_failed",
        hint="Check the network and ANTHROPIC_BASE_URL.",
    )


def _sdk_refused(error: Exception) -> ConfigError:
    return ConfigError(
        f"The official SDK refused the request: {error}",
        code="sdk_refused",
        hint="Set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN.",
    )

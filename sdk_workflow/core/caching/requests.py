"""The two forms of a request and of a reply: this library's own, and the API's dictionaries."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.reply_builder import read_message
from sdk_workflow.core.caching.stored_reply import message_of
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.types import ServedBy

__all__ = ["as_call", "as_reply", "is_other_model", "message_json"]

_DAY_OF_MODEL = re.compile(r"-\d{8}$")


def as_call(request: Call | Mapping[str, Any]) -> Call:
    """Return a request as a `Call`.

    Raises:
        UsageError: If it has no model or no messages.
    """
    if isinstance(request, Call):
        return request
    try:
        return Call.from_params(request)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"This is no request to the Messages API: {type(error).__name__} at {error}.",
            code="not_a_request",
            hint="Pass a Call, or a dictionary with at least model and messages.",
        ) from error


def as_reply(response: Reply | Mapping[str, Any], served_by: ServedBy) -> Reply:
    """Return a response as a `Reply`.

    Raises:
        UsageError: If it is no finished message of the API.
    """
    if isinstance(response, Reply):
        return response
    try:
        return read_message(response, served_by=served_by)
    except (ValueError, AttributeError) as error:
        raise UsageError(
            f"This is no finished message of the Messages API. {error}",
            code="not_a_message",
            hint="Pass a Reply, or the message object as the API returns it.",
        ) from error


def message_json(response: Reply | Mapping[str, Any]) -> str | None:
    """Return a response as the JSON of the API's message; None where it is no JSON."""
    message = message_of(response) if isinstance(response, Reply) else dict(response)
    try:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None


def is_other_model(asked: str, answered: str, catalog: ModelCatalog | None) -> bool:
    """Tell whether another model answered than was asked, such as a fallback.

    An alias and the dated id behind it are one model.

    Example:
        >>> is_other_model("claude-haiku-4-5", "claude-haiku-4-5-20251001", None)
        False
        >>> is_other_model("claude-opus-5", "claude-opus-5-5", None)
        True
    """
    if _DAY_OF_MODEL.sub("", asked) == _DAY_OF_MODEL.sub("", answered):
        return False
    known = None if catalog is None else catalog.get(asked)
    other = None if catalog is None else catalog.get(answered)
    return known is None or other is None or known.id != other.id

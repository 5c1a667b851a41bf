"""One HTTP request as the API reads it: who asks, under which version, and what for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from sdk_workflow.simulator.betas import parse_betas
from sdk_workflow.simulator.errors import ApiError, authentication_error, invalid_request
from sdk_workflow.simulator.validation import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_BODY_BYTES",
    "HttpRequest",
    "credential_of",
    "max_body_bytes",
    "read_object",
    "split_target",
    "too_large",
]

_MEGABYTE = 1024 * 1024
MAX_BODY_BYTES = 32 * _MEGABYTE
_MAX_BATCH_BYTES = 256 * _MEGABYTE
_MAX_FILE_BYTES = 500 * _MEGABYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What a skin received; `target` holds path and query, header names are in lower case.

    Example:
        >>> request = HttpRequest(id="req_1", method="GET", target="/v1/models?limit=2", headers={}, body=b"")
        >>> request.path, request.query
        ('/v1/models', {'limit': '2'})
    """

    id: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path as it was sent, escapes and all."""
        return split_target(self.target)[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters behind the path; of a repeated one, the last."""
        return dict(parse_qsl(split_target(self.target)[1]))

    def query_list(self, name: str) -> list[str]:
        """Return a parameter that may be repeated, written as `name[]`, or separated by commas."""
        pairs = parse_qsl(split_target(self.target)[1])
        values = [value for key, value in pairs if key in {name, f"{name}[]"}]
        return [part for value in values for part in value.split(",") if part]

    @property
    def version(self) -> str:
        """The API version that the request names.

        Raises:
            ApiError: 400 where none is named, or one that does not exist.
        """
        version = self.headers.get("anthropic-version")
        if not version:
            raise invalid_request("anthropic-version: header is required")
        if version not in VERSIONS:
            raise invalid_request(f'anthropic-version: "{version}" is not a valid version')
        return version

    @property
    def betas(self) -> frozenset[str]:
        """The beta features that the request names, known or not."""
        return parse_betas(self.headers.get("anthropic-beta", ""))

    @property
    def workspace(self) -> str:
        """The workspace that the request is for: the named one, else that of its credential."""
        named = self.headers.get("anthropic-workspace-id")
        credential = credential_of(self.headers).encode()
        return named or f"wrkspc_{hashlib.sha256(credential).hexdigest()[:24]}"

    @property
    def params(self) -> dict[str, Any]:
        """The decoded body.

        Raises:
            ApiError: 400 where it is not a JSON object.
        """
        try:
            params = json.loads(self.body, parse_constant=_refuse_constant)
            if b"\\u" in self.body:
                # A lone surrogate passes Python's parser, but not the API's, and no encoder.
                json.dumps(params, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise invalid_request(f"The request body is not valid JSON: {error}") from error
        if not isinstance(params, dict):
            raise invalid_request("body: Input should be an object")
        return params

    def check(self) -> None:
        """Refuse a request that is too large, anonymous or of no known version.

        Raises:
            ApiError: 413, 401 or 400.
        """
        if len(self.body) > max_body_bytes(self.target):
            raise too_large()
        if not credential_of(self.headers):
            raise authentication_error("x-api-key header is required")
        _ = self.version


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a decoded body; None where it is no JSON object: `HttpRequest.params` says why."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def max_body_bytes(target: str) -> int:
    """Return the size that a request to a path may have."""
    path = split_target(target)[0]
    if path.startswith("/v1/messages/batches"):
        return _MAX_BATCH_BYTES
    return _MAX_FILE_BYTES if path.startswith("/v1/files") else MAX_BODY_BYTES


def too_large() -> ApiError:
    """Return the refusal of a body that exceeds the API's limit."""
    return ApiError(413, "request_too_large", "Request exceeds the maximum size")


def split_target(target: str) -> tuple[str, str]:
    """Return path and query of a request line; nothing where it is no address of anything."""
    try:
        parts = urlsplit(target)
    except ValueError:
        # Such as `//[`: no address of anything.
        return "", ""
    return parts.path, parts.query


def credential_of(headers: Mapping[str, str]) -> str:
    """Return the API key or token that a request names, in whichever header; "" for none.

    Example:
        >>> credential_of({"authorization": "Bearer a"}) == credential_of({"x-api-key": "a"})
        True
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get("x-api-key", "")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")

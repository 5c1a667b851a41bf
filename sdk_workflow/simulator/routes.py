"""Which operation a method and a path name; it knows no operation itself."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["FIXED_PATHS", "Route", "find_route", "is_endpoint"]


class Route(NamedTuple):
    """An operation and what it is about: the id in the path, or nothing."""

    operation: str
    name: str = ""


_ID = r"(?P<name>[^/]+)"
_ROUTES = [
    (methods.split(), re.compile(path), operation)
    for methods, path, operation in (
        ("POST", r"/v1/messages/?", "create_message"),
        ("POST", r"/v1/messages/count_tokens/?", "count_tokens"),
        ("POST", r"/v1/messages/batches/?", "create_batch"),
        ("GET", r"/v1/messages/batches/?", "list_batches"),
        ("GET", rf"/v1/messages/batches/{_ID}/?", "get_batch"),
        ("DELETE", rf"/v1/messages/batches/{_ID}/?", "delete_batch"),
        ("POST", rf"/v1/messages/batches/{_ID}/cancel/?", "cancel_batch"),
        ("GET", rf"/v1/messages/batches/{_ID}/results/?", "batch_results"),
        ("GET", r"/v1/models/?", "list_models"),
        ("GET", r"/v1/models/(?P<name>.+)", "get_model"),
        ("POST", r"/v1/files/?", "upload_file"),
        ("GET", r"/v1/files/?", "list_files"),
        ("GET", rf"/v1/files/{_ID}/?", "get_file"),
        ("DELETE", rf"/v1/files/{_ID}/?", "delete_file"),
        ("GET", rf"/v1/files/{_ID}/content/?", "file_content"),
        ("GET HEAD", r"/api/hello/?", "hello"),
    )
]

FIXED_PATHS = tuple(
    dict.fromkeys(
        pattern.pattern.removesuffix("/?")
        for _, pattern, _ in _ROUTES
        if "(" not in pattern.pattern
    )
)
"""The paths of the endpoints that name nothing."""


def is_endpoint(path: str) -> bool:
    """Return whether any method has an operation at a path."""
    return any(pattern.fullmatch(path) for _, pattern, _ in _ROUTES)


def find_route(method: str, path: str) -> Route | None:
    """Return the operation of a request, with escapes in its id resolved; None where there is none.

    Example:
        >>> find_route("GET", "/v1/models/claude%2Dx")
        Route(operation='get_model', name='claude-x')
    """
    for methods, pattern, operation in _ROUTES:
        found = pattern.fullmatch(path) if method in methods else None
        if found is not None:
            return Route(operation, unquote(found.groupdict().get("name", "")))
    return None

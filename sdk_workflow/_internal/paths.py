"""Paths as callers name them."""

from __future__ import annotations

import os
from pathlib import Path

from sdk_workflow.exceptions import UsageError

__all__ = ["as_path"]


def as_path(value: object) -> Path:
    """Return a path that was given as such or as text.

    Raises:
        UsageError: If it is neither.

    Example:
        >>> as_path("reports/costs.json").name
        'costs.json'
    """
    if isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise UsageError(f"{value!r} is no path.", hint="Give a pathlib.Path or its text.")

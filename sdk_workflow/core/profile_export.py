"""Writes a sampled profile to a file, in the format that the file's suffix names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sdk_workflow._internal.atomic_file import write_atomically
from sdk_workflow.core.flamegraph import to_collapsed, to_html, to_svg
from sdk_workflow.core.flamegraph_difference import (
    difference_to_collapsed,
    difference_to_html,
    difference_to_svg,
)
from sdk_workflow.core.speedscope import sampled_document
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.stacks import StackProfile

__all__ = [
    "DIFFERENCE_SUFFIXES",
    "SUFFIXES",
    "check_suffix",
    "write_difference",
    "write_flamegraph",
]

SUFFIXES = (".html", ".svg", ".collapsed", ".speedscope.json")
DIFFERENCE_SUFFIXES = SUFFIXES[:3]


def check_suffix(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Refuse a file whose suffix names no known format.

    Raises:
        UsageError: If it is none of `suffixes`.
    """
    if not path.name.endswith(suffixes):
        raise UsageError(
            f"The profile cannot be written to {str(path)!r}: its suffix names no known format.",
            hint=f"Let the file's name end in one of {', '.join(suffixes)}.",
        )


def write_flamegraph(profile: StackProfile, path: Path, title: str) -> None:
    """Write the file whole or not at all.

    Args:
        profile: What the sampler saw.
        path: Where to; its suffix is one of `SUFFIXES`.
        title: Heading of the drawing.

    Raises:
        UsageError: If the suffix names no format.
        StorageError: If the file cannot be written.
    """
    check_suffix(path)
    write_atomically(path, _render(profile, path, title))


def write_difference(before: StackProfile, after: StackProfile, path: Path, title: str) -> None:
    """Write the differential flame graph of two profiles, whole or not at all.

    Args:
        before: What the sampler saw first.
        after: What it saw later.
        path: Where to; its suffix is one of `DIFFERENCE_SUFFIXES`.
        title: Heading of the drawing.

    Raises:
        UsageError: If the suffix names no format.
        StorageError: If the file cannot be written.
    """
    check_suffix(path, DIFFERENCE_SUFFIXES)
    write_atomically(path, _render_difference(before, after, path, title))


def _render_difference(before: StackProfile, after: StackProfile, path: Path, title: str) -> str:
    if path.name.endswith(".html"):
        return difference_to_html(before, after, title)
    if path.name.endswith(".svg"):
        return difference_to_svg(before, after, title)
    return difference_to_collapsed(before, after)


def _render(profile: StackProfile, path: Path, title: str) -> str:
    if path.name.endswith(".html"):
        return to_html(profile, title)
    if path.name.endswith(".svg"):
        return to_svg(profile, title)
    if path.name.endswith(".collapsed"):
        return to_collapsed(profile)
    return json.dumps(sampled_document(profile))

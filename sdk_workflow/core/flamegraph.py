"""The flame graph of one profile: as collapsed stacks, as SVG and as one HTML page.

Every output stands alone: no script, style or font is fetched from anywhere.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sdk_workflow.core.flame_tree import FlameBox, build_tree
from sdk_workflow.core.flamegraph_page import render_page
from sdk_workflow.core.flamegraph_svg import render_svg
from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from sdk_workflow.core.flame_tree import FlameNode
    from sdk_workflow.core.stacks import Stack, StackProfile

__all__ = ["collapsed_name", "to_collapsed", "to_html", "to_svg"]


def to_collapsed(profile: StackProfile) -> str:
    """Return one line per stack, as flamegraph.pl reads them; the count is microseconds of CPU."""
    lines = [
        f"{collapsed_name(stack)} {weight.cpu_ns // 1000}\n"
        for stack, weight in profile.stacks.items()
    ]
    return "".join(sorted(lines))


def collapsed_name(stack: Stack) -> str:
    """Return the functions of a stack, joined by semicolons."""
    return ";".join(_one_word(frame.label) for frame in stack)


def to_svg(profile: StackProfile, title: str) -> str:
    """Return a drawing; hovering shows a box's name and share. Boxes below 0.3 px are left out."""
    return render_svg(plain(title), _box(build_tree(profile)))


def to_html(profile: StackProfile, title: str) -> str:
    """Return a page that shows a box's name on hovering, zooms on a click and finds by name."""
    return render_page(plain(title), _box(build_tree(profile)))


def _box(node: FlameNode) -> FlameBox:
    children = [_box(child) for child in node.children.values()]
    return FlameBox(node.label, node.cpu_ns, _colour(node.label), "", children)


def _colour(label: str) -> str:
    """Return a warm colour that is the same for a label in every drawing."""
    byte = hashlib.blake2b(label.encode(), digest_size=1).digest()[0]
    return f"hsl({10 + byte % 45},{70 + byte % 25}%,{62 + byte % 14}%)"


def _one_word(label: str) -> str:
    return label.replace(";", ":").replace("\n", " ").replace("\r", " ")

"""A flame graph as one SVG drawing that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk_workflow.core.flame_tree import FlameBox

__all__ = ["render_svg"]

_WIDTH = 1200
_ROW_HEIGHT = 18
_HEADER_HEIGHT = 28
_MIN_WIDTH = 0.3
_CHARACTER_WIDTH = 6.6


@dataclass(frozen=True, slots=True)
class _Place:
    box: FlameBox
    depth: int
    left: float
    width: float


def render_svg(title: str, tree: FlameBox, footnotes: Sequence[str] = ()) -> str:
    """Return the drawing; hovering shows a box's name and share. Boxes below 0.3 px are left out.

    Args:
        title: Heading of the drawing.
        tree: The root of the graph.
        footnotes: Lines below it.
    """
    places = list(_layout(tree))
    depth = max(place.depth for place in places) + 1
    foot = _HEADER_HEIGHT + depth * _ROW_HEIGHT + 6
    height = foot + len(footnotes) * _ROW_HEIGHT
    drawn = "\n".join(_rectangle(place, tree.cpu_ns) for place in places)
    said = "".join(
        f'<text x="8" y="{foot + row * _ROW_HEIGHT + 12}">{escape(line)}</text>\n'
        for row, line in enumerate(footnotes)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" font-family="monospace" font-size="11">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fffdf8"/>\n'
        f'<text x="8" y="18" font-size="13">{escape(title)}</text>\n'
        f"{drawn}\n{said}</svg>\n"
    )


def _layout(root: FlameBox) -> Iterator[_Place]:
    whole_ns = root.cpu_ns or 1
    pending = [_Place(root, 0, 0.0, float(_WIDTH))]
    while pending:
        place = pending.pop()
        yield place
        left = place.left
        for child in sorted(place.box.children, key=lambda box: box.label):
            width = child.cpu_ns / whole_ns * _WIDTH
            if width >= _MIN_WIDTH:
                pending.append(_Place(child, place.depth + 1, left, width))
            left += width


def _rectangle(place: _Place, whole_ns: int) -> str:
    box = place.box
    top = _HEADER_HEIGHT + place.depth * _ROW_HEIGHT
    share = box.cpu_ns / (whole_ns or 1)
    said = ", ".join(filter(None, (f"{share:.1%}", f"{box.cpu_ns / 1e6:.1f} ms", box.note)))
    room = int((place.width - 6) / _CHARACTER_WIDTH)
    text = escape(box.label[:room]) if room > 2 else ""  # noqa: PLR2004 - less says nothing
    return (
        f"<g><title>{escape(f'{box.label}: {said}')}</title>"
        f'<rect x="{place.left:.2f}" y="{top}" width="{place.width:.2f}" height="{_ROW_HEIGHT - 1}"'
        f' rx="2" fill="{box.colour}"/>'
        f'<text x="{place.left + 3:.2f}" y="{top + 12}">{text}</text></g>'
    )

"""The differential flame graph of two profiles: red grew, blue shrank, pale is noise.

Its widths are those of the second profile (Gregg, "Differential Flame Graphs", 2014), so what the
second one lacks is listed below the drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.flame_tree import FlameBox, build_tree
from sdk_workflow.core.flamegraph import collapsed_name
from sdk_workflow.core.flamegraph_page import render_page
from sdk_workflow.core.flamegraph_svg import render_svg
from sdk_workflow.core.noise_bound import NoiseBound
from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.core.flame_tree import FlameNode
    from sdk_workflow.core.stacks import Stack, StackProfile

__all__ = ["difference_to_collapsed", "difference_to_html", "difference_to_svg"]

_PALE = "hsl(45,25%,90%)"
_RED, _BLUE = 4, 214
_MAX_FOOTNOTES = 20


def difference_to_collapsed(before: StackProfile, after: StackProfile) -> str:
    """Return one line per stack with the microseconds of both profiles, as difffolded.pl does."""
    lines = [
        f"{collapsed_name(stack)} {_microseconds(before, stack)} {_microseconds(after, stack)}\n"
        for stack in {**before.stacks, **after.stacks}
    ]
    return "".join(sorted(lines))


def difference_to_svg(before: StackProfile, after: StackProfile, title: str) -> str:
    """Return a drawing; hovering shows what share a box had before."""
    drawing = _Drawing(before, after)
    return render_svg(plain(title), drawing.tree(), drawing.footnotes())


def difference_to_html(before: StackProfile, after: StackProfile, title: str) -> str:
    """Return a page that shows what share a box had before on hovering, and zooms on a click."""
    drawing = _Drawing(before, after)
    return render_page(plain(title), drawing.tree(), drawing.footnotes())


class _Drawing:
    def __init__(self, before: StackProfile, after: StackProfile) -> None:
        self._before, self._after = build_tree(before), build_tree(after)
        self._whole_before = self._before.cpu_ns or 1
        self._whole_after = self._after.cpu_ns or 1
        pairs = list(_pairs(self._before, self._after))
        self._noise = NoiseBound(before, after, comparisons=len(pairs))
        self._largest = max((abs(self._delta(*pair)) for pair in pairs), default=0.0) or 1.0

    def tree(self) -> FlameBox:
        return self._box(self._before, self._after)

    def footnotes(self) -> list[str]:
        gone = sorted(_vanished(self._before, self._after), key=lambda found: -found[1].cpu_ns)
        lines = [
            f"gone: {' > '.join(path)} ({node.cpu_ns / self._whole_before:.1%} before)"
            for path, node in gone[:_MAX_FOOTNOTES]
        ]
        left_out = len(gone) - _MAX_FOOTNOTES
        return [*lines, f"and {left_out} more"] if left_out > 0 else lines

    def _box(self, before: FlameNode | None, after: FlameNode) -> FlameBox:
        known = before.children if before else {}
        children = [self._box(known.get(name), child) for name, child in after.children.items()]
        share = before.cpu_ns / self._whole_before if before else 0.0
        note = f"{share:.1%} before ({self._delta(before, after):+.1%})" if share else "new"
        return FlameBox(after.label, after.cpu_ns, self._colour(before, after), note, children)

    def _colour(self, before: FlameNode | None, after: FlameNode) -> str:
        share_before, share_after = self._shares(before, after)
        delta = share_after - share_before
        if abs(delta) <= self._noise.of(share_before, share_after):
            return _PALE
        strength = min(abs(delta) / self._largest, 1.0)
        return f"hsl({_RED if delta > 0 else _BLUE},85%,{88 - 33 * strength:.0f}%)"

    def _delta(self, before: FlameNode | None, after: FlameNode) -> float:
        share_before, share_after = self._shares(before, after)
        return share_after - share_before

    def _shares(self, before: FlameNode | None, after: FlameNode) -> tuple[float, float]:
        earlier_ns = before.cpu_ns if before else 0
        return earlier_ns / self._whole_before, after.cpu_ns / self._whole_after


def _microseconds(profile: StackProfile, stack: Stack) -> int:
    weight = profile.stacks.get(stack)
    return weight.cpu_ns // 1000 if weight else 0


def _pairs(
    before: FlameNode | None, after: FlameNode
) -> Iterator[tuple[FlameNode | None, FlameNode]]:
    """Yield every node of the second tree with its like in the first one."""
    yield before, after
    known = before.children if before else {}
    for name, child in after.children.items():
        yield from _pairs(known.get(name), child)


def _vanished(
    before: FlameNode, after: FlameNode, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FlameNode]]:
    """Yield the topmost nodes of the first tree that the second one lacks."""
    for name, child in before.children.items():
        place = (*path, name)
        if name not in after.children:
            yield place, child
        else:
            yield from _vanished(child, after.children[name], place)

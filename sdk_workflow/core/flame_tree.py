"""Sampled stacks as a tree, and what a drawing needs to know of each of its boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow.core.plain_values import plain

if TYPE_CHECKING:
    from sdk_workflow.core.stacks import StackProfile

__all__ = ["FlameBox", "FlameNode", "build_tree"]


@dataclass(slots=True)
class FlameNode:
    """One function below the same callers: the CPU time found in it and in what it called."""

    label: str
    cpu_ns: int = 0
    children: dict[str, FlameNode] = field(default_factory=dict)


class FlameBox(NamedTuple):
    """One box of a drawing; its width is its share of the root's `cpu_ns`.

    `note` is said of it besides its share of the CPU time.
    """

    label: str
    cpu_ns: int
    colour: str
    note: str
    children: list[FlameBox]


def build_tree(profile: StackProfile) -> FlameNode:
    """Return the tree of all stacks below one root."""
    root = FlameNode("all threads")
    for stack, weight in profile.stacks.items():
        node = root
        node.cpu_ns += weight.cpu_ns
        for frame in stack:
            label = plain(frame.label)
            node = node.children.setdefault(label, FlameNode(label))
            node.cpu_ns += weight.cpu_ns
    return root

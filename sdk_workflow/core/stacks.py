"""What a sampling profile is made of: frames, stacks, and the CPU time found in each stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Frame", "Stack", "StackProfile", "StackWeight"]


class Frame(NamedTuple):
    """One function: its qualified name, its file, and the line of its `def`.

    A frame without a file is the root of a thread or task, and `function` tells which.
    """

    function: str
    file: str
    line: int

    @property
    def is_root(self) -> bool:
        """Whether this is the root of a thread or task."""
        return not self.file

    @property
    def label(self) -> str:
        """The function, and the last two parts of its path."""
        if self.is_root:
            return self.function
        tail = "/".join(self.file.replace("\\", "/").rsplit("/", 2)[-2:])
        return f"{self.function} ({tail}:{self.line})"


Stack = tuple[Frame, ...]
"""Who called whom, outermost first."""


class StackWeight(NamedTuple):
    """How often a stack was seen, and the CPU time that it stands for."""

    samples: int
    cpu_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackProfile:
    """Everything that one run of the sampler saw.

    `idle_samples` found no thread at work; the CPU time that passed before one of them is
    `unattributed_ns`. `effective_samples` is what `samples` are worth where they carry unequal
    weights: (sum of weights)^2 / sum of squared weights (Kish, Survey Sampling, 1965).
    """

    stacks: Mapping[Stack, StackWeight] = field(default_factory=dict)
    idle_samples: int = 0
    unattributed_ns: int = 0
    effective_samples: float = 0.0

    @property
    def samples(self) -> int:
        """How many stacks were seen at work."""
        return sum(weight.samples for weight in self.stacks.values())

    @property
    def cpu_ns(self) -> int:
        """The CPU time found in all stacks, in nanoseconds."""
        return sum(weight.cpu_ns for weight in self.stacks.values())

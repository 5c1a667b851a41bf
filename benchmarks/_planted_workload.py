"""Twelve functions whose share of the CPU time is known: half tight loops, half many tiny calls."""

from __future__ import annotations

import random
from collections import Counter
from time import process_time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NAMES", "run"]

NAMES = tuple(f"planted_{number:02}" for number in range(12))

# Every function gets 1.35 times the work of the one before it: 1 % to 27 % of the time.
_GROWTH = 1.35
_SMALLEST_PASSES = 6
_LOOP_STEPS, _CALLS = 220, 110


def run(cycles: int, *, doubled: str | None = None, seed: int = 7) -> dict[str, float]:
    """Let every function work once in each cycle, and return its share of the CPU time (0..1).

    The functions take turns in random order, a fraction of a millisecond to a few milliseconds
    each, and each turn is timed by the CPU clock: two readings of 0.3 us.

    Args:
        cycles: About 10 ms of CPU time each.
        doubled: The function that does twice its work.
        seed: Of the order.
    """
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    spent_ns: Counter[str] = Counter()
    turns = [(name, _FUNCTIONS[name], _passes(name, doubled)) for name in NAMES]
    for _ in range(cycles):
        order.shuffle(turns)
        for name, function, passes in turns:
            started_ns = process_time_ns()
            function(passes)
            spent_ns[name] += process_time_ns() - started_ns
    whole_ns = sum(spent_ns.values())
    return {name: spent_ns[name] / whole_ns for name in NAMES}


def _passes(name: str, doubled: str | None) -> int:
    passes = round(_SMALLEST_PASSES * _GROWTH ** NAMES.index(name))
    return passes * 2 if name == doubled else passes


_LOOP_SOURCE = """
def {name}(passes):
    total = 0
    for _ in range(passes):
        for step in range({steps}):
            total += step ^ passes
    return total
"""
_CALLS_SOURCE = """
def {name}(passes):
    total = 0
    for _ in range(passes):
        for step in range({calls}):
            total += {name}_tiny(step)
    return total

def {name}_tiny(step):
    return step ^ 1
"""


def _planted() -> dict[str, Callable[[int], int]]:
    space: dict[str, Callable[[int], int]] = {}
    for number, name in enumerate(NAMES):
        source = _CALLS_SOURCE if number % 2 else _LOOP_SOURCE
        text = source.format(name=name, steps=_LOOP_STEPS, calls=_CALLS)
        exec(compile(text, f"{name}.py", "exec"), space)  # noqa: S102 - our own text
    return space


_FUNCTIONS = _planted()

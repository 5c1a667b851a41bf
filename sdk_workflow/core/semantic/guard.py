"""Says whether two texts that lie close together still want different answers, and by which rule.

An embedding sees that two texts are about the same; it does not see a "not", another number, or who
does what to whom. The guard looks only for that: it never says that two texts are the same.
"""

from __future__ import annotations

from sdk_workflow.core.semantic.pairs import Pair
from sdk_workflow.core.semantic.prepared import PreparedText, prepare
from sdk_workflow.core.semantic.vetoes import RULES

__all__ = ["VETO_NAMES", "PreparedText", "find_veto", "measure_overlap", "prepare"]

VETO_NAMES = tuple(name for name, _ in RULES)
"""Every name that `find_veto` can return."""


def find_veto(a: PreparedText, b: PreparedText) -> str | None:
    """Return the name of the first rule that keeps two texts from sharing an answer, or None.

    The order of the two texts does not matter, and a text never vetoes itself.

    Example:
        >>> find_veto(prepare("Is it safe to eat raw eggs?"), prepare("Is it safe to eat raw fish?"))
        'wording'
        >>> find_veto(prepare("How do I boil an egg?"), prepare("how can you boil eggs"))
    """
    if a.spoken == b.spoken and _are_written_alike(a, b):
        return None
    pair = Pair(a, b) if a.spoken < b.spoken else Pair(b, a)
    for name, is_broken in RULES:
        if is_broken(pair):
            return name
    return None


def _are_written_alike(a: PreparedText, b: PreparedText) -> bool:
    return a.numbers == b.numbers and a.identifiers == b.identifiers and a.exact == b.exact


def measure_overlap(a: PreparedText, b: PreparedText) -> float:
    """Return which part of the concepts of two texts both have, 0 to 1 (the Jaccard index).

    Example:
        >>> measure_overlap(prepare("green tea leaves"), prepare("green leaves"))
        0.6666666666666666
    """
    ours, theirs = set(a.concepts), set(b.concepts)
    union = len(ours | theirs)
    return len(ours & theirs) / union if union else 0.0

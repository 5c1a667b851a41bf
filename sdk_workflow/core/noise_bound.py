"""How far two profiles may differ by chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.core.stacks import StackProfile

__all__ = ["NoiseBound"]

_ERROR_RATE = 0.05


class NoiseBound:
    """How far two shares of two profiles may lie apart by chance.

    The bound is that of two binomial shares, z * sqrt(p1(1-p1)/n1 + p2(1-p2)/n2), with z for an
    error rate of 5 % divided by the number of shares compared (Bonferroni): where nothing has
    changed, 19 of 20 comparisons show no row at all.

    Args:
        before: The first profile.
        after: The second one.
        comparisons: How many shares are compared.
    """

    def __init__(self, before: StackProfile, after: StackProfile, *, comparisons: int) -> None:
        from statistics import NormalDist

        self._sizes = before.effective_samples, after.effective_samples
        self._z = NormalDist().inv_cdf(1 - _ERROR_RATE / 2 / max(comparisons, 1))

    def of(self, share_before: float, share_after: float) -> float:
        """Return the largest difference that noise explains; infinite where a profile saw nothing."""
        if not all(self._sizes):
            return math.inf
        shares = share_before, share_after
        variances = (p * (1 - p) / n for p, n in zip(shares, self._sizes, strict=True))
        return self._z * math.sqrt(sum(variances))

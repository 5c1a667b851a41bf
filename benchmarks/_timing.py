"""Measuring side by side, as `sdk_workflow.benchmarking` does it; the name under which programs use it."""

from __future__ import annotations

from sdk_workflow.benchmarking.timing import (
    Series,
    Times,
    interleave,
    interleave_async,
    percentile,
    ratio_of,
)

__all__ = ["Series", "Times", "interleave", "interleave_async", "percentile", "ratio_of"]

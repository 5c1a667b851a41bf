"""Logistic regression with a penalty on large weights, fitted by Newton's method in plain Python."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["fit_weights", "predict"]

_MAX_STEPS = 25
_TOLERANCE = 1e-8
_PENALTY = 1.0
"""Weight of half the sum of squares, as of a standard normal belief about each weight."""


def predict(weights: Sequence[float], features: Sequence[float]) -> float:
    """Return the probability of True; `weights` opens with the constant term."""
    score = weights[0] + sum(
        weight * value for weight, value in zip(weights[1:], features, strict=True)
    )
    return _sigmoid(score)


def fit_weights(samples: Sequence[tuple[Sequence[float], bool]]) -> list[float]:
    """Return the constant term and the weights under which the labels are likeliest.

    Newton's method on the penalised log likelihood, which is concave: C. Bishop, Pattern
    Recognition and Machine Learning, 4.3.3. A step that does not improve it is halved.

    Args:
        samples: Features and label of each; at least one.
    """
    rows = [((1.0, *features), float(label)) for features, label in samples]
    weights = [0.0] * len(rows[0][0])
    loss = _loss(weights, rows)
    for _ in range(_MAX_STEPS):
        step = _newton_step(weights, rows)
        weights, improved = _descend(weights, step, loss, rows)
        if loss - improved < _TOLERANCE:
            break
        loss = improved
    return weights


def _sigmoid(score: float) -> float:
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    power = math.exp(score)
    return power / (1 + power)


def _score(weights: Sequence[float], row: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, row, strict=True))


def _loss(weights: Sequence[float], rows: Sequence[tuple[Sequence[float], float]]) -> float:
    fit = 0.0
    for row, label in rows:
        score = _score(weights, row)
        fit += max(score, 0.0) + math.log1p(math.exp(-abs(score))) - label * score
    return fit + _PENALTY / 2 * sum(weight * weight for weight in weights[1:])


def _newton_step(
    weights: Sequence[float], rows: Sequence[tuple[Sequence[float], float]]
) -> list[float]:
    size = len(weights)
    penalties = [1e-6] + [_PENALTY] * (size - 1)
    gradient = [penalty * weight for penalty, weight in zip(penalties, weights, strict=True)]
    curvature = [[0.0] * size for _ in range(size)]
    for row, label in rows:
        chance = _sigmoid(_score(weights, row))
        spread = chance * (1 - chance)
        for i, value in enumerate(row):
            gradient[i] += (chance - label) * value
            line, factor = curvature[i], spread * value
            for j in range(i + 1):
                line[j] += factor * row[j]
    for i, penalty in enumerate(penalties):
        curvature[i][i] += penalty
    return _solve(curvature, gradient)


def _descend(
    weights: Sequence[float],
    step: Sequence[float],
    loss: float,
    rows: Sequence[tuple[Sequence[float], float]],
) -> tuple[list[float], float]:
    share = 1.0
    while share > _TOLERANCE:
        moved = [weight - share * part for weight, part in zip(weights, step, strict=True)]
        improved = _loss(moved, rows)
        if improved <= loss:
            return moved, improved
        share /= 2
    return list(weights), loss


def _solve(lower: list[list[float]], right: list[float]) -> list[float]:
    """Solve a symmetric positive definite system, given by its lower half, by Cholesky."""
    size = len(right)
    root = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = lower[i][j] - sum(root[i][k] * root[j][k] for k in range(j))
            root[i][j] = math.sqrt(rest) if i == j else rest / root[j][j]
    half = [0.0] * size
    for i in range(size):
        half[i] = (right[i] - sum(root[i][k] * half[k] for k in range(i))) / root[i][i]
    result = [0.0] * size
    for i in reversed(range(size)):
        known = sum(root[k][i] * result[k] for k in range(i + 1, size))
        result[i] = (half[i] - known) / root[i][i]
    return result

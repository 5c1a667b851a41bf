"""The nearest of a handful of vectors, without a matrix.

Most scopes hold one or two texts, because the history of a conversation is part of the scope. A
matrix for each would take over 100 KB; this takes the 1.5 KB of the vector itself.
"""

from __future__ import annotations

import math
from array import array
from operator import mul
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import ItemsView

__all__ = ["FewVectors"]

_FLOAT32_BYTES = 4


class FewVectors:
    """Vectors by id, compared one by one: 20 us each at 384 numbers, so only for a few.

    Has the methods of `embedding.index.VectorIndex`, which takes over when there are more.

    Example:
        >>> few = FewVectors()
        >>> few.add("east", array("f", [1.0, 0.0]).tobytes())
        >>> few.search(array("f", [0.5, 0.5]).tobytes(), 1)
        [('east', 0.5)]
    """

    __slots__ = ("_vectors",)

    def __init__(self) -> None:
        self._vectors: dict[str, array[float]] = {}

    def __len__(self) -> int:
        """Return the count of vectors."""
        return len(self._vectors)

    def items(self) -> ItemsView[str, array[float]]:
        """Return every id with its vector."""
        return self._vectors.items()

    def add(self, row_id: str, vector: bytes) -> None:
        """Add a vector, or replace the one of that id.

        Raises:
            UsageError: If it has another length than the others, or a number that is not finite.
        """
        self._vectors[row_id] = self._checked(vector)

    def remove(self, row_id: str) -> None:
        """Forget a vector."""
        del self._vectors[row_id]

    def search(self, vector: bytes, k: int) -> list[tuple[str, float]]:
        """Return the ids of the `k` nearest vectors with their dot products, nearest first.

        Raises:
            UsageError: If the vector has another length, or a number that is not finite.
        """
        asked = self._checked(vector).tolist()
        scores = [(row_id, sum(map(mul, asked, known))) for row_id, known in self._vectors.items()]
        return sorted(scores, key=lambda score: -score[1])[: max(k, 0)]

    def _checked(self, vector: bytes) -> array[float]:
        length = len(next(iter(self._vectors.values()), ()))
        is_whole = len(vector) % _FLOAT32_BYTES == 0
        if not is_whole or length not in {0, len(vector) // _FLOAT32_BYTES}:
            raise UsageError(
                f"The vector is {len(vector)!r} bytes; this scope's have {length!r} float32 numbers."
            )
        values = array("f", vector)
        if not math.isfinite(sum(values)):
            raise UsageError("The vector holds a number that is not finite.")
        return values

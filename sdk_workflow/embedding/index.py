"""The nearest of many vectors: exact on one matrix, and through usearch where there are very many.

Has no lock: whoever shares an index between threads locks around each call, so that a search and
the row that it names belong together.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["RowId", "VectorIndex"]

RowId: TypeAlias = int | str

_FIRST_PIECES = 4
_MAX_PIECE = 9_215
"""Numbers in a product of a matrix and a vector that OpenBLAS computes in the calling thread alone.

With a second thread 10,000 rows take 95 us instead of 185 while the other core is idle, and 8 ms
while it is not: a caller in a hurry is better off without.
"""
_MAX_PIECE_ROWS = 64
_FLOAT32_BYTES = 4
_MIN_CANDIDATES = 32
_CATCH_UP_ROWS = 16
"""Old rows that go into a new graph with each vector added: about 3 ms, not 4 s at once."""


class VectorIndex:
    """Vectors by id, and which of them are nearest to another one by their dot product.

    With vectors of norm 1, as an `Embedder` gives them, that is their cosine. All lie in one
    float32 matrix that doubles when full. Up to `usearch_above` rows it is searched whole; above,
    usearch (if installed) names candidates by 8-bit vectors, and the matrix decides between them.

    Args:
        dimension: Numbers in each vector.
        usearch_above: Rows from which a graph pays. At 20,000 of 384 numbers one search of the
            matrix takes 0.9 ms, a seventh of an encode.

    Raises:
        UsageError: If `dimension` is not positive.

    Example:
        >>> from array import array
        >>> index = VectorIndex(2)
        >>> index.add("east", array("f", [1.0, 0.0]))
        >>> index.add("north", array("f", [0.0, 1.0]))
        >>> [(row_id, round(cosine, 1)) for row_id, cosine in index.search(array("f", [0.6, 0.8]), 2)]
        [('north', 0.8), ('east', 0.6)]
    """

    def __init__(self, dimension: int, *, usearch_above: int = 20_000) -> None:
        if dimension < 1:
            raise UsageError(f"A vector cannot have {dimension!r} numbers.")
        self._dimension = dimension
        self._usearch_above = usearch_above
        self._piece_rows = max(1, min(_MAX_PIECE // dimension, _MAX_PIECE_ROWS) // 4 * 4)
        self._matrix = self._new_matrix(_FIRST_PIECES * self._piece_rows)
        self._ids: list[RowId] = []
        self._rows: dict[RowId, int] = {}
        self._graph: _Graph | None = None
        self._has_usearch = True  # until it is found missing

    def __len__(self) -> int:
        """Return the count of vectors."""
        return len(self._ids)

    def __contains__(self, row_id: object) -> bool:
        """Return whether a vector of that id is held."""
        return row_id in self._rows

    def add(self, row_id: RowId, vector: Buffer) -> None:
        """Add a vector, or replace the one of that id.

        Raises:
            UsageError: If it has another length, or a number that is not finite.
        """
        values = self._checked(vector)
        if row_id in self._rows:
            self.remove(row_id)
        if len(self._ids) == len(self._matrix):
            grown = self._new_matrix(2 * len(self._matrix))
            grown[: len(self._matrix)] = self._matrix
            self._matrix = grown
        self._rows[row_id] = len(self._ids)
        self._matrix[len(self._ids)] = values
        self._ids.append(row_id)
        self._feed_graph()

    def remove(self, row_id: RowId) -> None:
        """Forget a vector; the last row takes its place.

        Raises:
            KeyError: If there is none of that id.
        """
        row = self._rows.pop(row_id)
        last_id = self._ids.pop()
        if last_id != row_id:
            self._matrix[row] = self._matrix[len(self._ids)]
            self._ids[row] = last_id
            self._rows[last_id] = row
        if self._graph is not None:
            self._graph.remove(row_id)
            if len(self._ids) <= self._usearch_above // 2:
                self._graph = None

    def search(self, vector: Buffer, k: int = 1) -> list[tuple[RowId, float]]:
        """Return the ids of the `k` nearest vectors with their dot products, nearest first.

        Raises:
            UsageError: If the vector has another length, or a number that is not finite.
        """
        values = self._checked(vector)
        count = len(self._ids)
        if count == 0 or k < 1:
            return []
        if self._graph is not None and len(self._graph) == count:
            return self._search_graph(self._graph, values, k)
        scores = self._scores(values)
        if k == 1:
            best = int(scores.argmax())
            return [(self._ids[best], float(scores[best]))]
        return self._best_of(scores, range(count), k)

    def _new_matrix(self, capacity: int) -> NDArray[np.float32]:
        # Zeros: rows past the end are multiplied too.
        return np.zeros((capacity, self._dimension), dtype=np.float32)

    def _scores(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the dot product of each row, computed in pieces."""
        rows, count = self._piece_rows, len(self._ids)
        pieces = -(-count // rows)
        used = self._matrix[: pieces * rows].reshape(pieces, rows, self._dimension)
        scores: NDArray[np.float32] = np.matmul(used, values).reshape(-1)[:count]
        return scores

    def _search_graph(
        self, graph: _Graph, values: NDArray[np.float32], k: int
    ) -> list[tuple[RowId, float]]:
        found = graph.nearest(values, max(4 * k, _MIN_CANDIDATES))
        rows = [self._rows[row_id] for row_id in found]
        return self._best_of(self._matrix[rows] @ values, rows, k)

    def _best_of(
        self, scores: NDArray[np.float32], rows: list[int] | range, k: int
    ) -> list[tuple[RowId, float]]:
        chosen = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
        ordered = chosen[np.argsort(-scores[chosen], kind="stable")]
        return [(self._ids[rows[place]], float(scores[place])) for place in ordered.tolist()]

    def _feed_graph(self) -> None:
        """Above the bound, bring the graph a few rows nearer to holding all of them."""
        if self._graph is None:
            if len(self._ids) <= self._usearch_above or not self._has_usearch:
                return
            self._graph = _new_graph(self._dimension, self._ids)
            self._has_usearch = self._graph is not None
            if self._graph is None:
                return
        else:
            self._graph.expect(self._ids[-1])
        for row_id in self._graph.missing(_CATCH_UP_ROWS):
            row = self._rows.get(row_id)
            if row is not None:
                self._graph.add(row_id, self._matrix[row])

    def _checked(self, vector: Buffer) -> NDArray[np.float32]:
        content = memoryview(vector)
        if content.nbytes != self._dimension * _FLOAT32_BYTES or not content.c_contiguous:
            raise UsageError(
                f"The vector is {content.nbytes!r} bytes of the form {content.format!r}; this index "
                f"holds vectors of {self._dimension!r} float32 numbers, each in one piece.",
                hint="Give each embedder an index of its own.",
            )
        values: NDArray[np.float32] = np.frombuffer(content, dtype=np.float32)
        # A dot product is not finite if any number is not, and costs a tenth of looking at each.
        if not math.isfinite(np.dot(values, values)):
            raise UsageError("The vector holds a number that is not finite.")
        return values


class _Graph:
    """A usearch index of 8-bit vectors, under ids of any kind, that is filled bit by bit.

    Args:
        index: A `usearch.index.Index`.
        ids: The rows that it should come to hold.
    """

    def __init__(self, index: Any, ids: Iterable[RowId]) -> None:
        self._index = index
        self._backlog = list(ids)
        self._keys: dict[RowId, int] = {}
        self._ids: dict[int, RowId] = {}
        self._next_key = 0

    def __len__(self) -> int:
        return len(self._keys)

    def expect(self, row_id: RowId) -> None:
        """Note a row that should come in."""
        self._backlog.append(row_id)

    def missing(self, limit: int) -> list[RowId]:
        """Take up to `limit` rows that should come in; some may be gone or in by now."""
        taken = [self._backlog.pop() for _ in range(min(limit, len(self._backlog)))]
        return [row_id for row_id in dict.fromkeys(taken) if row_id not in self._keys]

    def add(self, row_id: RowId, values: NDArray[np.float32]) -> None:
        key, self._next_key = self._next_key, self._next_key + 1
        self._index.add(key, values)
        self._keys[row_id], self._ids[key] = key, row_id

    def remove(self, row_id: RowId) -> None:
        key = self._keys.pop(row_id, None)
        if key is not None:
            del self._ids[key]
            self._index.remove(key)

    def nearest(self, values: NDArray[np.float32], count: int) -> list[RowId]:
        """Return up to `count` ids, most of them the nearest ones."""
        keys = self._index.search(values, count).keys
        return [self._ids[int(key)] for key in keys if int(key) in self._ids]


def _new_graph(dimension: int, ids: Iterable[RowId]) -> _Graph | None:
    try:
        usearch = importlib.import_module("usearch.index")
    except ImportError:
        return None
    return _Graph(usearch.Index(ndim=dimension, metric="cos", dtype="i8"), ids)

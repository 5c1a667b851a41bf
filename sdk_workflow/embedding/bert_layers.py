"""The arithmetic of a BERT encoder on numpy, for one text at a time, all in float32.

Knows weights by their published names and nothing of files, texts or tokens. Every matrix product
is cut into pieces so small that BLAS does not start threads for them: see `Dense`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdk_workflow.embedding.model_folder import ModelFolder

__all__ = ["BertLayer", "Dense", "LayerNorm", "gelu", "padded_rows", "tensor_shapes"]

Floats: TypeAlias = "NDArray[np.float32]"
Weights: TypeAlias = "dict[str, NDArray[np.float32]]"

ROWS_PER_TILE = 16
_ROW_STEP = 4
"""Rows come in fours: OpenBLAS takes 6.1 ms for the products of 15 tokens and 4.8 ms for 16."""

_MAX_PRODUCT = 262_144
"""OpenBLAS computes products of up to this many multiplications in the calling thread alone."""

# Abramowitz and Stegun 7.1.26: erf(z) = 1 - (a1 t + ... + a5 t^5) exp(-z^2), t = 1 / (1 + p z),
# with an error below 1.5e-7. The factor of 0.5 of gelu and of 1/sqrt(2) in z are worked in.
_ERF_P = np.float32(0.3275911 / math.sqrt(2.0))
_ERF_LEADING = np.float32(0.5 * 1.061405429)
_ERF_OTHERS = [np.float32(0.5 * a) for a in (-1.453152027, 1.421413741, -0.284496736, 0.254829592)]
_HALF = np.float32(-0.5)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


def tensor_shapes(folder: ModelFolder) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the tensors that the encoder needs."""
    hidden, inner = folder.hidden, folder.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (folder.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (folder.positions, hidden),
        "embeddings.token_type_embeddings.weight": (folder.token_types, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for number in range(folder.layers):
        at = f"encoder.layer.{number}."
        for name, outputs, inputs in (
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ):
            shapes |= {f"{at}{name}.weight": (outputs, inputs), f"{at}{name}.bias": (outputs,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}{name}.weight": (hidden,), f"{at}{name}.bias": (hidden,)}
    return shapes


def padded_rows(count: int) -> tuple[int, int]:
    """Return in how many tiles of how many rows a text of `count` tokens is computed.

    Example:
        >>> padded_rows(15), padded_rows(33)
        ((1, 16), (3, 12))
    """
    tiles = -(-count // ROWS_PER_TILE)
    rows = -(-count // tiles)
    return tiles, -(-rows // _ROW_STEP) * _ROW_STEP


class Dense:
    """`x @ weight.T + bias`, computed in pieces.

    BLAS would spread one large product over all cores. Beside a busy program that makes an encode
    slower and dearer (two threads on two busy cores: 78 ms instead of 15), and the only switch
    is one for the whole process. Pieces below the library's own bound stay in the calling thread;
    for a question of 15 tokens they cost 7 % more than one large product on one thread, for a text
    of 128 tokens 30 %.

    Args:
        weight: Outputs x inputs, as published.
        bias: One number per output.
    """

    def __init__(self, weight: Floats, bias: Floats) -> None:
        outputs, inputs = weight.shape
        width = _largest_divisor(outputs, at_most=32)
        depth = _largest_divisor(inputs, at_most=_MAX_PRODUCT // (ROWS_PER_TILE * width))
        blocks = weight.reshape(outputs // width, width, inputs // depth, depth)
        # (columns, depths, 1, depth, width): the 1 meets the tiles of the rows.
        self._blocks = np.ascontiguousarray(blocks.transpose(0, 2, 3, 1))[:, :, None]
        self._bias = bias

    def __call__(self, x: Floats, tiles: int) -> Floats:
        """Return the product for rows that come in `tiles` of equal size."""
        columns, depths, _, depth, width = self._blocks.shape
        rows = x.shape[0] // tiles
        pieces = x.reshape(tiles, rows, depths, depth).transpose(2, 0, 1, 3)
        out = np.empty((tiles, rows, columns, width), dtype=np.float32)
        by_column = out.transpose(2, 0, 1, 3)
        if depths == 1:
            np.matmul(pieces[0], self._blocks[:, 0], out=by_column)
        else:
            np.add.reduce(np.matmul(pieces, self._blocks), axis=1, out=by_column)
        result: Floats = out.reshape(x.shape[0], columns * width)
        result += self._bias
        return result


class LayerNorm:
    """Shifts and scales each row to mean 0 and variance 1, then by learned numbers.

    Args:
        weights: Tensors by name; this one's are taken out.
        name: The name of this one.
        epsilon: What is added to the variance.
    """

    def __init__(self, weights: Weights, name: str, epsilon: float) -> None:
        self._weight = weights.pop(f"{name}.weight")
        self._bias = weights.pop(f"{name}.bias")
        self._epsilon = np.float32(epsilon)
        self._share = np.float32(1.0 / self._weight.shape[0])

    def __call__(self, x: Floats) -> Floats:
        """Normalise the rows in place and return them."""
        mean = np.add.reduce(x, axis=1, keepdims=True)
        mean *= self._share
        x -= mean
        scale = np.einsum("ij,ij->i", x, x)[:, None]
        scale *= self._share
        scale += self._epsilon
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        x *= scale
        x *= self._weight
        x += self._bias
        return x


class BertLayer:
    """One transformer layer: attention, then a feed-forward part, each added to what came in.

    Args:
        weights: Tensors by name; this layer's are taken out, so that they are freed one by one.
        number: Which layer.
        folder: The sizes of the model.
    """

    def __init__(self, weights: Weights, number: int, folder: ModelFolder) -> None:
        at = f"encoder.layer.{number}."
        self._heads, self._head_width = folder.heads, folder.hidden // folder.heads
        self._attention_in = _fused_attention(weights, f"{at}attention.self.", self._head_width)
        self._attention_out = _dense(weights, f"{at}attention.output.dense")
        self._attention_norm = LayerNorm(weights, f"{at}attention.output.LayerNorm", folder.epsilon)
        self._inner = _dense(weights, f"{at}intermediate.dense")
        self._outer = _dense(weights, f"{at}output.dense")
        self._norm = LayerNorm(weights, f"{at}output.LayerNorm", folder.epsilon)

    def __call__(self, x: Floats, tiles: int, count: int) -> Floats:
        """Return the next vectors of the tokens.

        Args:
            x: One row per token, then rows that only fill the last tile.
            tiles: In how many tiles the rows come.
            count: How many rows are tokens; only these are attended to.
        """
        attended = self._attention_out(self._attend(x, tiles, count), tiles)
        attended += x
        self._attention_norm(attended)
        inner = self._inner(attended, tiles)
        for start in range(0, len(inner), ROWS_PER_TILE):  # a tile at a time stays in the cache
            gelu(inner[start : start + ROWS_PER_TILE])
        result = self._outer(inner, tiles)
        result += attended
        return self._norm(result)

    def _attend(self, x: Floats, tiles: int, count: int) -> Floats:
        heads, width = self._heads, self._head_width
        fused = self._attention_in(x, tiles).reshape(len(x), 3, heads, width)
        queries = fused[:, 0].reshape(tiles, -1, heads, width).transpose(2, 0, 1, 3)
        keys = fused[:count, 1].transpose(1, 2, 0)[:, None]
        values = fused[:count, 2].transpose(1, 0, 2)[:, None]
        scores = np.matmul(queries, keys)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, axis=-1, keepdims=True)
        out = np.empty((tiles, len(x) // tiles, heads, width), dtype=np.float32)
        np.matmul(scores, values, out=out.transpose(2, 0, 1, 3))
        return out.reshape(len(x), heads * width)


def gelu(x: Floats) -> None:
    """Apply the exact form of gelu in place: x (1 + erf(x / sqrt 2)) / 2, to within 1e-7 |x|.

    It is computed as max(x, 0) - |x| tail(|x|), where tail is half of 1 - erf.
    """
    size = np.abs(x)
    t = size * _ERF_P
    t += _ONE
    np.reciprocal(t, out=t)
    tail = t * _ERF_LEADING
    for coefficient in _ERF_OTHERS:
        tail += coefficient
        tail *= t
    tail *= size
    np.multiply(x, x, out=size)
    size *= _HALF
    tail *= np.exp(size, out=size)
    np.maximum(x, _ZERO, out=x)
    x -= tail


def _dense(weights: Weights, name: str) -> Dense:
    return Dense(weights.pop(f"{name}.weight"), weights.pop(f"{name}.bias"))


def _fused_attention(weights: Weights, at: str, head_width: int) -> Dense:
    """Return queries, keys and values as one product; the scale of the scores is in the queries."""
    scale = np.float32(1.0 / math.sqrt(head_width))
    names = ("query", "key", "value")
    matrices = [weights.pop(f"{at}{name}.weight") for name in names]
    biases = [weights.pop(f"{at}{name}.bias") for name in names]
    matrices[0] *= scale
    biases[0] *= scale
    return Dense(np.concatenate(matrices), np.concatenate(biases))


def _largest_divisor(number: int, *, at_most: int) -> int:
    return next(size for size in range(min(number, at_most), 0, -1) if number % size == 0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.embedding import bert_layers
from sdk_workflow.embedding.bert_layers import Dense, LayerNorm, gelu, padded_rows
from tests.embedding.model_folders import exact_gelu


def test_gelu_is_the_exact_form_to_within_a_ten_millionth() -> None:
    x = np.linspace(-12.0, 12.0, 100_001, dtype=np.float32)
    found = x.copy()
    gelu(found)
    error = np.abs(found - exact_gelu(x.astype(np.float64)))
    # The approximation of erf is good to 1.5e-7; the rest is the rounding of float32.
    assert (error <= 1e-7 * np.abs(x) + 1e-7).all()


def test_gelu_keeps_large_numbers_and_drops_large_negative_ones() -> None:
    x = np.array([1e30, -1e30, 0.0], dtype=np.float32)
    with np.errstate(over="ignore"):
        gelu(x)
    assert x.tolist() == [np.float32(1e30), 0.0, 0.0]


@given(
    outputs=st.sampled_from([1, 7, 24, 64, 96]),
    inputs=st.sampled_from([1, 5, 48, 384, 1536, 2048]),
    tiles=st.integers(1, 4),
    rows=st.integers(1, 16),
)
def test_pieces_of_a_product_add_up_to_the_product(
    outputs: int, inputs: int, tiles: int, rows: int
) -> None:
    random = np.random.default_rng(outputs * inputs)
    weight = random.standard_normal((outputs, inputs), dtype=np.float32)
    bias = random.standard_normal(outputs, dtype=np.float32)
    x = random.standard_normal((tiles * rows, inputs), dtype=np.float32)
    expected = x.astype(np.float64) @ weight.astype(np.float64).T + bias
    found = Dense(weight, bias)(x, tiles)
    assert found.shape == expected.shape
    assert np.allclose(found, expected, atol=2e-6 * inputs)


@pytest.mark.parametrize("sizes", [(1152, 384), (384, 1536), (3072, 768), (1024, 4096)])
def test_no_piece_is_large_enough_for_blas_to_start_threads(sizes: tuple[int, int]) -> None:
    dense = Dense(np.ones(sizes, dtype=np.float32), np.ones(sizes[0], dtype=np.float32))
    depth, width = dense._blocks.shape[-2:]
    assert bert_layers.ROWS_PER_TILE * depth * width <= 262_144
    assert bert_layers.ROWS_PER_TILE * depth * width > 100_000


@given(st.integers(1, 512))
def test_tiles_hold_every_row_and_waste_few(count: int) -> None:
    tiles, rows = padded_rows(count)
    assert rows <= bert_layers.ROWS_PER_TILE
    assert rows % 4 == 0
    assert 0 <= tiles * rows - count < 4 * tiles


def test_layer_norm_gives_each_row_mean_0_and_variance_1_then_its_own_scale() -> None:
    weights = {
        "n.weight": np.array([1.0, 1.0, 2.0, 1.0], dtype=np.float32),
        "n.bias": np.array([0.0, 0.0, 0.0, 5.0], dtype=np.float32),
    }
    norm = LayerNorm(weights, "n", 1e-12)
    assert weights == {}
    found = norm(np.array([[1.0, 3.0, 1.0, 3.0]], dtype=np.float32))
    assert found.tolist() == [pytest.approx([-1.0, 1.0, -2.0, 6.0])]

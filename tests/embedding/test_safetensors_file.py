from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk_workflow.embedding.safetensors_file import read_float32_tensors
from sdk_workflow.exceptions import ConfigError
from tests.embedding.model_folders import raw_safetensors, safetensors_of

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = safetensors_of(
    {
        "a.weight": np.arange(6, dtype="<f4").reshape(2, 3),
        "ids": np.arange(300_000, dtype="<i8"),
        "b": np.array([7.0], dtype="<f4"),
    }
)
SHAPES: dict[str, tuple[int, ...]] = {"a.weight": (2, 3), "b": (1,)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def entry(start: Any, stop: Any, *, shape: Any = (1,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_named_tensors_come_back_with_the_digest_of_the_whole_file(path: Path) -> None:
    path.write_bytes(WHOLE)
    tensors, digest = read_float32_tensors(path, SHAPES)
    assert digest == hashlib.sha256(WHOLE).hexdigest()
    assert set(tensors) == set(SHAPES)
    assert tensors["a.weight"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert tensors["b"].tolist() == [7.0]
    assert tensors["b"].dtype == np.float32


def test_a_leading_name_of_the_architecture_is_ignored(path: Path) -> None:
    path.write_bytes(safetensors_of({"b": np.array([7.0], dtype="<f4")}, prefix="bert."))
    tensors, _ = read_float32_tensors(path, {"b": (1,)})
    assert tensors["b"].tolist() == [7.0]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends too early"),
        (b"1234567", "ends too early"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "header claims"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "header claims"),
        ((3).to_bytes(8, "little") + b"{}", "header claims"),
        (raw_safetensors(b"{", b""), "header is malformed"),
        (raw_safetensors(b"[" * 100_000, b""), "header is malformed"),
        (raw_safetensors(b"\xff\xfe{}", b""), "header is malformed"),
        (raw_safetensors([], b""), "header is malformed"),
        (raw_safetensors({"b": 1}, b""), "header is malformed"),
        (raw_safetensors({"b": {}}, b""), "header is malformed"),
        (raw_safetensors({"b": entry("0", 4)}, b"1234"), "header is malformed"),
        (raw_safetensors({"b": entry(0.0, 4)}, b"1234"), "header is malformed"),
        (raw_safetensors({"b": entry(0, 4, shape=[True])}, b"1234"), "header is malformed"),
        (raw_safetensors({"b": entry(0, 4, shape=4)}, b"1234"), "header is malformed"),
        (raw_safetensors({"b": entry(4, 8)}, b"12345678"), "overlap others or leave a gap"),
        (raw_safetensors({"b": entry(-4, 0)}, b"1234"), "overlap others or leave a gap"),
        (raw_safetensors({"b": entry(0, -4)}, b""), "overlap others or leave a gap"),
        (raw_safetensors({"b": entry(0, 4), "c": entry(0, 4)}, b"1234"), "overlap others"),
        (raw_safetensors({"b": entry(0, 4)}, b"12345678"), "holds 8 bytes of data, not 4"),
        (raw_safetensors({"b": entry(0, 1 << 50)}, b"1234"), "holds 4 bytes of data"),
        (raw_safetensors({"c": entry(0, 4)}, b"1234"), "tensor 'b' is missing"),
        (raw_safetensors({"b": entry(0, 4, dtype="F16")}, b"1234"), "'b' is F16"),
        (raw_safetensors({"b": entry(0, 8, shape=[2])}, b"12345678"), r"'b' is F32 \(2,\), not"),
        (raw_safetensors({"b": entry(0, 8)}, b"12345678"), "'b' has 8 bytes for"),
    ],
)
def test_a_malformed_file_is_refused_with_the_reason(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        read_float32_tensors(path, {"b": (1,)})
    assert caught.value.code == "model_damaged"
    assert caught.value.hint == "Download or copy the model folder again."


def test_a_missing_file_is_refused_with_the_reason(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        read_float32_tensors(path, SHAPES)


@given(cut=st.integers(0, len(WHOLE) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_file_cut_anywhere_is_refused(path: Path, cut: int) -> None:
    path.write_bytes(WHOLE[:cut])
    with pytest.raises(ConfigError, match="cannot be used"):
        read_float32_tensors(path, SHAPES)


@given(junk=st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_junk_is_refused_and_never_another_error(path: Path, junk: bytes) -> None:
    path.write_bytes(len(junk).to_bytes(8, "little") + junk)
    with pytest.raises(ConfigError, match="cannot be used"):
        read_float32_tensors(path, SHAPES)

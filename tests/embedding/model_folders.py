"""Small model folders with random weights, whole or spoilt, and what their vectors should be."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sdk_workflow.embedding.bert_layers import tensor_shapes
from sdk_workflow.embedding.model_folder import ModelFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
_TYPES = "sentence_transformers.models."
MODULES: list[dict[str, Any]] = [
    {"idx": 0, "name": "0", "path": "", "type": f"{_TYPES}Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_TYPES}Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{_TYPES}Normalize"},
]
POOLING = {"word_embedding_dimension": 12, "pooling_mode_mean_tokens": True}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", *"0123456789")


def write_model(path: Path, *, seed: int = 1, **config: Any) -> Path:
    """Write a whole model folder; `config` overrides entries of its config.json."""
    merged = {**CONFIG, **config}
    (path / "1_Pooling").mkdir(parents=True)
    write_json(path / "config.json", merged)
    write_json(path / "modules.json", MODULES)
    write_json(path / "1_Pooling" / "config.json", POOLING)
    write_json(path / "sentence_bert_config.json", {"max_seq_length": 48})
    write_json(path / "tokenizer.json", tokenizer_json())
    (path / "model.safetensors").write_bytes(safetensors_of(random_tensors(merged, seed)))
    return path


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    """Set entries of a JSON object in a file; None removes one."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    write_json(path, {name: value for name, value in content.items() if value is not None})


def tokenizer_json() -> dict[str, Any]:
    """Return a tokenizer with a token per word, which asks for padding as the real file does."""
    special = [
        {"id": number, "content": WORDS[number], "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False, "special": True}
        for number in range(4)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0,
        },
        "padding": {
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        },
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2],
        },
        "decoder": None,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(WORDS)},
        },
    }  # fmt: skip


def folder_of(config: Mapping[str, Any], path: Path) -> ModelFolder:
    return ModelFolder(
        path=path,
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        token_types=config["type_vocab_size"],
        epsilon=config["layer_norm_eps"],
        max_tokens=48,
        tokenizer_json=b"",
    )


def random_tensors(config: Mapping[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Return every tensor that the encoder reads, and two of those that it does not."""
    from pathlib import Path

    random = np.random.default_rng(seed)
    tensors: dict[str, NDArray[Any]] = {
        name: random.normal(1.0 if name.endswith("Norm.weight") else 0.0, 0.5, shape).astype("<f4")
        for name, shape in tensor_shapes(folder_of(config, Path())).items()
    }
    tensors["embeddings.position_ids"] = np.arange(4, dtype="<i8")
    tensors["pooler.dense.bias"] = np.zeros(3, dtype="<f4")
    return tensors


def safetensors_of(tensors: Mapping[str, NDArray[Any]], *, prefix: str = "") -> bytes:
    """Return the bytes of a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        header[prefix + name] = {
            "dtype": {"<f4": "F32", "<i8": "I64"}[tensor.dtype.str],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.nbytes],
        }
        position += tensor.nbytes
    return raw_safetensors(header, b"".join(tensor.tobytes() for tensor in tensors.values()))


def raw_safetensors(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def expected_vector(
    tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any], ids: list[int]
) -> NDArray[np.float64]:
    """Return the vector by the plain definition, in float64 and without any of the short cuts."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    x = (
        t["embeddings.word_embeddings.weight"][ids]
        + t["embeddings.position_embeddings.weight"][: len(ids)]
        + t["embeddings.token_type_embeddings.weight"][0]
    )
    x = _normalised(x, t, "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        x = _layer(x, t, f"encoder.layer.{number}.", config["num_attention_heads"])
    mean: NDArray[np.float64] = x.mean(axis=0)
    vector: NDArray[np.float64] = mean / np.sqrt((mean**2).sum())
    return vector


def _layer(
    x: NDArray[np.float64], t: Mapping[str, NDArray[np.float64]], at: str, heads: int
) -> NDArray[np.float64]:
    queries, keys, values = (
        np.split(_linear(x, t, f"{at}attention.self.{name}"), heads, axis=1)
        for name in ("query", "key", "value")
    )
    width = x.shape[1] // heads
    attended = []
    for q, k, v in zip(queries, keys, values, strict=True):
        scores = q @ k.T / math.sqrt(width)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        attended.append(scores / scores.sum(axis=1, keepdims=True) @ v)
    joined = _linear(np.concatenate(attended, axis=1), t, f"{at}attention.output.dense")
    x = _normalised(joined + x, t, f"{at}attention.output.LayerNorm")
    inner = exact_gelu(_linear(x, t, f"{at}intermediate.dense"))
    return _normalised(_linear(inner, t, f"{at}output.dense") + x, t, f"{at}output.LayerNorm")


def exact_gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    erf = np.vectorize(math.erf, otypes=[np.float64])
    result: NDArray[np.float64] = x * (1.0 + erf(x / math.sqrt(2.0))) / 2.0
    return result


def _linear(
    x: NDArray[np.float64], t: Mapping[str, NDArray[np.float64]], name: str
) -> NDArray[np.float64]:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def _normalised(
    x: NDArray[np.float64], t: Mapping[str, NDArray[np.float64]], name: str
) -> NDArray[np.float64]:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    result: NDArray[np.float64] = scaled * t[f"{name}.weight"] + t[f"{name}.bias"]
    return result

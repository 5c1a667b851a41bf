"""Vectors of texts, from an encoder that may be missing, late or broken: then there is none.

It remembers the last ones, because a question that was not found is stored a moment later.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from sdk_workflow.embedding.choose import load_embedder
from sdk_workflow.embedding.worker import EncoderWorker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from sdk_workflow.protocols import Clock, Embedder

__all__ = ["TextVectors"]

_MAX_REMEMBERED = 256


class TextVectors:
    """Vectors of texts as float32 bytes; never raises, counts what went wrong.

    Args:
        embedder: "auto", the path of a model folder, an embedder, or None for no vectors at all.
        timeout_seconds: How long to wait for one.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        embedder: str | PathLike[str] | Embedder | None,
        *,
        timeout_seconds: float,
        clock: Clock,
    ) -> None:
        self._worker = None
        if embedder is not None:
            load = partial(load_embedder, embedder)
            self._worker = EncoderWorker(load, timeout_seconds=timeout_seconds, clock=clock)
        self._remembered: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def tag(self) -> str | None:
        """The name of the vector space; None before the first vector."""
        embedder = None if self._worker is None else self._worker.embedder
        return None if embedder is None else embedder.tag

    @property
    def counts(self) -> Mapping[str, int]:
        """How often there was a vector ("encoded"), and how often not, by reason."""
        return {} if self._worker is None else self._worker.counts

    def of(self, text: str) -> bytes | None:
        """Return the vector of a text; None where there is none in time."""
        with self._lock:
            known = self._remembered.get(text)
        if known is not None or self._worker is None:
            return known
        found = self._worker.encode(text)
        if found is None:
            return None
        vector = memoryview(found).tobytes()
        with self._lock:
            self._remembered[text] = vector
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return vector

    def close(self) -> None:
        """End the encoder's thread."""
        if self._worker is not None:
            self._worker.close()

    def renew(self) -> None:
        """Start with a free lock in a forked process."""
        self._lock = threading.Lock()

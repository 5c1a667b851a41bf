"""The pairs that the semantic cache's accuracy is measured on, and what the cache does with them.

Knows where nothing is: the data and the vectors come from folders that the caller names.
"""

from __future__ import annotations

import gzip
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sdk_workflow.core.semantic.guard import find_veto, prepare
from sdk_workflow.core.semantic_cache import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sdk_workflow.core.semantic.guard import PreparedText
    from sdk_workflow.protocols import Embedder

__all__ = [
    "FILES",
    "Example",
    "Lookup",
    "Tally",
    "VectorStore",
    "count_served",
    "interval",
    "load_examples",
    "look_up_all",
    "missing_files",
    "serve_pairs",
    "serve_paraphrases",
]

FILES = {
    "qqp": "qqp_pairs_6k.jsonl.gz",
    "paws": "paws_qqp_677.jsonl.gz",
    "edits": "synthetic_edits.jsonl.gz",
    "gptcache": "gptcache_mock_paraphrase.jsonl.gz",
}
_FLOOR = 0.9
_LOWEST_THRESHOLD = 0.5
_PATIENCE_SECONDS = 60.0
_Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A pair of texts, its label and what was decided on it; `row` counts from 0."""

    row: int
    a: PreparedText
    b: PreparedText
    is_same: bool
    kind: str
    cosine: float
    veto: str | None
    is_for_fitting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many pairs were served, and how many of them wrongly."""

    served: int
    wrong: int

    @property
    def precision(self) -> float:
        """Share of what was served that is right; 1 where nothing was."""
        return 1 - self.wrong / self.served if self.served else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What the cache of all first texts chose for one paraphrase, whether it served it or not.

    `is_same_row` and `is_same_text` are the two ways to say that the answer is right; `margin` is
    the lead over the best row that holds another text, 1 where none is near.
    """

    cosine: float
    margin: float
    is_same_row: bool
    is_same_text: bool
    is_for_fitting: bool


class VectorStore:
    """Vectors of texts, kept in a folder so that a second run need not encode again."""

    def __init__(self, embedder: Embedder, folder: Path | None) -> None:
        self._embedder = embedder
        self._folder = folder

    def encode(self, name: str, texts: Sequence[str]) -> NDArray[Any]:
        """Return one row per text; equal texts are encoded once."""
        import numpy as np

        digest = blake2b(
            "\0".join([self._embedder.tag, *texts]).encode(), digest_size=8
        ).hexdigest()
        path = self._folder / f"{name}-{digest}.npy" if self._folder else None
        if path is not None and path.exists():
            stored: NDArray[Any] = np.load(path, allow_pickle=False)
            return stored
        known = {
            text: np.frombuffer(memoryview(self._embedder.encode(text)), dtype=np.float32)
            for text in dict.fromkeys(texts)
        }
        vectors = np.stack([known[text] for text in texts])
        if path is not None:
            np.save(path, vectors)
        return vectors


def missing_files(folder: Path) -> list[str]:
    """Return the names of the data files that are not there."""
    return [name for name in FILES.values() if not (folder / name).is_file()]


def load_examples(folder: Path, name: str, vectors: VectorStore) -> list[Example]:
    """Return the pairs of a file with their cosines and vetoes."""
    rows = _read(folder, name)
    first = vectors.encode(f"{name}-a", [row["a"] for row in rows])
    second = vectors.encode(f"{name}-b", [row["b"] for row in rows])
    cosines = (first * second).sum(axis=1)
    return [
        _example(number, row, float(cosine))
        for number, (row, cosine) in enumerate(zip(rows, cosines, strict=True))
    ]


def _read(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / FILES[name], "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _example(number: int, row: dict[str, Any], cosine: float) -> Example:
    a, b = prepare(row["a"]), prepare(row["b"])
    return Example(
        row=number,
        a=a,
        b=b,
        is_same=row["label"] == 1,
        kind=row.get("kind", ""),
        cosine=cosine,
        veto=find_veto(a, b) if cosine >= _FLOOR or "kind" in row else None,
        is_for_fitting=_is_for_fitting(row),
    )


def _is_for_fitting(row: dict[str, Any]) -> bool:
    """Say by the texts' hash which half a pair is in: no choice, and the same on every machine."""
    digest = blake2b(f"{row['a']}\0{row['b']}".encode(), digest_size=4).digest()
    return digest[0] % 2 == 0


def count_served(
    examples: Iterable[Example],
    threshold: float,
    *,
    is_guarded: bool,
    relabelled: Iterable[int] = (),
) -> Tally:
    """Return what is served at a threshold; rows in `relabelled` count with the other label."""
    flipped = set(relabelled)
    served = [
        example
        for example in examples
        if example.cosine >= threshold and not (is_guarded and example.veto)
    ]
    right = sum(example.is_same != (example.row in flipped) for example in served)
    return Tally(served=len(served), wrong=len(served) - right)


def interval(tally: Tally) -> tuple[float, float]:
    """Return the 95 % interval of the precision (E. Wilson, JASA 22, 1927)."""
    count = tally.served
    if not count:
        return 0.0, 1.0
    share, square = tally.precision, _Z95 * _Z95
    centre = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    half = _Z95 * spread / (1 + square / count)
    return centre - half, centre + half


def look_up_all(folder: Path, vectors: VectorStore, overlap_weight: float) -> list[Lookup]:
    """Ask the cache, which holds all first texts of GPTCache's file, about all second ones.

    Args:
        folder: Where the data is.
        vectors: Where the vectors come from.
        overlap_weight: The cache's option.
    """
    rows = _read(folder, "gptcache")
    lookups = []
    # The cache tells a margin only if it has to reach one; it keeps the last of equal texts.
    with _cache_of(
        "gptcache", rows, vectors, _LOWEST_THRESHOLD, overlap_weight=overlap_weight, margin=1e-9
    ) as cache:
        for number, row in enumerate(rows):
            cache.add(row["a"], number)
        row_of = {row["a"]: number for number, row in enumerate(rows)}
        for number, row in enumerate(rows):
            match = cache.explain(row["b"])
            chosen = match.matched_text or ""  # a text that is too long is not matched
            lookups.append(
                Lookup(
                    cosine=match.similarity or 0.0,
                    margin=1.0 if match.margin is None else match.margin,
                    is_same_row=row_of.get(chosen) == number,
                    is_same_text=chosen == row["a"],
                    is_for_fitting=_is_for_fitting(row),
                )
            )
    return lookups


def serve_paraphrases(
    folder: Path,
    vectors: VectorStore,
    threshold: float,
    *,
    overlap_weight: float = 0.0,
    margin: float = 0.0,
) -> tuple[Tally, Tally]:
    """Return what the cache serves for GPTCache's file: by row and by text of the answer."""
    rows = _read(folder, "gptcache")
    with _cache_of(
        "gptcache", rows, vectors, threshold, overlap_weight=overlap_weight, margin=margin
    ) as cache:
        for number, row in enumerate(rows):
            cache.add(row["a"], number)
        found = [cache.get_if_similar(row["b"]) for row in rows]
    served = [(number, answer) for number, answer in enumerate(found) if answer is not None]
    wrong_rows = sum(answer != number for number, answer in served)
    wrong_texts = sum(rows[answer]["a"] != rows[number]["a"] for number, answer in served)
    return (
        Tally(served=len(served), wrong=wrong_rows),
        Tally(served=len(served), wrong=wrong_texts),
    )


def serve_pairs(folder: Path, vectors: VectorStore, name: str, threshold: float) -> set[int]:
    """Return the rows whose second text the cache answers with the first, each in its own scope."""
    rows = _read(folder, name)
    with _cache_of(name, rows, vectors, threshold, guards=True) as cache:
        for number, row in enumerate(rows):
            cache.add(row["a"], number, scope=str(number))
        return {
            number
            for number, row in enumerate(rows)
            if cache.get_if_similar(row["b"], scope=str(number)) is not None
        }


class _KnownVectors:
    """An embedder of texts whose vectors were made before."""

    tag = "known"

    def __init__(self, known: Mapping[str, NDArray[Any]]) -> None:
        self._known = known
        self.dimension = len(next(iter(known.values())))

    def encode(self, text: str) -> bytes:
        return self._known[text].tobytes()


@contextmanager
def _cache_of(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    vectors: VectorStore,
    threshold: float,
    *,
    guards: bool = False,
    overlap_weight: float = 0.0,
    margin: float = 0.0,
) -> Iterator[SemanticCache]:
    """Yield a cache that knows the vectors of a file's texts, and end its encoder's thread."""
    known: dict[str, NDArray[Any]] = {}
    for side in ("a", "b"):
        texts = [row[side] for row in rows]
        known.update(zip(texts, vectors.encode(f"{name}-{side}", texts), strict=True))
    cache = SemanticCache(
        threshold,
        embedder=_KnownVectors(known),
        guards=guards,
        overlap_weight=overlap_weight,
        margin=margin,
        encode_timeout_seconds=_PATIENCE_SECONDS,
    )
    try:
        yield cache
    finally:
        cache.close()

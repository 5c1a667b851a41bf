"""Times GPTCache's own work around an embedding: put, hit and miss; prints JSON, in microseconds.

    python gptcache_lookups.py ENTRIES LOOKUPS GOES

Runs in an environment of its own and knows nothing of this project. Vectors are drawn beforehand, so
that nothing is encoded. Its store is the one of its own documentation: SQLite and a flat faiss index.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

_DIMENSION = 384


def main() -> None:
    """Fill a cache, ask it, and print what that took."""
    entries, lookups, goes = (int(argument) for argument in sys.argv[1:4])
    dice = np.random.default_rng(1)
    vectors = dice.standard_normal((entries + lookups, _DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    by_text = {f"question {number}": vector for number, vector in enumerate(vectors)}
    # The same vector under another text: found by its meaning, not by its words.
    by_text |= {f"again {number}": vectors[number] for number in range(lookups)}
    texts = list(by_text)
    with tempfile.TemporaryDirectory() as folder:
        cache = _cache(folder, by_text)
        found = {"put": _time(texts[:entries], lambda text: _put(cache, text), 1)}
        found["hit"] = _time(texts[-lookups:], lambda text: _get(cache, text, is_there=True), goes)
        found["miss"] = _time(
            texts[entries : entries + lookups], lambda text: _get(cache, text, is_there=False), goes
        )
    print(json.dumps(found))


def _cache(folder: str, by_text: dict[str, Any]) -> Any:
    cache = _part("", "Cache")()
    cache.init(
        pre_embedding_func=_part(".processor.pre", "get_prompt"),
        embedding_func=lambda text, **_: by_text[text],
        data_manager=_part(".manager", "manager_factory")(
            "sqlite,faiss", data_dir=folder, vector_params={"dimension": _DIMENSION}
        ),
        similarity_evaluation=_part(
            ".similarity_evaluation.distance", "SearchDistanceEvaluation"
        )(),
    )
    return cache


def _put(cache: Any, text: str) -> None:
    _part(".adapter.api", "put")(text, "an answer", cache_obj=cache)


def _get(cache: Any, text: str, *, is_there: bool) -> None:
    answer = _part(".adapter.api", "get")(text, cache_obj=cache)
    if (answer is not None) != is_there:
        raise SystemExit(f"GPTCache answered {answer!r} to {text!r}.")


def _part(module: str, name: str) -> Any:
    """Return a part of GPTCache, which is absent where this file is checked."""
    return getattr(import_module(f"gptcache{module}"), name)


def _time(texts: list[str], work: Any, goes: int) -> list[float]:
    """Return the microseconds of each text, in the quickest of several goes over all of them."""
    taken = [float("inf")] * len(texts)
    for _ in range(goes):
        for place, text in enumerate(texts):
            started = perf_counter()
            work(text)
            taken[place] = min(taken[place], 1e6 * (perf_counter() - started))
    return taken


if __name__ == "__main__":
    main()

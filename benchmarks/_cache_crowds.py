"""Whether counts add up under threads, and identical calls at once cost one request."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import anyio

from benchmarks._report import Row
from benchmarks._timing import Series
from sdk_workflow.config.settings import Settings
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.runtime import build_runtime
from sdk_workflow.types import Call

__all__ = ["crowd_rows"]

_THREADS = 8
_OPERATIONS = 100_000
_CALLS = 1_000


def crowd_rows() -> list[Row]:
    """Return how many lookups went uncounted, and how many requests 1,000 calls made."""
    uncounted = abs(_THREADS * _OPERATIONS - _counted())
    requests = anyio.run(_requests)
    return [
        Row(
            name=f"LRUCache, {_THREADS} x {_OPERATIONS:,} operations: not counted",
            series=Series([uncounted]),
            at_most=0,
            digits=0,
        ),
        Row(
            name=f"build_runtime, {_CALLS:,} identical calls at once: requests",
            series=Series([requests]),
            at_most=1,
            digits=0,
        ),
    ]


def _counted() -> int:
    """Return all lookups and stores that the cache counted or holds."""
    cache: LRUCache[str, int] = LRUCache(500)
    with ThreadPoolExecutor(_THREADS) as pool:
        sets = sum(pool.map(lambda seed: _use(cache, seed), range(_THREADS)))
    stats = cache.get_stats()
    return stats.hits + stats.misses + sets


def _use(cache: LRUCache[str, int], seed: int) -> int:
    """Look up and store by chance; return how many of it were stores."""
    dice = random.Random(seed)  # noqa: S311 - has to be repeatable
    sets = 0
    for _ in range(_OPERATIONS):
        key = str(int(dice.random() * 1_000))
        if dice.random() < 0.2:
            cache.set(key, seed)
            sets += 1
        else:
            cache.get(key)
    return sets


async def _requests() -> int:
    call = Call(
        model="claude-haiku-5-5",
        messages=({"role": "user", "content": "How tall is the old tower?"},),
        max_tokens=100,
    )
    replies = []
    settings = Settings(backend="simulator", cache_mode="exact")  # whatever the environment says
    async with build_runtime(settings) as runtime:

        async def ask() -> None:
            replies.append(await runtime.client.create(call))

        async with anyio.create_task_group() as tasks:
            for _ in range(_CALLS):
                tasks.start_soon(ask)
    assert len(replies) == _CALLS
    return sum(reply.cache_hit is None for reply in replies)

"""The caches when they are full: exact, semantic with vectors at hand, keys and breakpoints."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, Target, each_of, times
from sdk_workflow.benchmarking.suites.similar import similar_entries
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.caching.request_key import RequestKeys
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry
    from sdk_workflow.benchmarking.parts import Parts

__all__ = ["open_suite"]

PLAN = Target(50e6, "p95")  # what the plan asks of a lookup: below 50 ms
_SIZE = 1000
_TURNS = 30
_MODEL = "claude-haiku-5-5"


@contextmanager
def open_suite(_folder: Path, _parts: Parts) -> Iterator[Sequence[Entry]]:
    """Prepare the caches, each with 1,000 entries."""
    with ExitStack() as stack:
        yield [
            *_of_lru(),
            _of_manager(),
            *similar_entries(stack, plan=PLAN),
            *_of_requests(),
        ]


def _of_lru() -> list[Entry]:
    digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(3 * _SIZE)]
    kept, absent = digests[:_SIZE], digests[_SIZE : 2 * _SIZE]
    full: LRUCache[str, int] = LRUCache(_SIZE, 3600)
    turning: LRUCache[str, int] = LRUCache(_SIZE, 3600)
    for key in kept:
        full.set(key, 1)
        turning.set(key, 1)
    # Three times as many keys as there is room for: each that is set evicts one.
    put = each_of(lambda key: turning.set(key, 1), digests)
    return [
        Operation(name="LRU: hit", repeat=each_of(full.get, kept), plan=PLAN, goal=Target(300)),
        Operation(name="LRU: miss", repeat=each_of(full.get, absent), plan=PLAN, goal=Target(150)),
        Operation(name="LRU: set, evicting one", repeat=put, goal=Target(700)),
    ]


def _of_manager() -> Entry:
    manager = CacheManager(LRUCache(_SIZE), None, None, catalog=ModelCatalog.load())
    calls = [_question(f"What is the height of tower {number}?") for number in range(_SIZE)]
    reply = Reply(
        id="msg_1",
        model=_MODEL,
        stop_reason="end_turn",
        content=({"type": "text", "text": "It is 324 m high."},),
        usage=Usage(input_tokens=20, output_tokens=9),
    )
    for call in calls:
        manager.cache_response(call, reply)
    return Operation(
        name="exact hit through CacheManager",
        repeat=each_of(manager.get_cached_response, calls),
        plan=PLAN,
        goal=Target(50e3),
    )


def _question(text: str) -> Call:
    return Call(model=_MODEL, messages=({"role": "user", "content": text},))


def _of_requests() -> list[Entry]:
    keys = RequestKeys(b"a secret of the benchmark", "api")
    optimizer, turns = PromptCacheOptimizer(ModelCatalog.load()), _turns()
    history = _history()
    ends = [{"role": "user", "content": f"And page {number}? "} for number in range(_SIZE)]
    calls = [Call(model=_MODEL, system=_SYSTEM, messages=(*history, end)) for end in ends]
    return [
        Operation(
            name="key of a request of 17 KB", repeat=each_of(keys.key_of, calls), goal=Target(35e3)
        ),
        Operation(
            name=f"breakpoints, a turn of {_TURNS}",
            repeat=times(lambda: optimizer.build_cached_request(next(turns))),
            goal=Target(20e3),
        ),
    ]


_SYSTEM = "Be exact, and quote the rule that applies. " * 150


def _turns() -> Iterator[Call]:
    """Yield the calls of conversations of 30 turns, one after the other."""
    for number in itertools.count():
        messages: tuple[dict[str, Any], ...] = ()
        for turn in range(_TURNS):
            question, answer = _exchange(f"{turn} of book {number}")
            yield Call(
                model=_MODEL,
                system=_SYSTEM,
                messages=(*messages, question),
                session_id=f"session-{number}",
            )
            messages = (*messages, question, answer)


def _history() -> tuple[dict[str, Any], ...]:
    return tuple(message for turn in range(_TURNS // 2) for message in _exchange(str(turn)))


def _exchange(page: str) -> tuple[dict[str, Any], dict[str, Any]]:
    asked = f"Which of the rules on page {page} says so, and what does it leave open? "
    said = f"It is the third rule of page {page} that says so; it leaves the date open. "
    return {"role": "user", "content": asked * 4}, {"role": "assistant", "content": said * 5}

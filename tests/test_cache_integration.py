"""The caches in the places where they work: around a client, with each other, over restarts."""

from __future__ import annotations

import array
import dataclasses
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.core.semantic_cache import SemanticCache
from sdk_workflow.middleware.response_cache import ResponseCacheMiddleware
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.types import Call, Usage
from tests.caching.fakes import SECRET, answer, ask, cached

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.types import Reply

pytestmark = pytest.mark.anyio


class WordEmbedder:
    """Puts texts with the same words close together: a vector of word counts."""

    dimension = 64

    def __init__(self, tag: str = "words") -> None:
        self.tag = tag

    def encode(self, text: str) -> array.array[float]:
        counts = [0.0] * self.dimension
        for word in text.lower().strip("?!. ").split():
            counts[sum(map(ord, word)) % self.dimension] += 1.0
        size = math.sqrt(sum(count * count for count in counts)) or 1.0
        return array.array("f", [count / size for count in counts])


def semantic(tag: str = "words") -> SemanticCache:
    return SemanticCache(
        embedder=WordEmbedder(tag), random_share=lambda: 1.0, encode_timeout_seconds=10.0
    )


def manager(**options: Any) -> CacheManager:
    facts: dict[str, Any] = {
        "tenant_secret": SECRET,
        "backend": "simulator",
        "catalog": ModelCatalog.load(),
        **options,
    }
    return CacheManager(LRUCache(), semantic(), None, **facts)


def client(caches: CacheManager) -> AgentClientManager:
    return AgentClientManager(SimulatorTransport(), middleware=[ResponseCacheMiddleware(caches)])


async def test_a_repeated_call_of_a_client_costs_nothing() -> None:
    caches = manager()
    async with client(caches) as chain:
        first, second = [await chain.create(ask("How tall is the Eiffel Tower?")) for _ in range(2)]
    assert (first.served_by, second.served_by) == ("simulator", "lru")
    assert second.text == first.text
    assert second.usage == Usage()
    assert second.cache_hit is not None
    assert second.cache_hit.usage == first.usage
    assert second.cache_hit.saved is not None
    assert second.cache_hit.saved.usd > 0


async def test_the_same_question_in_other_letters_is_answered_by_its_meaning() -> None:
    caches = manager()
    async with client(caches) as chain:
        first = await chain.create(ask("How tall is the Eiffel Tower?"))
        second = await chain.create(ask("how tall is the Eiffel Tower"))
        third = await chain.create(ask("How tall is the Eiffel Tower not?"))
    assert (second.served_by, second.text) == ("semantic", first.text)
    assert third.served_by == "simulator"


async def test_a_streamed_call_and_a_plain_one_share_their_answer() -> None:
    caches = manager()
    call = ask("How tall is the Eiffel Tower?")
    async with client(caches) as chain:
        async with chain.stream(call) as stream:
            kinds = [event["type"] async for event in stream]
        plain = await chain.create(call)
        async with chain.stream(call) as again:
            replayed = [event["type"] async for event in again]
    assert (stream.reply.served_by, plain.served_by) == ("simulator", "lru")
    assert again.reply.text == stream.reply.text
    assert (kinds[0], kinds[-1]) == (replayed[0], replayed[-1]) == ("message_start", "message_stop")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "claude-opus-5-5"},
        {"system": "Answer in French."},
        {"max_tokens": 77},
        {"tenant": "another"},
        {"parameters": {"stop_sequences": ["x"]}},
        {"parameters": {"output_config": {"format": {"type": "json_schema", "schema": {}}}}},
        {"tool_choice": {"type": "none"}},
        {"messages": ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hi."},
                      {"role": "user", "content": "How tall is the Eiffel Tower?"})},
    ],
    ids=str,
)  # fmt: skip
def test_no_answer_crosses_from_one_kind_of_request_to_another(changes: dict[str, Any]) -> None:
    caches = manager(backend="api")
    call = ask("How tall is the Eiffel Tower?")
    caches.cache_response(call, answer("330 m"))
    other = dataclasses.replace(call, **changes)
    assert caches.get_cached_response(other) is None
    assert caches.get_cached_response(call) is not None


def asked(text: str, caches: CacheManager) -> Reply | None:
    return caches.get_cached_response(ask(text))


def test_both_tiers_come_back_after_a_restart(tmp_path: Path) -> None:
    first = manager(backend="api")
    first.cache_response(ask("How tall is the Eiffel Tower?"), answer("330 m"))
    first.persist_to_disk(tmp_path)
    second = manager(backend="api")
    second.load_from_disk(tmp_path)
    exact, similar = (
        asked(text, second)
        for text in ("How tall is the Eiffel Tower?", "how tall is the Eiffel Tower")
    )
    assert exact is not None
    assert similar is not None
    assert (exact.served_by, similar.served_by) == ("lru", "semantic")
    assert similar.text == "330 m"


def test_vectors_of_another_embedder_are_not_used(tmp_path: Path) -> None:
    first = manager(backend="api")
    first.cache_response(ask("How tall is the Eiffel Tower?"), answer("330 m"))
    first.persist_to_disk(tmp_path)
    options: dict[str, Any] = {"tenant_secret": SECRET}
    second = CacheManager(LRUCache(), semantic("another model"), None, **options)
    second.cache_response(ask("What is a fish?"), answer("An animal."))
    second.load_from_disk(tmp_path)
    assert asked("how tall is the Eiffel Tower", second) is None
    assert asked("How tall is the Eiffel Tower?", second) is not None


PROGRAM = """
import sys
from pathlib import Path
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.types import Call, Reply, Usage

folder, name = Path(sys.argv[1]), sys.argv[2]
caches = CacheManager(LRUCache(), None, None)
caches.load_from_disk(folder)
call = Call(model="m", messages=({"role": "user", "content": f"Question of {name}?"},))
caches.cache_response(call, Reply(id="i", model="m", content=({"type": "text", "text": name},),
                                  stop_reason="end_turn", usage=Usage()))
caches.persist_to_disk(folder)
"""


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [f"process {number}" for number in range(3)]
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), name]) for name in names
    ]
    assert [process.wait(timeout=50) for process in running] == [0, 0, 0]
    caches = CacheManager(LRUCache(), None, None)
    caches.load_from_disk(tmp_path)
    found = [
        caches.get_cached_response(
            Call(model="m", messages=({"role": "user", "content": f"Question of {name}?"},))
        )
        for name in names
    ]
    assert [reply and reply.text for reply in found] == names


async def test_warming_through_a_client_fills_its_cache() -> None:
    caches = manager()
    async with client(caches) as chain:
        report = await caches.awarm_cache(
            [ask("One?"), ask("Two?"), ask("One?")], send=chain.create
        )
        again = await chain.create(ask("Two?"))
    assert (report["stored"], report["duplicates"], again.served_by) == (2, 1, "lru")
    assert report["cost_usd"] > 0


def test_the_fake_tier_of_other_tests_has_the_methods_of_the_real_one() -> None:
    fake = cached().semantic
    for name in ("lookup", "add", "explain", "report_right", "report_wrong", "entries", "restore", "clear",
                 "get_stats", "embedder_tag"):  # fmt: skip
        assert hasattr(SemanticCache, name)
        assert hasattr(fake, name)

"""The caches of a runtime: what its settings make of them, and whom they never answer for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.settings import Settings
from sdk_workflow.runtime import build_runtime
from tests.caching.fakes import answer, ask

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.cache_manager import CacheManager

pytestmark = pytest.mark.anyio

HERE, THERE = "http://127.0.0.1:1", "http://127.0.0.1:2"
QUESTION = ask("How tall is the old tower?")


def caches(folder: Path, **settings: Any) -> CacheManager:
    given = {"cache_mode": "exact", "cache_dir": folder, "api_key": "sk-1", **settings}
    runtime = build_runtime(Settings(**given))
    assert runtime.cache is not None
    return runtime.cache


def keep(manager: CacheManager, folder: Path) -> None:
    manager.cache_response(QUESTION, answer(model=QUESTION.model))
    manager.persist_to_disk(folder)


def test_a_server_answers_for_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    keep(caches(tmp_path, base_url=HERE), tmp_path)
    assert caches(tmp_path, base_url=HERE).get_cached_response(QUESTION) is not None
    assert caches(tmp_path, base_url=THERE).get_cached_response(QUESTION) is None
    assert caches(tmp_path).get_cached_response(QUESTION) is None
    assert caches(tmp_path, backend="simulator").get_cached_response(QUESTION) is None


def test_a_server_that_only_the_environment_names_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", HERE)
    keep(caches(tmp_path), tmp_path)
    assert caches(tmp_path).get_cached_response(QUESTION) is not None
    assert caches(tmp_path, base_url=HERE).get_cached_response(QUESTION) is not None
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    assert caches(tmp_path).get_cached_response(QUESTION) is None


@pytest.mark.parametrize("mode", ["exact", "semantic", "full"])
async def test_a_thousand_identical_calls_of_a_runtime_send_one_request(mode: str) -> None:
    import anyio

    replies = []
    async with build_runtime(Settings(backend="simulator", cache_mode=mode)) as runtime:

        async def call() -> None:
            replies.append(await runtime.client.create(QUESTION))

        async with anyio.create_task_group() as tasks:
            for _ in range(1_000):
                tasks.start_soon(call)
    assert len(replies) == 1_000
    assert sum(reply.cache_hit is None for reply in replies) == 1


async def test_a_call_with_tools_is_never_answered_from_a_cache_but_reads_its_prompt_from_one() -> (
    None
):
    tool = {"name": "get", "input_schema": {"type": "object"}}
    call = ask("Hello there.", system="Be brief. " * 2_000, tools=(tool,))
    async with build_runtime(Settings(backend="simulator", cache_mode="full")) as runtime:
        replies = [await runtime.client.create(call) for _ in range(2)]
    assert [reply.served_by for reply in replies] == ["simulator", "simulator"]
    assert replies[1].usage.cache_read_input_tokens > 2_000

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.core import async_single_flight
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.exceptions import SdkWorkflowError, UsageError

if TYPE_CHECKING:
    from contextvars import Context

PATIENCE_SECONDS = 20.0


def change(cache: LRUCache[str, int], act: str) -> None:
    if act == "invalidate":
        cache.invalidate("a")
    elif act == "clear":
        cache.clear()
    else:
        cache.set("a", 2)


def _loaded_meanwhile(cache: LRUCache[str, int], run: Any, key: str, **options: Any) -> Any:
    cache.set(key, 1)
    return run(key, **options)


@pytest.mark.anyio
async def test_thousand_tasks_on_one_absent_key_cause_one_load() -> None:
    cache: LRUCache[str, object] = LRUCache()
    found = []

    async def load() -> object:
        await anyio.wait_all_tasks_blocked()
        return object()

    async def ask() -> None:
        found.append(await cache.aget_or_load("a", load))

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(ask)
    assert (len(found), len(set(map(id, found))), cache.get_stats().loads) == (1000, 1, 1)
    assert await cache.aget_or_load("a", load) is found[0]
    assert not cache._async_flights.by_key
    assert not cache._async_flights._running


@pytest.mark.anyio
async def test_error_of_an_async_loader_reaches_every_waiter_and_is_not_stored() -> None:
    cache: LRUCache[str, int] = LRUCache()
    errors = []

    async def fail() -> int:
        await anyio.wait_all_tasks_blocked()
        raise ValueError("no")

    async def ask() -> None:
        try:
            await cache.aget_or_load("a", fail)
        except ValueError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)

    async def succeed() -> int:
        return 2

    assert (len(errors), await cache.aget_or_load("a", succeed)) == (3, 2)
    assert (cache.get_stats().loads, cache.get_stats().load_errors) == (2, 1)


@pytest.mark.anyio
async def test_load_goes_on_when_the_task_that_started_it_is_cancelled() -> None:
    cache: LRUCache[str, int] = LRUCache()
    released = anyio.Event()
    found = []

    async def load() -> int:
        await released.wait()
        return 1

    async def ask() -> None:
        found.append(await cache.aget_or_load("a", load))

    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as leader:
            leader.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            leader.cancel_scope.cancel()
        released.set()
    assert (found, cache.get("a"), cache.get_stats().loads) == ([1], 1, 1)


@pytest.mark.anyio
async def test_load_is_cancelled_with_the_last_task_that_waits() -> None:
    cache: LRUCache[str, int] = LRUCache()
    ended = anyio.Event()

    async def load() -> int:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return 1  # pragma: no cover

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(cache.aget_or_load, "a", load)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    async def succeed() -> int:
        return 2

    assert await cache.aget_or_load("a", succeed) == 2  # joins nothing that is ending
    await ended.wait()
    await anyio.wait_all_tasks_blocked()
    assert (cache.get("a"), cache.get_stats().load_errors) == (2, 1)
    assert not cache._async_flights._running


@pytest.mark.anyio
async def test_caller_that_comes_right_after_the_last_one_left_joins_no_dying_load() -> None:
    cache: LRUCache[str, int] = LRUCache()
    found = []

    async def succeed() -> int:
        return 2

    async def ask_twice() -> None:
        try:
            await cache.aget_or_load("a", anyio.sleep_forever)  # type: ignore[arg-type]
        finally:
            with anyio.CancelScope(shield=True):
                found.append(await cache.aget_or_load("a", succeed))

    async with anyio.create_task_group() as group:
        group.start_soon(ask_twice)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert found == [2]


@pytest.mark.anyio
async def test_load_that_was_cancelled_from_outside_is_an_error_for_who_waits() -> None:
    cache: LRUCache[str, int] = LRUCache()
    caught = []

    async def ask() -> None:
        with pytest.raises(SdkWorkflowError) as info:
            await cache.aget_or_load("a", anyio.sleep_forever)  # type: ignore[arg-type]
        caught.append(info.value.code)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        (flight,) = cache._async_flights._running
        flight.task.cancel()  # type: ignore[attr-defined]
    assert caught == ["load_interrupted"]


@pytest.mark.anyio
async def test_async_loader_that_asks_for_its_own_key_is_an_error() -> None:
    cache: LRUCache[str, int] = LRUCache()

    async def load() -> int:
        return await cache.aget_or_load("a", load)

    with pytest.raises(UsageError) as caught:
        await cache.aget_or_load("a", load)
    assert caught.value.code == "load_circle"


@pytest.mark.anyio
async def test_two_async_loads_that_need_each_other_end_with_an_error() -> None:
    cache: LRUCache[str, int] = LRUCache()
    errors: list[str] = []

    async def load(needed: str) -> int:
        await anyio.wait_all_tasks_blocked()
        return await cache.aget_or_load(needed, partial(load, needed))

    async def ask(key: str, needed: str) -> None:
        try:
            await cache.aget_or_load(key, partial(load, needed))
        except UsageError as error:
            errors.append(error.code)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "a", "b")
        group.start_soon(ask, "b", "a")
    assert errors == ["load_circle", "load_circle"]


@pytest.mark.anyio
async def test_task_that_missed_just_before_the_load_ended_does_not_load_again() -> None:
    cache: LRUCache[str, int] = LRUCache()
    run = cache._async_flights.run
    cache._async_flights.run = partial(_loaded_meanwhile, cache, run)  # type: ignore[method-assign]

    async def load() -> int:
        pytest.fail("loaded")

    assert await cache.aget_or_load("a", load) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("act", ["invalidate", "clear", "set"])
async def test_value_whose_key_changed_during_an_async_load_is_not_stored(act: str) -> None:
    cache: LRUCache[str, int] = LRUCache()

    async def load() -> int:
        change(cache, act)
        return 1

    assert await cache.aget_or_load("a", load) == 1
    assert cache.get("a") == (2 if act == "set" else None)


def test_each_event_loop_has_its_own_load_and_all_share_the_entries() -> None:
    cache: LRUCache[str, int] = LRUCache()
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    async def load() -> int:
        await anyio.to_thread.run_sync(both.wait)
        return 1

    async def ask() -> int:
        return await cache.aget_or_load("a", load)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(anyio.run, ask) for _ in range(2)]
        assert [future.result(PATIENCE_SECONDS) for future in futures] == [1, 1]
    assert (cache.get_stats().loads, anyio.run(ask)) == (2, 1)
    assert not cache._async_flights.by_key


def test_task_is_spawned_by_trio_where_the_loop_is_not_asyncio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lowlevel:
        @staticmethod
        def spawn_system_task(function: Any, *, context: Context) -> Any:
            return context.run(function)

    class Trio:
        lowlevel = Lowlevel

    monkeypatch.setitem(sys.modules, "trio", Trio)
    assert async_single_flight._spawn(object(), lambda: "started") == "started"  # type: ignore[arg-type,return-value]

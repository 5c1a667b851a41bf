from __future__ import annotations

import gc
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Thread

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from sdk_workflow._internal import per_loop as module
from sdk_workflow._internal.per_loop import PerLoop


class Resource:
    """Remembers how often it was closed."""

    def __init__(self) -> None:
        self.closed_count = 0

    async def close(self) -> None:
        self.closed_count += 1


def per_loop(opened: list[Resource]) -> PerLoop[Resource]:
    def open_resource() -> Resource:
        opened.append(Resource())
        return opened[-1]

    return PerLoop(open_resource, Resource.close)


@pytest.mark.anyio
async def test_one_loop_opens_one_resource_however_many_tasks_ask_at_once() -> None:
    opened: list[Resource] = []
    resources = per_loop(opened)
    found: list[Resource] = []

    async def ask() -> None:
        found.append(await resources.get())

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)

    assert found == opened * 5
    await resources.aclose()


@pytest.mark.anyio
async def test_closing_closes_once_and_the_next_use_opens_anew() -> None:
    opened: list[Resource] = []
    resources = per_loop(opened)
    await resources.get()

    await resources.aclose()
    await resources.aclose()
    await resources.get()

    assert [resource.closed_count for resource in opened] == [1, 0]
    await resources.aclose()


@pytest.mark.anyio
async def test_closing_what_was_never_opened_does_nothing() -> None:
    opened: list[Resource] = []

    await per_loop(opened).aclose()

    assert opened == []


def test_two_loops_at_once_have_a_resource_each() -> None:
    opened: list[Resource] = []
    resources = per_loop(opened)
    with start_blocking_portal() as first, start_blocking_portal() as second:
        found = [portal.call(resources.get) for portal in (first, second, first, second)]

    assert found == [*opened, *opened]
    assert len(opened) == 2


def test_end_of_a_loop_closes_its_resource_alone() -> None:
    opened: list[Resource] = []
    resources = per_loop(opened)
    with start_blocking_portal() as longer:
        longer.call(resources.get)
        anyio.run(resources.get)
        gc.collect()

        assert [resource.closed_count for resource in opened] == [0, 1]

    assert [resource.closed_count for resource in opened] == [1, 1]


def test_two_owners_in_one_loop_do_not_share() -> None:
    async def use() -> tuple[Resource, Resource]:
        return await per_loop([]).get(), await per_loop([]).get()

    first, second = anyio.run(use)

    assert first is not second


@pytest.mark.anyio
async def test_failure_to_open_leaves_nothing_behind() -> None:
    outcomes = iter([OSError("no more sockets"), None])

    def open_resource() -> Resource:
        error = next(outcomes)
        if error is not None:
            raise error
        return Resource()

    resources = PerLoop(open_resource, Resource.close)

    with pytest.raises(OSError, match="no more sockets"):
        await resources.get()
    assert (await resources.get()).closed_count == 0
    await resources.aclose()


def test_two_threads_that_come_first_together_share_one_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Barrier(2)

    def name_slowly(_kind: str) -> str:
        with suppress(BrokenBarrierError):
            both.wait(timeout=0.2)  # met only where both are inside
        return "name"

    monkeypatch.setattr(module, "new_id", name_slowly)
    resources = per_loop([])
    found: list[object] = []
    threads = [Thread(target=lambda: found.append(resources._variable())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]

"""Identical calls at the same moment, over several event loops and threads."""

from __future__ import annotations

import os
import threading

import anyio
import pytest

from sdk_workflow.core.caching.shared_calls import (
    ABANDONED,
    SharedCalls,
    leading,
    leads_a_call,
)

pytestmark = pytest.mark.anyio


async def test_whoever_waits_gets_the_first_outcome() -> None:
    calls = SharedCalls()
    call, _ = calls.join("key")
    outcomes: list[object] = []

    async def wait() -> None:
        outcomes.append(await call.wait())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        error = ValueError()
        calls.end("key", call, error)
        calls.end("key", call, None)
    assert outcomes == [error] * 3
    assert await call.wait() is error


async def test_a_call_that_was_ended_does_not_end_the_next_one_of_its_key() -> None:
    calls = SharedCalls()
    first, _ = calls.join("key")
    calls.end("key", first, None)
    second, makes_it = calls.join("key")
    calls.end("key", first, None)
    assert makes_it
    assert calls.join("key") == (second, False)


async def test_a_waiter_whose_loop_is_gone_disturbs_nobody() -> None:
    calls = SharedCalls()
    call, _ = calls.join("key")

    async def give_up() -> None:
        with anyio.move_on_after(0):
            await call.wait()

    thread = threading.Thread(target=lambda: anyio.run(give_up))
    thread.start()
    thread.join(timeout=10)
    outcomes: list[object] = []

    async def wait() -> None:
        outcomes.append(await call.wait())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        calls.end("key", call, None)
    assert outcomes == [None]


def test_loops_in_other_threads_are_woken() -> None:
    calls = SharedCalls()
    call, _ = calls.join("key")
    outcomes: list[object] = []
    waiting = threading.Barrier(4)

    async def wait() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note)
            await anyio.wait_all_tasks_blocked()
            waiting.wait(timeout=10)

    async def note() -> None:
        outcomes.append(await call.wait())

    threads = [threading.Thread(target=lambda: anyio.run(wait)) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait(timeout=10)
    calls.end("key", call, ABANDONED)
    for thread in threads:
        thread.join(timeout=10)
    assert outcomes == [ABANDONED] * 3


def test_inside_a_call_one_leads_until_it_is_over() -> None:
    calls = SharedCalls()
    call, _ = calls.join("key")
    assert not leads_a_call()
    with leading(call):
        assert leads_a_call()
        calls.end("key", call, None)
        assert not leads_a_call()
    assert not leads_a_call()


def test_renewed_it_forgets_the_calls_that_nobody_makes() -> None:
    calls = SharedCalls()
    calls.join("key")
    calls.renew()
    assert calls.join("key")[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_makes_its_calls_itself() -> None:
    calls = SharedCalls()
    calls.join("key")
    child = os.fork()
    if child == 0:
        os._exit(0 if calls.join("key")[1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not calls.join("key")[1]

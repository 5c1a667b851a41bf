from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.exceptions import SdkWorkflowError, UsageError

PATIENCE_SECONDS = 20.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def change(cache: LRUCache[str, int], act: str) -> None:
    if act == "invalidate":
        cache.invalidate("a")
    elif act == "clear":
        cache.clear()
    else:
        cache.set("a", 2)


def wait_for(condition: Any) -> None:
    event = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 1000)):
        if condition():
            return
        event.wait(0.001)
    pytest.fail("It did not come to this.")


def test_thousand_threads_on_one_absent_key_cause_one_load() -> None:
    cache: LRUCache[str, object] = LRUCache()
    released = threading.Event()

    def load() -> object:
        assert released.wait(PATIENCE_SECONDS)
        return object()

    with ThreadPoolExecutor(1000) as pool:
        futures = [pool.submit(cache.get_or_load, "a", load) for _ in range(1000)]
        wait_for(lambda: cache.get_stats().misses == 1000)
        released.set()
        assert len({id(future.result(PATIENCE_SECONDS)) for future in futures}) == 1
    stats = cache.get_stats()
    assert (stats.loads, stats.misses, stats.hits, stats.load_errors) == (1, 1000, 0, 0)


def test_loads_of_different_keys_run_beside_each_other() -> None:
    cache: LRUCache[str, int] = LRUCache()
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(cache.get_or_load, key, both.wait) for key in ("a", "b")]
        assert sorted(future.result() for future in futures) == [0, 1]


def test_thread_that_missed_just_before_the_load_ended_does_not_load_again() -> None:
    cache: LRUCache[str, int] = LRUCache()
    cache._flights.run = partial(_loaded_meanwhile, cache, cache._flights.run)  # type: ignore[method-assign]
    assert cache.get_or_load("a", partial(pytest.fail, "loaded")) == 1


def _loaded_meanwhile(cache: LRUCache[str, int], run: Any, key: str, **options: Any) -> Any:
    cache.set(key, 1)
    return run(key, **options)


def test_error_of_a_loader_reaches_every_waiter_and_is_not_stored() -> None:
    cache: LRUCache[str, int] = LRUCache()
    started, released = threading.Event(), threading.Event()

    def fail() -> int:
        started.set()
        assert released.wait(PATIENCE_SECONDS)
        raise ValueError("no")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(cache.get_or_load, "a", fail)
        assert started.wait(PATIENCE_SECONDS)
        others = [pool.submit(cache.get_or_load, "a", lambda: 1) for _ in range(2)]
        wait_for(lambda: cache.get_stats().misses == 3)
        event = threading.Event()
        event.wait(0.02)  # the others are about to wait
        released.set()
        for future in (first, *others):
            with pytest.raises(ValueError, match="no"):
                future.result(PATIENCE_SECONDS)
    assert cache.get_or_load("a", lambda: 2) == 2
    assert (cache.get_stats().loads, cache.get_stats().load_errors) == (2, 1)


def test_interrupted_loader_does_not_interrupt_the_waiting_threads() -> None:
    cache: LRUCache[str, int] = LRUCache()
    started, released = threading.Event(), threading.Event()

    def interrupted() -> int:
        started.set()
        assert released.wait(PATIENCE_SECONDS)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_load, "a", interrupted)
        assert started.wait(PATIENCE_SECONDS)
        other = pool.submit(cache.get_or_load, "a", lambda: 1)
        wait_for(lambda: cache.get_stats().misses == 2)
        threading.Event().wait(0.02)
        released.set()
        with pytest.raises(KeyboardInterrupt):
            first.result(PATIENCE_SECONDS)
        with pytest.raises(SdkWorkflowError, match="interrupted") as caught:
            other.result(PATIENCE_SECONDS)
    assert (caught.value.code, caught.value.retryable) == ("load_interrupted", True)
    assert cache.get_or_load("a", lambda: 3) == 3


def test_loader_that_asks_for_its_own_key_is_an_error() -> None:
    cache: LRUCache[str, int] = LRUCache()
    with pytest.raises(UsageError) as caught:
        cache.get_or_load("a", lambda: cache.get_or_load("a", lambda: 1))
    assert caught.value.code == "load_circle"
    assert cache.get_or_load("a", lambda: 2) == 2


def test_loader_that_reaches_its_own_key_through_another_one_is_an_error() -> None:
    cache: LRUCache[str, int] = LRUCache()
    other: LRUCache[str, int] = LRUCache()
    with pytest.raises(UsageError):
        cache.get_or_load("a", lambda: other.get_or_load("b", lambda: cache.get_or_load("a", int)))


def test_loader_may_load_other_keys() -> None:
    cache: LRUCache[str, int] = LRUCache()

    def load() -> int:
        return sum(cache.get_or_load(key, lambda: 1) for key in ("b", "c", "b"))

    assert cache.get_or_load("a", load) == 3
    assert cache.get_stats().loads == 3


def test_two_loads_that_need_each_other_end_with_an_error() -> None:
    cache: LRUCache[str, int] = LRUCache()
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def load(needed: str) -> int:
        both.wait()
        return cache.get_or_load(needed, partial(pytest.fail, "loaded"))

    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(contextvars.copy_context().run, cache.get_or_load, key, partial(load, need))
            for key, need in (("a", "b"), ("b", "a"))
        ]
        errors = [future.exception(PATIENCE_SECONDS) for future in futures]
    assert {type(error) for error in errors} == {UsageError}


def test_waiting_for_another_thread_ends_at_its_time_limit() -> None:
    cache: LRUCache[str, int] = LRUCache()
    started, released = threading.Event(), threading.Event()

    def load() -> int:
        started.set()
        return int(released.wait(PATIENCE_SECONDS))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(cache.get_or_load, "a", load)
        assert started.wait(PATIENCE_SECONDS)
        with pytest.raises(SdkWorkflowError, match=r"for over 0\.01 s") as caught:
            cache.get_or_load("a", int, timeout_seconds=0.01)
        released.set()
        assert (future.result(PATIENCE_SECONDS), caught.value.code) == (1, "load_timeout")


@pytest.mark.parametrize("act", ["invalidate", "clear", "set"])
def test_value_whose_key_changed_during_the_load_is_returned_but_not_stored(act: str) -> None:
    cache: LRUCache[str, int] = LRUCache()

    def load() -> int:
        change(cache, act)
        return 1

    assert cache.get_or_load("a", load) == 1
    assert cache.get("a") == (2 if act == "set" else None)


def test_caller_after_an_invalidation_does_not_join_the_load_before_it() -> None:
    cache: LRUCache[str, int] = LRUCache()
    started, released = threading.Event(), threading.Event()

    def old() -> int:
        started.set()
        assert released.wait(PATIENCE_SECONDS)
        return 1

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(cache.get_or_load, "a", old)
        assert started.wait(PATIENCE_SECONDS)
        cache.invalidate("a")
        assert cache.get_or_load("a", lambda: 2, timeout_seconds=0.01) == 2
        released.set()
        assert future.result(PATIENCE_SECONDS) == 1
    assert cache.get("a") == 2


def test_lifetime_of_a_loaded_value_starts_at_the_end_of_the_load(clock: VirtualClock) -> None:
    cache: LRUCache[str, int] = LRUCache(clock=clock)

    def load() -> int:
        clock.advance(100)
        return 1

    cache.get_or_load("a", load, ttl=10)
    clock.advance(9)
    assert cache.get("a") == 1
    clock.advance(1)
    assert cache.get("a") is None
    assert cache.get_stats().load_seconds == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_of_a_fork_finds_free_locks_no_flights_and_the_entries() -> None:
    # In a process of its own: pytest's may have other threads.
    program = """
import os, threading, warnings
warnings.simplefilter("ignore")
from sdk_workflow.core.lru_cache import LRUCache
cache = LRUCache()
cache.set("kept", 1)
started, released = threading.Event(), threading.Event()
def load():
    with cache._lock, cache._flights._lock, cache._async_flights._lock, cache._hits._lock:
        cache._weight = 99
        started.set()
        released.wait(20)
        cache._weight = 1
thread = threading.Thread(target=lambda: cache.get_or_load("a", load))
thread.start()
started.wait(20)
child = os.fork()
if not child:
    cache.set("b", 2)
    good = cache.get_or_load("a", lambda: 5, timeout_seconds=5) == 5 and cache.get("kept") == 1
    cache.invalidate("b")
    os._exit(0 if good and cache.get_stats().weight == 2 and cache.get_stats().hits == 1 else 1)
status = os.waitpid(child, 0)[1]
released.set()
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    result = subprocess.run([sys.executable, "-c", program], timeout=PATIENCE_SECONDS, check=False)
    assert result.returncode == 0

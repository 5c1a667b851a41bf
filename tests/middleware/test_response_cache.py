"""The response cache around a call: one of many identical calls is sent, none gets a wrong answer."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.reply_builder import ReplyBuilder
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.events import CacheLookedUp
from sdk_workflow.exceptions import OverloadedError, RequestRejected
from sdk_workflow.middleware.response_cache import ResponseCacheMiddleware
from sdk_workflow.types import Usage
from tests.caching.fakes import answer, ask, cached

if TYPE_CHECKING:
    from sdk_workflow.events import Event
    from sdk_workflow.types import Call, Reply, StreamEvent
    from tests.caching.fakes import Cached

pytestmark = pytest.mark.anyio

QUESTION = ask("Is it so?")
SIMILAR = ask("Is it really so?")


class Model:
    """Answers when it is let go; notes what it was asked."""

    def __init__(self, *script: Any, is_open: bool = True) -> None:
        self.script = list(script)
        self.calls: list[Call] = []
        self.gate = anyio.Event()
        if is_open:
            self.gate.set()

    async def was_asked(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.calls) < count:
                await anyio.lowlevel.checkpoint()

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        await self.gate.wait()
        item = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(item, BaseException):
            raise item
        if call.emit is not None:
            await call.emit({"type": "ping"})
        return item  # type: ignore[no-any-return]


class Listener:
    """Collects the events of a streamed reply."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[StreamEvent] = []
        self.error = error

    async def __call__(self, event: StreamEvent) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)

    def reply(self) -> Reply:
        builder = ReplyBuilder()
        for event in self.events:
            builder.add(event)
        return builder.finish()


def layer(parts: Cached, **options: Any) -> ResponseCacheMiddleware:
    return ResponseCacheMiddleware(parts.manager, **options)


async def gathered(count: int, run: Any) -> list[Any]:
    """Run `count` calls at once and return what each came to, errors included."""
    results: list[Any] = []

    async def one() -> None:
        try:
            results.append(await run())
        except Exception as error:  # noqa: BLE001 - it is what the call came to
            results.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    return results


async def test_the_second_identical_call_is_not_sent() -> None:
    model, cache = Model(answer("Yes.")), layer(cached())
    first, second = [await cache(QUESTION, model) for _ in range(2)]
    assert first is model.script[0]
    assert (second.text, second.served_by, second.usage) == ("Yes.", "lru", Usage())
    assert len(model.calls) == 1


async def test_a_similar_call_is_answered_by_the_semantic_tier() -> None:
    parts, model = cached(), Model(answer("Yes."))
    cache = layer(parts)
    await cache(QUESTION, model)
    parts.semantic.finds["Is it really so?"] = "HIT"
    assert (await cache(SIMILAR, model)).served_by == "semantic"
    assert len(model.calls) == 1


async def test_a_pair_to_verify_is_sent_and_its_fresh_answer_labels_it() -> None:
    parts, model = cached(), Model(answer("It is so."))
    cache = layer(parts)
    await cache(QUESTION, model)
    parts.semantic.finds["Is it really so?"] = "VERIFY"
    reply = await cache(SIMILAR, model)
    assert (reply.served_by, len(model.calls)) == ("api", 2)
    assert parts.semantic.right == ["pair_1"]
    assert len(parts.semantic.stored) == 2


async def test_a_thousand_identical_calls_at_once_send_one_request() -> None:
    parts, model = cached(), Model(answer("Yes."), is_open=False)
    cache = layer(parts)

    async def let_go() -> None:
        await anyio.wait_all_tasks_blocked()
        model.gate.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(let_go)
        replies = await gathered(1_000, lambda: cache(QUESTION, model))
    assert len(model.calls) == 1
    assert {reply.text for reply in replies} == {"Yes."}
    assert sorted(reply.served_by for reply in replies) == ["api", *["lru"] * 999]
    assert sum((reply.usage for reply in replies), Usage()) == answer().usage
    report = parts.manager.get_cache_report()
    assert (report["hits"], report["misses"], report["shared"]) == (999, 1, 999)
    assert parts.semantic.asked == [parts.semantic.asked[0]]


async def test_the_answers_of_those_who_waited_are_their_own() -> None:
    model, cache = Model(answer("Yes.")), layer(cached())
    replies = await gathered(3, lambda: cache(QUESTION, model))
    shared = [reply for reply in replies if reply.cache_hit]
    shared[0].content[0]["text"] = "No."
    assert shared[1].text == "Yes."


async def test_those_who_wait_share_a_semantic_hit() -> None:
    parts, model = cached(), Model(answer("Yes."))
    cache = layer(parts)
    await cache(QUESTION, model)
    parts.semantic.finds["Is it really so?"] = "HIT"
    replies = await gathered(5, lambda: cache(SIMILAR, model))
    assert [reply.served_by for reply in replies] == ["semantic"] * 5
    assert len({reply.cache_hit.hit_id for reply in replies}) == 1
    assert (len(parts.semantic.asked), len(model.calls)) == (2, 1)


@pytest.mark.parametrize(
    "error", [OverloadedError("busy"), RequestRejected("no", status=400), KeyError("x")]
)
async def test_an_error_reaches_all_and_is_not_stored(error: Exception) -> None:
    cause = OSError("down")
    error.__cause__ = cause
    parts, model = cached(), Model(error, answer(), is_open=True)
    cache = layer(parts)
    results = await gathered(5, lambda: cache(QUESTION, model))
    assert {type(result) for result in results} == {type(error)}
    assert {str(result) for result in results} == {str(error)}
    assert {result.__cause__ for result in results} == {cause}
    assert len({id(result) for result in results}) == 5
    assert len(model.calls) == 1
    assert (await cache(QUESTION, model)).served_by == "api"
    report = parts.manager.get_cache_report()
    assert (report["misses"], report["hits"]) == (6, 0)


class Uncopyable(Exception):
    """An error that cannot be made again of its own arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


async def test_an_error_that_cannot_be_copied_is_raised_as_it_is() -> None:
    error = Uncopyable("a", "b")
    cache, model = layer(cached()), Model(error)
    assert await gathered(3, lambda: cache(QUESTION, model)) == [error] * 3


async def test_where_the_first_is_cancelled_the_next_one_sends() -> None:
    model, cache = Model(answer("Yes."), is_open=False), layer(cached())
    replies: list[Reply] = []
    first = anyio.CancelScope()

    async def lead() -> None:
        with first:
            await cache(QUESTION, model)

    async def wait() -> None:
        replies.append(await cache(QUESTION, model))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await model.was_asked(1)
        for _ in range(5):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await model.was_asked(2)
        await anyio.wait_all_tasks_blocked()
        assert len(model.calls) == 2
        model.gate.set()
    assert [reply.text for reply in replies] == ["Yes."] * 5
    assert sorted(reply.served_by for reply in replies) == ["api", *["lru"] * 4]


async def test_one_who_stops_waiting_disturbs_nobody() -> None:
    model, cache = Model(answer("Yes."), is_open=False), layer(cached())
    replies: list[Reply] = []

    async def wait() -> None:
        replies.append(await cache(QUESTION, model))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await cache(QUESTION, model)
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        model.gate.set()
    assert len(replies) == 2
    assert len(model.calls) == 1


async def test_an_answer_that_may_not_be_kept_is_not_shared() -> None:
    model, cache = Model(answer(stop_reason="max_tokens")), layer(cached())
    replies = await gathered(4, lambda: cache(QUESTION, model))
    assert [reply.served_by for reply in replies] == ["api"] * 4
    assert len(model.calls) == 4


async def test_those_who_share_no_answer_are_sent_at_once_and_not_one_after_another() -> None:
    cut = answer(stop_reason="max_tokens")
    model, cache = Model(cut, is_open=False), layer(cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache, QUESTION, model)
        await model.was_asked(1)
        for _ in range(4):
            tasks.start_soon(cache, QUESTION, model)
        await anyio.wait_all_tasks_blocked()
        model.gate.set()
        model.gate = anyio.Event()
        await model.was_asked(5)
        model.gate.set()


async def test_one_that_sent_by_itself_stores_what_it_may() -> None:
    parts = cached()
    model = Model(answer(stop_reason="max_tokens"), answer("Yes."))
    cache = layer(parts)
    await gathered(2, lambda: cache(QUESTION, model))
    assert (await cache(QUESTION, model)).text == "Yes."
    assert len(model.calls) == 2
    assert len(parts.semantic.stored) == 1


async def test_different_calls_wait_for_nobody() -> None:
    model, cache = Model(answer()), layer(cached())
    calls = iter([QUESTION, SIMILAR, dataclasses.replace(QUESTION, tenant="t")])
    await gathered(3, lambda: cache(next(calls), model))
    assert len(model.calls) == 3


async def test_a_call_that_may_not_be_cached_goes_straight_on() -> None:
    parts, model = cached(), Model(answer())
    cache = layer(parts)
    call = ask("Hi", parameters={"temperature": 1})
    await gathered(3, lambda: cache(call, model))
    assert len(model.calls) == 3
    assert all(sent is call for sent in model.calls)
    report = parts.manager.get_cache_report()
    assert (report["skipped"], report["not_stored"]) == (3, {})


async def test_a_call_inside_itself_does_not_wait_for_itself() -> None:
    cache, model = layer(cached()), Model(answer("Yes."))

    async def nested(call: Call) -> Reply:
        return await cache(call, model)

    with anyio.fail_after(5):
        assert (await cache(QUESTION, nested)).text == "Yes."
    assert len(model.calls) == 1


async def test_two_calls_inside_each_other_do_not_wait_for_each_other() -> None:
    cache, model = layer(cached()), Model(answer("Yes."))
    both = anyio.Event()
    started: list[Call] = []

    async def nested(call: Call) -> Reply:
        started.append(call)
        if len(started) == 2:
            both.set()
        await both.wait()
        return await cache(SIMILAR if call is QUESTION else QUESTION, model)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache, QUESTION, nested)
            tasks.start_soon(cache, SIMILAR, nested)
    assert len(model.calls) == 2


def test_threads_with_loops_of_their_own_share_one_call() -> None:
    parts = cached()
    cache = layer(parts)
    sent: list[Call] = []
    release = threading.Event()
    replies: list[Reply] = []

    async def send(call: Call) -> Reply:
        sent.append(call)
        await anyio.to_thread.run_sync(release.wait)
        return answer("Yes.")

    async def run() -> None:
        replies.extend(await gathered(5, lambda: cache(QUESTION, send)))

    threads = [threading.Thread(target=lambda: anyio.run(run)) for _ in range(4)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(timeout=30)
    assert len(sent) == 1
    assert [reply.text for reply in replies] == ["Yes."] * 20


async def test_what_another_thread_stored_just_before_is_found() -> None:
    parts, model = cached(), Model(answer())
    cache = layer(parts)
    join = cache._calls.join

    def late(key: str) -> Any:
        parts.manager.cache_response(QUESTION, answer("Just stored."))
        return join(key)

    cache._calls.join = late  # type: ignore[method-assign]
    assert (await cache(QUESTION, model)).text == "Just stored."
    assert model.calls == []


async def test_a_hit_of_a_streaming_call_is_replayed() -> None:
    model, cache, listener = Model(answer("Yes. " * 100)), layer(cached()), Listener()
    await cache(QUESTION, model)
    reply = await cache(dataclasses.replace(QUESTION, emit=listener), model)
    again = listener.reply()
    assert (again.content, again.id, again.stop_reason) == (reply.content, reply.id, "end_turn")
    assert again.usage == reply.usage == Usage()
    assert len(model.calls) == 1


async def test_a_streamed_reply_is_stored_once_it_is_complete() -> None:
    model, cache, listener = Model(answer("Yes.")), layer(cached()), Listener()
    await cache(dataclasses.replace(QUESTION, emit=listener), model)
    assert [event["type"] for event in listener.events] == ["ping"]
    assert (await cache(QUESTION, model)).served_by == "lru"


async def test_those_who_wait_for_a_streamed_call_get_its_events_replayed() -> None:
    model, cache = Model(answer("Yes."), is_open=False), layer(cached())
    listeners = [Listener() for _ in range(3)]

    async with anyio.create_task_group() as tasks:
        for listener in listeners:
            tasks.start_soon(cache, dataclasses.replace(QUESTION, emit=listener), model)
        await anyio.wait_all_tasks_blocked()
        model.gate.set()
    assert len(model.calls) == 1
    assert [each.reply().text for each in listeners if len(each.events) > 1] == ["Yes."] * 2


async def test_a_listener_that_fails_is_the_fault_of_its_own_call() -> None:
    model, cache = Model(answer("Yes."), is_open=False), layer(cached())
    broken = dataclasses.replace(QUESTION, emit=Listener(ValueError("mine")))
    results: list[Any] = []

    async def run(call: Call) -> None:
        results.extend(await gathered(1, lambda: cache(call, model)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, broken)
        await model.was_asked(1)
        tasks.start_soon(run, QUESTION)
        await anyio.wait_all_tasks_blocked()
        model.gate.set()
    assert [str(result) for result in results if isinstance(result, Exception)] == ["mine"]
    assert [result.text for result in results if not isinstance(result, Exception)] == ["Yes."]
    assert len(model.calls) == 2


async def test_an_error_of_a_streamed_call_reaches_those_who_wait() -> None:
    model, cache = Model(OverloadedError("busy")), layer(cached())
    call = dataclasses.replace(QUESTION, emit=Listener())
    results = await gathered(3, lambda: cache(call, model))
    assert [type(result) for result in results] == [OverloadedError] * 3
    assert len(model.calls) == 1


def told(events: list[Event]) -> list[tuple[str, str, str | None]]:
    found = [event for event in events if isinstance(event, CacheLookedUp)]
    return [(event.tier, event.outcome, event.reason) for event in found]


async def test_each_tier_that_was_asked_is_told_of() -> None:
    parts, model, events = cached(), Model(answer()), list[Any]()
    cache = layer(parts, on_event=events.append)
    call = dataclasses.replace(QUESTION, session_id="s")
    await cache(call, model)
    await cache(call, model)
    parts.semantic.finds.update({"Is it really so?": "HIT", "Is it not so?": "negation"})
    await cache(SIMILAR, model)
    await cache(ask("Is it not so?"), model)
    await cache(ask("What is new today?"), model)
    await cache(ask("x", parameters={"temperature": 1}), model)
    assert told(events) == [
        ("lru", "miss", "absent"),
        ("semantic", "miss", "absent"),
        ("lru", "hit", None),
        ("lru", "miss", "absent"),
        ("semantic", "hit", None),
        ("lru", "miss", "absent"),
        ("semantic", "miss", "negation"),
        ("lru", "miss", "absent"),
        ("semantic", "skipped", "volatile"),
        ("lru", "skipped", "temperature"),
    ]
    assert {event.session_id for event in events[:3]} == {"s"}
    assert events[0].call is call


async def test_a_tier_that_is_not_there_is_not_told_of() -> None:
    events: list[Any] = []
    manager = CacheManager(LRUCache(), None, None)
    cache = ResponseCacheMiddleware(manager, on_event=events.append)
    await cache(QUESTION, Model(answer()))
    assert told(events) == [("lru", "miss", "absent")]


async def test_without_an_exact_tier_identical_calls_are_shared_all_the_same() -> None:
    cache = ResponseCacheMiddleware(CacheManager(None, None, None))
    model = Model(answer("Yes."))
    replies = await gathered(3, lambda: cache(QUESTION, model))
    assert [reply.text for reply in replies] == ["Yes."] * 3
    assert len(model.calls) == 1
    await cache(QUESTION, model)
    assert len(model.calls) == 2


async def test_an_event_says_what_a_hit_saved() -> None:
    from sdk_workflow.config.models import ModelCatalog

    catalog = ModelCatalog.load()
    events: list[Any] = []
    cache = layer(cached(catalog=catalog), on_event=events.append)
    for _ in range(2):
        await cache(QUESTION, Model(answer()))
    price = catalog.price("claude-haiku-5-5", answer().usage)
    assert price is not None
    assert [event.saved_usd for event in events] == [0.0, 0.0, price.usd]


async def test_no_event_and_no_log_holds_text_of_the_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts, events = cached(), list[Any]()
    cache = layer(parts, on_event=events.append)
    parts.semantic.error = RuntimeError("a secret")
    with caplog.at_level(logging.DEBUG):
        await cache(ask("a secret question"), Model(answer("a secret answer")))
    parts.semantic.error = None
    with caplog.at_level(logging.DEBUG):
        await cache(ask("a secret question"), Model(answer("a secret answer")))
    reasons = [event.reason for event in events]
    assert "secret" not in f"{reasons} {caplog.text}"

"""The cascade: exact match, then semantic match, and only what the rules allow."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core import forks
from sdk_workflow.core.cache_manager import CacheManager
from sdk_workflow.core.caching.eligibility import EligibilityRules
from sdk_workflow.core.lru_cache import LRUCache
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Call, Usage
from tests.caching.fakes import NOW, SECRET, FakeSemantic, answer, ask, cached

if TYPE_CHECKING:

    from sdk_workflow.types import Reply

QUESTION = ask("Is it so?")
SIMILAR = ask("Is it really so?")
REQUEST = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Is it so?"}]}
MESSAGE = {"id": "msg_1", "type": "message", "model": "m", "stop_reason": "end_turn",
           "content": [{"type": "text", "text": "Yes."}], "usage": {"output_tokens": 2},
           "of_tomorrow": [1]}  # fmt: skip


def hit_of(manager: CacheManager, call: Call = QUESTION) -> Reply:
    reply = manager.get_cached_response(call)
    assert reply is not None
    return reply  # type: ignore[no-any-return]


def test_an_empty_cache_answers_nothing() -> None:
    assert cached().manager.get_cached_response(QUESTION) is None


def test_an_answer_comes_back_marked_and_free() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer("Yes."))
    parts.clock.advance(7)
    reply = hit_of(parts.manager)
    assert (reply.text, reply.served_by, reply.usage) == ("Yes.", "lru", Usage())
    assert reply.cache_hit is not None
    assert (reply.cache_hit.tier, reply.cache_hit.age_seconds) == ("lru", 7)
    assert reply.cache_hit.usage == answer().usage


def test_a_dictionary_gets_the_message_as_it_was_stored() -> None:
    manager = cached().manager
    manager.cache_response(REQUEST, MESSAGE)
    assert manager.get_cached_response(REQUEST) == MESSAGE
    assert hit_of(manager, Call.from_params(REQUEST)).text == "Yes."


def test_a_similar_question_is_answered_by_the_semantic_tier() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer("Yes."))
    parts.semantic.finds["Is it really so?"] = "HIT"
    reply = hit_of(parts.manager, SIMILAR)
    assert (reply.text, reply.served_by) == ("Yes.", "semantic")
    assert reply.cache_hit is not None
    assert reply.cache_hit.similarity == 0.97


def test_the_semantic_tier_is_asked_inside_one_scope_only() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "HIT"
    for other in (
        dataclasses.replace(SIMILAR, tenant="other"),
        dataclasses.replace(SIMILAR, system="Lie."),
        dataclasses.replace(SIMILAR, model="claude-opus-5-5"),
        dataclasses.replace(SIMILAR, max_tokens=1),
        dataclasses.replace(
            SIMILAR, messages=({"role": "user", "content": "Hm."}, *SIMILAR.messages)
        ),
    ):
        assert parts.manager.get_cached_response(other) is None


@pytest.mark.parametrize("outcome", ["MISS", "VERIFY", "negation"])
def test_anything_but_a_hit_of_the_semantic_tier_is_a_miss(outcome: str) -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = outcome
    assert parts.manager.get_cached_response(SIMILAR) is None
    report = parts.manager.get_cache_report()
    assert report["vetoes"] == ({"negation": 1} if outcome == "negation" else {})
    assert (report["hits"], report["misses"]) == (0, 1)


@pytest.mark.parametrize(
    ("fresh", "right", "wrong"),
    [("it is so", ["pair_1"], []), ("No, not at all.", [], [])],
)
def test_a_fresh_answer_labels_a_pair_only_where_it_has_the_same_words(
    fresh: str, right: list[str], wrong: list[str]
) -> None:
    parts = cached()
    cascade = parts.manager.cascade
    parts.manager.cache_response(QUESTION, answer("It is so."))
    parts.semantic.finds["Is it really so?"] = "VERIFY"
    look = cascade.look_semantic(cascade.look_exact(SIMILAR))
    kept = cascade.keep(look, answer(fresh))
    assert not isinstance(kept, str)
    cascade.learn(look, kept)
    assert (parts.semantic.right, parts.semantic.wrong) == (right, wrong)


def test_a_judge_of_ones_own_may_say_that_a_pair_is_wrong() -> None:
    compared: list[tuple[str, str]] = []

    def judge(old: str, new: str) -> bool:
        compared.append((old, new))
        return False

    parts = cached(judge=judge)
    cascade = parts.manager.cascade
    parts.manager.cache_response(QUESTION, answer("Yes."))
    parts.semantic.finds["Is it really so?"] = "VERIFY"
    look = cascade.look_semantic(cascade.look_exact(SIMILAR))
    kept = cascade.keep(look, answer("No."))
    assert not isinstance(kept, str)
    cascade.learn(look, kept)
    assert compared == [("Yes.", "No.")]
    assert parts.semantic.wrong == ["pair_1"]


def test_a_reply_lives_as_long_as_it_is_told_to() -> None:
    parts = cached(ttl_seconds=50)
    parts.manager.cache_response(QUESTION, answer())
    assert parts.semantic.ttls == [50]
    parts.clock.advance(49)
    assert hit_of(parts.manager).text
    parts.clock.advance(1)
    assert parts.lru.purge_expired() == 1
    assert parts.manager.get_cached_response(QUESTION) is None


def test_an_answer_about_the_present_lives_shortly_and_in_the_exact_tier_only() -> None:
    parts = cached(ttl_seconds=5_000)
    call = ask("What is the latest news?")
    parts.manager.cache_response(call, answer())
    assert parts.semantic.stored == {}
    parts.clock.advance(59)
    assert hit_of(parts.manager, call).text
    parts.clock.advance(1)
    assert parts.manager.get_cached_response(call) is None
    assert parts.semantic.asked == []


def test_an_answer_that_outlived_its_time_in_the_semantic_tier_is_not_served() -> None:
    parts = cached(ttl_seconds=50)
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it so?"] = "HIT"
    parts.clock.advance(50)
    assert parts.manager.get_cached_response(QUESTION) is None
    tiers = parts.manager.get_cache_report()["tiers"]
    assert tiers["semantic"]["miss_reasons"] == {"outdated": 1}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(stop_reason="max_tokens"), "stop_reason_max_tokens"),
        (answer(served_by="simulator"), "other_backend"),
        (answer(model="claude-opus-5-5"), "other_model"),
        (dataclasses.replace(answer(), content=({"type": "text", "text": b""},)), "not_json"),
    ],
)
def test_what_may_not_be_kept_is_not_and_counted(response: Any, reason: str) -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, response)
    report = parts.manager.get_cache_report()
    assert (report["stored"], report["not_stored"]) == (0, {reason: 1})
    assert (len(parts.lru), parts.semantic.stored) == (0, {})


def test_a_lifetime_of_nothing_keeps_nothing() -> None:
    manager = cached(eligibility=EligibilityRules(volatile_ttl_seconds=0)).manager
    manager.cache_response(ask("What is new today?"), answer())
    assert manager.get_cache_report()["not_stored"] == {"volatile": 1}


def test_a_hit_that_is_given_back_is_not_stored_again() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.cache_response(QUESTION, hit_of(parts.manager))
    assert parts.manager.get_cache_report()["not_stored"] == {"from_cache": 1}


def test_a_call_that_no_tier_may_know_is_passed_over() -> None:
    parts = cached()
    call = ask("Hi", parameters={"temperature": 1})
    parts.manager.cache_response(call, answer())
    assert parts.manager.get_cached_response(call) is None
    report = parts.manager.get_cache_report()
    assert (report["skipped"], report["misses"], report["hits"]) == (1, 0, 0)
    assert report["tiers"]["lru"]["skipped"] == {"temperature": 1}
    assert report["not_stored"] == {"temperature": 1}


def test_a_request_that_is_no_json_is_passed_over() -> None:
    parts = cached()
    call = ask("Hi", parameters={"x": object()})
    parts.manager.cache_response(call, answer())
    assert parts.manager.get_cached_response(call) is None
    report = parts.manager.get_cache_report()
    assert report["tiers"]["lru"]["skipped"] == {"request_not_keyable": 1}


class Nothing:
    """Rules that let nothing in."""

    def refusal(self, _call: Call, tier: str) -> str | None:
        return f"not_{tier}"

    def ttl_seconds(self, _call: Call) -> float | None:
        return None


def test_a_call_that_ends_in_no_text_is_matched_exactly_only() -> None:
    parts = cached()
    call = dataclasses.replace(
        QUESTION, messages=(*QUESTION.messages, {"role": "assistant", "content": "{"})
    )
    parts.manager.cache_response(call, answer())
    assert hit_of(parts.manager, call).served_by == "lru"
    parts.manager.get_cached_response(dataclasses.replace(call, max_tokens=1))
    assert (parts.semantic.stored, parts.semantic.asked) == ({}, [])


def test_the_rules_can_be_replaced() -> None:
    parts = cached(eligibility=Nothing())
    parts.manager.cache_response(QUESTION, answer())
    assert parts.manager.get_cache_report()["not_stored"] == {"not_lru": 1}


def test_backends_and_addresses_never_share_an_answer() -> None:
    lru: LRUCache[str, Any] = LRUCache()
    options: dict[str, Any] = {"tenant_secret": SECRET}
    one = CacheManager(lru, None, None, backend="simulator", **options)
    one.cache_response(QUESTION, answer(served_by="simulator"))
    assert one.get_cached_response(QUESTION)
    for other in (
        CacheManager(lru, None, None, **options),
        CacheManager(lru, None, None, backend="simulator", namespace="elsewhere", **options),
        CacheManager(lru, None, None, backend="simulator", tenant_secret=b"another secret!!"),
        CacheManager(lru, None, None, backend="simulator"),
    ):
        assert other.get_cached_response(QUESTION) is None


def test_without_an_exact_tier_the_semantic_one_answers() -> None:
    semantic = FakeSemantic(finds={"Is it so?": "HIT"})
    manager = CacheManager(None, semantic, None, tenant_secret=SECRET)
    manager.cache_response(QUESTION, answer())
    assert hit_of(manager).served_by == "semantic"
    report = manager.get_cache_report()
    assert (report["hits"], list(report["tiers"])) == (1, ["semantic"])


def test_without_a_semantic_tier_the_exact_one_answers() -> None:
    manager = CacheManager(LRUCache(), None, None)
    assert manager.get_cached_response(QUESTION) is None
    manager.cache_response(QUESTION, answer())
    assert hit_of(manager).served_by == "lru"
    report = manager.get_cache_report()
    assert (report["hits"], report["misses"], report["breaker"]) == (1, 1, None)
    assert list(report["tiers"]) == ["lru"]


def test_a_semantic_tier_that_fails_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    parts = cached()
    parts.semantic.error = RuntimeError("a secret question")
    with caplog.at_level(logging.WARNING):
        assert parts.manager.get_cached_response(QUESTION) is None
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert parts.manager.get_cache_report()["tiers"]["semantic"]["miss_reasons"] == {"failed": 1}


def test_a_semantic_tier_that_fails_at_every_call_says_so_once_for_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = cached()
    parts.semantic.error = RuntimeError("broken")
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            parts.manager.get_cached_response(ask(f"Question {number}?"))
        parts.semantic.error = ValueError("broken otherwise")
        parts.manager.get_cached_response(QUESTION)
    assert [record.args for record in caplog.records] == [
        ("looked up", "RuntimeError"),
        ("looked up", "ValueError"),
    ]
    assert parts.manager.get_cache_report()["tiers"]["semantic"]["miss_reasons"] == {"failed": 4}


def test_a_judge_that_fails_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def judge(_old: str, _new: str) -> bool:
        raise KeyError("a secret answer")

    parts = cached(judge=judge)
    cascade = parts.manager.cascade
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "VERIFY"
    look = cascade.look_semantic(cascade.look_exact(SIMILAR))
    kept = cascade.keep(look, answer())
    assert not isinstance(kept, str)
    with caplog.at_level(logging.WARNING):
        cascade.learn(look, kept)
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_a_wrong_answer_is_never_served_again_from_any_tier() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer("Wrong."))
    parts.semantic.finds.update({"Is it so?": "HIT", "Is it really so?": "HIT"})
    hit = hit_of(parts.manager).cache_hit
    assert hit is not None
    parts.manager.report_wrong(hit.hit_id)
    assert parts.manager.get_cached_response(QUESTION) is None
    assert parts.manager.get_cached_response(SIMILAR) is None
    parts.clock.advance(1)
    parts.manager.cache_response(QUESTION, answer("Right."))
    assert hit_of(parts.manager).text == hit_of(parts.manager, SIMILAR).text == "Right."
    assert parts.manager.get_cache_report()["tiers"]["lru"]["reported_wrong"] == 1


def test_a_wrong_semantic_hit_is_reported_to_its_tier() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "HIT"
    hit = hit_of(parts.manager, SIMILAR).cache_hit
    assert hit is not None
    parts.manager.report_wrong(hit.hit_id)
    assert parts.semantic.wrong == ["pair_1"]
    assert parts.manager.get_cached_response(SIMILAR) is None
    assert parts.manager.get_cache_report()["tiers"]["semantic"]["reported_wrong"] == 1


@pytest.mark.parametrize("hit_id", ["", "lru", "lru:", "disk:key", "msg_1"])
def test_what_names_no_hit_is_refused(hit_id: str) -> None:
    with pytest.raises(UsageError, match="names no hit"):
        cached().manager.report_wrong(hit_id)


def test_a_wrong_hit_of_a_tier_that_is_gone_is_noted_all_the_same() -> None:
    manager = CacheManager(None, None, None)
    manager.report_wrong("semantic:key:pair")
    manager.report_wrong("lru:key")
    assert manager.get_cache_report()["tiers"] == {}


def test_an_explanation_says_what_each_tier_would_do_and_counts_nothing() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "HIT"
    parts.clock.advance(5)
    known, similar = (parts.manager.explain(call) for call in (QUESTION, SIMILAR))
    assert known.exact is not None
    assert (known.exact.text, known.age_seconds) == ("It is so.", 5)
    assert (similar.exact, similar.exact_refusal, similar.semantic_refusal) == (None, None, None)
    assert similar.match is not None
    assert similar.match.outcome == "HIT"
    assert similar.key is not None
    assert similar.key.text == "Is it really so?"
    volatile = parts.manager.explain(ask("What is new today?"))
    assert (volatile.semantic_refusal, volatile.match) == ("volatile", None)
    refused = parts.manager.explain(ask("Hi", parameters={"temperature": 1}))
    assert (refused.key, refused.exact_refusal) == (None, "temperature")
    report = parts.manager.get_cache_report()
    assert (report["hits"], report["misses"], report["skipped"]) == (0, 0, 0)
    assert parts.lru.get_stats().hits == parts.lru.get_stats().misses == 0
    assert parts.semantic.asked == []


def test_an_explanation_names_the_tiers_that_are_not_there() -> None:
    explained = CacheManager(None, None, None).explain(REQUEST)
    assert (explained.exact_refusal, explained.semantic_refusal) == ("off", "off")
    assert CacheManager(LRUCache(), None, None).explain(REQUEST).exact_refusal is None


def test_clearing_forgets_every_answer() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())
    parts.manager.clear()
    assert parts.manager.get_cached_response(QUESTION) is None
    assert parts.semantic.stored == {}
    assert parts.manager.get_cache_report()["oldest_entry_seconds"] is None
    CacheManager(None, None, None).clear()


def test_the_report_adds_up_what_was_saved() -> None:
    catalog = ModelCatalog.load()
    parts = cached(catalog=catalog)
    parts.manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "HIT"
    parts.clock.advance(10)
    for call in (QUESTION, QUESTION, SIMILAR, ask("Something else?")):
        parts.manager.get_cached_response(call)
    price = catalog.price("claude-haiku-5-5", answer().usage)
    assert price is not None
    report = parts.manager.get_cache_report()
    assert (report["hits"], report["misses"], report["hit_rate"]) == (3, 1, 0.75)
    assert report["saved_tokens"] == 3 * 110
    assert report["saved_usd"] == (price * 3).usd
    assert report["oldest_entry_seconds"] == 10
    lru, semantic = report["tiers"]["lru"], report["tiers"]["semantic"]
    assert (lru["hits"], lru["misses"], lru["entries"], lru["hit_rate"]) == (2, 2, 1, 0.5)
    assert (semantic["hits"], semantic["misses"], semantic["entries"]) == (1, 1, 1)
    assert (lru["saved_tokens"], semantic["saved_tokens"]) == (220, 110)
    assert (lru["saved_usd"], semantic["saved_usd"]) == ((price * 2).usd, price.usd)
    assert lru["mean_hit_age_seconds"] == semantic["mean_hit_age_seconds"] == 10
    assert report["breaker"] == "closed"


def test_a_price_holds_for_the_place_and_the_speed_that_were_asked_for() -> None:
    catalog = ModelCatalog.load()
    parts = cached(catalog=catalog)
    call = ask("Hi?", model="claude-opus-5-5", parameters={"inference_geo": "us", "speed": "fast"})
    reply = answer(model="claude-opus-5-5")
    parts.manager.cache_response(call, reply)
    hit = hit_of(parts.manager, call).cache_hit
    assert hit is not None
    assert hit.saved == catalog.price("claude-opus-5-5", reply.usage, geo="us", fast=True)


def test_an_empty_report_divides_by_nothing() -> None:
    report = cached().manager.get_cache_report()
    assert (report["hit_rate"], report["oldest_entry_seconds"]) == (0.0, None)
    assert report["tiers"]["lru"]["mean_hit_age_seconds"] is None
    json.dumps(report)


def test_nothing_that_is_told_holds_text_of_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    parts = cached()
    with caplog.at_level(logging.DEBUG):
        for text in ("a secret question?", "a secret question about today?", "secret " * 100):
            call = ask(text, system="a secret system")
            parts.semantic.finds[text] = "HIT"
            parts.manager.get_cached_response(call)
            parts.manager.cache_response(call, answer("a secret answer"))
            parts.manager.get_cached_response(call)
    assert "secret" not in f"{parts.manager.get_cache_report()} {caplog.text}"


class Optimizer:
    """Marks what it has seen."""

    def build_cached_request(self, call: Call) -> Call:
        return dataclasses.replace(call, operation="marked")


def test_what_has_to_be_sent_is_prepared_by_the_optimizer() -> None:
    manager = CacheManager(None, None, Optimizer())  # type: ignore[arg-type]
    assert manager.build_cached_request(QUESTION).operation == "marked"
    assert CacheManager(None, None, None).build_cached_request(QUESTION) is QUESTION


@pytest.mark.anyio
async def test_the_asynchronous_twin_answers_the_same() -> None:
    parts = cached()
    manager = parts.manager
    assert await manager.aget_cached_response(QUESTION) is None
    manager.cache_response(QUESTION, answer())
    parts.semantic.finds["Is it really so?"] = "HIT"
    hits = [await manager.aget_cached_response(call) for call in (QUESTION, SIMILAR)]
    assert [hit and hit.served_by for hit in hits] == ["lru", "semantic"]
    assert await manager.aget_cached_response(ask("x", parameters={"temperature": 1})) is None
    assert await manager.aget_cached_response(ask("What is new today?")) is None


@pytest.mark.anyio
async def test_the_semantic_tier_is_never_asked_in_the_event_loop() -> None:
    parts = cached()
    threads: set[int] = set()
    lookup = parts.semantic.lookup

    def noted(query: str, *, scope: str) -> Any:
        threads.add(threading.get_ident())
        return lookup(query, scope=scope)

    parts.semantic.lookup = noted  # type: ignore[method-assign]
    await parts.manager.aget_cached_response(QUESTION)
    assert threads
    assert threading.get_ident() not in threads


def test_threads_count_exactly() -> None:
    parts = cached()
    parts.manager.cache_response(QUESTION, answer())

    def work() -> None:
        for _ in range(500):
            parts.manager.get_cached_response(QUESTION)
            parts.manager.get_cached_response(SIMILAR)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    report = parts.manager.get_cache_report()
    assert (report["hits"], report["misses"]) == (4_000, 4_000)
    assert report["tiers"]["lru"]["hits"] == report["tiers"]["lru"]["misses"] == 4_000
    assert parts.clock.now() == NOW


def test_a_forked_process_finds_free_locks() -> None:
    manager = cached().manager
    keys = manager.cascade._admission._keys
    parts: list[Any] = [
        manager.counts,
        manager._live,
        *(getattr(keys, name) for name in ("_settings", "_tools", "_system", "_message")),
    ]
    for part in parts:
        part._lock.acquire()  # by a thread that does not exist in the child
    forks._renew_all()
    assert all(part._lock.acquire(blocking=False) for part in parts)

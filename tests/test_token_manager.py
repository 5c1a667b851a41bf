"""The token manager: exact sums, warnings in time, and questions that are cheap to answer."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.csv_text import csv_text
from sdk_workflow.core.usage.pace import Conversation, slope
from sdk_workflow.core.usage.totals import OTHERS, TotalsByName
from sdk_workflow.core.usage.window import LONGEST_WINDOW_SECONDS, SlidingWindow
from sdk_workflow.events import ContextFilling, ModelCallFinished, StateChanged
from sdk_workflow.exceptions import UsageError
from sdk_workflow.managers.token_manager import TokenManager
from sdk_workflow.types import CacheHit, Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk_workflow.events import Event

HAIKU = "claude-haiku-4-5"  # a window of 200,000


class Sink:
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.seen: list[ContextFilling] = []

    def __call__(self, event: Event) -> None:
        assert isinstance(event, ContextFilling)
        self.seen.append(event)


def manager(**options: Any) -> TokenManager:
    return TokenManager(**{"clock": VirtualClock(), "context_window": 1_000, **options})


def total(tokens: TokenManager) -> int:
    return tokens.get_analytics()["totals"]["total_tokens"]


def finished(reply: Reply, **call: Any) -> ModelCallFinished:
    question = Call(model="haiku", messages=({"role": "user", "content": "Hi"},), **call)
    return ModelCallFinished(
        call=question, reply=reply, duration_ms=1.0, session_id=question.session_id
    )


REPLY = Reply(
    id="msg_1",
    model=HAIKU,
    content=(),
    stop_reason="end_turn",
    usage=Usage(input_tokens=100, cache_read_input_tokens=60, output_tokens=40),
)


# Counting


def test_every_kind_of_token_is_added_up() -> None:
    tokens = manager()
    usage = Usage(
        input_tokens=1,
        output_tokens=2,
        cache_read_input_tokens=4,
        cache_write_5m_input_tokens=8,
        cache_write_1h_input_tokens=16,
    )
    tokens.update_tokens(usage)
    tokens.update_tokens(usage.to_api())
    assert tokens.get_analytics()["totals"] == {
        "calls": 2,
        "input_tokens": 2,
        "output_tokens": 4,
        "cache_read_input_tokens": 8,
        "cache_write_input_tokens": 48,
        "total_tokens": 62,
    }


def test_the_last_report_of_a_message_takes_the_place_of_the_others() -> None:
    tokens = manager()
    for output in (1, 50, 7):
        usage = Usage(input_tokens=10, output_tokens=output)
        tokens.update_tokens(usage, message_id="msg_1", model=f"model-{output}")
    found = tokens.get_analytics()
    assert found["totals"]["calls"] == 1
    assert found["totals"]["total_tokens"] == 17
    assert list(found["by_model"]) == ["model-7"]
    assert [record.usage.output_tokens for record in tokens.get_usage_history()] == [7]
    assert not tokens.check_rate_limit(60, 16)
    assert tokens.check_rate_limit(60, 17)


def test_reports_without_an_id_are_calls_of_their_own() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(output_tokens=5))
    tokens.update_tokens(Usage(output_tokens=5))
    assert total(tokens) == 10


def test_ids_are_remembered_for_the_latest_calls_and_sums_for_ever() -> None:
    tokens = manager(max_records=3)
    for number in range(10):
        tokens.update_tokens(Usage(output_tokens=1), message_id=f"msg_{number}")
    tokens.update_tokens(Usage(output_tokens=100), message_id="msg_7")
    assert total(tokens) == 109
    assert len(tokens.get_usage_history(100)) == 3
    tokens.update_tokens(Usage(output_tokens=1), message_id="msg_0")  # forgotten: counts again
    assert total(tokens) == 110


REPORTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", None]),
        st.integers(0, 1_000),
        st.sampled_from(["haiku", "opus", None]),
        st.sampled_from(["plan", "message"]),
    ),
    max_size=60,
)


@given(reports=REPORTS)
def test_sums_are_those_of_a_dictionary_of_messages(reports: list[Any]) -> None:
    tokens = manager()
    model: OrderedDict[Any, tuple[Any, ...]] = OrderedDict()
    for number, (message_id, count, name, operation) in enumerate(reports):
        usage = Usage(input_tokens=count, cache_read_input_tokens=1, output_tokens=3)
        tokens.update_tokens(usage, message_id=message_id, model=name, operation=operation)
        key = message_id or number
        model[key] = (count, count + 4, name or "(none)", operation)
    found = tokens.get_analytics()
    assert found["totals"]["total_tokens"] == sum(entry[1] for entry in model.values())
    assert found["totals"]["calls"] == len(model)
    for by, column in (("by_model", 2), ("by_operation", 3)):
        groups: dict[str, Any] = found[by]  # type: ignore[literal-required]
        expected: dict[str, int] = {}
        for entry in model.values():
            expected[entry[column]] = expected.get(entry[column], 0) + entry[1]
        assert {name: group["total_tokens"] for name, group in groups.items()} == expected
        assert list(groups) == sorted(groups, key=lambda name: (-expected[name], name))
    history = tokens.get_usage_history(1_000)
    assert [record.usage.input_tokens for record in history] == [e[0] for e in model.values()]
    used = sum(entry[1] - 1 for entry in model.values())
    assert tokens.check_rate_limit(60, used)
    assert not used or not tokens.check_rate_limit(60, used - 1)


BAD_COUNTS = [-1, True, 1.0, math.nan, math.inf, "7", 10**13, b"1", [], {}]


@pytest.mark.parametrize("bad", BAD_COUNTS)
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_a_count_that_is_none_is_refused_and_nothing_is_lost(field: str, bad: Any) -> None:
    tokens = manager()
    tokens.update_tokens(Usage(input_tokens=10), message_id="msg_1")
    for usage in (Usage(**{field: bad}), {"input_tokens": 1, field: bad}):
        with pytest.raises(UsageError, match=f"{field}=.* is no count of tokens") as caught:
            tokens.update_tokens(usage, message_id="msg_1")
        assert caught.value.hint.endswith(".")
    assert total(tokens) == 10
    assert len(tokens.get_usage_history()) == 1


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        "usage",
        {},
        {"tokens": 5},
        {"input_tokens": 1, "cache_creation": 7},
        {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": -1}},
        {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": "1"}},
        {"input_tokens": 1, "cache_creation_input_tokens": -4},
        Usage(cache_write_5m_input_tokens=-1),
        Usage(cache_write_1h_input_tokens=-1),
    ],
)
def test_what_is_no_usage_is_refused(usage: Any) -> None:
    tokens = manager()
    with pytest.raises(UsageError):
        tokens.update_tokens(usage)
    assert tokens.get_usage_history() == []


def test_null_counts_of_the_api_are_zero() -> None:
    tokens = manager()
    usage = {"input_tokens": 3, "cache_creation_input_tokens": None, "cache_creation": None}
    tokens.update_tokens(usage)
    assert total(tokens) == 3


@pytest.mark.parametrize("name", ["message_id", "model", "operation", "session_id"])
def test_a_name_that_is_no_text_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: 7}
    with pytest.raises(UsageError, match=f"{name}=7 is no text"):
        manager().update_tokens(Usage(), **options)


def test_a_call_is_for_something() -> None:
    nothing: Any = None
    with pytest.raises(UsageError, match="names no operation"):
        manager().update_tokens(Usage(), operation=nothing)


@pytest.mark.parametrize(
    "options",
    [
        {"context_window": 0},
        {"context_window": True},
        {"warn_turns": -1},
        {"max_records": 0},
        {"warn_at_pct": 0},
        {"warn_at_pct": 100.5},
        {"warn_at_pct": math.nan},
        {"warn_at_pct": "80"},
    ],
)
def test_an_argument_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        TokenManager(**options)


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("busy_threads")
def test_eight_threads_count_exactly() -> None:
    tokens = TokenManager(context_window=10**9)

    def count(thread: int) -> None:
        for number in range(500):
            usage = Usage(input_tokens=number, output_tokens=1)
            # Every second report is a repetition of the one before.
            tokens.update_tokens(usage, message_id=f"{thread}-{number // 2}")
            tokens.check_rate_limit(60, 1)

    threads = [threading.Thread(target=count, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = 8 * sum(number + 1 for number in range(1, 500, 2))
    assert total(tokens) == used
    assert tokens.get_analytics()["totals"]["calls"] == 8 * 250
    assert tokens.check_rate_limit(3_600, used)
    assert not tokens.check_rate_limit(3_600, used - 1)


@pytest.mark.usefixtures("busy_threads")
def test_a_message_that_eight_threads_report_counts_once() -> None:
    tokens = TokenManager(context_window=10**9)

    def report() -> None:
        for number in range(1_000):
            tokens.update_tokens(Usage(output_tokens=number), message_id=f"msg_{number}")

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(tokens) == sum(range(1_000))
    assert tokens.get_analytics()["totals"]["calls"] == 1_000


# Events


def test_a_finished_call_is_counted_under_the_model_that_answered() -> None:
    tokens = TokenManager(clock=VirtualClock())
    tokens.on_event(StateChanged(before="ready", after="idle"))
    tokens.on_event(finished(REPLY, operation="plan", session_id="s1"))
    tokens.on_event(finished(REPLY, operation="plan", session_id="s1"))
    (record,) = tokens.get_usage_history()
    names = record.message_id, record.model, record.operation, record.session_id
    assert names == ("msg_1", HAIKU, "plan", "s1")
    assert record.at == VirtualClock().now()
    assert total(tokens) == 200
    assert tokens.get_context_usage_pct("s1") == 0.1


def test_what_a_cache_answered_counts_as_saved_and_not_as_used() -> None:
    tokens = manager()
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1.0, usage=REPLY.usage)
    tokens.on_event(finished(replace(REPLY, usage=Usage(), cache_hit=hit)))
    tokens.on_event(finished(replace(REPLY, usage=Usage(), cache_hit=hit)))
    found = tokens.get_analytics()
    assert (found["saved_calls"], found["saved_tokens"]) == (2, 400)
    assert (found["totals"]["calls"], found["totals"]["total_tokens"]) == (0, 0)
    assert "Answered by response caches: 2 calls, 400 tokens saved" in tokens.get_summary()


# The context window


def test_fill_is_the_whole_prompt_and_the_answer_of_the_last_call() -> None:
    tokens = manager()
    assert tokens.get_context_usage_pct() == 0.0
    tokens.update_tokens(Usage(input_tokens=100, cache_read_input_tokens=300, output_tokens=50))
    assert tokens.get_context_usage_pct() == 45.0
    assert tokens.predict_overflow(550) == (False, 100.0)
    assert tokens.predict_overflow(551) == (True, 100.1)


def test_windows_come_from_the_catalogue_by_the_model_that_answered() -> None:
    tokens = TokenManager(clock=VirtualClock())
    tokens.update_tokens(Usage(input_tokens=100_000), model=HAIKU)
    assert tokens.get_context_usage_pct() == 50.0
    tokens.update_tokens(Usage(input_tokens=100_000), model="claude-sonnet-5-5")
    assert tokens.get_context_usage_pct() == 10.0


def test_a_window_of_ones_own_goes_before_the_catalogue() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(input_tokens=100), model=HAIKU)
    assert tokens.get_context_usage_pct() == 10.0


def test_without_a_known_window_tokens_count_and_only_the_question_fails() -> None:
    tokens, sink = TokenManager(clock=VirtualClock()), Sink()
    assert tokens.get_context_usage_pct() == 0.0
    for model in ("somebody-elses-model", None):
        tokens.update_tokens(Usage(input_tokens=10**9), model=model)
        with pytest.raises(UsageError, match="context window is not known") as caught:
            tokens.get_context_usage_pct()
        assert caught.value.code == "unknown_window"
    with pytest.raises(UsageError, match="context window is not known"):
        TokenManager().predict_overflow(5)
    assert total(tokens) == 2 * 10**9
    assert tokens.get_analytics()["context_usage_pct"] is None
    assert "window" not in tokens.get_summary()
    assert sink.seen == []


@pytest.mark.parametrize("bad", [-1, True, 0.5, math.nan, "7", None])
def test_an_estimate_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="estimated_tokens"):
        manager().predict_overflow(bad)


def test_conversations_are_kept_apart_by_session_and_operation() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(input_tokens=800), session_id="long")
    tokens.update_tokens(Usage(input_tokens=100), session_id="short")
    assert tokens.get_context_usage_pct() == 10.0
    assert tokens.get_context_usage_pct("long") == 80.0
    assert tokens.get_context_usage_pct("unheard of") == 0.0
    tokens.update_tokens(Usage(input_tokens=5), session_id="long", operation="title")
    tokens.update_tokens(Usage(input_tokens=810), session_id="long")
    assert tokens.get_context_usage_pct("long") == 81.0


def test_only_so_many_conversations_are_followed() -> None:
    tokens = manager()
    for number in range(1_025):
        tokens.update_tokens(Usage(input_tokens=100), session_id=f"s{number}")
    assert tokens.get_context_usage_pct("s0") == 0.0
    assert tokens.get_context_usage_pct("s1") == 10.0


def test_a_late_report_of_an_earlier_message_does_not_shrink_the_conversation() -> None:
    tokens = manager()
    for message_id, size in (("a", 100), ("b", 500), ("a", 120), ("b", 510)):
        tokens.update_tokens(Usage(input_tokens=size), message_id=message_id)
        expected = {"a": 10.0 if size == 100 else 50.0, "b": size / 10}[message_id]
        assert tokens.get_context_usage_pct() == expected
    tokens.update_tokens(Usage(input_tokens=1), message_id="a", session_id="another")
    assert tokens.get_context_usage_pct() == 51.0


# Warnings


def grow(tokens: TokenManager, *sizes: int, **names: Any) -> None:
    for size in sizes:
        tokens.update_tokens(Usage(input_tokens=size), **names)


def test_one_warning_comes_when_the_window_is_filling_and_one_when_few_turns_are_left() -> None:
    sink = Sink()
    tokens = manager(sinks=[sink], context_window=10_000)
    grow(tokens, *range(100, 10_000, 100), session_id="s1")
    assert sink.seen == [
        ContextFilling(session_id="s1", used_tokens=8_000, window_tokens=10_000, turns_left=20),
        ContextFilling(session_id="s1", used_tokens=9_700, window_tokens=10_000, turns_left=3),
    ]


@given(step=st.integers(10, 200), noise=st.lists(st.integers(0, 50), min_size=110, max_size=110))
def test_a_warning_always_comes_before_the_overflow(step: int, noise: list[int]) -> None:
    sink, size = Sink(), 0
    tokens = manager(sinks=[sink])
    for extra in noise:
        size += step + extra
        if size > 1_000:
            break
        grow(tokens, size)
    assert sink.seen
    assert all(event.used_tokens <= 1_000 for event in sink.seen)


def test_fast_growth_warns_long_before_the_window_is_nearly_full() -> None:
    sink = Sink()
    grow(manager(sinks=[sink]), 150, 300)
    assert [(event.used_tokens, event.turns_left) for event in sink.seen] == []
    sink = Sink()
    grow(manager(sinks=[sink]), 200, 400)
    assert [(event.used_tokens, event.turns_left) for event in sink.seen] == [(400, 3)]


def test_a_first_call_that_is_large_warns_without_a_pace() -> None:
    sink = Sink()
    grow(manager(sinks=[sink]), 900)
    assert [(event.used_tokens, event.turns_left) for event in sink.seen] == [(900, None)]


def test_a_pace_that_wavers_does_not_warn_again() -> None:
    sink = Sink()
    grow(manager(sinks=[sink]), 700, 810, 812, 814, 816, 818, 820, 900, 950)
    assert [(event.used_tokens, event.turns_left) for event in sink.seen] == [(810, 1)]


def test_warnings_are_due_again_after_the_history_was_cut() -> None:
    sink = Sink()
    tokens = manager(sinks=[sink], warn_turns=0)
    grow(tokens, 700, 850, 860, 100, 110, 120)
    assert [event.used_tokens for event in sink.seen] == [850]
    grow(tokens, 300, 500, 700, 805)
    assert [(event.used_tokens, event.turns_left) for event in sink.seen][1:] == [(805, 1)]


def test_a_second_report_of_the_last_message_is_no_further_turn() -> None:
    sink = Sink()
    tokens = manager(sinks=[sink])
    for output in (0, 200):
        usage = Usage(input_tokens=200, output_tokens=output)
        tokens.update_tokens(usage, message_id="msg_1")
    assert sink.seen == []
    assert tokens.get_context_usage_pct() == 40.0


def test_a_sink_that_fails_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError(f"{event}")

    tokens = manager(sinks=[broken])
    grow(tokens, 900)
    assert total(tokens) == 900
    assert "event sink" in caplog.text


def test_a_sink_may_ask_the_manager() -> None:
    asked: list[float] = []
    managers: list[TokenManager] = []
    managers.append(manager(sinks=[lambda _: asked.append(managers[0].get_context_usage_pct())]))
    grow(managers[0], 900)
    assert asked == [90.0]


def test_a_conversation_of_an_unknown_window_never_warns() -> None:
    talk = Conversation(None)
    talk.grow_to(10**9)
    assert not talk.has_news(warn_at_pct=1, warn_turns=100)
    assert (talk.fill_pct, talk.turns_left) == (None, None)


def test_no_overflow_is_announced_below_zero_turns() -> None:
    sink = Sink()
    grow(manager(sinks=[sink]), 500, 1_500)
    assert [event.turns_left for event in sink.seen] == [0]


# The sliding window


def test_the_rate_counts_what_the_api_limits_count() -> None:
    tokens = manager()
    tokens.update_tokens(REPLY.usage)
    assert tokens.check_rate_limit(60, 140)
    assert not tokens.check_rate_limit(60, 139)


def test_tokens_leave_the_window_after_it_and_at_most_a_64th_of_it_later() -> None:
    clock = VirtualClock()
    tokens = manager(clock=clock)
    grow(tokens, 100)
    clock.advance(59.9)
    assert not tokens.check_rate_limit(60, 99)
    clock.advance(0.1 + 60 / 64)
    assert tokens.check_rate_limit(60, 0)
    assert not tokens.check_rate_limit(3_600, 99)


@pytest.mark.parametrize("bad", [0, 0.5, -1, True, math.nan, math.inf, 262_145, "60", None])
def test_a_window_that_cannot_be_looked_back_on_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="window_seconds"):
        manager().check_rate_limit(bad, 5)


@pytest.mark.parametrize("bad", [-1, True, 1.5, math.nan, "5"])
def test_a_limit_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="max_tokens"):
        manager().check_rate_limit(60, bad)


MOMENTS = st.lists(st.tuples(st.floats(0, 5_000), st.integers(0, 1_000)), min_size=1, max_size=40)


@given(moments=MOMENTS, seconds=st.floats(1, LONGEST_WINDOW_SECONDS), start=st.floats(0, 1e9))
def test_a_window_never_counts_too_little_and_reaches_a_64th_too_far_at_most(
    moments: list[tuple[float, int]], seconds: float, start: float
) -> None:
    window, now = SlidingWindow(), start
    counted: list[tuple[float, int]] = []
    for pause, count in moments:
        now += pause
        window.add(count, at=now)
        counted.append((now, count))
        least = sum(count for at, count in counted if at >= now - seconds)
        most = sum(count for at, count in counted if at >= now - seconds * (1 + 1 / 64) - 1e-6)
        assert least <= window.total(seconds, at=now) <= most


@given(moments=MOMENTS, seconds=st.floats(1, LONGEST_WINDOW_SECONDS))
def test_what_is_taken_back_leaves_nothing_in_any_window(
    moments: list[tuple[float, int]], seconds: float
) -> None:
    window, now = SlidingWindow(), 0.0
    for pause, count in moments:
        window.add(count, at=now)
        window.add(-count, at=now)
        now += pause
    assert window.total(seconds, at=now) == 0


def test_taking_back_what_has_left_the_window_changes_nothing() -> None:
    window = SlidingWindow()
    window.add(5, at=0.0)
    window.add(7, at=1_000_000.0)
    window.add(-5, at=0.0)
    assert window.total(LONGEST_WINDOW_SECONDS, at=1_000_000.0) == 7


def test_beyond_the_longest_window_nothing_is_known() -> None:
    window = SlidingWindow()
    window.add(5, at=0.0)
    window.add(7, at=500_000.0)
    assert window.total(10**9, at=500_000.0) == 7


# Figures and documents


def test_the_trend_is_the_slope_of_the_last_fifty_calls() -> None:
    tokens = manager(context_window=10**9)
    grow(tokens, *[10**6] * 50, *range(0, 500, 10))
    assert tokens.get_analytics()["trend_tokens_per_call"] == pytest.approx(10.0)
    assert tokens.get_analytics()["average_tokens"] == pytest.approx((50 * 10**6 + 12_250) / 100)


def test_without_calls_all_figures_are_zero() -> None:
    found = manager().get_analytics()
    assert (found["average_tokens"], found["trend_tokens_per_call"]) == (0.0, 0.0)
    assert (found["by_model"], found["context_usage_pct"]) == ({}, None)
    assert manager().get_summary() == "0 calls, 0 tokens, 0 of them by the model"


@given(values=st.lists(st.integers(0, 10**6), min_size=2, max_size=30), step=st.integers(-99, 99))
def test_a_steady_step_adds_to_the_slope(values: list[int], step: int) -> None:
    tilted = [value + index * step for index, value in enumerate(values)]
    assert slope(tilted) == pytest.approx(slope(values) + step, abs=1e-4)


def test_a_thousand_names_are_kept_apart_and_the_rest_counted_together() -> None:
    totals = TotalsByName()
    for number in range(1_010):
        totals.add(f"name-{number}", Usage(output_tokens=1))
    totals.add("name-1009", Usage(output_tokens=1), -1)
    totals.add("name-3", Usage(output_tokens=1), -1)
    shown = totals.shown()
    assert len(shown) == 1_000
    assert shown[OTHERS]["total_tokens"] == 9
    assert "name-3" not in shown


def test_the_history_is_the_latest_calls_with_the_oldest_first() -> None:
    tokens = manager(context_window=10**9)
    grow(tokens, 1, 2, 3)
    sizes = [record.usage.input_tokens for record in tokens.get_usage_history(2)]
    assert sizes == [2, 3]
    assert tokens.get_usage_history(0) == tokens.get_usage_history(-5) == []


def test_json_holds_the_figures_and_the_records() -> None:
    tokens = TokenManager(clock=VirtualClock(start=0.0))
    tokens.on_event(finished(REPLY, session_id="s1"))
    found = json.loads(tokens.export_metrics())
    assert found["schema"] == "sdk_workflow.tokens/1"
    assert found["totals"]["total_tokens"] == 200
    assert found["history"] == [
        {
            "at": "1970-01-01T00:00:00.000Z",
            "message_id": "msg_1",
            "model": HAIKU,
            "operation": "message",
            "session_id": "s1",
            "input_tokens": 100,
            "output_tokens": 40,
            "cache_read_input_tokens": 60,
            "cache_write_5m_input_tokens": 0,
            "cache_write_1h_input_tokens": 0,
            "total_tokens": 200,
        }
    ]


def test_csv_holds_the_records_and_no_formula() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(output_tokens=5), message_id='=HYPERLINK("x")', operation="a,b")
    header, row = csv.reader(io.StringIO(tokens.export_metrics("csv")))
    found = dict(zip(header, row, strict=True))
    assert found["message_id"] == '\'=HYPERLINK("x")'
    assert (found["operation"], found["model"], found["total_tokens"]) == ("a,b", "", "5")


def test_another_format_is_refused() -> None:
    with pytest.raises(UsageError, match="'xml' is not known"):
        manager().export_metrics("xml")


@given(
    text=st.text() | st.sampled_from(["=1", " =1", "+1", "-1", "@x", "\t=1", "\uff1d1", "\ud800"])
)
def test_no_text_reaches_a_spreadsheet_as_a_formula(text: str) -> None:
    document = csv_text(["a", "b"], [[text, 1]])
    _, row = csv.reader(io.StringIO(document, newline=""))
    assert not row[0].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert row[1] == "1"
    plain = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    assert row[0] in {plain, f"'{plain}"}


def test_cells_that_are_no_text_stay_what_they_are() -> None:
    assert (
        csv_text(["a"], [[-1], [None], [True], [False], [1.5]]) == 'a\n-1\n""\ntrue\nfalse\n1.5\n'
    )


def test_the_summary_names_the_largest() -> None:
    tokens = manager()
    for name, size in (("a", 1), ("b", 2_000), ("c", 3), ("d", 4), ("e", 5), ("f", 6)):
        tokens.update_tokens(Usage(output_tokens=size), model=name)
    assert tokens.get_summary().splitlines() == [
        "6 calls, 2,019 tokens, 2,019 of them by the model",
        "336 tokens a call, -170 from one to the next",
        "Context window: 0.6 % full",
        "By model: b 2,000, f 6, e 5, d 4, c 3",
        "By operation: message 2,019",
    ]


def test_reset_forgets_everything() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(output_tokens=900), message_id="msg_1", model=HAIKU)
    tokens.reset()
    assert tokens.get_analytics() == manager().get_analytics()
    assert tokens.get_usage_history() == []
    assert tokens.check_rate_limit(60, 0)
    tokens.update_tokens(Usage(output_tokens=5), message_id="msg_1")
    assert total(tokens) == 5


def test_a_corrected_record_keeps_its_place_and_its_time_in_the_history() -> None:
    clock = VirtualClock(100.0)
    tokens = manager(clock=clock)
    for message_id in ("msg_1", "msg_2"):
        tokens.update_tokens(Usage(output_tokens=1), message_id=message_id)
        clock.advance(10)
    tokens.update_tokens(Usage(output_tokens=7), message_id="msg_1")
    history = [(each.message_id, each.at, each.total_tokens) for each in tokens.get_usage_history()]
    assert history == [("msg_1", 100.0, 7), ("msg_2", 110.0, 1)]


def test_one_call_reads_as_one_in_a_summary() -> None:
    tokens = manager()
    tokens.update_tokens(Usage(output_tokens=1))
    assert tokens.get_summary().startswith("1 call, 1 token, 1 of them by the model")

"""What anybody can see of the token manager from outside, checked against its promises alone."""

from __future__ import annotations

import contextlib
import csv
import inspect
import io
import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.token_counter import CalibratingTokenCounter
from sdk_workflow.events import ContextFilling, ModelCallFinished
from sdk_workflow.exceptions import SdkWorkflowError, UsageError
from sdk_workflow.managers.token_manager import TokenManager
from sdk_workflow.types import CacheHit, Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.events import Event

HAIKU = "claude-haiku-4-5"  # its window holds 200,000 tokens
CALL = Call(model=HAIKU, messages=({"role": "user", "content": "Hi"},), session_id="tides")


def finished(usage: Usage, *, message_id: str = "msg_1", hit: CacheHit | None = None) -> Event:
    reply = Reply(
        id=message_id, model=HAIKU, content=(), stop_reason="end_turn", usage=usage, cache_hit=hit
    )
    return ModelCallFinished(session_id="tides", call=CALL, reply=reply, duration_ms=1.0)


def totals(tokens: TokenManager) -> dict[str, int]:
    return dict(tokens.get_analytics()["totals"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("update_tokens", ["usage", "message_id", "model", "operation"]),
        ("get_context_usage_pct", []),
        ("predict_overflow", ["estimated_tokens"]),
        ("get_usage_history", ["limit"]),
        ("check_rate_limit", ["window_seconds", "max_tokens"]),
        ("get_analytics", []),
        ("export_metrics", ["format"]),
        ("get_summary", []),
        ("reset", []),
    ],
)
def test_every_promised_method_takes_its_promised_arguments(method: str, names: list[str]) -> None:
    parameters = inspect.signature(getattr(TokenManager, method)).parameters
    assert [name for name in parameters if name in names] == names
    extra = [p for p in parameters.values() if p.name not in {"self", *names}]
    assert all(p.default is not inspect.Parameter.empty for p in extra)


def test_defaults_are_those_that_were_promised() -> None:
    assert inspect.signature(TokenManager.get_usage_history).parameters["limit"].default == 10
    assert inspect.signature(TokenManager.export_metrics).parameters["format"].default == "json"
    update = inspect.signature(TokenManager.update_tokens).parameters
    assert update["operation"].default == "message"
    assert update["message_id"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("later", [Usage(input_tokens=3), Usage(input_tokens=900, output_tokens=7)])
def test_of_two_reports_of_one_message_the_last_wins_whether_it_is_smaller_or_larger(
    later: Usage,
) -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=100, output_tokens=10), message_id="msg_1", model=HAIKU)
    tokens.update_tokens(later, message_id="msg_1", model=HAIKU)
    assert totals(tokens)["total_tokens"] == later.input_tokens + later.output_tokens
    assert totals(tokens)["calls"] == 1
    assert [record.usage for record in tokens.get_usage_history()] == [later]


def test_a_late_report_that_names_another_model_and_operation_moves_the_tokens_there() -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=5), message_id="m", model="a-1", operation="plan")
    tokens.update_tokens(Usage(input_tokens=8), message_id="m", model="b-1", operation="act")
    figures = tokens.get_analytics()
    assert {name: sums["total_tokens"] for name, sums in figures["by_model"].items()} == {"b-1": 8}
    assert {n: sums["total_tokens"] for n, sums in figures["by_operation"].items()} == {"act": 8}


def test_reports_without_an_id_are_calls_of_their_own() -> None:
    tokens = TokenManager()
    for _ in range(3):
        tokens.update_tokens(Usage(input_tokens=5))
    assert totals(tokens)["calls"] == 3
    assert totals(tokens)["total_tokens"] == 15


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 10**9), st.integers(0, 10**6)), max_size=40
    )
)
def test_the_sums_are_those_of_the_last_report_of_each_message(
    reports: list[tuple[int, int, int]],
) -> None:
    tokens, expected = TokenManager(), {}
    for name, prompt, answer in reports:
        tokens.update_tokens(Usage(input_tokens=prompt, output_tokens=answer), message_id=str(name))
        expected[name] = (prompt, answer)
    sums = totals(tokens)
    assert sums["calls"] == len(expected)
    assert sums["input_tokens"] == sum(prompt for prompt, _ in expected.values())
    assert sums["output_tokens"] == sum(answer for _, answer in expected.values())


def test_an_event_and_a_report_of_the_same_message_count_once() -> None:
    tokens = TokenManager()
    usage = Usage(input_tokens=40, output_tokens=2)
    tokens.on_event(finished(usage))
    tokens.on_event(finished(usage))
    tokens.update_tokens(usage, message_id="msg_1", model=HAIKU)
    assert totals(tokens)["calls"] == 1


def test_what_a_cache_answered_was_saved_and_not_used() -> None:
    tokens = TokenManager()
    spared = Usage(input_tokens=40, output_tokens=2)
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1.0, usage=spared)
    tokens.on_event(finished(Usage(), hit=hit))
    figures = tokens.get_analytics()
    assert (figures["saved_calls"], figures["saved_tokens"]) == (1, 42)
    assert figures["totals"]["total_tokens"] == 0


def test_the_window_counts_the_whole_prompt_with_its_cached_parts_and_the_answer() -> None:
    tokens = TokenManager()
    tokens.update_tokens(
        Usage(
            input_tokens=10_000,
            cache_read_input_tokens=50_000,
            cache_write_5m_input_tokens=20_000,
            cache_write_1h_input_tokens=10_000,
            output_tokens=10_000,
        ),
        model=HAIKU,
    )
    assert tokens.get_context_usage_pct() == 50.0


def test_the_window_shows_the_last_call_and_not_the_sum_of_all() -> None:
    tokens = TokenManager(context_window=1000)
    for size in (300, 400, 500):
        tokens.update_tokens(Usage(input_tokens=size), model=HAIKU)
    assert tokens.get_context_usage_pct() == 50.0


@pytest.mark.parametrize(("more", "overflows"), [(0, False), (400, False), (401, True)])
def test_a_turn_overflows_from_the_first_token_that_does_not_fit(
    more: int, overflows: bool  # noqa: FBT001 - a row of the table
) -> None:
    tokens = TokenManager(context_window=1000)
    tokens.update_tokens(Usage(input_tokens=500, output_tokens=100), model=HAIKU)
    predicted, percent = tokens.predict_overflow(more)
    assert predicted is overflows
    assert percent == pytest.approx((600 + more) / 10)


def test_an_overflow_can_be_predicted_before_the_first_call_where_the_window_was_given() -> None:
    assert TokenManager(context_window=1000).predict_overflow(2000) == (True, 200.0)


def test_warnings_come_before_the_window_overflows_and_each_once() -> None:
    seen: list[Event] = []
    tokens = TokenManager(context_window=1000, sinks=[seen.append])
    sizes = range(50, 1000, 50)
    first_warned_at = None
    for size in sizes:
        tokens.update_tokens(Usage(input_tokens=size), model=HAIKU, session_id="tides")
        if seen and first_warned_at is None:
            first_warned_at = size
    assert all(isinstance(event, ContextFilling) for event in seen)
    assert first_warned_at is not None
    assert first_warned_at <= 850
    assert 1 <= len(seen) <= 2
    assert all(event.session_id == "tides" for event in seen)


def test_a_sink_that_raises_does_not_break_the_counting() -> None:
    def bad(event: Event) -> None:
        raise RuntimeError(event)

    tokens = TokenManager(context_window=10, sinks=[bad])
    with contextlib.suppress(RuntimeWarning):
        tokens.update_tokens(Usage(input_tokens=9), model=HAIKU)
    assert totals(tokens)["total_tokens"] == 9


def test_two_conversations_do_not_share_a_window() -> None:
    tokens = TokenManager(context_window=1000)
    tokens.update_tokens(Usage(input_tokens=900), session_id="a", model=HAIKU)
    tokens.update_tokens(Usage(input_tokens=100), session_id="b", model=HAIKU)
    assert tokens.get_context_usage_pct("a") == 90.0
    assert tokens.get_context_usage_pct("b") == 10.0
    assert tokens.get_context_usage_pct() == 10.0
    assert tokens.predict_overflow(200, "a")[0]


def test_the_history_holds_the_last_calls_the_oldest_first() -> None:
    tokens = TokenManager()
    for number in range(25):
        tokens.update_tokens(Usage(input_tokens=number), message_id=str(number))
    assert [record.message_id for record in tokens.get_usage_history()] == [
        str(number) for number in range(15, 25)
    ]
    assert len(tokens.get_usage_history(100)) == 25
    assert tokens.get_usage_history(0) == []


def test_the_sums_outlive_the_history() -> None:
    tokens = TokenManager(max_records=5)
    for number in range(1000):
        tokens.update_tokens(Usage(input_tokens=1), message_id=str(number))
    assert totals(tokens)["total_tokens"] == 1000
    assert len(tokens.get_usage_history(1000)) == 5


def test_a_rate_is_kept_up_to_the_limit_and_not_one_token_beyond() -> None:
    clock = VirtualClock()
    tokens = TokenManager(clock=clock)
    tokens.update_tokens(Usage(input_tokens=90, output_tokens=10))
    assert tokens.check_rate_limit(60, 100)
    assert not tokens.check_rate_limit(60, 99)


def test_a_rate_window_slides() -> None:
    clock = VirtualClock()
    tokens = TokenManager(clock=clock)
    tokens.update_tokens(Usage(input_tokens=100))
    clock.advance(59)
    assert not tokens.check_rate_limit(60, 99)
    clock.advance(3)
    assert tokens.check_rate_limit(60, 0)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 500)), min_size=1, max_size=60))
def test_a_rate_that_is_said_to_be_kept_was_kept_and_one_well_kept_is_said_to_be(
    steps: list[tuple[float, int]],
) -> None:
    clock = VirtualClock()
    tokens, used = TokenManager(clock=clock), []
    for wait, count in steps:
        clock.advance(wait)
        tokens.update_tokens(Usage(input_tokens=count))
        used.append((clock.now(), count))
    for window in (1, 10, 60, 600):
        exact = sum(count for at, count in used if at > clock.now() - window)
        at_most = sum(
            count for at, count in used if at >= clock.now() - window * (1 + 1 / 64) - 1e-6
        )
        assert not (exact and tokens.check_rate_limit(window, exact - 1))
        assert tokens.check_rate_limit(window, at_most)


def test_reading_from_the_prompt_cache_takes_nothing_from_a_rate() -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(cache_read_input_tokens=10**6, input_tokens=5))
    assert tokens.check_rate_limit(60, 5)


def test_the_clock_going_backwards_loses_nothing_and_raises_nothing() -> None:
    class Jumping:
        def __init__(self) -> None:
            self.time = 1_800_000_000.0

        def now(self) -> float:
            return self.time

        def monotonic(self) -> float:
            return self.time

        async def sleep(self, seconds: float) -> None:
            raise NotImplementedError

    clock = Jumping()
    tokens = TokenManager(clock=clock)
    for jump in (0, -86_400, 3600, -(10**6)):
        clock.time += jump
        tokens.update_tokens(Usage(input_tokens=10))
        tokens.check_rate_limit(60, 5)
    assert totals(tokens)["total_tokens"] == 40
    assert not tokens.check_rate_limit(60, 9)


def test_analytics_tell_average_and_trend() -> None:
    tokens = TokenManager()
    for number in range(1, 6):
        tokens.update_tokens(Usage(input_tokens=100 * number), model=HAIKU)
    figures = tokens.get_analytics()
    assert figures["average_tokens"] == 300.0
    assert figures["trend_tokens_per_call"] == pytest.approx(100.0)


def test_the_json_export_has_a_schema_and_says_what_the_analytics_say() -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=7, output_tokens=3), message_id="m", model=HAIKU)
    document = json.loads(tokens.export_metrics())
    assert document["schema"].startswith("sdk_workflow.")
    assert document["totals"] == tokens.get_analytics()["totals"]
    assert document["history"][0]["at"].endswith("Z")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n="])
def test_no_text_in_the_csv_can_run_as_a_formula(start: str) -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=1), operation=start + 'HYPERLINK("http://x")')
    (row,) = csv.DictReader(io.StringIO(tokens.export_metrics("csv")))
    assert row["operation"].lstrip(" \t\r\n")[0] not in "=+-@"


def test_the_csv_keeps_commas_quotes_and_lines_of_names_in_their_field() -> None:
    tokens = TokenManager()
    name = 'a,"b"\nc'
    tokens.update_tokens(Usage(input_tokens=1), operation=name)
    (row,) = csv.DictReader(io.StringIO(tokens.export_metrics("csv"), newline=""))
    assert row["operation"] == name
    assert row["input_tokens"] == "1"


def test_a_name_with_a_lone_surrogate_does_not_break_an_export() -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=1), operation="odd\ud800")
    for form in ("json", "csv"):
        tokens.export_metrics(form).encode()


def test_a_reset_forgets_everything() -> None:
    tokens = TokenManager(context_window=100)
    tokens.update_tokens(Usage(input_tokens=50), message_id="m")
    tokens.reset()
    assert totals(tokens)["calls"] == 0
    assert tokens.get_usage_history() == []
    assert tokens.get_context_usage_pct() == 0.0
    assert tokens.check_rate_limit(60, 0)
    tokens.update_tokens(Usage(input_tokens=5), message_id="m")
    assert totals(tokens)["total_tokens"] == 5


def test_nothing_is_lost_between_threads() -> None:
    tokens = TokenManager()

    def work(seed: int) -> None:
        source = random.Random(seed)  # noqa: S311 - a repeatable order of work
        for number in range(200):
            tokens.update_tokens(Usage(input_tokens=3), message_id=f"{seed}-{number}")
            if source.random() < 0.1:
                tokens.get_analytics()
                tokens.get_usage_history()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(tokens)["total_tokens"] == 8 * 200 * 3


BAD_COUNTS = [-1, float("nan"), float("inf"), 1.5, True, "3", 2**70]


@pytest.mark.parametrize("count", BAD_COUNTS)
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_a_count_that_makes_no_sense_is_refused_and_changes_nothing(count: Any, field: str) -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=5), message_id="m")
    for usage in (Usage(**{field: count}), {field: count}):
        with pytest.raises(UsageError) as caught:
            tokens.update_tokens(usage, message_id="m")
        assert field in str(caught.value)
        assert caught.value.hint
    assert totals(tokens)["total_tokens"] == 5


@pytest.mark.parametrize(
    "ask",
    [
        lambda tokens: tokens.predict_overflow(-1),
        lambda tokens: tokens.predict_overflow(float("nan")),
        lambda tokens: tokens.check_rate_limit(0, 5),
        lambda tokens: tokens.check_rate_limit(float("nan"), 5),
        lambda tokens: tokens.check_rate_limit(60, -1),
        lambda tokens: tokens.export_metrics("xml"),
        lambda tokens: tokens.export_metrics(None),
        lambda tokens: tokens.update_tokens(None),
        lambda tokens: tokens.update_tokens({}),
        lambda tokens: tokens.update_tokens(Usage(), message_id=5),
        lambda tokens: tokens.update_tokens(Usage(), operation=None),
        lambda _: TokenManager(context_window=0),
        lambda _: TokenManager(warn_at_pct=float("nan")),
        lambda _: TokenManager(max_records=0),
    ],
)
def test_bad_input_is_a_clear_error_with_a_hint(ask: Callable[[Any], object]) -> None:
    with pytest.raises(SdkWorkflowError) as caught:
        ask(TokenManager(context_window=1000))
    assert caught.value.hint.endswith((".", "`"))


@pytest.mark.parametrize("limit", [float("nan"), 1.5, "a", None, 2**80])
def test_a_history_of_a_length_that_makes_no_sense_is_a_clear_error(limit: Any) -> None:
    tokens = TokenManager()
    tokens.update_tokens(Usage(input_tokens=1))
    with pytest.raises(UsageError):
        tokens.get_usage_history(limit)


def test_a_counter_finds_the_true_size_after_a_few_replies_and_tells_its_error() -> None:
    counter = CalibratingTokenCounter()
    params = {"model": HAIKU, "messages": [{"role": "user", "content": "The tide comes. " * 200}]}
    first = counter.count(params)
    true = first * 2
    for _ in range(5):
        counter.learn(params, true)
    assert abs(counter.count(params) - true) <= 1
    (accuracy,) = counter.accuracy()
    assert accuracy.observations == 5
    assert accuracy.mean_absolute_error_pct is not None
    assert 0 < accuracy.mean_absolute_error_pct <= 50


@pytest.mark.parametrize("true", [0, -1, float("nan"), True, "5", 1.5])
def test_a_counter_learns_nothing_from_a_size_that_makes_no_sense(true: Any) -> None:
    counter = CalibratingTokenCounter()
    params = {"model": HAIKU, "messages": [{"role": "user", "content": "Hello there"}]}
    before = counter.count(params)
    with pytest.raises(UsageError):
        counter.learn(params, true)
    assert counter.count(params) == before

"""Rate limits: what they let in, what they say in headers, and what they cost."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.limits import Limiter, Limits, RateLimits, Refusal, Ticket, TokenBucket
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.steps import Answer, Head
from tests.simulator.simulated import NOVEMBER_21, answer, ask, params, simulation

if TYPE_CHECKING:
    from pathlib import Path

AMOUNTS = st.lists(
    st.tuples(st.floats(0, 30), st.integers(1, 150)), min_size=1, max_size=40
)  # seconds since the last one, tokens wanted


@given(st.integers(1, 6000), st.integers(1, 200), AMOUNTS)
def test_a_bucket_never_gives_more_than_it_holds_and_refills(
    per_minute: int, capacity: int, asked: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(per_minute=per_minute, capacity=capacity, now=0.0)
    now, given_out, largest = 0.0, 0.0, 0
    for pause, amount in asked:
        now += pause
        if bucket.seconds_until(amount, now) == 0:
            bucket.take(amount, now)
            given_out += amount
            largest = max(largest, amount)
        assert bucket.level(now) <= capacity
    allowed = capacity + now * per_minute / 60
    # Only a request larger than the bucket itself puts it into debt, by what is beyond it.
    assert given_out <= allowed + max(0, largest - capacity) + 1e-6


@given(st.integers(1, 6000), st.integers(1, 200), st.integers(1, 400), st.floats(0, 100))
def test_after_the_wait_that_was_named_a_request_is_let_in(
    per_minute: int, capacity: int, amount: int, taken: float
) -> None:
    bucket = TokenBucket(per_minute=per_minute, capacity=capacity, now=0.0)
    bucket.take(taken, 0.0)
    wait = bucket.seconds_until(amount, 0.0)
    assert bucket.seconds_until(amount, wait) <= 1e-6
    if wait > 1e-3:
        assert bucket.seconds_until(amount, wait * 0.9) > 0


def test_what_is_given_back_cannot_overfill_a_bucket() -> None:
    bucket = TokenBucket(per_minute=60, capacity=10, now=0.0)
    bucket.take(4, 0.0)
    bucket.take(-9, 0.0)
    assert bucket.level(0.0) == 10


def limited(spec: Any, **options: Any) -> tuple[Simulation, VirtualClock]:
    clock = VirtualClock(NOVEMBER_21)
    return simulation(clock=clock, limits=spec, **options), clock


def statuses(simulated: Simulation, count: int, **changes: Any) -> list[int]:
    return [ask(simulated, **changes).status for _ in range(count)]


def test_requests_beyond_the_limit_are_refused_until_the_bucket_refills() -> None:
    simulated, clock = limited("rpm=3")
    assert statuses(simulated, 5) == [200, 200, 200, 429, 429]
    refusal = ask(simulated)
    assert refusal.headers["retry-after"] == "20"
    error: Any = refusal.body
    assert error["error"]["type"] == "rate_limit_error"
    assert "3 requests per minute" in error["error"]["message"]
    clock.advance(19.9)
    assert ask(simulated).status == 429
    clock.advance(0.2)
    assert statuses(simulated, 2) == [200, 429]


def test_every_key_and_every_class_of_models_has_buckets_of_its_own() -> None:
    simulated, _ = limited("rpm=1")
    assert [ask(simulated, key=key).status for key in ("a", "b", "a")] == [200, 200, 429]
    # Two models of one class share its bucket.
    assert ask(simulated, model="claude-sonnet-5", key="a").status == 200
    assert ask(simulated, model="claude-sonnet-4-6", key="a").status == 429
    assert ask(simulated, model="claude-haiku-5-5", key="a").status == 429


def test_a_class_may_have_limits_of_its_own() -> None:
    simulated, _ = limited("rpm=2,opus.rpm=1")
    opus = {"model": "claude-opus-4-6"}
    assert statuses(simulated, 3) == [200, 200, 429]
    assert statuses(simulated, 2, **opus) == [200, 429]


def test_output_tokens_are_taken_from_max_tokens_and_given_back() -> None:
    simulated, _ = limited("otpm=1000", script={"replies": [{"text": "Hi", "times": 99}]})
    first = ask(simulated, max_tokens=900)
    assert first.headers["anthropic-ratelimit-output-tokens-remaining"] == "100"
    body: Any = first.body
    second = ask(simulated, max_tokens=900)
    spent = body["usage"]["output_tokens"]
    remaining = int(second.headers["anthropic-ratelimit-output-tokens-remaining"])
    assert remaining == 1000 - spent - 900


def test_a_large_max_tokens_is_throttled_by_itself_while_it_runs() -> None:
    simulated, _ = limited("otpm=1000")
    steps = simulated.create(params(max_tokens=900), is_streamed=True)
    next(steps)
    assert ask(simulated, max_tokens=900).status == 429
    steps.close()
    # What did not come was never spent.
    assert ask(simulated, max_tokens=900).status == 200


def test_a_request_larger_than_a_whole_bucket_waits_for_a_full_one_and_leaves_debt() -> None:
    simulated, clock = limited("itpm=10", script={"replies": [{"text": "Hi", "times": 99}]})
    long = "word " * 30
    assert ask(simulated, long).status == 200
    refusal = ask(simulated, long)
    assert refusal.status == 429
    clock.advance(float(refusal.headers["retry-after"]))
    assert ask(simulated, long).status == 200


def test_tokens_read_from_the_cache_do_not_count() -> None:
    marked = [{"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}]
    simulated, _ = limited("itpm=1000000")
    name = "anthropic-ratelimit-input-tokens-remaining"
    left = [int(ask(simulated, system=marked).headers[name]) for _ in range(2)]
    assert left[0] < 1_000_000 - 5000
    assert left[0] - left[1] < 50


def test_requests_at_once_are_limited() -> None:
    simulated, _ = limited("concurrency=2")
    running = [simulated.create(params(), is_streamed=True) for _ in range(3)]
    first = [next(steps) for steps in running]
    assert [type(step) for step in first] == [Head, Head, Answer]
    assert isinstance(first[2], Answer)
    assert (first[2].status, first[2].headers["retry-after"]) == (429, "1")
    for _ in running[0]:
        pass
    running[1].close()
    assert statuses(simulated, 3) == [200, 200, 200]


def test_a_spend_limit_refuses_without_a_time_to_wait_for() -> None:
    simulated, clock = limited("spend_usd=0.0000001")
    assert ask(simulated, key="a").status == 200
    refusal = ask(simulated, key="a", model="claude-sonnet-5")
    error: Any = refusal.body
    assert refusal.status == 429
    assert error["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert "retry-after" not in refusal.headers
    clock.advance(1e6)
    assert ask(simulated, key="a").status == 429
    assert ask(simulated, key="b").status == 200


def test_the_headers_say_what_is_left_and_when_it_is_whole_again() -> None:
    simulated, _ = limited("rpm=60,itpm=6000,otpm=600")
    headers = ask(simulated, max_tokens=300).headers
    prefix = "anthropic-ratelimit-"
    kinds = {name.removeprefix(prefix).rpartition("-")[0] for name in headers if prefix in name}
    assert kinds == {"requests", "tokens", "input-tokens", "output-tokens"}
    assert headers[f"{prefix}requests-limit"] == "60"
    assert headers[f"{prefix}requests-remaining"] == "59"
    assert headers[f"{prefix}requests-reset"] == "2026-11-21T00:00:01Z"
    # Half of the output tokens are gone: theirs is the tightest limit.
    for part in ("limit", "remaining", "reset"):
        assert headers[f"{prefix}tokens-{part}"] == headers[f"{prefix}output-tokens-{part}"]
    assert headers[f"{prefix}output-tokens-reset"] == "2026-11-21T00:00:30Z"
    assert headers[f"{prefix}input-tokens-reset"].endswith("Z")


def test_only_what_is_limited_has_headers_and_refusals_have_them_too() -> None:
    simulated, _ = limited("rpm=1")
    names = {name for name in ask(simulated).headers if "ratelimit" in name}
    assert names == {f"anthropic-ratelimit-requests-{x}" for x in ("limit", "remaining", "reset")}
    assert ask(simulated).headers["anthropic-ratelimit-requests-remaining"] == "0"
    invalid = ask(simulated, max_tokens=-1)
    assert invalid.status == 400
    assert invalid.headers["anthropic-ratelimit-requests-remaining"] == "0"


def test_a_model_that_does_not_exist_is_not_found_and_not_limited() -> None:
    simulated, _ = limited("rpm=1")
    assert statuses(simulated, 2, model="claude-0") == [404, 404]


def test_a_request_that_the_api_refuses_takes_nothing() -> None:
    simulated, _ = limited("rpm=1")
    assert statuses(simulated, 2, max_tokens=-1) == [400, 400]
    assert statuses(simulated, 2) == [200, 429]


def test_a_refused_request_takes_no_reply_from_the_script_and_writes_no_cache() -> None:
    marked = [{"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}]
    simulated, clock = limited("rpm=1", script=["First.", "Second."])
    ask(simulated)
    assert ask(simulated, system=marked).status == 429
    clock.advance(60)
    reply: Any = ask(simulated, system=marked).body
    assert reply["content"][0]["text"] == "Second."
    assert reply["usage"]["cache_read_input_tokens"] == 0
    assert reply["usage"]["cache_creation_input_tokens"] > 0


def test_counting_tokens_is_not_limited() -> None:
    simulated, _ = limited("rpm=1")
    counted = {"model": "claude-haiku-4-5", "messages": params()["messages"]}
    assert [answer(simulated.count_tokens(counted)).status for _ in range(3)] == [200] * 3


def test_a_reset_fills_the_buckets_and_forgets_what_was_spent() -> None:
    simulated, _ = limited("rpm=1,spend_usd=0.0000001")
    running = simulated.create(params(), is_streamed=True)
    next(running)
    simulated.reset()
    running.close()
    assert statuses(simulated, 1) == [200]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 3.0]), st.integers(1, 60)), max_size=60),
    st.integers(1, 20),
    st.integers(10, 200),
)
def test_over_any_run_the_admitted_rate_holds(
    requests: list[tuple[float, int]], rpm: int, itpm: int
) -> None:
    limiter = Limiter(Limits(default=RateLimits(rpm=rpm, itpm=itpm)))
    now = tokens = admitted = 0.0
    for pause, size in requests:
        now += pause
        result = limiter.admit("k", "c", input_tokens=size, max_tokens=1, now=now)
        if isinstance(result, Ticket):
            admitted, tokens = admitted + 1, tokens + size
            limiter.settle(result, output_tokens=1, cost_usd=0, now=now)
            continue
        assert isinstance(result, Refusal)
        assert result.retry_after_seconds is not None
        # Nothing was taken, and the wait that was named is enough.
        later = now + result.retry_after_seconds
        again = limiter.admit("other", "c", input_tokens=0, max_tokens=0, now=now)
        assert isinstance(again, (Ticket, Refusal))
        account = limiter._account("k", "c", now)
        waits = [
            account.buckets["requests"].seconds_until(1, now),
            account.buckets["input-tokens"].seconds_until(size, now),
        ]
        assert now + max(waits) <= later + 1e-6
    assert admitted <= rpm * (1 + now / 60) + 1e-6
    assert tokens <= itpm * (1 + now / 60) + max((size for _, size in requests), default=0)


def test_a_bucket_may_hold_less_than_a_minute() -> None:
    simulated, clock = limited("rpm=60,burst_seconds=2")
    assert statuses(simulated, 3) == [200, 200, 429]
    clock.advance(1)
    assert statuses(simulated, 2) == [200, 429]


def test_limits_are_read_from_lines_tables_and_files(tmp_path: Path) -> None:
    expected = Limits(
        default=RateLimits(rpm=50, concurrency=4),
        classes={"opus": RateLimits(rpm=5, concurrency=4)},
    )
    table = {"rpm": 50, "concurrency": 4, "classes": {"opus": {"rpm": 5}}}
    (tmp_path / "limits.json").write_text(json.dumps(table))
    (tmp_path / "limits.toml").write_text("rpm = 50\nconcurrency = 4\n[classes.opus]\nrpm = 5\n")
    specs = ("rpm=50, concurrency=4, opus.rpm=5", table, tmp_path / "limits.json", expected)
    for spec in (*specs, str(tmp_path / "limits.toml")):
        assert Limits.parse(spec) == expected


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("rmp=5", "unknown key 'rmp'", "Did you mean 'rpm'?"),
        ("opus.itmp=5", "unknown key 'itmp'", "Did you mean 'itpm'?"),
        ("rpm", "'rpm' has no value", "rpm=50"),
        ("", "limits are empty", "rpm=50"),
        ("rpm=many", "rpm is 'many'", "number"),
        ("rpm=0", "rpm is '0'", "at least 1"),
        ("burst_seconds=0", "burst_seconds is '0'", "at least 1e-06"),
        *((f"{name}=1.5", f"{name} is '1.5'", "a whole number")
          for name in ("rpm", "itpm", "otpm", "concurrency")),
        ("rpm=1,rpm=2", "'rpm' is given twice", "Leave one of them out"),
        ("opus.rpm=1,rpm=1,opus.rpm=1", "'opus.rpm' is given twice", "Leave one of them out"),
        ("opsu.rpm=1", "the class 'opsu', which no model has", "Did you mean 'opus'?"),
        ({"classes": {"x": {"rpm": 5}}}, "the class 'x'", "The classes are"),
        ({"classes": []}, "limits.classes is []", "one table per class"),
        ({"classes": {"opus": 5}}, "limits.classes.opus is 5", "rpm"),
        ([], "limits is []", "rpm"),
    ],
)  # fmt: skip
def test_malformed_limits_say_what_is_wrong(spec: Any, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Limits.parse(spec)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_class_is_one_of_the_catalogue_that_the_simulation_has(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    own.write_text(
        '[models.claude-mine-1]\ntier = "mine"\nversion = "1"\ncontext_window = 200_000\n'
        "max_output_tokens = 64_000\nmin_cacheable_tokens = 1024\n"
    )
    catalog = ModelCatalog.load(overrides=own)
    with pytest.raises(UsageError, match="the class 'mine'"):
        Limits.parse("mine.rpm=1")
    simulated = Simulation.build(catalog=catalog, limits="mine.rpm=1")
    params = {
        "model": "claude-mine-1",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    statuses = [next(simulated.create(params)).status for _ in range(2)]  # type: ignore[union-attr]
    assert statuses == [200, 429]


def test_pacing_by_retry_after_reaches_the_limit_and_no_more() -> None:
    """Somebody who waits as told sends as much as the limit allows."""
    simulated, clock = limited("rpm=30")
    sent = 0
    while clock.now() < NOVEMBER_21 + 600:
        result = ask(simulated)
        if result.status == 200:
            sent += 1
        else:
            clock.advance(float(result.headers["retry-after"]))
    assert math.isclose(sent, 30 + 300, abs_tol=2)


@pytest.mark.parametrize(("is_limited", "read"), [(True, False), (False, True)])
def test_a_refused_request_does_not_refresh_what_it_would_have_read(
    is_limited: bool, read: bool  # noqa: FBT001
) -> None:
    clock = VirtualClock(NOVEMBER_21)
    limits = Limits(default=RateLimits(rpm=0.25 if is_limited else 100))
    simulated = simulation(clock=clock, limits=limits)
    marked: Any = {"cache_control": {"type": "ephemeral"}}
    answers = []
    for seconds in (0, 200, 101):
        clock.advance(seconds)
        answers.append(ask(simulated, "word " * 6000, **marked))
    assert [found.status for found in answers] == [200, 429 if is_limited else 200, 200]
    body: Any = answers[-1].body
    assert bool(body["usage"]["cache_read_input_tokens"]) is read

"""The journal: every request with its prompt, cache decision, cost, status, fault and timing."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import default_catalog
from sdk_workflow.exceptions import StorageError
from sdk_workflow.simulator.asgi import SimulatorApp
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.journal import Journal, canonical_prompt, preview
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.types import Usage
from tests.simulator.simulated import (
    HEADERS,
    MODEL,
    NOVEMBER_21,
    answer,
    ask,
    params,
    simulation,
    waits,
)
from tests.simulator.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.simulator.journal import JournalEntry

KEY = "sk-ant-api03-planted_SECRET"


def entries(simulated: Simulation) -> list[JournalEntry]:
    assert simulated.journal is not None
    return simulated.journal.entries()


def post(simulated: Simulation, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer(simulated.handle("POST", "/v1/messages?beta=true", {**HEADERS, **headers}, raw))


def test_a_request_leaves_its_facts() -> None:
    simulated = simulation(seed=1)
    reply: Any = ask(simulated, "Hello\n  there", key=KEY).body
    entry = entries(simulated)[0]
    assert (entry.index, entry.method, entry.path) == (0, "POST", "/v1/messages")
    assert (entry.status, entry.ending, entry.fault) == (200, "complete", None)
    assert entry.request_id.startswith("req_")
    assert entry.message_id == reply["id"]
    assert (entry.model, entry.prompt_preview) == (MODEL, "Hello there")
    assert entry.usage == Usage.from_api(reply["usage"])
    assert entry.time == NOVEMBER_21
    assert KEY not in entry.key_id
    assert len(entry.key_id) == 8


def test_the_cost_is_exact_by_model_day_region_and_speed() -> None:
    simulated = simulation()
    ask(simulated, model="claude-opus-4-8", inference_geo="us", speed="fast")
    entry = entries(simulated)[0]
    assert entry.usage is not None
    expected = default_catalog().price(
        "claude-opus-4-8", entry.usage, at=date(2026, 11, 21), geo="us", fast=True
    )
    assert expected is not None
    assert entry.cost == expected
    assert entry.to_json()["cost_usd"] == expected.usd


def test_the_same_prompt_has_the_same_digest_streamed_or_not() -> None:
    simulated = simulation()
    for changes in ({}, {"stream": True}, {"max_tokens": 99}):
        list(
            simulated.handle(
                "POST", "/v1/messages", HEADERS, json.dumps(params(**changes)).encode()
            )
        )
    digests = [entry.prompt_digest for entry in entries(simulated)]
    assert digests[0] == digests[1] != digests[2]
    assert [entry.is_streamed for entry in entries(simulated)] == [False, True, False]
    text, _ = canonical_prompt({"b": 1, "a": {"d": 2, "c": 3}, "stream": True})
    assert text == '{"a":{"c":3,"d":2},"b":1}'


def test_the_cache_decision_names_the_block_that_diverged() -> None:
    simulated = simulation()

    def system(name: str) -> Any:
        text = "rule " * 6000 + name
        return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]

    first: Any = ask(simulated, system=system("A")).body
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "More"},
    ]
    answer(simulated.create({**params(), "messages": talk, "system": system("A")}))
    answer(simulated.create({**params(), "messages": talk, "system": system("B")}))
    caches = [entry.cache for entry in entries(simulated)]
    assert all(cache is not None for cache in caches)
    wrote, read, missed = (dict(cache or {}) for cache in caches)
    assert wrote["write_5m_tokens"] == read["read_tokens"] == missed["write_5m_tokens"] > 5000
    assert read["read_up_to"] == "system.0"
    assert read["divergence"] is None
    assert wrote["breakpoints"] == ["system.0 (5m, explicit)"]
    assert missed["divergence"]["path"] == "system.0"


def test_a_breakpoint_on_too_short_a_prompt_is_shown() -> None:
    simulated = simulation()
    ask(simulated, cache_control={"type": "ephemeral"})
    cache = entries(simulated)[0].cache or {}
    assert cache["breakpoints"] or cache["too_short"]
    assert cache["write_5m_tokens"] == 0


def test_refusals_and_faults_leave_their_type_code_and_wait() -> None:
    simulated = simulation(
        faults="429:retry-after=7:x-should-retry=false:error_code=ramp_limit_exceeded@0"
    )
    ask(simulated)
    ask(simulated, max_tokens=-1)
    first, second = entries(simulated)
    assert (first.status, first.error_type, first.fault) == (429, "rate_limit_error", "status")
    assert (first.retry_after_seconds, first.should_retry) == (7.0, False)
    assert first.error_code == "ramp_limit_exceeded"
    assert (first.usage, first.cost, first.cache, first.message_id) == (None,) * 4
    assert (second.status, second.error_type) == (400, "invalid_request_error")
    assert (second.retry_after_seconds, second.should_retry) == (None, None)


def test_every_endpoint_is_recorded_and_a_body_that_is_no_json_too() -> None:
    simulated = simulation()
    post(simulated, b"{")
    post(simulated, [1])
    list(simulated.handle("GET", "/v1/models?limit=1", HEADERS, b""))
    list(simulated.count_tokens(params()))
    assert [(entry.path, entry.status, entry.model) for entry in entries(simulated)] == [
        ("/v1/messages", 400, None),
        ("/v1/messages", 400, None),
        ("/v1/models", 200, None),
        ("/v1/messages/count_tokens", 200, MODEL),
    ]


def test_timing_and_endings_are_noted() -> None:
    clock = VirtualClock(NOVEMBER_21)
    simulated = simulation(clock=clock, faults="slow_headers@0;stall:after_events=3@1;reset@2")
    steps = simulated.create(params(), is_streamed=True)
    for step in steps:
        clock.advance(waits([step]))
    for _ in range(2):
        steps = simulated.create(params(), is_streamed=True)
        for _ in range(5):
            clock.advance(1)
            next(steps)
        steps.close()
    left = simulated.create(params(), is_streamed=True)
    next(left)
    assert entries(simulated)[3].ending == "open"
    left.close()
    slow, stalled, broken, gone = entries(simulated)
    assert (slow.ending, slow.first_byte_seconds, slow.duration_seconds) == ("complete", 5.0, 5.0)
    assert (stalled.ending, stalled.events_sent) == ("stalled", 3)
    assert stalled.silent_since_seconds == stalled.duration_seconds == 4.0
    assert (broken.ending, broken.silent_since_seconds) == ("reset", None)
    assert gone.ending == "client_left"


def test_the_text_that_a_broken_stream_had_sent_is_kept() -> None:
    script = {"replies": [{"text": "one two three four", "times": 9}]}
    simulated = simulation(
        faults="truncate:after_events=4@0;error_event:after_events=4@1", script=script
    )
    for _ in range(3):
        list(simulated.create(params(), is_streamed=True))
    cut, broken, whole = entries(simulated)
    assert (cut.partial_text, cut.ending) == ("one two three", "truncated")
    assert (broken.error_type, broken.ending) == ("overloaded_error", "truncated")
    assert (whole.partial_text, whole.ending) == ("", "complete")


@pytest.mark.parametrize("kind", ["truncate", "malformed_body", "malformed_event"])
def test_a_plain_answer_that_arrives_broken_ended_so_whoever_carried_it_out(kind: str) -> None:
    def read_all(simulated: Simulation) -> None:
        list(simulated.create(params()))

    def read_the_answer(simulated: Simulation) -> None:
        steps = simulated.create(params())
        next(steps)
        steps.close()

    def ask_over_http(simulated: Simulation) -> None:
        wire = Wire(SimulatorApp(simulated), "POST", "/v1/messages", json.dumps(params()).encode())
        anyio.run(wire.run)

    for carry_out in (read_all, read_the_answer, ask_over_http):
        simulated = simulation(faults=f"{kind}@0")
        carry_out(simulated)
        assert [entry.ending for entry in entries(simulated)] == ["truncated"]


def test_the_journal_keeps_so_many_requests_and_counts_all() -> None:
    journal = Journal(capacity=3)
    for index in range(5):
        journal.open(time=0.0, method="GET", path=f"/{index}")
    assert [entry.path for entry in journal.entries()] == ["/2", "/3", "/4"]
    shown = journal.to_json()
    assert (shown["count"], shown["dropped"], journal.count) == (5, 2, 5)
    journal.clear()
    assert (journal.entries(), journal.count) == ([], 0)


def test_the_oldest_prompts_are_let_go_of_first() -> None:
    journal = Journal(max_prompt_characters=10)
    kept = [journal.open(time=0.0, method="POST", path="/", prompt="x" * 4) for _ in range(4)]
    journal.open(time=0.0, method="GET", path="/")
    assert [entry.prompt for entry in kept] == [None, None, "xxxx", "xxxx"]
    journal.open(time=0.0, method="POST", path="/", prompt="y" * 99)
    assert [entry.prompt for entry in journal.entries()] == [None] * 6


def test_totals_add_up() -> None:
    simulated = simulation(faults="529@1")
    for _ in range(3):
        ask(simulated)
    assert simulated.journal is not None
    totals = simulated.journal.to_json()["totals"]
    costs = [entry.cost.usd for entry in entries(simulated) if entry.cost is not None]
    assert len(costs) == 2
    assert totals["cost_usd"] == pytest.approx(sum(costs))
    assert (totals["failed"], totals["faults"]) == (1, 1)
    assert totals["usage"]["input_tokens"] > 0


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    simulated = simulation(script=[f"Your key is {KEY}."], faults="truncate:after_events=9@0")
    list(simulated.create(params(f"My key is {KEY}"), is_streamed=True, key=KEY))
    post(simulated, params(f"{KEY} again", metadata={"user_id": KEY}), **{"x-api-key": KEY})
    path = tmp_path / "journal.json"
    assert simulated.journal is not None
    simulated.journal.write(path)
    text = path.read_text()
    assert "planted_SECRET" not in text
    written = json.loads(text)
    assert written["schema"] == "sdk_workflow.simulator.journal/1"
    assert written["requests"][0]["prompt"]["messages"][0]["content"].startswith(
        "My key is sk-ant-["
    )
    assert "prompt" not in simulated.journal.to_json()["requests"][0]


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Journal().write(tmp_path / "missing" / "journal.json")


def test_text_that_no_encoding_takes_is_written_all_the_same(tmp_path: Path) -> None:
    journal = Journal()
    journal.open(time=0.0, method="POST", path="/", prompt_preview="half \ud800 a pair")
    journal.write(tmp_path / "journal.json")
    assert json.loads((tmp_path / "journal.json").read_text())["count"] == 1


@pytest.mark.parametrize(
    ("messages", "shown"),
    [
        ([{"role": "user", "content": "Hello"}], "Hello"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}], "a"),
        ([{"role": "user", "content": "q"}, {"role": "user", "content": [{"type": "x"}]}], "q"),
        ([{"role": "assistant", "content": "a"}], ""),
        ([{"role": "user", "content": 5}, "text"], ""),
        ([{"role": "user", "content": [5, {"text": 7}]}], ""),
        (None, ""),
    ],
)
def test_the_preview_is_the_last_user_text_whatever_the_request_looks_like(
    messages: Any, shown: str
) -> None:
    assert preview({"messages": messages}) == shown


def test_the_preview_is_short_and_a_secret_at_its_cut_is_not_shown_in_part() -> None:
    text = "word " * 38 + KEY
    shown = preview(params(text))
    assert len(shown) <= 200
    assert "planted" not in shown


def test_a_simulation_without_a_journal_answers_all_the_same() -> None:
    clock = VirtualClock(NOVEMBER_21)
    bare = Simulation(Engine(clock=clock), clock=clock)
    assert ask(bare).status == 200
    assert ask(bare, max_tokens=-1).status == 400
    limited = Simulation.build(clock=clock, limits="rpm=5")
    limited.journal = None
    assert [ask(limited).status, ask(limited).status] == [200, 200]
    limited.reset()
    bare.reset()


def test_a_mapping_that_is_no_dict_is_canonical_too() -> None:
    from types import MappingProxyType

    frozen = MappingProxyType({"a": MappingProxyType({"b": {1}})})
    assert canonical_prompt(frozen)[0] == '{"a":{"b":"{1}"}}'

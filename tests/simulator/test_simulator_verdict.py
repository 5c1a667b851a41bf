"""The verdict: a bad client is found out in each of its ways, a good one is left in peace."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sdk_workflow.simulator.journal import Journal
from sdk_workflow.simulator.steps import Head, Stall
from sdk_workflow.simulator.verdict import CHECKS, judge
from tests.simulator.scene import TEXT, Scene, go_on
from tests.simulator.simulated import params


def test_nothing_happened_nothing_found() -> None:
    verdict = Scene().verdict()
    assert verdict.is_resilient
    assert str(verdict) == "The client held out: nothing found in 0 requests."
    verdict.assert_resilient()


def test_a_verdict_says_how_many_requests_it_could_not_judge() -> None:
    journal = Journal(capacity=2)
    for number in range(5):
        journal.open(time=float(number), method="POST", path="/v1/messages", status=200)
    verdict = judge(journal)
    assert (journal.dropped, verdict.dropped_count, verdict.to_json()["dropped"]) == (3, 3, 3)
    said = "3 earlier requests were not judged: the journal keeps the last ones only."
    assert said in str(verdict)
    verdict.assert_resilient()
    journal.open(time=9.0, method="POST", path="/v1/messages", prompt_digest="x", status=529)
    assert "4 earlier requests" in str(judge(journal))
    with pytest.raises(AssertionError, match=r"gave_up.*\n4 earlier requests were not judged"):
        judge(journal).assert_resilient()
    assert "not judged" not in str(Scene().verdict())


def test_a_client_that_waits_as_asked_is_left_in_peace() -> None:
    scene = Scene(faults="429:retry-after=5@0;529@1;503@2")
    scene.send()
    scene.clock.advance(5)
    for pause in (0.5, 1.0, 2.0):
        scene.send()
        scene.clock.advance(pause)
    assert scene.send().status == 200
    scene.verdict().assert_resilient()


def test_ignoring_retry_after_is_found() -> None:
    scene = Scene(faults="429:retry-after=5@0")
    scene.send()
    scene.clock.advance(4.9)
    scene.send()
    verdict = scene.verdict()
    assert verdict.codes == {"retry_after_ignored"}
    finding = verdict.findings[0]
    assert finding.requests == (0, 1)
    assert finding.evidence["waited_seconds"] == pytest.approx(4.9)
    assert finding.evidence["retry_after_seconds"] == 5.0


@pytest.mark.parametrize(
    "fault",
    [
        "400",
        "401",
        "403",
        "404",
        "413",
        "529:x-should-retry=false",
        "429:error_code=enforced_spend_limit_reached",
        "429:error_code=contract_spend_limit_reached",
    ],
)
def test_retrying_what_cannot_succeed_is_found(fault: str) -> None:
    scene = Scene(faults=f"{fault}@0")
    scene.send()
    assert scene.codes() == set()
    scene.clock.advance(30)
    scene.send()
    assert scene.codes() == {"retried_non_retryable"}


def test_a_spend_limit_of_the_simulation_must_not_be_retried_either() -> None:
    scene = Scene(limits="spend_usd=0.0000001")
    scene.send()
    for _ in range(2):
        scene.clock.advance(60)
        scene.send(params("Another"))
    assert scene.codes() == {"retried_non_retryable"}


def test_an_error_that_the_server_wants_retried_may_be() -> None:
    scene = Scene(faults="400:x-should-retry=true@0")
    scene.send()
    scene.clock.advance(1)
    scene.send()
    assert scene.codes() == set()


@pytest.mark.parametrize(("failures", "is_storm"), [(10, False), (11, True)])
def test_more_than_ten_attempts_are_a_storm(failures: int, is_storm: bool) -> None:  # noqa: FBT001
    scene = Scene(faults=f"529@0-{failures - 1}")
    for _ in range(failures + 1):
        scene.send()
        scene.clock.advance(1)
    assert scene.codes() == ({"retry_storm"} if is_storm else set())


@pytest.mark.parametrize("fault", ["529", "reset", "truncate"])
def test_another_attempt_at_once_is_found(fault: str) -> None:
    scene = Scene(faults=f"{fault}@0")
    scene.send(stream=True)
    scene.clock.advance(0.05)
    scene.send(stream=True)
    assert scene.codes() == {"no_backoff"}
    assert scene.codes(min_backoff_seconds=0.01) == set()


@pytest.mark.parametrize("fault", ["529", "503", "429", "reset:before_headers=true", "stall"])
def test_giving_up_at_the_first_failure_is_found(fault: str) -> None:
    scene = Scene(faults=f"{fault}@0")
    scene.send()
    verdict = scene.verdict()
    assert verdict.codes == {"gave_up"}
    with pytest.raises(AssertionError, match="gave_up: Request 0 failed"):
        verdict.assert_resilient()
    verdict.assert_resilient(ignore=["gave_up"])


@pytest.mark.parametrize("fault", ["400", "429:retry-after=90"])
def test_giving_up_where_waiting_is_no_use_is_no_fault(fault: str) -> None:
    scene = Scene(faults=f"{fault}@0")
    scene.send()
    assert scene.codes() == set()


def test_giving_up_on_a_stream_that_has_shown_text_is_no_fault() -> None:
    scene = Scene(faults="truncate:after_events=6@0", script=["one two three four five six seven"])
    assert scene.send(stream=True)
    assert scene.codes() == set()


def test_waiting_for_silence_without_end_is_found_also_while_it_lasts() -> None:
    scene = Scene(faults="stall:after_events=3")
    steps = scene.simulated.create(params(), is_streamed=True)
    for step in steps:
        if isinstance(step, Stall):
            break
    scene.clock.advance(500)
    assert "no_read_timeout" not in scene.codes()
    assert "no_read_timeout" in scene.codes(max_silence_seconds=400)
    scene.clock.advance(200)
    assert "no_read_timeout" in scene.codes()
    steps.close()
    finding = next(f for f in scene.verdict().findings if f.code == "no_read_timeout")
    assert finding.evidence["silent_seconds"] == 700
    assert judge(Journal()).is_resilient


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("truncate:after_events=5", "truncated_stream_accepted"),
        ("reset:after_events=5", "truncated_stream_accepted"),
        ("error_event:after_events=5", "truncated_stream_accepted"),
        ("malformed_event:after_events=4", "malformed_chunk_ignored"),
    ],
)
def test_going_on_from_half_an_answer_is_found(fault: str, code: str) -> None:
    scene = Scene(faults=f"{fault}@0", script=[TEXT, TEXT, TEXT])
    text = scene.send(stream=True)
    assert text
    assert text != TEXT
    scene.clock.advance(1)
    scene.send(go_on(text), stream=True)
    found = scene.verdict()
    assert code in found.codes
    assert next(f for f in found.findings if f.code == code).requests == (0, 1)


def test_going_on_from_the_answer_of_a_retry_is_no_fault() -> None:
    scene = Scene(faults="truncate:after_events=5@0", script=[TEXT, TEXT, TEXT])
    scene.send(stream=True)
    scene.clock.advance(1)
    scene.send(go_on(scene.send(stream=True)), stream=True)
    assert scene.codes() == set()


def test_saying_the_same_as_half_an_answer_before_it_proves_nothing() -> None:
    scene = Scene(faults="truncate:after_events=5@1", script=["Hello.", TEXT])
    half = 'one "two" three\nfour five six'
    scene.send(go_on(half))
    scene.send(stream=True)
    assert "truncated_stream_accepted" not in scene.codes()


def test_another_clients_words_prove_nothing() -> None:
    scene = Scene(faults="truncate:after_events=5@0", script=[TEXT] * 3)
    text = scene.send(stream=True)
    list(scene.simulated.create(go_on(text), key="another"))
    assert "truncated_stream_accepted" not in scene.codes()


def test_a_half_answer_that_the_client_gave_out_is_found_by_its_id() -> None:
    scene = Scene(faults="truncate@0")
    steps = scene.simulated.create(params(), is_streamed=True)
    heads = [step for step in steps if isinstance(step, Head)]
    assert heads
    journal = scene.simulated.journal
    assert journal is not None
    message_id = journal.entries()[0].message_id
    assert message_id is not None
    scene.clock.advance(1)
    scene.send()
    assert scene.codes() == set()
    assert scene.codes(accepted=[message_id]) == {"truncated_stream_accepted"}


def test_breaking_the_cached_prefix_is_found() -> None:
    def asked(name: str, *turns: dict[str, Any]) -> dict[str, Any]:
        text = "rule " * 6000 + name
        system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        return {**params(), "system": system, "messages": [*params()["messages"], *turns]}

    scene = Scene()
    reply = scene.send(asked("12:00"))
    later = (
        {"role": "assistant", "content": reply.body["content"]},
        {"role": "user", "content": "More"},
    )
    scene.send(asked("12:00", *later))
    assert scene.codes() == set()
    scene.send(asked("12:01", *later))
    verdict = scene.verdict()
    assert verdict.codes == {"cache_breaking_prefix"}
    assert "system.0" in verdict.findings[0].message


def test_other_endpoints_and_bodies_that_are_no_json_are_not_judged() -> None:
    scene = Scene()
    for _ in range(3):
        list(scene.simulated.handle("POST", "/v1/messages", {}, b"{"))
        list(scene.simulated.handle("GET", "/v1/models", {}, b""))
    assert scene.verdict().request_count == 0


def test_a_deliberately_bad_client_shows_most_of_its_faults_at_once() -> None:
    scene = Scene(
        faults="429:retry-after=9@0;529@1-12;400@13;truncate:after_events=6@15", script=[TEXT] * 9
    )
    for _ in range(15):
        scene.send(stream=True)
    scene.send(params("Next"), stream=True)
    half = scene.send(params("Last"), stream=True)
    talk = [*params("Last")["messages"], {"role": "assistant", "content": half}]
    scene.send({**params(), "messages": [*talk, {"role": "user", "content": "And?"}]})
    assert scene.codes() >= {
        "retry_after_ignored",
        "retried_non_retryable",
        "retry_storm",
        "no_backoff",
    }


def test_a_verdict_is_plain_json_without_secrets() -> None:
    scene = Scene(faults="truncate:after_events=9@0", script=["key sk-ant-api03-hidden it is now"])
    text = scene.send(stream=True)
    scene.clock.advance(1)
    scene.send(go_on(text))
    shown = json.dumps(scene.verdict().to_json())
    assert "hidden" not in shown
    assert "hidden" not in str(scene.verdict())
    assert json.loads(shown)["findings"][0]["code"] in CHECKS


def test_ignoring_a_check_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="no check 'gaveup'"):
        Scene().verdict().assert_resilient(ignore=["gaveup"])

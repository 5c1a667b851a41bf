"""Which fault strikes which request, and how a plan is written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.fault_spec import parse_faults
from sdk_workflow.simulator.faults import KINDS, Fault, FaultPlan, FaultRule, IndexRange

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/v1/messages"


def struck(plan: FaultPlan, count: int = 8, path: str = PATH) -> list[str | None]:
    found = [plan.pick(path, now=0.0) for _ in range(count)]
    return [None if fault is None else fault.kind for fault in found]


def hit(spec: Any, count: int = 8) -> list[int]:
    kinds = struck(parse_faults(spec), count)
    return [index for index, kind in enumerate(kinds) if kind is not None]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("529@0-2", [0, 1, 2]),
        ("reset@3", [3]),
        ("stall@6-", [6, 7]),
        ("truncate@1,4-5", [1, 4, 5]),
        ("truncate", list(range(8))),
        ("truncate:times=2", [0, 1]),
        ("reset@100%", list(range(8))),
        ("reset@0%", []),
        ("529@0; reset@2 ;", [0, 2]),
        ({"faults": [{"kind": "reset", "requests": [1, "3-4"]}]}, [1, 3, 4]),
        ({"faults": [{"kind": "reset", "requests": 2}]}, [2]),
        ([None, "529", "ok", {"kind": "reset"}, 503], [1, 3, 4]),
        ({"script": ["none", "reset"], "faults": ["529@4"]}, [1, 4]),
    ],
)
def test_a_fault_strikes_the_requests_that_it_is_addressed_to(
    spec: Any, expected: list[int]
) -> None:
    assert hit(spec) == expected


def test_the_first_fault_that_fits_strikes() -> None:
    assert struck(parse_faults("reset@1;529@0-2"), 3) == ["status", "reset", "status"]


def test_requests_are_counted_for_each_path_by_itself() -> None:
    counting = "/v1/messages/count_tokens"
    rules = [FaultRule(fault=Fault(kind="reset"), requests=(IndexRange(0, 0),), path=counting)]
    plan = FaultPlan(rules)
    assert struck(plan, 2) == [None, None]
    assert struck(plan, 2, counting) == ["reset", None]
    assert struck(parse_faults(f"529:path={counting}@0"), 1) == [None]


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_chance_is_the_same_for_the_same_seed_and_about_as_often_as_it_says(
    seed: int, probability: float
) -> None:
    rules = [FaultRule(fault=Fault(kind="reset"), probability=probability)]
    first, second = FaultPlan(rules, seed=seed), FaultPlan(rules, seed=seed)
    # What happens on another path in between changes nothing.
    second.pick("/v1/models", now=0.0)
    kinds = struck(first, 300)
    assert kinds == struck(second, 300)
    assert abs(sum(kind is not None for kind in kinds) / 300 - probability) < 0.15
    first.reset()
    assert struck(first, 300) == kinds


def test_another_seed_strikes_others() -> None:
    table = {"faults": [{"kind": "reset", "probability": 0.5}]}
    assert len({tuple(hit({**table, "seed": seed}, 40)) for seed in range(5)}) == 5


def test_a_plan_without_a_seed_takes_the_one_that_is_given() -> None:
    for spec in ("reset@50%", {"faults": ["reset@50%"]}, ["ok"]):
        assert parse_faults(spec, seed=7).seed == 7
    assert parse_faults({"seed": 3}, seed=7).seed == 3


def test_a_storm_lasts_for_its_time_and_can_come_again() -> None:
    plan = parse_faults("storm:seconds=10@1,4")
    picks = [plan.pick(PATH, now=now) for now in (0.0, 1.0, 2.0, 10.9, 11.0, 12.0, 21.5)]
    assert [fault is not None for fault in picks] == [False, True, True, True, True, True, False]
    assert picks[1] is not None
    assert picks[1].error_status == 529


def test_a_storm_lasts_half_a_minute_by_default_and_ends_with_a_reset() -> None:
    plan = FaultPlan(script=[Fault(kind="storm")])
    assert struck(plan, 3) == ["storm"] * 3
    assert plan.pick(PATH, now=29.9) is not None
    assert plan.pick(PATH, now=30.1) is None
    plan.reset()
    assert struck(plan, 2) == ["storm", "storm"]


def test_a_fault_that_is_built_by_hand_has_no_options_that_its_kind_ignores() -> None:
    for options in ({"seconds": 3.0}, {"headers": {"retry-after": "1"}}, {"before_headers": True}):
        with pytest.raises(UsageError, match="no use for"):
            Fault(kind="truncate", **options)
    with pytest.raises(UsageError, match="comes before the first"):
        IndexRange(3, 1)


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/", "/v1/messages/count_tokens", "/v1/models/claude-x", "/v1/files/f/content"],
)
def test_a_path_is_one_of_the_endpoints(path: str) -> None:
    assert parse_faults(f"529:path={path}").rules[0].path == path.removesuffix("/")


def test_every_key_of_a_fault_can_be_written_in_a_line() -> None:
    line = (
        "status:status=503:error_type=api_error:error_code=x:message=Down:retry-after=2"
        ":X-Should-Retry=false@0"
    )
    fault = parse_faults(line).rules[0].fault
    assert fault == Fault(
        kind="status",
        status=503,
        error_type="api_error",
        error_code="x",
        message="Down",
        headers={"retry-after": "2", "x-should-retry": "false"},
    )
    assert fault.error().envelope()["error"] == {
        "type": "api_error",
        "message": "Down",
        "details": {"error_code": "x"},
    }
    other = parse_faults("stall:after_bytes=9:before_headers=FALSE").rules[0].fault
    assert other == Fault(kind="stall", after_bytes=9)
    early = parse_faults("reset:before_headers=TRUE").rules[0].fault
    assert early == Fault(kind="reset", before_headers=True)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault(kind="status", status=429), 429, "rate_limit_error"),
        (Fault(kind="status", status=502), 502, "api_error"),
        (Fault(kind="status", status=418), 418, "invalid_request_error"),
        (Fault(kind="storm"), 529, "overloaded_error"),
        (Fault(kind="error_event"), 529, "overloaded_error"),
        (Fault(kind="error_event", error_type="api_error"), 500, "api_error"),
    ],
)
def test_an_error_answer_has_the_type_of_its_status(fault: Fault, status: int, kind: str) -> None:
    assert (fault.error().status, fault.error().kind) == (status, kind)


def test_a_plan_is_read_from_json_and_toml_files(tmp_path: Path) -> None:
    table = {"seed": 3, "faults": [{"kind": "status", "status": 529, "requests": "0"}]}
    (tmp_path / "plan.json").write_text(json.dumps(table))
    (tmp_path / "plan.toml").write_text(
        'seed = 3\n[[faults]]\nkind = "status"\nstatus = 529\nrequests = "0"\n'
    )
    by_json = parse_faults(str(tmp_path / "plan.json"))
    by_toml = parse_faults(tmp_path / "plan.toml")
    assert by_json.rules == by_toml.rules
    assert by_json.seed == by_toml.seed == 3
    assert parse_faults(by_json) is by_json


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("trunkate", "no fault 'trunkate'", "Did you mean 'truncate'?"),
        ("stall:after_event=3", "unknown key 'after_event'", "Did you mean 'after_events'?"),
        ("stall:4", "has '4' where `key=value` was expected", "stall:after_events=4@2"),
        ("stall@x", "'x' names no requests", "5-"),
        ("stall@-3", "'-3' names no requests", "0-2"),
        ("stall@120%", "The chance of the fault 'stall@120%' is '120'", "at most 100"),
        ("200", "status is 200", "from 400 to 599"),
        ("status:status=abc", "status is 'abc'", "number"),
        ("stall:after_events=1.5", "after_events is '1.5'", "whole number"),
        ("stall:before_headers=perhaps", "before_headers is 'perhaps'", "true or false"),
        ("error_event:error_type=overload_error", "'overload_error'", "'overloaded_error'"),
        ("", "The faults are empty", "529@0-1"),
        (" ; ;", "The faults are empty", "529@0-1"),
        ("529@3-1", "The requests 3-1 are none", "Write 1-3."),
        ("529:times=0", "times is '0'", "at least 1"),
        ("529:path=/v1/mesages", "no endpoint '/v1/mesages'", "Did you mean '/v1/messages'?"),
        ({"faults": [{"kind": "reset", "path": 5}]}, "no endpoint 5", "The endpoints are"),
        ("truncate:seconds=3", "'truncate' has no use for 'seconds'", "after_bytes, after_events"),
        ("truncate:before_headers=true", "no use for 'before_headers'", "It takes after_bytes"),
        ("slow_headers:status=500", "'slow_headers' has no use for 'status'", "takes seconds."),
        ("slow_headers:status=529", "'slow_headers' has no use for 'status'", "takes seconds."),
        ("malformed_body:after_events=1", "no use for 'after_events'", "It takes none."),
        ("stall:retry-after=2", "'stall' has no use for 'headers'", "before_headers"),
        ("stall:after_bytes=9:after_events=1", "both 'after_events' and 'after_bytes'", "one of"),
        ("reset:after_bytes=9:before_headers=true", "both 'before_headers' and", "one of them"),
        ({"script": [{"kind": "reset", "status": 500}]}, "no use for 'status'", "It takes"),
        ({"fault": []}, "unknown key 'fault'", "Did you mean 'faults'?"),
        ({"faults": {}}, "faults.faults is no list", "one table per fault"),
        ({"script": 5}, "faults.script is no list", "one entry per request"),
        ({"faults": [{"status": 529}]}, "has no kind", "The kinds are status"),
        ({"faults": [{"kind": "reset", "probability": 2}]}, "probability is 2", "at most 1"),
        ({"faults": [{"kind": "reset", "requests": []}]}, "[] names no requests", "Count from 0"),
        ({"faults": [{"kind": "reset", "headers": 1}]}, "headers is 1", "names and values"),
        ({"faults": [{"kind": "reset", "message": 1}]}, "message is 1", "Give text"),
        ({"faults": [7.5]}, "faults.0 is 7.5", "kind"),
        ([{"kind": "reset", "requests": "1"}], "script.0 has 'requests'", "`faults`"),
        (5, "faults is 5", "faults, script, seed"),
        ({"seed": "x"}, "faults.seed is 'x'", "number"),
    ],
)
def test_a_malformed_plan_says_what_is_wrong_and_what_was_meant(
    spec: Any, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_faults(spec)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_plan_file_that_is_missing_or_malformed_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    bad_toml = tmp_path / "bad.toml"
    bad_toml.write_text("= 1")
    for name in ("missing.json", "broken.json", "bad.toml"):
        with pytest.raises(UsageError, match=name):
            parse_faults(str(tmp_path / name))


def test_faults_that_are_made_already_are_taken_as_they_are() -> None:
    fault = Fault(kind="reset")
    assert parse_faults([fault, None]).script == (fault, None)
    nothing = parse_faults({"faults": [{"kind": "reset", "message": None}]})
    assert nothing.rules[0].fault == fault


def test_every_kind_is_a_kind() -> None:
    assert [Fault(kind=kind).kind for kind in KINDS] == list(KINDS)  # type: ignore[arg-type]

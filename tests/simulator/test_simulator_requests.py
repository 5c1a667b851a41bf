"""What holds for every request of a simulation, and what a reset leaves of them: nothing."""

from __future__ import annotations

import json

import pytest

from sdk_workflow.simulator.app import create_app
from sdk_workflow.simulator.fault_spec import parse_faults
from tests.simulator.simulated import HEADERS, NOVEMBER_21, ask, params, simulation
from tests.simulator.wire import Wire, http, send

THREADS = {"anthropic-beta": "message-threads-2026-08-12"}
CREATE = {"type": "create"}


def test_a_reset_forgets_cache_threads_files_and_batches() -> None:
    simulated = simulation()
    mark = {"cache_control": {"type": "ephemeral"}}
    asked = params("word " * 6000, **mark, thread=CREATE)
    first = http(simulated, "POST", "/v1/messages", asked, **THREADS).body
    batch = {"requests": [{"custom_id": "a", "params": params()}]}
    made = http(simulated, "POST", "/v1/messages/batches", batch).body
    simulated.engine.files.add("a.txt", "text/plain", b"Hello", workspace="w", now=NOVEMBER_21)
    send(simulated, "POST", "reset")
    again = http(simulated, "POST", "/v1/messages", asked, **THREADS).body
    assert again == first
    assert again["usage"]["cache_creation_input_tokens"] > 0
    assert http(simulated, "GET", f"/v1/messages/batches/{made['id']}").status == 404
    assert http(simulated, "GET", "/v1/messages/batches").body["data"] == []
    assert simulated.engine.files.listed(workspace="w", now=NOVEMBER_21) == []
    assert len(simulated.engine.threads) == 1


def test_an_answer_that_is_under_way_at_a_reset_leaves_nothing_behind() -> None:
    simulated = simulation()
    asked = params("word " * 6000, cache_control={"type": "ephemeral"}, thread=CREATE, stream=True)
    body = json.dumps(asked).encode()
    steps = simulated.handle("POST", "/v1/messages", {**HEADERS, **THREADS}, body)
    next(steps)
    simulated.reset()
    assert list(steps)
    assert (len(simulated.engine.prompt_cache), len(simulated.engine.threads)) == (0, 0)
    assert send(simulated, "GET", "journal")[1]["count"] == 0


def test_threads_are_lost_on_demand() -> None:
    simulated = simulation()
    first = http(simulated, "POST", "/v1/messages", params(thread=CREATE), **THREADS).body
    assert send(simulated, "DELETE", "threads") == (200, {"threads": 0})
    thread = {"type": "continue", "previous_message_id": first["id"]}
    lost = http(simulated, "POST", "/v1/messages", params(thread=thread), **THREADS)
    assert (lost.status, lost.body["error"]["details"]["error_code"]) == (404, "thread_not_found")


def test_the_verdict_is_told_what_was_given_out_and_what_the_budget_was() -> None:
    simulated = simulation(faults="truncate@0")
    list(simulated.create(params(), is_streamed=True))
    ask(simulated, "Another")
    assert simulated.journal is not None
    name = simulated.journal.entries()[0].message_id
    plain = send(simulated, "GET", "verdict")[1]
    told = send(simulated, "GET", f"verdict?accepted=msg_x,{name}&budget_usd=0.000001")[1]
    codes = [{finding["code"] for finding in each["findings"]} for each in (plain, told)]
    assert codes[1] - codes[0] == {"truncated_stream_accepted", "budget_overrun"}
    status, refusal = send(simulated, "GET", "verdict?budget_usd=much")
    assert (status, "budget_usd" in refusal["error"]["message"]) == (400, True)


def test_a_slash_at_the_end_of_a_path_changes_nothing() -> None:
    simulated = simulation(limits="rpm=1", faults="529@1")
    statuses = [http(simulated, "POST", "/v1/messages/", params()).status for _ in range(3)]
    assert statuses == [200, 529, 429]
    assert http(simulated, "GET", "/").status == 404
    assert simulated.journal is not None
    paths = [entry.path for entry in simulated.journal.entries()]
    assert paths == ["/v1/messages", "/v1/messages", "/v1/messages", "/"]


def test_a_key_is_the_same_key_in_either_header() -> None:
    simulated = simulation(limits="rpm=1")
    bearer = {"x-api-key": "", "authorization": "Bearer any"}
    assert http(simulated, "POST", "/v1/messages", params()).status == 200
    assert http(simulated, "POST", "/v1/messages", params(), **bearer).status == 429
    assert simulated.journal is not None
    assert len({entry.key_id for entry in simulated.journal.entries()}) == 1


def test_what_is_no_path_is_not_found() -> None:
    assert http(simulation(), "GET", "//[").status == 404


def test_an_error_that_a_fault_makes_has_the_headers_of_every_answer_and_repeats() -> None:
    first, second = (
        http(simulation(faults="429:retry-after=7"), "POST", "/v1/messages", params())
        for _ in range(2)
    )
    assert first == second
    assert first.headers["retry-after"] == "7"
    assert first.headers["request-id"] == first.body["request_id"]
    assert first.headers["x-sdk-workflow-backend"] == "simulator"


def test_bytes_that_come_late_are_complete_all_the_same() -> None:
    simulated = simulation()
    batch = {"requests": [{"custom_id": "a", "params": params()}]}
    name = http(simulated, "POST", "/v1/messages/batches", batch).body["id"]
    send(simulated, "POST", "clock", {"advance": 60})
    path = f"/v1/messages/batches/{name}/results"
    simulated.faults = parse_faults({"faults": [{"kind": "slow_headers", "path": path}]})
    assert http(simulated, "GET", path).status == 200
    assert simulated.journal is not None
    late = next(entry for entry in simulated.journal.entries() if entry.path == path)
    assert (late.fault, late.ending) == ("slow_headers", "complete")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "megabytes", "status"),
    [
        ("/v1/messages", 33, 413),
        ("/v1/messages/batches", 33, 400),
        ("/v1/files", 33, 400),
        ("/__sim/script", 33, 413),
    ],
)
async def test_how_large_a_body_may_be_depends_on_the_path(
    path: str, megabytes: int, status: int
) -> None:
    body = b" " * (megabytes * 1024 * 1024)
    assert (await Wire(create_app(simulation()), "POST", path, body).run()).status == status


@pytest.mark.anyio
async def test_a_large_body_is_read_to_its_end_where_the_path_takes_one() -> None:
    wire = Wire(create_app(simulation()), "POST", "/v1/messages/batches")
    wire.parts[:] = [
        {"type": "http.request", "body": b" " * (33 * 1024 * 1024), "more_body": True},
        {"type": "http.request", "body": b'{"requests": []}'},
    ]
    refusal = json.loads((await wire.run()).body)
    assert refusal["error"]["message"].startswith("requests: List should have")


@pytest.mark.anyio
async def test_a_header_that_is_repeated_is_one_list() -> None:
    body = json.dumps(params(thread=CREATE)).encode()
    wire = Wire(create_app(simulation()), "POST", "/v1/messages", body)
    betas = (THREADS["anthropic-beta"], "context-1m-2025-08-07")
    wire.scope["headers"] += [(b"anthropic-beta", beta.encode()) for beta in betas]
    assert (await wire.run()).status == 200


def test_a_get_where_only_a_post_is_meant_uses_up_no_fault() -> None:
    simulated = simulation(faults="529@0")
    assert http(simulated, "GET", "/v1/messages").status == 404
    assert http(simulated, "POST", "/v1/messages", params()).status == 529

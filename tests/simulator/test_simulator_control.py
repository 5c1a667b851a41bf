"""The control endpoints, and the application that carries out the steps."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from sdk_workflow._internal.clock import SystemClock, VirtualClock
from sdk_workflow.simulator.app import create_app
from sdk_workflow.simulator.control import control, is_local
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.simulation import Simulation
from tests.simulator.simulated import NOVEMBER_21, ask, params, simulation
from tests.simulator.wire import Wire, send


def test_the_journal_is_shown_with_its_prompts_when_asked_for_and_cleared() -> None:
    simulated = simulation()
    ask(simulated)
    status, shown = send(simulated, "GET", "journal")
    assert (status, shown["count"]) == (200, 1)
    assert "prompt" not in shown["requests"][0]
    with_prompts = send(simulated, "GET", "journal?prompts=1")[1]
    assert with_prompts["requests"][0]["prompt"]["messages"] == params()["messages"]
    send(simulated, "DELETE", "journal")
    assert send(simulated, "GET", "journal")[1]["count"] == 0


def test_the_verdict_is_shown() -> None:
    simulated = simulation(faults="529@0")
    ask(simulated)
    status, verdict = send(simulated, "GET", "verdict")
    assert (status, verdict["is_resilient"]) == (200, False)
    assert verdict["findings"][0]["code"] == "gave_up"


def test_the_script_is_replaced_and_taken_away() -> None:
    simulated = simulation()
    replaced = {"replies": ["Hi."], "unmatched": "error"}
    expected = {"replies": 1, "remaining": 1, "unmatched": "error"}
    assert send(simulated, "POST", "script", replaced) == (200, expected)
    body: Any = ask(simulated).body
    assert body["content"][0]["text"] == "Hi."
    assert send(simulated, "GET", "script")[1]["remaining"] == 0
    assert ask(simulated).status == 400
    assert send(simulated, "DELETE", "script")[1] == {
        "replies": 0, "remaining": 0, "unmatched": "rules"
    }  # fmt: skip
    assert ask(simulated).status == 200


def test_faults_are_replaced_and_taken_away() -> None:
    simulated = simulation()
    shown = {"faults": ["status"], "script": [None, "reset"], "seed": 4}
    plan = {"faults": ["529"], "script": [None, "reset"], "seed": 4}
    assert send(simulated, "POST", "faults", plan) == (200, shown)
    assert send(simulated, "POST", "faults", "529@0")[1]["faults"] == ["status"]
    assert ask(simulated).status == 529
    send(simulated, "DELETE", "faults")
    assert ask(simulated).status == 200
    assert send(simulated, "GET", "faults")[1] == {"faults": [], "script": [], "seed": 0}


def test_faults_that_are_set_later_are_left_to_the_chance_of_the_same_seed() -> None:
    simulated = simulation(seed=7)
    assert send(simulated, "POST", "faults", "529@50%")[1]["seed"] == 7
    first = simulation(seed=7, faults="529@50%")
    outcomes = [[ask(each).status for _ in range(12)] for each in (simulated, first)]
    assert outcomes[0] == outcomes[1]
    assert set(outcomes[0]) == {200, 529}


def test_a_virtual_clock_is_moved_and_the_machines_is_not() -> None:
    simulated = simulation()
    assert send(simulated, "GET", "clock")[1] == {"now": NOVEMBER_21, "is_virtual": True}
    assert send(simulated, "POST", "clock", {"advance": 60})[1]["now"] == NOVEMBER_21 + 60
    real = simulation(clock=SystemClock())
    status, refusal = send(real, "POST", "clock", {"advance": 60})
    assert (status, "VirtualClock" in refusal["error"]["message"]) == (400, True)


def test_a_reset_starts_everything_over() -> None:
    simulated = simulation(faults="529@0", limits="rpm=1", script=["One.", "Two."])
    assert [ask(simulated).status for _ in range(3)] == [529, 200, 429]
    assert send(simulated, "POST", "reset") == (200, {"reset": True})
    assert [ask(simulated).status for _ in range(3)] == [529, 200, 429]
    assert send(simulated, "GET", "journal")[1]["count"] == 3
    assert send(simulated, "GET", "script")[1]["remaining"] == 1


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("GET", "jurnal", None, 404, "Did you mean 'journal'?"),
        ("PUT", "journal", None, 405, "use DELETE or GET"),
        ("POST", "script", {"replies": [{"txt": "a"}]}, 400, "Did you mean 'text'?"),
        ("POST", "script", "/etc/script.json", 400, "names a file"),
        ("POST", "faults", "plan.toml", 400, "names a file"),
        ("POST", "faults", "trunkate", 400, "Did you mean 'truncate'?"),
        ("POST", "clock", {"forward": 5}, 400, "'forward'"),
        ("POST", "clock", {"advance": -5}, 400, "at least 0"),
        ("POST", "clock", {}, 400, "clock.advance is None"),
    ],
)
def test_a_wrong_request_for_control_says_what_is_wrong(
    method: str, target: str, body: Any, status: int, message: str
) -> None:
    got, refusal = send(simulation(), method, target, body)
    assert got == status
    assert message in refusal["error"]["message"]


def test_a_body_that_is_no_json_is_refused() -> None:
    answer = control(simulation(), "POST", "/__sim/faults", b"{")
    body: Any = answer.body
    assert (answer.status, "not valid JSON" in body["error"]["message"]) == (400, True)


def test_a_part_that_the_simulation_lacks_is_named() -> None:
    clock = VirtualClock()
    bare = Simulation(Engine(clock=clock), clock=clock)
    for target in ("journal", "verdict", "script"):
        status, refusal = send(bare, "GET", target)
        assert (status, "Simulation.build" in refusal["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:8787"}, True),
        ("::1", {"host": "[::1]:8787"}, True),
        ("::1", {"host": "[::1]"}, True),
        ("127.0.0.1", {"host": "LocalHost"}, True),
        (None, {}, True),
        ("192.0.2.7", {"host": "127.0.0.1:8787"}, False),
        ("127.0.0.1", {"host": "evil.example:8787"}, False),
        ("127.0.0.1", {"host": "localhost", "origin": "https://evil.example"}, False),
    ],
)
def test_only_this_machine_is_local_and_no_web_page(
    client: str | None, headers: dict[str, str], expected: bool  # noqa: FBT001
) -> None:
    assert is_local(client, headers) is expected


BODY = json.dumps({**params(), "stream": True}).encode()
PLAIN = json.dumps(params()).encode()


@pytest.mark.anyio
async def test_the_application_answers_plain_and_streamed_and_is_controlled() -> None:
    app = create_app(simulation())
    plain = await Wire(app, "POST", "/v1/messages", PLAIN).run()
    assert (plain.status, json.loads(plain.body)["type"]) == (200, "message")
    assert not plain.sent[-1]["more_body"]
    streamed = await Wire(app, "POST", "/v1/messages", BODY).run()
    assert streamed.body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert not streamed.sent[-1]["more_body"]
    shown = await Wire(app, "GET", "/__sim/journal").run()
    assert json.loads(shown.body)["count"] == 2


@pytest.mark.anyio
async def test_a_head_request_gets_the_length_and_no_body() -> None:
    app = create_app(Engine(clock=VirtualClock()))
    wire = await Wire(app, "HEAD", "/v1/nothing").run()
    assert (wire.status, wire.body) == (404, b"")
    length = dict(wire.sent[0]["headers"])[b"content-length"]
    assert int(length) > 0


@pytest.mark.anyio
async def test_control_from_elsewhere_is_forbidden() -> None:
    wire = Wire(create_app(simulation()), "GET", "/__sim/journal")
    wire.scope["client"] = ("192.0.2.7", 5)
    assert (await wire.run()).status == 403


@pytest.mark.anyio
async def test_a_client_that_leaves_ends_a_stall_and_a_long_wait() -> None:
    for faults in ("stall", "slow_headers:seconds=999"):
        simulated = simulation(faults=faults)
        assert simulated.journal is not None
        wire = Wire(create_app(simulated), "POST", "/v1/messages", BODY)
        async with anyio.create_task_group() as group:
            group.start_soon(wire.run)
            await anyio.wait_all_tasks_blocked()
            assert simulated.journal.entries()[0].ending == "open"
            wire.leave()
        assert simulated.journal.entries()[0].ending in {"stalled", "client_left"}


@pytest.mark.anyio
async def test_a_client_that_leaves_before_its_request_is_complete_gets_nothing() -> None:
    simulated = simulation()
    wire = Wire(create_app(simulated), "POST", "/v1/messages", BODY)
    wire.parts.clear()
    wire.leave()
    await wire.run()
    assert wire.sent == []
    assert simulated.journal is not None
    assert simulated.journal.count == 0


@pytest.mark.anyio
async def test_without_the_extension_a_reset_leaves_the_response_unfinished() -> None:
    app = create_app(simulation(faults="reset:after_events=2"))
    wire = Wire(app, "POST", "/v1/messages", BODY)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await wire.run()
    error: Any = caught.value
    assert isinstance(error.exceptions[0], ConnectionResetError)
    assert wire.sent[-1]["more_body"]


@pytest.mark.anyio
async def test_a_request_in_parts_is_put_together() -> None:
    wire = Wire(create_app(simulation()), "POST", "/v1/messages")
    first, second = PLAIN[:20], PLAIN[20:]
    wire.parts[:] = [
        {"type": "http.request", "body": first, "more_body": True},
        {"type": "http.request", "body": second},
    ]
    assert (await wire.run()).status == 200


@pytest.mark.anyio
async def test_an_answer_after_a_wait_is_sent_whole_and_later_messages_are_ignored() -> None:
    wire = Wire(create_app(simulation(faults="slow_headers:seconds=0")), "POST", "/v1/messages")
    wire.parts[:] = [
        {"type": "http.request", "body": PLAIN},
        {"type": "http.request", "body": b""},
    ]
    await wire.run()
    assert json.loads(wire.body)["type"] == "message"
    assert [message["more_body"] for message in wire.sent[1:]] == [False]


@pytest.mark.anyio
async def test_a_fault_of_the_simulator_is_an_api_error() -> None:
    class Broken:
        def think(self, params: Any) -> Any:
            raise RuntimeError(f"no idea what {params['model']} would say")

    clock = VirtualClock(NOVEMBER_21)
    wire = Wire(create_app(Engine(clock=clock, brain=Broken())), "POST", "/v1/messages", PLAIN)
    with pytest.raises(RuntimeError, match="no idea"):
        await wire.run()
    assert (wire.status, json.loads(wire.body)["error"]["type"]) == (500, "api_error")


@pytest.mark.anyio
async def test_anything_but_http_is_refused() -> None:
    app = create_app(simulation())
    with pytest.raises(ValueError, match="websocket"):
        await app({"type": "websocket"}, None, None)  # type: ignore[arg-type]

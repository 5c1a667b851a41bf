"""The pytest plugin, as a user's test suite meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest

from sdk_workflow.exceptions import OverloadedError, UsageError
from sdk_workflow.testing import ScriptedReplies, Simulator, VirtualClock
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.testing import Verdict

pytest_plugins = ("pytester",)

PLUGIN = "sdk_workflow.testing.pytest_plugin"
IS_INSTALLED = any(found.value == PLUGIN for found in entry_points(group="pytest11"))
LOADED: tuple[str, ...] = () if IS_INSTALLED else ("-p", PLUGIN)

CALL = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hello"},))
HEADERS = {"x-api-key": "any", "anthropic-version": "2026-10-21"}


def test_the_simulator_answers_in_process(simulator: Simulator) -> None:
    reply = anyio.run(simulator.client.create, CALL)
    assert reply.served_by == "simulator"
    assert [entry.prompt_preview for entry in simulator.requests] == ["Hello"]


@pytest.mark.simulator(script=["Hello!"], faults="529@0", limits="rpm=100", seed=4)
def test_the_marker_sets_the_conditions(
    simulator: Simulator, simulator_verdict: Callable[..., Verdict]
) -> None:
    with pytest.raises(OverloadedError):
        anyio.run(simulator.client.create, CALL)
    assert simulator_verdict().codes == {"gave_up"}
    reply = anyio.run(simulator.client.create, CALL)
    assert reply.text == "Hello!"
    assert "anthropic-ratelimit-requests-remaining" in reply.headers
    assert simulator_verdict().codes == {"no_backoff"}


@pytest.mark.socket
@pytest.mark.parametrize(
    "status",
    [
        pytest.param(200, marks=pytest.mark.simulator(lenient=True)),
        pytest.param(400, marks=pytest.mark.simulator(lenient=False)),
    ],
)
def test_unknown_beta_features_are_tolerated_where_the_marker_is_lenient(
    simulator_url: str, status: int
) -> None:
    body = {"model": CALL.model, "max_tokens": 9, "messages": list(CALL.messages)}
    headers = {**HEADERS, "anthropic-beta": "some-clients-own-2026-01-01"}
    answer = httpx2.post(f"{simulator_url}/v1/messages", json=body, headers=headers)
    assert answer.status_code == status


@pytest.mark.socket
@pytest.mark.simulator(script=ScriptedReplies(["Over HTTP.", "In process."]))
def test_both_ways_share_one_script_and_one_journal(
    simulator: Simulator, simulator_url: str, simulator_verdict: Callable[..., Verdict]
) -> None:
    body = {"model": CALL.model, "max_tokens": 9, "messages": list(CALL.messages)}
    answer = httpx2.post(f"{simulator_url}/v1/messages", json=body, headers=HEADERS)
    assert answer.json()["content"][0]["text"] == "Over HTTP."
    assert anyio.run(simulator.client.create, CALL).text == "In process."
    assert [entry.status for entry in simulator.journal.entries()] == [200, 200]
    assert simulator.script.remaining == 0
    simulator_verdict().assert_resilient()


@pytest.mark.simulator(clock=VirtualClock(start=1000.0), script=["Scripted."])
class TestMarkersOfAClass:
    def test_a_class_sets_conditions_for_its_tests(self, simulator: Simulator) -> None:
        assert simulator.clock.now() == 1000.0

    @pytest.mark.simulator(script=["Changed."])
    def test_a_test_changes_some_of_them(self, simulator: Simulator) -> None:
        assert simulator.clock.now() == 1000.0
        assert anyio.run(simulator.client.create, CALL).text == "Changed."


def test_a_session_talks_to_the_simulator() -> None:
    simulator = Simulator(script=["One.", "Two."])

    async def talk() -> list[str]:
        async with simulator.session(system="Be brief.") as session:
            return [(await session.message(text)).text for text in ("a", "b")]

    assert anyio.run(talk) == ["One.", "Two."]
    assert len(simulator.requests) == 2


def test_a_malformed_condition_is_an_error_of_usage() -> None:
    with pytest.raises(UsageError, match="trunkate"):
        Simulator(faults="trunkate")


def test_a_journal_and_a_script_that_were_taken_away_are_named() -> None:
    simulator = Simulator()
    simulator.simulation.journal = simulator.simulation.script = None
    with pytest.raises(ValueError, match="journal"):
        _ = simulator.requests
    with pytest.raises(ValueError, match="script"):
        _ = simulator.script


def test_a_users_suite_gets_the_fixtures_and_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.simulator(script=["Hello!"])
        def test_greeting(simulator, simulator_verdict):
            import anyio
            from sdk_workflow.types import Call
            message = {"role": "user", "content": "Hi"}
            call = Call(model="claude-haiku-5-5", messages=(message,))
            assert anyio.run(simulator.client.create, call).text == "Hello!"
            simulator_verdict().assert_resilient()

        @pytest.mark.simulator("529@0")
        def test_wrong(simulator):
            pass

        @pytest.mark.simulator(skript=["Hello!"])
        def test_misspelt(simulator):
            pass
        """)
    result = pytester.runpytest_inprocess("--strict-markers", *LOADED, "-p", "no:randomly")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*positional argument '529@0'*"])
    result.stdout.fnmatch_lines(["*unknown argument 'skript'*Did you mean 'script'?*"])
    markers = pytester.runpytest_inprocess("--markers", *LOADED)
    markers.stdout.fnmatch_lines(["@pytest.mark.simulator(script=*"])


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    program = (
        "import json, sys, pytest\n"
        "before = set(sys.modules)\n"
        "import sdk_workflow.testing, sdk_workflow.testing.pytest_plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout)
    assert all(name.partition(".")[0] == "sdk_workflow" for name in loaded), loaded
    assert "sdk_workflow.simulator.engine" not in loaded


def test_every_public_name_loads() -> None:
    from sdk_workflow import testing

    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name or callable(getattr(testing, name))
    assert dir(testing) == sorted(testing.__all__)

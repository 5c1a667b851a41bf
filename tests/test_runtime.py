"""The composition root: what it wires, what it refuses, and that tenants share nothing."""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow import runtime as composition
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.agent.state import SessionState
from sdk_workflow.config.settings import Settings
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.events import RunStarted, TextDelta
from sdk_workflow.exceptions import ConfigError, DeadlineExceeded, UsageError
from sdk_workflow.runtime import (
    Runtime,
    build_runtime,
    choose_backend,
    open_session,
    run,
    run_sync,
)
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.transports.anthropic_sdk import AnthropicTransport

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.events import Event
    from sdk_workflow.types import Call, RunResult

KEY = "sk-ant-not-a-real-key"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in a folder without any project settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def transport_of(runtime: Runtime) -> object:
    return runtime.client._transport


def last_call(session: Any) -> Call:
    call: Call = session.get_last_request()
    return call


# Choosing who answers


def test_the_simulator_needs_no_key() -> None:
    runtime = build_runtime(backend="simulator")
    assert runtime.backend == "simulator"
    assert isinstance(transport_of(runtime), SimulatorTransport)


@pytest.mark.parametrize("backend", ["auto", "anthropic", None])
def test_without_a_key_there_is_an_error_that_says_what_to_set(backend: Any) -> None:
    with pytest.raises(ConfigError, match="No API key is set") as caught:
        build_runtime(backend=backend)
    assert caught.value.code == "api_key_missing"
    assert "ANTHROPIC_API_KEY" in caught.value.hint
    assert "simulator" in caught.value.hint


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_with_credentials_the_api_answers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, KEY)
    runtime = build_runtime()
    assert runtime.backend == "anthropic"
    assert isinstance(transport_of(runtime), AnthropicTransport)


def test_the_transport_gets_the_credentials_and_the_address_of_the_settings() -> None:
    settings = Settings(api_key=KEY, auth_token="tok-1", base_url="http://127.0.0.1:1")
    options = transport_of(build_runtime(settings))._options  # type: ignore[attr-defined]
    assert (options["api_key"], options["auth_token"]) == (KEY, "tok-1")
    assert options["base_url"] == "http://127.0.0.1:1"


def test_a_key_does_not_stop_who_asks_for_the_simulator() -> None:
    settings = Settings(api_key=KEY, backend="simulator")
    assert build_runtime(settings).backend == "simulator"
    assert build_runtime(Settings(api_key=KEY), backend="simulator").backend == "simulator"


def test_what_is_asked_for_wins_over_the_settings() -> None:
    settings = Settings(api_key=KEY, backend="simulator")
    assert build_runtime(settings, backend="anthropic").backend == "anthropic"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("simulatr", "Did you mean 'simulator'?"), ("x", "Choose one of auto, anthropic, simulator.")],
)
def test_a_backend_that_is_none_is_refused_although_a_key_is_set(name: Any, hint: str) -> None:
    with pytest.raises(UsageError, match=f"no backend '{name}'") as caught:
        choose_backend(Settings(api_key=KEY), name)
    assert (caught.value.code, caught.value.hint) == ("unknown_backend", hint)


# Settings


def test_overrides_go_before_every_other_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_MAX_TURNS", "3")
    assert build_runtime(backend="simulator").settings.max_turns == 3
    assert build_runtime(backend="simulator", max_turns=7).settings.max_turns == 7


def test_settings_that_are_handed_in_are_not_read_from_anywhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_MAX_TURNS", "3")
    assert build_runtime(Settings(backend="simulator")).settings.max_turns == 25


def test_overrides_change_the_settings_that_are_handed_in_and_nothing_else() -> None:
    settings = Settings(backend="simulator", system="Be brief.", api_key=KEY, max_tokens=100)
    changed = build_runtime(settings, max_turns="7", tools="read,bash", system=None).settings
    assert (changed.max_turns, changed.tools) == (7, ("read", "bash"))
    assert (changed.system, changed.max_tokens) == ("Be brief.", 100)
    assert changed.api_key == settings.api_key
    assert settings.max_turns == 25


@pytest.mark.parametrize("settings", [None, Settings()], ids=["read", "handed in"])
@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        ({"modle": "haiku"}, "modle.* is not a setting", "Did you mean 'model'?"),
        ({"max_turns": 0}, "max_turns", "a whole number from 1 to 1000"),
        ({"timeout_seconds": -1}, "timeout_seconds", "a number of seconds above 0"),
        ({"api_key": "two words"}, "api_key", "printable ASCII"),
    ],
)
def test_an_unusable_override_is_refused_with_what_would_be_right(
    settings: Settings | None, overrides: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_runtime(settings, backend="simulator", **overrides)
    assert caught.value.code == "invalid_settings"
    assert hint in caught.value.hint
    assert "two words" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_name_that_resembles_no_setting_gets_the_whole_list() -> None:
    with pytest.raises(ConfigError) as caught:
        build_runtime(Settings(), xyzzy=1)
    assert "max_turns, timeout_seconds" in caught.value.hint


# What a runtime is


def test_a_runtime_is_a_frozen_record() -> None:
    runtime = build_runtime(backend="simulator")
    with pytest.raises(dataclasses.FrozenInstanceError):
        runtime.backend = "anthropic"  # type: ignore[misc]
    assert {item.name for item in dataclasses.fields(Runtime)} == {
        *("settings", "backend", "client", "catalog", "tracer", "cache", "metrics", "clock"),
        "managers",
        "instruments",
        "feed",
    }


def test_the_clock_and_the_tracer_that_are_handed_in_are_used() -> None:
    clock, tracer = VirtualClock(), PerformanceTracer()
    runtime = build_runtime(backend="simulator", clock=clock, tracer=tracer)
    assert runtime.clock is clock
    assert runtime.tracer is tracer


@pytest.mark.anyio
async def test_leaving_a_runtime_closes_its_client_and_closing_twice_is_no_fault() -> None:
    async with build_runtime(backend="simulator") as runtime:
        session = runtime.session()
        await session.message("Hello")
    await runtime.close()
    with pytest.raises(UsageError, match="closed"):
        await session.message("Hello again")


@pytest.mark.anyio
async def test_two_runtimes_share_nothing() -> None:
    async with build_runtime(backend="simulator", model="haiku") as one:
        async with build_runtime(backend="simulator", model="opus") as two:
            for name in ("settings", "client", "tracer"):
                assert getattr(one, name) is not getattr(two, name)
            assert transport_of(one) is not transport_of(two)
            await two.session().message("Hello")
            assert one.tracer.finished_spans() == []
            assert two.tracer.finished_spans()[-1].name == "invoke_agent"
        assert (await one.session().message("Hello")).text


# Sessions of a runtime


@pytest.mark.anyio
async def test_a_session_works_as_the_settings_say(tmp_path: Path) -> None:
    settings = Settings(
        backend="simulator",
        model="haiku",
        system="Be brief.",
        max_tokens=77,
        tools=("read", "write"),
    )
    async with (
        build_runtime(settings) as runtime,
        runtime.session(working_directory=tmp_path) as session,
    ):
        await session.message("Hello")
        call = last_call(session)
        assert (call.system, call.max_tokens) == ("Be brief.", 77)
        assert call.model.startswith("claude-haiku")
        assert [spec.name for spec in session.get_tools()] == ["read", "write"]


@pytest.mark.anyio
async def test_a_session_may_differ_from_the_settings() -> None:
    async with (
        build_runtime(backend="simulator", system="Be brief.", model="haiku") as runtime,
        runtime.session(system="Be long.", model="opus", session_id="ses_1") as session,
    ):
        await session.message("Hello")
        assert last_call(session).system == "Be long."
        assert last_call(session).model.startswith("claude-opus")
        assert session.session_id == "ses_1"


@pytest.mark.anyio
async def test_the_turns_of_a_session_are_limited_by_the_settings(empty_folder: Path) -> None:
    (empty_folder / "notes.txt").write_text("The tide is high.\n", encoding="utf-8")
    options: dict[str, Any] = {"backend": "simulator", "tools": ["read"]}
    limited = await run("Read notes.txt", max_turns=1, **options)
    assert (limited.stop_reason, limited.turns) == ("max_turns", 1)
    free = await run("Read notes.txt", **options)
    assert (free.stop_reason, free.turns) == ("end_turn", 2)


@pytest.mark.anyio
async def test_the_time_of_a_run_is_limited_by_the_settings() -> None:
    async def wait_for_ever() -> str:
        """Wait."""
        await anyio.sleep_forever()
        return "never"

    with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
        await run(
            "Call wait_for_ever",
            backend="simulator",
            tools=[wait_for_ever],
            timeout_seconds=0.01,
        )


# Three lines to start


@pytest.mark.anyio
async def test_run_answers_one_prompt() -> None:
    result = await run("Hello", backend="simulator", model="haiku")
    assert result.text
    assert (result.served_by, result.stop_reason, result.turns) == ("simulator", "end_turn", 1)
    assert result.cost_usd is not None
    assert result.cost_usd > 0
    assert result.trace_id is not None


def test_run_sync_does_what_run_does() -> None:
    one = run_sync("Hello", backend="simulator")
    two = anyio.run(functools.partial(run, "Hello", backend="simulator"))
    assert (one.text, one.usage, one.cost_usd) == (two.text, two.usage, two.cost_usd)


@pytest.mark.anyio
async def test_run_sync_works_where_a_loop_is_running_already() -> None:
    assert run_sync("Hello", backend="simulator").served_by == "simulator"


def test_run_sync_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    run_sync("Hello", backend="simulator")
    with pytest.raises(ConfigError):
        run_sync("Hello")
    assert threading.active_count() == before


def test_run_sync_raises_what_run_raises() -> None:
    with pytest.raises(UsageError, match="The message is empty"):
        run_sync("  ", backend="simulator")


@pytest.mark.parametrize("wrong", [{"modle": "haiku"}, {"workdir": "."}])
def test_an_option_that_does_not_exist_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not a setting"):
        run_sync("Hello", backend="simulator", **wrong)


def shout(text: str) -> str:
    """Say a text loudly.

    Args:
        text: What to say.
    """
    return text.upper()


@pytest.mark.anyio
async def test_a_session_takes_functions_and_names_as_tools(empty_folder: Path) -> None:
    folder = empty_folder / "inner"
    folder.mkdir()
    (folder / "notes.txt").write_text("The tide is high at seven.\n", encoding="utf-8")
    async with open_session(
        backend="simulator", tools=["read", shout], working_directory=folder
    ) as session:
        assert [spec.name for spec in session.get_tools()] == ["read", "shout"]
        result = await session.message("Read notes.txt")
        assert "The tide is high at seven." in result.text
        assert [record.name for record in result.tool_calls] == ["read"]
    assert session.get_state() is SessionState.CLOSED


@pytest.mark.anyio
@pytest.mark.parametrize("tools", ["read, write", ["read", "write"], ("read", "write")])
async def test_names_of_tools_may_be_one_text_or_a_list(tools: Any) -> None:
    async with open_session(backend="simulator", tools=tools) as session:
        assert [spec.name for spec in session.get_tools()] == ["read", "write"]


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{}, {"tools": None}, {"tools": []}])
async def test_without_tools_a_session_has_none(options: dict[str, Any]) -> None:
    async with open_session(backend="simulator", **options) as session:
        assert session.get_tools() == ()


@pytest.mark.anyio
async def test_who_looks_on_and_who_remembers_are_handed_to_the_session() -> None:
    events: list[Event] = []

    class LastOnly:
        def select(self, history: Any) -> Any:
            return history[-1:]

    async with open_session(
        backend="simulator", sinks=[events.append], memory=LastOnly(), session_id="ses_1"
    ) as session:
        await session.message("Hello")
        await session.message("Hello again")
        assert len(last_call(session).messages) == 1
    assert {event.session_id for event in events} == {"ses_1"}
    assert {RunStarted, TextDelta} <= {type(event) for event in events}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options", [{"tools": ["raed"]}, {"tools": ["read"], "working_directory": "missing"}]
)
async def test_a_session_that_cannot_be_opened_closes_its_runtime(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Runtime] = []

    def remember(*args: Any, **kwargs: Any) -> Runtime:
        built.append(build_runtime(*args, **kwargs))
        return built[0]

    monkeypatch.setattr(composition, "build_runtime", remember)
    with pytest.raises(UsageError):
        await _open(**options)
    assert built[0].client._is_closed


async def _open(**options: Any) -> RunResult:
    async with open_session(backend="simulator", **options) as session:
        return await session.message("Hello")


@pytest.mark.anyio
async def test_logger_of_a_runtime_writes_into_its_state_folder_and_masks_its_key(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path, api_key="plain-looking-words-of-a-key", log_level="debug")
    async with build_runtime(settings, backend="simulator") as runtime:
        assert not (tmp_path / "logs").exists()
        runtime.logger.debug("asked with plain-looking-words-of-a-key", step=1)
        assert runtime.logger is runtime.logger
    written = (tmp_path / "logs" / "sdk_workflow.jsonl").read_text()
    assert '"step":1' in written.replace(" ", "")
    assert "plain-looking-words-of-a-key" not in written


@pytest.mark.anyio
async def test_profiler_of_a_runtime_is_one_and_can_be_started(tmp_path: Path) -> None:
    async with build_runtime(Settings(home=tmp_path), backend="simulator") as runtime:
        with runtime.profiler as profiler:
            pass
        assert runtime.profiler is profiler
        assert profiler.report.memory is None

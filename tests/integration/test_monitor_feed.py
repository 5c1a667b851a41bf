"""A whole runtime and what it shows of itself in the state folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.metrics import Loop
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.events import ModelCallFinished
from sdk_workflow.runtime import build_runtime
from sdk_workflow.types import Call, Reply, Usage
from sdk_workflow.wiring.observing import tell_loop
from tests.measures.made_events import tool_ended

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.runtime import Runtime

pytestmark = pytest.mark.anyio


def folder_of(home: Path) -> Path:
    (folder,) = (home / "run").iterdir()
    return folder


def live(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(home) / "live.json").read_text())
    return found


def replied(number: int, session_id: str = "ses_1") -> ModelCallFinished:
    call = Call(model="claude-haiku-5-5", messages=(), session_id=session_id)
    reply = Reply(
        id=f"msg_{number}", model=call.model, content=(), stop_reason="end_turn",
        usage=Usage(input_tokens=1_000_000),
    )  # fmt: skip
    return ModelCallFinished(session_id=session_id, call=call, reply=reply, duration_ms=100.0)


def count(runtime: Runtime, *events: ModelCallFinished) -> None:
    """Show events as the client of the runtime would."""
    assert runtime.feed is not None
    for event in events:
        for sink in (runtime.metrics.on_event, runtime.managers.on_event, runtime.feed.on_event):
            sink(event)


async def test_a_short_run_leaves_its_last_state(clean_environment: Path) -> None:
    async with build_runtime(backend="simulator") as runtime:
        result = await runtime.session().message("a private question")
    document = live(clean_environment)
    assert (document["state"], document["sequence"]) == ("ended", 1)
    assert document["process"]["backend"] == "simulator"
    assert document["traffic"]["requests"] == 1
    assert document["traffic"]["in_flight"] == document["traffic"]["active_runs"] == 0
    (session,) = document["sessions"]
    assert (session["session_id"], session["turns"]) == (result.session_id, 1)
    assert session["cost_usd"] == pytest.approx(result.cost_usd)
    assert 0 < session["context_share"] < 0.1
    assert "invoke_agent" in [span["name"] for span in document["spans"]]
    written = "".join(path.read_text() for path in folder_of(clean_environment).iterdir())
    assert "private" not in written
    assert "call_finished" in written


async def test_without_the_monitor_nothing_is_written(clean_environment: Path) -> None:
    async with build_runtime(backend="simulator", monitor=False) as runtime:
        assert runtime.feed is None
        await runtime.session().message("Hello")
        tell_loop(runtime.feed, Loop(session_id="s", tool="read", count=5))
    assert not (clean_environment / "run").exists()


async def test_a_runtime_that_did_nothing_leaves_nothing(clean_environment: Path) -> None:
    async with build_runtime(backend="simulator"):
        pass
    assert not (clean_environment / "run").exists()


async def test_costs_are_those_of_each_call_once_they_are_counted(clean_environment: Path) -> None:
    clock = VirtualClock()
    async with build_runtime(backend="simulator", clock=clock) as runtime:
        count(runtime, *[replied(number) for number in range(6)])
        assert runtime.feed is not None
        runtime.feed.flush()
        clock.advance(120.0)
        count(runtime, replied(7))
        runtime.feed.flush()
        spent = sum(runtime.costs.get_cost_breakdown("model").values())
    document = live(clean_environment)
    windows = document["windows"]
    assert windows["total"]["cost_usd"] == windows["5m"]["cost_usd"] == pytest.approx(spent)
    assert windows["1m"]["cost_usd"] == pytest.approx(spent / 7)
    assert document["models"][0]["cost_usd"] == pytest.approx(spent)
    assert document["sessions"][0]["cost_usd"] == pytest.approx(spent)
    assert document["burn"]["usd_per_hour"] == pytest.approx(spent * 3_600 / 120)
    assert document["budget"] is None


async def test_a_budget_is_shown_with_its_projected_end(clean_environment: Path) -> None:
    clock = VirtualClock(1_800_000_000.0)
    async with build_runtime(backend="simulator", clock=clock, max_cost_usd=100.0) as runtime:
        count(runtime, *[replied(number) for number in range(5)])
        clock.advance(60.0)
        spent = sum(runtime.costs.get_cost_breakdown("model").values())
    budget = live(clean_environment)["budget"]
    assert (budget["limit_usd"], budget["soft_limit_usd"]) == (100.0, None)
    assert budget["spent_usd"] == pytest.approx(spent)
    assert budget["used_share"] == pytest.approx(spent / 100)
    assert budget["is_exhausted"] is False
    assert budget["projected_end_at"].startswith("2027-01-15T08:")


async def test_a_budget_that_nobody_draws_on_has_no_end(clean_environment: Path) -> None:
    async with build_runtime(backend="simulator", budget_soft_usd=1.0) as runtime:
        count(runtime, *[replied(number, "s") for number in range(1)])
    budget = live(clean_environment)["budget"]
    assert (budget["limit_usd"], budget["soft_limit_usd"]) == (None, 1.0)
    assert (budget["projected_end_at"], budget["is_exhausted"]) == (None, False)


async def test_a_loop_gives_alarm(clean_environment: Path) -> None:
    async with build_runtime(backend="simulator") as runtime:
        for _ in range(5):
            runtime.metrics.on_event(tool_ended("echo", session_id="ses_1", text="private"))
    (alarm,) = live(clean_environment)["alarms"]
    assert (alarm["kind"], alarm["session_id"]) == ("loop", "ses_1")
    assert alarm["text"] == "echo ran 5 times with the same arguments"


async def test_a_state_folder_that_cannot_be_written_leaves_the_run_alone(
    clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (clean_environment / "run").write_text("in the way")
    async with build_runtime(backend="simulator") as runtime:
        result = await runtime.session().message("Hello")
    assert result.stop_reason == "end_turn"
    said = [record for record in caplog.records if record.name == "sdk_workflow.monitor"]
    assert len(said) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_a_folder_of_its_own(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from sdk_workflow.events import RunStarted\n"
        "from sdk_workflow.runtime import build_runtime\n"
        "feed = build_runtime(backend='simulator').feed\n"
        "feed.on_event(RunStarted(session_id='parent', text='', model='m'))\n"
        "feed.flush()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    feed.on_event(RunStarted(session_id='child', text='', model='m'))\n"
        "    feed.close()\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(os.getpid(), child)\n"
    )
    environment = {**os.environ, "SDK_WORKFLOW_HOME": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    found = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    by_pid = {
        folder.name.split("-")[0]: json.loads((folder / "live.json").read_text())
        for folder in (tmp_path / "run").iterdir()
    }
    assert sorted(by_pid) == sorted(found.stdout.split())
    parent, child = (by_pid[pid] for pid in found.stdout.split())
    assert [row["session_id"] for row in parent["sessions"]] == ["parent"]
    assert [row["session_id"] for row in child["sessions"]] == ["child"]
    assert parent["process"]["start_key"] != child["process"]["start_key"]
    assert parent["state"] == child["state"] == "ended"


def test_the_latest_spans_are_rows_without_what_an_error_says() -> None:
    tracer = PerformanceTracer(clock=VirtualClock(1_800_000_000.0))
    for number in range(5):
        with tracer.span(f"span {number}"):
            pass
    with pytest.raises(ValueError, match="private"), tracer.span("x" * 500):
        raise ValueError("private")
    rows = tracer.latest_spans(3)
    assert [row["name"] for row in rows] == ["span 3", "span 4", "x" * 120]
    assert [row["status"] for row in rows] == ["ok", "ok", "error"]
    assert rows[-1]["error"] == "ValueError"
    assert rows[0]["started_at"].startswith("2027-01-15T08:00:00")
    assert len(tracer.latest_spans()) == 6


def test_a_span_that_is_seen_twice_has_one_row() -> None:
    tracer = PerformanceTracer()
    with tracer.span("one") as span:
        pass
    tracer.record(span)  # type: ignore[arg-type]
    assert len(tracer.latest_spans()) == 1

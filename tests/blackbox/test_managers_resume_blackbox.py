"""Whether killed runs go on where they stood: the real program, real processes, SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sdk_workflow import Runtime, build_runtime
from sdk_workflow.cli.main import app
from sdk_workflow.exceptions import UsageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from sdk_workflow.managers.session_manager import SessionInfo, SessionManager
from sdk_workflow.storage.session_record import record_path, write_record
from tests.blackbox.processes import environment, start, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.socket

APPEND_AND_HANG = "echo effect >> log.txt; sleep 30"


class World:
    """A folder, a state folder and a scripted model on the loopback interface."""

    def __init__(self, root: Path, url: str) -> None:
        self.folder, self.state, self.url = root / "project", root / "state", url
        self.folder.mkdir()
        self.control("POST", "reset")

    def control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the loopback interface
            f"{self.url}/__sim/{path}", data=data, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            return json.loads(answer.read() or b"null")

    def script(self, *replies: Any) -> None:
        self.control("POST", "script", {"replies": list(replies)})

    def requests(self) -> list[Any]:
        journal = self.control("GET", "journal?prompts=1")
        return [
            entry
            for entry in journal["requests"]
            if "messages" in str(entry.get("path", "messages"))
        ]

    def variables(self) -> dict[str, str]:
        return {
            **environment(self.state),
            "ANTHROPIC_API_KEY": "sk-ant-any",
            "ANTHROPIC_BASE_URL": self.url,
        }

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sdk_workflow", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.variables(),
        )

    def lines(self, name: str = "log.txt") -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "It never came to that."
        time.sleep(0.02)  # noqa: TID251 - waits for a real process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("model")
    process = subprocess.Popen(
        [sys.executable, "-m", "sdk_workflow", "simulate", "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(root),
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def world(tmp_path: Path, url: str) -> World:
    return World(tmp_path, url)


@pytest.fixture
def invoke(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a quick way to run the command line inside of this process."""
    monkeypatch.chdir(world.folder)
    for name, value in world.variables().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, list(arguments), prog_name="sdk_workflow")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def bash(command: str) -> dict[str, Any]:
    return {"tools": [{"name": "bash", "input": {"command": command}}]}


def unanswered(world: World) -> list[str]:
    """Return the tool calls in the last request that no result answers."""
    messages = world.requests()[-1]["prompt"]["messages"]
    blocks = [
        block for message in messages if isinstance(message["content"], list)
        for block in message["content"]
    ]  # fmt: skip
    answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
    asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert asked
    return [name for name in asked if name not in answered]


# -- kill -9 -----------------------------------------------------------------------------------


def test_a_run_killed_twice_asks_nothing_twice_and_no_effect_happens_twice(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script(
        bash("echo one >> log.txt"),
        bash("echo two >> log.txt; sleep 60"),
        bash("echo three >> log.txt; sleep 60"),
        "Done.",
    )
    process = world.begin("Do it", "--session", "tides", "--tools", "bash")
    wait_until(lambda: len(world.lines()) == 2)
    kill(process)
    shown = json.loads(invoke("sessions", "show", "tides", "--json").stdout)["session"]
    assert shown["status"] == "interrupted"
    process = world.begin("--resume", "tides")
    wait_until(lambda: len(world.lines()) == 3)
    kill(process)
    result = invoke("run", "--resume", "tides", "--output", "json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert world.lines() == ["one", "two", "three"]
    assert unanswered(world) == []
    assert document["text"] == "Done."
    codes = [call["error_code"] for call in document["tool_calls"]]
    assert codes == [None, "outcome_unknown", "outcome_unknown"]
    assert document["turns"] == 4
    assert len(world.requests()) == 4


def test_a_new_message_leaves_the_killed_run_behind_and_every_call_keeps_a_result(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script(bash(APPEND_AND_HANG), "Something else.")
    process = world.begin("Do it", "--session", "tides", "--tools", "bash")
    wait_until(world.lines)
    kill(process)
    result = invoke("run", "Never mind", "--session", "tides", "--output", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["text"] == "Something else."
    assert unanswered(world) == []
    assert "nknown" in str(world.requests()[-1]["prompt"]["messages"])
    assert world.lines() == ["effect"]
    assert invoke("run", "--resume", "tides").exit_code == 2


def test_a_second_process_on_a_running_session_is_refused_and_harms_nothing(
    world: World, invoke: Callable[..., Any]
) -> None:
    waits = "echo effect >> log.txt; while [ ! -e go ]; do sleep 0.05; done"
    world.script(bash(waits), "Done.")
    process = world.begin("Do it", "--session", "tides", "--tools", "bash", "--no-stream")
    wait_until(world.lines)
    for arguments in (("--resume", "tides"), ("Hello", "--session", "tides")):
        refused = invoke("run", *arguments)
        assert refused.exit_code == 1
        assert "tides" in refused.stderr
    assert invoke("sessions", "archive", "tides").exit_code == 1
    (world.folder / "go").touch()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.strip() == "Done."
    assert world.lines() == ["effect"]


EFFECTS = """
import json, os, sys, time
from pathlib import Path
import anyio
from sdk_workflow import build_runtime, tool
from sdk_workflow.tools.effects import NOT_DONE, idempotency_key
folder, cases, step = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
answers = {"done": "was done", "not done": NOT_DONE, "nobody knows": None}

def made(number, effect, answer):
    reconcile = {"reconcile": lambda key, arguments: answers[answer]} if answer != "-" else {}

    @tool(effect=effect, **reconcile)
    def note(word: str) -> str:
        '\'\'Note a word.'\'\'
        with (folder / f"{number}.log").open("a") as file:
            file.write(idempotency_key() + "\\n")
        while step == "begin":
            if sum(path.stat().st_size > 0 for path in folder.glob("*.log")) == len(cases):
                os.kill(os.getpid(), 9)
            time.sleep(0.01)
        return "noted"

    return note

async def run(runtime, number, effect, answer):
    tools, name = [made(number, effect, answer)], f"tides-{number}"
    if step == "begin":
        async with runtime.session(journal=True, session_id=name, tools=tools) as session:
            await session.message("Use note to note the word flood.")
    async with runtime.resume(name, tools=tools) as session:
        result = await session.resume()
        return result.tool_calls[0].error_code

async def main():
    async with build_runtime(backend="simulator", cache_mode="off") as runtime:
        if step == "begin":
            async with anyio.create_task_group() as group:
                for number, (effect, answer) in enumerate(cases):
                    group.start_soon(run, runtime, number, effect, answer)
        print(json.dumps([await run(runtime, n, *case) for n, case in enumerate(cases)]))

anyio.run(main)
"""
CASES = {
    ("other", "-"): (1, "outcome_unknown"),
    ("idempotent", "-"): (2, None),
    ("pure", "-"): (2, None),
    ("other", "done"): (1, None),
    ("other", "not done"): (2, None),
    ("other", "nobody knows"): (1, "outcome_unknown"),
    ("idempotent", "done"): (1, None),
}


def test_the_class_of_a_tool_decides_about_a_call_that_kill_9_has_cut_off(tmp_path: Path) -> None:
    state, cases = tmp_path / "state", json.dumps(list(CASES))
    killed = start(EFFECTS, state, str(tmp_path), cases, "begin")
    _, err = killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL, err
    (out,) = wait_for_all([start(EFFECTS, state, str(tmp_path), cases, "resume")])
    keys = [(tmp_path / f"{n}.log").read_text().splitlines() for n in range(len(CASES))]
    assert list(zip(map(len, keys), json.loads(out), strict=True)) == list(CASES.values())
    assert all(len(set(same)) == 1 for same in keys)
    assert [same[0].split("/")[0] for same in keys] == [f"tides-{n}" for n in range(len(CASES))]


# -- the command line --------------------------------------------------------------------------


def test_a_session_goes_on_with_its_history(world: World, invoke: Callable[..., Any]) -> None:
    world.script("The first answer.", "The second answer.", "The third answer.")
    texts = []
    for question in ("One?", "Two?"):
        result = invoke("run", question, "--session", "tides", "--tools", "none")
        assert result.exit_code == 0, result.stderr
        texts.append(result.stdout.strip())
    result = invoke("run", "--resume", "tides", "Three?")
    assert texts == ["The first answer.", "The second answer."]
    assert result.stdout.strip() == "The third answer."
    shown = json.loads(invoke("sessions", "show", "tides", "--json").stdout)["session"]
    assert (shown["status"], shown["turns"]) == ("completed", 3)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "--resume", "nobody"), 1),
        (("run", "--resume", "../../x"), 2),
        (("run", "--resume", "CON", "hi"), 2),
        (("run", "--session", "../../x", "hi"), 2),
        (("run", "--session", "", "hi"), 2),
        (("run", "--session", "a" * 4096, "hi"), 2),
        (("run", "--session", "\u0430bc", "hi"), 2),
        (("run", "--session", "tides", "--resume", "tides", "hi"), 2),
        (("run", "--session", "tides"), 2),
        (("sessions", "show", "nobody"), 1),
        (("sessions", "show", "../../x"), 2),
        (("sessions", "resume", "nobody"), 1),
        (("sessions", "tag", "nobody", "a"), 1),
        (("sessions", "archive", "nobody"), 1),
        (("sessions", "archive", "../../x"), 2),
        (("sessions", "list", "--since", "x"), 2),
        (("sessions", "list", "--status", "x"), 2),
        (("sessions", "list", "--cursor", "x"), 2),
        (("sessions", "list", "--limit", "0"), 2),
        (("sessions", "list", "--min-cost", "nan"), 2),
        (("sessions", "export", "--format", "xml"), 2),
        (("sessions", "export", "no/such/folder/x.json"), 2),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else str(value),
)
def test_bad_input_ends_with_its_exit_code_a_sentence_and_an_empty_stdout(
    world: World, invoke: Callable[..., Any], arguments: tuple[str, ...], code: int
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip()) > 20
    assert "Traceback" not in result.stderr
    assert world.requests() == []
    assert sorted(path.name for path in world.folder.parent.iterdir()) in (
        ["project"],
        ["project", "state"],
    )


def test_a_finished_run_cannot_be_resumed_and_the_error_says_what_can_be_done(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("Done.")
    assert invoke("run", "Do it", "--session", "tides").exit_code == 0
    result = invoke("run", "--resume", "tides")
    assert result.exit_code == 2
    assert "nothing to resume" in result.stderr
    assert len(world.requests()) == 1


def test_a_session_can_be_listed_tagged_archived_brought_back_and_exported(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("Done.")
    invoke("run", "When is the ebb?", "--session", "tides")
    assert invoke("sessions", "tag", "tides", "low", "late").exit_code == 0
    assert invoke("sessions", "tag", "tides", "late", "--remove").exit_code == 0
    listed = json.loads(invoke("sessions", "list", "--tag", "low", "--json").stdout)
    assert [entry["session_id"] for entry in listed["sessions"]] == ["tides"]
    assert listed["sessions"][0]["tags"] == ["low"]
    assert "tides" in invoke("sessions", "list", "--text", "EBB").stdout
    assert invoke("sessions", "archive", "tides").exit_code == 0
    assert "tides" in invoke("sessions", "list", "--archived").stdout
    assert "tides" not in invoke("sessions", "list", "--no-archived").stdout
    assert invoke("sessions", "archive", "tides", "--undo").exit_code == 0
    path = world.folder / "out.csv"
    assert invoke("sessions", "export", str(path), "--format", "csv").exit_code == 0
    assert "tides" in path.read_text()


def test_a_damaged_session_is_told_and_not_written_over(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("One.", "Two.")
    invoke("run", "Do it", "--session", "tides")
    (path,) = world.state.rglob("tides.sqlite")
    path.write_bytes(path.read_bytes()[:9000])
    damaged = path.read_bytes()
    for arguments in (("--resume", "tides", "Go on"), ("Go on", "--session", "tides")):
        result = invoke("run", *arguments)
        assert result.exit_code == 1
        assert "damaged" in result.stderr
    assert path.read_bytes() == damaged
    assert len(world.requests()) == 1


def test_the_list_of_sessions_shows_what_a_run_has_cost(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("Done.")
    result = json.loads(invoke("run", "Do it", "--session", "tides", "--output", "json").stdout)
    shown = json.loads(invoke("sessions", "show", "tides", "--json").stdout)["session"]
    assert result["cost_usd"] > 0
    assert shown["cost_usd"] == pytest.approx(result["cost_usd"])


def test_a_session_that_was_put_away_is_not_begun_anew_under_its_name(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("One.", "Two.")
    invoke("run", "Remember 42", "--session", "tides")
    invoke("sessions", "archive", "tides")
    result = invoke("run", "Which number?", "--session", "tides")
    if result.exit_code == 0:
        shown = json.loads(invoke("sessions", "show", "tides", "--json").stdout)["session"]
        assert shown["turns"] == 2
    assert len(list(world.state.rglob("tides.sqlite"))) == 1


def test_a_run_without_a_name_goes_on_where_nothing_can_be_kept_and_says_so(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("Done.")
    world.state.mkdir()
    (world.state / "sessions").write_text("in the way")
    named = invoke("run", "Do it", "--session", "tides")
    assert named.exit_code == 1
    assert world.requests() == []
    unnamed = invoke("run", "Do it")
    assert unnamed.exit_code == 0
    assert unnamed.stdout.strip() == "Done."
    assert "resume" in unnamed.stderr


def test_every_id_that_the_library_takes_can_be_named_at_a_prompt(
    world: World, invoke: Callable[..., Any]
) -> None:
    with SessionManager(world.state) as sessions:
        with pytest.raises(UsageError, match="begins with '-'"):
            sessions.start_session(session_id="-x")
        sessions.start_session(session_id="x-")
    with CheckpointManager(world.state) as checkpoints, pytest.raises(UsageError):
        checkpoints.save_checkpoint("-x", n=1)
    assert invoke("run", "Do it", "--session=-x").exit_code == 2
    assert list(world.state.rglob("-x*")) == []
    assert invoke("sessions", "show", "x-").exit_code == 0


def test_a_session_whose_id_begins_like_an_option_can_still_be_named(
    world: World, invoke: Callable[..., Any]
) -> None:
    of_old = SessionInfo(session_id="-x", started_at="2026-01-01T00:00:00.000000Z")
    write_record(record_path(world.state, "-x"), of_old)
    assert invoke("sessions", "show", "--", "-x").exit_code == 0


# -- promised by the design, not yet there -----------------------------------------------------


def test_a_run_takes_a_budget_and_ends_with_5_where_it_is_exhausted(
    world: World, invoke: Callable[..., Any]
) -> None:
    world.script("Done.")
    result = invoke("run", "Do it", "--budget", "0.000001")
    assert result.exit_code == 5
    assert world.requests() == []


@pytest.mark.parametrize("name", ["tokens", "costs", "checkpoints", "sessions"])
def test_a_runtime_has_the_four_managers(name: str) -> None:
    assert hasattr(Runtime, name) or name in Runtime.__annotations__


def test_a_runtime_can_still_be_built_without_a_key() -> None:
    runtime = build_runtime(backend="simulator")
    assert runtime.backend == "simulator"
    assert os.environ.get("ANTHROPIC_API_KEY") is None

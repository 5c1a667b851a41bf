"""`run --session` and `run --resume`: no run of the command line is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_journal import SessionJournal
from sdk_workflow.storage.session_paths import session_files, session_path
from sdk_workflow.types import JournalRecord
from tests.cli.program import QUESTION, assert_error, assert_refused, wait_until

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program


def kept(program: Program) -> list[str]:
    return [name for name, _ in session_files(program.state)]


def cut_off(program: Program, session_id: str = "cut") -> None:
    """Leave behind what a run leaves that was killed while bash was running."""
    journal = SessionJournal.open(program.state, session_id, create=True)
    call = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "date"}}
    reply: dict[str, Any] = {
        "id": "msg_1",
        "model": "claude-haiku-5-5",
        "content": [call],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 10},
        "served_by": "simulator",
        "request_id": None,
    }
    bodies: list[tuple[Any, str, dict[str, Any]]] = [
        ("run_started", "", {"text": "run `date`", "options": {}}),
        ("model_intent", "0.0", {"hold_id": "cut/run_1/0.0"}),
        ("model_result", "0.0", reply),
        ("tool_intent", "toolu_1", {"name": "bash", "effect": "other"}),
    ]
    state = {
        "model": "claude-haiku-5-5",
        "system": None,
        "tools": ["read", "bash"],
        "working_directory": str(program.folder),
        "history": [],
    }
    records = [
        JournalRecord(run_id="run_1", step=0, kind=kind, key=key, body=body)
        for kind, key, body in bodies
    ]
    journal.append(*records, state=state)
    journal.close()


def messages(program: Program, session_id: str) -> list[Any]:
    path = session_path(program.state, session_id)
    with SessionFile.open(path, session_id=session_id, read_only=True) as file:
        state = file.load()
    assert state is not None
    found: list[Any] = state["history"]
    return found


def test_every_run_is_kept_under_a_new_id(program: Program, invoke: Invoke) -> None:
    first = invoke("run", "--output", "json", "Hello")
    second = invoke("run", "--output", "json", "Hello")

    assert sorted(kept(program)) == sorted(
        [first.document["session_id"], second.document["session_id"]]
    )
    assert "resume" not in first.err


def test_a_named_session_is_begun_and_gone_on_with(program: Program, invoke: Invoke) -> None:
    assert invoke("run", "--session", "tides", "Hello").code == 0
    outcome = invoke("run", "--session", "tides", "--output", "json", "And again")

    assert (outcome.code, outcome.document["session_id"]) == (0, "tides")
    assert [message["role"] for message in messages(program, "tides")] == ["user", "assistant"] * 2
    assert kept(program) == ["tides"]


def test_a_run_that_was_cut_off_is_resumed(program: Program, invoke: Invoke) -> None:
    cut_off(program)

    outcome = invoke("run", "--resume", "cut", "--output", "json")

    assert outcome.code == 0, outcome
    [call] = outcome.document["tool_calls"]
    assert (call["name"], call["error_code"]) == ("bash", "outcome_unknown")
    assert outcome.document["turns"] == 2
    assert len(messages(program, "cut")) == 4


def test_a_silent_pipe_does_not_hold_up_a_run_that_is_resumed(program: Program) -> None:
    cut_off(program)
    reading, writing = os.pipe()
    try:
        process = subprocess.run(
            [*program.command, "run", "--resume", "cut"],
            stdin=reading,
            capture_output=True,
            check=False,
            cwd=program.folder,
            env=program.environment(),
            timeout=20,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert process.returncode == 0, process.stderr
    assert process.stdout


def test_a_run_that_was_cut_off_takes_no_prompt(program: Program, invoke: Invoke) -> None:
    cut_off(program)

    assert_refused(invoke("run", "--resume", "cut", "Hello"), 2, "its own prompt", "--session")

    assert invoke("run", "--resume", "cut").code == 0


def test_a_new_prompt_leaves_a_run_behind_and_says_so(program: Program, invoke: Invoke) -> None:
    cut_off(program)

    outcome = invoke("run", "--session", "cut", "Hello")

    assert outcome.code == 0
    assert "was cut off; what it reached stays" in outcome.message
    assert "is unknown" in json.dumps(messages(program, "cut"))


def test_a_run_that_had_finished_goes_on_as_a_conversation(
    program: Program, invoke: Invoke
) -> None:
    invoke("run", "--session", "tides", "Hello")

    assert_refused(invoke("run", "--resume", "tides"), 2, "nothing to resume", "new message")
    outcome = invoke("run", "--resume", "tides", "And again")

    assert outcome.code == 0
    assert "had finished; the conversation goes on" in outcome.message
    assert len(messages(program, "tides")) == 4


def test_a_session_goes_on_in_its_folder_with_its_model_and_tools(
    program: Program, invoke: Invoke
) -> None:
    arguments = ["--model", "haiku", "--tools", "read", "--cwd", "stones"]
    (program.folder / "stones" / "granite.txt").write_text("Hard.\n", "utf-8")
    first = invoke("run", "--session", "a", *arguments, "--output", "json", "Hello")

    again = invoke("run", "--session", "a", "--output", "json", "Read granite.txt")
    changed = invoke(
        "run", "--session", "a", "--output", "json", "--cwd", ".", "--model", "opus", "--tools",
        "none", "Read granite.txt",
    )  # fmt: skip

    assert again.document["model"] == first.document["model"]
    assert "Hard." in again.document["text"]
    assert changed.document["model"] != first.document["model"]
    assert changed.document["tool_calls"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--session", "a", "--resume", "a", "Hi"], ["--session and --resume"]),
        (["--session", "a", "--input", "x.jsonl"], ["--input goes without"]),
        (["--resume", "a", "--input", "x.jsonl"], ["--input goes without"]),
        (["--session", "../../x", "Hi"], ["session id"]),
        (["--session", "", "Hi"], ["session id"]),
        (["--resume", "CON"], ["session id"]),
        (["--session", "a"], ["no prompt"]),
    ],
)
def test_sessions_that_cannot_be_are_refused(
    arguments: list[str], words: list[str], program: Program, invoke: Invoke
) -> None:
    (program.folder / "x.jsonl").write_text('"Hi"\n', "utf-8")

    assert_refused(invoke("run", *arguments), 2, *words)

    assert kept(program) == []


def test_an_unknown_session_is_not_resumed(program: Program, invoke: Invoke) -> None:
    assert_refused(invoke("run", "--resume", "nobody"), 1, "no session 'nobody'", "sessions list")
    assert kept(program) == []


def test_a_session_in_use_is_refused(program: Program, invoke: Invoke) -> None:
    cut_off(program)
    journal = SessionJournal.open(program.state, "cut")
    try:
        for option in ("--resume", "--session"):
            prompt = [] if option == "--resume" else ["Hi"]
            assert_refused(invoke("run", option, "cut", *prompt), 1, "'cut' is in use")
    finally:
        journal.close()


def test_a_run_goes_on_where_it_cannot_be_kept(program: Program, invoke: Invoke) -> None:
    program.state.mkdir(mode=0o700)
    (program.state / "sessions").write_text("not a folder", "utf-8")

    outcome = invoke("run", QUESTION)

    assert outcome.code == 0
    assert "Lighthouse" in outcome.out
    assert "cannot be resumed" in outcome.message
    assert_refused(invoke("run", "--session", "a", "Hi"), 1, str(program.state))


def test_a_failed_run_says_how_to_resume_it(program: Program, invoke: Invoke) -> None:
    outcome = invoke("run", "-q", "--tools", "bash", "--timeout", "0.5", "run `sleep 30`")

    assert_error(outcome, 7, "To go on where it stood: sdk_workflow run --resume")
    [name] = kept(program)
    assert outcome.err.splitlines()[-1].endswith(f"--resume {name}")
    resumed = invoke("run", "--resume", name, "--output", "json")
    assert resumed.code == 0
    assert resumed.document["tool_calls"][0]["error_code"] == "outcome_unknown"


def test_a_prompt_that_was_refused_has_nothing_to_resume(invoke: Invoke) -> None:
    outcome = invoke("run", "--session", "a", "x" * 9_000_000)

    assert_error(outcome, 2, "characters")
    assert "--resume" not in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_resumed(sent: signal.Signals, program: Program) -> None:
    nap = f"sleep 3{random.randint(0, 10**9):09d}"  # noqa: S311 - a name, not a secret
    process = program.start(
        "run", "--session", "nap", "--tools", "bash", f"run `touch started; {nap}`"
    )
    try:
        wait_until((program.folder / "started").exists)
        process.send_signal(sent)
        _, err = process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()
    assert (b"run --resume nap" in err) == (sent is signal.SIGINT)

    outcome = program.run("run", "--resume", "nap", "--output", "json")

    assert outcome.code == 0, outcome
    assert [call["error_code"] for call in outcome.document["tool_calls"]] == ["outcome_unknown"]

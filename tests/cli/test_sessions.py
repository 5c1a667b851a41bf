"""`sessions`: what was kept of earlier runs, for people at a terminal and for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.managers.session_manager import SessionManager
from tests.cli.program import NOTICE, assert_refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Invoke
    from tests.cli.program import Outcome, Program

SCHEMA = "sdk_workflow.sessions/1"
HEADINGS = ["ID", "STATUS", "LAST USED", "TURNS", "COST", "MODEL", "TAGS", "TITLE"]


@pytest.fixture
def kept(program: Program) -> Path:
    """Return a state folder with two sessions that are known by hand."""
    with SessionManager(program.state) as sessions:
        sessions.start_session("Review of [parser]", session_id="review-42", tags=["urgent"])
        sessions.start_session("Deploy", session_id="deploy-7", model="claude-haiku-5-5")
        sessions.end_session("deploy-7", "failed")
    return program.state


def rows(outcome: Outcome) -> list[list[str]]:
    return [line.split("\t") for line in outcome.out.splitlines()]


def test_list_says_what_to_do_where_there_is_no_session(program: Program, invoke: Invoke) -> None:
    outcome = invoke("sessions", "list")

    assert (outcome.code, outcome.out) == (0, "")
    assert "no sessions yet" in outcome.err
    assert "sdk_workflow run" in outcome.err
    assert not program.state.exists()


@pytest.mark.usefixtures("kept")
def test_list_writes_one_line_for_each_session(invoke: Invoke) -> None:
    outcome = invoke("sessions", "list")

    heading, deploy, review = rows(outcome)
    assert heading == HEADINGS
    assert [deploy[index] for index in (0, 1, 3, 4, 5, 6, 7)] == [
        "deploy-7", "failed", "0", "$0.0000", "claude-haiku-5-5", "-", "Deploy",
    ]  # fmt: skip
    assert [review[index] for index in (0, 1, 5, 6, 7)] == [
        "review-42", "active", "-", "urgent", "Review of [parser]",
    ]  # fmt: skip
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--status", "failed"], ["deploy-7"]),
        (["--tag", "urgent"], ["review-42"]),
        (["--tag", "urgent", "--tag", "x"], []),
        (["--model", "claude-haiku-5-5"], ["deploy-7"]),
        (["--text", "PARS"], ["review-42"]),
        (["--since", "2000-01-01", "--until", "2000-01-02"], []),
        (["--since", "2000-01-01", "--sort", "started"], ["review-42", "deploy-7"]),
        (["--min-cost", "0.01"], []),
        (["--max-cost", "0", "--limit", "1"], ["deploy-7"]),
        (["--archived"], []),
        (["--no-archived", "--sort", "-started"], ["deploy-7", "review-42"]),
    ],
)
@pytest.mark.usefixtures("kept")
def test_list_filters_and_sorts(invoke: Invoke, arguments: list[str], expected: list[str]) -> None:
    outcome = invoke("sessions", "list", *arguments, "--json")

    assert outcome.code == 0
    assert outcome.document["schema"] == SCHEMA
    assert [each["session_id"] for each in outcome.document["sessions"]] == expected
    if not expected:
        assert "No session meets" in invoke("sessions", "list", *arguments).err


@pytest.mark.usefixtures("kept")
def test_list_goes_on_from_a_cursor(invoke: Invoke) -> None:
    first = invoke("sessions", "list", "--limit", "1")
    cursor = first.err.split()[-1]
    second = invoke("sessions", "list", "--limit", "1", "--cursor", cursor, "--json")

    assert "--cursor" in first.err
    assert [each["session_id"] for each in second.document["sessions"]] == ["review-42"]
    assert second.document["next_cursor"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--status", "faild"], ["'faild'", "'failed'"]),
        (["list", "--sort", "price"], ["'price'", "updated"]),
        (["list", "--since", "yesterday"], ["'yesterday'", "ISO 8601"]),
        (["list", "--min-cost", "nan"], ["'nan'"]),
        (["list", "--cursor", "x"], ["no cursor"]),
        (["list", "--limit", "0"], ["--limit"]),
        (["list", "--stauts", "x"], ["--stauts"]),
        (["show", "../../x"], ["'../../x'", "session id"]),
        (["show", "CON"], ["'CON'"]),
        (["show", "a" * 4096], ["session id"]),
        (["tag", "review-42", ""], ["tag is empty"]),
        (["tag", "review-42", "a\nb"], ["cannot be printed"]),
        (["tag", "review-42"], ["TAG"]),
        (["resume", "Review"], ["'Review'"]),
        (["archive", "."], ["'.'"]),
        (["export", "--format", "xml"], ["xml"]),
        (["export", "missing/file.json"], ["FILE", "no folder"]),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_cannot_be_meant_is_refused(
    invoke: Invoke, arguments: list[str], words: list[str]
) -> None:
    assert_refused(invoke("sessions", *arguments), 2, *words)


@pytest.mark.parametrize("command", ["show", "resume", "archive", "tag"])
@pytest.mark.usefixtures("kept")
def test_an_unknown_id_is_answered_with_the_closest_one(invoke: Invoke, command: str) -> None:
    more = ["x"] if command == "tag" else []

    assert_refused(invoke("sessions", command, "reveiw-42", *more), 1, "Did you mean 'review-42'?")


@pytest.mark.usefixtures("kept")
def test_show_tells_all_that_is_known(invoke: Invoke) -> None:
    outcome = invoke("sessions", "show", "review-42")
    document = invoke("sessions", "show", "review-42", "--json").document

    facts = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert facts["session id"].strip() == "review-42"
    assert facts["title"].strip() == "Review of [parser]"
    assert facts["model"].strip() == "-"
    assert facts["turns"].strip() == "0"
    assert document["schema"] == SCHEMA
    assert document["session"]["tags"] == ["urgent"]


@pytest.mark.usefixtures("kept")
def test_tags_are_added_and_removed(invoke: Invoke) -> None:
    added = invoke("sessions", "tag", "review-42", "b", "a")
    removed = invoke("sessions", "tag", "review-42", "urgent", "b", "--remove")

    assert added.out.split() == ["a", "b", "urgent"]
    assert removed.out.split() == ["a"]


def test_a_run_is_put_away_brought_back_and_resumed(program: Program, invoke: Invoke) -> None:
    assert invoke("run", "--backend", "simulator", "--session", "talk", "Hello").code == 0

    away = invoke("sessions", "archive", "talk")
    refused = invoke("sessions", "resume", "talk", "Go on")
    not_begun = invoke("run", "--backend", "simulator", "--session", "talk", "Go on")
    not_resumed = invoke("run", "--backend", "simulator", "--resume", "talk", "Go on")
    back = invoke("sessions", "archive", "--undo", "talk")
    resumed = invoke("sessions", "resume", "talk", "Go on", "--backend", "simulator", "-q")

    assert away.out.startswith(str(program.state / "archive"))
    for outcome in (refused, not_begun, not_resumed):
        assert_refused(outcome, 1, "put away", "archive --undo talk")
    assert back.out.startswith(str(program.state / "sessions"))
    assert (resumed.code, resumed.out != "") == (0, True)


def test_resume_takes_what_run_takes(program: Program, invoke: Invoke) -> None:
    invoke("run", "--backend", "simulator", "--session", "talk", "Hello")

    outcome = invoke("sessions", "resume", "talk", "Go on", "--output", "json")
    nothing = invoke("sessions", "resume", "talk", "--backend", "simulator")

    assert outcome.document["session_id"] == "talk"
    assert NOTICE in outcome.err
    assert nothing.code != 0
    assert program.state.exists()


@pytest.mark.usefixtures("kept")
def test_an_export_goes_to_standard_output_or_into_a_file(invoke: Invoke, tmp_path: Path) -> None:
    document = invoke("sessions", "export").document
    table = list(csv.DictReader(io.StringIO(invoke("sessions", "export", "--format", "csv").out)))
    file = tmp_path / "sessions.json"
    written = invoke("sessions", "export", str(file))

    assert document["schema"] == SCHEMA
    assert {row["session_id"] for row in table} == {"review-42", "deploy-7"}
    assert json.loads(file.read_text("utf-8")) == document
    assert (written.out, str(file) in written.err) == ("", True)


def test_a_damaged_catalogue_is_made_anew_and_said_so(kept: Path, invoke: Invoke) -> None:
    (kept / "catalog.sqlite").write_bytes(b"no catalogue")

    outcome = invoke("sessions", "list", "--json")

    assert len(outcome.document["sessions"]) == 2
    assert "made anew from 2 sessions" in outcome.message


def on_terminal(program: Program, columns: int, *arguments: str) -> list[str]:
    """Return the lines that a terminal of that width is shown, having checked that they fit."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*program.command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**program.environment(), "COLUMNS": str(columns), "TERM": "xterm-256color"},
        cwd=program.folder,
    )
    _, errors = process.communicate(timeout=40)
    os.close(follower)
    shown = os.read(leader, 65_536).decode()
    os.close(leader)

    assert (process.returncode, errors) == (0, b"")
    assert "\t" not in shown
    assert "\\x1b" not in shown
    assert "\x1b" not in shown
    return shown.splitlines()


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        (120, set()),
        (80, {"MODEL", "TAGS"}),
        (49, {"MODEL", "TAGS", "LAST USED"}),
        (33, {"MODEL", "TAGS", "LAST USED", "TURNS", "COST"}),
        (19, {"MODEL", "TAGS", "LAST USED", "TURNS", "COST", "TITLE"}),
    ],
)
@pytest.mark.usefixtures("kept")
def test_a_terminal_sees_a_table_that_fits(
    program: Program, columns: int, left_out: set[str]
) -> None:
    heading, deploy, review = on_terminal(program, columns, "sessions", "list")

    expected = [name for name in HEADINGS if name not in left_out]
    assert heading.split() == " ".join(expected).split()
    assert deploy.split()[:2] == ["deploy-7", "failed"]
    assert review.split()[:2] == ["review-42", "active"]
    if "TITLE" in expected:
        title = review[heading.index("TITLE") :]
        assert title.startswith("Review of")
        assert title == "Review of [parser]" if columns > 49 else title.endswith("…")
    assert max(map(len, (heading, deploy, review))) <= columns


@pytest.mark.usefixtures("kept")
def test_a_terminal_without_room_for_a_table_sees_the_ids_whole(program: Program) -> None:
    assert on_terminal(program, 12, "sessions", "list") == ["deploy-7", "review-42"]


def test_a_title_in_wide_characters_fits_too(program: Program) -> None:
    with SessionManager(program.state) as sessions:
        sessions.start_session("灯台の歴史について教えてください" * 3, session_id="a")

    heading, line = on_terminal(program, 70, "sessions", "list")

    assert line.endswith("…")
    title = line[heading.index("TITLE") : -1]
    assert heading.index("TITLE") + 2 * len(title) + 1 <= 70

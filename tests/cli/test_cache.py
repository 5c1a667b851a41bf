"""`run` with a cache folder, and `cache stats|clear|warm|explain`: the answers of the simulator, kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

ASK = ("run", "What is a monad?", "--tools", "none", "--output", "json")
FOLDER = ("--cache-dir", "kept")


def test_a_repeated_question_is_answered_from_the_folder_and_costs_nothing(invoke: Invoke) -> None:
    first = invoke(*ASK, *FOLDER).document
    second = invoke(*ASK, *FOLDER).document

    assert first["served_by"] == "simulator"
    assert second["served_by"] == "lru"
    assert second["text"] == first["text"]
    assert second["cost_usd"] == 0
    assert second["saved_usd"] == first["cost_usd"]


def test_the_summary_says_that_a_cache_answered_and_what_that_saved(invoke: Invoke) -> None:
    invoke(*ASK[:-2], *FOLDER)

    message = invoke(*ASK[:-2], *FOLDER).message

    assert "lru cache: claude-" in message
    assert "$0.0000, $0.00056 saved" in message


@pytest.mark.parametrize(
    "change", [("--model", "haiku"), ("--system", "Be brief."), ("--max-tokens", "9")]
)
def test_another_request_is_not_answered_from_the_folder(
    invoke: Invoke, change: tuple[str, str]
) -> None:
    invoke(*ASK, *FOLDER)

    assert invoke(*ASK, *FOLDER, *change).document["served_by"] == "simulator"


def test_without_a_folder_nothing_is_kept(invoke: Invoke, program: Program) -> None:
    invoke(*ASK)

    assert invoke(*ASK).document["served_by"] == "simulator"
    assert not list(program.folder.rglob("*.cache"))


def test_no_cache_asks_the_model_again(invoke: Invoke) -> None:
    invoke(*ASK, *FOLDER)

    assert invoke(*ASK, "--no-cache").document["served_by"] == "simulator"


@pytest.mark.parametrize(
    "flags",
    [("--no-cache", "--cache-mode", "full"), ("--no-cache", *FOLDER)],
    ids=["mode", "folder"],
)
def test_no_cache_contradicts_what_needs_a_cache(invoke: Invoke, flags: tuple[str, ...]) -> None:
    assert invoke(*ASK, *flags).code == 2


def test_an_unknown_mode_is_refused_with_the_modes_there_are(invoke: Invoke) -> None:
    outcome = invoke(*ASK, "--cache-mode", "exat")

    assert outcome.code == 2
    assert "exact" in outcome.message


def test_the_files_of_the_folder_are_private(invoke: Invoke, program: Program) -> None:
    invoke(*ASK, *FOLDER)

    folder = program.folder / "kept"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {item.stat().st_mode & 0o777 for item in folder.iterdir()} == {0o600}


def test_stats_add_up_what_all_processes_saved(invoke: Invoke) -> None:
    cost = invoke(*ASK, *FOLDER).document["cost_usd"]
    for _ in range(2):
        invoke(*ASK, *FOLDER)

    stats = invoke("cache", "stats", *FOLDER, "--json").document

    assert stats["entries"] == {"lru": 1}
    assert stats["totals"]["hits"] == 2
    assert stats["totals"]["misses"] == 1
    assert stats["totals"]["saved_usd"] == pytest.approx(2 * cost)
    assert "2 of 3 calls (67%)" in invoke("cache", "stats", *FOLDER).out


def test_clear_forgets_answers_and_totals(invoke: Invoke) -> None:
    invoke(*ASK, *FOLDER)

    assert "empty now" in invoke("cache", "clear", *FOLDER).out
    assert "empty already" in invoke("cache", "clear", *FOLDER).out
    assert invoke("cache", "stats", *FOLDER, "--json").document["totals"]["misses"] == 0
    assert invoke(*ASK, *FOLDER).document["served_by"] == "simulator"


def test_warm_answers_a_later_run(invoke: Invoke, program: Program) -> None:
    (program.folder / "prompts.jsonl").write_text('"What is a monad?"\n{"prompt": "Hi"}\n"Hi"\n')

    outcome = invoke("cache", "warm", "prompts.jsonl", *FOLDER)

    assert outcome.code == 0
    assert "2 stored" in outcome.out
    assert "1 twice in the file" in outcome.out
    assert invoke(*ASK, *FOLDER).document["served_by"] == "lru"


def test_warm_refuses_a_file_with_a_broken_line_before_anything_is_asked(
    invoke: Invoke, program: Program
) -> None:
    (program.folder / "prompts.jsonl").write_text('"Hi"\n{"prompt": 3}\n')

    outcome = invoke("cache", "warm", "prompts.jsonl", *FOLDER)

    assert outcome.code == 2
    assert "Line 2" in outcome.message
    assert invoke("cache", "stats", *FOLDER, "--json").document["entries"] == {"lru": 0}


def test_warm_stops_at_its_limit_and_says_so(invoke: Invoke, program: Program) -> None:
    (program.folder / "prompts.jsonl").write_text('"One"\n"Two"\n"Three"\n')

    outcome = invoke(
        *("cache", "warm", "prompts.jsonl", "--concurrency", "1", "--max-cost", "0.000001"), *FOLDER
    )

    assert outcome.code == 1
    assert "1 stored" in outcome.out
    assert "the money was spent: 2" in outcome.out


def test_explain_tells_a_hit_from_what_is_absent(invoke: Invoke) -> None:
    invoke(*ASK, *FOLDER)

    known = invoke("cache", "explain", "What is a monad?", *FOLDER, "--json").document
    other = invoke("cache", "explain", "What is a functor?", *FOLDER, "--json").document

    assert known["exact"] == "hit"
    assert other["exact"] == "absent"
    assert other["semantic"] == "off"


@pytest.mark.parametrize("command", ["stats", "clear"])
def test_a_command_without_a_folder_says_how_to_name_one(invoke: Invoke, command: str) -> None:
    outcome = invoke("cache", command)

    assert outcome.code == 2
    assert "--cache-dir" in outcome.message


def test_a_damaged_file_is_moved_aside_and_the_run_goes_on(
    invoke: Invoke, program: Program
) -> None:
    invoke(*ASK, *FOLDER)
    (program.folder / "kept" / "responses.cache").write_bytes(b"not a cache")

    outcome = invoke("cache", "stats", *FOLDER)

    assert outcome.code == 0
    assert "moved aside" in outcome.message
    assert invoke(*ASK, *FOLDER).document["served_by"] == "simulator"
    assert invoke(*ASK, *FOLDER).document["served_by"] == "lru"


def test_a_file_is_no_cache_folder_and_stays_as_it_is(invoke: Invoke, program: Program) -> None:
    notes = program.folder / "notes.md"
    notes.write_text("mine")

    outcome = invoke(*ASK, "--cache-dir", "notes.md")

    assert outcome.code == 3
    assert "is a file, not a folder" in outcome.message
    assert notes.read_text() == "mine"


def test_a_folder_that_others_may_write_to_is_refused(invoke: Invoke, program: Program) -> None:
    (program.folder / "open").mkdir()
    (program.folder / "open").chmod(0o777)

    outcome = invoke(*ASK, "--cache-dir", "open")

    assert outcome.code == 3
    assert "chmod" in outcome.message


def test_answers_that_cannot_be_kept_do_not_cost_the_run_its_result(
    invoke: Invoke, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    invoke(*ASK, *FOLDER)
    (program.folder / "kept" / "tenant.secret").unlink()

    outcome = invoke(*ASK, *FOLDER)

    assert outcome.code == 0
    assert outcome.document["served_by"] == "simulator"
    assert "were not kept" in caplog.text


def test_what_was_moved_aside_before_is_not_overwritten(invoke: Invoke, program: Program) -> None:
    for content in (b"first", b"second"):
        invoke(*ASK, *FOLDER)
        (program.folder / "kept" / "responses.cache").write_bytes(content)
        invoke("cache", "stats", *FOLDER)

    asides = sorted((program.folder / "kept").glob("*.refused*"))
    assert [path.read_bytes() for path in asides] == [b"first", b"second"]

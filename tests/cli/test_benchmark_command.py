"""`benchmark`: forms of the result, reports, comparisons, refusals, Ctrl-C. No figure is looked at."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.benchmarking.operations import Skipped, Target
from sdk_workflow.cli import benchmark_command
from sdk_workflow.cli.benchmark_command import BenchmarkArgs
from sdk_workflow.cli.completion import complete_suites
from sdk_workflow.cli.console import Console
from sdk_workflow.cli.exit_codes import ExitCode
from tests.benchmarking.made_results import operation, suite_of
from tests.cli.program import assert_refused, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry
    from tests.cli.conftest import Invoke
    from tests.cli.program import Program

    Offer = Callable[..., None]

FEW = ("benchmark", "--operations", "10")


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Put quick entries in the place of the suites."""

    def replace(*entries: Entry) -> None:
        monkeypatch.setattr(
            benchmark_command, "find_suites", lambda _name: {"caches": suite_of(*entries)}
        )

    replace(operation("get", plan=Target(1e12), goal=Target(1e12)))
    return replace


@pytest.mark.usefixtures("offer")
def test_text_shows_each_operation_with_its_targets(invoke: Invoke) -> None:
    outcome = invoke(*FEW)

    assert outcome.code == 0
    assert "10 samples of each operation in 10 rounds" in outcome.out
    assert outcome.out.count("PASS p50 <= 1000 s") == 2
    assert "Targets of the plan: 1 of 1 met." in outcome.out
    assert outcome.err == ""


@pytest.mark.usefixtures("offer")
def test_json_is_one_versioned_document(invoke: Invoke) -> None:
    outcome = invoke(*FEW, "--output", "json")

    document = json.loads(outcome.out)
    assert document["schema"] == "sdk_workflow.benchmark/1"
    assert document["operations"] == 10
    assert [each["name"] for each in document["results"]] == ["get"]
    assert document["machine"]["cores"] >= 1
    assert outcome.err == ""


@pytest.mark.usefixtures("offer")
def test_markdown_is_a_table(invoke: Invoke) -> None:
    lines = invoke(*FEW, "--output", "markdown").out.splitlines()

    assert "## caches" in lines
    assert "| operation | p50 | p95 | p99 | min | plan | ours |" in lines


def test_a_missed_target_is_no_error(offer: Offer, invoke: Invoke) -> None:
    offer(operation(goal=Target(0)))

    outcome = invoke(*FEW)

    assert outcome.code == 0
    assert "FAIL" in outcome.out


def test_an_operation_that_fails_is_an_error_after_the_result(offer: Offer, invoke: Invoke) -> None:
    def fail(_count: int) -> None:
        raise ValueError("no such thing")

    offer(operation("bad", repeat=fail), operation("good"))

    outcome = invoke(*FEW)

    assert outcome.code == 1
    assert "good" in outcome.out
    assert outcome.err == "Error: caches, bad: ValueError: no such thing\n"


def test_what_is_skipped_is_no_error(offer: Offer, invoke: Invoke) -> None:
    offer(Skipped(name="similar", reason="numpy is not installed."))

    outcome = invoke(*FEW)

    assert outcome.code == 0
    assert "Skipped: caches, similar: numpy is not installed." in outcome.out


@pytest.mark.usefixtures("offer")
def test_the_report_is_written_and_replaced(invoke: Invoke, program: Program) -> None:
    for _ in range(2):
        outcome = invoke(*FEW, "--report", "report.md")
        assert outcome.code == 0
        assert outcome.err == "Report: report.md\n"

    assert "# Validation report" in (program.folder / "report.md").read_text()


@pytest.mark.usefixtures("offer")
def test_a_run_is_compared_with_an_earlier_one_in_every_form(
    invoke: Invoke, program: Program
) -> None:
    (program.folder / "old.json").write_text(invoke(*FEW, "--output", "json").out)
    compare = (*FEW, "--compare", "old.json")

    as_text, as_markdown = invoke(*compare), invoke(*compare, "--output", "markdown")
    as_json = json.loads(invoke(*compare, "--output", "json").out)

    assert "Compared with 20" in as_text.out
    assert "The earlier run: 20" in as_markdown.out
    assert [change["name"] for change in as_json["comparison"]["changes"]] == ["get"]
    assert as_json["comparison"]["machine_differences"] == []


@pytest.mark.usefixtures("offer")
def test_the_output_of_a_comparison_can_be_compared_with_again(
    invoke: Invoke, program: Program
) -> None:
    old = program.folder / "old.json"
    old.write_text(invoke(*FEW, "--output", "json").out)
    old.write_text(invoke(*FEW, "--output", "json", "--compare", "old.json").out)

    assert invoke(*FEW, "--compare", "old.json").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "manager"), ("no suite 'manager'", "Did you mean 'managers'?")),
        (("--operations", "0"), ("--operations",)),
        (("--operations", "many"), ("--operations",)),
        (("--output", "xml"), ("--output",)),
        (("--compare", "none.json"), ("'none.json' could not be read",)),
        (("--compare", "notes.md"), ("'notes.md' is no earlier run", "--output json")),
        (("--report", "notes.md"), ("'notes.md' is there and is no report",)),
        (("--report", "none/report.md"), ("there is no folder",)),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    invoke: Invoke,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Something was measured.")

    monkeypatch.setattr(benchmark_command, "run_suites", refuse)
    (program.folder / "notes.md").write_text("Notes.")

    assert_refused(invoke("benchmark", *arguments), 2, *words)
    assert (program.folder / "notes.md").read_text() == "Notes."


def test_a_report_that_cannot_be_written_is_told_after_the_result(
    offer: Offer, invoke: Invoke, program: Program
) -> None:
    folder = program.folder / "reports"
    folder.mkdir()

    def remove(_count: int) -> None:
        if folder.exists():
            folder.rmdir()

    offer(operation(repeat=remove))

    outcome = invoke(*FEW, "--report", "reports/report.md")

    assert outcome.code == 1
    assert "count" in outcome.out
    assert "could not be written" in outcome.err


def test_the_suites_are_completed() -> None:
    assert complete_suites("ca") == ["caches"]
    assert complete_suites("") == ["managers", "caches", "observability", "executors", "all"]


def test_the_real_program_measures_every_suite_with_one_sample(program: Program) -> None:
    before = program.files()

    outcome = program.run("benchmark", "--operations", "1", "--output", "json")

    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert {each["suite"] for each in document["results"]} == {
        "managers",
        "caches",
        "observability",
        "executors",
    }
    assert document["failed"] == []
    assert outcome.err == ""
    assert program.files() == before


def test_the_real_program_ends_at_an_interrupt_with_what_it_has(
    program: Program, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arguments = ("benchmark", "--suite", "managers", "--operations", "1000000")
    process = program.start(*arguments, env={"TMPDIR": str(temporary)})
    wait_until(lambda: any(temporary.glob("*/yardstick")), seconds=30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Interrupted: this is what had been measured by then." in out
    assert err == b"Interrupted.\n"
    assert list(temporary.iterdir()) == []


def test_help_loads_nothing_of_the_benchmark(program: Program) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sdk_workflow", "benchmark", "--help"],
        capture_output=True,
        check=True,
        cwd=program.folder,
        env=program.environment(),
        timeout=40,
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert not [name for name in loaded if name.startswith("sdk_workflow.benchmarking")]
    assert loaded.isdisjoint({"anthropic", "numpy", "anyio"})


class Terminal(StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "err", "output", "is_drawn"),
    [
        (Terminal, Terminal, "text", True),
        (StringIO, Terminal, "text", True),
        (Terminal, Terminal, "json", True),
        (StringIO, Terminal, "json", False),
        (Terminal, StringIO, "text", False),
    ],
)
@pytest.mark.usefixtures("offer")
def test_a_bar_is_drawn_on_a_terminal_only(
    out: type[StringIO],
    err: type[StringIO],
    output: Any,
    is_drawn: bool,  # noqa: FBT001 - a parameter of the table above
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    result, notices = out(), err()

    code = benchmark_command.benchmark(
        Console(result, notices), BenchmarkArgs(operations=2, output=output)
    )

    assert code is ExitCode.OK
    assert ("caches: get" in notices.getvalue()) == is_drawn
    assert "\x1b" not in result.getvalue()
    assert result.getvalue()

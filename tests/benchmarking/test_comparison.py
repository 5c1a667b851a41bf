"""Two runs beside each other: what counts as a change, and which files are no run."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.benchmarking.comparison import compare, noise_of, read_baseline
from sdk_workflow.benchmarking.comparison_text import comparison_markdown, comparison_text
from sdk_workflow.exceptions import UsageError
from tests.benchmarking.made_results import MACHINE, results, row

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.benchmarking.comparison import Comparison
    from sdk_workflow.benchmarking.results import Results


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "old.json"


def compared(path: Path, old: Results, new: Results) -> Comparison:
    """Write the old run as the command does, and compare the new one with it."""
    path.write_text(json.dumps(old.to_json()), encoding="utf-8")
    return compare(read_baseline(path), new)


def wobbling(middle: float, share: float) -> list[float]:
    """Return ten rounds around a middle."""
    return [middle * (1 + share * (place - 4.5) / 4.5) for place in range(10)]


def test_a_run_compared_with_itself_shows_no_change(path: Path) -> None:
    run = results(row("get"), row("set", rounds=wobbling(200, 0.1)))

    found = compared(path, run, run)

    assert [(change.name, change.ratio, change.verdict) for change in found.changes] == [
        ("get", 1.0, "same"),
        ("set", 1.0, "same"),
    ]
    assert found.created_at == run.created_at


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.04, "same"), (1.06, "slower"), (2.0, "slower"), (0.96, "same"), (0.94, "faster")],
)
def test_a_quiet_change_counts_from_five_per_cent_on(
    factor: float, verdict: str, path: Path
) -> None:
    (change,) = compared(path, results(row(p50=100)), results(row(p50=100 * factor))).changes

    assert change.verdict == verdict
    assert change.ratio == pytest.approx(factor)
    assert change.noise == pytest.approx(1.05)


def test_a_change_within_the_noise_of_the_rounds_does_not_count(path: Path) -> None:
    old = results(row(p50=100, rounds=wobbling(100, 0.2)))
    new = results(row(p50=120, rounds=wobbling(120, 0.2)))

    (change,) = compared(path, old, new).changes

    assert change.verdict == "same"
    assert change.noise is not None
    assert change.noise > 1.5


def test_the_noise_of_either_run_counts() -> None:
    quiet, noisy = [100.0] * 10, wobbling(100, 0.2)

    one, other = noise_of(quiet, noisy), noise_of(noisy, quiet)

    assert one == other
    assert one is not None
    assert one > 1.3


def test_the_quickest_rounds_are_compared_because_noise_only_adds(path: Path) -> None:
    busy = [100.0, *[100.5] * 5, *[300.0] * 4]

    (change,) = compared(path, results(row(p50=100)), results(row(rounds=busy))).changes

    assert (change.old, change.new, change.ratio) == (100.0, 100.0, 1.0)


def test_a_busier_machine_is_told_of(path: Path) -> None:
    busy = results(row(), machine={**MACHINE, "load": 7.25})
    alike = results(row(), machine={**MACHINE, "load": 1.4})
    unknown = results(row(), machine={**MACHINE, "load": None})

    found = compared(path, busy, results(row()))

    assert found.loads == (7.25, 0.5)
    assert "not equally busy: load 7.25 then, 0.5 now." in comparison_text(found)
    assert compared(path, alike, results(row())).loads is None
    assert compared(path, unknown, results(row())).loads is None
    assert compared(path, busy, unknown).loads is None


def test_one_disturbed_round_does_not_hide_a_change() -> None:
    disturbed = [*[100.0] * 9, 10_000.0]

    assert noise_of(disturbed, disturbed) == pytest.approx(1.05)


def test_with_few_rounds_a_change_is_unknown(path: Path) -> None:
    old = results(row(p50=100, rounds=[100.0] * 4))

    (change,) = compared(path, old, results(row(p50=900))).changes

    assert (change.verdict, change.noise) == ("unknown", None)


def test_rounds_of_one_distribution_hardly_ever_show_a_change() -> None:
    dice = random.Random(20261121)  # noqa: S311 - noise, not a secret
    changed = 0
    for _ in range(1_000):
        old, new = ([dice.lognormvariate(5, 0.05) for _ in range(10)] for _ in range(2))
        bound = noise_of(old, new)
        assert bound is not None
        changed += not 1 / bound <= min(new) / min(old) <= bound

    assert changed <= 10


def test_a_figure_that_was_taken_otherwise_is_not_compared(path: Path) -> None:
    old = results(row("a"), row("b", timer="cpu"), row("gone"), row("x", suite="managers"))
    new = results(row("a", unit="x"), row("b"), row("new"))

    found = compared(path, old, new)

    assert found.changes == []
    assert list(found.only_then) == ["caches, a", "caches, b", "caches, gone"]
    assert list(found.only_now) == ["caches, a", "caches, b", "caches, new"]


def test_another_machine_is_told_of(path: Path) -> None:
    old = results(row(), machine={**MACHINE, "cpu": "Another one", "cores": 8, "load": 7.0})

    found = compared(path, old, results(row()))

    assert list(found.machine_differences) == [
        "cpu: Another one, now A processor",
        "cores: 8, now 2",
    ]
    assert "Not the same machine" in comparison_text(found)


def test_the_text_marks_what_has_changed_and_nothing_else(path: Path) -> None:
    old = results(row("a", 100), row("b", 100), row("c", 100))
    new = results(row("a", 200), row("b", 50), row("c", 101))

    lines = comparison_text(compared(path, old, new)).splitlines()

    assert lines[0] == "Compared with 2026-11-21T08:00:00Z"
    assert lines[2].split() == ["caches,", "a", "100", "ns", "200", "ns", "2.00", "x1.05", "slower"]
    assert lines[3].endswith("faster")
    assert lines[4].endswith("x1.05")
    assert lines[5] == "Beyond the noise: 1 faster, 1 slower."


def test_the_text_says_that_rounds_are_too_few_and_what_only_one_run_has(path: Path) -> None:
    old = results(row("a", rounds=[100.0]), row("gone"))
    new = results(row("a"), row("new"))

    text = comparison_text(compared(path, old, new))

    assert "?: too few rounds" in text
    assert "Only in the earlier run: caches, gone." in text
    assert "Only in this run: caches, new." in text
    assert "Beyond the noise: nothing." in text


def test_the_markdown_is_a_table_with_remarks(path: Path) -> None:
    text = comparison_markdown(compared(path, results(row(p50=100)), results(row(p50=200))))

    assert "| caches, get | 100 ns | 200 ns | 2.00 | x1.05 | slower |" in text.splitlines()
    assert "- Beyond the noise: 1 slower." in text.splitlines()


def test_the_json_has_every_change(path: Path) -> None:
    found = compared(path, results(row(p50=100)), results(row(p50=200))).to_json()

    assert found["changes"] == [
        {
            "suite": "caches",
            "name": "get",
            "unit": "ns",
            "old": 100.0,
            "new": 200.0,
            "ratio": 2.0,
            "noise": pytest.approx(1.05),
            "verdict": "slower",
        }
    ]
    assert found["machine_differences"] == found["only_then"] == found["only_now"] == []


def document(**changes: Any) -> dict[str, Any]:
    """Return the document of a run with some of it replaced."""
    return {**results(row()).to_json(), **changes}


def damaged(**changes: Any) -> dict[str, Any]:
    """Return a document whose one result is damaged."""
    return document(results=[{**row().to_json(), **changes}])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "its schema is None"),
        ("3", "its schema is None"),
        ({}, "its schema is None"),
        (document(schema="sdk_workflow.benchmark/2"), "its schema is 'sdk_workflow.benchmark/2'"),
        (document(schema="sdk_workflow.measurements/1"), "not 'sdk_workflow.benchmark/1'"),
        ({"schema": "sdk_workflow.benchmark/1"}, "'results' is missing"),
        (document(created_at=3), "3 is not text"),
        (document(machine=3), "it is damaged"),
        (document(results=3), "it is damaged"),
        (document(results=[3]), "it is damaged"),
        (document(results=[{}]), "'rounds' is missing"),
        (damaged(name=None), "None is not text"),
        (damaged(p50="fast"), "'fast' is not a figure"),
        (damaged(p50=True), "True is not a figure"),
        (damaged(p50=0), "0 is not a figure above 0"),
        (damaged(rounds=[]), "a result has no rounds"),
        (damaged(rounds=[1.0, -1.0]), "-1.0 is not a figure above 0"),
        (damaged(rounds=[float("nan")]), "nan is not a figure above 0"),
        (damaged(rounds=[float("inf")]), "inf is not a figure above 0"),
    ],
)
def test_a_file_that_is_no_run_is_refused_with_the_reason(
    content: str | bytes | dict[str, Any], problem: str, path: Path
) -> None:
    data = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())

    with pytest.raises(UsageError) as caught:
        read_baseline(path)

    assert problem in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.code == "baseline_unusable"
    assert "--output json" in caught.value.hint


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="could not be read: No such file"):
        read_baseline(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be read"):
        read_baseline(tmp_path)


def test_a_huge_file_is_refused_unread(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(65 * 2**20)

    with pytest.raises(UsageError, match="larger than 64 MB"):
        read_baseline(path)

"""What the programs of benchmarks/ share: rounds, ratios, tables, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.benchmarking import machine
from sdk_workflow.benchmarking.machine import differences, machine_facts
from sdk_workflow.benchmarking.operations import each_of, times
from sdk_workflow.benchmarking.peer_report import Report, Row, parse_arguments
from sdk_workflow.benchmarking.timing import (
    Series,
    interleave,
    interleave_async,
    percentile,
    ratio_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[], tuple[float, float]]:
        def work() -> tuple[float, float]:
            order.append(name)
            return float(len(order)), 0.5

        return work

    found = interleave({"a": contender("a"), "b": contender("b")}, rounds=2)

    assert order == ["b", "a", "a", "b", "b", "a"]
    assert list(found["a"].wall.values) == [3.0, 6.0]
    assert list(found["b"].cpu.values) == [0.5, 0.5]


def test_coroutines_take_turns_too() -> None:
    order: list[str] = []

    async def a() -> None:
        order.append("a")

    async def b() -> None:
        order.append("b")

    async def main() -> None:
        found = await interleave_async({"a": a, "b": b}, rounds=1)
        assert len(found["a"].wall.values) == len(found["b"].cpu.values) == 1

    anyio.run(main)

    assert order == ["b", "a", "a", "b"]


def test_a_series_tells_its_median_and_its_spread() -> None:
    series = Series([4.0, 1.0, 2.0, 3.0, 5.0])

    assert (series.median, series.p10, series.p95) == (3.0, 1.4, 4.8)
    assert list(series.per(2).values) == [2.0, 0.5, 1.0, 1.5, 2.5]
    assert series.to_json()["values"] == [4.0, 1.0, 2.0, 3.0, 5.0]
    assert list(ratio_of(series, Series([2.0] * 5)).values) == [2.0, 0.5, 1.0, 1.5, 2.5]


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("limits", "target", "verdict"),
    [
        ({}, "", ""),
        ({"at_most": 2.0}, "<= 2", "PASS"),
        ({"at_most": 1.9}, "<= 1.9", "MISSED"),
        ({"at_least": 2.0}, ">= 2", "PASS"),
        ({"at_least": 2.1}, ">= 2.1", "MISSED"),
    ],
)
def test_a_row_has_a_verdict_on_its_target(
    limits: dict[str, Any], target: str, verdict: str
) -> None:
    row = Row(name="x", series=Series([2.0]), **limits)

    assert (row.target, row.verdict) == (target, verdict)


def test_a_report_shows_sections_and_keeps_them_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("Title")
    report.begin()
    report.add("Part", [Row(name="fast", series=Series([1234.5]), unit="ns", at_most=2000)])
    report.add("Rest", [Row(name="plain", series=Series([1.0]))])
    report.note("A remark.")
    report.finish(tmp_path / "out.json")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title"
    assert "cores " in lines[1]
    assert "  fast         1,234.50  1,234.50  1,234.50  ns    <= 2000  PASS" in lines
    assert lines[-1] == "1 of 1 targets met."
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["schema"] == "sdk_workflow.measurements/1"
    assert found["sections"]["Part"][0]["verdict"] == "PASS"
    assert found["notes"] == ["A remark."]


def test_a_program_takes_rounds_and_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--rounds", "3", "--json", "out.json"])

    found = parse_arguments("What it does.", rounds=9)

    assert (found.rounds, str(found.json)) == (3, "out.json")


def test_a_program_refuses_less_than_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--rounds", "0"])

    with pytest.raises(SystemExit):
        parse_arguments("What it does.", rounds=9)


def test_work_is_done_as_often_as_told_and_items_come_in_turn() -> None:
    done: list[int] = []

    times(lambda: done.append(0))(3)
    again = each_of(done.append, [1, 2, 3])
    again(2)
    again(2)

    assert done == [0, 0, 0, 1, 2, 3, 1]


def test_the_machine_is_told_without_a_processor_file_or_a_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    monkeypatch.delattr("os.getloadavg", raising=False)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)

    facts = machine_facts()

    assert facts["cpu"]
    assert (facts["load"], facts["cores"]) == (None, 1)


def test_a_processor_file_without_a_model_names_the_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: "Hardware : x\n")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    assert machine_facts()["cpu"] == "riscv64"


def test_packages_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PACKAGES", ("rich", "not-installed-anywhere"))

    assert list(machine_facts()["packages"]) == ["rich"]


def test_a_load_or_a_package_is_no_other_machine() -> None:
    facts = machine_facts()

    assert differences(facts, {**facts, "load": 99.0, "packages": {}}) == []
    assert differences(facts, {**facts, "python": "PyPy 3.11"})[0].endswith("now PyPy 3.11")

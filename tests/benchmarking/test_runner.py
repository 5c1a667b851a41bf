"""The runner: turns, failures, interrupts; what it measures takes no time and is never looked at."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.benchmarking.operations import Ratio, Skipped, Target
from sdk_workflow.benchmarking.runner import run_suites
from sdk_workflow.benchmarking.sampling import Effort
from tests.benchmarking.made_results import no_parts, operation, suite_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pytest

    from sdk_workflow.benchmarking.operations import Entry, OpenSuite
    from sdk_workflow.benchmarking.parts import Parts
    from sdk_workflow.benchmarking.results import Results
    from sdk_workflow.benchmarking.runner import Progress

INTERRUPTED = "The run was interrupted before it was measured."


def run(samples: int = 3, **suites: OpenSuite) -> Results:
    return run_suites(suites, no_parts(), Effort(samples=samples), clock=VirtualClock())


def noting(
    notes: list[str], name: str, *, then: Callable[[], object] = int
) -> Callable[[int], None]:
    """Return an operation of a few microseconds that says when it is at work."""

    def repeat(count: int) -> None:
        notes.append(name)
        then()
        for _ in range(count):
            sum(range(1000))

    return repeat


def suite_that_raises(error: BaseException) -> OpenSuite:
    """Return what fails to open a suite."""

    def open_suite(_folder: Path, _parts: Parts) -> NoReturn:
        raise error

    return open_suite


def test_every_operation_becomes_a_row_with_its_targets() -> None:
    plan, goal = Target(1e12, "p95"), Target(0.0)

    (row,) = run(one=suite_of(operation(plan=plan, goal=goal))).rows

    assert (row.suite, row.name, row.unit, row.timer) == ("one", "count", "ns", "wall")
    assert row.samples == 3
    assert len(row.rounds) == 3
    assert row.least is not None
    assert row.p95 is not None
    assert row.least <= row.p50 <= row.p95
    assert (row.verdict(row.plan), row.verdict(row.goal)) == ("PASS", "FAIL")


def test_operations_take_turns_in_rounds() -> None:
    notes: list[str] = []

    run(
        2,
        one=suite_of(
            operation("a", repeat=noting(notes, "a")), operation("b", repeat=noting(notes, "b"))
        ),
    )

    turns = [name for at, name in enumerate(notes) if at == 0 or notes[at - 1] != name]
    assert turns == ["a", "b", "a", "b"]


def test_suites_follow_one_another_in_folders_of_their_own_that_are_cleared_away() -> None:
    folders: list[Path] = []

    @contextmanager
    def opened(folder: Path, _parts: Parts) -> Iterator[Sequence[Entry]]:
        (folder / "left").write_text("behind")
        folders.append(folder)
        yield [operation()]

    found = run(one=opened, two=opened)

    assert [row.suite for row in found.rows] == ["one", "two"]
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


def test_figures_are_those_of_one_item() -> None:
    notes: list[str] = []
    repeat = noting(notes, "a", then=lambda: sum(range(100_000)))

    one, many = run(
        one=suite_of(
            operation("one", repeat=repeat), operation("many", repeat=repeat, items=1_000_000)
        )
    ).rows

    assert many.p50 * 1_000 < one.p50
    assert many.rounds[0] * 1_000 < one.rounds[0]


def test_an_asynchronous_operation_runs_on_an_event_loop() -> None:
    import anyio

    async def repeat(count: int) -> None:
        for _ in range(count):
            await anyio.lowlevel.checkpoint()

    (row,) = run(one=suite_of(operation(repeat=repeat, is_async=True))).rows

    assert row.samples == 3
    assert row.p50 > 0


def test_cpu_time_leaves_waiting_out() -> None:
    def wait(count: int) -> None:
        for _ in range(count):
            threading.Event().wait(0.02)

    entries = [operation("wall", repeat=wait), operation("cpu", repeat=wait, timer="cpu")]

    wall, cpu = run(1, one=suite_of(*entries)).rows

    assert (wall.timer, cpu.timer) == ("wall", "cpu")
    assert wall.p50 >= 19e6
    assert cpu.p50 < wall.p50 / 2


def test_a_ratio_is_taken_round_by_round_and_held_against_its_goal() -> None:
    entries: list[Entry] = [
        operation("a"),
        operation("b", items=1_000),
        Ratio(name="a / b", over="a", under="b", goal=Target(1.0)),
    ]

    *_, ratio = run(one=suite_of(*entries)).rows

    assert (ratio.name, ratio.unit, ratio.samples) == ("a / b", "x", 3)
    assert ratio.p95 is None
    assert ratio.p50 > 10
    assert ratio.verdict(ratio.goal) == "FAIL"


def test_what_is_skipped_is_told_with_its_reason() -> None:
    found = run(
        one=suite_of(Skipped(name="similar", reason="numpy is not installed."), operation())
    )

    assert [row.name for row in found.rows] == ["count"]
    assert [row.to_json() for row in found.skipped] == [
        {"suite": "one", "name": "similar", "reason": "numpy is not installed."}
    ]


def test_an_operation_that_fails_is_told_of_once_and_the_others_go_on() -> None:
    def fail(_count: int) -> None:
        raise ValueError("no")

    entries = [operation("bad", repeat=fail), operation("good")]
    ratio = Ratio(name="ratio", over="bad", under="good")

    found = run(one=suite_of(*entries, ratio), two=suite_of(operation("other")))

    assert [row.name for row in found.rows] == ["good", "other"]
    assert [row.to_json() for row in found.failed] == [
        {"suite": "one", "name": "bad", "reason": "ValueError: no"}
    ]
    assert found.skipped[0].reason == "There are no figures of 'bad' and 'good'."
    assert not found.is_interrupted


def test_a_suite_that_cannot_be_prepared_is_told_of_and_the_others_go_on() -> None:
    found = run(one=suite_that_raises(OSError("no space")), two=suite_of(operation()))

    assert [(row.suite, row.name, row.reason) for row in found.failed] == [
        ("one", "the whole suite", "OSError: no space")
    ]
    assert [row.suite for row in found.rows] == ["two"]


def interrupted_at(suite: str, name: str, round_number: int, **suites: OpenSuite) -> Results:
    """Interrupt a run of ten rounds when it comes to an operation for the n-th time."""
    told: list[tuple[str, str]] = []

    def interrupt(progress: Progress) -> None:
        now = (progress.suite, progress.operation)
        told.append(now)
        if now == (suite, name) and told.count(now) == round_number:
            raise KeyboardInterrupt

    effort = Effort(samples=10)
    return run_suites(suites, no_parts(), effort, clock=VirtualClock(), on_progress=interrupt)


def test_an_interrupt_keeps_the_rounds_that_were_measured() -> None:
    entries: list[Entry] = [
        operation("a"),
        operation("b"),
        Ratio(name="a / b", over="a", under="b"),
    ]

    found = interrupted_at("one", "b", 3, one=suite_of(*entries), two=suite_of(operation()))

    assert found.is_interrupted
    assert [(row.name, row.samples) for row in found.rows] == [("a", 3), ("b", 2), ("a / b", 2)]
    assert [(row.suite, row.name, row.reason) for row in found.skipped] == [
        ("two", "the whole suite", INTERRUPTED)
    ]


def test_an_interrupt_in_the_first_round_tells_what_was_not_reached() -> None:
    entries = [operation("a"), operation("b"), operation("c")]

    found = interrupted_at("one", "b", 1, one=suite_of(*entries))

    assert [row.name for row in found.rows] == ["a"]
    assert [(row.name, row.reason) for row in found.skipped] == [
        ("b", INTERRUPTED),
        ("c", INTERRUPTED),
    ]


def test_an_interrupt_lets_the_suite_close_as_at_its_end() -> None:
    closed: list[str] = []

    @contextmanager
    def opened(_folder: Path, _parts: Parts) -> Iterator[Sequence[Entry]]:
        def interrupt(_count: int) -> None:
            raise KeyboardInterrupt

        yield [operation(repeat=interrupt)]
        closed.append("closed")

    assert run(one=opened).is_interrupted
    assert closed == ["closed"]


def test_an_interrupt_while_a_suite_is_prepared_ends_the_run() -> None:
    slow = suite_that_raises(KeyboardInterrupt())

    found = run(one=suite_of(operation()), two=slow, three=suite_of(operation()))

    assert found.is_interrupted
    assert [row.suite for row in found.rows] == ["one"]
    assert [row.suite for row in found.skipped] == ["two", "three"]


def test_an_interrupt_on_an_event_loop_ends_the_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    import anyio

    def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(anyio, "run", cancelled)  # what an interrupt looks like on Python 3.10

    assert run(one=suite_of(operation(is_async=True))).is_interrupted


def test_progress_goes_from_nothing_to_nearly_all_of_the_suites() -> None:
    told: list[Progress] = []

    run_suites(
        {"one": suite_of(operation("a"), operation("b")), "two": suite_of(operation("c"))},
        no_parts(),
        Effort(samples=2),
        clock=VirtualClock(),
        on_progress=told.append,
    )

    assert [(each.suite, each.operation, each.done, each.total) for each in told] == [
        ("one", "getting ready", 0, 2),
        ("one", "a", 0, 2),
        ("one", "b", 0.25, 2),
        ("one", "a", 0.5, 2),
        ("one", "b", 0.75, 2),
        ("two", "getting ready", 1, 2),
        ("two", "c", 1, 2),
        ("two", "c", 1.5, 2),
    ]


def test_the_run_says_when_and_where_it_took_place() -> None:
    found = run_suites({}, no_parts(), Effort(), clock=VirtualClock(start=1_795_219_200.0))

    assert found.created_at == "2026-11-21T00:00:00Z"
    assert found.machine["cores"] >= 1
    assert (found.asked, found.rounds) == (1000, 10)


def test_the_garbage_collector_looks_at_everything_again_afterwards() -> None:
    import gc

    run(one=suite_of(operation()))

    assert gc.get_freeze_count() == 0

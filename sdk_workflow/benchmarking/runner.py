"""Runs suites: opens each, lets its operations take turns in rounds, and keeps what an interrupt leaves."""

from __future__ import annotations

import gc
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns, process_time_ns
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.machine import machine_facts
from sdk_workflow.benchmarking.operations import Operation, Ratio, Skipped
from sdk_workflow.benchmarking.results import Missing, Results, of_operation, of_ratio
from sdk_workflow.benchmarking.sampling import Sampling, Took

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sdk_workflow.benchmarking.operations import Entry, OpenSuite
    from sdk_workflow.benchmarking.parts import Parts
    from sdk_workflow.benchmarking.results import Result
    from sdk_workflow.benchmarking.sampling import Effort, Steps
    from sdk_workflow.protocols import Clock

__all__ = ["Progress", "run_suites"]

_INTERRUPTED = "The run was interrupted before it was measured."


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: `done` of `total` parts, and what is measured next."""

    suite: str
    operation: str
    done: float
    total: float


def run_suites(
    suites: Mapping[str, OpenSuite],
    parts: Parts,
    effort: Effort,
    *,
    clock: Clock,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Results:
    """Measure suites one after the other.

    An operation that raises is told of in `failed`, and the rest goes on. Ctrl-C ends the run and
    keeps what it has measured so far.

    Args:
        suites: What opens each suite.
        parts: What suites need of other layers.
        effort: How much is measured.
        clock: Says when the run took place.
        on_progress: Told before each operation of each round.
    """
    book = _Book(effort=effort, suites=len(suites), on_progress=on_progress)
    machine, created_at = machine_facts(), _utc(clock)
    try:
        for number, (name, open_suite) in enumerate(suites.items()):
            if not book.is_interrupted:
                book.begin(name, number)
                _run_suite(book, open_suite, parts)
    except KeyboardInterrupt:  # while a suite was prepared or cleared away
        book.is_interrupted = True
    book.skip_rest(suites)
    return Results(
        created_at=created_at,
        machine=machine,
        asked=effort.samples,
        rounds=effort.rounds,
        time_limit_seconds=effort.time_limit_seconds,
        rows=book.rows,
        skipped=book.skipped,
        failed=book.failed,
        is_interrupted=book.is_interrupted,
    )


@dataclass(slots=True, kw_only=True)
class _Book:
    """Where the run notes what it finds."""

    effort: Effort
    suites: int
    on_progress: Callable[[Progress], None]
    suite: str = ""
    number: int = 0
    is_interrupted: bool = False
    rows: list[Result] = field(default_factory=list)
    skipped: list[Missing] = field(default_factory=list)
    failed: list[Missing] = field(default_factory=list)

    def begin(self, suite: str, number: int) -> None:
        self.suite, self.number = suite, number
        self.tell("getting ready", 0)

    def tell(self, operation: str, share: float) -> None:
        """Say what comes next; `share` of the suite is done."""
        done = self.number + share
        self.on_progress(
            Progress(suite=self.suite, operation=operation, done=done, total=self.suites)
        )

    def skip(self, name: str, reason: str) -> None:
        self.skipped.append(Missing(suite=self.suite, name=name, reason=reason))

    def fail(self, name: str, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self.failed.append(Missing(suite=self.suite, name=name, reason=reason))

    def skip_rest(self, suites: Mapping[str, OpenSuite]) -> None:
        """Note the suites that have no row, because the user did not wait for them."""
        known = {row.suite for row in self.rows}
        known |= {row.suite for row in (*self.skipped, *self.failed)}
        for self.suite in [name for name in suites if name not in known]:
            self.skip("the whole suite", _INTERRUPTED)


def _run_suite(book: _Book, open_suite: OpenSuite, parts: Parts) -> None:
    try:
        with (
            TemporaryDirectory(
                prefix="sdk_workflow-benchmark-", ignore_cleanup_errors=True
            ) as folder,
            open_suite(Path(folder), parts) as entries,
        ):
            _measure(book, entries)
    except Exception as error:  # noqa: BLE001 - one suite must not take the others along
        book.fail("the whole suite", error)


def _measure(book: _Book, entries: Sequence[Entry]) -> None:
    samplings = {
        entry.name: Sampling(book.effort) for entry in entries if isinstance(entry, Operation)
    }
    operations = [entry for entry in entries if isinstance(entry, Operation)]
    try:
        with _quiet_heap():
            for number in range(book.effort.rounds):
                _measure_round(book, operations, samplings, number)
    except KeyboardInterrupt:  # not let through, so that the suite closes as at its end
        book.is_interrupted = True
    _note(book, entries, samplings)


def _measure_round(
    book: _Book, operations: Sequence[Operation], samplings: dict[str, Sampling], number: int
) -> None:
    for place, operation in enumerate(operations):
        if operation.name not in samplings:
            continue  # it has failed
        book.tell(operation.name, (number + place / len(operations)) / book.effort.rounds)
        gc.collect()  # nobody pays for the garbage of its predecessor
        try:
            _drive(operation, samplings[operation.name].next_round())
        except Exception as error:  # noqa: BLE001 - one operation must not take the others along
            del samplings[operation.name]
            book.fail(operation.name, error)


def _note(book: _Book, entries: Sequence[Entry], samplings: dict[str, Sampling]) -> None:
    """Turn the samples that there are into rows, in the order of the suite."""
    rows: dict[str, Result] = {}
    failed = {row.name for row in book.failed if row.suite == book.suite}
    for entry in entries:
        if isinstance(entry, Skipped):
            book.skip(entry.name, entry.reason)
        elif isinstance(entry, Ratio):
            _note_ratio(book, entry, rows)
        elif samplings.get(entry.name) and samplings[entry.name].medians():
            rows[entry.name] = of_operation(book.suite, entry, samplings[entry.name])
            book.rows.append(rows[entry.name])
        elif entry.name not in failed:
            book.skip(entry.name, _INTERRUPTED)


def _note_ratio(book: _Book, ratio: Ratio, rows: Mapping[str, Result]) -> None:
    over, under = rows.get(ratio.over), rows.get(ratio.under)
    if over is None or under is None:
        book.skip(ratio.name, f"There are no figures of {ratio.over!r} and {ratio.under!r}.")
    else:
        book.rows.append(of_ratio(book.suite, ratio, over, under))


def _drive(operation: Operation, steps: Steps) -> None:
    """Carry out one round."""
    if not operation.is_async:
        timer: Callable[[], int] = process_time_ns if operation.timer == "cpu" else perf_counter_ns
        with suppress(StopIteration):
            calls = next(steps)
            while True:
                calls = steps.send(_time(operation.repeat, calls, timer))
        return
    import asyncio

    import anyio

    try:
        anyio.run(_drive_async, operation.repeat, steps)
    except asyncio.CancelledError:  # what an interrupt looks like on Python 3.10
        raise KeyboardInterrupt from None


def _time(work: Callable[[int], Any], calls: int, timer: Callable[[], int]) -> Took:
    began = perf_counter_ns()
    started = timer()
    work(calls)
    return Took(timer() - started, perf_counter_ns() - began)


async def _drive_async(work: Callable[[int], Any], steps: Steps) -> None:
    with suppress(StopIteration):
        calls = next(steps)
        while True:
            started = perf_counter_ns()
            await work(calls)
            elapsed = perf_counter_ns() - started
            calls = steps.send(Took(elapsed, elapsed))


@contextmanager
def _quiet_heap() -> Iterator[None]:
    """Leave what the suite has prepared out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _utc(clock: Clock) -> str:
    from datetime import datetime, timezone

    now = datetime.fromtimestamp(clock.now(), tz=timezone.utc)
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")

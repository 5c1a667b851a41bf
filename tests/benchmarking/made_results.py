"""Results and operations made by hand, for tests that measure nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.operations import Operation, times
from sdk_workflow.benchmarking.parts import Parts
from sdk_workflow.benchmarking.results import Missing, Result, Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.benchmarking.machine import MachineFacts
    from sdk_workflow.benchmarking.operations import Entry, OpenSuite

MACHINE: MachineFacts = {
    "python": "CPython 3.11.7",
    "platform": "Linux x86_64",
    "cpu": "A processor",
    "cores": 2,
    "load": 0.5,
    "sdk_workflow": "0.1.0",
    "packages": {"rich": "15.0.0"},
}


def row(name: str = "get", p50: float = 200.0, **facts: Any) -> Result:
    """Return a row of ten rounds that are all alike."""
    facts = {"suite": "caches", "unit": "ns", "samples": 1000, "rounds": [p50] * 10, **facts}
    if facts["unit"] == "ns":
        facts = {"p95": 2 * p50, "p99": 3 * p50, "least": p50 / 2, **facts}
    return Result(name=name, p50=p50, **facts)


def results(*rows: Result, **facts: Any) -> Results:
    """Return a run with these rows."""
    given: dict[str, Any] = {
        "created_at": "2026-11-21T08:00:00Z",
        "machine": MACHINE,
        "asked": 1000,
        "rounds": 10,
        "time_limit_seconds": 1.0,
    }
    return Results(rows=rows, **{**given, **facts})


def missing(name: str = "similar", reason: str = "numpy is not installed.") -> Missing:
    return Missing(suite="caches", name=name, reason=reason)


def operation(name: str = "count", **facts: Any) -> Operation:
    return Operation(name=name, **{"repeat": times(int), **facts})


def suite_of(*entries: Entry) -> OpenSuite:
    """Return what opens a suite of these entries."""

    @contextmanager
    def open_suite(_folder: Path, _parts: Parts) -> Iterator[Sequence[Entry]]:
        yield entries

    return open_suite


def no_parts() -> Parts:
    """Return parts that a suite made by hand does not use."""

    def refuse(*_: object) -> Any:
        raise AssertionError("A suite made by hand needs no parts.")

    return Parts(open_ledger=refuse, simulated=refuse, fan_out=refuse)

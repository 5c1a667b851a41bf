"""What a run of the benchmark found, as records and as the JSON document that is kept of them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.benchmarking.timing import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.benchmarking.machine import MachineFacts
    from sdk_workflow.benchmarking.operations import Operation, Ratio, Target, Timer, Unit
    from sdk_workflow.benchmarking.sampling import Sampling

__all__ = ["SCHEMA", "Missing", "Result", "Results", "Verdict", "of_operation", "of_ratio"]

SCHEMA = "sdk_workflow.benchmark/1"

Verdict = Literal["PASS", "FAIL", "-"]
"""Whether a target is met; `-` where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The figures of one row; of a ratio only the median and the rounds.

    Attributes:
        suite: Whose row it is.
        name: What was measured.
        unit: What the figures are in.
        timer: What it was timed by.
        p50: The median; of a ratio, that of the rounds.
        p95: The value that a twentieth of the samples exceeded.
        p99: The value that a hundredth of the samples exceeded.
        least: The smallest sample.
        rounds: The median of each round: between them lies what the machine does to a figure.
        samples: How many samples there are.
        calls: How many calls each sample is the mean of.
        is_cut: Whether the time limit left samples out.
        plan: What the original plan asks.
        goal: What this project asks of itself.
    """

    suite: str
    name: str
    unit: Unit
    p50: float
    rounds: Sequence[float]
    samples: int
    calls: int = 1
    timer: Timer = "wall"
    p95: float | None = None
    p99: float | None = None
    least: float | None = None
    is_cut: bool = False
    plan: Target | None = None
    goal: Target | None = None

    def verdict(self, target: Target | None) -> Verdict:
        """Return whether a target is met."""
        if target is None:
            return "-"
        return "PASS" if self.held_against(target) <= target.limit else "FAIL"

    def held_against(self, target: Target) -> float:
        """Return the figure that a target is about; a ratio has only one."""
        return self.p50 if target.share == "p50" or self.p95 is None else self.p95

    def to_json(self) -> dict[str, Any]:
        """Return the row for a machine to read."""
        return {
            "suite": self.suite,
            "name": self.name,
            "unit": self.unit,
            "timer": self.timer,
            "p50": self.p50,
            "p95": self.p95,
            "p99": self.p99,
            "min": self.least,
            "rounds": list(self.rounds),
            "samples": self.samples,
            "calls_per_sample": self.calls,
            "is_cut": self.is_cut,
            "plan": self._judged(self.plan),
            "goal": self._judged(self.goal),
        }

    def _judged(self, target: Target | None) -> dict[str, Any] | None:
        if target is None:
            return None
        return {"at_most": target.limit, "of": target.share, "verdict": self.verdict(target)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A row that has no figures, and why."""

    suite: str
    name: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return the row for a machine to read."""
        return {"suite": self.suite, "name": self.name, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole run.

    Attributes:
        created_at: When it began, UTC.
        machine: Where it took place.
        asked: Samples that were asked for of each operation.
        rounds: In how many rounds the operations took turns.
        time_limit_seconds: What the samples of one operation were allowed to take.
        rows: What was measured, in the order of the suites.
        skipped: What this machine cannot measure, and what an interrupt left out.
        failed: What raised an error.
        is_interrupted: Whether the user ended it.
    """

    created_at: str
    machine: MachineFacts
    asked: int
    rounds: int
    time_limit_seconds: float
    rows: Sequence[Result] = ()
    skipped: Sequence[Missing] = ()
    failed: Sequence[Missing] = ()
    is_interrupted: bool = False

    def count(self, targets: Literal["plan", "goal"]) -> tuple[int, int]:
        """Return how many targets are met, and how many there are."""
        verdicts = [row.verdict(getattr(row, targets)) for row in self.rows]
        return verdicts.count("PASS"), len(verdicts) - verdicts.count("-")

    def to_json(self) -> dict[str, Any]:
        """Return everything for a machine to read."""
        counts = {name: self.count(name) for name in ("plan", "goal")}
        return {
            "schema": SCHEMA,
            "created_at": self.created_at,
            "operations": self.asked,
            "rounds": self.rounds,
            "time_limit_seconds": self.time_limit_seconds,
            "is_interrupted": self.is_interrupted,
            "machine": self.machine,
            "summary": {name: {"met": met, "of": of} for name, (met, of) in counts.items()},
            "results": [row.to_json() for row in self.rows],
            "skipped": [row.to_json() for row in self.skipped],
            "failed": [row.to_json() for row in self.failed],
        }


def of_operation(suite: str, operation: Operation, sampling: Sampling) -> Result:
    """Return the figures of an operation that has at least one sample."""
    values = sorted(value / operation.items for value in sampling.values())
    return Result(
        suite=suite,
        name=operation.name,
        unit="ns",
        timer=operation.timer,
        p50=percentile(values, 0.50),
        p95=percentile(values, 0.95),
        p99=percentile(values, 0.99),
        least=values[0],
        rounds=[value / operation.items for value in sampling.medians()],
        samples=len(values),
        calls=sampling.calls,
        is_cut=sampling.is_cut,
        plan=operation.plan,
        goal=operation.goal,
    )


def of_ratio(suite: str, ratio: Ratio, over: Result, under: Result) -> Result:
    """Return a ratio of two figures, round by round."""
    # An interrupt may leave one of the two with a round more.
    rounds = [a / b for a, b in zip(over.rounds, under.rounds, strict=False)]
    return Result(
        suite=suite,
        name=ratio.name,
        unit="x",
        p50=median(rounds),
        rounds=rounds,
        samples=len(rounds),
        goal=ratio.goal,
    )

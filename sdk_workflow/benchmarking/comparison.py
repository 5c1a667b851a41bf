"""What has changed since an earlier run, beyond what the repeats of both runs explain.

Each run has the median of every operation in up to ten rounds. Other programs only ever add to a
round, so the quickest rounds are compared. How far the rounds lie apart is the noise of the machine,
and a change counts only where it exceeds the noise of both runs together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.benchmarking.machine import differences
from sdk_workflow.benchmarking.results import SCHEMA
from sdk_workflow.benchmarking.timing import percentile
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Unit
    from sdk_workflow.benchmarking.results import Result, Results

__all__ = ["Baseline", "Change", "Comparison", "compare", "read_baseline"]

_MAX_BYTES = 64 * 2**20
_LEAST_ROUNDS = 5
_IQR_SIGMAS = 1.349  # the interquartile range of a normal distribution, in standard deviations
_SIGMAS = 4.0
_FLOOR = 0.05
_LOAD_CHANGE = 1.0
_HINT = "Name a file that `sdk_workflow benchmark --output json` has written."

Verdict = Literal["faster", "slower", "same", "unknown"]
"""`unknown`: there are too few rounds to tell a change from noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Old:
    unit: str
    timer: str
    p50: float
    rounds: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """An earlier run, as its file tells it."""

    created_at: str
    machine: Mapping[str, Any]
    rows: Mapping[tuple[str, str], _Old]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One operation in both runs.

    Attributes:
        suite: Whose operation it is.
        name: What is done.
        unit: What `old` and `new` are in.
        old: The median of the quickest round of then.
        new: The median of the quickest round of now.
        ratio: New as a multiple of old.
        noise: A change within this multiple, or one divided by it, may be chance; None where
            there are too few rounds to know.
        verdict: What to make of it.
    """

    suite: str
    name: str
    unit: Unit
    old: float
    new: float
    ratio: float
    noise: float | None
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return the row for a machine to read."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        created_at: When the earlier one began.
        changes: What both have measured.
        machine_differences: Why the figures are not comparable; empty on the same machine.
        loads: The machine's load then and now, where these lie one apart or more.
        only_then: What only the earlier run has, of the suites of this one.
        only_now: What only this run has.
    """

    created_at: str
    changes: Sequence[Change]
    machine_differences: Sequence[str] = ()
    loads: tuple[float, float] | None = None
    only_then: Sequence[str] = ()
    only_now: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return everything for a machine to read."""
        return {
            "created_at": self.created_at,
            "machine_differences": list(self.machine_differences),
            "loads": self.loads,
            "changes": [change.to_json() for change in self.changes],
            "only_then": list(self.only_then),
            "only_now": list(self.only_now),
        }


def read_baseline(path: Path) -> Baseline:
    """Read what an earlier run has written.

    Raises:
        UsageError: If there is no such file, or it is not that of a run.
    """
    document = _document(path)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise _refused(path, f"its schema is {schema!r}, not {SCHEMA!r}")
    try:
        rows = [_row(item) for item in document["results"]]
        return Baseline(
            created_at=_text(document["created_at"]),
            machine=dict(document["machine"]),
            rows=dict(rows),
        )
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _refused(path, f"it is damaged: {problem}") from error


def compare(baseline: Baseline, results: Results) -> Comparison:
    """Set a run beside an earlier one."""
    now = {(row.suite, row.name): row for row in results.rows}
    common = {key: row for key, row in now.items() if _is_same_kind(row, baseline.rows.get(key))}
    suites = {suite for suite, _ in now}
    return Comparison(
        created_at=baseline.created_at,
        changes=[_change(row, baseline.rows[key]) for key, row in common.items()],
        machine_differences=differences(baseline.machine, results.machine),
        loads=_loads(baseline.machine.get("load"), results.machine["load"]),
        only_then=[_name(key) for key in baseline.rows if key not in common and key[0] in suites],
        only_now=[_name(key) for key in now if key not in common],
    )


def noise_of(old: Sequence[float], new: Sequence[float]) -> float | None:
    """Return the multiple within which two runs may differ by chance; None where that is unknown.

    Four standard deviations of the rounds, those of both runs together, and no less than 5 %: that
    is what quiet runs of the same code still differ by, because each process lays out its memory
    anew. Quartiles stand for the deviation, so that one disturbed round does not hide a change.

    Example:
        >>> round(noise_of([100.0] * 10, [100.0, 101.0] * 5), 3)
        1.05
    """
    if min(len(old), len(new)) < _LEAST_ROUNDS:
        return None
    sigma = (_sigma(old) ** 2 + _sigma(new) ** 2) ** 0.5
    return exp(max(_SIGMAS * sigma, log(1 + _FLOOR)))


def _sigma(values: Sequence[float]) -> float:
    logarithms = [log(value) for value in values]
    return (percentile(logarithms, 0.75) - percentile(logarithms, 0.25)) / _IQR_SIGMAS


def _loads(then: Any, now: float | None) -> tuple[float, float] | None:
    if not isinstance(then, (int, float)) or now is None:
        return None
    return (float(then), now) if abs(then - now) >= _LOAD_CHANGE else None


def _change(row: Result, old: _Old) -> Change:
    before, after = min(old.rounds), min(row.rounds)
    ratio, noise = after / before, noise_of(old.rounds, row.rounds)
    return Change(
        suite=row.suite,
        name=row.name,
        unit=row.unit,
        old=before,
        new=after,
        ratio=ratio,
        noise=noise,
        verdict=_verdict(ratio, noise),
    )


def _verdict(ratio: float, noise: float | None) -> Verdict:
    if noise is None:
        return "unknown"
    if ratio > noise:
        return "slower"
    return "faster" if ratio < 1 / noise else "same"


def _is_same_kind(row: Result, old: _Old | None) -> bool:
    return old is not None and (row.unit, row.timer) == (old.unit, old.timer)


def _name(key: tuple[str, str]) -> str:
    return ", ".join(key)


def _document(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _refused(path, f"it is larger than {_MAX_BYTES // 2**20} MB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"--compare {str(path)!r} could not be read: {error.strerror or error}.",
            code="baseline_unusable",
            hint=_HINT,
        ) from error
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"it is not JSON: {error}") from error


def _row(item: Mapping[str, Any]) -> tuple[tuple[str, str], _Old]:
    rounds = [_figure(value) for value in item["rounds"]]
    if not rounds:
        raise ValueError("a result has no rounds")
    old = _Old(
        unit=_text(item["unit"]),
        timer=_text(item["timer"]),
        p50=_figure(item["p50"]),
        rounds=rounds,
    )
    return (_text(item["suite"]), _text(item["name"])), old


def _figure(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a figure")
    if not isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is not a figure above 0")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _refused(path: Path, problem: str) -> UsageError:
    return UsageError(
        f"--compare {str(path)!r} is no earlier run of the benchmark: {problem}.",
        code="baseline_unusable",
        hint=_HINT,
    )

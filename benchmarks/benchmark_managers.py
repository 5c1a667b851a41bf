"""What the managers cost: operations in memory, and checkpoints beside those of two peers.

    python benchmarks/benchmark_managers.py [--rounds N] [--json FILE]

A peer runs in an environment of its own, `.venv-peer-langgraph` and `.venv-peer-openai-agents` in
the repository or in the folder that PEER_ENVIRONMENTS names; `make bench-peers` builds them. One
that is absent is left out. Sizes hold on any machine; of times, trust the ratios.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks._checkpoint_stores import PEERS, PROCESSES, grow, save_at_once
from benchmarks._manager_operations import operations, percentiles
from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, percentile
from sdk_workflow.storage.codecs import ZSTD, preferred_codec

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_OPERATION_US = 20
_GROWTH_ROUNDS = 3
_FIGURES = {
    "stored_bytes": ("bytes on disk", "MB", 1e-6),
    "save_ms": ("save while it grows, median", "ms", 1.0),
    "full_size_save_ms": ("save at 1 MB", "ms", 1.0),
    "full_size_save_cpu_ms": ("save at 1 MB, CPU", "ms", 1.0),
    "load_ms": ("load the latest at 1 MB", "ms", 1.0),
    "open_and_load_ms": ("open, load the latest, close", "ms", 1.0),
    "worst_version_ms": ("load the slowest version", "ms", 1.0),
}


def main() -> None:
    """Measure, and show one table for each part."""
    arguments = parse_arguments("The managers: memory, disk, processes.", rounds=9)
    report = Report("Managers")
    report.begin()
    report.add("Operations in memory", _operation_rows(arguments.rounds))
    _add_growth(report, min(arguments.rounds, _GROWTH_ROUNDS))
    report.add(
        f"{PROCESSES} processes saving at once, 25 times each",
        _process_rows(min(arguments.rounds, _GROWTH_ROUNDS)),
    )
    report.finish(arguments.json)


def _operation_rows(rounds: int) -> list[Row]:
    rows: list[Row] = []
    for name, (p50, p95) in percentiles(operations(), rounds=rounds).items():
        rows += [
            Row(name=f"{name}, p50", series=p50, unit="us"),
            Row(name=f"{name}, p95", series=p95, unit="us", at_most=_MAX_OPERATION_US),
        ]
    return rows


def _add_growth(report: Report, rounds: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {"ours": [], **{name: [] for name in PEERS}}
    for _ in range(rounds):
        for name, figures in found.items():
            taken = grow(name)
            if taken is not None:
                figures.append(taken)
    ours = found.pop("ours")
    report.add("A conversation of 500 turns of 2 KB, saved after each", _our_rows(ours, found))
    for name, figures in {"ours": ours, **found}.items():
        if figures:
            report.add(f"The same in figures: {name}", _plain_rows(figures))
        else:
            report.note(f"{name} is left out: its environment is absent (make bench-peers).")
    codec = "zstd" if preferred_codec() == ZSTD else "gzip, slower to load than zstd (extra `zstd`)"
    report.note(f"ours compresses with {codec}.")
    if found["openai_agents"]:
        report.note("openai_agents keeps no versions: it writes the newest item, not a state.")


def _our_rows(ours: list[dict[str, Any]], peers: dict[str, list[dict[str, Any]]]) -> list[Row]:
    rows = [
        Row(
            name="bytes / raw state", series=_ratio(ours, "stored_bytes", "raw_bytes"), at_most=1.8
        ),
        Row(
            name="save at 1 MB, CPU",
            series=_of(ours, "full_size_save_cpu_ms"),
            unit="ms",
            at_most=2,
        ),
        Row(name="load the latest at 1 MB", series=_of(ours, "load_ms"), unit="ms", at_most=5),
        Row(
            name="slowest version / the latest",
            series=_ratio(ours, "worst_version_ms", "load_ms"),
            at_most=2,
        ),
    ]
    if peers["langgraph"]:
        pairs = zip(peers["langgraph"], ours, strict=True)
        smaller = Series([theirs["stored_bytes"] / own["stored_bytes"] for theirs, own in pairs])
        rows.append(Row(name="bytes of langgraph / ours", series=smaller, at_least=100, digits=0))
    for name, figures in peers.items():
        if figures:
            pairs = zip(ours, figures, strict=True)
            times = Series(
                [own["full_size_save_ms"] / peer["full_size_save_ms"] for own, peer in pairs]
            )
            rows.append(Row(name=f"save at 1 MB / {name}", series=times))
    return rows


def _plain_rows(figures: list[dict[str, Any]]) -> list[Row]:
    return [
        Row(name=title, series=Series([each[key] * scale for each in figures]), unit=unit)
        for key, (title, unit, scale) in _FIGURES.items()
        if figures[0][key] is not None
    ]


def _process_rows(rounds: int) -> list[Row]:
    rows: list[Row] = []
    for title, is_shared in (("a session each", False), ("one session for all", True)):
        found = [save_at_once(is_shared=is_shared) for _ in range(rounds)]
        failures = Series([float(count) for _, count in found])
        rows += [
            Row(name=f"{title}: failed saves", series=failures, at_most=0, digits=0),
            Row(name=f"{title}: p50", series=_share(found, 0.5), unit="ms"),
            Row(name=f"{title}: p99", series=_share(found, 0.99), unit="ms"),
        ]
    return rows


def _share(found: Sequence[tuple[list[float], int]], share: float) -> Series:
    return Series([percentile(times, share) for times, _ in found])


def _of(figures: list[dict[str, Any]], key: str) -> Series:
    return Series([each[key] for each in figures])


def _ratio(figures: list[dict[str, Any]], key: str, base: str) -> Series:
    return Series([each[key] / each[base] for each in figures])


if __name__ == "__main__":
    main()

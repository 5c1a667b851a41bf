"""Everything that the caches promise, in one run: cost, accuracy, savings, and the peers beside them.

    python benchmarks/benchmark_cache.py [--data DIR] [--vectors DIR] [--gptcache PYTHON]
        [--rounds N] [--json FILE]

Runs the parts that are programs of their own too (`benchmark_cache_lru.py`, `_encoder`, `_savings`,
`_accuracy`), and adds three: lookups without their encoding beside GPTCache's, crowds of threads and
of tasks, and a stream of real questions with its natural repeats, in dollars by tier. The last table
sets every target beside what was measured.

`--data`, or CACHE_EVAL_DATA, names the folder of the evaluation data, which is not part of the
project. What is not here (the data, the model, a peer) is left out, and said so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import benchmark_cache_encoder, benchmark_cache_lru, benchmark_cache_savings
from benchmarks._cache_accuracy import FILES, VectorStore
from benchmarks._cache_crowds import crowd_rows
from benchmarks._cache_peers import PEER_PYTHON, add_lookups
from benchmarks._cache_stream import Pair, play_stream
from benchmarks._report import Report, Row
from benchmarks._timing import Series

if TYPE_CHECKING:
    from benchmarks._cache_stream import Outcome
    from sdk_workflow.protocols import Embedder

_NO_DATA = (
    "Accuracy and the stream of questions are left out: {missing}. Name the folder of the "
    "evaluation data with --data or CACHE_EVAL_DATA."
)
_NO_MODEL = "What needs vectors is left out. {message} {hint}"


def main() -> None:
    """Run all parts, and show one table of targets at the end."""
    arguments = _parse_arguments()
    report = Report("The caches: cost, accuracy and savings")
    report.begin()
    benchmark_cache_lru.add_sections(report, 3 * arguments.rounds)
    report.add("Crowds", crowd_rows())
    embedder = _embedder(report)
    if embedder is not None:
        benchmark_cache_encoder.add_sections(report, 2 * arguments.rounds)
        add_lookups(report, arguments.gptcache)
    benchmark_cache_savings.add_sections(report, arguments.rounds)
    folder = _data_folder(arguments.data, report)
    if embedder is not None and folder is not None:
        with tempfile.TemporaryDirectory() as temporary:
            vectors = arguments.vectors or Path(temporary)
            _add_accuracy(report, folder, vectors)
            _add_stream(report, folder, VectorStore(embedder, vectors), embedder.tag)
    _show_summary(report)
    report.finish(arguments.json)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Everything that the caches promise.")
    named = os.environ.get("CACHE_EVAL_DATA")
    parser.add_argument("--data", type=Path, metavar="DIR", default=Path(named) if named else None)
    parser.add_argument("--vectors", type=Path, metavar="DIR", help="keep the vectors here")
    parser.add_argument(
        "--gptcache", type=Path, metavar="PYTHON", default=PEER_PYTHON, help="what runs GPTCache"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each part, or a multiple")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value as JSON")
    found = parser.parse_args()
    if found.rounds < 1:
        parser.error("--rounds must be at least 1")
    return found


def _embedder(report: Report) -> Embedder | None:
    from sdk_workflow.embedding.choose import EmbedderUnavailable, load_embedder

    found = load_embedder()
    if isinstance(found, EmbedderUnavailable):
        report.note(_NO_MODEL.format(message=found.message, hint=found.hint))
        return None
    return found


def _data_folder(folder: Path | None, report: Report) -> Path | None:
    missing = [] if folder is None else [n for n in FILES.values() if not (folder / n).is_file()]
    if folder is None or missing:
        what = ", ".join(missing) + " missing" if missing else "no folder was named"
        report.note(_NO_DATA.format(missing=what))
        return None
    return folder


def _add_accuracy(report: Report, folder: Path, vectors: Path) -> None:
    """Run the program that measures accuracy, and take its targets over."""
    program = Path(__file__).with_name("benchmark_cache_accuracy.py")
    vectors.mkdir(parents=True, exist_ok=True)
    out = vectors / "accuracy.json"
    paths = ["--data", str(folder), "--vectors", str(vectors), "--json", str(out)]
    print(flush=True)
    subprocess.run([sys.executable, str(program), *paths], check=True)
    found = json.loads(out.read_text(encoding="utf-8"))
    for section, rows in found["sections"].items():
        again = [_row_again(row) for row in rows if row["target"]]
        if again:
            report.add(f"Accuracy, once more: {section}", again)


def _row_again(row: dict[str, Any]) -> Row:
    sign, _, limit = row["target"].partition(" ")
    return Row(
        name=row["name"],
        series=Series(row["values"]),
        at_most=float(limit) if sign == "<=" else None,
        at_least=float(limit) if sign == ">=" else None,
        digits=4,
    )


def _add_stream(report: Report, folder: Path, vectors: VectorStore, tag: str) -> None:
    with gzip.open(folder / FILES["qqp"], "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = [Pair(a=row["a"], b=row["b"], is_same=row["label"] == 1) for row in rows]
    found = play_stream(pairs, vectors, tag)
    asked = found["off"].asked
    report.add(f"A stream of {asked:,} questions, by tier", _stream_rows(found))
    report.note("Repeats are those of the file; the price is that of the simulator's model.")


def _stream_rows(found: dict[str, Outcome]) -> list[Row]:
    base = found["off"].usd
    rows: list[Row] = []
    for mode, outcome in found.items():
        rows.append(_figure(f"{mode}: bill", outcome.usd, "$", digits=2))
        if mode != "off":
            rows.append(_figure(f"{mode}: saved", 1 - outcome.usd / base, digits=4))
            rows += _hit_rows(mode, outcome)
    return rows


def _hit_rows(mode: str, outcome: Outcome) -> list[Row]:
    counts = {f"hits, {tier}": count for tier, count in outcome.hits_by_tier.items()}
    rows = [_figure(f"{mode}: hit rate", outcome.hits / outcome.asked, digits=4)]
    similar = outcome.hits_by_tier.get("semantic", 0)
    if not similar:
        return rows
    counts |= {"hits labelled wrong": outcome.wrong, "hits without a label": outcome.unknown}
    pessimistic = outcome.wrong + outcome.unknown
    return [
        *rows,
        *(_figure(f"{mode}: {name}", count, digits=0) for name, count in counts.items()),
        _figure(f"{mode}: wrong of similar hits, optimistic", outcome.wrong / similar, digits=4),
        _figure(f"{mode}: wrong of similar hits, pessimistic", pessimistic / similar, digits=4),
        _figure(f"{mode}: wrong of all hits, optimistic", outcome.wrong / outcome.hits, digits=4),
    ]


def _figure(name: str, value: float, unit: str = "", *, digits: int) -> Row:
    return Row(name=name, series=Series([value]), unit=unit, digits=digits)


def _show_summary(report: Report) -> None:
    rows = [
        (f"{section}: {row.name}", row.target, f"{row.series.median:,.{row.digits}f}", row.verdict)
        for section, found in report.sections.items()
        for row in found
        if row.verdict
    ]
    print("\nTargets")
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for name, target, measured, verdict in rows:
        print(
            f"  {name.ljust(widths[0])}  {target.ljust(widths[1])}"
            f"  {measured.rjust(widths[2])}  {verdict}"
        )


if __name__ == "__main__":
    main()

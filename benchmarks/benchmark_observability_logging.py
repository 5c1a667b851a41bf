"""One line of the structured log, on the disk, beside structlog, loguru and the standard library.

    python benchmarks/benchmark_observability_logging.py [--rounds N] [--json FILE]

All write the same facts as JSON into a file of their own, and what is buffered is flushed within
the time. Figures are CPU time, of all threads; ratios are of neighbours in the same round. Peers
that are not installed are left out; orjson and msgspec are taken where they are there.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import tempfile
import uuid
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import interleave, ratio_of
from sdk_workflow._internal.redaction import Redactor
from sdk_workflow.core.log_lines.encoder import ENCODERS, encoder
from sdk_workflow.core.log_lines.values import is_plain_and_clean
from sdk_workflow.core.logging import FileSink, JsonFormatter, JsonHandler, StructuredLogger
from sdk_workflow.core.performance import PerformanceTracer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks._timing import Times

    Contender = Callable[[], tuple[float, float]]

__all__ = ["notes", "run"]

_COUNT = 500
_REPEATS = 8
_MESSAGE = "tool finished"
_TARGETS_US = {"orjson": 3.0, "msgspec": 3.0, "json": 10.0}
_DISABLED_US, _REDACTION_US = 0.2, 0.5
_PEER_RATIOS = {"structlog": 4.0, "loguru": 12.0}


def notes() -> list[str]:
    """Return what is left out, and why."""
    wanted = (*_PEER_RATIOS, *ENCODERS)
    absent = [name for name in wanted if not importlib.util.find_spec(name)]
    return [f"{name} is not installed: its rows are left out." for name in absent]


def run(*, rounds: int = 15) -> list[Row]:
    """Measure, and return the rows.

    Args:
        rounds: Interleaved rounds that count.
    """
    with tempfile.TemporaryDirectory() as folder:
        contenders = {**_ours(Path(folder)), **_peers(Path(folder))}
        found = interleave(contenders, rounds=rounds)
    return [*_time_rows(found), *_ratio_rows(found)]


def _time_rows(found: Mapping[str, Times]) -> list[Row]:
    targets = {f"line, {name}": most for name, most in _TARGETS_US.items()}
    targets["disabled"] = _DISABLED_US
    targets |= {f"redaction, texts {seen}": _REDACTION_US for seen in ("seen before", "never seen")}
    return [
        Row(name=name, series=times.cpu, unit="us", at_most=targets.get(name))
        for name, times in found.items()
    ]


def _ratio_rows(found: Mapping[str, Times]) -> list[Row]:
    quickest = next(f"line, {name}" for name in ENCODERS if f"line, {name}" in found)
    return [
        Row(
            name=f"times faster than {name}",
            series=ratio_of(times.cpu, found[quickest].cpu),
            at_least=_PEER_RATIOS.get(name),
            digits=1,
        )
        for name, times in found.items()
        if name in {*_PEER_RATIOS, "logging with a JSON formatter"}
    ]


# Ours


def _ours(folder: Path) -> dict[str, Contender]:
    installed = [name for name in ENCODERS if importlib.util.find_spec(name)]
    contenders = {f"line, {name}": _line(folder, name) for name in installed}
    quickest = installed[0]
    contenders["line in a span"] = _line_in_span(folder, quickest)
    contenders["line with a new UUID"] = _line_with_id(folder, quickest)
    contenders["line through a handler of the standard library's"] = _line_through_handler(folder)
    contenders["disabled"] = _disabled(folder)
    contenders["redaction, texts seen before"] = _redaction(is_new=False)
    contenders["redaction, texts never seen"] = _redaction(is_new=True)
    return contenders


def _redaction(*, is_new: bool) -> Contender:
    """Return the redactor alone; it remembers clean texts, so both sides of that are shown."""
    redactor, facts = Redactor(), _facts(1)

    def look(_: int) -> None:
        if is_new:
            redactor.known_texts.clear()
        assert not redactor.suspects(_MESSAGE)
        assert is_plain_and_clean(facts, redactor)

    return _timed(look)


def _facts(number: int) -> dict[str, Any]:
    return {"tool": "read", "duration_ms": number + 0.5, "ok": True, "turn": number}


def _logger(folder: Path, name: str, encoder_name: str) -> tuple[StructuredLogger, FileSink]:
    sink = FileSink(folder / f"{name} {encoder_name}.jsonl")
    logger = StructuredLogger(f"benchmark.{name}", sink=sink)
    logger._encode = encoder(encoder_name)  # noqa: SLF001 - users get the quickest
    return logger, sink


def _line(folder: Path, encoder_name: str) -> Contender:
    logger, sink = _logger(folder, "line", encoder_name)
    return _timed(lambda number: logger.info(_MESSAGE, **_facts(number)), sink.flush)


def _line_in_span(folder: Path, encoder_name: str) -> Contender:
    logger, sink = _logger(folder, "span", encoder_name)
    measure = _timed(lambda number: logger.info(_MESSAGE, **_facts(number)), sink.flush)

    def inside() -> tuple[float, float]:
        facts = {"gen_ai.conversation.id": "ses_0123456789"}
        with PerformanceTracer().span("invoke_agent", **facts):
            return measure()

    return inside


def _line_with_id(folder: Path, encoder_name: str) -> Contender:
    logger, sink = _logger(folder, "id", encoder_name)
    ids = [str(uuid.uuid4()) for _ in range(_COUNT * _REPEATS * 20)]

    def log(number: int) -> None:
        logger.info(_MESSAGE, request=ids.pop() if ids else "none", **_facts(number))

    return _timed(log, sink.flush)


def _line_through_handler(folder: Path) -> Contender:
    sink = FileSink(folder / "handler.jsonl")
    logging.getLogger("benchmark.handler").addHandler(JsonHandler(sink))
    logging.getLogger("benchmark.handler").propagate = False
    logger = StructuredLogger("benchmark.handler")
    return _timed(lambda number: logger.info(_MESSAGE, **_facts(number)), sink.flush)


def _disabled(folder: Path) -> Contender:
    debug = StructuredLogger("benchmark.disabled", sink=FileSink(folder / "disabled.jsonl")).debug
    return _timed(lambda _: debug(_MESSAGE, tool="read", ok=True))


# Peers


def _peers(folder: Path) -> dict[str, Contender]:
    contenders = {"logging with a JSON formatter": _standard(folder)}
    if importlib.util.find_spec("structlog"):
        contenders["structlog"] = _structlog(folder)
    if importlib.util.find_spec("loguru"):
        contenders["loguru"] = _loguru(folder)
    return contenders


def _standard(folder: Path) -> Contender:
    handler = logging.FileHandler(folder / "standard.jsonl")
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("benchmark.standard")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    return _timed(lambda number: logger.info(_MESSAGE, extra=_facts(number)))


def _structlog(folder: Path) -> Contender:
    """Return structlog as its own page on performance sets it up."""
    structlog: Any = importlib.import_module("structlog")
    is_quick = importlib.util.find_spec("orjson") is not None
    dumps = importlib.import_module("orjson").dumps if is_quick else _dumps
    file = (folder / "structlog.jsonl").open("wb")
    logger = structlog.wrap_logger(
        structlog.BytesLogger(file),
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=dumps),
        ],
    ).bind()
    return _timed(lambda number: logger.info(_MESSAGE, **_facts(number)))


def _dumps(event: Any, **_: Any) -> bytes:
    return json.dumps(event).encode()


def _loguru(folder: Path) -> Contender:
    logger: Any = importlib.import_module("loguru").logger
    logger.remove()
    logger.add(folder / "loguru.jsonl", serialize=True, level="INFO")
    return _timed(lambda number: logger.info(_MESSAGE, **_facts(number)))


def _timed(
    log: Callable[[int], object], finish: Callable[[], object] | None = None
) -> Callable[[], tuple[float, float]]:
    """Return a contender: the quickest of several goes, in microseconds of one entry."""

    def measure() -> tuple[float, float]:
        goes = []
        for _ in range(_REPEATS):
            wall, cpu = perf_counter(), process_time()
            for number in range(_COUNT):
                log(number)
            if finish is not None:
                finish()
            goes.append((perf_counter() - wall, process_time() - cpu))
        scale = 1e6 / _COUNT
        return min(wall for wall, _ in goes) * scale, min(cpu for _, cpu in goes) * scale

    return measure


def _main() -> None:
    arguments = parse_arguments("The structured log beside its peers.", rounds=15)
    report = Report("StructuredLogger: CPU time of one entry, interleaved")
    report.begin()
    for note in notes():
        report.note(note)
    report.add("one entry", run(rounds=arguments.rounds))
    report.finish(arguments.json)


if __name__ == "__main__":
    _main()

"""What others take for a span, a log entry, a duration and a profile; what is absent is left out.

Each is set up as its documentation shows, and as quickly as it can be: nothing is exported, and log
entries go to a file of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Repeat = Callable[[int], object]

__all__ = [
    "PEERS",
    "histogram_peers",
    "log_peers",
    "official_call",
    "profiler_peers",
    "span_peers",
]

PEERS = (
    "opentelemetry.sdk",
    "structlog",
    "loguru",
    "prometheus_client",
    "ddsketch",
    "pyinstrument",
)
_MODEL = "claude-haiku-5-5"


def span_peers() -> dict[str, Repeat]:
    """Return what opens and ends a span with three attributes."""
    if not _has("opentelemetry.sdk"):
        return {}
    api: Any = importlib.import_module("opentelemetry.trace")
    trace: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")

    class Nowhere(export.SpanExporter):  # type: ignore[misc]
        def export(self, _spans: Sequence[Any]) -> Any:
            return export.SpanExportResult.SUCCESS

        def shutdown(self) -> None: ...

    batched = trace.TracerProvider()
    batched.add_span_processor(export.BatchSpanProcessor(Nowhere()))
    return {
        "OTel SDK": _spans(trace.TracerProvider().get_tracer("benchmark")),
        "OTel SDK, batched": _spans(batched.get_tracer("benchmark")),
        "OTel API alone": _spans(api.NoOpTracerProvider().get_tracer("benchmark")),
    }


def _spans(tracer: Any) -> Repeat:
    def loop(count: int) -> None:
        for _ in repeat(None, count):
            with tracer.start_as_current_span(
                "chat", attributes={"model": _MODEL, "tokens": 150, "streamed": True}
            ):
                pass

    return loop


def log_peers(folder: Path) -> dict[str, Repeat]:
    """Return what writes an entry with three facts as a line of JSON."""
    found: dict[str, Repeat] = {}
    if _has("structlog"):
        found["structlog"] = _entries(_structlog(folder / "structlog.jsonl"))
    if _has("loguru"):
        loguru: Any = importlib.import_module("loguru")
        loguru.logger.remove()
        loguru.logger.add(folder / "loguru.jsonl", serialize=True, format="{message}")
        found["loguru"] = _entries(loguru.logger)
    return found


def _structlog(path: Path) -> Any:
    """Return a logger as structlog's page on performance advises."""
    structlog: Any = importlib.import_module("structlog")
    is_quick = _has("orjson")
    dumps = importlib.import_module("orjson").dumps if is_quick else json.dumps
    factory = structlog.BytesLoggerFactory if is_quick else structlog.WriteLoggerFactory
    return structlog.wrap_logger(
        factory(path.open("ab" if is_quick else "a"))(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=True,
    )


def _entries(logger: Any) -> Repeat:
    def loop(count: int) -> None:
        for _ in repeat(None, count):
            logger.info("call finished", model=_MODEL, tokens=150, ms=301.5)

    return loop


def histogram_peers(seconds: Sequence[float]) -> dict[str, Repeat]:
    """Return what takes a duration in."""
    from sdk_workflow.benchmarking.operations import each_of

    found: dict[str, Repeat] = {}
    if _has("ddsketch"):
        ddsketch: Any = importlib.import_module("ddsketch")
        found["ddsketch, 1 %"] = each_of(ddsketch.DDSketch(0.01).add, seconds)
    if _has("prometheus_client"):
        client: Any = importlib.import_module("prometheus_client")
        family = client.Histogram("d", "D.", ["name"], registry=client.CollectorRegistry())
        found["prometheus_client, bound"] = each_of(family.labels("parse").observe, seconds)
    return found


def profiler_peers(work: Repeat) -> dict[str, Repeat]:
    """Return what does the work under a profiler."""
    import cProfile

    def deterministic(count: int) -> None:
        with cProfile.Profile():
            work(count)

    found: dict[str, Repeat] = {"cProfile": deterministic}
    if _has("pyinstrument"):
        pyinstrument: Any = importlib.import_module("pyinstrument")

        def sampled(count: int) -> None:
            with pyinstrument.Profiler(interval=0.005):
                work(count)

        found["pyinstrument at 5 ms"] = sampled
    return found


def official_call() -> Repeat:
    """Return what makes a call through the official SDK, answered without a network."""
    import anthropic
    import anyio
    import httpx2

    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": _MODEL,
        "content": [{"type": "text", "text": "It is 324 m high."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 9},
    }

    def answer(_request: Any) -> Any:
        return httpx2.Response(200, json=reply)

    client = anthropic.AsyncAnthropic(
        api_key="benchmark",
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)),
    )

    async def ask(count: int) -> None:
        for _ in range(count):
            await client.messages.create(
                model=_MODEL, max_tokens=1024, messages=[{"role": "user", "content": "How high?"}]
            )

    return lambda count: anyio.run(ask, count)


def _has(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in is absent
        return False

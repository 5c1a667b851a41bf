"""Traces that are sent to a collector."""

from __future__ import annotations

import http.server
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core.otlp_http import OtlpSender, collector_of
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import ConfigError, UsageError
from tests.strict_otlp import parsed_spans

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector(http.server.ThreadingHTTPServer):
    """Takes what it is sent, or answers with an error."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def names(self) -> list[str]:
        return [span.name for _, _, body in self.requests for span in parsed_spans(body)]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector  # type: ignore[mutable-override] # this handler serves no other

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def tracer(collector: Collector) -> PerformanceTracer:  # noqa: ARG001 - sets a variable
    return PerformanceTracer(open_telemetry="export", resource={"service.name": "shop"})


@pytest.mark.socket
def test_traces_are_posted_as_otlp_and_kept_as_well(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b, other=1,broken")
    tracer = PerformanceTracer(open_telemetry="export", resource={"service.name": "shop"})
    with tracer.span("run"), tracer.span("step"):
        pass
    assert tracer.flush(30)
    assert sorted(collector.names()) == ["run", "step"]
    path, headers, body = collector.requests[0]
    assert path == "/v1/traces"
    assert (headers["content-type"], headers["x-key"]) == ("application/json", "a b")
    assert '"shop"' in body
    assert [span.name for span in tracer.finished_spans()] == ["step", "run"]
    assert tracer.unsent_spans == 0


@pytest.mark.socket
def test_many_spans_go_in_requests_of_a_bounded_size(
    collector: Collector, tracer: PerformanceTracer
) -> None:
    with tracer.span("run"):
        for _ in range(1_500):
            with tracer.span("step"):
                pass
    assert tracer.flush(30)
    assert len(collector.names()) == 1_501
    assert max(len(parsed_spans(body)) for _, _, body in collector.requests) <= 512


@pytest.mark.socket
def test_refused_spans_are_counted_and_said_once(
    collector: Collector, tracer: PerformanceTracer, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    for _ in range(3):
        with tracer.span("run"):
            pass
        assert not tracer.flush(30)
    assert tracer.unsent_spans == 3
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "Further losses are only counted" in warnings[0].message


def test_flush_has_nothing_to_wait_for_where_nothing_is_sent() -> None:
    tracer = PerformanceTracer()
    assert tracer.flush()
    assert tracer.unsent_spans == 0
    off = PerformanceTracer(enable_tracing=False, open_telemetry="export")
    with off.span("run"):
        assert off.flush()


def test_queue_that_is_full_loses_the_oldest_and_counts_it() -> None:
    tracer = PerformanceTracer()
    sender = OtlpSender(lambda _spans: "", max_spans=2, environ={})
    with tracer.span("run") as run:
        for number in range(4):
            tracer.span(f"step {number}").end()
        for span in tracer.finished_spans():
            sender.add(span)
    assert run.is_done
    assert sender.unsent == 2
    assert [span.name for span in sender._waiting] == ["step 2", "step 3"]
    sender._waiting.clear()
    sender._drop_oldest()
    assert sender.unsent == 2


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example:1/"}, "https://c.example:1/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t"}, "http://c/t"),
    ],
)
def test_collector_is_found_by_the_standard_variables(environ: dict[str, str], url: str) -> None:
    assert collector_of(environ) == url


def test_collector_that_is_no_http_address_is_a_config_error_of_the_tracer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "file:///etc/passwd")
    with pytest.raises(ConfigError, match="none of HTTP"):
        PerformanceTracer(open_telemetry="export")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 10.0),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "2500"}, 2.5),
        ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "500", "OTEL_EXPORTER_OTLP_TIMEOUT": "9"}, 0.5),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, 10.0),
    ],
)
def test_time_limit_is_that_of_the_standard_variables(
    environ: dict[str, str], seconds: float
) -> None:
    sender = OtlpSender(lambda _spans: "", max_spans=1, environ=environ)
    assert sender._timeout_seconds == seconds


def test_unknown_mode_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no mode 'on'"):
        PerformanceTracer(open_telemetry="on")  # type: ignore[arg-type]

"""Sends finished traces to a collector as OTLP/JSON over HTTP, beside whatever records them.

The standard variables say where to. What cannot be sent is counted and said once; no span waits.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sdk_workflow._internal.background import Background
from sdk_workflow._internal.trace_context import RemoteId
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow._internal.tracing import Span

__all__ = ["OtlpSender", "collector_of"]

_logger = logging.getLogger("sdk_workflow.traces")

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
_DEFAULT_ENDPOINT = "http://localhost:4318"
_MAX_SPANS_PER_REQUEST = 512
_DEFAULT_TIMEOUT_MS = 10_000.0


class OtlpSender:
    """A bounded queue of spans, emptied by a thread whenever a trace has ended.

    Args:
        encode: Returns spans as one OTLP/JSON document.
        max_spans: How many may wait; the oldest makes room and counts as unsent.
        environ: Where the standard variables are looked for; the process's own by default.

    Raises:
        ConfigError: If the collector's address is none of HTTP.
    """

    def __init__(
        self,
        encode: Callable[[list[Span]], str],
        *,
        max_spans: int,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._encode = encode
        self._url = collector_of(environ)
        self._headers = {"content-type": "application/json", **_headers_of(environ)}
        self._timeout_seconds = _milliseconds(environ, "TIMEOUT", _DEFAULT_TIMEOUT_MS) / 1000
        self._max_spans = max_spans
        self._waiting: deque[Span] = deque()
        self._background = Background("sdk_workflow-traces", must_finish=True)
        self._lock = Lock()
        self._is_due = False
        self._has_warned = False
        self.unsent = 0

    def add(self, span: Span) -> None:
        """Queue one finished span; the end of its trace, or a full request, sets it off."""
        if len(self._waiting) >= self._max_spans:
            self._drop_oldest()
        self._waiting.append(span)
        is_root = not span.parent_id or isinstance(span.parent_id, RemoteId)
        if (is_root or len(self._waiting) >= _MAX_SPANS_PER_REQUEST) and not self._is_due:
            self._is_due = True
            self._background.submit(self._send_waiting)

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits, and wait for it; return whether everything that was added has gone."""
        self._background.submit(self._send_waiting)
        return self._background.wait(timeout_seconds) and not self.unsent

    def _drop_oldest(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft()
                self.unsent += 1

    def _send_waiting(self) -> None:
        self._is_due = False
        while batch := self._next_batch():
            try:
                self._post(self._encode(batch))
            except Exception as error:  # noqa: BLE001 - the run goes on
                self._note_loss(len(batch), error)

    def _next_batch(self) -> list[Span]:
        with self._lock:
            size = min(len(self._waiting), _MAX_SPANS_PER_REQUEST)
            return [self._waiting.popleft() for _ in range(size)]

    def _post(self, document: str) -> None:
        from urllib.request import Request, urlopen

        request = Request(self._url, document.encode(), self._headers)  # noqa: S310 - http, checked
        with urlopen(request, timeout=self._timeout_seconds) as response:  # noqa: S310 # nosec B310
            response.read()

    def _note_loss(self, spans: int, error: Exception) -> None:
        with self._lock:
            self.unsent += spans
            is_news, self._has_warned = not self._has_warned, True
        if is_news:
            _logger.warning(
                "%d spans could not be sent to %s: %s. Further losses are only counted.",
                spans,
                self._url,
                error,
            )


def collector_of(environ: Mapping[str, str]) -> str:
    """Return the address that traces are posted to.

    Raises:
        ConfigError: If it is none of HTTP.

    Example:
        >>> collector_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example/"})
        'https://collector.example/v1/traces'
    """
    url = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not url:
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _DEFAULT_ENDPOINT
        url = f"{base.rstrip('/')}/v1/traces"
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"Traces cannot be sent to {url!r}: the address is none of HTTP.",
            hint="Set OTEL_EXPORTER_OTLP_ENDPOINT to an address such as http://localhost:4318.",
        )
    return url


def _headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    text = _variable(environ, "HEADERS")
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _milliseconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(_variable(environ, name))
    except ValueError:
        return default


def _variable(environ: Mapping[str, str], name: str) -> str:
    general = environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or general

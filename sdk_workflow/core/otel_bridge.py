"""Joins our spans to the tracing of an application that uses the OpenTelemetry SDK.

The one module that imports `opentelemetry`; loaded only where the application has loaded its SDK.
Ids go out by the OpenTelemetry context, finished spans to the processors that are registered. What
reads them is converted when it reads, which is in the thread of a batch processor.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from sdk_workflow._internal.trace_context import RemoteId, RemoteParent
from sdk_workflow._internal.tracing import Span
from sdk_workflow._internal.version import __version__
from sdk_workflow.core.genai_names import is_client_operation
from sdk_workflow.core.otlp import exported_attributes
from sdk_workflow.core.plain_values import plain
from sdk_workflow.core.span_privacy import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from sdk_workflow._internal.tracing import SpanRecorder
    from sdk_workflow.core.genai_names import Semconv

__all__ = ["BridgedSpan", "OtelBridge", "readable_facts"]

_logger = logging.getLogger("sdk_workflow.traces")

_SCOPE = "sdk_workflow"
_INSTRUMENTATION = InstrumentationScope(_SCOPE, __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OURS = "sdk_workflow-span"
# Where the library keeps the current span in a context: it offers a function only, and one copy of
# the context instead of two saves 0.5 us a span.
_CURRENT = next(iter(set_span_in_context(trace.INVALID_SPAN, Context())))


class OtelBridge:
    """Opens traces that belong to the application's, and hands their spans to its processors.

    Args:
        recorder: Keeps the spans as well.
        offset_ns: Nanoseconds from the recorder's clock to the Unix epoch.
        semconv: The version of the GenAI names to hand over.
    """

    def __init__(self, recorder: SpanRecorder, *, offset_ns: int, semconv: Semconv) -> None:
        self._recorder = recorder
        self._offset_ns = offset_ns
        self._semconv: Semconv = semconv
        self._provider: Any = None
        self._tracer: Any = None
        self._has_warned = False
        # Children are of their parent's class: so each finds the bridge, and none has to carry it.
        self._span_class: type[BridgedSpan] = type(
            "BridgedSpan", (BridgedSpan,), {"__slots__": (), "bridge": self}
        )

    def has_provider(self) -> bool:
        """Tell whether the application has registered a provider whose processors can be reached."""
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._provider = provider
            self._tracer = provider.get_tracer(_SCOPE, __version__)
        return hasattr(self._tracer, "span_processor")

    def current_parent(self) -> RemoteParent | None:
        """Return the application's current span as a parent; None where there is none."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return RemoteParent(
            context.trace_id,
            context.span_id,
            is_sampled=context.trace_flags.sampled,
            is_remote=context.is_remote,
        )

    def open(
        self, name: str, above: RemoteParent | None, attributes: dict[str, Any], *, activate: bool
    ) -> BridgedSpan | None:
        """Return the first span of a trace; None where the application's sampler leaves it out."""
        span = self._span_class(name, self._recorder, above, attributes, activate=activate)
        if above is None:
            decision = self._tracer.sampler.should_sample(None, span.trace_id, name).decision
            return span if decision.is_sampled() else None
        return span

    def hand_over(self, span: BridgedSpan) -> None:
        """Give a finished span to the processors; what they raise does not reach the caller."""
        try:
            self._tracer.span_processor.on_end(_HandedSpan(span, self))
        except Exception:
            if not self._has_warned:
                self._has_warned = True
                _logger.exception("A span processor failed; further failures are not reported.")

    def facts_of(self, span: Span) -> dict[str, Any]:
        """Return the arguments of a `ReadableSpan`, without secrets."""
        (shown,) = without_secrets((span,))
        return {
            **readable_facts(shown, offset_ns=self._offset_ns, semconv=self._semconv),
            "resource": self._tracer.resource,
            "instrumentation_scope": _INSTRUMENTATION,
        }


class BridgedSpan(Span):
    """A span whose ids stand in the OpenTelemetry context while it is ambient.

    A token is never reset there either: the context around it is put back where it still shows us.
    """

    __slots__ = ("_place",)

    bridge: ClassVar[OtelBridge]
    _place: tuple[Context, Context] | None

    def __enter__(self) -> Self:
        """Become the ambient span, for OpenTelemetry too."""
        if not self.is_entered:
            Span.__enter__(self)  # by its name, and not by super(): 0.1 us
            before = get_current()
            ours = before.get(_OURS)
            if ours is not before.get(_CURRENT):
                self._adopt(ours, before.get(_CURRENT))
            ambient = _Ambient(self)
            mine = Context(before, **{_CURRENT: ambient, _OURS: ambient})
            attach(mine)
            self._place = (mine, before)
        return self

    def end(self) -> None:
        """Stop the time, and hand the span to its recorder and to the application's processors."""
        if self.end_ns:
            return
        Span.end(self)
        place = getattr(self, "_place", None)  # none where it was never entered
        if place is not None:
            self._place = None
            if get_current() is place[0]:
                attach(place[1])
        self.bridge.hand_over(self)

    def _adopt(self, ours: object, current: object) -> None:
        """Hang under a span that the application opened inside our parent."""
        if not isinstance(ours, _Ambient) or not isinstance(current, trace.Span):
            return
        inner = current.get_span_context()
        if ours.span.span_id == self.parent_id and inner.trace_id == self.trace_id:
            self.parent_id = inner.span_id


class _Ambient(NonRecordingSpan):
    """What OpenTelemetry sees as its current span; its ids are made when somebody asks."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def get_span_context(self) -> SpanContext:
        """Return the ids of the span, or of the running one above where it has ended elsewhere."""
        span = self.span
        while span.end_ns and isinstance(span.outer, Span) and span.outer.trace_id == span.trace_id:
            span = span.outer
        return _context_of(span)

    def __repr__(self) -> str:
        return f"<ambient {self.span.name!r}>"


class _HandedSpan(ReadableSpan):
    """A finished span that becomes one of OpenTelemetry at its first look.

    A batch processor looks at `context` alone, and leaves the rest to its own thread.
    """

    def __init__(self, span: Span, bridge: OtelBridge) -> None:
        self._source = (span, bridge)

    def __getattr__(self, name: str) -> Any:
        if name == "_source":
            raise AttributeError(name)
        span, bridge = self._source
        if name == "_context":
            self._context = _context_of(span)
        else:
            super().__init__(**bridge.facts_of(span))
        return object.__getattribute__(self, name)


def readable_facts(span: Span, *, offset_ns: int, semconv: Semconv = "2026.11") -> dict[str, Any]:
    """Return the arguments of a `ReadableSpan` that equals what `otlp.span_message` writes."""
    is_client = is_client_operation(span.attributes)
    error = None if span.error is None else plain(span.error)
    return {
        "name": plain(span.name),
        "context": _context_of(span),
        "parent": _parent_of(span),
        "kind": SpanKind.CLIENT if is_client else SpanKind.INTERNAL,
        "attributes": _present(exported_attributes(span, semconv)),
        "events": [
            Event(plain(name), _present(facts), at_ns + offset_ns)
            for at_ns, name, facts in span.events or ()
        ],
        "status": Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR, error),
        "start_time": span.start_ns + offset_ns,
        "end_time": span.end_ns + offset_ns,
    }


def _context_of(span: Span) -> SpanContext:
    return SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=_SAMPLED)


def _parent_of(span: Span) -> SpanContext | None:
    if not span.parent_id:
        return None
    is_remote = isinstance(span.parent_id, RemoteId)
    return SpanContext(span.trace_id, int(span.parent_id), is_remote, _SAMPLED)


def _present(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(plain(name)): plain(value) for name, value in attributes.items() if value is not None
    }

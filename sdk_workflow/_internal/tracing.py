"""Spans: what the tracer records, and the ambient span that any layer may hang a child under.

A span knows the recorder that its trace belongs to, so `trace_span` needs no tracer to be handed
around and no global one: where no trace is open, it costs one look-up and does nothing.

Leaving a span never resets a context token. A generator may be closed in another task than it was
opened in, and a token cannot cross that line; marking spans as done and walking up can.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from sdk_workflow._internal.ids import random_bits
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from sdk_workflow._internal.trace_context import RemoteParent

__all__ = [
    "NOOP_SPAN",
    "Ambient",
    "NoopSpan",
    "Span",
    "SpanEvent",
    "SpanRecorder",
    "UnsampledSpan",
    "ambient_of",
    "ambient_span",
    "current_span",
    "held_span",
    "note_event",
    "swap_ambient",
    "trace_span",
]

SpanEvent = tuple[int, str, dict[str, Any]]
"""When on the performance counter in nanoseconds, what, and facts about it."""


_NOT_ENTERED: Final[Any] = object()


class SpanRecorder(Protocol):
    """Where finished spans go, and whose clock times them.

    Attributes:
        now_ns: Returns nanoseconds that never go backwards, above 0.
        record_content: Whether prompts, replies, arguments and results may be noted.
    """

    @property
    def now_ns(self) -> Callable[[], int]:
        """Return what tells the time."""
        ...

    @property
    def record_content(self) -> bool:
        """Whether prompts, replies, arguments and results may be noted."""
        ...

    def record(self, span: Span) -> None:
        """Keep one finished span."""
        ...


class Span:
    """One timed operation; a context manager, for `with` and for `async with`.

    Its kind (CLIENT or INTERNAL) follows at export from the GenAI operation in its attributes, so
    the hot path carries none.

    Args:
        name: Such as `"execute_tool read"`.
        recorder: Where the finished span goes.
        parent: What is above it; None opens a new trace.
        attributes: Facts about the operation, by reference: read at export, not now.
        activate: Whether the span becomes the ambient parent of what runs inside it. A span that
            is held open across a `yield` must not, or the consumer's spans would hang under it.
    """

    __slots__ = (
        "attributes", "end_ns", "error", "events", "name", "outer", "parent_id", "recorder",
        "span_id", "start_ns", "trace_id",
    )  # fmt: skip

    is_sampled: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        recorder: SpanRecorder,
        parent: Span | RemoteParent | None,
        attributes: dict[str, Any],
        *,
        activate: bool = True,
    ) -> None:
        self.name = name
        self.recorder = recorder
        self.attributes = attributes
        if parent is None:
            self.trace_id: int = random_bits(128) or 1
            self.parent_id: int = 0
        else:
            self.trace_id = parent.trace_id
            self.parent_id = parent.span_id
        self.span_id: int = random_bits(64) or 1
        self.events: list[SpanEvent] | None = None
        self.error: str | None = None
        # Saying it here instead of in a slot of its own saves 8 of 420 bytes.
        self.outer: Ambient = _NOT_ENTERED
        if not activate:
            self.outer = parent if isinstance(parent, Span) else None
        self.end_ns = 0
        self.start_ns = recorder.now_ns()

    @property
    def is_done(self) -> bool:
        """Whether the span has ended."""
        return self.end_ns != 0

    @property
    def is_entered(self) -> bool:
        """Whether the span has become ambient, or never will."""
        return self.outer is not _NOT_ENTERED

    @property
    def records_content(self) -> bool:
        """Whether prompts, replies, arguments and results may be noted on it."""
        return self.recorder.record_content

    @property
    def traceparent(self) -> str:
        """The span as a W3C `traceparent`: what another process takes as the parent of its own."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"

    def __enter__(self) -> Self:
        """Become the ambient span."""
        if self.outer is _NOT_ENTERED:  # once, so that the links outwards never form a circle
            self.outer = _running_ambient()
            _set_current(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the span; an exception marks it as failed and goes on."""
        # A consumer that needs no more of a generator closes it: nothing has failed.
        if error is not None and kind is not GeneratorExit:
            self.fail(error)
        self.end()

    async def __aenter__(self) -> Self:
        """Become the ambient span."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the span; an exception marks it as failed and goes on."""
        self.__exit__(kind, error, trace)

    def set(self, /, **attributes: Any) -> None:
        """Add facts about the operation."""
        self.attributes.update(attributes)

    def add_event(self, name: str, /, **attributes: Any) -> None:
        """Note that something happened now, inside the span."""
        event = (self.recorder.now_ns(), name, attributes)
        if self.events is None:
            self.events = [event]
        else:
            self.events.append(event)

    def fail(self, error: BaseException | str) -> None:
        """Mark the operation as failed.

        Of an exception only its type and code are kept: its text may quote a prompt or the
        argument of a tool. A string is kept as it is.
        """
        self.error = error if isinstance(error, str) else _describe(error)

    def end(self) -> None:
        """Stop the time and hand the span to its recorder; a second call does nothing."""
        if self.end_ns:
            return
        recorder = self.recorder
        self.end_ns = recorder.now_ns()
        if _get_current() is self:
            _set_current(self.outer)
        recorder.record(self)


class NoopSpan:
    """Stands in where nothing is traced."""

    __slots__ = ()

    is_sampled: ClassVar[bool] = False
    is_done: ClassVar[bool] = False
    records_content: ClassVar[bool] = False
    traceparent: ClassVar[None] = None
    trace_id: ClassVar[int] = 0
    span_id: ClassVar[int] = 0

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        """Do nothing."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""
        self.__exit__(kind, error, trace)

    def set(self, /, **attributes: Any) -> None:
        """Do nothing."""

    def add_event(self, name: str, /, **attributes: Any) -> None:
        """Do nothing."""

    def fail(self, error: BaseException | str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class UnsampledSpan(NoopSpan):
    """The root of a trace that sampling left out: ambient, so that nothing below it is recorded.

    Args:
        recorder: Whose sampling left it out.
    """

    __slots__ = ("_is_entered", "end_ns", "outer", "recorder")

    def __init__(self, recorder: SpanRecorder) -> None:
        self.recorder = recorder
        self.end_ns = 0
        self.outer: Ambient = None
        self._is_entered = False

    def __enter__(self) -> Self:
        """Become the ambient span."""
        if not self._is_entered:
            self._is_entered = True
            self.outer = _running_ambient()
            _set_current(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make room for the span around it."""
        self.end()

    def end(self) -> None:
        """Make room for the span around it."""
        self.end_ns = 1
        if _get_current() is self:
            _set_current(self.outer)


Ambient = Span | UnsampledSpan | None
NOOP_SPAN = NoopSpan()

_current: ContextVar[Ambient] = ContextVar("sdk_workflow_span", default=None)
_get_current = _current.get
_set_current = _current.set


def _running_ambient() -> Ambient:
    # Links go to running spans only: those closed elsewhere must not pile up behind one another.
    span = _get_current()
    while span is not None and span.end_ns:
        span = span.outer
    return span


def current_span() -> Span | None:
    """Return the innermost ambient span that is still running; None where nothing is recorded."""
    span = _running_ambient()
    return span if isinstance(span, Span) else None


def ambient_span() -> Ambient:
    """Return the ambient span as it stands: running or done, sampled or not."""
    return _get_current()


def ambient_of(recorder: SpanRecorder) -> Ambient:
    """Return the innermost running span whose trace belongs to `recorder`."""
    span = _get_current()
    while span is not None and (span.end_ns or span.recorder is not recorder):
        span = span.outer
    return span


def trace_span(name: str, attributes: dict[str, Any] | None = None) -> Span | NoopSpan:
    """Return a child of the ambient span, to be used with `with`; a no-op where there is none."""
    parent = _get_current()
    while parent is not None and parent.end_ns:
        parent = parent.outer  # as in _running_ambient: the call would cost 60 ns
    if not isinstance(parent, Span):
        return NOOP_SPAN
    # Its own class: a trace that is bridged to another library is so at any depth.
    return parent.__class__(name, parent.recorder, parent, {} if attributes is None else attributes)


def held_span(name: str, attributes: dict[str, Any] | None = None) -> Span | NoopSpan:
    """Return a child of the ambient span that does not become ambient: safe across a `yield`."""
    parent = _running_ambient()
    if not isinstance(parent, Span):
        return NOOP_SPAN
    facts = {} if attributes is None else attributes
    return parent.__class__(name, parent.recorder, parent, facts, activate=False)


def note_event(name: str) -> None:
    """Note on the ambient span that something happened now; do nothing where there is none."""
    span = current_span()
    if span is not None:
        span.add_event(name)


def swap_ambient(span: Ambient) -> Ambient:
    """Make `span` the ambient one and return the one that was."""
    before = _get_current()
    _set_current(span)
    return before


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}: {error.code}" if isinstance(error, SdkWorkflowError) else name

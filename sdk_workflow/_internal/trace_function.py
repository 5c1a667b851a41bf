"""`trace_function`: a span around every call of a function, whatever kind of function it is.

And `bind`, which carries the ambient span into threads.
"""

from __future__ import annotations

import functools
import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sdk_workflow._internal.tracing import Span, ambient_span, held_span, swap_ambient, trace_span
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

    from sdk_workflow._internal.tracing import Ambient, NoopSpan

__all__ = ["bind", "trace_function"]

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")


@overload
def trace_function(function: FunctionT, /) -> FunctionT: ...
@overload
def trace_function(
    *, name: str | None = None, attributes: Mapping[str, Any] | None = None
) -> Callable[[FunctionT], FunctionT]: ...
def trace_function(
    function: FunctionT | None = None,
    /,
    *,
    name: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> FunctionT | Callable[[FunctionT], FunctionT]:
    """Record a span around every call, under the ambient span; do nothing where no trace is open.

    Works on plain functions, coroutine functions, generators and async generators. The span of a
    generator lasts from its first item to its end; it is the ambient one while the generator's own
    body runs, and never while its consumer does. Arguments and results are not recorded.

    Args:
        function: The function, where the decorator is used without parentheses.
        name: The span's name; defaults to the function's qualified name.
        attributes: Facts that every one of its spans carries.

    Raises:
        UsageError: If what is decorated is not a function.

    Example:
        >>> from sdk_workflow.core.performance import PerformanceTracer
        >>> @trace_function
        ... def double(number: int) -> int:
        ...     return 2 * number
        >>> tracer = PerformanceTracer()
        >>> with tracer.span("request"):
        ...     double(21)
        42
        >>> [span.name for span in tracer.finished_spans()]
        ['double', 'request']
    """

    def decorate(target: Any) -> Any:
        if not callable(target) or isinstance(target, (staticmethod, classmethod)):
            raise UsageError(
                f"trace_function was put on {target!r}, which is not a function.",
                hint="Put it directly above `def`, below @staticmethod or @property, and name its arguments.",
            )
        label: Any = name or getattr(target, "__qualname__", type(target).__qualname__)
        return functools.wraps(target)(_wrap(target, label, dict(attributes or {})))

    return decorate if function is None else decorate(function)


def bind(function: FunctionT) -> FunctionT:
    """Return `function` tied to the ambient span of now, for threads and executors.

    A new thread starts without context, so what it traces would be lost. The result may run any
    number of times, in several threads at once.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from sdk_workflow._internal.tracing import current_span
        >>> from sdk_workflow.core.performance import PerformanceTracer
        >>> with PerformanceTracer().span("run"), ThreadPoolExecutor() as pool:
        ...     pool.submit(bind(lambda: current_span().name)).result()
        'run'
    """
    context = copy_context()

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return context.copy().run(function, *args, **kwargs)  # one context cannot run twice at once

    return run  # type: ignore[return-value] # same signature as the function


def _wrap(
    function: Callable[..., Any], name: str, attributes: dict[str, Any]
) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function, name, attributes)
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function, name, attributes)
    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            if ambient_span() is None:
                return await function(*args, **kwargs)
            with trace_span(name, attributes.copy()):
                return await function(*args, **kwargs)

        return call_async

    def call(*args: Any, **kwargs: Any) -> Any:
        if ambient_span() is None:
            return function(*args, **kwargs)
        with trace_span(name, attributes.copy()):
            return function(*args, **kwargs)

    return call


def _wrap_generator(
    function: Callable[..., Generator[Any, Any, Any]], name: str, attributes: dict[str, Any]
) -> Callable[..., Generator[Any, Any, Any]]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        with held_span(name, attributes.copy()) as span:
            body = _Body(span)
            step: Callable[[], Any] = functools.partial(next, generator)
            while True:
                try:
                    item = body.run(step)
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - goes on inside the generator
                    step = functools.partial(generator.throw, error)
                else:
                    step = functools.partial(generator.send, sent)

    return generate


def _wrap_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], name: str, attributes: dict[str, Any]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        with held_span(name, attributes.copy()) as span:
            body = _Body(span)
            step = generator.__anext__()
            while True:
                try:
                    item = await body.run_async(step)
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except BaseException as error:  # noqa: BLE001 - goes on inside the generator
                    step = generator.athrow(error)
                else:
                    step = generator.asend(sent)

    return generate


class _Body:
    """The ambient span inside a generator's body: put in place for each step, then taken away."""

    def __init__(self, span: Span | NoopSpan) -> None:
        self._inner: Ambient = span if isinstance(span, Span) else ambient_span()

    def run(self, step: Callable[[], Any]) -> Any:
        outer = swap_ambient(self._inner)
        try:
            return step()
        finally:
            # The body may stand in a span of its own: its next step goes on from there.
            self._inner = swap_ambient(outer)

    async def run_async(self, step: Awaitable[Any]) -> Any:
        outer = swap_ambient(self._inner)
        try:
            return await step
        finally:
            self._inner = swap_ambient(outer)

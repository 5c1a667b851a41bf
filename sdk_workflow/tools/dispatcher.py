"""Runs the tool calls of a model: check, ask, run, watch the time, and always come back with text.

It knows neither the model nor the session. A tool that fails never ends a session: whatever goes
wrong becomes a result that the model reads. Only cancellation and exits pass through.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import InvalidToolInput, ToolDenied, ToolError, ToolFailed, ToolTimeout
from sdk_workflow.tools import _text, _validation
from sdk_workflow.tools._threads import DaemonThreads
from sdk_workflow.tools.effects import NotDone
from sdk_workflow.tools.permissions import STOPPED
from sdk_workflow.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sdk_workflow.protocols import Clock
    from sdk_workflow.tools.permissions import Permissions
    from sdk_workflow.tools.registry import Tool, ToolRegistry

__all__ = ["ToolDispatcher"]

_T = TypeVar("_T")

_log = logging.getLogger("sdk_workflow.tools")

_MAX_OUTPUT_CHARACTERS = 100_000
_MAX_CONCURRENT_CALLS = 10
_DEFAULT_TIMEOUT_SECONDS = 120.0


class ToolDispatcher:
    """Runs tool calls against one registry.

    Args:
        registry: Where the tools are looked up, at each call anew.
        clock: Measures how long a tool took, for the log.
        permissions: Decides about each call when all checks have passed; None lets all run.
        default_timeout_seconds: The limit of a tool that has none of its own. A sync tool that
            does not return in time is left behind in its thread: Python cannot stop a thread. It
            goes on until it returns by itself, but it does not keep the process alive.

    Attributes:
        registry: The same.

    Example:
        >>> import anyio
        >>> from sdk_workflow._internal.clock import SystemClock
        >>> from sdk_workflow.tools.registry import Tool, ToolRegistry
        >>> from sdk_workflow.types import ToolSpec
        >>> spec = ToolSpec(name="now", description="Tell the time.", input_schema={"type": "object"})
        >>> registry = ToolRegistry([Tool(spec=spec, run=lambda: "12:00")])
        >>> dispatcher = ToolDispatcher(registry, clock=SystemClock())
        >>> anyio.run(dispatcher.dispatch, ToolCall(id="1", name="now", input={})).content
        '12:00'
    """

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        clock: Clock,
        default_timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS,
        permissions: Permissions | None = None,
    ) -> None:
        self.registry = registry
        self._clock = clock
        self._default_timeout_seconds = default_timeout_seconds
        self._schemas: dict[str, tuple[Tool, _validation.Validator]] = {}
        self._validators: dict[str, list[Callable[[Mapping[str, Any]], Any]]] = {}
        self._interceptors: list[Callable[[ToolCall], Any]] = []
        self._threads = DaemonThreads()
        self._permissions = permissions
        self._hooks: list[Callable[[ToolCall, ToolResult], Any]] = []

    def register_validator(
        self, tool_name: str, validator: Callable[[Mapping[str, Any]], Any]
    ) -> None:
        """Add a check of one tool's arguments, after its schema.

        Args:
            tool_name: The tool; it may be registered later.
            validator: Takes the arguments, sync or async. It refuses them by raising, or by
                returning the reason as a string; everything else lets them pass.
        """
        self._validators.setdefault(tool_name, []).append(validator)

    def on_before_tool_call(self, interceptor: Callable[[ToolCall], Any]) -> None:
        """Add a step between the checks and the run.

        Args:
            interceptor: Takes the call, sync or async. It may change the call or return another,
                or raise `ToolDenied`. Any other exception denies the call too. Behind the last
                interceptor every call is checked again, changed or not.
        """
        self._interceptors.append(interceptor)

    def on_after_tool_execution(self, hook: Callable[[ToolCall, ToolResult], Any]) -> None:
        """Add a step behind the run, whether the tool succeeded or failed.

        Args:
            hook: Takes the call and its result, sync or async. It may return a changed result.
                An exception is logged and changes nothing.
        """
        self._hooks.append(hook)

    async def dispatch(
        self,
        call: ToolCall,
        *,
        before_run: Callable[[Tool, ToolCall], Awaitable[None]] | None = None,
    ) -> ToolResult:
        """Run one call; whatever goes wrong becomes a result with `is_error` set.

        Args:
            call: What to run.
            before_run: Told of the tool and of the call as the interceptors left it, when every
                check has passed, right before it runs; what it raises is raised here, and the
                tool does not run.

        Raises:
            ToolDenied: If the user stopped the run (`stopped_by_user`) when asked about the call.
        """
        try:
            tool, allowed = await self._admit(call)
        except ToolError as error:
            if error.code == STOPPED:
                raise
            return _finished(_error_result(call, error), call)
        if before_run is not None:
            await before_run(tool, allowed)
        started = self._clock.monotonic()
        result = await self._execute(tool, allowed)
        _log.debug("Tool %s took %.6f s.", tool.name, self._clock.monotonic() - started)
        for hook in self._hooks:
            result = await _apply_hook(hook, allowed, result)
        return _finished(result, call)

    @trace_function(name="tool.reconcile")
    async def reconcile(self, call: ToolCall, key: str) -> ToolResult | NotDone | None:
        """Ask a tool's own hook what a call came to that was cut off.

        Args:
            call: The call.
            key: Its idempotency key.

        Returns:
            The call's result; `NOT_DONE` where it had no effect; None where nobody can tell: there
            is no tool of that name, no hook, or the hook fails or takes too long.
        """
        import anyio

        tool = self.registry.find(call.name)
        if tool is None or tool.reconcile is None:
            return None
        try:
            with anyio.move_on_after(tool.timeout_seconds or self._default_timeout_seconds):
                value = await self._call(partial(tool.reconcile, key, dict(call.input)))
                if value is None or isinstance(value, NotDone):
                    return value
                result = ToolResult(tool_call_id=call.id, content=_text.render(value))
                return _finished(result, call)
        except Exception:  # noqa: BLE001 - whatever a hook raises means that it cannot tell
            _log.exception("The reconcile hook of tool %s failed.", tool.name)
        return None

    async def dispatch_all(
        self,
        calls: Sequence[ToolCall],
        *,
        run_one: Callable[[ToolCall], Awaitable[ToolResult]] | None = None,
    ) -> list[ToolResult]:
        """Run calls side by side, at most ten at once; results come in the order of the calls.

        Args:
            calls: What to run.
            run_one: What runs one call, such as a wrapper that watches `dispatch`; `dispatch`
                itself by default. What it raises ends the other calls and is raised here.
        """
        run_one = run_one or self.dispatch
        if len(calls) == 1:
            return [await run_one(calls[0])]
        import anyio

        results: dict[int, ToolResult] = {}
        failures: list[Exception] = []
        limiter = anyio.CapacityLimiter(_MAX_CONCURRENT_CALLS)

        async def run(index: int, call: ToolCall) -> None:
            async with limiter:
                try:
                    results[index] = await run_one(call)
                except Exception as error:  # noqa: BLE001 - raised again, outside of the group
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for index, call in enumerate(calls):
                group.start_soon(run, index, call)
        if failures:
            raise failures[0]
        return [results[index] for index in range(len(calls))]

    @trace_function(name="tool.check")
    async def _admit(self, call: ToolCall) -> tuple[Tool, ToolCall]:
        tool = await self._check(call)
        allowed = _copied(call)
        for interceptor in self._interceptors:
            allowed = await _intercept(interceptor, allowed)
        if self._interceptors:  # its arguments may have been changed in place
            tool = await self._check(allowed)
        await self._ask_permission(allowed)
        return tool, allowed

    async def _ask_permission(self, call: ToolCall) -> None:
        """Ask last: what a person or a rule allows is what then runs."""
        permissions = self._permissions
        if permissions is None:
            return
        if permissions.may_block:
            await self._threads.run(partial(permissions.check, call))
        else:
            permissions.check(call)

    async def _check(self, call: ToolCall) -> Tool:
        tool = self.registry.get(call.name)
        arguments = _validation.plain_arguments(call.input)
        _validation.check_arguments(self._schema_of(tool), tool.name, arguments)
        for validator in self._validators.get(call.name, ()):
            await _consult(validator, call)
        return tool

    def _schema_of(self, tool: Tool) -> _validation.Validator:
        known = self._schemas.get(tool.name)
        if known is None or known[0] is not tool:
            known = self._schemas[tool.name] = (tool, _validation.compile_schema(tool.spec))
        return known[1]

    @trace_function(name="tool.run")
    async def _execute(self, tool: Tool, call: ToolCall) -> ToolResult:
        import anyio

        seconds = tool.timeout_seconds or self._default_timeout_seconds
        try:
            with anyio.move_on_after(seconds):
                value = await self._call(partial(tool.run, **call.input))
                return ToolResult(tool_call_id=call.id, content=_text.render(value))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
            return _error_result(call, _as_tool_error(tool, error))
        return _error_result(call, _timeout(tool, seconds))

    async def _call(self, function: partial[Any]) -> Any:
        if inspect.iscoroutinefunction(function.func):
            return await function()
        return await _settled(await self._threads.run(function))


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _consult(validator: Callable[[Mapping[str, Any]], Any], call: ToolCall) -> None:
    try:
        refusal = await _settled(validator(call.input))
    except ToolError:
        raise
    except Exception as error:
        raise InvalidToolInput(
            f"The arguments of tool {call.name!r} were refused: {_described(error)}"
        ) from error
    if isinstance(refusal, str):
        raise InvalidToolInput(f"The arguments of tool {call.name!r} were refused: {refusal}")


async def _intercept(interceptor: Callable[[ToolCall], Any], call: ToolCall) -> ToolCall:
    try:
        changed = await _settled(interceptor(call))
        return _expect(ToolCall, changed, call)
    except ToolError:
        raise
    except Exception as error:
        _log.exception("An interceptor of tool %s failed; the call is denied.", call.name)
        raise ToolDenied(
            f"The call of tool {call.name!r} was denied: a check in front of it failed.",
            hint="Go on without this call.",
        ) from error


@trace_function(name="tool.hook")
async def _apply_hook(
    hook: Callable[[ToolCall, ToolResult], Any], call: ToolCall, result: ToolResult
) -> ToolResult:
    try:
        return _expect(ToolResult, await _settled(hook(call, result)), result)
    except Exception:  # noqa: BLE001 - a hook may only look; its failure must not cost the result
        _log.exception("A hook behind tool %s failed; its result stays as it was.", call.name)
        return result


def _copied(call: ToolCall) -> ToolCall:
    """Return a call that can be changed in place: the model's own is part of the history."""
    try:
        return dataclasses.replace(call, input=copy.deepcopy(call.input))
    except RecursionError:
        raise InvalidToolInput(
            f"The arguments of tool {call.name!r} are nested too deeply.",
            hint="Give them in a flatter form.",
        ) from None


def _expect(kind: type[_T], value: Any, default: _T) -> _T:
    if value is None:
        return default
    if not isinstance(value, kind):
        raise TypeError(f"It returned {value!r} instead of a {kind.__name__} or None.")
    return value


def _as_tool_error(tool: Tool, error: Exception) -> ToolError:
    if isinstance(error, ToolError):
        return error
    return ToolFailed(f"Tool {tool.name!r} failed with {_described(error)}")


def _described(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - an exception whose text raises is still to be reported
        return type(error).__name__


def _timeout(tool: Tool, seconds: float) -> ToolTimeout:
    return ToolTimeout(
        f"Tool {tool.name!r} did not finish within {seconds:g} seconds and was stopped.",
        hint="Ask for less at once.",
    )


def _error_result(call: ToolCall, error: ToolError) -> ToolResult:
    content = f"{error.message}\n{error.hint}" if error.hint else error.message
    return ToolResult(tool_call_id=call.id, content=content, is_error=True, error_code=error.code)


def _finished(result: ToolResult, call: ToolCall) -> ToolResult:
    content = _text.cap(_text.replace_surrogates(result.content), _MAX_OUTPUT_CHARACTERS)
    return dataclasses.replace(result, tool_call_id=call.id, content=content)

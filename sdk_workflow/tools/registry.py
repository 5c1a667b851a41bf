"""A tool, and the set of tools of one runtime or session.

There is no global registry: what one session registers, no other session can call.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import ToolNotFound, UsageError
from sdk_workflow.types import EffectClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sdk_workflow.types import ToolSpec

__all__ = ["Tool", "ToolRegistry"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something the model may ask for: what it is told about it, and what then runs.

    `run` takes the arguments by name and is sync or async; a sync one runs in a worker thread.
    `timeout_seconds` replaces the dispatcher's own limit.

    `effect` and `reconcile` say what becomes of a call that was under way when the process died.
    "pure" and "idempotent" calls are run again with the same `idempotency_key()`. Of any "other"
    the model is told that its outcome is unknown. `reconcile(key, arguments)`, sync or async, goes
    first where there is one: it returns what the call came to, `NOT_DONE` to have it run now, or
    None where it cannot tell.

    Example:
        >>> from sdk_workflow.types import ToolSpec
        >>> spec = ToolSpec(name="now", description="Tell the time.", input_schema={"type": "object"})
        >>> Tool(spec=spec, run=lambda: "12:00").name
        'now'
    """

    spec: ToolSpec
    run: Callable[..., Any]
    timeout_seconds: float | None = None
    effect: EffectClass = "other"
    reconcile: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        return self.spec.name


class ToolRegistry:
    """The tools of one session, in the order in which they were registered.

    The order never changes by itself: the definitions are the first part of every prompt, and a
    prompt cache is lost as soon as they move.

    Args:
        tools: Tools to register at once.

    Raises:
        UsageError: If a name is malformed or taken, or a schema does not describe an object.

    Example:
        >>> from sdk_workflow.types import ToolSpec
        >>> spec = ToolSpec(name="now", description="Tell the time.", input_schema={"type": "object"})
        >>> registry = ToolRegistry([Tool(spec=spec, run=lambda: "12:00")])
        >>> registry.names()
        ('now',)
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._lock = threading.Lock()
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool) -> None:
        """Add a tool behind the others.

        Raises:
            UsageError: If it is no tool, its name is malformed or taken, its schema does not
                describe an object, its time limit is not positive, or its effect is none.
        """
        _check(tool)
        with self._lock:
            if tool.name in self._tools:
                raise UsageError(
                    f"A tool named {tool.name!r} is registered already.",
                    code="duplicate_tool",
                    hint="Choose another name, or unregister the first one.",
                )
            self._tools[tool.name] = tool

    def unregister(self, name: str) -> Tool:
        """Remove a tool and return it.

        Raises:
            ToolNotFound: If no tool has that name.
        """
        with self._lock:
            tool = self.get(name)
            del self._tools[name]
            return tool

    def get(self, name: str) -> Tool:
        """Return the tool of that name.

        Raises:
            ToolNotFound: If no tool has that name; the hint names the closest one.
        """
        tool = self.find(name)
        if tool is None:
            names = self.names()
            known = f"The tools are: {', '.join(names)}." if names else "No tool is registered."
            raise ToolNotFound(
                f"There is no tool named {name!r}.",
                hint=f"{did_you_mean(name, names)} {known}".strip(),
            )
        return tool

    def find(self, name: str) -> Tool | None:
        """Return the tool of that name; None where no tool has it."""
        return self._tools.get(name)

    def names(self) -> tuple[str, ...]:
        """Return the names in the order of registration."""
        return tuple(self._tools)

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return what the model is told, in the order of registration."""
        return tuple(tool.spec for tool in tuple(self._tools.values()))


def _check(tool: Tool) -> None:
    if not isinstance(tool, Tool):
        raise UsageError(
            f"{tool!r} is not a Tool.", hint="Decorate the function with @tool, then register it."
        )
    if not _NAME.fullmatch(tool.name):
        raise UsageError(
            f"The tool name {tool.name!r} is not one that the API accepts.",
            hint="Use 1 to 64 letters, digits, underscores or hyphens.",
        )
    if tool.spec.input_schema.get("type") != "object":
        raise UsageError(
            f"The input schema of tool {tool.name!r} does not describe an object.",
            hint='Give it "type": "object" and the arguments under "properties".',
        )
    if tool.timeout_seconds is not None and not tool.timeout_seconds > 0:
        raise UsageError(
            f"The time limit of tool {tool.name!r} is {tool.timeout_seconds!r} seconds.",
            hint="Give a number above 0, or None for the dispatcher's own limit.",
        )
    _check_effect(tool)


def _check_effect(tool: Tool) -> None:
    effects = get_args(EffectClass)
    if tool.effect not in effects:
        raise UsageError(
            f"The effect of tool {tool.name!r} is {tool.effect!r}.",
            hint=did_you_mean(str(tool.effect), effects) or f"Choose one of {', '.join(effects)}.",
        )
    if tool.reconcile is not None and not callable(tool.reconcile):
        raise UsageError(
            f"What reconciles tool {tool.name!r} is {tool.reconcile!r}, not a function.",
            hint="Give a function of the key and the arguments, or None.",
        )

"""From what a user names as tools to a registry: built-in names, `@tool` functions, `Tool` objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from sdk_workflow.exceptions import UsageError
from sdk_workflow.tools.builtin import builtin_tools
from sdk_workflow.tools.dispatcher import ToolDispatcher
from sdk_workflow.tools.lazy_sandbox import LazySandbox
from sdk_workflow.tools.permissions import Permissions
from sdk_workflow.tools.registry import Tool, ToolRegistry
from sdk_workflow.tools.schema import tool as tool_from_function
from sdk_workflow.tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.protocols import Clock, Sandbox

__all__ = ["ToolLike", "Toolbox"]

ToolLike = Union[str, Tool, Callable[..., Any]]  # noqa: UP007 - evaluated at run time on 3.10
"""The name of a built-in tool, a tool, or a typed function to make one of."""


class Toolbox:
    """Turns what a user names into tools, all confined to one folder.

    Args:
        working_directory: The folder of the built-in tools; the current one by default.
        sandbox: Runs the commands of `bash`; the strongest one of this machine by default.
        timeout_seconds: The time limit of one tool call.
        permissions: Decides which calls may run; all of them by default.
    """

    def __init__(
        self,
        *,
        working_directory: Path | str | None,
        sandbox: Sandbox | None,
        timeout_seconds: float,
        permissions: Permissions | None = None,
    ) -> None:
        self._root = Path(working_directory or ".")
        self._sandbox = sandbox or LazySandbox()
        self._timeout_seconds = timeout_seconds
        self._permissions = permissions or Permissions()
        self._workspace: Workspace | None = None

    def registry(self, tools: Sequence[ToolLike]) -> ToolRegistry:
        """Return a registry of the given tools, in their order."""
        registry = ToolRegistry()
        for item in tools:
            registry.register(self.tool(item))
        return registry

    def dispatcher(self, registry: ToolRegistry, *, clock: Clock) -> ToolDispatcher:
        """Return what runs the calls of a registry's tools."""
        return ToolDispatcher(
            registry,
            clock=clock,
            default_timeout_seconds=self._timeout_seconds,
            permissions=self._permissions,
        )

    def tool(self, item: ToolLike) -> Tool:
        """Return one tool.

        Raises:
            UsageError: If no built-in tool has that name, or the object cannot become a tool.
        """
        if isinstance(item, Tool):
            return item
        if isinstance(item, str):
            return self._builtin(item)
        if callable(item):
            return tool_from_function(item)
        raise UsageError(
            f"{item!r} is not a tool.",
            hint="Give the name of a built-in tool, a function with @tool, or a Tool.",
        )

    @property
    def place(self) -> str:
        """The folder, from the root of the file system where that can be told."""
        try:
            return str(self._root.resolve())
        except OSError:  # the current folder is gone
            return str(self._root)

    def close(self) -> None:
        """Let go of the folder; a second call does nothing."""
        if self._workspace is not None:
            self._workspace.close()

    def _builtin(self, name: str) -> Tool:
        if self._workspace is None:
            self._workspace = Workspace(self._root)
        (tool,) = builtin_tools(
            [name],
            self._workspace,
            sandbox=self._sandbox,
            timeout_seconds=self._timeout_seconds,
            hosts=self._permissions.hosts,
        )
        return tool

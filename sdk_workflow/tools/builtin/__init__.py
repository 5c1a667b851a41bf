"""The tools that come with the library, by name. Their schemas are static: nothing is generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.tools.builtin.bash import DEFAULT_TIMEOUT_SECONDS, bash_tool
from sdk_workflow.tools.builtin.network import network_tool
from sdk_workflow.tools.builtin.read import read_tool
from sdk_workflow.tools.builtin.write import write_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sdk_workflow.protocols import Sandbox
    from sdk_workflow.tools.registry import Tool
    from sdk_workflow.tools.workspace import Workspace

__all__ = ["BUILTIN_TOOLS", "builtin_tools"]

BUILTIN_TOOLS = ("read", "write", "bash", "network")
"""The names that `builtin_tools` knows."""


def builtin_tools(
    names: Iterable[str],
    workspace: Workspace,
    *,
    sandbox: Sandbox,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    hosts: Sequence[str] = (),
) -> list[Tool]:
    """Return the tools of these names, in this order, a repeated name once.

    Args:
        names: Any of `BUILTIN_TOOLS`.
        workspace: The folder that they work in.
        sandbox: What runs the commands of `bash`.
        timeout_seconds: The limit of a command that asks for none.
        hosts: What `network` may reach, as `WebFetcher` takes it.

    Raises:
        UsageError: If a name is unknown; the hint names the closest one.

    Example:
        >>> import pathlib
        >>> from sdk_workflow.tools.sandbox import UnavailableSandbox
        >>> from sdk_workflow.tools.workspace import Workspace
        >>> with Workspace(pathlib.Path()) as workspace:
        ...     tools = builtin_tools(["read"], workspace, sandbox=UnavailableSandbox("an example"))
        >>> [tool.name for tool in tools]
        ['read']
    """
    makers: dict[str, Callable[[], Tool]] = {
        "read": lambda: read_tool(workspace),
        "write": lambda: write_tool(workspace),
        "bash": lambda: bash_tool(workspace, sandbox, timeout_seconds=timeout_seconds),
        "network": lambda: network_tool(hosts),
    }
    return [_maker(name, makers)() for name in dict.fromkeys(names)]


def _maker(name: str, makers: Mapping[str, Callable[[], Tool]]) -> Callable[[], Tool]:
    if name in makers:
        return makers[name]
    known = f"The built-in tools are: {', '.join(BUILTIN_TOOLS)}."
    raise UsageError(
        f"There is no built-in tool named {name!r}.",
        code="unknown_tool",
        hint=f"{did_you_mean(name, BUILTIN_TOOLS)} {known}".strip(),
    )

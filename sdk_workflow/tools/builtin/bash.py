"""The bash tool: a command line, run by the sandbox in the workspace.

It owns the words around the output; the confinement is the sandbox's business. A confined command
cannot change what the `write` tool refuses (`.env`, `.git/hooks`, `.git/config` ...), and what it
creates under such a name is moved aside when it ends. Not covered: what lies behind the first 1,000
folders, and the time until the command ends. Without confinement nothing is covered.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import InvalidToolInput, ToolTimeout
from sdk_workflow.tools._appeared import protected_names, set_aside
from sdk_workflow.tools._paths import show_name
from sdk_workflow.tools._text import strip_terminal_codes
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sdk_workflow.protocols import Sandbox
    from sdk_workflow.tools.workspace import Workspace

__all__ = ["BASH_SPEC", "DEFAULT_TIMEOUT_SECONDS", "bash_tool", "command_environment"]

_log = logging.getLogger("sdk_workflow.tools")

DEFAULT_TIMEOUT_SECONDS = 120.0
_MAX_TIMEOUT_SECONDS = 600
_MAX_OUTPUT_BYTES = 1024 * 1024
_MAX_COMMAND_BYTES = 100_000  # Linux takes 131,071 bytes in one argument
_ENDING_SECONDS = 30.0  # how long the sandbox may need to end a command at its limit
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

BASH_SPEC = ToolSpec(
    name="bash",
    description=(
        "Run a command line with bash in the working directory. Returns what it printed, "
        "standard output and standard error together, and its exit code when that is not 0. "
        "There is no network and no terminal; background processes end with the command."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "minLength": 1,
                "description": "The command line.",
            },
            "timeout_seconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": _MAX_TIMEOUT_SECONDS,
                "description": "When to stop the command.",
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    },
)


def bash_tool(
    workspace: Workspace, sandbox: Sandbox, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Tool:
    """Return the tool that runs command lines in a workspace.

    Args:
        workspace: Its folder is the working directory.
        sandbox: What runs the commands.
        timeout_seconds: The limit of a command that asks for none.
    """
    default_seconds = timeout_seconds

    async def run(command: str, timeout_seconds: float | None = None) -> str:
        _check(command)
        seconds = default_seconds if timeout_seconds is None else timeout_seconds
        async with _held_back(workspace, sandbox) as notes:
            result = await sandbox.run(
                [_shell(), "-c", command],
                cwd=workspace.root,
                env=command_environment(workspace.root, os.environ),
                timeout_seconds=seconds,
                max_output_bytes=_MAX_OUTPUT_BYTES,
            )
        output = "\n".join([*notes, strip_terminal_codes(result.output)])
        if result.exit_code is None:
            raise _timeout(output, seconds)
        if result.exit_code == 0:
            return output
        return f"{_with_newline(output)}[exit code {result.exit_code}]"

    # The sandbox keeps the time of the command itself; the dispatcher's limit is the safety net.
    limit = max(float(_MAX_TIMEOUT_SECONDS), timeout_seconds) + _ENDING_SECONDS
    return Tool(spec=BASH_SPEC, run=run, timeout_seconds=limit, effect="other")


@contextlib.asynccontextmanager
async def _held_back(workspace: Workspace, sandbox: Sandbox) -> AsyncIterator[list[str]]:
    """Move aside what a confined command creates under protected names, also when it is stopped.

    Yields:
        What the model is told of it; filled at the end.
    """
    import anyio
    from anyio import to_thread

    notes: list[str] = []
    before = await to_thread.run_sync(protected_names, workspace.root)
    try:
        yield notes
    finally:
        if sandbox.name != "off":
            with anyio.CancelScope(shield=True):
                moved = await to_thread.run_sync(set_aside, workspace, before)
            notes += [
                f"[{show_name(path)} is protected, so what the command put there is now "
                f"{show_name(aside)}; the user decides about it.]"
                for path, aside in moved
            ]
            for path, aside in moved:
                _log.warning("A command created %r, which is protected; it is now %r.", path, aside)


def command_environment(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: an allow-list, so that no secret comes along.

    `PATH` loses its relative entries; `HOME` is the workspace. The sandbox adds `TMPDIR`.

    Example:
        >>> command_environment(Path("/srv/ws"), {"PATH": "/bin:.", "ANTHROPIC_API_KEY": "sk-1"})
        {'PATH': '/bin', 'HOME': '/srv/ws', 'TERM': 'dumb'}
    """
    folders = environ.get("PATH", "").split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if folder.startswith("/"))
    wanted = {
        name: value
        for name, value in environ.items()
        if name in {"LANG", "TERM"} or name.startswith("LC_")
    }
    return {"PATH": path or _DEFAULT_PATH, "HOME": str(root), "TERM": "dumb", **wanted}


def _check(command: str) -> None:
    if "\0" in command:
        raise InvalidToolInput("The command holds a NUL character.", hint="Leave it out.")
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        raise InvalidToolInput(
            "The command holds a lone surrogate, which is no character.",
            hint="Write valid Unicode.",
        ) from None
    if size > _MAX_COMMAND_BYTES:
        raise InvalidToolInput(
            f"The command has {size:,} bytes, and {_MAX_COMMAND_BYTES:,} are the limit.",
            hint="Write it to a file, then run the file.",
        )


def _shell() -> str:
    return next((shell for shell in _SHELLS if Path(shell).exists()), "bash")


def _timeout(output: str, seconds: float) -> ToolTimeout:
    until_then = f"Its output until then:\n{output}" if output else "It had printed nothing."
    return ToolTimeout(f"The command was stopped after {seconds:g} seconds. {until_then}")


def _with_newline(output: str) -> str:
    return output if not output or output.endswith("\n") else f"{output}\n"

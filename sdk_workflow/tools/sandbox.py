"""Chooses how commands are confined: what works here, or nothing at all.

Fail closed: where confinement is required and no mechanism works, every command is refused with
a sentence that says what to do.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Literal, NoReturn

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import ToolDenied, UsageError
from sdk_workflow.tools._secrets import secret_paths
from sdk_workflow.tools.sandbox_bubblewrap import find_bubblewrap
from sdk_workflow.tools.sandbox_landlock import find_landlock
from sdk_workflow.tools.sandbox_process import Orders, private_folder, run_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sdk_workflow.protocols import Sandbox
    from sdk_workflow.tools.sandbox_process import CommandResult

__all__ = ["DirectSandbox", "SandboxMode", "UnavailableSandbox", "detect_sandbox", "secret_paths"]

SandboxMode = Literal["required", "off"]
_MODES = ("required", "off")

_SWITCH_OFF = "set SDK_WORKFLOW_SANDBOX=off to run commands without confinement, at your own risk"


class DirectSandbox:
    """Runs commands without confinement: only when somebody has chosen so.

    What remains: the environment's allow-list, the time limit, the cap of the output, and that no
    process is left behind. (Without /proc, as on macOS, a process that leaves its process group
    can escape the last one.)

    Example:
        >>> DirectSandbox().name
        'off'
    """

    name = "off"

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout_seconds: float,
        max_output_bytes: int,
    ) -> CommandResult:
        """Run a command to its end or its time limit, then end everything that it started."""
        async with private_folder() as temporary:
            orders = Orders(
                argv=list(argv),
                cwd=str(cwd),
                env={**env, "TMPDIR": str(temporary)},
                timeout_seconds=timeout_seconds,
                temporary=str(temporary),
            )
            return await run_command(orders, max_output_bytes=max_output_bytes)


class UnavailableSandbox:
    """Refuses every command, because nothing here can confine one.

    Args:
        reason: Why not, as a clause.
        hint: What to do, as a full sentence.

    Attributes:
        reason: The same.
        hint: The same.

    Example:
        >>> UnavailableSandbox("there is no bubblewrap").name
        'unavailable'
    """

    name = "unavailable"

    def __init__(self, reason: str, *, hint: str = "") -> None:
        self.reason = reason
        self.hint = hint

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout_seconds: float,
        max_output_bytes: int,
    ) -> NoReturn:
        """Refuse.

        Raises:
            ToolDenied: Always.
        """
        del argv, cwd, env, timeout_seconds, max_output_bytes
        raise ToolDenied(
            f"Commands cannot be run here: {self.reason}.",
            code="sandbox_unavailable",
            hint=self.hint,
        )


@trace_function(name="sandbox.detect")
def detect_sandbox(
    mode: SandboxMode = "required", *, hidden: Iterable[Path] | None = None
) -> Sandbox:
    """Return what runs commands on this machine; each mechanism is tried once per process.

    Args:
        mode: "required" takes the strongest mechanism that works (bubblewrap, then Landlock), or
            one that refuses every command; "off" runs commands without confinement.
        hidden: Files and folders that no command may see; defaults to `secret_paths()`.

    Raises:
        UsageError: If the mode is unknown.

    Example:
        >>> detect_sandbox("off").name
        'off'
    """
    if mode not in _MODES:
        raise UsageError(
            f"The sandbox mode {mode!r} is unknown.",
            hint=f"{did_you_mean(mode, _MODES)} The modes are: {', '.join(_MODES)}.".strip(),
        )
    platform: str = sys.platform
    if platform == "win32":
        return UnavailableSandbox(
            "on Windows neither confinement nor an orderly end of all processes is implemented",
            hint="Run in WSL.",
        )
    if mode == "off":
        return DirectSandbox()
    return _strongest(tuple(secret_paths() if hidden is None else hidden))


@functools.cache
def _strongest(hidden: tuple[Path, ...]) -> Sandbox:
    found: Sandbox | None = find_bubblewrap(hidden) or find_landlock(hidden)
    if found is not None:
        return found
    platform: str = sys.platform
    if platform == "linux":
        return UnavailableSandbox(
            "neither bubblewrap nor Landlock with user namespaces works on this machine",
            hint=f"Install bubblewrap (for example: apt install bubblewrap), or {_SWITCH_OFF}.",
        )
    return UnavailableSandbox(
        f"no confinement is implemented for the platform {platform!r}",
        hint=f"Run on Linux, for example in a container, or {_SWITCH_OFF}.",
    )

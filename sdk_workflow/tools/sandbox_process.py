"""Starts the launcher, feeds it its orders, and collects what the command prints.

What every sandbox shares. It knows no mechanism: the orders say how the command is confined.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import ToolFailed
from sdk_workflow.tools._protected import PLACEHOLDER_MODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from anyio import Event
    from anyio.abc import AnyByteReceiveStream, Process

__all__ = [
    "CommandResult",
    "LauncherSandbox",
    "Orders",
    "OutputBuffer",
    "private_folder",
    "run_command",
    "try_command",
    "try_program",
]

GRACE_SECONDS = 2.0
MAX_PROCESSES = 512
_DRAIN_SECONDS = 1.0
_END_SECONDS = 10.0
_MAX_REPORT_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended; `exit_code` is None when it was stopped at its time limit."""

    output: str
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the launcher is to do.

    `rules` are Landlock's (`_landlock.confine`), or None. `wrapper` names a program in between
    that must not be asked to end, since it would take the command along without its grace.
    `temporary` is a folder that the launcher removes when nobody else is left to do it;
    `placeholders` are folders that exist while the command runs, where they are missing.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    timeout_seconds: float
    grace_seconds: float = GRACE_SECONDS
    max_processes: int = MAX_PROCESSES
    wrapper: str = ""
    temporary: str = ""
    placeholders: Sequence[str] = ()
    placeholder_mode: int = PLACEHOLDER_MODE
    rules: Mapping[str, Sequence[str]] | None = field(default=None)

    def encode(self) -> bytes:
        """Return the line that the launcher reads."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"


class OutputBuffer:
    r"""Keeps the first and the last half of what arrives, and counts what lies between.

    Args:
        limit: How many bytes to keep.

    Example:
        >>> buffer = OutputBuffer(4)
        >>> buffer.add(b"abcdef")
        >>> buffer.text()
        'ab\n[... 2 bytes left out ...]\nef'
    """

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - self._head_limit
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        room = self._head_limit - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        surplus = len(self._tail) - self._tail_limit
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped += surplus

    def text(self) -> str:
        """Return what was kept; bytes that are not UTF-8 become U+FFFD."""
        if not self._dropped:
            return bytes(self._head + self._tail).decode("utf-8", "replace")
        head, tail = (each.decode("utf-8", "replace") for each in (self._head, self._tail))
        return f"{head}\n[... {self._dropped:,} bytes left out ...]\n{tail}"


class LauncherSandbox(ABC):
    """Runs commands by orders to the launcher; what they are is each mechanism's own business."""

    @abstractmethod
    def orders(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_seconds: float
    ) -> Orders:
        """Return what the launcher is told."""

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
        orders = self.orders(argv, cwd=cwd, env=env, timeout_seconds=timeout_seconds)
        return await run_command(orders, max_output_bytes=max_output_bytes)


@trace_function(name="sandbox.run")
async def run_command(orders: Orders, *, max_output_bytes: int) -> CommandResult:
    """Run a command under the launcher to its end.

    When the awaiting task is cancelled, the command and all that it started are killed first.

    Raises:
        ToolFailed: If the command could not be started or confined.
    """
    import anyio

    buffer = OutputBuffer(max_output_bytes)
    process = await _start()
    try:
        with anyio.move_on_after(orders.timeout_seconds + orders.grace_seconds + _END_SECONDS):
            report = await _follow(process, orders, buffer)
            return _result(report, buffer)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    raise ToolFailed("The command did not end, and its launcher did not answer.")


@trace_function(name="sandbox.try_command")
def try_command(orders: Orders) -> str:
    """Run a command at once and return what it printed; "" when it failed in any way.

    This is how a mechanism is probed: by doing what it will have to do. The command must print
    little, since its output is read after its end.
    """
    import subprocess  # nosec B404 # our own launcher

    argv, env = launcher_invocation()
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(  # noqa: S603 # nosec B603 # our own launcher
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
        ) as process:
            # Standard input must stay open meanwhile: its end is the sign to give up.
            streams = (process.stdin, process.stderr, process.stdout)
            orders_stream, report_stream, output_stream = (
                cast("IO[bytes]", each) for each in streams
            )
            orders_stream.write(orders.encode())
            orders_stream.flush()
            report = _read_report(report_stream.read())
            output = output_stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return output if "error" not in report and report.get("exit_code") == 0 else ""


def try_program(orders: Orders) -> str:
    """Do as `try_command` without the launcher, whose start takes longer than the program's.

    For a program that ends all that it started when it is killed itself, as bubblewrap does.
    """
    import subprocess  # nosec B404 # what the sandbox would run

    try:
        done = subprocess.run(  # noqa: S603 # nosec B603 # what the sandbox would run
            orders.argv,
            cwd=orders.cwd,
            env=dict(orders.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=orders.timeout_seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def launcher_invocation() -> tuple[list[str], dict[str, str]]:
    """Return the launcher's command line and environment; nothing of ours is inherited."""
    launcher = Path(__file__).with_name("_launcher.py")
    return [sys.executable, "-I", "-S", "-X", "utf8", str(launcher)], {}


@contextlib.asynccontextmanager
async def private_folder() -> AsyncIterator[Path]:
    """Lend a fresh folder that is removed afterwards, also when the task is cancelled."""
    import shutil
    import tempfile

    import anyio
    from anyio import to_thread

    folder = Path(tempfile.mkdtemp(prefix="sdk-workflow-"))
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _start() -> Process:
    import anyio

    argv, env = launcher_invocation()
    try:
        return await anyio.open_process(argv, env=env, start_new_session=True)
    except OSError as error:
        raise ToolFailed(f"The launcher of commands could not be started: {error}.") from error


async def _follow(process: Process, orders: Orders, buffer: OutputBuffer) -> dict[str, Any]:
    import anyio

    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ToolFailed("The launcher of commands was started without its pipes.")
    drained = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_drain, process.stdout, buffer, drained)
        with contextlib.suppress(anyio.BrokenResourceError):  # the report says why, or is missing
            await process.stdin.send(orders.encode())
        report = b""
        async for piece in process.stderr:
            report = (report + piece)[-_MAX_REPORT_BYTES:]
        # The launcher has ended, and with it all that could write: the rest is in the pipe.
        with anyio.move_on_after(_DRAIN_SECONDS):
            await drained.wait()
        group.cancel_scope.cancel()
    return _read_report(report)


async def _drain(stream: AnyByteReceiveStream, buffer: OutputBuffer, drained: Event) -> None:
    async for piece in stream:
        buffer.add(piece)
    drained.set()


async def _end(process: Process) -> None:
    import anyio

    if process.stdin is not None:
        await process.stdin.aclose()  # the launcher's sign to kill everything and end
    with anyio.move_on_after(_END_SECONDS):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


def _read_report(lines: bytes) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for line in lines.splitlines():
        with contextlib.suppress(ValueError):  # not ours: Python's own last words
            report = {**json.loads(line), **report}
    return report


def _result(report: Mapping[str, Any], buffer: OutputBuffer) -> CommandResult:
    if "error" in report:
        raise ToolFailed(f"The command could not be started: {report['error']}.")
    if "exit_code" not in report:
        raise ToolFailed("The launcher of commands ended before the command did.")
    return CommandResult(output=buffer.text(), exit_code=report["exit_code"])

"""How every command ends: with its result written, and a documented exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

from sdk_workflow.cli.exit_codes import ExitCode, exit_code_of
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.cli.console import Console

__all__ = ["finish"]


def finish(console: Console, command: Callable[[], ExitCode]) -> NoReturn:
    """Run a command and leave with its exit code."""
    try:
        code = command()
    except SdkWorkflowError as error:
        console.error(error)
        code = exit_code_of(error)
    except KeyboardInterrupt:
        console.problem("Interrupted.")
        code = ExitCode.INTERRUPTED
    if not console.finish():
        code = code or ExitCode.RUN_FAILED
    raise typer.Exit(code)

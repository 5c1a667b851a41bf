"""`sdk_workflow run`: one prompt, or many from a file."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sdk_workflow.cli.event_loop import run_async
from sdk_workflow.cli.exit_codes import ExitCode, exit_code_of
from sdk_workflow.cli.rendering import dump, error_object, make_view, tell_of_call
from sdk_workflow.cli.reports import Reports, check_report_files
from sdk_workflow.cli.session_choice import SessionChoice
from sdk_workflow.cli.setup import prepare
from sdk_workflow.exceptions import SdkWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.cli.rendering import View
    from sdk_workflow.cli.setup import Prepared
    from sdk_workflow.executors.streaming_example import Execution

__all__ = ["refuse", "run"]


def run(args: ExecutionArgs, console: Console) -> ExitCode:
    """Do what `run` was asked to do and return the exit code.

    What goes wrong before anything was asked is reported here; what goes wrong later is part of
    the result. The reports are written in either case, also after an interrupt.
    """
    try:
        check_report_files(args)
        answer, prepared = _planned(args, console)
    except SdkWorkflowError as error:
        return refuse(error, args.output, console)
    reports = Reports(args, prepared.runtime.tracer, console)
    reports.start()
    try:
        code = answer()
    finally:
        code_of_reports = reports.write()
    return code or code_of_reports


def refuse(error: SdkWorkflowError, output: str, console: Console) -> ExitCode:
    """Report an error for people on stderr, and for programs where they asked for JSON."""
    if output != "text":
        console.result(dump(error_object(error)))
    console.error(error)
    return exit_code_of(error)


def _planned(args: ExecutionArgs, console: Console) -> tuple[Callable[[], ExitCode], Prepared]:
    """Wire the runtime, read what there is to answer, and return what answers it."""
    if args.input_file is None:
        view = make_view(args, console)
        prepared = prepare(args, console, sinks=(view.on_event,))
        return functools.partial(_answer_prompt, args, prepared, console, view), prepared
    from sdk_workflow.cli.batch import answer_items, read_items

    prepared = prepare(args, console, sinks=(functools.partial(tell_of_call, console=console),))
    items = read_items(args.input_file)
    return functools.partial(answer_items, items, args, prepared, console), prepared


def _answer_prompt(
    args: ExecutionArgs, prepared: Prepared, console: Console, view: View
) -> ExitCode:
    choice = SessionChoice(args, prepared, console)
    try:
        execution = run_async(_answer, args, prepared, view, choice)
    except KeyboardInterrupt:
        choice.tell_how_to_resume()
        if args.output != "text":
            interrupted = SdkWorkflowError("The run was interrupted.", code="interrupted")
            found = error_object(interrupted, prepared.runtime.backend, choice.session_id)
            console.result(dump(found))
        raise
    view.finish(execution, prepared.runtime.backend)
    if execution.error is not None:
        console.error(execution.error)
        choice.tell_how_to_resume(execution.error)
        return exit_code_of(execution.error)
    if execution.notice:
        console.notice(execution.notice)
    return ExitCode.OK if execution.is_complete else ExitCode.RUN_FAILED


async def _answer(
    args: ExecutionArgs, prepared: Prepared, view: View, choice: SessionChoice
) -> Execution:
    from sdk_workflow.executors.streaming_example import execute

    async with prepared.runtime:
        return await execute(
            args.prompt,
            choice.open,
            on_event=view.on_event,
            message_options={"stream": args.stream},
        )

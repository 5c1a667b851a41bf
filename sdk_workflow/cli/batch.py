"""`sdk_workflow run --input`: many prompts, a progress bar, results in the order of the file."""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.cli.event_loop import run_async
from sdk_workflow.cli.exit_codes import ExitCode, exit_code_of
from sdk_workflow.cli.rendering import RUN_SCHEMA, dump, execution_object
from sdk_workflow.events import shows_no_text
from sdk_workflow.exceptions import BudgetExceeded, UsageError
from sdk_workflow.executors.batch import read_prompts, run_batch
from sdk_workflow.executors.streaming_example import Execution, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.cli.setup import Prepared
    from sdk_workflow.executors.batch import BatchItem

__all__ = ["answer_items", "read_items"]

BATCH_SCHEMA = "sdk_workflow.batch/1"


def answer_items(
    items: list[BatchItem], args: ExecutionArgs, prepared: Prepared, console: Console
) -> ExitCode:
    """Answer every item; failures are listed on stderr, the rest still runs.

    An interrupt loses nothing that is finished, and the lines without an answer are named.

    Returns:
        The exit code of the first failure in the order of the file, or OK.
    """
    writer = _BatchWriter(args, prepared.runtime.backend, console)
    try:
        with _progress(len(items), console) as advance:
            run_async(
                functools.partial(
                    _answer_all, items, prepared, args, writer=writer, on_finished=advance
                )
            )
    finally:
        writer.finish(items)
    return writer.exit_code


async def _answer_all(
    items: list[BatchItem],
    prepared: Prepared,
    args: ExecutionArgs,
    *,
    writer: _BatchWriter,
    on_finished: Callable[[], None],
) -> None:
    async with prepared.runtime as runtime:

        async def run_one(item: BatchItem) -> Execution:
            if item.problem:
                return Execution(error=UsageError(item.problem, code="malformed_line"))
            return await execute(
                item.prompt,
                runtime.session,
                on_event=_ignore,
                message_options={"stream": args.stream},
                working_directory=args.cwd,
                tools=prepared.tools,
            )

        await run_batch(
            items,
            run_one,
            concurrency=runtime.settings.concurrency,
            on_result=writer.add,
            on_finished=on_finished,
        )


class _BatchWriter:
    """Writes results as they come in order, and remembers the failures."""

    def __init__(self, args: ExecutionArgs, backend: str, console: Console) -> None:
        self._output = args.output
        self._backend = backend
        self._console = console
        self._objects: list[dict[str, Any]] = []
        self._lines: set[int] = set()
        self._failures: list[tuple[BatchItem, Execution]] = []
        self.exit_code = ExitCode.OK

    def add(self, item: BatchItem, execution: Execution) -> None:
        """Take the next result in the order of the file."""
        self._lines.add(item.line)
        if not execution.is_complete:
            self._fail(item, execution)
        if self._output == "text":
            if execution.result is not None:
                self._console.result(f"[{item.id or item.line}] {execution.result.text}")
            return
        entry = {
            **execution_object(execution, self._backend),
            "line": item.line,
            "id": item.id,
        }
        if self._output == "jsonl":
            self._console.result(dump(entry))
        else:
            self._objects.append(entry)

    def finish(self, items: Sequence[BatchItem]) -> None:
        """Write the document of `--output json`, then list the failures."""
        if self._output == "json":
            self._console.result(
                dump({"schema": BATCH_SCHEMA, "item_schema": RUN_SCHEMA, "results": self._objects})
            )
        answered = len(self._lines) - len(self._failures)
        self._console.notice(
            f"{answered} of {len(items)} prompts answered " f"by {_NAMES[self._backend]}."
        )
        refused = [each for each in self._failures if isinstance(each[1].error, BudgetExceeded)]
        for item, execution in self._failures:
            if isinstance(execution.error, BudgetExceeded):
                continue
            reason = str(execution.error) if execution.error else execution.notice
            self._console.problem(f"line {item.line}: {reason}")
        if refused:
            self._tell_refused([item.line for item, _ in refused], refused[-1][1])
        missing = [str(item.line) for item in items if item.line not in self._lines]
        if missing:
            self._console.problem(f"Not answered: line {', '.join(missing)}.")

    def _tell_refused(self, lines: Sequence[int], last: Execution) -> None:
        """Say once for all of them why the budget left no room; the last one knows best."""
        self._console.problem(
            f"The budget left no room for line {_ranges(lines)}. Of the last one: {last.error} "
            f"{last.notice}"
        )

    def _fail(self, item: BatchItem, execution: Execution) -> None:
        self._failures.append((item, execution))
        if self.exit_code is ExitCode.OK:
            self.exit_code = _code_of(execution)


def _ranges(lines: Sequence[int]) -> str:
    """Return ascending numbers in few words: 4 to 6, 8."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    return ", ".join(" to ".join(map(str, run)) for run in runs)


_NAMES = {"simulator": "the simulator", "anthropic": "the API"}


def _code_of(execution: Execution) -> ExitCode:
    """A bad line is a failed run, not a wrong use of the command line."""
    if execution.error is None or isinstance(execution.error, UsageError):
        return ExitCode.RUN_FAILED
    return exit_code_of(execution.error)


def read_items(path: Path) -> list[BatchItem]:
    """Read a file of JSON lines.

    Raises:
        UsageError: If the file cannot be read; a bad line is an item of its own.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(
            f"--input {str(path)!r} could not be read: {error.strerror or error}.",
            hint="Name a file of JSON lines.",
        ) from error
    return list(read_prompts(lines))


@shows_no_text
def _ignore(_event: object) -> None:
    """Show nothing: a batch shows its progress, not every event."""


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal; elsewhere nothing, so that logs stay readable."""
    if console.is_quiet or not console.is_terminal:
        yield lambda: None
        return
    from rich.console import Console as RichConsole
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as progress:
        task = progress.add_task("Prompts", total=total)
        kept, console.err = console.err, sys.stderr  # Rich's by now: it writes above the bar
        try:
            yield lambda: progress.advance(task)
        finally:
            console.err = kept

"""Many prompts side by side, results in the order of the input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow._internal.tracing import trace_span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from sdk_workflow.executors.streaming_example import Execution

__all__ = ["BatchItem", "read_prompts", "run_batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One line of the input: a prompt, or what is wrong with the line."""

    line: int
    prompt: str = ""
    id: str | None = None
    problem: str = ""


def read_prompts(lines: Iterable[bytes]) -> Iterator[BatchItem]:
    r"""Read JSON lines: `{"prompt": "...", "id": "..."}` or a plain JSON string; blank lines are skipped.

    Example:
        >>> [item.prompt or item.problem for item in read_prompts([b'"Hi"\n', b'{"prompt": 3}\n'])]
        ['Hi', 'The object has no text under "prompt".']
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read_line(number, line)


def _read_line(number: int, line: bytes) -> BatchItem:
    try:
        value: Any = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BatchItem(
            line=number, problem=f"The line is not UTF-8: {error.reason} at byte {error.start}."
        )
    except (ValueError, RecursionError) as error:
        return BatchItem(line=number, problem=f"The line is not JSON: {error}")
    if isinstance(value, str):
        return BatchItem(line=number, prompt=value)
    if not isinstance(value, dict):
        return BatchItem(line=number, problem="The line is neither an object nor a string.")
    prompt, given_id = value.get("prompt"), value.get("id")
    if not isinstance(prompt, str):
        return BatchItem(line=number, problem='The object has no text under "prompt".')
    return BatchItem(line=number, prompt=prompt, id=None if given_id is None else str(given_id))


@trace_function(name="batch.run")
async def run_batch(
    items: Iterable[BatchItem],
    run_one: Callable[[BatchItem], Awaitable[Execution]],
    *,
    concurrency: int,
    on_result: Callable[[BatchItem, Execution], None],
    on_finished: Callable[[], None] = lambda: None,
) -> None:
    """Run every item, at most `concurrency` at once.

    Args:
        items: Taken one by one, as workers become free.
        run_one: Answers one item; it must not raise for a fault of the item.
        concurrency: Workers.
        on_result: Gets each item with its execution, in the order of `items`, as early as that
            order allows; those behind an unfinished item come at the end when it is cancelled.
        on_finished: Told of each item that is done, in whatever order, for a progress bar.
    """
    import anyio

    # Workers that pull from one iterator: a task for each item costs more (8 to 20 microseconds
    # an item were measured for this shape, 20 to 170 for a task an item).
    pending = iter(enumerate(items))
    waiting: dict[int, tuple[BatchItem, Execution]] = {}
    next_index = 0

    async def work() -> None:
        nonlocal next_index
        for index, item in pending:
            with trace_span("batch.item", {"sdk_workflow.batch.line": item.line}):
                waiting[index] = item, await run_one(item)
            on_finished()
            while next_index in waiting:
                on_result(*waiting.pop(next_index))
                next_index += 1

    try:
        async with anyio.create_task_group() as workers:
            for _ in range(concurrency):
                workers.start_soon(work)
    finally:
        # Interrupted: what is finished was paid for, also behind an item that is not.
        for index in sorted(waiting):
            on_result(*waiting[index])

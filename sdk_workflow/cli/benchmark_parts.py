"""What the suites of the benchmark are made of, beyond the layers that they may name themselves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow.benchmarking.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from sdk_workflow.agent.session import AgentSession

__all__ = ["benchmark_parts"]


def benchmark_parts() -> Parts:
    """Return the parts: a simulator instead of the network, folders that the runner clears away."""
    from sdk_workflow.wiring.ledgers import open_ledger

    return Parts(open_ledger=open_ledger, simulated=_simulated, fan_out=_fan_out)


@contextmanager
def _simulated(folder: Path) -> Iterator[Callable[..., AgentSession]]:
    """Wire a runtime as `run` does, but for the user's own settings, which would change figures."""
    import anyio

    from sdk_workflow.config.settings import Settings
    from sdk_workflow.runtime import build_runtime

    runtime = build_runtime(Settings(home=folder), backend="simulator")
    try:
        yield runtime.session
    finally:
        anyio.run(runtime.close)


async def _fan_out(work: Callable[[], Awaitable[Any]], items: int, concurrency: int) -> None:
    from sdk_workflow.executors.batch import BatchItem, run_batch
    from sdk_workflow.executors.streaming_example import Execution

    done = Execution()

    async def run_one(_: BatchItem) -> Execution:
        await work()
        return done

    await run_batch(
        (BatchItem(line=line, prompt="-") for line in range(items)),
        run_one,
        concurrency=concurrency,
        on_result=lambda _item, _execution: None,
    )

"""What the tests of the feed share: a writer that only remembers, and a feed that never hurries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.events import StateChanged
from sdk_workflow.monitor.feed import RunFeed
from sdk_workflow.monitor.feed_writer import FolderWriter, Told
from sdk_workflow.monitor.session_board import SessionBoard

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.monitor.feed import Batch
    from sdk_workflow.monitor.live_document import Source

START = 1_800_000_000.0
AN_EVENT = StateChanged(session_id="ses_1", before="created", after="ready")


class RememberingWriter:
    """Keeps the batches; raises `error` as long as there is one."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.error: Exception | None = None
        self.again_in: float | None = None

    def write(self, batch: Batch) -> float | None:
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        return self.again_in


def slow_feed(writer: RememberingWriter, **options: Any) -> RunFeed:
    """Return a feed whose thread waits for an hour, so that the test says when it writes."""
    return RunFeed(lambda: writer, clock=VirtualClock(), interval_seconds=3_600.0, **options)


def folder_writer(home: Path, clock: VirtualClock, *sources: Source) -> FolderWriter:
    told = Told(
        home=home,
        backend="simulator",
        sources=sources,
        board=SessionBoard(),
        dropped_spans=lambda: 3,
        started_at=(clock.now(), clock.monotonic()),
    )
    return FolderWriter(told, clock=clock)

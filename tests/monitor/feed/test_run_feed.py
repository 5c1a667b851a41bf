from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.events import ModelCallStarted, StateChanged, TextDelta, ToolStarted
from sdk_workflow.monitor import feed as feed_module
from sdk_workflow.monitor.feed import Batch, RunFeed
from sdk_workflow.types import ToolCall
from tests.measures.made_events import call, looked_up, replied
from tests.monitor.feed.fakes import AN_EVENT, RememberingWriter, slow_feed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def writer() -> RememberingWriter:
    return RememberingWriter()


@pytest.fixture
def feed(writer: RememberingWriter) -> Iterator[RunFeed]:
    made = slow_feed(writer)
    yield made
    made.close()


def count(batch: Batch) -> int:
    return sum(map(len, batch.events.values()))


def test_events_are_written_with_the_times_at_which_they_came(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    feed.on_event(AN_EVENT)
    feed.flush()
    assert writer.batches[0].events == {StateChanged: [(1_800_000_000.0, AN_EVENT)]}
    assert writer.batches[0].has_news
    assert not writer.batches[0].is_last


def test_an_event_is_written_once(feed: RunFeed, writer: RememberingWriter) -> None:
    feed.on_event(AN_EVENT)
    feed.flush()
    feed.flush()
    assert [count(batch) for batch in writer.batches] == [1, 0]
    assert [batch.has_news for batch in writer.batches] == [True, False]


def test_the_start_of_a_call_is_news_but_no_line(feed: RunFeed, writer: RememberingWriter) -> None:
    feed.on_event(ModelCallStarted(call=call()))
    feed.flush()
    assert writer.batches == [Batch({})]


def test_only_hits_of_a_cache_are_lines_of_their_own(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    hit = looked_up("hit")
    for event in (looked_up("miss"), looked_up("skipped"), hit):
        feed.on_event(event)
    feed.flush()
    assert writer.batches[0].events == {type(hit): [(1_800_000_000.0, hit)]}


def test_the_start_of_a_tool_is_news_but_no_line(feed: RunFeed, writer: RememberingWriter) -> None:
    feed.on_event(ToolStarted(tool_call=ToolCall(id="t", name="read", input={})))
    feed.flush()
    assert writer.batches == [Batch({})]


def test_many_events_of_one_kind_leave_room_for_those_of_another(
    writer: RememberingWriter,
) -> None:
    feed = slow_feed(writer, queue_limit=3)
    for event in (*[replied()] * 10, AN_EVENT):
        feed.on_event(event)
    feed.close()
    assert (count(writer.batches[0]), feed.lost_events) == (4, 7)


def test_text_of_the_model_is_neither_news_nor_kept(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    feed.on_event(TextDelta(text="private"))
    feed.flush()
    assert writer.batches == [Batch({}, has_news=False)]


def test_a_reply_may_be_asked_for_again_under_a_feed_because_it_shows_no_text() -> None:
    assert RunFeed.on_event.takes_text is False  # type: ignore[attr-defined]


def test_there_is_no_thread_before_the_first_event(feed: RunFeed) -> None:
    assert feed._flusher._thread is None
    feed.on_event(AN_EVENT)
    assert feed._flusher._thread in threading.enumerate()


def test_a_closed_feed_without_events_has_written_nothing(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    feed.close()
    assert writer.batches == []


def test_the_end_is_written_with_what_was_still_queued(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    feed.on_event(AN_EVENT)
    feed.close()
    (batch,) = writer.batches
    assert batch.is_last
    assert count(batch) == 1


def test_the_end_is_written_once_and_nothing_after_it(
    feed: RunFeed, writer: RememberingWriter
) -> None:
    feed.on_event(AN_EVENT)
    feed.close()
    feed.close()
    feed.on_event(AN_EVENT)
    feed.flush()
    assert len(writer.batches) == 1


def test_what_comes_after_the_end_is_neither_kept_nor_lost(writer: RememberingWriter) -> None:
    feed = slow_feed(writer, queue_limit=1)
    feed.close()
    for _ in range(3):
        feed.on_event(AN_EVENT)
    assert (feed.lost_events, feed._queues) == (0, {})


def test_the_thread_is_gone_when_the_feed_is_closed(feed: RunFeed) -> None:
    feed.on_event(AN_EVENT)
    thread = feed._flusher._thread
    assert thread is not None
    feed.close()
    assert not thread.is_alive()


def test_events_without_room_are_counted_and_the_first_ones_kept(
    writer: RememberingWriter,
) -> None:
    feed = slow_feed(writer, queue_limit=3)
    for _ in range(10):
        feed.on_event(AN_EVENT)
    feed.close()
    (batch,) = writer.batches
    assert (count(batch), batch.lost_events, feed.lost_events) == (3, 7, 7)


def test_a_writer_that_raises_costs_its_events_and_is_said_once(
    feed: RunFeed, writer: RememberingWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.error = RuntimeError("broken")
    for _ in range(3):
        feed.on_event(AN_EVENT)
        feed.flush()
    writer.error = None
    feed.flush()
    assert (feed.failed_writes, writer.batches[0].lost_events) == (3, 3)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_writer_that_cannot_be_made_is_tried_again(writer: RememberingWriter) -> None:
    errors = [OSError("no room")]

    def make() -> RememberingWriter:
        if errors:
            raise errors.pop()
        return writer

    feed = RunFeed(make, clock=SystemClock(), interval_seconds=3_600.0)
    feed.on_event(AN_EVENT)
    feed.flush()
    feed.on_event(AN_EVENT)
    feed.close()
    assert writer.batches[0].is_last


def test_the_thread_writes_by_itself() -> None:
    written = threading.Event()

    class Telling(RememberingWriter):
        def write(self, batch: Batch) -> float | None:
            written.set()
            return super().write(batch)

    feed = RunFeed(Telling, clock=SystemClock(), interval_seconds=0.0)
    feed.on_event(AN_EVENT)
    assert written.wait(30.0)
    feed.close()


def test_a_write_that_hangs_does_not_hold_up_the_end() -> None:
    hanging, go_on = threading.Event(), threading.Event()

    class Hanging(RememberingWriter):
        def write(self, batch: Batch) -> float | None:
            hanging.set()
            go_on.wait(30.0)
            return super().write(batch)

    stuck = Hanging()
    feed = RunFeed(lambda: stuck, clock=SystemClock(), interval_seconds=0.0)
    feed.on_event(AN_EVENT)
    assert hanging.wait(30.0)
    feed.close(timeout_seconds=0.0)
    assert stuck.batches == []
    go_on.set()


def test_a_feed_that_nobody_holds_any_more_is_let_go(writer: RememberingWriter) -> None:
    slow_feed(writer)
    gc.collect()
    assert all(feed._make_writer() is not writer for feed in feed_module._feeds)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_begins_anew_and_leaves_its_parent_alone(tmp_path: Path) -> None:
    told = tmp_path / "child"
    writers: list[RememberingWriter] = []

    def make() -> RememberingWriter:
        writers.append(RememberingWriter())
        return writers[-1]

    feed = RunFeed(make, clock=SystemClock(), interval_seconds=3_600.0)
    feed.on_event(AN_EVENT)
    feed.flush()
    feed.on_event(AN_EVENT)
    child = os.fork()
    if child == 0:
        feed.on_event(AN_EVENT)
        feed.close()
        batches = writers[-1].batches
        told.write_text(f"{len(writers)} {[count(batch) for batch in batches]}")
        os._exit(0)
    os.waitpid(child, 0)
    assert told.read_text() == "2 [1]"
    feed.close()
    assert [count(batch) for batch in writers[0].batches] == [1, 1]


def test_the_interpreter_writes_the_end_at_its_exit(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from sdk_workflow._internal.clock import SystemClock\n"
        "from sdk_workflow.events import StateChanged\n"
        "from sdk_workflow.monitor.feed import RunFeed\n"
        "class Writer:\n"
        "    def write(self, batch):\n"
        f"        Path({str(tmp_path / 'end')!r}).write_text(str(batch.is_last))\n"
        "feed = RunFeed(Writer, clock=SystemClock(), interval_seconds=60.0)\n"
        "feed.on_event(StateChanged(before='a', after='b'))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (tmp_path / "end").read_text() == "True"


def test_memory_stays_what_it_is_however_many_events_come(writer: RememberingWriter) -> None:
    feed = slow_feed(writer, queue_limit=100)
    event: Any = replied()
    for _ in range(20_000):
        feed.on_event(event)
    assert feed.lost_events == 19_900
    feed.close()
    assert count(writer.batches[0]) == 100

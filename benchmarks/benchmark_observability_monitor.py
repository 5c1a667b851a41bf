"""What the monitor's feed costs a process that makes 1,000 calls a second, and how old it is.

    python benchmarks/benchmark_observability_monitor.py [--rounds N] [--json FILE]

Each round is some seconds of real time: a thread sends the events of calls in steps of 10 ms, as
the client and a session would, and another one looks at `live.json` 20 times a second. The cost is
the CPU time of the feed's own thread, and what `on_event` takes in the threads of the callers.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, percentile
from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.events import CacheLookedUp, ModelCallFinished, ModelCallStarted, RunStarted
from sdk_workflow.runtime import build_runtime
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.events import Event
    from sdk_workflow.monitor.feed import RunFeed
    from sdk_workflow.runtime import Runtime

_CALLS_PER_SECOND = 1_000
_STEP_SECONDS = 0.01
_LOOK_SECONDS = 0.05
_ROUND_SECONDS = 5.0
_SESSIONS = 20
_MAX_STALE_MS, _MAX_CORE_PERCENT = 250.0, 0.2
_USAGE = Usage(input_tokens=900, output_tokens=120, cache_read_input_tokens=4_000)


def _main() -> None:
    arguments = parse_arguments("The monitor's feed at 1,000 calls a second.", rounds=5)
    report = Report("Monitor: cost for the observed process, and age of what is shown")
    report.begin()
    rounds = [_round() for _ in range(arguments.rounds)]
    report.add(
        f"{_CALLS_PER_SECOND:,} calls a second, {_ROUND_SECONDS:g} s each",
        [
            Row(
                name="writing thread",
                series=Series([each.thread_percent for each in rounds]),
                unit="% of a core",
                digits=3,
            ),
            Row(
                name="on_event, in the callers' threads",
                series=Series([each.callers_percent for each in rounds]),
                unit="% of a core",
                digits=3,
            ),
            Row(
                name="both",
                series=Series([each.thread_percent + each.callers_percent for each in rounds]),
                unit="% of a core",
                at_most=_MAX_CORE_PERCENT,
                digits=3,
            ),
            Row(
                name="age of what a reader sees, p99",
                series=Series([percentile(each.ages_ms, 0.99) for each in rounds]),
                unit="ms",
                at_most=_MAX_STALE_MS,
                digits=0,
            ),
            Row(
                name="age of what a reader sees, median",
                series=Series([percentile(each.ages_ms, 0.5) for each in rounds]),
                unit="ms",
                digits=0,
            ),
            Row(
                name="documents a second",
                series=Series([each.documents / _ROUND_SECONDS for each in rounds]),
                at_most=5.0,
            ),
        ],
    )
    report.note("A reader looks 20 times a second; at each look the document is so old.")
    report.finish(arguments.json)


@dataclass(slots=True)
class _Round:
    thread_percent: float = 0.0
    callers_percent: float = 0.0
    documents: int = 0
    ages_ms: list[float] = field(default_factory=list)


def _round() -> _Round:
    with tempfile.TemporaryDirectory() as home:
        runtime = build_runtime(backend="simulator", home=Path(home))
        assert runtime.feed is not None
        try:
            return _measured(runtime, runtime.feed, Path(home))
        finally:
            runtime.feed.close()
            runtime.managers.close()


def _measured(runtime: Runtime, feed: RunFeed, home: Path) -> _Round:
    found, is_over = _Round(), threading.Event()
    reader = threading.Thread(target=_look, args=(home, found, is_over))
    spent = _thread_times(feed)
    sessions = _calls()
    for session in range(_SESSIONS):
        feed.on_event(RunStarted(session_id=f"ses_{session}", text="", model="sonnet"))
    _send(runtime, feed, sessions, seconds=1.0)  # the first write makes folder and thread
    reader.start()
    before = sum(spent)
    callers = _send(runtime, feed, sessions, seconds=_ROUND_SECONDS)
    found.thread_percent = 100 * (sum(spent) - before) / _ROUND_SECONDS
    found.callers_percent = 100 * callers / _ROUND_SECONDS
    is_over.set()
    reader.join()
    return found


def _thread_times(feed: RunFeed) -> list[float]:
    """Return a list to which every write of the feed's thread adds its CPU time."""
    spent: list[float] = []
    flush = feed.flush

    def timed() -> float | None:
        started = thread_time()
        again_in = flush()
        spent.append(thread_time() - started)
        return again_in

    feed._flusher._flush = timed  # noqa: SLF001 - measured from inside
    return spent


def _calls() -> list[list[Event]]:
    """Return what each of many calls tells: it begins, no cache knows it, the model answers."""
    found: list[list[Event]] = []
    for number in range(_SESSIONS):
        session_id = f"ses_{number}"
        call = Call(model="claude-sonnet-5-5", messages=(), session_id=session_id)
        reply = Reply(
            id=f"msg_{number}", model=call.model, content=(), stop_reason=None, usage=_USAGE
        )
        found.append(
            [
                ModelCallStarted(session_id=session_id, call=call),
                CacheLookedUp(
                    session_id=session_id, call=call, tier="lru", outcome="miss", reason="absent"
                ),
                ModelCallFinished(
                    session_id=session_id, call=call, reply=reply, duration_ms=800.0 + number
                ),
            ]
        )
    return found


def _send(
    runtime: Runtime, feed: RunFeed, calls: Sequence[Sequence[Event]], *, seconds: float
) -> float:
    """Send calls at the rate, and return the CPU time that `on_event` of the feed took."""
    spent, sent, started = 0.0, 0, perf_counter()
    while (elapsed := perf_counter() - started) < seconds:
        due = int(elapsed * _CALLS_PER_SECOND)
        events = [event for number in range(sent, due) for event in calls[number % len(calls)]]
        sent = due
        for event in events:
            runtime.metrics.on_event(event)
        begun = thread_time()
        for event in events:
            feed.on_event(event)
        spent += thread_time() - begun
        time.sleep(_STEP_SECONDS)  # noqa: TID251 - a pace in real time is what is measured
    return spent


def _look(home: Path, found: _Round, is_over: threading.Event) -> None:
    """Look as a reader does, and note how old what it then has is."""
    (path,) = home.glob("run/*/live.json")
    clock, seen = SystemClock(), 0
    while not is_over.wait(_LOOK_SECONDS):
        changed = path.stat().st_mtime_ns
        if changed != seen:
            found.documents += 1
            seen = changed
            _read(path)
        found.ages_ms.append((clock.now() - seen / 1e9) * 1000)


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


if __name__ == "__main__":
    _main()

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.monitor.live_document import LiveDocument, Source
from tests.monitor.feed.fakes import START

if TYPE_CHECKING:
    import pytest

KEYS = {
    "schema", "sequence", "written_at", "state", "process", "uptime_seconds", "budget", "burn",
    "traffic", "windows", "history", "tokens", "saved_usd", "models", "caches", "tools", "sessions",
    "spans", "errors", "alarms", "lost",
}  # fmt: skip


def made(*sources: Source, clock: VirtualClock | None = None) -> LiveDocument:
    return LiveDocument({"pid": 7}, sources, clock or VirtualClock(), started_at=START)


def read(document: LiveDocument, *, is_last: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document.text(sequence=4, is_last=is_last))
    return found


def test_every_key_is_there_where_nothing_is_known() -> None:
    document = read(made())
    assert set(document) == KEYS
    assert document["windows"]["1h"]["p99_ms"] is None
    assert document["lost"] == {"spans": 0, "events": 0, "writes": 0}


def test_the_head_says_which_document_of_whom_this_is() -> None:
    clock = VirtualClock(START)
    document = made(clock=clock)
    clock.advance(2.5)
    found = read(document)
    assert found["schema"] == "sdk_workflow.live/1"
    assert (found["sequence"], found["state"], found["process"]) == (4, "running", {"pid": 7})
    assert (found["written_at"], found["uptime_seconds"]) == ("2027-01-15T08:00:02.500Z", 2.5)
    assert read(document, is_last=True)["state"] == "ended"


def test_a_source_is_asked_no_more_often_than_it_can_bear() -> None:
    clock, asked = VirtualClock(START), [0, 0]

    def source(place: int) -> dict[str, Any]:
        asked[place] += 1
        return {}

    document = made(Source(lambda: source(0)), Source(lambda: source(1), 1.0), clock=clock)
    for _ in range(10):
        document.refresh()
        clock.advance(0.25)
    assert asked == [10, 3]
    document.refresh(is_last=True)
    assert asked == [11, 4]


def test_a_refresh_says_whether_anything_has_changed() -> None:
    figures = {"saved_usd": 1.0}
    document = made(Source(lambda: figures))
    assert [document.refresh(), document.refresh()] == [True, False]
    figures["saved_usd"] = 2.0
    assert document.refresh()
    assert read(document)["saved_usd"] == 2.0


def test_a_source_that_fails_is_said_once_and_leaves_what_was_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: Any = iter([{"saved_usd": 3.0}])
    document = made(Source(lambda: next(answers)), Source(lambda: {"alarms": ["after"]}))
    for _ in range(3):
        document.refresh()
    assert (read(document)["saved_usd"], read(document)["alarms"]) == (3.0, ["after"])
    assert len(caplog.records) == 1


def test_what_is_no_json_never_gets_into_the_document(caplog: pytest.LogCaptureFixture) -> None:
    document = made(
        Source(lambda: {"saved_usd": float("nan")}), Source(lambda: {"spans": [object()]})
    )
    document.refresh()
    assert (read(document)["saved_usd"], read(document)["spans"]) == (0.0, [])
    assert len(caplog.records) == 2

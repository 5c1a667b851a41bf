"""Sessions: what events make of them, how they are found, put away and deleted, and who is told."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import logging
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.background import Background
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core import session_hooks
from sdk_workflow.events import ModelCallFinished, RunFailed, RunFinished, RunStarted, TextDelta
from sdk_workflow.exceptions import OverloadedError, StorageError, UsageError
from sdk_workflow.managers.session_manager import (
    CheckpointCorrupt,
    SessionManager,
    SessionNotFound,
)
from sdk_workflow.runtime import build_runtime
from sdk_workflow.storage import session_inbox, session_store
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_info import MAX_TAGS, SessionInfo, cleaned, iso_time
from sdk_workflow.storage.session_paths import head_path, session_path
from sdk_workflow.storage.session_record import pack_info, record_path, write_record
from sdk_workflow.types import Call, Reply, RunResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86_400.0
MODEL = "claude-haiku-5-5"
HOSTILE = (
    "../../x", "", ".", "..", "CON", "con", "nul", "a" * 4096, "\u0430bc", "a\0b", "Upper", "a/b",
    "a\\b", "\ud800", "a b", "\uff41",
)  # fmt: skip


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def sessions(tmp_path: Path, clock: VirtualClock) -> Iterator[SessionManager]:
    with SessionManager(tmp_path, clock=clock) as manager:
        yield manager


def usage(tokens: int) -> Usage:
    return Usage(input_tokens=tokens, output_tokens=1)


def started(name: str | None = "a", text: str = "Hello there") -> RunStarted:
    return RunStarted(session_id=name, text=text, model=MODEL)


def called(name: str | None = "a", tokens: int = 10, model: str = MODEL) -> ModelCallFinished:
    reply = Reply(id="m", model=model, content=(), stop_reason="end_turn", usage=usage(tokens))
    call = Call(model=model, messages=(), session_id=name)
    return ModelCallFinished(session_id=name, call=call, reply=reply, duration_ms=1.0)


def finished(
    name: str = "a", tokens: int = 10, turns: int = 1, cost: float | None = 0.5
) -> RunFinished:
    result = RunResult(
        text="", stop_reason="end_turn", usage=usage(tokens), cost_usd=cost, saved_usd=None,
        served_by="api", model=MODEL, session_id=name, trace_id=None, turns=turns, tool_calls=(),
        duration_ms=1.0, time_to_first_token_ms=None,
    )  # fmt: skip
    return RunFinished(session_id=None, result=result)


def failed(
    error: BaseException, name: str | None = "a", tokens: int = 10, turns: int = 1
) -> RunFailed:
    return RunFailed(session_id=name, error=error, usage=usage(tokens), turns=turns)


def feed(sessions: SessionManager, *events: Any) -> None:
    for event in events:
        sessions.on_event(event)


def save(home: Path, name: str, *states: dict[str, Any], **options: Any) -> None:
    path = session_path(home, name)
    with SessionFile.open(path, session_id=name, create=True, **options) as file:
        for state in states:
            file.append_state(state)


# By hand


def test_a_session_is_begun_tagged_and_ended(sessions: SessionManager, clock: VirtualClock) -> None:
    name = sessions.start_session(" A review ", model=MODEL, tags=["b", "a"])
    clock.advance(60)
    sessions.tag_session(name, ["c", "a"])
    sessions.tag_session(name, ["b"], remove=True)
    sessions.end_session(name)

    info = sessions.get_session(name)
    assert (info.title, info.model, info.tags) == ("A review", MODEL, ("a", "c"))
    assert (info.status, info.turns, info.cost_usd) == ("completed", 0, 0.0)
    assert info.ended_at == info.updated_at == iso_time(clock.now())
    assert info.started_at == iso_time(clock.now() - 60)


def test_generated_ids_are_distinct_and_can_be_used(sessions: SessionManager) -> None:
    names = {sessions.generate_session_id() for _ in range(50)}

    assert len(names) == 50
    assert sessions.start_session(session_id=min(names)) in names


def test_an_id_that_is_taken_is_refused(sessions: SessionManager) -> None:
    sessions.start_session(session_id="a")

    with pytest.raises(UsageError) as caught:
        sessions.start_session("other", session_id="a")
    assert caught.value.code == "session_exists"
    assert sessions.get_session("a").title == ""


def test_active_sessions_are_those_that_have_not_ended(
    sessions: SessionManager, clock: VirtualClock
) -> None:
    for name in ("a", "b", "c"):
        sessions.start_session(session_id=name)
        clock.advance(1)
    sessions.end_session("b", "cancelled")

    assert [info.session_id for info in sessions.list_active_sessions()] == ["c", "a"]


@pytest.mark.parametrize("status", ["active", "complete", "", 3])
def test_a_session_ends_only_with_a_status_of_an_end(sessions: SessionManager, status: Any) -> None:
    sessions.start_session(session_id="a")

    with pytest.raises(UsageError):
        sessions.end_session("a", status)
    assert sessions.get_session("a").status == "active"


def test_an_unknown_id_is_answered_with_the_closest_one(sessions: SessionManager) -> None:
    sessions.start_session(session_id="review-42")

    for call in (sessions.get_session, sessions.end_session, sessions.archive_session):
        with pytest.raises(SessionNotFound, match="no session 'reveiw-42'") as caught:
            call("reveiw-42")
        assert "'review-42'" in caught.value.hint
    with pytest.raises(SessionNotFound) as caught:
        sessions.persist_session("zzz")
    assert "sessions list" in caught.value.hint
    assert sessions.load_persisted_session("zzz") is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_id_never_becomes_a_path(
    sessions: SessionManager, tmp_path: Path, name: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: sessions.start_session(session_id=name),
        lambda: sessions.end_session(name),
        lambda: sessions.get_session(name),
        lambda: sessions.persist_session(name),
        lambda: sessions.load_persisted_session(name),
        lambda: sessions.tag_session(name, ["a"]),
        lambda: sessions.archive_session(name),
        lambda: sessions.unarchive_session(name),
        lambda: sessions.check_head(name, 1, ""),
        lambda: feed(sessions, started(name)),
        lambda: feed(sessions, finished(name or "?")),
        lambda: feed(sessions, failed(ValueError(), name)),
    ]
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.code == "invalid_session_id"
        assert len(str(caught.value)) < 300

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[31m", "\ud800", "x" * 10_000_000, "a\0", "a\u202eb", 3]
)
def test_titles_and_tags_that_cannot_be_shown_are_refused(
    sessions: SessionManager, text: Any
) -> None:
    sessions.start_session(session_id="a")

    for call in (
        lambda: sessions.start_session(text),
        lambda: sessions.start_session(model=text),
        lambda: sessions.start_session(tags=[text]),
        lambda: sessions.tag_session("a", [text]),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.hint
        assert len(str(caught.value)) < 200
    assert sessions.get_session("a").tags == ()


def test_tags_are_a_list_of_a_few_names(sessions: SessionManager) -> None:
    sessions.start_session(session_id="a")

    for tags in ("urgent", 3, None, ["  "], [""]):
        with pytest.raises(UsageError):
            sessions.tag_session("a", tags)  # type: ignore[arg-type]
    sessions.tag_session("a", [f"t{number}" for number in range(MAX_TAGS)])
    with pytest.raises(UsageError, match="33 tags"):
        sessions.tag_session("a", ["one more"])
    assert len(sessions.get_session("a").tags) == MAX_TAGS


def test_text_is_the_same_however_its_accents_are_written(sessions: SessionManager) -> None:
    sessions.start_session("cafe\u0301", session_id="a", tags=["caf\u00e9", "cafe\u0301"])
    feed(sessions, started("b", text="Ein Cafe\u0301"))

    assert sessions.get_session("a").tags == ("caf\u00e9",)
    assert len(sessions.search_sessions({"tags": ["cafe\u0301"]})) == 1
    assert len(sessions.search_sessions({"text": "caf\u00e9"})) == 2
    assert len(sessions.search_sessions({"text": "CAFE\u0301"})) == 2


def test_a_tag_that_is_there_already_changes_no_time(
    sessions: SessionManager, clock: VirtualClock
) -> None:
    sessions.start_session(session_id="a", tags=["x"])
    before = sessions.get_session("a")
    clock.advance(5)

    sessions.tag_session("a", ["x"])

    assert sessions.get_session("a") == before


def test_a_clock_that_goes_back_makes_no_session_older(tmp_path: Path) -> None:
    clock = VirtualClock(start=1_000_000.0)
    with SessionManager(tmp_path, clock=clock) as sessions:
        sessions.start_session(session_id="a")
    with SessionManager(tmp_path, clock=VirtualClock(start=5.0)) as sessions:
        sessions.end_session("a")

        info = sessions.get_session("a")
        assert info.updated_at == info.started_at == iso_time(1_000_000.0)
        assert sessions.cleanup_sessions(0) == 0


@pytest.mark.parametrize("seconds", [-5.0, 1e300, 253_402_300_799.0])
def test_every_clock_gives_a_time_that_sorts(seconds: float) -> None:
    assert "1970-01-01T00:00:00.000000Z" <= iso_time(seconds) <= "9999-12-31T23:59:59.999999Z"


# By events


def test_a_run_feeds_its_session(sessions: SessionManager, clock: VirtualClock) -> None:
    feed(sessions, started(text="Look at\n\x1b[31mthis file"), called(tokens=10))
    live = sessions.get_session("a")
    feed(sessions, called(tokens=20), TextDelta(session_id="a", text="x"))
    clock.advance(3)
    feed(sessions, finished(tokens=30, turns=2, cost=0.25))

    info = sessions.get_session("a")
    assert (live.status, live.turns, live.spent.input_tokens) == ("active", 1, 10)
    assert (info.status, info.turns, info.spent.input_tokens) == ("completed", 2, 30)
    assert (info.cost_usd, info.model) == (0.25, MODEL)
    assert info.title == "Look at [31mthis file"
    assert info.ended_at == iso_time(clock.now())


def test_the_runs_of_a_session_add_up_and_its_first_message_names_it(
    sessions: SessionManager,
) -> None:
    feed(sessions, started(text="First"), finished(), started(text="Second"), finished(tokens=5))

    info = sessions.get_session("a")
    assert (info.turns, info.spent.input_tokens, info.cost_usd) == (2, 15, 1.0)
    assert (info.title, info.status) == ("First", "completed")


def test_a_title_that_was_given_stays(sessions: SessionManager) -> None:
    sessions.start_session("Mine", session_id="a")
    feed(sessions, started(), finished())

    assert sessions.get_session("a").title == "Mine"
    assert [info.session_id for info in sessions.search_sessions({"text": "hello"})] == ["a"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OverloadedError("busy\n\x1bnow"), "failed", "overloaded: busy now"),
        (ValueError("odd"), "failed", "ValueError: odd"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt:"),
    ],
)
def test_a_run_that_fails_leaves_its_error_and_its_cost(
    sessions: SessionManager, error: BaseException, status: str, said: str
) -> None:
    feed(sessions, started(), called(tokens=1000), failed(error, tokens=1000))

    info = sessions.get_session("a")
    assert (info.status, info.last_error, info.turns) == (status, said, 1)
    assert info.spent.input_tokens == 1000
    assert info.cost_usd > 0


def test_a_run_that_is_resumed_counts_once(sessions: SessionManager) -> None:
    feed(sessions, started(), called(), failed(ValueError(), tokens=10))
    feed(sessions, started(), called(), failed(ValueError(), tokens=20, turns=2))
    feed(sessions, started(), called(), finished(tokens=30, turns=3, cost=0.75))

    info = sessions.get_session("a")
    assert (info.turns, info.spent.input_tokens, info.cost_usd) == (3, 30, 0.75)
    assert (info.last_error, info.cut_off) == (None, None)


def test_the_cost_of_a_run_that_fails_again_after_resuming_is_that_of_both_parts(
    sessions: SessionManager,
) -> None:
    feed(sessions, started(), called(tokens=1000), failed(ValueError(), tokens=1000))
    once = sessions.get_session("a").spent
    feed(sessions, started(), called(tokens=1000), failed(ValueError(), tokens=2000, turns=2))

    twice = sessions.get_session("a").spent
    assert (twice.turns, twice.input_tokens) == (2, 2000)
    assert twice.cost_pico == 2 * once.cost_pico


def test_a_new_run_after_a_failed_one_counts_besides_it(sessions: SessionManager) -> None:
    feed(sessions, started(), called(), failed(ValueError(), tokens=10))
    feed(sessions, started(), called(), finished(tokens=10, turns=1, cost=0.5))

    info = sessions.get_session("a")
    assert (info.turns, info.spent.input_tokens) == (2, 20)
    assert info.cost_usd > 0.5


def test_a_run_of_a_model_without_price_counts_its_tokens(sessions: SessionManager) -> None:
    feed(sessions, started(), called(model="mystery-1"), finished(cost=None))

    info = sessions.get_session("a")
    assert (info.turns, info.spent.input_tokens, info.cost_usd) == (1, 10, 0.0)


def test_events_without_a_session_change_nothing(sessions: SessionManager, tmp_path: Path) -> None:
    feed(sessions, started(None), called(None), called("b"), failed(ValueError(), None))

    assert sessions.search_sessions() == []
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_run_whose_beginning_was_not_seen_is_kept(sessions: SessionManager) -> None:
    feed(sessions, finished("a"))

    assert sessions.get_session("a").status == "completed"


def test_first_messages_of_any_kind_become_a_title(sessions: SessionManager) -> None:
    feed(sessions, started(text="\ud800 half " + "x" * 10_000_000), finished())

    info = sessions.get_session("a")
    assert info.title.startswith("half xxx")
    assert len(info.title) <= 200
    assert len(info.first_message) <= 2000
    assert cleaned("", 5) == ""


@pytest.mark.anyio
async def test_a_kept_run_is_found_by_its_words_and_its_file_is_watched(
    sessions: SessionManager, tmp_path: Path
) -> None:
    async with (
        build_runtime(backend="simulator", home=tmp_path) as runtime,
        runtime.session(journal=True, session_id="kept", tools=()) as session,
    ):
        result = await session.message("Where is the lighthouse?")

    (info,) = await anyio.to_thread.run_sync(sessions.search_sessions, {"text": "LIGHTH"})
    assert (info.session_id, info.status, info.turns) == ("kept", "completed", 1)
    assert info.spent.input_tokens == result.usage.prompt_tokens
    assert info.cost_usd == pytest.approx(result.cost_usd)
    assert info.last_version > 0


@pytest.mark.parametrize("turns", [1, 2])
def test_a_session_that_was_kept_before_goes_on_from_what_its_file_tells(
    sessions: SessionManager, tmp_path: Path, turns: int
) -> None:
    usage = {"input_tokens": 7, "output_tokens": 2}
    save(tmp_path, "a", {"usage": usage, "turns": turns, "history": [{"content": "Before"}]})
    feed(sessions, started("a", "Then"))
    save(tmp_path, "a", {"usage": {"input_tokens": 99}, "turns": 99})
    feed(sessions, called("a"), finished("a"))

    info = sessions.get_session("a")
    assert (info.turns, info.spent.input_tokens, info.title) == (turns + 1, 17, "Before")
    assert info.last_version == 2


def test_changes_from_many_threads_are_all_kept(sessions: SessionManager) -> None:
    def run(name: str) -> None:
        for _ in range(3):
            feed(sessions, started(name), called(name), finished(name))

    threads = [threading.Thread(target=run, args=(f"s{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = sessions.search_sessions({"status": "completed"})
    assert [info.turns for info in found] == [3, 3, 3, 3]
    assert sessions.get_session_analytics().write_failures == 0


def test_what_cannot_be_written_now_is_written_later(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        error = StorageError("The disk is full.")

        def full(*_: Any, **__: Any) -> None:
            raise error

        patched.setattr(session_store.SessionStore, "change", full)
        feed(sessions, started(), finished())
        sessions.search_sessions()
        assert sessions.get_session_analytics().write_failures >= 2

    assert [info.turns for info in sessions.search_sessions()] == [1]
    warnings = [record for record in caplog.records if "could not be written" in record.message]
    assert len(warnings) == 1


def test_figures_beyond_all_measure_neither_stop_the_writer_nor_spoil_the_sums(
    sessions: SessionManager,
) -> None:
    feed(sessions, started(), finished(tokens=10**30, turns=10**30), started("b"), finished("b"))

    assert sessions.get_session("a").spent.input_tokens == 10**30
    assert [info.session_id for info in sessions.search_sessions({"sort": "-tokens"})] == ["a", "b"]
    page = sessions.search_sessions({"sort": "-turns", "limit": 1})
    rest = sessions.search_sessions({"sort": "-turns", "cursor": page.next_cursor})
    assert [info.session_id for info in rest] == ["b"]
    assert sessions.get_session_analytics().tokens == 10**12 + 11
    assert sessions.get_session_analytics().write_failures == 0


def test_a_session_that_was_deleted_under_a_run_is_begun_anew(
    sessions: SessionManager, tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(sessions, started(), finished())
    sessions.get_session("a")
    clock.advance(DAY)
    submit = sessions._inbox._writer.submit
    with monkeypatch.context() as patched:
        patched.setattr(sessions._inbox._writer, "submit", lambda _task: True)
        feed(sessions, started(text="Again"), finished())
        with SessionManager(tmp_path, clock=clock) as other:
            assert other.cleanup_sessions(0.5) == 1
    submit(sessions._inbox._work)

    info = sessions.get_session("a")

    assert (info.status, info.title, info.turns) == ("completed", "Again", 1)
    assert info.started_at == iso_time(clock.now())


def test_a_record_of_a_later_release_holds_up_no_other_session(
    sessions: SessionManager, tmp_path: Path
) -> None:
    feed(sessions, started(), finished())
    later = pack_info(sessions.get_session("a")).replace(b'"schema":1', b'"schema":2')
    body = later[later.index(b'"record":') + 9 : -2]
    check = hashlib.sha256(body).hexdigest()[:16].encode()
    record_path(tmp_path, "a").write_bytes(b'{"check":"' + check + b'","record":' + body + b"}\n")

    feed(sessions, started(), started("b"))

    assert [info.session_id for info in sessions.list_active_sessions()] == ["b"]


def test_a_disk_that_fails_for_long_costs_the_oldest_changes_and_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_inbox, "_MOST_PENDING", 2)
    fails = [True]
    written: list[str] = []

    def write(name: str) -> None:
        if fails[0]:
            raise StorageError("full")
        written.append(name)

    inbox = session_inbox.SessionInbox()
    for name in ("a", "b", "c"):
        inbox.put(name, functools.partial(write, name))
        inbox.settle()
    fails[0] = False
    inbox.settle()

    assert written == ["b", "c"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_write_what_its_parent_is_to_write() -> None:
    written: list[str] = []
    go_on = threading.Event()

    def write(name: str) -> None:
        go_on.wait(20)
        written.append(name)

    inbox = session_inbox.SessionInbox()
    inbox.put("parent", lambda: write("parent"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            go_on.set()
            inbox.put("child", lambda: write("child"))
            inbox.settle()
            code = 0 if written == ["child"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    inbox.settle()
    assert written == ["parent"]


# On disk


def test_what_was_persisted_is_loaded_by_another_manager(
    sessions: SessionManager, tmp_path: Path
) -> None:
    sessions.start_session("A review", session_id="a", tags=["x"])

    path = sessions.persist_session("a")

    assert path == record_path(tmp_path, "a")
    with SessionManager(tmp_path) as other:
        loaded = other.load_persisted_session("a")
    assert loaded is not None
    assert loaded == sessions.get_session("a").to_json()
    assert json.loads(json.dumps(loaded)) == loaded
    assert (loaded["title"], loaded["tags"]) == ("A review", ["x"])


def test_a_session_file_that_got_shorter_is_noticed(
    sessions: SessionManager, tmp_path: Path
) -> None:
    save(tmp_path, "a", {"n": 1}, {"n": 2})
    older = session_path(tmp_path, "a").read_bytes()
    save(tmp_path, "a", {"n": 3})
    feed(sessions, finished("a"))
    assert sessions.load_persisted_session("a") is not None
    session_path(tmp_path, "a").write_bytes(older)
    head_path(session_path(tmp_path, "a")).unlink()

    with pytest.raises(CheckpointCorrupt, match="versions 3 to 3 were saved but are missing"):
        sessions.load_persisted_session("a")

    sessions.persist_session("a")
    assert sessions.load_persisted_session("a") is not None


def test_a_head_is_checked_against_what_was_known(sessions: SessionManager, tmp_path: Path) -> None:
    save(tmp_path, "a", {"n": 1}, {"n": 2})
    sessions.persist_session("a")
    chain = sessions.get_session("a").chain

    sessions.check_head("a", 2, chain)
    sessions.check_head("a", 3, "another")
    sessions.check_head("unknown", 1, "")
    with pytest.raises(CheckpointCorrupt, match="versions 2 to 2") as caught:
        sessions.check_head("a", 1, chain)
    assert caught.value.version == 2
    with pytest.raises(CheckpointCorrupt, match="version 2 is not the one"):
        sessions.check_head("a", 2, "00")


def test_an_encrypted_session_needs_its_key_only_to_be_looked_into(tmp_path: Path) -> None:
    key = b"k" * 32
    save(tmp_path, "a", {"model": MODEL, "turns": 2}, key=key)
    with SessionManager(tmp_path, encryption_key=key) as sessions:
        assert sessions.get_session("a").model == MODEL
        sessions.tag_session("a", ["x"])
    with SessionManager(tmp_path) as sessions:
        loaded = sessions.load_persisted_session("a")
        assert loaded is not None
        assert loaded["model"] == MODEL
        sessions.archive_session("a")
        with pytest.raises(StorageError, match="encrypted"):
            sessions.persist_session("a")
    with (
        SessionManager(tmp_path, encryption_key=b"x" * 32) as sessions,
        pytest.raises(StorageError, match="another key"),
    ):
        sessions.load_persisted_session("a")


def test_a_catalogue_is_said_to_be_damaged_and_made_anew(tmp_path: Path) -> None:
    notices: list[str] = []
    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        sessions.start_session("A review", session_id="a", tags=["x"])
        feed(sessions, started("b"), finished("b"))
        before = sessions.export_sessions()
    (tmp_path / "catalog.sqlite").write_bytes(b"\0" * 5000)

    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        assert sessions.export_sessions() == before
        assert sessions.verify_catalog()
    assert "made anew from 2 sessions" in notices[0]
    (tmp_path / "catalog.sqlite").unlink()
    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        assert sessions.export_sessions() == before
    assert "was made from 2 sessions" in notices[1]


def test_a_check_of_the_catalogue_finds_a_session_that_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.storage.sessions import execute

    monkeypatch.setattr("sdk_workflow.storage.catalog_file._CHECKED_BYTES", 0)
    with SessionManager(tmp_path) as sessions:
        assert sessions.verify_catalog()
        sessions.start_session(session_id="a")
        execute(tmp_path / "catalog.sqlite", "DELETE FROM sessions")

        assert sessions.verify_catalog() is False
        assert [info.session_id for info in sessions.search_sessions()] == ["a"]
    assert "sessions are missing" in caplog.text or "malformed" in caplog.text


def test_looking_for_sessions_leaves_no_trace_where_there_never_was_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with SessionManager(home) as sessions:
        assert sessions.search_sessions() == []
        assert sessions.list_active_sessions() == []
        assert sessions.get_session_analytics().sessions == 0
        assert json.loads(sessions.export_sessions())["sessions"] == []
        assert sessions.cleanup_sessions(0) == 0
        assert sessions.load_persisted_session("a") is None
        with pytest.raises(SessionNotFound):
            sessions.get_session("a")
    assert not home.exists()


def test_the_home_is_the_users_own_by_default(clean_environment: Path) -> None:
    with SessionManager() as sessions:
        sessions.start_session(session_id="a")

    assert (clean_environment / "catalog.sqlite").exists()


# Archive and cleanup


def test_a_session_that_is_put_away_stays_findable_and_comes_back(
    sessions: SessionManager, tmp_path: Path
) -> None:
    save(tmp_path, "a", {"n": 1})
    feed(sessions, started(), finished())
    original = session_path(tmp_path, "a").read_bytes()

    path = sessions.archive_session("a")

    assert path.read_bytes() == original
    assert path.is_relative_to(tmp_path / "archive")
    assert not session_path(tmp_path, "a").exists()
    (found,) = sessions.search_sessions({"archived": True, "text": "hello"})
    assert found.archived_at is not None
    assert sessions.load_persisted_session("a") is not None
    assert sessions.archive_session("a") == path
    assert sessions.unarchive_session("a") == session_path(tmp_path, "a")
    assert sessions.search_sessions({"archived": True}) == []
    with SessionFile.open(session_path(tmp_path, "a"), session_id="a") as file:
        assert file.load() == {"n": 1}


def test_a_session_without_a_file_is_put_away_by_its_record(
    sessions: SessionManager, tmp_path: Path
) -> None:
    sessions.start_session(session_id="a")

    assert sessions.archive_session("a") == record_path(tmp_path, "a")
    info = sessions.get_session("a")
    assert (info.status, info.archived_at is not None) == ("cancelled", True)
    sessions.unarchive_session("a")
    assert sessions.get_session("a").archived_at is None


def test_a_session_in_use_is_not_put_away(sessions: SessionManager, tmp_path: Path) -> None:
    save(tmp_path, "a", {"n": 1})
    with SessionFile.open(session_path(tmp_path, "a"), session_id="a") as file:
        file.claim()
        for changed in (False, True):
            if changed:
                file.append_state({"n": 2})
            with pytest.raises(StorageError) as caught:
                sessions.archive_session("a")
            assert caught.value.code == "session_in_use"
        assert sessions.get_session("a").archived_at is None

    sessions.archive_session("a")


def test_a_session_that_is_open_elsewhere_is_not_put_away(
    sessions: SessionManager, tmp_path: Path
) -> None:
    save(tmp_path, "a", {"n": 1})
    with SessionFile.open(session_path(tmp_path, "a"), session_id="a") as file:
        file.append_state({"n": 2})  # its log is not empty, and nobody is writing

        with pytest.raises(StorageError, match="open elsewhere"):
            sessions.archive_session("a")


def test_a_log_that_a_crash_left_behind_is_put_away_with_its_session(
    sessions: SessionManager, tmp_path: Path
) -> None:
    path = session_path(tmp_path, "a")
    with SessionFile.open(path, session_id="a", create=True) as file:
        file.append_state({"n": 1})
        parts = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    for name, data in parts.items():
        path.with_name(name).write_bytes(data)
    path.with_name("a.sqlite-shm").unlink()

    archived = sessions.archive_session("a")

    assert [each.name for each in archived.parent.iterdir()] == ["a.sqlite"]
    with SessionFile.open(archived, session_id="a", read_only=True) as file:
        assert file.load() == {"n": 1}


def test_a_session_is_never_brought_back_over_another_one(
    sessions: SessionManager, tmp_path: Path
) -> None:
    save(tmp_path, "a", {"n": 1})
    path = sessions.archive_session("a")
    with pytest.raises(UsageError, match="already"):
        sessions.start_session(session_id="a")
    save(tmp_path / "elsewhere", "a", {"n": 2})
    for place in (lambda path: path, head_path):
        place(session_path(tmp_path / "elsewhere", "a")).replace(place(session_path(tmp_path, "a")))
    save_bytes = path.read_bytes()

    with pytest.raises((StorageError, SessionNotFound)):
        sessions.archive_session("a")

    assert path.read_bytes() == save_bytes
    with SessionFile.open(session_path(tmp_path, "a"), session_id="a") as file:
        assert file.load() == {"n": 2}


def test_an_archive_that_a_crash_cut_short_is_known_by_the_place_of_its_file(
    sessions: SessionManager, tmp_path: Path
) -> None:
    save(tmp_path, "a", {"n": 1})
    sessions.tag_session("a", ["x"])
    path = sessions.archive_session("a")
    sessions.unarchive_session("a")
    session_path(tmp_path, "a").replace(path)
    (tmp_path / "catalog.sqlite").unlink()

    (info,) = sessions.search_sessions({"archived": True})
    assert info.tags == ("x",)
    assert sessions.get_session("a") == info


def test_cleanup_deletes_what_is_old_and_nothing_that_is_wanted(
    sessions: SessionManager, tmp_path: Path, clock: VirtualClock
) -> None:
    for name in ("active", "archived", "old", "older", "claimed"):
        save(tmp_path, name, {"n": 1}, clock=clock)
        sessions.tag_session(name, ["x"])
        if name != "active":
            sessions.end_session(name)
    feed(sessions, started("active"))
    sessions.archive_session("archived")
    clock.advance(10 * DAY)
    sessions.start_session(session_id="young")
    sessions.end_session("young")

    with SessionFile.open(session_path(tmp_path, "claimed"), session_id="claimed") as file:
        file.claim()
        assert sessions.cleanup_sessions(10.5) == 0
        assert sessions.cleanup_sessions(9) == 2

    names = {info.session_id for info in sessions.search_sessions()}
    assert names == {"active", "archived", "claimed", "young"}
    assert not list(tmp_path.rglob("old*"))
    assert sessions.verify_catalog()
    assert sessions.cleanup_sessions(9) == 1


def test_cleanup_goes_by_the_record_where_the_catalogue_lags(
    sessions: SessionManager, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.start_session(session_id="a")
    sessions.end_session("a")
    clock.advance(10 * DAY)

    sessions.tag_session("a", ["used again"])
    names = ["a", "gone"]
    monkeypatch.setattr(
        "sdk_workflow.storage.catalog_rows.CatalogRows.ids_before", lambda *_: names
    )

    assert sessions.cleanup_sessions(5) == 1  # "gone", of which nothing is left
    assert sessions.get_session("a").tags == ("used again",)


@pytest.mark.parametrize("days", [-1, float("nan"), "7", None, True])
def test_cleanup_refuses_days_that_are_none(sessions: SessionManager, days: Any) -> None:
    with pytest.raises(UsageError, match="older_than_days"):
        sessions.cleanup_sessions(days)


# Search, figures, export


def test_search_goes_page_by_page(sessions: SessionManager, clock: VirtualClock) -> None:
    for number in range(5):
        sessions.start_session(session_id=f"s{number}")
        clock.advance(1)

    first = sessions.search_sessions({"limit": 3})
    second = sessions.search_sessions({"limit": 3, "cursor": first.next_cursor})

    assert [info.session_id for info in (*first, *second)] == ["s4", "s3", "s2", "s1", "s0"]
    assert second.next_cursor is None
    with pytest.raises(UsageError, match="no filter 'tag'"):
        sessions.search_sessions({"tag": "x"})


def test_analytics_add_up(sessions: SessionManager) -> None:
    feed(sessions, started("a"), finished("a", cost=0.25), started("b"), finished("b"))
    sessions.start_session(session_id="c")
    sessions.archive_session("b")

    figures = sessions.get_session_analytics()

    assert (figures.sessions, figures.archived, figures.turns, figures.tokens) == (3, 1, 2, 22)
    assert figures.cost_usd == 0.75
    assert figures.by_status == {"active": 1, "completed": 2}
    assert figures.by_model == {
        "unknown": {"sessions": 1, "tokens": 0, "cost_usd": 0.0},
        MODEL: {"sessions": 2, "tokens": 22, "cost_usd": 0.75},
    }
    assert (figures.hook_failures, figures.write_failures) == (0, 0)


def test_an_export_holds_all_sessions(sessions: SessionManager) -> None:
    sessions.start_session('=cmd("x"), "quoted"', session_id="a", tags=["x", "y"])
    feed(sessions, started("b"), finished("b"))

    document = json.loads(sessions.export_sessions())
    rows = list(csv.DictReader(io.StringIO(sessions.export_sessions("csv"))))

    assert document["schema"] == "sdk_workflow.sessions/1"
    assert [each["session_id"] for each in document["sessions"]] == ["a", "b"]
    assert [row["session_id"] for row in rows] == ["a", "b"]
    assert rows[0]["title"] == '\'=cmd("x"), "quoted"'
    assert (rows[0]["tags"], rows[0]["ended_at"], rows[1]["cost_usd"]) == ("x y", "", "0.5")
    assert set(rows[0]) == set(document["sessions"][0])
    with pytest.raises(UsageError, match="'xml'"):
        sessions.export_sessions("xml")
    with pytest.raises(UsageError) as caught:
        sessions.export_sessions("jsn")
    assert "'json'" in caught.value.hint


# Hooks


def test_hooks_are_told_of_the_life_of_sessions(sessions: SessionManager) -> None:
    told: list[tuple[str, str, str]] = []
    for event in ("started", "ended", "persisted", "archived", "failed"):
        sessions.on(
            event,
            lambda info, event=event: told.append((event, info.session_id, info.status)),  # type: ignore[misc]
        )
    sessions.start_session(session_id="a")
    feed(sessions, started("b"), finished("b"), started("b"), failed(ValueError(), "b"))
    sessions.persist_session("b")
    sessions.end_session("a", "cancelled")
    sessions.archive_session("a")
    sessions.close()

    def of(event: str) -> list[tuple[str, str]]:
        return [(name, status) for kind, name, status in told if kind == event]

    assert of("started") == [("a", "active"), ("b", "active"), ("b", "active")]
    assert of("ended") == [("b", "completed"), ("b", "failed"), ("a", "cancelled")]
    assert of("failed") == [("b", "failed")]
    assert of("persisted") == [("b", "failed")]
    assert of("archived") == [("a", "cancelled")]


def test_a_run_in_a_session_that_is_active_already_starts_nothing(sessions: SessionManager) -> None:
    told: list[SessionInfo] = []
    sessions.on("started", told.append)
    sessions.start_session(session_id="a")
    feed(sessions, started("a"))
    sessions.close()

    assert len(told) == 1


def test_a_hook_that_raises_is_counted_and_told_of_once(
    sessions: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: SessionInfo) -> None:
        raise SystemExit("no")

    told: list[SessionInfo] = []
    sessions.on("started", broken)
    sessions.on("started", told.append)
    for name in ("a", "b", "c"):
        sessions.start_session(session_id=name)
    sessions.close()

    assert sessions.get_session_analytics().hook_failures == 3
    assert [info.session_id for info in told] == ["a", "b", "c"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_hook_that_hangs_holds_up_nobody(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_hooks, "_MOST_WAITING", 2)
    monkeypatch.setattr("sdk_workflow.managers.session_manager._HOOK_SECONDS", 0.01)
    released, hangs = threading.Event(), threading.Event()

    def hanging(_: SessionInfo) -> None:
        hangs.set()
        released.wait(30)

    told: list[SessionInfo] = []
    sessions.on("started", hanging)
    sessions.on("started", told.append)
    sessions.start_session(session_id="first")
    hangs.wait(30)
    for number in range(4):
        sessions.start_session(session_id=f"s{number}")
    sessions.close()
    released.set()

    assert sessions.get_session_analytics().hook_failures == 2
    assert len(told) == 5


def test_a_hook_needs_an_event_and_a_function(sessions: SessionManager) -> None:
    with pytest.raises(UsageError) as caught:
        sessions.on("start", print)
    assert "'started'" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        sessions.on("xyz", print)
    assert "The events are" in caught.value.hint
    with pytest.raises(UsageError, match="cannot be called"):
        sessions.on("started", "print")  # type: ignore[arg-type]


# Background


def test_tasks_are_done_in_order_and_refused_beyond_the_limit() -> None:
    go_on, begun = threading.Event(), threading.Event()
    seen: list[int] = []
    background = Background("test", limit=2)

    def hold() -> None:
        begun.set()
        go_on.wait(30)

    background.submit(hold)
    begun.wait(30)

    accepted = [background.submit(lambda number=number: seen.append(number)) for number in range(3)]  # type: ignore[misc]

    assert accepted == [True, True, False]
    assert background.wait(0.01) is False
    go_on.set()
    assert background.wait(30)
    assert seen == [0, 1]


def test_a_task_that_raises_is_logged_and_the_next_one_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []
    background = Background("test")

    background.submit(lambda: 1 / 0)
    background.submit(lambda: seen.append(1))

    assert background.wait(30)
    assert seen == [1]
    assert "ZeroDivisionError" in caplog.text


def test_an_id_that_nobody_has_changes_nothing_and_is_answered_with_the_closest(
    tmp_path: Path,
) -> None:
    notices: list[str] = []
    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        sessions.start_session(session_id="review-42")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        asks: list[Callable[[], object]] = [
            lambda: sessions.end_session("review-43"),
            lambda: sessions.tag_session("review-43", ["x"]),
            lambda: sessions.persist_session("review-43"),
            lambda: sessions.archive_session("review-43"),
            lambda: sessions.unarchive_session("review-43"),
        ]
        for ask in asks:
            with pytest.raises(SessionNotFound) as caught:
                ask()
            assert "review-42" in caught.value.hint
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert notices == []


@pytest.mark.parametrize("away", [True, False])
def test_a_session_with_two_files_is_neither_put_away_nor_brought_back(
    tmp_path: Path, away: bool  # noqa: FBT001 - a case
) -> None:
    with SessionManager(tmp_path) as sessions:
        save(tmp_path, "a", {"turns": 1})
        path = session_path(tmp_path, "a")
        there = sessions.archive_session("a")
        shutil.copy(there, path)
        move = sessions.archive_session if away else sessions.unarchive_session
        with pytest.raises(StorageError, match="two files") as caught:
            move("a")
        assert caught.value.code == "session_exists"
        assert there.read_bytes() == path.read_bytes()
        path.unlink()
        assert sessions.unarchive_session("a") == path


def test_no_session_is_begun_under_an_id_that_looks_like_an_option(tmp_path: Path) -> None:
    with SessionManager(tmp_path) as sessions:
        with pytest.raises(UsageError, match="begins with '-'"):
            sessions.start_session(session_id="-x")
        with pytest.raises(UsageError, match="begins with '-'"):
            sessions.on_event(started("-x"))
        write_record(
            record_path(tmp_path, "-y"), SessionInfo(session_id="-y", started_at=iso_time(0))
        )
        feed(sessions, started("-y"))
        sessions.tag_session("-y", ["x"])
        assert sessions.get_session("-y").tags == ("x",)
        assert [each.session_id for each in sessions.search_sessions()] == ["-y"]


def test_the_home_can_be_named_as_text(tmp_path: Path) -> None:
    with SessionManager(str(tmp_path)) as sessions:
        sessions.start_session(session_id="a")
    with SessionManager(tmp_path) as sessions:
        assert sessions.get_session("a").session_id == "a"
    with pytest.raises(UsageError, match="is no path"):
        SessionManager(7)  # type: ignore[arg-type]

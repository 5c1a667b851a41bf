"""What anybody can see of the session manager from outside, checked against its promises alone."""

from __future__ import annotations

import csv
import inspect
import io
import json
import math
import random
import re
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow import run_sync
from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.events import RunFailed, RunStarted
from sdk_workflow.exceptions import (
    CheckpointCorrupt,
    OverloadedError,
    SdkWorkflowError,
    SessionNotFound,
    StorageError,
    UsageError,
)
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.types import Usage
from tests.blackbox.processes import start, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sdk_workflow.managers.session_manager import SessionInfo

DAY = 86_400.0
SEED = 20261121
HOSTILE_IDS = [
    "../../x", "", ".", "..", "CON", "con", "nul", "a" * 129, "a" * 4096, "A", "a b", "a/b", "a\0",
    "a\n", "\u0430bc", "\uff41", "\ud800", None, 5,
]  # fmt: skip


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def sessions(tmp_path: Path, notices: list[str], clock: VirtualClock) -> Iterator[SessionManager]:
    with SessionManager(tmp_path / "state", on_notice=notices.append, clock=clock) as made:
        yield made


def ids(page: list[SessionInfo]) -> list[str]:
    return [info.session_id for info in page]


# -- life --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("generate_session_id", []),
        ("start_session", []),
        ("end_session", ["session_id", "status"]),
        ("get_session", ["session_id"]),
        ("list_active_sessions", []),
        ("persist_session", ["session_id"]),
        ("load_persisted_session", ["session_id"]),
        ("search_sessions", ["filters"]),
        ("get_session_analytics", []),
        ("tag_session", ["session_id", "tags"]),
        ("archive_session", ["session_id"]),
        ("cleanup_sessions", ["older_than_days"]),
        ("on", ["event", "hook"]),
        ("export_sessions", ["format"]),
    ],
)
def test_every_promised_method_takes_its_promised_arguments(method: str, names: list[str]) -> None:
    parameters = list(inspect.signature(getattr(SessionManager, method)).parameters)
    assert parameters[1 : 1 + len(names)] == names


def test_new_ids_never_repeat_and_can_name_a_file(sessions: SessionManager) -> None:
    made = {sessions.generate_session_id() for _ in range(2000)}
    assert len(made) == 2000
    assert all(re.fullmatch(r"[a-z0-9_-]{1,128}", name) for name in made)


def test_a_session_is_active_until_it_ends(sessions: SessionManager) -> None:
    name = sessions.start_session("Ebb", tags=["b", "a", "b"])
    assert ids(sessions.list_active_sessions()) == [name]
    assert sessions.get_session(name).tags == ("a", "b")
    sessions.end_session(name)
    info = sessions.get_session(name)
    assert info.status == "completed"
    assert info.ended_at is not None
    assert info.ended_at.endswith("Z")
    assert sessions.list_active_sessions() == []


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_session_ends_as_it_is_said_to(sessions: SessionManager, status: str) -> None:
    sessions.start_session(session_id="ebb")
    sessions.end_session("ebb", status)
    assert sessions.get_session("ebb").status == status
    assert ids(sessions.search_sessions({"status": status})) == ["ebb"]


@pytest.mark.parametrize("status", ["active", "x", "", None, 5])
def test_a_session_cannot_end_otherwise(sessions: SessionManager, status: Any) -> None:
    sessions.start_session(session_id="ebb")
    with pytest.raises(UsageError):
        sessions.end_session("ebb", status)
    assert sessions.get_session("ebb").status == "active"


def test_an_id_is_given_once(sessions: SessionManager) -> None:
    sessions.start_session("first", session_id="ebb")
    with pytest.raises(UsageError):
        sessions.start_session("second", session_id="ebb")
    assert sessions.get_session("ebb").title == "first"


def test_a_session_outlives_its_manager(tmp_path: Path) -> None:
    with SessionManager(tmp_path) as first:
        first.start_session("Ebb", session_id="ebb", model="claude-haiku-4-5", tags=["low"])
    with SessionManager(tmp_path) as second:
        info = second.get_session("ebb")
        assert (info.title, info.model, info.tags) == ("Ebb", "claude-haiku-4-5", ("low",))
        persisted = second.load_persisted_session("ebb")
        assert persisted is not None
        assert persisted["title"] == "Ebb"
        assert json.loads(json.dumps(persisted)) == persisted
        assert second.persist_session("ebb").exists()


def test_a_run_that_it_watches_tells_it_turns_tokens_and_cost(sessions: SessionManager) -> None:
    result = run_sync(
        "When does the water come?", backend="simulator", session_id="ebb",
        sinks=[sessions.on_event], cache_mode="off",
    )  # fmt: skip
    info = sessions.get_session("ebb")
    assert info.first_message == "When does the water come?"
    assert info.spent.input_tokens == result.usage.prompt_tokens
    assert info.spent.output_tokens == result.usage.output_tokens
    assert info.turns == result.turns
    assert info.cost_usd == pytest.approx(result.cost_usd)
    assert info.model == result.model
    assert ids(sessions.search_sessions({"text": "WATER co"})) == ["ebb"]


def test_a_run_that_fails_is_remembered_with_its_error(sessions: SessionManager) -> None:
    sessions.on_event(RunStarted(session_id="ebb", text="Hello", model="claude-haiku-4-5"))
    error = OverloadedError("busy", status=529)
    usage = Usage(input_tokens=7, output_tokens=1)
    sessions.on_event(RunFailed(session_id="ebb", error=error, usage=usage, turns=1))
    info = sessions.get_session("ebb")
    assert info.last_error
    assert info.spent.input_tokens == 7
    assert info.status == "failed"


# -- hooks -------------------------------------------------------------------------------------


def test_hooks_hear_of_every_event_of_theirs_once(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    with SessionManager(tmp_path) as sessions:
        for event in ("started", "ended", "persisted", "archived"):
            sessions.on(event, lambda info, event=event: heard.append((event, info.session_id)))  # type: ignore[misc]
        sessions.start_session(session_id="ebb")
        sessions.end_session("ebb")
        sessions.persist_session("ebb")
        sessions.archive_session("ebb")
    assert [name for name, _ in heard] == ["started", "ended", "persisted", "archived"]
    assert {session_id for _, session_id in heard} == {"ebb"}


def test_a_hook_hears_of_a_session_that_failed(tmp_path: Path) -> None:
    heard: list[str] = []
    with SessionManager(tmp_path) as sessions:
        sessions.on("failed", lambda info: heard.append(info.session_id))
        sessions.start_session(session_id="ebb")
        sessions.end_session("ebb", "failed")
    assert heard == ["ebb"]


def test_hooks_that_raise_or_hang_break_no_session(tmp_path: Path) -> None:
    stuck, heard = threading.Event(), []

    def bad(info: SessionInfo) -> None:
        raise RuntimeError(info.session_id)

    sessions = SessionManager(tmp_path, on_notice=lambda _: None)
    sessions.on("started", bad)
    sessions.on("started", lambda info: heard.append(info.session_id))
    sessions.on("ended", lambda _: stuck.wait(20))
    for number in range(3):
        sessions.start_session(session_id=f"s-{number}")
        sessions.end_session(f"s-{number}")
    assert len(sessions.search_sessions({"status": "completed"})) == 3
    sessions.close()
    stuck.set()
    with SessionManager(tmp_path) as again:
        assert len(again.search_sessions({"status": "completed"})) == 3


@pytest.mark.parametrize(("event", "hook"), [("x", print), (None, print), ("started", 5)])
def test_a_hook_that_can_never_be_called_is_refused(
    sessions: SessionManager, event: Any, hook: Any
) -> None:
    with pytest.raises(UsageError):
        sessions.on(event, hook)


# -- search ------------------------------------------------------------------------------------

WORDS = ["ebb", "Flood", "tide_", "100%", "na\u00efve", "\u6f6e", "it's", 'a"b', "*", "OR"]


def sea(sessions: SessionManager, clock: VirtualClock, count: int) -> list[SessionInfo]:
    source = random.Random(SEED)  # noqa: S311 - the same sea each time
    for number in range(count):
        clock.advance(source.choice([0, 1, DAY / 7]))
        name = sessions.start_session(
            " ".join(source.sample(WORDS, 3)),
            session_id=f"s-{number:03}",
            model=source.choice(["claude-haiku-4-5", "claude-opus-5", None]),
            tags=source.sample(["a", "b", "c"], source.randrange(3)),
        )
        if source.random() < 0.6:
            sessions.end_session(name, source.choice(["completed", "failed", "cancelled"]))
        if source.random() < 0.1:
            sessions.archive_session(name)
    return [sessions.get_session(f"s-{number:03}") for number in range(count)]


FILTERS: dict[str, tuple[dict[str, Any], Callable[[SessionInfo], bool]]] = {
    "all": ({}, lambda _: True),
    "status": ({"status": "failed"}, lambda info: info.status == "failed"),
    "model": ({"model": "claude-opus-5"}, lambda info: info.model == "claude-opus-5"),
    "one tag": ({"tags": ["a"]}, lambda info: "a" in info.tags),
    "two tags": ({"tags": ["a", "b"]}, lambda info: {"a", "b"} <= set(info.tags)),
    "archived": ({"archived": True}, lambda info: info.archived_at is not None),
    "not archived": ({"archived": False}, lambda info: info.archived_at is None),
    "two at once": (
        {"status": "active", "tags": ["c"]},
        lambda info: info.status == "active" and "c" in info.tags,
    ),
    "cost": ({"min_cost_usd": 0, "max_cost_usd": 0}, lambda _: True),
    "dear": ({"min_cost_usd": 0.000001}, lambda _: False),
    **{
        f"text {word!a}": (
            {"text": word},
            lambda info, word=word: word.lower() in info.title.lower(),  # type: ignore[misc]
        )
        for word in [*WORDS, "EB", "lood", "\u00cf"]
    },
}


@pytest.fixture(scope="module")
def the_sea(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SessionManager, list[SessionInfo]]]:
    clock = VirtualClock()
    with SessionManager(tmp_path_factory.mktemp("sea"), clock=clock) as sessions:
        yield sessions, sea(sessions, clock, 30)


@pytest.mark.parametrize("name", FILTERS)
def test_a_search_finds_all_that_meets_its_filters_and_nothing_else(
    the_sea: tuple[SessionManager, list[SessionInfo]], name: str
) -> None:
    sessions, known = the_sea
    filters, fits = FILTERS[name]
    found = sessions.search_sessions({**filters, "limit": 1000})
    assert sorted(ids(found)) == [info.session_id for info in known if fits(info)]
    assert found.next_cursor is None


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_times_bound_a_search_on_both_sides(
    the_sea: tuple[SessionManager, list[SessionInfo]], share: float
) -> None:
    sessions, known = the_sea
    edge = sorted(info.updated_at for info in known)[int(len(known) * share)]
    later = sessions.search_sessions({"since": edge, "limit": 1000})
    earlier = sessions.search_sessions({"until": edge, "limit": 1000})
    assert set(ids(later)) == {info.session_id for info in known if info.updated_at >= edge}
    assert set(ids(earlier)) == {info.session_id for info in known if info.updated_at <= edge}


@pytest.mark.parametrize("sort", ["updated", "-updated", "started", "-started", "-cost", "turns"])
@pytest.mark.parametrize("limit", [1, 7])
def test_pages_show_every_session_once_and_in_order(
    the_sea: tuple[SessionManager, list[SessionInfo]], sort: str, limit: int
) -> None:
    sessions, known = the_sea
    seen: list[SessionInfo] = []
    cursor: str | None = None
    while True:
        filters = {"sort": sort, "limit": limit, **({"cursor": cursor} if cursor else {})}
        page = sessions.search_sessions(filters)
        assert len(page) <= limit
        seen += page
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(ids(seen)) == ids(known)
    key = {"updated": "updated_at", "started": "started_at", "cost": "cost_usd", "turns": "turns"}
    values = [getattr(info, key[sort.lstrip("-")]) for info in seen]
    assert values == sorted(values, reverse=sort.startswith("-"))


def test_a_cursor_stays_good_while_others_come_and_go(
    sessions: SessionManager, clock: VirtualClock
) -> None:
    for number in range(9):
        clock.advance(1)
        sessions.start_session(session_id=f"s-{number:02}")
    first = sessions.search_sessions({"sort": "started", "limit": 5})
    clock.advance(1)
    sessions.start_session(session_id="new")
    sessions.end_session("s-03")
    rest = sessions.search_sessions({"sort": "started", "cursor": first.next_cursor})
    assert ids(first) + ids(rest) == [f"s-{number:02}" for number in range(9)] + ["new"]


def test_a_cursor_of_another_search_is_refused(sessions: SessionManager) -> None:
    for number in range(5):
        sessions.start_session(session_id=f"s-{number}")
    cursor = sessions.search_sessions({"sort": "started", "limit": 2}).next_cursor
    with pytest.raises(UsageError):
        sessions.search_sessions({"sort": "-cost", "limit": 2, "cursor": cursor})


@pytest.mark.parametrize(
    "filters",
    [
        {"bogus": 1}, {"status": "x"}, {"status": ["active"]}, {"model": 5}, {"text": 5},
        {"archived": 1}, {"since": "x"}, {"since": 0}, {"until": math.nan}, {"min_cost_usd": -1},
        {"min_cost_usd": math.nan}, {"max_cost_usd": "x"}, {"sort": "x"}, {"limit": 0},
        {"limit": -1}, {"limit": 1.5}, {"limit": True}, {"limit": 10**9}, {"cursor": "x"},
        {"cursor": 5}, {"cursor": ""}, {"tags": [5]}, {"tags": 5}, {"text": "\ud800"},
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_a_clear_error(
    sessions: SessionManager, filters: dict[str, Any]
) -> None:
    sessions.start_session(session_id="ebb")
    with pytest.raises(UsageError) as caught:
        sessions.search_sessions(filters)
    assert caught.value.hint


@pytest.mark.parametrize("filters", ["status=active", ["active"]])
def test_filters_that_are_no_mapping_are_a_clear_error(
    sessions: SessionManager, filters: Any
) -> None:
    with pytest.raises(UsageError):
        sessions.search_sessions(filters)


# -- tags, archive, cleanup, figures -----------------------------------------------------------


def test_tags_are_added_once_and_taken_away(sessions: SessionManager) -> None:
    sessions.start_session(session_id="ebb")
    sessions.tag_session("ebb", ["b", "a", "a"])
    sessions.tag_session("ebb", ["b", "c"])
    assert sessions.get_session("ebb").tags == ("a", "b", "c")
    sessions.tag_session("ebb", ["b", "never"], remove=True)
    assert sessions.get_session("ebb").tags == ("a", "c")


@pytest.mark.parametrize(
    "tags",
    [[""], ["a" * 999], ["\ud800"], ["\n"], [5], None, "abc", [f"t{n}" for n in range(33)]],
    ids=lambda tags: ascii(tags)[:12],
)
def test_tags_that_cannot_be_change_nothing(sessions: SessionManager, tags: Any) -> None:
    sessions.start_session(session_id="ebb", tags=["kept"])
    with pytest.raises(UsageError):
        sessions.tag_session("ebb", tags)
    assert sessions.get_session("ebb").tags == ("kept",)


def test_an_archived_session_stays_in_every_search_and_comes_back_whole(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save_checkpoint("ebb", n=1)
    with SessionManager(tmp_path) as sessions:
        sessions.start_session("Flood", session_id="flood")
        moved = sessions.archive_session("ebb")
        assert moved.exists()
        assert "archive" in str(moved)
        assert ids(sessions.search_sessions({"archived": True})) == ["ebb"]
        assert "ebb" in ids(sessions.search_sessions())
        assert ids(sessions.list_active_sessions()) == ["flood"]
        sessions.unarchive_session("ebb")
        assert sessions.get_session("ebb").archived_at is None
    with CheckpointManager(tmp_path) as checkpoints:
        assert checkpoints.load_checkpoint("ebb") == {"n": 1}


def test_a_session_that_was_put_away_is_not_begun_a_second_time_beside_its_history(
    tmp_path: Path,
) -> None:
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save_checkpoint("ebb", precious=True)
    with SessionManager(tmp_path) as sessions:
        sessions.archive_session("ebb")
        with CheckpointManager(tmp_path) as checkpoints, pytest.raises(SdkWorkflowError):
            checkpoints.save_checkpoint("ebb", precious=False)


def test_unarchiving_says_so_where_another_session_has_taken_the_place(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save_checkpoint("ebb", precious=True)
    with SessionManager(tmp_path) as sessions:
        (place,) = tmp_path.rglob("ebb.sqlite")
        away = sessions.archive_session("ebb")
        shutil.copy(away, place)
        with pytest.raises(StorageError) as caught:
            sessions.unarchive_session("ebb")
        assert str(away) in str(caught.value)
        place.unlink()
        assert sessions.unarchive_session("ebb") == place


def test_cleanup_deletes_what_is_old_and_over_and_nothing_else(
    sessions: SessionManager, clock: VirtualClock, tmp_path: Path
) -> None:
    for name in ("old", "active", "archived", "young"):
        if name == "young":
            clock.advance(10 * DAY)
        sessions.start_session(session_id=name)
        if name != "active":
            sessions.end_session(name)
    sessions.archive_session("archived")
    assert sessions.cleanup_sessions(9) == 1
    assert sorted(ids(sessions.search_sessions())) == ["active", "archived", "young"]
    with pytest.raises(SessionNotFound):
        sessions.get_session("old")
    assert [path for path in (tmp_path / "state").rglob("old*") if path.is_file()] == []
    assert sessions.cleanup_sessions(9) == 0


@pytest.mark.parametrize("days", [-1, math.nan, "x", None])
def test_a_cleanup_that_makes_no_sense_deletes_nothing(sessions: SessionManager, days: Any) -> None:
    sessions.start_session(session_id="ebb")
    sessions.end_session("ebb")
    with pytest.raises(UsageError):
        sessions.cleanup_sessions(days)
    assert ids(sessions.search_sessions()) == ["ebb"]


def test_analytics_count_what_there_is(the_sea: tuple[SessionManager, list[SessionInfo]]) -> None:
    sessions, known = the_sea
    figures = sessions.get_session_analytics()
    assert figures.sessions == len(known)
    assert figures.archived == sum(info.archived_at is not None for info in known)
    assert sum(figures.by_status.values()) == len(known)


def test_exports_hold_every_session_and_run_no_formula(sessions: SessionManager) -> None:
    sessions.start_session('=HYPERLINK("http://x")', session_id="ebb", tags=["=1+1", "a,b"])
    sessions.start_session('Fl\u00fct, und "mehr"', session_id="flood")
    document = json.loads(sessions.export_sessions())
    assert [entry["session_id"] for entry in document["sessions"]] == ["ebb", "flood"]
    rows = list(csv.DictReader(io.StringIO(sessions.export_sessions("csv"), newline="")))
    assert [row["session_id"] for row in rows] == ["ebb", "flood"]
    assert all(value[:1] not in {"=", "+", "-", "@"} for row in rows for value in row.values())
    for form in ("xml", None, ""):
        with pytest.raises(UsageError):
            sessions.export_sessions(form)  # type: ignore[arg-type]


# -- ids, damage, rebuilding, many at once -----------------------------------------------------

BY_ID: list[Callable[[SessionManager, Any], object]] = [
    lambda sessions, name: sessions.get_session(name),
    lambda sessions, name: sessions.end_session(name),
    lambda sessions, name: sessions.persist_session(name),
    lambda sessions, name: sessions.load_persisted_session(name),
    lambda sessions, name: sessions.tag_session(name, ["a"]),
    lambda sessions, name: sessions.archive_session(name),
    lambda sessions, name: sessions.unarchive_session(name),
]


@pytest.mark.parametrize("hostile", HOSTILE_IDS, ids=lambda name: ascii(name)[:12])
def test_a_hostile_id_is_refused_everywhere_and_reaches_no_path(
    tmp_path: Path, hostile: Any
) -> None:
    with SessionManager(tmp_path / "a" / "b" / "state") as sessions:
        sessions.start_session(session_id="ebb")
        sessions.search_sessions()
        before = sorted(path for path in tmp_path.rglob("*") if "catalog" not in path.name)
        asks = list(BY_ID)
        if hostile is not None:
            asks.append(lambda sessions, name: sessions.start_session(session_id=name))
            asks.append(
                lambda sessions, name: sessions.on_event(
                    RunStarted(session_id=name, text="x", model="m")
                )
            )
        for ask in asks:
            with pytest.raises(UsageError):
                ask(sessions, hostile)
        after = sorted(path for path in tmp_path.rglob("*") if "catalog" not in path.name)
        assert after == before


@pytest.mark.parametrize("number", [*range(1, 7)])
def test_an_id_that_nobody_has_is_a_clear_error(sessions: SessionManager, number: int) -> None:
    sessions.start_session(session_id="review-42")
    ask = BY_ID[number]
    if number == 3:
        assert ask(sessions, "review-43") is None
    else:
        with pytest.raises(SessionNotFound) as caught:
            ask(sessions, "review-43")
        assert caught.value.hint
    assert ids(sessions.search_sessions()) == ["review-42"]


def test_the_hint_names_the_closest_id(sessions: SessionManager) -> None:
    sessions.start_session(session_id="review-42")
    with pytest.raises(SessionNotFound) as caught:
        sessions.get_session("review-43")
    assert "review-42" in caught.value.hint


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6])
def test_an_id_that_nobody_has_does_no_harm_to_the_catalogue(
    sessions: SessionManager, notices: list[str], tmp_path: Path, number: int
) -> None:
    sessions.start_session(session_id="review-42")
    sessions.search_sessions()
    notices.clear()
    with pytest.raises(SessionNotFound):
        BY_ID[number](sessions, "nobody")
    sessions.search_sessions()
    assert notices == []
    assert [path.name for path in (tmp_path / "state").iterdir() if "damaged" in path.name] == []


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "cut"])
def test_the_catalogue_is_made_anew_from_the_session_files(tmp_path: Path, damage: str) -> None:
    notices: list[str] = []
    with SessionManager(tmp_path / "state", clock=VirtualClock()) as sessions:
        known = sea(sessions, VirtualClock(), 6)
        analytics = sessions.get_session_analytics()
    catalogue = tmp_path / "state" / "catalog.sqlite"
    content = catalogue.read_bytes()
    if damage == "gone":
        catalogue.unlink()
    else:
        shapes = {"empty": b"", "garbage": b"no" * 9000, "cut": content[: len(content) // 2]}
        catalogue.write_bytes(shapes[damage])
    with SessionManager(tmp_path / "state", on_notice=notices.append) as sessions:
        again = sessions.search_sessions({"sort": "started", "limit": 100})
        assert sorted(again, key=lambda info: info.session_id) == known
        assert sessions.get_session_analytics() == analytics
    assert len(notices) == 1


def test_no_flipped_bit_of_the_catalogue_shows_anything_wrong(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with SessionManager(home, clock=VirtualClock()) as sessions:
        known = sea(sessions, VirtualClock(), 6)
    shutil.copytree(home, tmp_path / "whole")
    whole = (home / "catalog.sqlite").read_bytes()
    source = random.Random(SEED)  # noqa: S311 - repeatable damage
    for _ in range(12):
        place = source.randrange(len(whole))
        for leftover in home.glob("catalog.sqlite*"):
            leftover.unlink()
        flipped = bytes([whole[place] ^ 1 << source.randrange(8)])
        (home / "catalog.sqlite").write_bytes(whole[:place] + flipped + whole[place + 1 :])
        with SessionManager(home, on_notice=lambda _: None) as sessions:
            sessions.verify_catalog()
            found = sessions.search_sessions({"limit": 100})
            assert sorted(found, key=lambda info: info.session_id) == known


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b'{"a":1,"a":2}', b'{"record":"\\ud800"}', b"\x1f\x8b\x08\x00" * 9],
    ids=["empty", "cut", "deep", "duplicate keys", "surrogate", "gzip"],
)
def test_a_damaged_record_is_told_kept_and_costs_no_other_session(
    tmp_path: Path, content: bytes
) -> None:
    notices: list[str] = []
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save_checkpoint("ebb", n=1)
    with SessionManager(tmp_path) as sessions:
        sessions.start_session("Flood", session_id="flood")
        sessions.tag_session("ebb", ["low"])
    (record,) = tmp_path.rglob("ebb.json")
    record.write_bytes(content)
    for path in tmp_path.glob("catalog*"):
        path.unlink()
    with SessionManager(tmp_path, on_notice=notices.append) as sessions:
        assert sorted(ids(sessions.search_sessions())) == ["ebb", "flood"]
        assert sessions.get_session("ebb").last_version == 1
    assert any("ebb" in notice for notice in notices)
    assert [path.read_bytes() for path in tmp_path.rglob("ebb.json*damaged*")] == [content]


def test_a_session_file_that_went_further_once_is_noticed(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path) as checkpoints:
        path = checkpoints.save_checkpoint("ebb", n=1)
        checkpoints.close()
        older = path.read_bytes()
        head = {file: file.read_bytes() for file in path.parent.glob("ebb.head")}
        checkpoints.save_checkpoint("ebb", n=2)
    with SessionManager(tmp_path) as sessions:
        sessions.persist_session("ebb")
        assert sessions.get_session("ebb").last_version == 2
    path.write_bytes(older)
    for file, content in head.items():
        file.write_bytes(content)
    with SessionManager(tmp_path) as sessions, pytest.raises(CheckpointCorrupt):
        sessions.load_persisted_session("ebb")


def test_the_clock_going_backwards_loses_no_session_and_no_order_of_its_life(
    tmp_path: Path,
) -> None:
    with SessionManager(tmp_path, clock=VirtualClock(2e9)) as later:
        later.start_session(session_id="ebb")
    with SessionManager(tmp_path, clock=VirtualClock(1e9)) as earlier:
        earlier.end_session("ebb")
        earlier.start_session(session_id="flood")
        assert earlier.cleanup_sessions(1) == 0
        assert sorted(ids(earlier.search_sessions())) == ["ebb", "flood"]


def test_threads_lose_no_session_and_no_tag(tmp_path: Path) -> None:
    with SessionManager(tmp_path) as sessions:
        sessions.start_session(session_id="shared")

        def work(number: int) -> None:
            for k in range(2):
                sessions.start_session(session_id=f"s-{number}-{k}")
                sessions.tag_session("shared", [f"t-{number}-{k}"])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sessions.search_sessions({"limit": 100})) == 13
        assert len(sessions.get_session("shared").tags) == 12


WORK = """
import sys
from pathlib import Path
from sdk_workflow.managers.session_manager import SessionManager
with SessionManager(Path(sys.argv[1])) as sessions:
    for k in range(3):
        sessions.start_session(session_id=f"s-{sys.argv[2]}-{k}")
        sessions.tag_session("shared", [f"t-{sys.argv[2]}-{k}"])
        sessions.end_session(f"s-{sys.argv[2]}-{k}")
"""


def test_processes_lose_no_session_and_no_tag(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with SessionManager(home) as sessions:
        sessions.start_session(session_id="shared")
        wait_for_all([start(WORK, home, str(home), str(number)) for number in range(4)])
        assert len(sessions.search_sessions({"status": "completed"})) == 12
        assert len(sessions.get_session("shared").tags) == 12


def test_a_state_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with SessionManager(tmp_path / "file" / "state", on_notice=lambda _: None) as sessions:
        with pytest.raises(StorageError) as caught:
            sessions.start_session()
        assert caught.value.hint

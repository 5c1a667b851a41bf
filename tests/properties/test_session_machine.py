"""Whatever is done to sessions, a manager finds what a dictionary of them would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.events import ModelCallFinished, RunFailed, RunFinished, RunStarted
from sdk_workflow.exceptions import UsageError
from sdk_workflow.managers.session_manager import SessionManager, SessionNotFound
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_info import cleaned, iso_time
from sdk_workflow.storage.session_paths import session_path
from sdk_workflow.types import Call, Reply, RunResult, Usage

MODEL = "claude-haiku-5-5"
DAY = 86_400.0
IDS = st.sampled_from(["a", "b-1", "c_2", "d"])
TAGS = st.lists(st.sampled_from(["x", "ü", "two words"]), max_size=3)
TEXT = st.sampled_from(["Größe", "a%b_c", 'say "hi"', "plain words", "\x1bodd\n"]) | st.text(
    max_size=8
)


class SessionMachine(RuleBasedStateMachine):
    """Does to a manager, and to a dict of dicts, whatever comes to mind."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.clock = VirtualClock()
        self.model: dict[str, dict[str, Any]] = {}
        self.seen: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.notices: list[str] = []
        self.manager = SessionManager(self.home, clock=self.clock, on_notice=self.notices.append)

    def teardown(self) -> None:
        self.manager.close()
        shutil.rmtree(self.home)

    def now(self) -> str:
        return iso_time(self.clock.now())

    def known(self, name: str, **facts: Any) -> dict[str, Any]:
        now = self.now()
        new = {
            "started": now, "status": "active", "title": "", "first": "", "tags": set(),
            "turns": 0, "archived": False,
        }  # fmt: skip
        return self.model.setdefault(name, new | facts)

    def touch(self, name: str, **facts: Any) -> None:
        self.model[name].update(facts, updated=self.now())

    @rule(name=IDS, title=TEXT, tags=TAGS)
    def start(self, name: str, title: str, tags: list[str]) -> None:
        refused = name in self.model or not title.isprintable()
        try:
            self.manager.start_session(title, session_id=name, tags=tags)
        except UsageError:
            assert refused
            return
        assert not refused
        self.known(name, title=title.strip(), tags=set(tags))
        self.touch(name)

    @rule(name=IDS, text=TEXT, ends=st.sampled_from(["completed", "failed", "cancelled", None]))
    def run(self, name: str, text: str, ends: str | None) -> None:
        if name in self.model and self.model[name]["archived"]:
            return  # no run begins in a session that was put away
        send = self.manager.on_event
        send(RunStarted(session_id=name, text=text, model=MODEL))
        session = self.known(name)
        first = session["first"] or cleaned(text, 2000)
        self.touch(
            name, status="active", first=first, title=session["title"] or cleaned(first, 200)
        )
        if ends is None:
            return
        reply = Reply(id="m", model=MODEL, content=(), stop_reason="end_turn", usage=Usage())
        call = Call(model=MODEL, messages=(), session_id=name)
        send(ModelCallFinished(session_id=name, call=call, reply=reply, duration_ms=1.0))
        send(end_of_run(name, ends))
        self.touch(name, status=ends, turns=session["turns"] + 1)

    @rule(name=IDS, status=st.sampled_from(["completed", "failed", "cancelled"]))
    def end(self, name: str, status: str) -> None:
        if self.is_known(name, lambda: self.manager.end_session(name, status)):
            self.touch(name, status=status)

    @rule(name=IDS, tags=TAGS, remove=st.booleans())
    def tag(self, name: str, tags: list[str], *, remove: bool) -> None:
        if self.is_known(name, lambda: self.manager.tag_session(name, tags, remove=remove)):
            before = self.model[name]["tags"]
            after = before - set(tags) if remove else before | set(tags)
            if after != before:
                self.touch(name, tags=after)

    @rule(name=IDS)
    def archive(self, name: str) -> None:
        if self.is_known(name, lambda: self.manager.archive_session(name)):
            session = self.model[name]
            if session["status"] == "active":
                self.touch(name, status="cancelled")
            session["archived"] = True

    @rule(name=IDS)
    def unarchive(self, name: str) -> None:
        if self.is_known(name, lambda: self.manager.unarchive_session(name)):
            self.model[name]["archived"] = False

    @rule(name=IDS)
    def save_a_checkpoint(self, name: str) -> None:
        if name in self.model and not self.model[name]["archived"]:
            path = session_path(self.home, name)
            options: dict[str, Any] = {"durability": "off", "clock": self.clock}
            with SessionFile.open(path, session_id=name, create=True, **options) as file:
                file.append_state({"n": 1})
            self.manager.persist_session(name)

    @rule(days=st.sampled_from([0.5, 2, 5]))
    def clean_up(self, days: float) -> None:
        before = iso_time(self.clock.now() - days * DAY)
        old = [
            name
            for name, each in self.model.items()
            if each["updated"] < before and each["status"] != "active" and not each["archived"]
        ]
        assert self.manager.cleanup_sessions(days) == len(old)
        for name in old:
            del self.model[name]

    @rule(seconds=st.sampled_from([1.0, DAY, 3 * DAY]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(how=st.sampled_from(["reopen", "delete", "damage"]))
    def restart(self, how: str) -> None:
        self.manager.close()
        catalog = self.home / "catalog.sqlite"
        if catalog.exists() and how != "reopen":
            catalog.unlink() if how == "delete" else catalog.write_bytes(b"x" * 500)
        self.begin()

    @rule(
        status=st.none() | st.sampled_from(["active", "completed", "failed"]),
        tags=st.none() | TAGS,
        archived=st.none() | st.booleans(),
        text=st.none() | TEXT,
        sort=st.sampled_from(["updated", "-updated", "started", "-turns"]),
        limit=st.integers(1, 4),
    )
    def search(self, **filters: Any) -> None:
        filters = {name: value for name, value in filters.items() if value is not None}
        try:
            page = self.manager.search_sessions(filters)
        except UsageError:  # half of a surrogate pair cannot be searched for
            return
        found = list(page)
        while page.next_cursor is not None:
            page = self.manager.search_sessions({**filters, "cursor": page.next_cursor})
            found += page
        sort = filters["sort"]
        key = {"updated": "updated", "started": "started", "turns": "turns"}[sort.removeprefix("-")]
        expected = sorted(
            (name for name, each in self.model.items() if matches(each, filters)),
            key=lambda name: (self.model[name][key], name),
            reverse=sort.startswith("-"),
        )
        assert [info.session_id for info in found] == expected

    @invariant()
    def every_session_is_as_the_model_says(self) -> None:
        if not hasattr(self, "manager"):
            return
        found = {info.session_id: info for info in self.manager.search_sessions({"limit": 99})}
        assert set(found) == set(self.model)
        for name, each in self.model.items():
            info = self.manager.get_session(name)
            assert info == found[name]
            assert (info.status, info.title, info.turns) == (
                each["status"],
                each["title"],
                each["turns"],
            )
            assert set(info.tags) == each["tags"]
            assert (info.archived_at is not None) == each["archived"]
            assert (info.started_at, info.updated_at) == (each["started"], each["updated"])
        active = {info.session_id for info in self.manager.list_active_sessions()}
        assert active == {name for name, each in self.model.items() if each["status"] == "active"}

    def is_known(self, name: str, call: Any) -> bool:
        try:
            call()
        except SessionNotFound:
            assert name not in self.model
            return False
        assert name in self.model
        return True


def matches(session: dict[str, Any], filters: dict[str, Any]) -> bool:
    text = f"{session['title']}\n{session['first']}".casefold()
    words = str(filters.get("text", "")).replace("\0", " ").casefold().split()
    return (
        filters.get("status", session["status"]) == session["status"]
        and filters.get("archived", session["archived"]) == session["archived"]
        and set(filters.get("tags", ())) <= session["tags"]
        and all(word in text for word in words)
    )


def end_of_run(name: str, ends: str) -> RunFinished | RunFailed:
    if ends != "completed":
        error = ValueError("odd") if ends == "failed" else KeyboardInterrupt()
        return RunFailed(session_id=name, error=error, usage=Usage(), turns=1)
    result = RunResult(
        text="", stop_reason="end_turn", usage=Usage(), cost_usd=0.0, saved_usd=None,
        served_by="api", model=MODEL, session_id=name, trace_id=None, turns=1, tool_calls=(),
        duration_ms=1.0, time_to_first_token_ms=None,
    )  # fmt: skip
    return RunFinished(session_id=name, result=result)


TestSessions = pytest.mark.timeout(300)(SessionMachine.TestCase)
TestSessions.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

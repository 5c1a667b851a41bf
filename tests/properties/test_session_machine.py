"""Whatever is done to sessions, a manager finds what a dictionary of them would."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
import unicodedata
from collections import Counter
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
COSTS = st.sampled_from([0.0, 0.25, 1.234567891])
PICO = 10**12
START = VirtualClock().now()
TEXT = st.sampled_from(["Größe", "a%b_c", 'say "hi"', "plain words", "\x1bodd\n"]) | st.text(
    max_size=8
)

TIMES = st.sampled_from([iso_time(START + days * DAY) for days in (0, 1, 4, 10)])
FILTERS = st.one_of(
    st.tuples(st.just("status"), st.sampled_from(["active", "completed", "failed"])),
    st.tuples(st.just("tags"), TAGS),
    st.tuples(st.just("archived"), st.booleans()),
    st.tuples(st.just("text"), TEXT),
    st.tuples(st.just("model"), st.sampled_from([MODEL, "claude"])),
    st.tuples(st.sampled_from(["since", "until"]), TIMES),
    st.tuples(st.sampled_from(["min_cost_usd", "max_cost_usd"]), COSTS),
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
            "turns": 0, "archived": False, "cost": 0, "tokens": 0, "model": "",
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
        self.known(name, title=unicodedata.normalize("NFC", title.strip()), tags=set(tags))
        self.touch(name)

    @rule(
        name=IDS,
        text=TEXT,
        ends=st.sampled_from(["completed", "failed", "cancelled", None]),
        cost=COSTS,
    )
    def run(self, name: str, text: str, ends: str | None, cost: float) -> None:
        if name in self.model and self.model[name]["archived"]:
            return  # no run begins in a session that was put away
        send = self.manager.on_event
        send(RunStarted(session_id=name, text=text, model=MODEL))
        session = self.known(name)
        first = session["first"] or cleaned(text, 2000)
        self.touch(
            name,
            status="active",
            first=first,
            title=session["title"] or cleaned(first, 200),
            model=MODEL,
        )
        if ends is None:
            return
        reply = Reply(id="m", model=MODEL, content=(), stop_reason="end_turn", usage=Usage())
        call = Call(model=MODEL, messages=(), session_id=name)
        send(ModelCallFinished(session_id=name, call=call, reply=reply, duration_ms=1.0))
        send(end_of_run(name, ends, cost))
        self.touch(name, status=ends, turns=session["turns"] + 1)
        session["tokens"] += 7
        if ends == "completed":  # the calls of a run that fails were free
            session["cost"] += round(cost * PICO)

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

    @rule(name=IDS, tags=TAGS, status=st.sampled_from(["completed", "failed"]))
    def do_in_another_process(self, name: str, tags: list[str], status: str) -> None:
        mine = self.manager
        try:
            self.begin()
            self.tag(name, tags, remove=False)
            self.end(name, status)
        finally:
            self.manager.close()
            self.manager = mine

    @rule(name=IDS)
    def load(self, name: str) -> None:
        stored = self.manager.load_persisted_session(name)
        assert (stored is not None) == (name in self.model)
        if stored is not None:
            assert stored == self.manager.get_session(name).to_json()
            assert json.loads(json.dumps(stored)) == stored

    @rule()
    def sum_up(self) -> None:
        sums = self.manager.get_session_analytics()
        every = self.model.values()
        assert sums.sessions == len(self.model)
        assert sums.archived == sum(each["archived"] for each in every)
        assert sums.turns == sum(each["turns"] for each in every)
        assert sums.tokens == sum(each["tokens"] for each in every)
        assert sums.cost_usd == sum(each["cost"] for each in every) / PICO
        assert sums.by_status == Counter(each["status"] for each in every)
        models = Counter(each["model"] or "unknown" for each in every)
        assert {name: each["sessions"] for name, each in sums.by_model.items()} == models
        assert sums.write_failures == 0

    @rule()
    def export(self) -> None:
        by_start = sorted(self.model, key=lambda name: (self.model[name]["started"], name))
        exported = json.loads(self.manager.export_sessions("json"))["sessions"]
        lines = list(csv.DictReader(io.StringIO(self.manager.export_sessions("csv"))))
        assert [each["session_id"] for each in exported] == by_start
        assert [each["session_id"] for each in lines] == by_start
        assert [each["status"] for each in lines] == [each["status"] for each in exported]

    @rule(how=st.sampled_from(["reopen", "delete", "damage", "die"]))
    def restart(self, how: str) -> None:
        if how == "die":  # with the catalogue open, and a note of what was under way
            (self.home / "catalog.unfinished").write_text("\n".join(self.model))
        else:
            self.manager.close()
        catalog = self.home / "catalog.sqlite"
        if catalog.exists() and how in {"delete", "damage"}:
            catalog.unlink() if how == "delete" else catalog.write_bytes(b"x" * 500)
        self.begin()

    @rule(
        chosen=st.lists(FILTERS, max_size=2),
        sort=st.sampled_from(["updated", "started", "turns", "cost", "tokens"]),
        descending=st.booleans(),
        limit=st.integers(1, 4),
    )
    def search(
        self, chosen: list[tuple[str, Any]], sort: str, *, descending: bool, limit: int
    ) -> None:
        filters = {**dict(chosen), "sort": f"-{sort}" if descending else sort, "limit": limit}
        try:
            page = self.manager.search_sessions(filters)
        except UsageError:  # half of a surrogate pair cannot be searched for
            return
        found = list(page)
        while page.next_cursor is not None:
            page = self.manager.search_sessions({**filters, "cursor": page.next_cursor})
            found += page
        expected = sorted(
            (name for name, each in self.model.items() if matches(each, filters)),
            key=lambda name: (self.model[name][sort], name),
            reverse=descending,
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
            assert (info.spent.cost_pico, info.spent.input_tokens) == (each["cost"], each["tokens"])
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
    text = composed(f"{session['title']}\n{session['first']}")
    words = composed(str(filters.get("text", "")).replace("\0", " ")).split()
    cost = session["cost"]
    return (
        filters.get("status", session["status"]) == session["status"]
        and filters.get("archived", session["archived"]) == session["archived"]
        and set(filters.get("tags", ())) <= session["tags"]
        and filters.get("model", session["model"]) == session["model"]
        and filters.get("since", "") <= session["updated"] <= filters.get("until", "9")
        and filters.get("min_cost_usd", 0) * PICO <= cost
        and cost <= filters.get("max_cost_usd", 10**6) * PICO
        and all(word in text for word in words)
    )


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def end_of_run(name: str, ends: str, cost: float) -> RunFinished | RunFailed:
    usage = Usage(input_tokens=7)
    if ends != "completed":
        error = ValueError("odd") if ends == "failed" else KeyboardInterrupt()
        return RunFailed(session_id=name, error=error, usage=usage, turns=1)
    result = RunResult(
        text="", stop_reason="end_turn", usage=usage, cost_usd=cost, saved_usd=None,
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

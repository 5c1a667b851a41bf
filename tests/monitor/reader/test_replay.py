"""Sums over the event files: from a time on, nothing twice, and nothing that breaks them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.monitor import replay as module
from sdk_workflow.monitor.replay import GROUPS, Replay, replay_events
from sdk_workflow.monitor.run_folder import EVENTS_FILE, OLDER_EVENTS_FILE
from tests.monitor.live_files import NOW, Home, call_line, live, time_text
from tests.monitor.reader.test_live_shape import anything

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.monitor.run_folder import RunName

HEADER = {"schema": "sdk_workflow.events/1", "pid": 1}
SINCE = NOW - 3600


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(path=tmp_path)


@pytest.fixture
def name(home: Home) -> RunName:
    return home.write(live())


def line(kind: str, at: float = NOW - 60, **facts: Any) -> dict[str, Any]:
    return {"at": time_text(at), "kind": kind, "session_id": "s1", **facts}


def replayed(home: Home, name: RunName, *lines: object, end: str = "") -> Replay:
    home.write_events([HEADER, *lines], name=name, end=end)
    return replay_events(home.folder(name), SINCE)


def known(sums: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sums.items() if value}


def test_a_process_without_events_did_nothing(home: Home, name: RunName) -> None:
    replay = replay_events(home.folder(name), SINCE)

    assert (replay.first_at, known(replay.totals), replay.skipped_lines) == (None, {}, 0)


def test_calls_are_added_up_by_model_and_by_session(home: Home, name: RunName) -> None:
    replay = replayed(
        home,
        name,
        call_line(NOW - 60, cache_read_tokens=7, cache_write_5m_tokens=3, cache_write_1h_tokens=4),
        call_line(NOW - 50, model="n", session_id="s2"),
    )

    assert known(replay.totals) == {
        "calls": 2, "input_tokens": 200, "output_tokens": 20, "cache_read_tokens": 7,
        "cache_write_tokens": 7, "call_ms": 1000.0,
    }  # fmt: skip
    assert replay.groups["model"]["m"]["calls"] == replay.groups["session_id"]["s2"]["calls"] == 1
    assert replay.first_at == NOW - 60
    assert replay.skipped_lines == 0


def test_what_was_before_is_left_out_and_the_very_moment_counts(home: Home, name: RunName) -> None:
    replay = replayed(home, name, call_line(SINCE - 0.001), call_line(SINCE))

    assert replay.totals["calls"] == 1


def test_the_older_file_counts_too(home: Home, name: RunName) -> None:
    home.write_events([HEADER, call_line(NOW - 600)], name=name, file=OLDER_EVENTS_FILE)

    replay = replayed(home, name, call_line(NOW - 60))

    assert (replay.totals["calls"], replay.first_at) == (2, NOW - 600)


def test_a_line_for_many_events_counts_as_many(home: Home, name: RunName) -> None:
    replay = replayed(home, name, call_line(NOW, count=40, session_id=None, duration_ms=10.0))

    assert (replay.totals["calls"], replay.totals["call_ms"]) == (40, 400)
    assert (replay.totals["input_tokens"], replay.groups["session_id"]) == (100, {})


def test_every_kind_of_line_has_its_sum(home: Home, name: RunName) -> None:
    replay = replayed(
        home,
        name,
        line("call_failed", model="m", error="overloaded", duration_ms=5.0),
        line("call_retried", model="m", error="overloaded", wait_seconds=1.5),
        line("fallback_used", model="m", fallback="haiku", error="overloaded"),
        line("cache_looked_up", tier="lru", outcome="hit", saved_usd=0.25),
        line("cache_looked_up", tier="lru", outcome="miss"),
        line("cache_looked_up", tier="lru", outcome="skipped"),
        line("tool_finished", tool="bash", is_error=True, error="tool_failed", duration_ms=8.0),
        line("tool_finished", tool="bash", is_error=False, error=None, duration_ms=2.0),
        line("run_started", model="m"),
        line("run_failed", error="budget_exceeded"),
        line("budget_reached", limit="hard"),
        line("context_filling"),
        line("loop_alarm", tool="bash", times=5),
        line("of another version", model="m"),
    )

    assert known(replay.totals) == {
        "call_errors": 1, "call_ms": 5, "retries": 1, "retry_wait_seconds": 1.5, "fallbacks": 1,
        "lookups": 3, "hits": 1, "saved_usd": 0.25, "tool_calls": 2, "tool_errors": 1,
        "tool_ms": 10, "runs_started": 1, "run_errors": 1, "budgets_reached": 1,
        "contexts_filling": 1, "loop_alarms": 1,
    }  # fmt: skip
    assert known(replay.groups["tool"]["bash"]) == {
        "tool_calls": 2, "tool_errors": 1, "tool_ms": 10, "loop_alarms": 1
    }  # fmt: skip
    assert replay.groups["error"]["overloaded"]["retries"] == 1
    assert replay.groups["error"]["budget_exceeded"]["run_errors"] == 1
    assert set(replay.groups["tier"]) == {"lru"}


def test_money_of_calls_and_of_their_runs_is_not_added_up(home: Home, name: RunName) -> None:
    run = line("run_finished", model="m", cost_usd=0.5, saved_usd=0.1, input_tokens=100)

    of_runs = replayed(home, name, call_line(NOW), run)
    of_calls = replayed(home, name, call_line(NOW, cost_usd=0.5), run)
    saved = replayed(home, name, line("cache_looked_up", tier="lru", saved_usd=0.1), run)

    assert of_runs.totals["cost_usd"] == of_calls.totals["cost_usd"] == 0.5
    assert of_runs.totals["saved_usd"] == saved.totals["saved_usd"] == 0.1
    assert of_runs.totals["input_tokens"] == 100
    assert of_calls.groups["session_id"]["s1"]["cost_usd"] == 0.5
    assert (of_runs.totals["runs"], of_runs.totals["run_errors"]) == (1, 0)


@pytest.mark.parametrize(
    "end",
    [
        '{"at": "2026-11-21T09:12',
        "\x00\x00",
        "[1]\n",
        '{"at": 7}\n',
        '{"kind": "x"}\n',
        "[" * 100_000,
    ],
)
def test_a_torn_or_foreign_line_is_counted_and_passed_over(
    end: str, home: Home, name: RunName
) -> None:
    replay = replayed(home, name, call_line(NOW), end=end)

    assert (replay.totals["calls"], replay.skipped_lines) == (1, 1)


def test_a_line_without_end_costs_no_memory_and_what_follows_is_read(
    home: Home, name: RunName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINE_BYTES", 256)
    home.write_events([HEADER], name=name, end="x" * 1000 + "\n" + json.dumps(call_line(NOW)))

    replay = replay_events(home.folder(name), SINCE)

    assert (replay.totals["calls"], replay.skipped_lines) == (1, 1)


def test_of_a_very_large_file_the_end_is_read(
    home: Home, name: RunName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)

    replay = replayed(home, name, *(call_line(NOW) for _ in range(100)))

    size = len(json.dumps(call_line(NOW))) + 1
    assert replay.is_cut
    assert replay.totals["calls"] == 1000 // size
    assert replay.skipped_lines == 0


def test_very_many_names_share_one_sum(
    home: Home, name: RunName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_NAMES", 3)

    replay = replayed(home, name, *(call_line(NOW, model=f"m{at}") for at in range(10)))

    assert {key: sums["calls"] for key, sums in replay.groups["model"].items()} == {
        "m0": 1, "m1": 1, "m2": 1, "(others)": 7
    }  # fmt: skip


def test_processes_are_added_up(home: Home) -> None:
    one, two = home.write(live(), pid=1), home.write(live(), pid=2)
    total = Replay(since=SINCE)
    total.add(replayed(home, one, call_line(NOW - 5), call_line(NOW, model="n", cost_usd=1.0)))
    total.add(replayed(home, two, call_line(NOW - 9), end="torn"))
    total.add(Replay(since=SINCE, is_cut=True))

    assert (total.totals["calls"], total.totals["cost_usd"], total.first_at) == (3, 1.0, NOW - 9)
    assert total.groups["model"]["m"]["calls"] == 2
    assert (total.skipped_lines, total.is_cut) == (1, True)


facts = st.dictionaries(
    st.sampled_from(
        ["at", "kind", "count", "model", "tool", "tier", "error", "session_id", "cost_usd",
         "duration_ms", "input_tokens", "outcome"]
    ),
    anything
    | st.sampled_from([time_text(NOW), "call_finished", "cache_looked_up", "run_finished"]),
)  # fmt: skip


@given(lines=st.lists(facts | anything, max_size=8))
def test_any_lines_can_be_replayed(lines: list[object], tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("events")
    text = "\n".join(json.dumps(item) for item in lines)
    (folder / EVENTS_FILE).write_text(text, "utf-8", "surrogatepass")

    replay = replay_events(folder, SINCE)

    assert set(replay.groups) == set(GROUPS)
    assert all(value >= 0 for value in replay.totals.values())
    assert all(key.isprintable() for names in replay.groups.values() for key in names)

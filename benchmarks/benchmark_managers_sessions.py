"""How long it takes to find sessions in a catalogue of 100,000, and to note the events of a run.

    python benchmarks/benchmark_managers_sessions.py [--rounds N] [--json FILE]

The catalogue is made of rows as the library writes them; no round sees a search that it has made
before. Events are noted in memory, a thread writes them: what is measured is what a run waits for.
"""

from __future__ import annotations

import functools
import random
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series
from sdk_workflow.events import ModelCallFinished, RunStarted
from sdk_workflow.managers.session_manager import SessionManager
from sdk_workflow.storage.catalog_making import make_catalog
from sdk_workflow.storage.session_info import SessionInfo, Spent, iso_time
from sdk_workflow.types import Call, Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_SESSIONS = 100_000
_SEED = 20261121
_MAX_SEARCH_MS = 20
_MAX_EVENT_US = 20
_EVENTS = 500
_START = 1_790_000_000.0
_WORDS = [
    "review",
    "parser",
    "timeout",
    "deploy",
    "invoice",
    "refactor",
    "login",
    "cache",
    "database",
    "migrate",
    "failing",
    "flaky",
    "summary",
    "report",
    "customer",
    "translate",
    "index",
    "search",
    "payment",
    "webhook",
    "typing",
    "memory",
    "thread",
]
_MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5")
_TAGS = ("nightly", "urgent", "team-a", "team-b", "demo")


def session(number: int, chance: random.Random) -> SessionInfo:
    """Return one made-up session; every 5,000th is about "zeppelin"."""
    words = [chance.choice(_WORDS) for _ in range(8)]
    if number % 5000 == 0:
        words.append("zeppelin")
    started = _START + number * 60.0
    return SessionInfo(
        session_id=f"ses_{number:06d}",
        started_at=iso_time(started),
        updated_at=iso_time(started + chance.random() * 3600),
        status=chance.choices(("completed", "failed", "cancelled"), (90, 9, 1))[0],
        title=" ".join(words[:6]),
        first_message=" ".join(words * 4),
        model=chance.choice(_MODELS),
        tags=tuple(sorted(chance.sample(_TAGS, chance.randrange(3)))),
        spent=Spent(turns=chance.randrange(30), cost_pico=chance.randrange(10**12)),
    )


def fill(home: Path) -> float:
    """Make the catalogue, and return the seconds that it took."""
    chance = random.Random(_SEED)  # noqa: S311 - made-up titles
    found = {info.session_id: info for info in (session(n, chance) for n in range(_SESSIONS))}
    folder = home / "sessions" / "00"
    folder.mkdir(parents=True)
    started = perf_counter()
    make_catalog(home / "catalog.sqlite", found.get, print, session_ids=found)
    return perf_counter() - started


def searches(chance: random.Random) -> dict[str, dict[str, Any]]:
    """Return the searches of one round."""
    day = iso_time(_START + chance.randrange(_SESSIONS) * 60.0)
    word = chance.choice(_WORDS)
    return {
        "the last used": {"limit": 20 + chance.randrange(60)},
        "by status": {"status": chance.choice(("completed", "failed", "cancelled"))},
        "by tag, most expensive first": {"tags": [chance.choice(_TAGS)], "sort": "-cost"},
        "by two tags and status": {"tags": chance.sample(_TAGS, 2), "status": "failed"},
        "by model since a day": {"model": chance.choice(_MODELS), "since": day},
        "between two costs": {
            "min_cost_usd": chance.random(),
            "max_cost_usd": 0.9,
            "sort": "cost",
        },
        "a frequent word": {"text": word},
        "a part of a frequent word": {"text": word[1:5]},
        "two words and a tag": {"text": f"{word} {chance.choice(_WORDS)}", "tags": ["urgent"]},
        "a rare word": {"text": "zeppelin"},
        "a word that is not there": {"text": f"xylophone{chance.random()}"},
    }


def search_rows(sessions: SessionManager, rounds: int) -> list[Row]:
    """Measure every kind of search, and all of them together."""
    chance = random.Random(_SEED + 1)  # noqa: S311 - the order of made-up searches
    found: dict[str, list[float]] = {}
    for number in range(-1, rounds):
        for name, filters in searches(chance).items():
            taken = timed(functools.partial(sessions.search_sessions, filters)) * 1000
            if number >= 0:
                found.setdefault(name, []).append(taken)
    rows = [Row(name=name, series=Series(taken), unit="ms") for name, taken in found.items()]
    every = Series([taken for series in found.values() for taken in series])
    p95 = Series([every.p95])
    return [*rows, Row(name="p95 of all", series=p95, unit="ms", at_most=_MAX_SEARCH_MS)]


def event_rows(sessions: SessionManager) -> list[Row]:
    """Measure what noting a model call costs the run that made it."""
    model = _MODELS[0]
    reply = Reply(
        id="msg_1", model=model, content=(), stop_reason="end_turn", usage=Usage(output_tokens=9)
    )
    event = ModelCallFinished(
        session_id="live",
        call=Call(model=model, messages=()),
        reply=reply,
        duration_ms=1.0,
    )
    sessions.on_event(RunStarted(session_id="live", text="Hi", model=model))
    sessions.get_session("live")
    taken = Series([timed(lambda: sessions.on_event(event)) * 1e6 for _ in range(_EVENTS)])
    p95 = Series([taken.p95])
    return [
        Row(name="a model call", series=taken, unit="us"),
        Row(name="p95", series=p95, unit="us", at_most=_MAX_EVENT_US),
    ]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work took."""
    started = perf_counter()
    work()
    return perf_counter() - started


def main() -> None:
    """Make the catalogue, search it, and show how long that took."""
    arguments = parse_arguments("Measure the catalogue of sessions.", rounds=20)
    report = Report(f"Sessions: {_SESSIONS:,} in the catalogue, made-up titles, seed {_SEED}")
    report.begin()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = fill(home)
        size = (home / "catalog.sqlite").stat().st_size
        report.note(f"made in {made:.1f} s, {size / 1e6:.0f} MB")
        with SessionManager(home) as sessions:
            report.add("One page of a search", search_rows(sessions, arguments.rounds))
            report.add("An event of a run", event_rows(sessions))
            report.note(f"check in full: {timed(sessions.verify_catalog):.1f} s")
    report.finish(arguments.json)


if __name__ == "__main__":
    main()

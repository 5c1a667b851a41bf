"""The suites hold what they promise: every operation runs, and where it can go wrong it is noticed."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.benchmarking.operations import Operation, Ratio, Skipped, Target
from sdk_workflow.benchmarking.suites import ALL, NAMES, find_suites
from sdk_workflow.benchmarking.suites.logged import LOGGING, Log, log_entries, open_log
from sdk_workflow.benchmarking.suites.observability import WHOLE_STACK, whole_stack
from sdk_workflow.cli.benchmark_parts import benchmark_parts
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry


def once(operation: Operation) -> None:
    repeat: Any = operation.repeat
    if operation.is_async:
        anyio.run(repeat, 1)
    else:
        repeat(1)


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_of_a_suite_can_be_repeated(name: str, tmp_path: Path) -> None:
    opened = find_suites(name)[name](tmp_path, benchmark_parts())

    with opened as entries:
        operations = [entry for entry in entries if isinstance(entry, Operation)]
        assert len(operations) >= 6
        for operation in operations:
            once(operation)
            once(operation)


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_a_suite_have_names_of_their_own_and_ratios_of_what_is_there(
    name: str, tmp_path: Path
) -> None:
    with find_suites(name)[name](tmp_path, benchmark_parts()) as entries:
        names = [entry.name for entry in entries]
        ratios = [entry for entry in entries if isinstance(entry, Ratio)]

    assert len(set(names)) == len(names)
    for ratio in ratios:
        assert {ratio.over, ratio.under} <= set(names[: names.index(ratio.name)])


def test_all_stands_for_every_suite() -> None:
    assert list(find_suites(ALL)) == list(NAMES)


@pytest.mark.parametrize(
    ("name", "hint"), [("manager", "Did you mean 'managers'?"), ("xyz", "The suites are managers,")]
)
def test_an_unknown_suite_is_refused_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"There is no suite '{name}'") as caught:
        find_suites(name)

    assert caught.value.hint.startswith(hint)
    assert caught.value.code == "unknown_suite"


def test_without_numpy_lookups_by_meaning_are_skipped_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "numpy" else find_spec(name)
    )

    with find_suites("caches")["caches"](tmp_path, benchmark_parts()) as entries:
        skipped = [entry for entry in entries if isinstance(entry, Skipped)]

    assert [entry.name for entry in skipped] == [
        "semantic hit, 1,000 entries",
        "semantic miss, 1,000 entries",
    ]
    assert "semantic-lite" in skipped[0].reason


def test_a_suite_that_would_measure_something_else_refuses_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    monkeypatch.setattr(
        "sdk_workflow.core.semantic_cache.SemanticCache.get_if_similar", lambda *_: None
    )
    opened = find_suites("caches")["caches"](tmp_path, benchmark_parts())

    with pytest.raises(RuntimeError, match="near questions from far ones"), opened:
        pass


def test_a_simulated_model_that_calls_no_tool_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdk_workflow.agent.session import AgentSession

    message = AgentSession.message

    async def without_tools(self: AgentSession, _text: str, **options: Any) -> Any:
        return await message(self, "Good morning.", **options)

    monkeypatch.setattr(AgentSession, "message", without_tools)
    with find_suites("executors")["executors"](tmp_path, benchmark_parts()) as entries:
        with_tool = next(entry for entry in entries if entry.name == "run, one tool call")
        assert isinstance(with_tool, Operation)

        with pytest.raises(RuntimeError, match="did not call the tool"):
            once(with_tool)


def test_the_users_own_settings_do_not_change_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDK_WORKFLOW_CACHE_MODE", "off")
    monkeypatch.setenv("SDK_WORKFLOW_BACKEND", "anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-not-a-real-key")

    with benchmark_parts().simulated(tmp_path) as open_session:
        first = open_session().message_sync("How high is it?")
        second = open_session().message_sync("How high is it?")

    assert (first.served_by, second.served_by) == ("simulator", "lru")


def test_fan_out_does_the_work_once_for_each_item() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)
        await anyio.lowlevel.checkpoint()

    anyio.run(benchmark_parts().fan_out, work, 25, 4)

    assert len(done) == 25


def test_the_whole_stack_writes_a_log_line_where_there_is_a_log() -> None:
    lines: list[str] = []

    whole_stack(lambda: lines.append("line"))()
    whole_stack(None)()

    assert lines == ["line"]


def rows_of(tmp_path: Path) -> list[Entry]:
    with find_suites("observability")["observability"](tmp_path, benchmark_parts()) as entries:
        return list(entries)


def test_without_a_logger_the_rows_of_the_log_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == LOGGING else find_spec(name)
    )

    rows = rows_of(tmp_path)

    assert [row.name for row in rows if isinstance(row, Skipped)] == [
        "log entry, buffered",
        "log entry, below the level",
    ]
    assert f"{WHOLE_STACK}, without a log" in [row.name for row in rows]


class FakeLogger:
    """Keeps what is logged, and whether it was closed."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def info(self, message: str, **_: Any) -> None:
        self.told.append(f"INFO {message}")

    def debug(self, message: str, **_: Any) -> None:
        self.told.append(f"DEBUG {message}")

    def close(self) -> None:
        self.told.append("closed")


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> FakeLogger:
    """Put a logger in the place of the library's own."""
    made = FakeLogger()
    module: Any = ModuleType(LOGGING)
    module.__spec__ = ModuleSpec(LOGGING, None)
    module.open_logger = lambda _home, **_: made
    monkeypatch.setitem(sys.modules, LOGGING, module)
    return made


def test_a_log_has_an_entry_that_is_written_and_one_below_the_level(
    logger: FakeLogger, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        log = open_log(stack, tmp_path)
        assert log is not None
        log.line()
        log.below_level()

    assert logger.told == ["INFO call finished", "DEBUG call finished", "closed"]


@pytest.mark.usefixtures("logger")
def test_with_a_logger_the_whole_stack_has_its_line(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)

    assert WHOLE_STACK in [row.name for row in rows]
    assert not [row for row in rows if isinstance(row, Skipped)]


@pytest.mark.parametrize(
    ("installed", "goal_ns"), [((), 10_000), (("orjson",), 3_000), (("msgspec",), 3_000)]
)
def test_the_goal_of_a_log_entry_depends_on_the_encoder(
    installed: tuple[str, ...], goal_ns: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name if name in installed else None
    )

    written = log_entries(Log(line=int, below_level=int))[0]

    assert isinstance(written, Operation)
    assert written.goal == Target(goal_ns)

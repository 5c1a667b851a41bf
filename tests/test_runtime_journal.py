"""Sessions that a runtime keeps on disk, and takes up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow import build_runtime, open_session, run, run_sync
from sdk_workflow.exceptions import StorageError, ToolFailed, UsageError
from sdk_workflow.storage.errors import SessionNotFound
from sdk_workflow.storage.session_paths import session_files, session_path
from tests.agent.crashing import Disk, MemoryJournal

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.runtime import Runtime

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def runtime_of(home: Path, **settings: Any) -> Runtime:
    return build_runtime(backend="simulator", home=home, **settings)


def files_of(home: Path) -> list[Path]:
    """Return what is kept; the monitor's own folder is no part of a session."""
    run = home / "run"
    return [path for path in home.rglob("*") if run not in {path, *path.parents}]


@pytest.mark.parametrize("options", [{}, {"journal": False}, {"journal": None}])
async def test_a_session_is_not_kept_unless_asked(options: dict[str, Any], home: Path) -> None:
    await run("Hello", backend="simulator", home=home, session_id="SES one", **options)

    assert files_of(home) == []


async def test_a_kept_session_goes_on_in_a_later_runtime(home: Path) -> None:
    async with open_session(
        backend="simulator", home=home, session_id="review-42", journal=True, model="haiku"
    ) as session:
        await session.message("Hello", max_tokens=50)
        history = session.get_history()

    async with runtime_of(home) as runtime, runtime.resume("review-42") as again:
        assert again.get_history() == history
        assert again.session_id == "review-42"
        await again.message("And again")
        assert len(again.get_history()) == 4


async def test_without_an_id_a_kept_session_gets_a_new_one(home: Path) -> None:
    first = await run("Hello", backend="simulator", home=home, journal=True)
    second = await run("Hello", backend="simulator", home=home, journal=True)

    kept = {name for name, _ in session_files(home)}
    assert kept == {first.session_id, second.session_id}
    assert first.session_id == first.session_id.lower() != second.session_id


def test_run_sync_keeps_sessions_too(home: Path) -> None:
    result = run_sync("Hello", backend="simulator", home=home, journal=True)
    assert session_path(home, result.session_id).exists()


async def test_a_session_remembers_model_system_tools_and_folder(
    home: Path, tmp_path: Path
) -> None:
    def shout(text: str) -> str:
        """Say it loudly."""
        return text.upper()

    (tmp_path / "work").mkdir()
    tools = ["read", shout]
    folder = tmp_path / "work"
    async with (
        runtime_of(home, model="opus", system="Be brief.") as runtime,
        runtime.session(
            journal=True, session_id="a", tools=tools, working_directory=folder
        ) as session,
    ):
        await session.message("Hello")
        request = session.get_last_request()
    assert request is not None

    async with runtime_of(home, model="haiku", tools="write") as runtime:
        async with runtime.resume("a") as again:
            await again.message("Hello")
            repeated = again.get_last_request()
        assert repeated is not None
        assert (repeated.model, repeated.system) == (request.model, request.system)
        assert [spec.name for spec in again.get_tools()] == ["read"]
        assert again._toolbox.place == str((tmp_path / "work").resolve())

        async with runtime.resume("a", model="haiku", system=None, tools=[shout]) as changed:
            await changed.message("Hello")
            other = changed.get_last_request()
        assert other is not None
        assert (other.model != request.model, other.system) == (True, None)
        assert [spec.name for spec in changed.get_tools()] == ["shout"]


async def test_an_unknown_session_is_not_resumed(home: Path) -> None:
    async with runtime_of(home) as runtime:
        with pytest.raises(SessionNotFound):
            runtime.resume("nobody")
        with pytest.raises(UsageError):
            runtime.resume("../../x")


async def test_a_session_that_is_open_is_not_opened_twice(home: Path) -> None:
    async with runtime_of(home) as runtime, runtime.session(journal=True, session_id="a"):
        with pytest.raises(StorageError, match="in use"):
            runtime.resume("a")


async def test_a_session_that_could_not_be_made_is_let_go_of(home: Path) -> None:
    async with runtime_of(home) as runtime:
        with pytest.raises(UsageError):
            runtime.session(journal=True, session_id="a", tools=["raed"])
        runtime.session(journal=True, session_id="a").close_sync()


async def test_a_run_that_was_cut_off_is_resumed_from_the_disk(home: Path) -> None:
    ran: list[str] = []

    def note(text: str) -> str:
        """Note a text."""
        ran.append(text)
        raise KeyboardInterrupt

    def note_again(text: str) -> str:
        """Note a text."""
        ran.append(text)
        raise ToolFailed("It must not run again.")

    options: dict[str, Any] = {"backend": "simulator", "home": home, "session_id": "a"}
    with pytest.raises(KeyboardInterrupt):
        async with open_session(**options, journal=True, tools=[note]) as session:
            await session.message('Call note with text "x"')

    note_again.__name__ = "note"
    async with open_session(**options, journal=True, tools=[note_again]) as again:
        assert again.get_unfinished() == 'Call note with text "x"'
        result = await again.resume()

    assert len(ran) == 1
    assert [record.error_code for record in result.tool_calls] == ["outcome_unknown"]


async def test_a_journal_of_ones_own_is_used_as_it_is(home: Path) -> None:
    disk = Disk()
    async with runtime_of(home) as runtime, runtime.session(journal=MemoryJournal(disk)) as session:
        await session.message("Hello")

    assert disk.records[-1].kind == "run_finished"
    assert files_of(home) == []


@pytest.mark.anyio
async def test_a_model_that_is_given_goes_before_the_one_that_a_kept_session_had(
    home: Path,
) -> None:
    given: dict[str, Any] = {"journal": True, "session_id": "t1", "backend": "simulator"}
    first = await run("Hi", model="haiku", home=home, **given)
    second = await run("Hi", model="opus", home=home, **given)
    assert ("haiku" in first.model, "opus" in second.model) == (True, True)


@pytest.mark.anyio
async def test_a_kept_session_that_could_not_be_opened_can_be_read_all_the_same(home: Path) -> None:
    async with runtime_of(home) as runtime:
        async with runtime.session(journal=True, session_id="t1") as session:
            await session.message("Hi")
        with pytest.raises(UsageError):
            runtime.session(journal=True, session_id="t1", tools=["nope"])
        assert runtime.checkpoints.load_checkpoint("t1") is not None

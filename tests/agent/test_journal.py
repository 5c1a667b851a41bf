"""What a run writes down, in which order, and in how many syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.exceptions import DeadlineExceeded, OverloadedError, StorageError, ToolDenied
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec
from tests.agent.crashing import Disk, Fuse, MemoryJournal, World, open_crashing

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.types import JournalRecord, ToolCall

pytestmark = pytest.mark.anyio


def only(disk: Disk, kind: str) -> JournalRecord:
    [record] = [record for record in disk.records if record.kind == kind]
    return record


async def test_a_turn_with_one_tool_takes_four_commits() -> None:
    disk = Disk()
    session = open_crashing([["other"]], disk, World())

    await session.message("Go")

    assert disk.kinds() == [
        ["run_started", "model_intent"],
        ["model_result", "tool_intent"],
        ["tool_result", "model_intent"],
        ["model_result", "run_finished"],
    ]
    assert len(disk.states) == 2


async def test_a_plain_answer_takes_two_commits_and_the_second_message_no_new_base() -> None:
    disk = Disk()
    session = open_crashing([], disk, World())

    await session.message("Hi")
    assert len(disk.states) == 2  # what the run stands on, and what it came to
    await session.message("And again")

    assert disk.kinds() == [["run_started", "model_intent"], ["model_result", "run_finished"]] * 2
    assert len(disk.states) == 3


async def test_an_intent_is_on_the_disk_before_the_effect_and_a_result_before_the_next_question() -> (
    None
):
    disk, fuse = Disk(), Fuse()
    session = open_crashing([["other"]], disk, World(), fuse)

    await session.message("Go")

    assert fuse.passed == [
        "before model_intent", "after model_intent",
        "before model", "after model",
        "before tool_intent", "after tool_intent",
        "before other 0-0", "after other 0-0",
        "before model_intent", "after model_intent",
        "before model", "after model",
        "before run_finished", "after run_finished",
    ]  # fmt: skip


async def test_tools_side_by_side_share_the_syncs_of_their_intents() -> None:
    disk = Disk()
    session = open_crashing([["pure", "idempotent", "other", "pure"]], disk, World())

    await session.message("Go")

    intents = [kinds.count("tool_intent") for kinds in disk.kinds()]
    assert sum(intents) == 4
    assert sum(count > 0 for count in intents) <= 2  # the first one, and all that came meanwhile


async def test_a_result_is_written_at_once_while_other_tools_of_the_reply_still_run() -> None:
    disk = Disk()
    is_written = anyio.Event()

    async def slow(name: str) -> str:
        await is_written.wait()
        return f"slow {name}"

    async def quick(name: str) -> str:
        return f"quick {name}"

    def tool(name: str, run: Any) -> Tool:
        spec = ToolSpec(name=name, description="Do it.", input_schema={"type": "object"})
        return Tool(spec=spec, run=run)

    class Watching(MemoryJournal):
        def append(self, *records: JournalRecord, **rest: Any) -> int | None:
            version = super().append(*records, **rest)
            if any(record.kind == "tool_result" for record in records):
                anyio.from_thread.run_sync(is_written.set)
            return version

    session = open_crashing(
        [["slow", "quick"]],
        disk,
        World(),
        journal=Watching(disk),
        tools=[tool("slow", slow), tool("quick", quick)],
    )
    with anyio.fail_after(5):
        await session.message("Go")

    ends = [record.body["content"] for record in disk.records if record.kind == "tool_result"]
    assert ends == ["quick 0-1", "slow 0-0"]


async def test_the_records_hold_what_a_resumed_run_needs() -> None:
    disk = Disk()
    session = open_crashing([["other"]], disk, World())

    await session.message("Go", max_turns=7, stream=False)

    started = only(disk, "run_started")
    assert started.body == {"text": "Go", "options": {"max_turns": 7}}
    run_id = started.run_id
    first, second = (record for record in disk.records if record.kind == "model_intent")
    assert (first.step, first.body["hold_id"]) == (0, f"ses_1/{run_id}/{first.key}")
    assert (second.step, second.key == first.key) == (1, False)
    intent = only(disk, "tool_intent")
    assert (intent.step, intent.key) == (0, "call_0")
    assert intent.body["idempotency_key"] == f"ses_1/{run_id}/0/call_0"
    assert (intent.body["name"], intent.body["effect"]) == ("other", "other")
    assert len(intent.body["arguments_sha256"]) == 64
    result = only(disk, "tool_result")
    assert (result.key, result.body["content"], result.body["is_error"]) == (
        "call_0", "did 0-0", False,
    )  # fmt: skip
    answer = next(record for record in disk.records if record.kind == "model_result")
    assert (answer.key, answer.body["stop_reason"]) == (first.key, "tool_use")
    assert answer.body["usage"]["input_tokens"] == 100
    assert only(disk, "run_finished").body == {"stop_reason": "end_turn"}


async def test_the_key_of_a_call_is_what_its_tool_sees() -> None:
    disk, world = Disk(), World()

    await open_crashing([["other"]], disk, world).message("Go")

    assert world.effects == [("other 0-0", only(disk, "tool_intent").body["idempotency_key"])]


async def test_the_checkpoint_holds_the_session() -> None:
    disk = Disk()
    session = open_crashing([["pure"]], disk, World(), system="Be brief.")

    await session.message("Go")

    state = disk.state
    assert state is not None
    assert state["history"] == [dict(message) for message in session.get_history()]
    assert (state["model"], state["system"]) == ("claude-haiku-5-5", "Be brief.")
    assert (state["tools"], state["turns"]) == (["pure", "idempotent", "other"], 2)
    assert state["usage"]["input_tokens"] == 200


async def test_a_changed_system_prompt_brings_a_new_checkpoint_along() -> None:
    disk = Disk()
    session = open_crashing([], disk, World())
    await session.message("Hi")

    session.set_system_prompt("Be brief.")
    await session.message("Hi again")

    assert len(disk.states) == 4


async def test_a_denied_call_has_a_result_and_no_intent() -> None:
    disk, world = Disk(), World()
    session = open_crashing([["other"]], disk, world)

    def deny(_call: ToolCall) -> None:
        raise ToolDenied("Not today.")

    session.on_before_tool_call(deny)
    await session.message("Go")

    assert "tool_intent" not in [record.kind for record in disk.records]
    assert only(disk, "tool_result").body["error_code"] == "tool_denied"
    assert world.effects == []


async def test_a_tool_does_not_run_where_its_intent_cannot_be_written() -> None:
    disk, world = Disk(), World()
    journal = MemoryJournal(disk)
    session = open_crashing([["other", "other"]], disk, world, journal=journal)

    def fill(_call: ToolCall) -> None:
        journal.error = StorageError("The disk is full.", code="disk_full")

    session.on_before_tool_call(fill)
    with pytest.raises(StorageError, match="full"):
        await session.message("Go")

    assert world.effects == []


async def test_a_failed_run_writes_what_it_has_reached() -> None:
    disk, world = Disk(), World()
    world.errors[1] = OverloadedError("Overloaded.")
    session = open_crashing([["other"]], disk, world)

    with pytest.raises(OverloadedError):
        await session.message("Go")

    assert disk.kinds()[-1] == ["run_failed"]
    assert only(disk, "run_failed").body == {"error": "OverloadedError", "code": "overloaded"}
    assert only(disk, "tool_result").body["content"] == "did 0-0"
    assert session.get_unfinished() == "Go"


async def test_a_run_that_is_out_of_time_keeps_the_reply_that_it_had() -> None:
    disk = Disk()

    async def hang(name: str) -> str:
        await anyio.sleep_forever()
        return name

    spec = ToolSpec(name="other", description="Do it.", input_schema={"type": "object"})
    session = open_crashing([["other"]], disk, World(), tools=[Tool(spec=spec, run=hang)])
    with pytest.raises(DeadlineExceeded):
        await session.message("Go", timeout_seconds=0.05)

    assert [kinds[-1] for kinds in disk.kinds()] == ["model_intent", "tool_intent", "run_failed"]
    assert only(disk, "run_failed").body["code"] == "deadline_exceeded"


async def test_a_cancelled_write_is_made_up_for_but_not_for_a_tool_that_did_not_run() -> None:
    disk = Disk()
    session = open_crashing([["other"]], disk, World())

    with anyio.CancelScope() as scope:

        def stop(_call: ToolCall) -> None:
            scope.cancel()

        session.on_before_tool_call(stop)
        await session.message("Go")

    assert disk.kinds() == [
        ["run_started", "model_intent"],
        ["model_result", "run_failed"],
    ]
    assert only(disk, "run_failed").body["code"] == "interrupted"


async def test_the_error_of_a_run_is_raised_even_where_it_cannot_be_journalled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk()
    journal = MemoryJournal(disk)
    session = open_crashing([], disk, World(), journal=journal)
    journal.error = StorageError("The disk is full.")

    with pytest.raises(StorageError, match="full"):
        await session.message("Go")

    assert "could not be journalled" in caplog.text
    assert session.get_unfinished() is None


async def test_what_an_end_that_could_not_be_written_leaves_can_still_be_resumed() -> None:
    disk, world = Disk(), World()
    journal = MemoryJournal(disk)
    session = open_crashing([["other"]], disk, world, journal=journal)

    def fill(_call: ToolCall, _result: Any) -> None:
        journal.error = StorageError("The disk is full.")

    session.on_after_tool_execution(fill)
    with pytest.raises(StorageError):
        await session.message("Go")
    assert session.get_unfinished() == "Go"

    journal.error = None
    result = await session.resume()

    assert result.text == "All done."
    assert world.times("other 0-0") == 1


async def test_without_a_journal_nothing_is_kept_and_keys_are_there_all_the_same() -> None:
    disk, world = Disk(), World()
    session = open_crashing([["other"]], disk, world, journal=None)

    await session.message("Go")

    assert disk.commits == []
    [(_, key)] = world.effects
    assert key.startswith("ses_1/run_")
    assert key.endswith("/0/call_0")
    assert session.get_unfinished() is None


async def test_closing_a_session_closes_its_journal() -> None:
    disk = Disk()
    journal = MemoryJournal(disk)
    async with open_crashing([], disk, World(), journal=journal) as session:
        await session.message("Hi")
        assert not journal.is_closed

    assert journal.is_closed


async def test_a_session_is_kept_where_its_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    disk = Disk()

    await open_crashing([], disk, World()).message("Hi")

    assert disk.state is not None
    assert disk.state["working_directory"] == "."


async def test_an_answer_without_words_leaves_no_empty_message_behind() -> None:
    disk, world = Disk(), World()
    world.last_words = ""

    session = open_crashing([], disk, world)
    await session.message("Hi")

    assert [message["role"] for message in session.get_history()] == ["user"]

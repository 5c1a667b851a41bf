"""A run that was cut off goes on where it stood, whatever point it was cut off at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow.agent.resume import restore
from sdk_workflow.exceptions import OverloadedError, StorageError, UsageError
from sdk_workflow.tools.effects import NOT_DONE
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import JournalRecord, ToolSpec, Usage
from tests.agent.crashing import (
    Crash,
    Disk,
    Fuse,
    MemoryJournal,
    World,
    effect_tool,
    open_crashing,
)
from tests.scripted import text_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.events import Event
    from sdk_workflow.types import EffectClass, Message

pytestmark = pytest.mark.anyio

PLAN = [["pure"], ["other", "idempotent"], ["idempotent"], ["other"]]


async def crash_at(
    point: str, plan: Sequence[Sequence[str]], disk: Disk, world: World, **options: Any
) -> None:
    """Run the plan and strike the process down at the first point of that name."""
    whole = Fuse()
    await open_crashing(plan, Disk(), World(), whole).message("Go")
    session = open_crashing(plan, disk, world, Fuse(1 + whole.passed.index(point)), **options)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - Crash, also in a group
        await session.message("Go")


def assert_each_tool_use_has_its_result(history: Sequence[Message]) -> None:
    for index, message in enumerate(history):
        content = message["content"] if isinstance(message["content"], list) else []
        wanted = [block["id"] for block in content if block["type"] == "tool_use"]
        if wanted:
            answer = history[index + 1]["content"]
            assert wanted == [block["tool_use_id"] for block in answer]


def results(session: AgentSession) -> list[Mapping[str, Any]]:
    return [
        block
        for message in session.get_history()
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]


# Every point


async def count_of_points(plan: Sequence[Sequence[str]]) -> int:
    fuse = Fuse()
    await open_crashing(plan, Disk(), World(), fuse).message("Go")
    return len(fuse.passed)


async def see_through(
    plan: Sequence[Sequence[str]], blows: Sequence[int], disk: Disk, world: World
) -> AgentSession:
    """Let process after process crash at the given points, until the run has finished."""
    for blows_at in (*blows, 0):
        session = open_crashing(plan, disk, world, Fuse(blows_at))
        if disk.records and disk.records[-1].kind == "run_finished":  # crashed right behind it
            return session
        begin = session.message("Go") if session.get_unfinished() is None else session.resume()
        try:
            result = await begin
        except BaseException:  # noqa: BLE001, S112 - Crash, also in a group
            continue
        assert (result.text, result.turns) == ("All done.", len(plan) + 1)
        return session
    raise AssertionError("The last process does not crash.")


def check_effects(world: World, plan: Sequence[Sequence[str]], session: AgentSession) -> None:
    assert session.get_history()[-1]["content"][0]["text"] == "All done."
    for turn, calls in enumerate(plan):
        for index, effect in enumerate(calls):
            times = world.times(f"{effect} {turn}-{index}")
            if effect == "other":
                assert times <= 1
            else:
                assert times >= 1
    # However often it was run, a call has one key, and no two calls share one.
    pairs = set(world.effects)
    assert len(pairs) == len({name for name, _ in pairs}) == len({key for _, key in pairs})


async def test_a_run_that_is_struck_down_at_any_point_is_seen_through() -> None:
    for blows_at in range(1, await count_of_points(PLAN) + 1):
        disk, world = Disk(), World()

        session = await see_through(PLAN, [blows_at], disk, world)

        check_effects(world, PLAN, session)
        assert_each_tool_use_has_its_result(session.get_history())
        for call in world.calls:
            assert_each_tool_use_has_its_result(call.messages)
        assert disk.records[-1].kind == "run_finished"


@settings(deadline=None, max_examples=60)
@given(
    plan=st.lists(
        st.lists(st.sampled_from(["pure", "idempotent", "other"]), min_size=1, max_size=4),
        max_size=4,
    ),
    blows=st.lists(st.integers(1, 60), max_size=5),
)
def test_a_run_survives_crash_after_crash(plan: list[list[str]], blows: list[int]) -> None:
    async def run() -> None:
        disk, world = Disk(), World()
        session = await see_through(plan, blows, disk, world)
        check_effects(world, plan, session)
        assert [message["role"] for message in session.get_history()] == (
            ["user", "assistant"] * (len(plan) + 1)
        )
        assert_each_tool_use_has_its_result(session.get_history())

    anyio.run(run)


# Tools


async def test_a_tool_call_that_finished_is_not_run_again() -> None:
    disk, world = Disk(), World()
    fuse = Fuse()
    await open_crashing([["other"]], Disk(), World(), fuse).message("Go")
    _, second = (index for index, name in enumerate(fuse.passed) if name == "before model")
    with pytest.raises(Crash):
        await open_crashing([["other"]], disk, world, Fuse(second + 1)).message("Go")

    events: list[Event] = []
    resumed = open_crashing([["other"]], disk, world, sinks=[events.append])
    result = await resumed.resume()

    assert world.times("other 0-0") == 1
    assert [(record.name, record.is_error) for record in result.tool_calls] == [("other", False)]
    assert results(resumed)[0]["content"] == "did 0-0"
    assert "ToolStarted" not in {type(event).__name__ for event in events}


@pytest.mark.parametrize("effect", ["pure", "idempotent"])
async def test_a_harmless_call_in_doubt_is_run_again_with_the_same_key(effect: EffectClass) -> None:
    disk, world = Disk(), World()
    await crash_at(f"after {effect} 0-0", [[effect]], disk, world)

    await open_crashing([[effect]], disk, world).resume()

    (first, first_key), (second, second_key) = world.effects
    assert (first, first_key) == (second, second_key)


@pytest.mark.parametrize("point", ["before other 0-0", "after other 0-0"])
async def test_of_any_other_call_in_doubt_the_model_is_told_that_its_outcome_is_unknown(
    point: str,
) -> None:
    disk, world = Disk(), World()
    await crash_at(point, [["other"]], disk, world)

    session = open_crashing([["other"]], disk, world)
    result = await session.resume()

    assert world.times("other 0-0") == point.startswith("after")
    [told] = results(session)
    assert told["is_error"] is True
    assert told["content"].startswith("Outcome unknown")
    assert [record.error_code for record in result.tool_calls] == ["outcome_unknown"]


async def test_a_call_whose_intent_was_not_written_is_run() -> None:
    disk, world = Disk(), World()
    await crash_at("before tool_intent", [["other"]], disk, world)

    session = open_crashing([["other"]], disk, world)
    await session.resume()

    assert world.times("other 0-0") == 1
    assert "is_error" not in results(session)[0]


async def test_a_tool_that_has_become_harmless_is_not_trusted_for_the_past() -> None:
    disk, world = Disk(), World()
    await crash_at("before other 0-0", [["other"]], disk, world)
    spec = ToolSpec(name="other", description="Do it.", input_schema={"type": "object"})
    now_pure = Tool(spec=spec, run=effect_tool("pure", world, Fuse()).run, effect="pure")

    session = open_crashing([["other"]], disk, world, tools=[now_pure])
    await session.resume()

    assert world.effects == []
    assert results(session)[0]["is_error"] is True


async def test_a_tool_that_has_become_harmful_is_not_run_again() -> None:
    disk, world = Disk(), World()
    await crash_at("before idempotent 0-0", [["idempotent"]], disk, world)
    spec = ToolSpec(name="idempotent", description="Do it.", input_schema={"type": "object"})
    now_other = Tool(spec=spec, run=effect_tool("other", world, Fuse()).run)

    session = open_crashing([["idempotent"]], disk, world, tools=[now_other])
    await session.resume()

    assert world.effects == []


async def test_a_call_in_doubt_of_a_tool_that_is_gone_is_reported() -> None:
    disk, world = Disk(), World()
    await crash_at("before idempotent 0-0", [["idempotent"]], disk, world)

    session = open_crashing([["idempotent"]], disk, world, tools=[])
    await session.resume()

    assert results(session)[0]["content"].startswith("Outcome unknown")


def broken(_key: str, _arguments: Mapping[str, Any]) -> Any:
    raise RuntimeError("no such luck")


async def later(_key: str, arguments: Mapping[str, Any]) -> Any:
    await anyio.lowlevel.checkpoint()
    return {"found": arguments["name"]}


@pytest.mark.parametrize(
    ("effect", "reconcile", "content", "times"),
    [
        pytest.param("other", lambda _key, _args: "it is done", "it is done", 0, id="done"),
        pytest.param("other", later, '{"found": "0-0"}', 0, id="done, asked asynchronously"),
        pytest.param("other", lambda _key, _args: NOT_DONE, "did 0-0", 1, id="not done"),
        pytest.param("other", lambda _key, _args: None, "Outcome unknown", 0, id="cannot tell"),
        pytest.param("other", broken, "Outcome unknown", 0, id="fails"),
        pytest.param(
            "idempotent", lambda _key, _args: "it is done", "it is done", 0, id="idem done"
        ),
        pytest.param("idempotent", lambda _key, _args: None, "did 0-0", 1, id="idem cannot tell"),
    ],
)
async def test_a_reconcile_hook_is_asked_first(
    effect: EffectClass, reconcile: Callable[..., Any], content: str, times: int
) -> None:
    disk, world = Disk(), World()
    await crash_at(f"before {effect} 0-0", [[effect]], disk, world)
    asked: list[str] = []

    def hook(key: str, arguments: Mapping[str, Any]) -> Any:
        asked.append(key)
        return reconcile(key, arguments)

    spec = ToolSpec(name=effect, description="Do it.", input_schema={"type": "object"})
    run = effect_tool(effect, world, Fuse()).run
    tool = Tool(spec=spec, run=run, effect=effect, reconcile=hook)
    session = open_crashing([[effect]], disk, world, tools=[tool])
    await session.resume()

    [told] = results(session)
    assert told["content"].startswith(content)
    assert world.times(f"{effect} 0-0") == times
    [intent] = [record for record in disk.records if record.kind == "tool_intent"][:1]
    assert asked == [intent.body["idempotency_key"]]


async def test_what_a_doubt_was_settled_with_holds_after_the_next_crash() -> None:
    disk, world = Disk(), World()
    await crash_at("after other 0-0", [["other"], ["pure"]], disk, world)
    session = open_crashing([["other"], ["pure"]], disk, world)
    world.errors[1] = OverloadedError("Overloaded.")
    with pytest.raises(OverloadedError):
        await session.resume()
    asked = len([record for record in disk.records if record.kind == "tool_result"])

    await open_crashing([["other"], ["pure"]], disk, world).resume()

    assert asked == 1
    settled = [record for record in disk.records if record.kind == "tool_result"]
    assert [record.key for record in settled if record.step == 0] == ["call_0"]


async def test_of_two_calls_side_by_side_only_the_one_in_doubt_is_reported() -> None:
    disk, world = Disk(), World()
    plan = [["other", "other"]]
    session = open_crashing(plan, disk, world, journal=MemoryJournal(disk))
    hanging = anyio.Event()

    async def hold(call: Any, _result: Any) -> None:
        if call.id == "call_1":
            hanging.set()
            await anyio.sleep_forever()

    session.on_after_tool_execution(hold)
    async with anyio.create_task_group() as group:
        group.start_soon(session.message, "Go")
        await hanging.wait()
        while not any(record.kind == "tool_result" for record in disk.records):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    resumed = open_crashing(plan, disk, world)
    await resumed.resume()

    first, second = results(resumed)
    assert first["content"] == "did 0-0"
    assert second["content"].startswith("Outcome unknown")
    assert world.times("other 0-0") == world.times("other 0-1") == 1
    assert ["tool_result", "model_intent"] in disk.kinds()  # no sync for what waits for nothing


# The model


async def test_a_question_without_an_answer_is_asked_again_under_another_hold() -> None:
    disk, world = Disk(), World()
    await crash_at("after model", [], disk, world)

    result = await open_crashing([], disk, world).resume()

    assert (result.text, result.turns) == ("All done.", 1)
    holds = [r.body["hold_id"] for r in disk.records if r.kind == "model_intent"]
    assert len(holds) == len(set(holds)) == 2


async def test_a_reply_that_was_recorded_is_not_paid_for_again() -> None:
    disk, world = Disk(), World()
    await crash_at("after tool_intent", [["pure"]], disk, world)

    result = await open_crashing([["pure"]], disk, world).resume()

    assert len(world.calls) == 2
    assert result.usage == Usage(input_tokens=200, output_tokens=20)
    assert result.turns == 2
    assert [record.name for record in result.tool_calls] == ["pure"]


async def test_a_run_that_failed_is_resumed_in_the_same_session() -> None:
    disk, world = Disk(), World()
    world.errors[1] = OverloadedError("Overloaded.")
    session = open_crashing([["other"]], disk, world)
    with pytest.raises(OverloadedError):
        await session.message("Go")
    assert session.get_unfinished() == "Go"

    result = await session.resume()

    assert result.text == "All done."
    assert world.times("other 0-0") == 1
    assert session.get_unfinished() is None
    assert disk.state is not None
    assert (disk.state["turns"], disk.state["usage"]["output_tokens"]) == (2, 20)


async def test_the_limits_of_the_message_hold_for_the_rest_of_its_run() -> None:
    disk, world = Disk(), World()
    session = open_crashing([["pure"]] * 5, disk, world)
    world.errors[1] = OverloadedError("Overloaded.")
    with pytest.raises(OverloadedError):
        await session.message("Go", max_turns=3, max_tokens=77)

    result = await open_crashing([["pure"]] * 5, disk, world).resume()

    assert (result.stop_reason, result.turns) == ("max_turns", 3)
    assert world.calls[-1].max_tokens == 77


async def test_limits_given_on_resuming_go_before() -> None:
    disk, world = Disk(), World()
    world.errors[1] = OverloadedError("Overloaded.")
    with pytest.raises(OverloadedError):
        await open_crashing([["pure"]] * 5, disk, world).message("Go", max_turns=3)

    result = await open_crashing([["pure"]] * 5, disk, world).resume(max_turns=4)

    assert (result.stop_reason, result.turns) == ("max_turns", 4)


async def test_a_limit_under_which_a_begun_tool_would_be_dropped_is_refused() -> None:
    disk, world = Disk(), World()
    await crash_at("after other 0-0", [["other"]], disk, world)
    session = open_crashing([["other"]], disk, world)

    with pytest.raises(UsageError, match="made 1 model calls"):
        await session.resume(max_turns=1)

    assert (await session.resume(max_turns=2)).turns == 2


async def test_a_run_at_its_limit_ends_with_tools_that_were_not_run() -> None:
    disk, world = Disk(), World()
    await crash_at("before tool_intent", [["other"]], disk, world)
    disk.commits[-1].append(  # the reply arrived, nothing was begun
        {**_result_record(disk), "body": _tool_body()}
    )

    session = open_crashing([["other"]], disk, world)
    result = await session.resume(max_turns=1)

    assert (result.stop_reason, result.turns) == ("max_turns", 1)
    assert "was not run" in results(session)[0]["content"]
    assert world.effects == []


def _result_record(disk: Disk) -> dict[str, Any]:
    last = disk.records[-1]
    return {"run_id": last.run_id, "step": 0, "kind": "model_result", "key": last.key}


def _tool_body() -> dict[str, Any]:
    call = {"type": "tool_use", "id": "call_0", "name": "other", "input": {"name": "0-0"}}
    return {**_text_body(), "content": [call], "stop_reason": "tool_use"}


def _text_body() -> dict[str, Any]:
    return {
        "id": "msg_1",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": "All done."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 10},
        "served_by": "simulator",
        "request_id": None,
    }


async def test_an_answer_whose_end_was_not_written_needs_no_further_call() -> None:
    disk, world = Disk(), World()
    await crash_at("before run_finished", [], disk, world)
    disk.commits[-1].append({**_result_record(disk), "body": _text_body()})
    asked = len(world.calls)

    result = await open_crashing([], disk, world).resume()

    assert (result.text, result.turns) == ("All done.", 1)
    assert len(world.calls) == asked


# The session


async def test_a_finished_run_leaves_nothing_to_resume_but_a_conversation() -> None:
    disk, world = Disk(), World()
    await open_crashing([["other"]], disk, world).message("Go")
    session = open_crashing([["other"]], disk, world)

    assert session.get_unfinished() is None
    with pytest.raises(UsageError, match="its last run has finished") as caught:
        await session.resume()
    assert caught.value.code == "nothing_to_resume"

    before = len(session.get_history())
    await session.message("And now?")
    assert len(session.get_history()) == before + 2
    assert world.calls[-1].messages[0]["content"] == "Go"


@pytest.mark.parametrize("journal", [None, MemoryJournal(Disk())])
async def test_a_session_without_a_run_has_nothing_to_resume(journal: Any) -> None:
    session = open_crashing([], Disk(), World(), journal=journal)

    with pytest.raises(UsageError, match="it has no run"):
        await session.resume()
    assert session.get_state().value == "ready"


async def test_a_new_message_leaves_a_run_behind_with_what_it_has_reached() -> None:
    disk, world = Disk(), World()
    plan = [["other"], ["other"]]
    await crash_at("before other 1-0", plan, disk, world)

    session = open_crashing(plan, disk, world)
    assert session.get_unfinished() == "Go"
    result = await session.message("Never mind")

    assert result.text == "All done."
    told = results(session)
    assert told[0]["content"] == "did 0-0"
    assert "is unknown" in told[1]["content"]
    assert world.times("other 1-0") == 0
    assert disk.state is not None
    assert disk.state["turns"] == 3
    # And so it is from now on.
    again = open_crashing(plan, disk, world)
    assert again.get_history() == session.get_history()
    assert again.get_unfinished() is None


async def test_a_message_that_came_to_nothing_may_be_sent_again_by_a_later_process() -> None:
    disk, world = Disk(), World()
    await crash_at("before model", [], disk, world)

    session = open_crashing([], disk, world)
    assert session.get_history() == ()
    await session.message("Go")

    assert [message["content"] for message in session.get_history()][:1] == ["Go"]
    assert len(session.get_history()) == 2


async def test_a_crash_in_the_second_message_keeps_the_first() -> None:
    disk, world = Disk(), World()
    await open_crashing([], disk, world).message("First")
    session = open_crashing([], disk, world, Fuse(3))
    with pytest.raises(Crash):
        await session.message("Second")

    resumed = open_crashing([], disk, world)
    assert resumed.get_unfinished() == "Second"
    await resumed.resume()

    said = [message["content"] for message in resumed.get_history() if message["role"] == "user"]
    assert said == ["First", "Second"]


async def test_what_a_failed_run_has_reached_outlives_a_crash_in_the_next_one() -> None:
    disk, world, fuse = Disk(), World(), Fuse()
    await open_crashing([], disk, world).message("First")
    world.errors[2] = OverloadedError("Overloaded.")
    session = open_crashing([[], ["other"]], disk, world, fuse)
    with pytest.raises(OverloadedError):
        await session.message("Second")
    fuse.blows_at = len(fuse.passed) + 3  # the first question of the next run
    with pytest.raises(Crash):
        await session.message("Third")

    resumed = open_crashing([[], ["other"]], disk, world)

    assert resumed.get_unfinished() == "Third"
    assert [block["content"] for block in results(resumed)] == ["did 1-0"]


async def test_the_totals_of_a_session_count_every_run_once() -> None:
    disk, world = Disk(), World()
    await open_crashing([["pure"]], disk, world).message("First")
    await crash_at_second(disk, world)
    await open_crashing([["pure"]], disk, world).resume()

    assert disk.state is not None
    assert disk.state["turns"] == 3
    assert disk.state["usage"]["input_tokens"] == 300


async def crash_at_second(disk: Disk, world: World) -> None:
    session = open_crashing([["pure"]], disk, world, Fuse(4))
    with pytest.raises(Crash):
        await session.message("Second")


async def test_a_session_that_is_busy_is_not_resumed() -> None:
    disk, world = Disk(), World()
    session = open_crashing([["pure"]], disk, world)
    refused: list[UsageError] = []

    async def resume(_call: Any) -> None:
        with pytest.raises(UsageError) as caught:
            await session.resume()
        refused.append(caught.value)

    session.on_before_tool_call(resume)
    await session.message("Go")

    assert [error.code for error in refused] == ["session_busy"]


async def test_a_closed_session_is_not_resumed() -> None:
    disk, world = Disk(), World()
    await crash_at("before model", [], disk, world)
    session = open_crashing([], disk, world)
    await session.close()

    with pytest.raises(UsageError, match="closed"):
        await session.resume()


def test_a_run_is_resumed_without_an_event_loop() -> None:
    disk, world = Disk(), World()
    world.errors[0] = OverloadedError("Overloaded.")
    session = open_crashing([], disk, world)
    try:
        with pytest.raises(OverloadedError):
            session.message_sync("Go")
        assert session.resume_sync().text == "All done."
    finally:
        session.close_sync()


async def test_a_checkpoint_of_a_foreign_history_is_made_whole() -> None:
    disk, world = Disk(), World()
    call = {"type": "tool_use", "id": "toolu_1", "name": "other", "input": {}}
    orphan = {"type": "tool_result", "tool_use_id": "toolu_0", "content": "?"}
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [orphan]},
    ]
    disk.states.append(json.dumps({"history": history}))

    session = open_crashing([], disk, world)
    assert_each_tool_use_has_its_result(session.get_history())
    await session.message("Go on")

    assert_each_tool_use_has_its_result(world.calls[0].messages)
    assert "toolu_0" not in str(world.calls[0].messages)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"history": "Hi"},
        {"history": ["Hi"]},
        {"history": [{"role": "system", "content": "Hi"}]},
        {"history": [{"role": "user", "content": None}]},
        {"history": [{"role": "user", "content": ["Hi"]}]},
        {"history": [{"role": "assistant", "content": [{"type": "tool_use"}]}]},
        {"history": [], "usage": 12},
        {"history": [], "usage": None},
        {"history": [], "turns": "3"},
    ],
)
def test_a_checkpoint_that_no_session_wrote_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(StorageError, match="not written by a session") as caught:
        restore(state, [])
    assert caught.value.code == "not_a_session"


async def test_a_memory_that_forgets_half_of_a_pair_tells_the_model_no_half() -> None:
    class LastOnly:
        def select(self, history: Sequence[Message]) -> Sequence[Message]:
            return [{"role": "user", "content": "Go"}, *history[-1:]]

    world = World()
    session = open_crashing([["pure"]], Disk(), world, memory=LastOnly(), journal=None)

    await session.message("Go", max_turns=2)

    assert "tool_result" not in str(world.calls[1].messages)


# Records


def record(kind: Any, run_id: str = "run_1", **body: Any) -> JournalRecord:
    return JournalRecord(run_id=run_id, step=0, kind=kind, body=body)


STATE: dict[str, Any] = {"history": []}
STARTED = record("run_started", text="Go", options={})


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record("model_intent")],
        [STARTED, record("run_finished")],
        [STARTED, record("run_failed"), record("run_finished")],
        [STARTED, record("run_finished"), record("run_failed")],
        [STARTED, STARTED, record("run_finished")],
    ],
)
def test_a_run_that_has_finished_or_never_began_is_not_unfinished(
    records: list[JournalRecord],
) -> None:
    assert restore(STATE, records).unfinished is None


def test_only_the_last_run_counts_and_a_record_that_is_there_twice_counts_once() -> None:
    first = record("run_started", "run_0", text="Old", options={})
    body = {**_text_body(), "content": [{"type": "text", "text": "Half"}]}
    answer = record("model_result", **body)

    run = restore(STATE, [first, STARTED, answer, answer, STARTED]).unfinished

    assert run is not None
    assert (run.text, run.run_id) == ("Go", "run_1")
    assert [reply.text for reply in run.replies] == ["Half"]
    assert run.usage == text_reply("x").usage


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("run_started", {"prompt": "Go"}),
        ("model_result", {"text": "Hi"}),
        ("model_result", {**_text_body(), "content": None}),
        ("tool_intent", {}),
        ("tool_result", {"output": "Hi"}),
    ],
)
def test_a_record_that_another_release_has_written_is_an_error_that_says_so(
    kind: str, body: dict[str, Any]
) -> None:
    with pytest.raises(StorageError, match=kind) as caught:
        restore(STATE, [STARTED, record(kind, "run_1" if kind != "run_started" else "r", **body)])
    assert caught.value.code == "journal_not_known"


def test_what_a_later_release_adds_to_a_record_is_passed_over() -> None:
    started = record("run_started", text="Go", options={}, tenant="acme")

    run = restore(STATE, [started]).unfinished

    assert run is not None
    assert run.text == "Go"


def test_a_run_whose_beginning_was_written_once_more_too_late_stays_behind() -> None:
    first = record("run_started", "run_0", text="Old", options={})

    run = restore(STATE, [first, STARTED, first]).unfinished
    assert run is not None
    assert run.run_id == "run_1"
    assert restore(STATE, [first, STARTED, first, record("run_finished")]).unfinished is None

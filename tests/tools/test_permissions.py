"""What the rules allow, and what becomes of calls that they do not cover."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import ToolDenied, UsageError
from sdk_workflow.tools.dispatcher import ToolDispatcher
from sdk_workflow.tools.permissions import STOPPED, Permissions, Rule
from sdk_workflow.tools.registry import ToolRegistry
from sdk_workflow.types import ToolCall
from tests.tools.dispatching import make_call, make_tool

if TYPE_CHECKING:
    from sdk_workflow.tools.permissions import Answer


def bash(command: str, **more: Any) -> ToolCall:
    return ToolCall(id="1", name="bash", input={"command": command, **more})


READ = ToolCall(id="1", name="read", input={"path": "x"})


def allows(permissions: Permissions, call: ToolCall) -> bool:
    try:
        permissions.check(call)
    except ToolDenied:
        return False
    return True


@pytest.mark.parametrize(
    ("rule", "command", "expected"),
    [
        ("bash(git status)", "git status", True),
        ("bash(git status)", "git 'status'", True),
        ("bash(git status)", "git status -s", False),
        ("bash(git status)", "git", False),
        ("bash(git log *)", "git log", True),
        ("bash(git log *)", "git log HEAD a/b", True),
        ("bash(git log *)", "git log --output=f", False),
        ("bash(git log *)", "git log HEAD -x", False),
        ("bash(git log --oneline *)", "git log --oneline HEAD", True),
        ("bash(git * HEAD)", "git show HEAD", True),
        ("bash(git * HEAD)", "git --x HEAD", False),
        ("bash(git * HEAD)", "git HEAD", False),
        ("bash(git * HEAD)", "git a b HEAD", False),
        ("bash(ls *)", "./ls x", False),
        ("bash(ls *)", "lsof", False),
        ("bash(ls *)", "ls x; ls y", True),
        ("bash(ls *)", "ls x; cat y", False),
        ("bash(ls *)", "cat y | ls", False),
        ("bash(ls *)", "ls > x", False),
        ("bash(python3 *)", "python3 x.py", False),
        ("bash(python3 x.py)", "python3 x.py", True),
        ("bash(python3 x.py)", "python3 y.py", False),
        ("bash(/usr/bin/env *)", "/usr/bin/env sh", False),
        ("bash(env *)", "env '*'", True),
        ("bash(env *)", "env sh", False),
        ("bash(git 'a b' *)", "git 'a b' c", True),
        ("bash", "anything > at $(all)", True),
        ("read", "ls", False),
    ],
)
def test_a_rule_allows_the_commands_that_it_means(
    rule: str, command: str, *, expected: bool
) -> None:
    assert allows(Permissions("deny", rules=[rule]), bash(command)) is expected


def test_each_command_of_a_line_may_have_a_rule_of_its_own() -> None:
    permissions = Permissions("deny", rules=["bash(git status)", "bash(wc -l)", "read"])
    assert allows(permissions, bash("git status | wc -l"))
    assert allows(permissions, READ)
    assert not allows(permissions, ToolCall(id="1", name="write", input={"path": "x"}))
    assert not allows(permissions, ToolCall(id="1", name="bash", input={}))


def test_a_refusal_says_which_of_the_two_reasons_it_has() -> None:
    permissions = Permissions("deny", rules=["bash(ls)"])
    for command, code in (("cat", "permission_denied"), ("ls > x", "unparsable_command")):
        with pytest.raises(ToolDenied) as caught:
            permissions.check(bash(command))
        assert caught.value.code == code


@pytest.mark.parametrize(
    "rule",
    [
        *("", "read(x)", "bash()", "bash( )", "bash(*)", "bash(l* x)", "bash(a;b)", "bash(a > b)"),
        *("bash(a", "two words", "bash(A=b c)", "bash($x)", "bash(ls) x"),
    ],
)
def test_a_malformed_rule_is_refused_with_an_example(rule: str) -> None:
    with pytest.raises(UsageError, match="is no rule of what may run") as caught:
        Permissions("deny", rules=[rule])
    assert "bash(git log *)" in caught.value.hint
    assert caught.value.code == "malformed_rule"


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no permission mode 'alow'") as caught:
        Permissions("alow")  # type: ignore[arg-type]
    assert "allow" in caught.value.hint


def test_somebody_must_be_there_to_be_asked() -> None:
    with pytest.raises(UsageError, match="needs somebody") as caught:
        Permissions("ask")
    assert caught.value.code == "nobody_to_ask"


def test_the_name_of_a_tool_alone_means_every_call() -> None:
    assert Rule.parse(" bash ").covers(["rm", "-rf"])
    assert not Rule.parse("bash(ls *)").covers([])


def test_everything_may_run_unless_said_otherwise() -> None:
    assert allows(Permissions(), bash("rm -rf x"))
    assert not allows(Permissions("deny"), bash("ls"))


class Person:
    """Answers from a list, and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def __call__(self, call: ToolCall) -> Answer:
        self.asked.append(call.input)
        return self.answers.pop(0)


def test_what_no_rule_covers_is_asked_about() -> None:
    person = Person("yes", "no", "yes")
    permissions = Permissions("ask", rules=["bash(ls)"], ask=person)
    assert allows(permissions, bash("ls"))
    assert person.asked == []
    assert allows(permissions, bash("cat"))
    assert not allows(permissions, bash("cat"))
    assert allows(permissions, bash("ls > x"))
    assert [each["command"] for each in person.asked] == ["cat", "cat", "ls > x"]


def test_always_holds_for_the_very_same_call_only() -> None:
    person = Person("always", "no", "no")
    permissions = Permissions("ask", ask=person)
    assert allows(permissions, bash("cat"))
    assert allows(permissions, bash("cat"))
    assert not allows(permissions, bash("cat", timeout_seconds=1))
    assert not allows(permissions, ToolCall(id="1", name="sh", input={"command": "cat"}))


def test_an_answer_that_is_none_is_a_no() -> None:
    assert not allows(Permissions("ask", ask=lambda _call: "maybe"), READ)  # type: ignore[arg-type,return-value]


def test_one_question_is_asked_at_a_time() -> None:
    asked: list[str] = []
    is_second_waiting: list[bool] = []

    def ask(call: ToolCall) -> Answer:
        asked.append(call.name)
        if call is READ:  # the second question comes up while the first one is being thought over
            second.start()
            second.join(timeout=0.2)
            is_second_waiting.append(asked == ["read"] and second.is_alive())
        return "yes"

    permissions = Permissions("ask", ask=ask)
    second = threading.Thread(target=permissions.check, args=[bash("ls")])
    permissions.check(READ)
    second.join()
    assert (asked, is_second_waiting) == (["read", "bash"], [True])


def dispatcher(permissions: Permissions, ran: list[str]) -> ToolDispatcher:
    def note(text: str) -> None:
        ran.append(text)

    registry = ToolRegistry([make_tool(note)])
    return ToolDispatcher(registry, clock=VirtualClock(), permissions=permissions)


@pytest.mark.anyio
async def test_a_call_that_is_denied_does_not_run_and_the_model_reads_why() -> None:
    ran: list[str] = []
    result = await dispatcher(Permissions("deny"), ran).dispatch(make_call())
    assert (result.is_error, result.error_code, ran) == (True, "permission_denied", [])
    assert "No rule allows this call of tool 'echo'" in result.content


@pytest.mark.anyio
async def test_the_question_is_about_the_call_as_it_will_run_and_comes_last() -> None:
    ran: list[str] = []
    person = Person("yes")
    made = dispatcher(Permissions("ask", ask=person), ran)
    made.on_before_tool_call(
        lambda call: ToolCall(id=call.id, name="echo", input={"text": "changed"})
    )
    made.register_validator("echo", lambda arguments: None if arguments["text"] else "empty")
    assert (await made.dispatch(make_call(text=""))).error_code == "invalid_tool_input"
    assert person.asked == []
    await made.dispatch(make_call(text="first"))
    assert (person.asked, ran) == ([{"text": "changed"}], ["changed"])


@pytest.mark.anyio
async def test_a_person_who_thinks_does_not_hold_up_the_event_loop() -> None:
    import anyio

    thinking = threading.Event()

    def ask(_call: ToolCall) -> Answer:
        assert thinking.wait(10)
        return "yes"

    ran: list[str] = []
    made = dispatcher(Permissions("ask", ask=ask), ran)
    async with anyio.create_task_group() as group:
        group.start_soon(made.dispatch, make_call(text="x"))
        await anyio.lowlevel.checkpoint()
        thinking.set()
    assert ran == ["x"]


@pytest.mark.anyio
async def test_who_stops_the_run_stops_it() -> None:
    ran: list[str] = []
    made = dispatcher(Permissions("ask", ask=Person("stop")), ran)
    with pytest.raises(ToolDenied) as caught:
        await made.dispatch(make_call())
    assert (caught.value.code, ran) == (STOPPED, [])

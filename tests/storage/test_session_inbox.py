"""Changes that wait to be written: one that fails holds up its own session and nobody else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage import session_inbox
from sdk_workflow.storage.session_inbox import SessionInbox

if TYPE_CHECKING:
    import pytest


class Writer:
    """Writes down what is written; the sessions in `failing` cannot be."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.written: list[tuple[str, int]] = []
        self.tries = 0

    def put(self, inbox: SessionInbox, name: str, number: int) -> None:
        inbox.put(name, functools.partial(self.write, name, number))

    def write(self, name: str, number: int) -> None:
        self.tries += 1
        if name in self.failing:
            raise StorageError("It cannot be written.")
        self.written.append((name, number))


def test_a_session_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    inbox, writer = SessionInbox(), Writer("bad")
    for name, number in (("bad", 1), ("a", 2), ("bad", 3), ("b", 4)):
        writer.put(inbox, name, number)
    inbox.settle()
    assert writer.written == [("a", 2), ("b", 4)]

    writer.failing.clear()
    inbox.settle()

    assert writer.written[2:] == [("bad", 1), ("bad", 3)]


def test_a_change_waits_for_the_one_before_it_of_the_same_session() -> None:
    inbox, writer, fails = SessionInbox(), Writer(), [True]

    def first() -> None:
        if fails[0]:
            raise StorageError("It cannot be written now.")
        writer.write("a", 1)

    inbox.put("a", first)
    writer.put(inbox, "a", 2)
    inbox.settle()
    assert writer.written == []

    fails[0] = False
    inbox.settle()
    assert writer.written == [("a", 1), ("a", 2)]


def test_an_error_that_no_disk_makes_costs_one_change(caplog: pytest.LogCaptureFixture) -> None:
    inbox, writer = SessionInbox(), Writer()

    def fail() -> None:
        raise OverflowError("too large")

    inbox.put("a", fail)
    writer.put(inbox, "a", 2)
    inbox.settle()
    inbox.settle()

    assert writer.written == [("a", 2)]
    assert inbox.failure_count == 1
    assert "too large" in str(caplog.records[0].exc_info)


def test_a_disk_that_fails_is_not_tried_for_every_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_inbox, "_MOST_FAILING", 3)
    names = [f"s{number}" for number in range(50)]
    inbox, writer = SessionInbox(), Writer(*names)
    inbox._pending.extend((name, functools.partial(writer.write, name, 0)) for name in names)

    inbox.settle()
    assert writer.tries == 3

    writer.failing.clear()
    inbox.settle()
    assert [name for name, _ in writer.written] == names


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "break", "heal"])), max_size=25
    )
)
def test_the_changes_of_each_session_are_written_once_and_in_their_order(
    steps: list[tuple[str, str]],
) -> None:
    inbox, writer = SessionInbox(), Writer()
    for number, (name, then) in enumerate(steps):
        if then == "break":
            writer.failing.add(name)
        elif then == "heal":
            writer.failing.discard(name)
        writer.put(inbox, name, number)
    writer.failing.clear()
    inbox.settle()

    for name in "abc":
        expected = [number for number, (each, _) in enumerate(steps) if each == name]
        assert [number for each, number in writer.written if each == name] == expected

"""Whatever changes between two saves, the bytes and the change are those of a save from nothing."""

from __future__ import annotations

import hashlib
import marshal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage import snapshots
from sdk_workflow.storage.snapshots import Value, encode
from sdk_workflow.storage.splices import Pieces

if TYPE_CHECKING:
    from sdk_workflow.storage.snapshots import Snapshot

ITEM: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 1.0, True, False, None, "", "a", "ab", [], [1], [True], {}, {"a": 1}, -0.0, 0.0, "é"]
)
STATE = st.dictionaries(st.sampled_from("abc"), ITEM | st.lists(ITEM, max_size=6), max_size=3)


def check(before: Snapshot, state: dict[str, Any]) -> Snapshot:
    snapshot, changes = encode(state, before)
    assert [*snapshot] == [*state]
    for key, value in snapshot.items():
        assert value.data == to_json(state[key])
        assert value.digest == hashlib.sha256(value.data).digest()
        old = before[key].data if key in before else b""
        if key in changes:
            pieces = Pieces(old)
            pieces.apply(changes[key])
            assert pieces.joined() == value.data
        else:
            assert old == value.data
    assert set(changes) <= set(state)
    return snapshot


@given(st.lists(STATE, max_size=6))
@settings(max_examples=300)
def test_a_run_of_states_is_encoded_as_each_by_itself(states: list[dict[str, Any]]) -> None:
    snapshot: Snapshot = {}
    for state in states:
        snapshot = check(snapshot, state)


@given(STATE, STATE)
def test_a_state_read_from_disk_is_a_good_start(first: dict[str, Any], then: Any) -> None:
    from_disk = {key: Value.of(value.data) for key, value in encode(first)[0].items()}
    check(check(from_disk, first), then)


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0.0, -0.0), (False, 0)])
def test_values_that_compare_equal_but_are_not_the_same_are_changes(old: Any, new: Any) -> None:
    for wrap in (lambda item: item, lambda item: [item], lambda item: {"k": item}):
        before, _ = encode({"a": wrap(old)})
        after, changes = encode({"a": wrap(new)}, before)
        assert "a" in changes
        assert after["a"].data == to_json(wrap(new))


def test_only_the_elements_that_changed_are_serialised(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[Any] = [{"n": number} for number in range(50)]
    before, _ = encode({"turns": turns})
    seen: list[Any] = []

    def watched(value: Any) -> bytes:
        seen.append(value)
        return to_json(value)

    monkeypatch.setattr(snapshots, "serialiser", lambda: watched)
    turns[20] = {"n": "changed"}
    turns.append({"n": 50})
    encode({"turns": turns}, before)
    assert len(seen) == 31  # from the first change to the last
    seen.clear()
    encode({"turns": turns[:50]}, encode({"turns": turns[:50]})[0])
    assert len(seen) == 50  # those of the first encoding only


def test_a_long_list_of_small_elements_is_one_value() -> None:
    numbers = list(range(20_000))
    before, _ = encode({"n": numbers})
    assert before["n"].prints is not None
    assert len(before["n"].prints) == 1
    check(before, {"n": [*numbers, 1]})


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": [1, {2}]}, r"\$\.a\[1\]"),
        ({"a": [object()]}, r"\$\.a"),
        ({"a": [1, object()]}, r"\$\.a\[1\]"),
        ({"a": {"b": (1,)}}, r"\$\.a\.b"),
        ({"\ud800": 1}, r"surrogate"),
        ({1: 1}, r"key 1"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(state: Any, place: str) -> None:
    with pytest.raises(UsageError, match=place):
        encode(state)


def test_an_element_that_turns_bad_is_refused_although_its_json_would_be_the_same() -> None:
    before, _ = encode({"a": [[1, 2], "2026-01-01T00:00:00"]})
    with pytest.raises(UsageError, match=r"\$\.a\[0\] is a tuple"):
        encode({"a": [(1, 2), "2026-01-01T00:00:00"]}, before)


def test_fingerprints_are_refused_where_nothing_else_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unwilling(*_: object) -> bytes:
        raise ValueError("no")

    monkeypatch.setattr(marshal, "dumps", unwilling)
    with pytest.raises(UsageError, match="cannot be stored"):
        encode({"a": [1]})

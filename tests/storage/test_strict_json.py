from __future__ import annotations

import datetime as dt
import enum
import json
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.strict_json import MAX_DEPTH, check_json, dump, load, load_trusted

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)


class Colour(str, enum.Enum):
    RED = "red"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(JSON)
def test_what_is_written_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    for parse in (load, load_trusted):
        back = parse(dump(value))
        assert repr(back) == repr(value)


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        ({"a": [1, float("nan")]}, "$.a[1]", "nan"),
        ({"a": float("inf")}, "$.a", "inf"),
        ({"a": {1: "x"}}, "$.a", "key 1"),
        ({"a b": {"c": b"x"}}, "$['a b'].c", "bytes"),
        ([{1, 2}], "$[0]", "set"),
        ([(1, 2)], "$[0]", "tuple"),
        ({"at": dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)}, "$.at", "datetime"),
        ([2**64], "$[0]", "64 bits"),
        ([-(2**63) - 1], "$[0]", "64 bits"),
        (["ok", "\ud800"], "$[1]", "surrogate"),
        ([{"\udfff": 1}], "$[0]['\\udfff']", "surrogate"),
        ([Colour.RED], "$[0]", "plain str"),
        ([OrderedDict()], "$[0]", "plain dict"),
        ([object()], "$[0]", "object"),
    ],
)
def test_what_json_would_rewrite_is_refused_with_its_place(
    value: Any, place: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        dump(value)
    assert str(caught.value).startswith(f"{place} ")
    assert said in str(caught.value)
    assert caught.value.hint


def test_nesting_is_limited_and_deeper_values_are_no_crash() -> None:
    assert load(dump(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(UsageError, match="deeper than 128") as caught:
            dump(nested(depth))
        assert len(str(caught.value)) < 200


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="contains itself"):
        check_json(loop)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a":1,"b":{"x":1,"x":2}}', "'x' twice"),
        (b'{"a":NaN}', "not JSON"),
        (b"[1,", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b"[18446744073709551616]", "64 bits"),
        (json.dumps(["\ud800"]).encode(), "not JSON"),
        (dump(nested(MAX_DEPTH)).replace(b"[]", b"[[]]"), "128"),
    ],
)
def test_bytes_that_were_never_written_so_are_damage(data: bytes, said: str) -> None:
    with pytest.raises(Damage, match=said):
        load(data)

"""The body of a request: plain JSON as it is, and a refusal that names the place where it is none."""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sdk_workflow._internal.request_body import encode_body
from sdk_workflow.exceptions import RequestRejected

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


class Part(BaseModel):
    type: str
    text: str = "unset fields stay out"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@given(body=st.dictionaries(st.text(), JSON, max_size=4))
def test_plain_json_arrives_as_it_was_sent(body: dict[str, Any]) -> None:
    assert json.loads(encode_body(body)) == body


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Part(type="text"), {"type": "text"}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ((1, deque([2])), [1, [2]]),
        (dt.date(2026, 1, 31), "2026-01-31"),
    ],
    ids=["model", "mapping", "sequence", "date"],
)
def test_objects_that_stand_for_json_are_written_as_it(value: Any, written: Any) -> None:
    assert json.loads(encode_body({"value": value})) == {"value": written}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("nan"), "nan, which is no number"),
        (float("-inf"), "-inf, which is no number"),
        ("\ud800", "half of a surrogate pair"),
        (b"bytes", "'bytes', which is no value"),
        ({1}, "'set', which is no value"),
        (10**5000, "an integer of more digits"),
        ({(1, 2): 3}, "a key that is no text"),
        (nested(100_000), "within each other without an end"),
        (circle(), "within each other without an end"),
    ],
    ids=["nan", "inf", "surrogate", "bytes", "set", "digits", "key", "nested", "circle"],
)
def test_what_is_no_json_is_refused_with_its_place(value: Any, what: str) -> None:
    if what.startswith("an integer") and not hasattr(__import__("sys"), "set_int_max_str_digits"):
        pytest.skip("this Python writes integers of any length")
    blocks = [{"type": "text", "text": "fine"}, {"type": "text", "text": value}]
    with pytest.raises(RequestRejected) as caught:
        encode_body({"model": "m", "messages": [{"role": "user", "content": blocks}]})
    assert "messages.0.content.1.text" in caught.value.message
    assert what in caught.value.message
    assert (caught.value.code, caught.value.retryable) == ("unencodable_request", False)
    assert len(caught.value.message) < 300


def test_a_key_of_the_body_itself_may_be_the_culprit() -> None:
    body: Any = {("model",): "m"}
    with pytest.raises(RequestRejected, match="the body holds a key"):
        encode_body(body)

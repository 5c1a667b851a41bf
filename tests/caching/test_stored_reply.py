"""A reply as the caches keep it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.caching.requests import (
    as_call,
    as_reply,
    is_other_model,
    message_json,
)
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import CacheHit, Usage
from tests.caching.fakes import NOW, answer, ask, stored


def test_a_hit_is_the_same_answer_that_nothing_is_billed_for() -> None:
    kept = stored(text="Yes.")
    reply = kept.reply("semantic", hit_id="h", now=NOW, similarity=0.97)
    assert (reply.text, reply.stop_reason, reply.model) == ("Yes.", "end_turn", "claude-haiku-5-5")
    assert (reply.served_by, reply.usage, reply.headers) == ("semantic", Usage(), {})
    assert reply.cache_hit == CacheHit(
        tier="semantic",
        hit_id="h",
        age_seconds=10.0,
        usage=Usage(input_tokens=100, output_tokens=10),
        saved=kept.saved,
        similarity=0.97,
    )


def test_what_one_caller_does_to_an_answer_no_other_one_sees() -> None:
    kept = stored(text="Yes.")
    first = kept.reply("lru", hit_id="h", now=NOW)
    first.content[0]["text"] = "No."  # type: ignore[index]
    kept.message()["content"].clear()
    assert kept.reply("lru", hit_id="h", now=NOW).text == kept.text == "Yes."


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    assert stored(created=NOW + 5).age_seconds(NOW) == 0.0


def test_the_weight_is_the_size_of_the_message() -> None:
    assert stored(text="x" * 100).weight - stored(text="").weight == 100


def test_blocks_of_other_kinds_are_kept_as_they_are() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    reply = dataclasses.replace(answer("Yes."), content=(thought, *answer("Yes.").content))
    kept = StoredReply.from_json(stored(message_json=message_json(reply)).to_json())
    assert kept.reply("lru", hit_id="h", now=NOW).content == reply.content
    assert kept.text == "Yes."


def test_what_is_written_is_read_again() -> None:
    for kept in (stored(), stored(saved=None, text='"\n\u2028 é')):
        assert StoredReply.from_json(json.loads(json.dumps(kept.to_json()))) == kept


GOOD = stored().to_json()
MESSAGE = json.loads(GOOD["message"])


@pytest.mark.parametrize(
    "changes",
    [
        {"key": 5},
        {"key": None},
        {"message": 5},
        {"message": "{"},
        {"message": "[]"},
        {"message": json.dumps({**MESSAGE, "id": 5})},
        {"message": json.dumps({**MESSAGE, "model": None})},
        {"message": json.dumps({**MESSAGE, "stop_reason": None})},
        {"message": json.dumps({**MESSAGE, "content": {}})},
        {"message": json.dumps({**MESSAGE, "usage": 5})},
        {"message": json.dumps({**MESSAGE, "content": ["text"]})},
        {"message": json.dumps({**MESSAGE, "content": [{"type": 5}]})},
        {"message": json.dumps({**MESSAGE, "content": [{"type": "text"}]})},
        {"message": json.dumps({**MESSAGE, "content": [{"type": "text", "text": 5}]})},
        {"usage": None},
        {"usage": {}},
        {"usage": {**GOOD["usage"], "more": 1}},
        {"usage": {**GOOD["usage"], "input_tokens": -1}},
        {"usage": {**GOOD["usage"], "input_tokens": 1.5}},
        {"usage": {**GOOD["usage"], "input_tokens": True}},
        {"saved_pico": "12"},
        {"saved_pico": -1},
        {"created": "now"},
        {"created": True},
        {"created": float("nan")},
        {"expires": None},
        {"expires": float("inf")},
    ],
    ids=str,
)
def test_a_record_with_anything_odd_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        StoredReply.from_json({**GOOD, **changes})


def test_a_request_may_be_a_dictionary() -> None:
    message = {"role": "user", "content": "Hi"}
    assert as_call({"model": "claude-haiku-5-5", "messages": [message]}) == ask("Hi")
    call = ask("Hi")
    assert as_call(call) is call


@pytest.mark.parametrize("request_", [{}, {"model": "m"}, {"model": "m", "messages": 5}, "Hi"])
def test_what_is_no_request_is_refused(request_: Any) -> None:
    with pytest.raises(UsageError, match="no request"):
        as_call(request_)


@pytest.mark.parametrize(
    "response",
    [
        {},
        "Hi",
        {"id": "x", "model": "m"},
        {**MESSAGE, "stop_reason": None},
        {**MESSAGE, "usage": 5},
    ],
)
def test_what_is_no_message_is_refused(response: Any) -> None:
    with pytest.raises(UsageError, match="no finished message"):
        as_reply(response, "api")


def test_a_message_says_nothing_about_who_served_it() -> None:
    message = json.loads(str(message_json(answer("Hi"))))
    assert as_reply(message, "simulator") == answer("Hi", served_by="simulator")


def test_what_is_no_json_cannot_be_kept() -> None:
    assert message_json({"content": object()}) is None


@pytest.mark.parametrize(
    ("asked", "answered", "is_other"),
    [
        ("m", "m", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", False),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5", False),
        ("haiku", "claude-haiku-5-5", False),
        ("claude-opus-5", "claude-opus-5-5", True),
        ("claude-opus-5-5", "claude-haiku-5-5", True),
        ("my-model", "claude-haiku-5-5", True),
        ("claude-haiku-5-5", "my-model", True),
    ],
)
def test_another_model_is_told_from_another_name(
    asked: str, answered: str, is_other: object
) -> None:
    assert is_other_model(asked, answered, ModelCatalog.load()) is is_other


def test_without_a_catalogue_another_name_is_another_model() -> None:
    assert is_other_model("haiku", "claude-haiku-5-5", None)

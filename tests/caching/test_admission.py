from __future__ import annotations

from typing import Any

import pytest

from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.core.caching.admission import Admission
from sdk_workflow.core.caching.eligibility import EligibilityRules
from sdk_workflow.types import Call

SECRET = b"sixteen or more."


def admission(catalog: ModelCatalog | None = None) -> Admission:
    return Admission(EligibilityRules(), secret=SECRET, catalog=catalog)


@pytest.mark.parametrize(
    "messages",
    [
        (), ("Hi",), ({"role": "user"},), ({"role": "user", "content": None},),
        ({"role": "user", "content": [5]},), ({"content": "Hi"},),
    ],
)  # fmt: skip
def test_a_malformed_call_is_kept_out_and_left_to_the_api(messages: tuple[Any, ...]) -> None:
    assert admission().admit(Call(model="m", messages=messages)) == (None, "malformed")


def test_a_model_that_is_no_text_is_malformed() -> None:
    model: Any = 5
    assert admission().admit(Call(model=model, messages=({"role": "user", "content": "Hi"},)))[1]


def test_two_names_of_one_model_have_one_key() -> None:
    gate = admission(ModelCatalog.load())
    message = {"role": "user", "content": "Hi"}

    keys = {
        gate.admit(Call(model=name, messages=(message,)))[0]
        for name in ("haiku", "claude-haiku-5-5")
    }

    assert len(keys) == 1


@pytest.mark.parametrize(
    "question",
    ["What did I just say?", "How old am I?", "When is the next train?", "Roll a die.",
     "Is the site down at the moment?", "Give me a new UUID."],
)  # fmt: skip
def test_questions_about_the_moment_or_the_asker_live_a_minute(question: str) -> None:
    call = Call(model="m", messages=({"role": "user", "content": question},))

    assert admission().ttl_seconds(call, 3600) == 60


@pytest.mark.parametrize("question", ["How do I reset a router?", "What is a monad?"])
def test_questions_about_the_world_live_as_long_as_any(question: str) -> None:
    call = Call(model="m", messages=({"role": "user", "content": question},))

    assert admission().ttl_seconds(call, 3600) == 3600

"""Secrets are taken out of whatever is written down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.redaction import REDACTED, redact, redact_text

KEY = "sk-ant-api03-AbC_dEf-0123456789"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"my key is {KEY}.", f"my key is sk-ant-{REDACTED}."),
        (f"SK-ANT-{KEY[7:]}", f"sk-ant-{REDACTED}"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {REDACTED}"),
        ("bearer\tabcdef123456==", f"bearer {REDACTED}"),
        ("Basic dXNlcjpwYXNzd29yZA==", f"Basic {REDACTED}"),
        ("token ghp_0123456789abcdefABCD", f"token {REDACTED}"),
        ("github_pat_0123456789abcdefABCD", REDACTED),
        ("AKIAIOSFODNN7EXAMPLE", REDACTED),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", f"{REDACTED}!"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", REDACTED),
    ],
)
def test_a_secret_is_replaced_and_the_text_around_it_stays(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    ["a bearer of news", "Bearer, he said", "basic training", "sk-anthem", "user@example.com", ""],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_e_mail_addresses_go_when_asked_for() -> None:
    text = "Write to ann.lee+x@mail.example.co.uk, or @home."
    assert redact_text(text, emails=True) == "Write to [e-mail], or @home."
    assert redact({"a@b.de": ["a@b.de"]}, emails=True) == {"[e-mail]": ["[e-mail]"]}


def test_a_value_under_a_secrets_name_goes_whatever_it_looks_like() -> None:
    value = {"Password": "hunter2", "api_key": "", "secret": 5, "note": "hunter2"}
    shown = {"Password": REDACTED, "api_key": "", "secret": 5, "note": "hunter2"}
    assert redact(value) == shown
    assert value["Password"] == "hunter2"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc xyz", max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(alphabet="abc", min_size=1, max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_a_value_without_secrets_comes_back_equal(value: Any) -> None:
    assert redact(value) == value


@given(JSON, st.text(alphabet='abc {}"\n:', max_size=20), st.text(alphabet=" .,:\n", max_size=3))
def test_a_planted_key_never_survives_wherever_it_stands(
    value: Any, before: str, after: str
) -> None:
    planted = {"deep": [value, {"text": f"{before}{KEY}{after}", KEY: (KEY,)}]}
    assert KEY[7:] not in str(redact(planted))


def test_a_secret_that_is_named_goes_whatever_it_looks_like() -> None:
    assert redact_text("no such key: harbour-master", secrets=["harbour-master"]) == (
        f"no such key: {REDACTED}"
    )


def test_a_key_that_could_be_any_word_leaves_the_text_alone() -> None:
    assert redact_text('{"type": "error"}', secrets=["error", ""]) == '{"type": "error"}'

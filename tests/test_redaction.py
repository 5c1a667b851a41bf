"""Secrets are taken out of whatever is written down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal import redaction
from sdk_workflow._internal.redaction import REDACTED, Redactor, redact, redact_text
from sdk_workflow._internal.secret_names import is_secret_name
from tests.planted_secrets import CLEAN_PER_KIND, clean_values, planted

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
        ("password = hunter2, then", f"password = {REDACTED}, then"),
        ('{"api_key": "two words", "n": 1}', f'{{"api_key": "{REDACTED}", "n": 1}}'),
        (r"{\"secret\": \"ab\\tcd\"}", rf"{{\"secret\": \"{REDACTED}\"}}"),
        ("X-Auth-Token: lowercaseonly", f"X-Auth-Token: {REDACTED}"),
        ("Authorization: Token abcdefgh", f"Authorization: Token {REDACTED}"),
        ("https://h/?sig=abc%2F&page=2", f"https://h/?sig={REDACTED}&page=2"),
        ("redis://me:pa55@h:1/0", f"redis://me:{REDACTED}@h:1/0"),
        ("Cookie: sid=a; b=c\nnext", f"Cookie: {REDACTED}\nnext"),
        ("api_key = ****-key", "api_key = ****-key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", f"{REDACTED}!"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", REDACTED),
    ],
)
def test_a_secret_is_replaced_and_the_text_around_it_stays(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("a bearer of news", "Bearer, he said", "basic training", "sk-anthem", "user@example.com"),
        *("", "the bearer certificates", "basic understanding of things", "PWD=/srv/app"),
        *("token: required", "max_tokens=4096", "token = None", "author: Ann", "password: str"),
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_e_mail_addresses_go_when_asked_for() -> None:
    text = "Write to ann.lee+x@mail.example.co.uk, or @home."
    assert redact_text(text, personal=True) == "Write to [e-mail], or @home."
    assert redact({"a@b.de": ["a@b.de"]}, personal=True) == {"[e-mail]": ["[e-mail]"]}


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


# The whole of them


PLANTED = planted()
FRAMES = ("{}", "before {} after", "({})", "[{}],", "key {}.", "line\n{}\nline", "über {} Straße")


def test_there_are_enough_secrets_of_enough_kinds_to_plant() -> None:
    assert len(PLANTED) >= 200
    assert len({secret.kind for secret in PLANTED}) >= 15


@pytest.mark.parametrize("frame", FRAMES)
def test_no_planted_secret_survives_in_a_text(frame: str) -> None:
    redactor = Redactor()
    leaks = [
        secret for secret in PLANTED if secret.core in redactor.text(frame.format(secret.text))
    ]
    assert leaks == []


def test_no_planted_secret_survives_in_a_value() -> None:
    redactor = Redactor()
    for secret in PLANTED:
        value = {"deep": [{"text": secret.text}, (secret.text,)], secret.text: 1}
        assert secret.core not in str(redactor.value(value)), secret


def test_hardly_any_ordinary_value_is_masked() -> None:
    redactor = Redactor()
    values = clean_values()
    masked = [value for value in values if redactor.text(value) != value]
    assert len(values) >= 1000
    assert len(masked) <= len(values) // 100, masked
    assert len(masked) < CLEAN_PER_KIND // 2, "one kind alone is masked most of the time"


SNIPPETS = st.sampled_from(
    [secret.text for secret in PLANTED[::3]] + clean_values()[::20]
) | st.text(alphabet="aA1 -_.=:@/\"'\n", max_size=12)


@given(st.lists(SNIPPETS, max_size=4), st.sampled_from(["", " ", "-", "/", "\n", '"']))
def test_the_look_that_comes_first_passes_nothing_that_would_be_masked(
    parts: list[str], between: str
) -> None:
    text = between.join(parts)
    redactor = Redactor()
    assert redactor.text(text) == redactor._clean(text)


@given(st.sampled_from(PLANTED), st.integers(0, 200))
def test_a_secret_that_is_cut_off_is_passed_by_the_first_look_only_if_no_form_fits(
    secret: Any, length: int
) -> None:
    redactor = Redactor()
    text = secret.text[:length]
    assert redactor.text(text) == redactor._clean(text)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "a@",
            "@",
            "sk-",
            "eyJ",
            "eyJ.",
            "bearer ",
            "Bearer A",
            "password=",
            "pass:",
            "4111 ",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "://a:",
            "://",
            "secret='",
            '\\"token\\":',
            "1-",
            "A",
            "a.b",
        ),
        *("cookie:", "xox", "basic A", "token=\\", "SG.A1", "[redacted]", "hooks.slack.com/"),
    ],
)
def test_no_text_takes_for_ever(unit: str) -> None:
    # Quadratic time would be minutes here, and the suite's own limit ends it.
    text = unit * (60_000 // len(unit))
    assert isinstance(Redactor()._clean(f"{text}@"), str)


# What is not a form


def test_a_uuid_stays_unless_it_is_a_named_secret() -> None:
    uuid = "550e8400-e29b-41d4-a716-446655440000"
    assert Redactor().text(uuid) == uuid
    assert Redactor(secrets=[uuid]).text(uuid) == REDACTED


def test_a_named_secret_goes_in_base64_too() -> None:
    redactor = Redactor(secrets=["harbour-master", "short"])
    encoded = "aGFyYm91ci1tYXN0ZXI="
    assert redactor.text(f"{encoded} short") == f"{REDACTED}= short"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111", "[card]"),
        ("3782 822463 10005", "[card]"),
        ("378282246310005", "[card]"),
        ("30569309025904", "[card]"),
        ("4222222222222", "[card]"),
        ("card=5555555555554444.", "card=[card]."),
        ("078-05-1120", "[ssn]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),  # the check digit is wrong
        ("4111 1111-1111 1111", "4111 1111-1111 1111"),
        ("9111111111111111", "9111111111111111"),
        ("4111111111111111.5", "4111111111111111.5"),
        ("a4111111111111111", "a4111111111111111"),
        ("000-05-1120", "000-05-1120"),
        ("666-05-1120", "666-05-1120"),
        ("978-05-1120", "978-05-1120"),
        ("1078-05-1120", "1078-05-1120"),
    ],
)
def test_numbers_of_cards_and_people_go_and_other_numbers_stay(number: str, shown: str) -> None:
    assert redact_text(f"no {number}", personal=True) == f"no {shown}"
    assert redact_text(f"no {number}") == f"no {number}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"secret": 123_456}, {"secret": REDACTED}),
        ({"secret": -123_456}, {"secret": REDACTED}),
        ({"token": True, "auth": None, "jwt": 1.5}, {"token": True, "auth": None, "jwt": 1.5}),
        ({"credentials": {"user": "ann", "n": 1}}, {"credentials": {"user": REDACTED, "n": 1}}),
        ({"cookies": ["a", ("b",)]}, {"cookies": [REDACTED, [REDACTED]]}),
        # A schema describes a password, it holds none.
        ({"password": {"type": "string"}}, {"password": {"type": "string"}}),
        ({"n": 4111111111111111, "m": -4111111111111111, "ok": True},
         {"n": "[card]", "m": -4111111111111111, "ok": True}),
    ],
)  # fmt: skip
def test_what_stands_under_a_secrets_name_goes_whatever_its_form(value: Any, shown: Any) -> None:
    assert redact(value, personal=True) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "userPassword", "passwd", "secret", "clientSecret", "auth"),
        *(
            "Authorization",
            "credentials",
            "private-key",
            "apiKey",
            "X-API-Key",
            "session",
            "cookie",
        ),
        *("Set-Cookie", "ssn", "creditCard", "card_number", "csrf", "xsrf_token", "jwt", "token"),
        *("accessToken", "refresh_token", "PHPSESSID", "aws_secret_access_key", "sessionid"),
    ],
)
def test_a_name_of_secrets_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("session_id", "input_tokens", "output_tokens", "max_tokens", "author", "authority"),
        *("cache_read_input_tokens", "token_count", "auth_type", "password_set_at", "key", "tool"),
        *("time_to_first_token_ms", "secretary", "tokenizer", "monkey", "secret_version", ""),
    ],
)
def test_a_name_of_facts_is_none_of_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_what_is_remembered_of_clean_texts_and_names_stays_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "_MOST_KNOWN", 3)
    monkeypatch.setattr("sdk_workflow._internal.secret_names._MOST_KNOWN", 3)
    redactor = Redactor()
    for number in range(10):
        assert redactor.text(f"plain text {number}") == f"plain text {number}"
        assert redactor.allows_name(f"name_{number}")
        assert redactor.allows_name(f"name_{number}")
        assert len(redactor.known_texts) <= 3
        assert len(redactor.known_names) <= 3
    assert not redactor.allows_name("password")
    assert not redactor.allows_name(KEY)


def test_half_a_surrogate_pair_is_no_obstacle() -> None:
    assert redact_text(f"\ud800 {KEY}") == f"\ud800 sk-ant-{REDACTED}"

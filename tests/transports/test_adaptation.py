"""Servers that refuse a feature: the same answer, at most one more request, and remembered."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from sdk_workflow._internal.api_errors import error_from_response
from sdk_workflow.exceptions import LLMError, OverloadedError, RequestRejected
from sdk_workflow.transports.adaptation import Endpoint, without
from sdk_workflow.transports.anthropic_sdk import AnthropicTransport
from sdk_workflow.transports.capabilities import profile_of
from sdk_workflow.types import Call
from tests.stub_api import TEXT, error, json_answer, raw, stub_api

if TYPE_CHECKING:
    from sdk_workflow.transports.capabilities import CapabilityProfile
    from tests.stub_api import Answer, StubApi

pytestmark = pytest.mark.anyio

KEY = "sk-ant-not-a-real-key"
MARK = {"type": "ephemeral"}
MESSAGES = (
    {"role": "user", "content": "When is the tide high?"},
    {"role": "system", "content": "Be brief."},
)
MARKED = ({"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": MARK}]},)
FIELDS: dict[str, dict[str, Any]] = {
    "auto_cache": {"parameters": {"cache_control": MARK}},
    "explicit_cache": {"messages": MARKED},
    "diagnostics": {"parameters": {"diagnostics": {"previous_message_id": None}}},
    "role_system": {"messages": MESSAGES},
}
REFUSALS = {
    "auto_cache": "cache_control: Extra inputs are not permitted",
    "explicit_cache": "messages.0.content.0.text.cache_control: Extra inputs are not permitted",
    "diagnostics": "diagnostics: Extra inputs are not permitted",
    "role_system": "messages.1.role: Input should be 'user' or 'assistant'",
}


def ask(**fields: Any) -> Call:
    message = {"role": "user", "content": "Hi"}
    return Call(**{"model": "claude-haiku-5-5", "messages": (message,), **fields})


def refusing(text: str, *, status: int = 400) -> Answer:
    return error(status, "invalid_request_error", text)


def transport_to(api: StubApi, profile: CapabilityProfile | None = None) -> AnthropicTransport:
    return AnthropicTransport(api_key=KEY, base_url=api.url, max_retries=0, profile=profile)


def holds(feature: str, body: dict[str, Any]) -> bool:
    """Tell whether a body that arrived holds a feature."""
    if feature in {"auto_cache", "diagnostics"}:
        return {"auto_cache": "cache_control"}.get(feature, feature) in body
    if feature == "explicit_cache":
        return "cache_control" in str(body["messages"])
    return any(message["role"] == "system" for message in body["messages"])


@pytest.mark.socket
@pytest.mark.parametrize("max_tokens", [100, 20_000], ids=["plain", "streamed"])
@pytest.mark.parametrize("is_first_party", [True, False])
@pytest.mark.parametrize("feature", FIELDS)
async def test_a_refused_feature_is_left_out_once_and_for_all(
    feature: str,
    max_tokens: int,
    caplog: pytest.LogCaptureFixture,
    *,
    is_first_party: bool,
) -> None:
    profile = profile_of(None) if is_first_party else None
    call = ask(max_tokens=max_tokens, **FIELDS[feature])
    async with stub_api(refusing(REFUSALS[feature])) as api:
        transport = transport_to(api, profile)
        with caplog.at_level(logging.WARNING, "sdk_workflow.transports"):
            first = await transport.send(call)
            second = await transport.send(call)
        await transport.aclose()
    assert first.text == second.text == TEXT
    assert [holds(feature, exchange.body) for exchange in api.requests] == [True, False, False]
    assert len(caplog.records) == 1
    assert "from now on" in caplog.text


@pytest.mark.socket
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_server_that_gives_no_reason_gets_nothing_optional(status: int) -> None:
    call = ask(messages=MESSAGES, parameters={"cache_control": MARK, "diagnostics": {}})
    async with stub_api(raw(status, b"bad request", content_type="text/plain")) as api:
        transport = transport_to(api)
        assert (await transport.send(call)).text == TEXT
        await transport.aclose()
    last = api.requests[-1].body
    assert len(api.requests) == 2
    assert not any(holds(feature, last) for feature in FIELDS)


@pytest.mark.socket
async def test_a_refusal_that_remains_is_the_first_one_and_nothing_is_remembered() -> None:
    call = ask(parameters={"cache_control": MARK})
    script = [refusing("cache_control: not here"), refusing("still wrong")]
    async with stub_api(*script) as api:
        transport = transport_to(api)
        with pytest.raises(RequestRejected, match="cache_control: not here"):
            await transport.send(call)
        await transport.send(call)
        await transport.aclose()
    assert [holds("auto_cache", exchange.body) for exchange in api.requests] == [True, False, True]


@pytest.mark.socket
async def test_a_server_that_speaks_as_the_api_does_names_what_it_refuses() -> None:
    async with stub_api(refusing("max_tokens: too large")) as api:
        transport = transport_to(api)
        with pytest.raises(RequestRejected, match="max_tokens: too large"):
            await transport.send(ask(parameters={"cache_control": MARK}))
        await transport.aclose()
    assert len(api.requests) == 1


@pytest.mark.socket
@pytest.mark.parametrize(
    "text",
    [
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        "max_tokens: Input should be greater than 0",
        "why",
    ],
)
async def test_the_first_party_is_taken_at_its_word(text: str) -> None:
    call = ask(parameters={"cache_control": MARK})
    async with stub_api(refusing(text)) as api:
        transport = transport_to(api, profile_of(None))
        with pytest.raises(RequestRejected):
            await transport.send(call)
        await transport.aclose()
    assert len(api.requests) == 1


@pytest.mark.socket
@pytest.mark.parametrize(
    ("status", "text"), [(400, "prompt is too long: 2 > 1"), (413, "cache_control")]
)
async def test_a_prompt_that_is_too_long_is_not_sent_again(status: int, text: str) -> None:
    call = ask(parameters={"cache_control": MARK})
    async with stub_api(refusing(text, status=status)) as api:
        transport = transport_to(api)
        with pytest.raises(RequestRejected):
            await transport.send(call)
        await transport.aclose()
    assert len(api.requests) == 1


@pytest.mark.socket
async def test_without_anything_optional_a_refusal_is_final() -> None:
    async with stub_api(refusing("why")) as api:
        transport = transport_to(api)
        with pytest.raises(RequestRejected):
            await transport.send(ask())
        await transport.aclose()
    assert len(api.requests) == 1


async def test_a_failure_of_the_second_request_teaches_nothing() -> None:
    endpoint = Endpoint(profile_of("http://localhost"), "test")
    body = {"model": "m", "diagnostics": {}}
    seen: list[dict[str, Any]] = []

    async def send(sent: dict[str, Any]) -> None:
        seen.append(sent)
        if len(seen) == 1:
            raise RequestRejected("diagnostics", status=400)
        raise OverloadedError("busy")

    with pytest.raises(OverloadedError):
        await endpoint.send(body, send)
    assert endpoint.adapted(body) is body


async def test_what_differs_by_model_is_remembered_by_model() -> None:
    endpoint = Endpoint(profile_of(None), "test")

    async def send(sent: dict[str, Any]) -> dict[str, Any]:
        if sent["model"] == "old" and holds("role_system", sent):
            raise RequestRejected(REFUSALS["role_system"], status=400)
        return sent

    await endpoint.send({"model": "old", "messages": list(MESSAGES)}, send)
    assert not holds("role_system", endpoint.adapted({"model": "old", "messages": MESSAGES}))
    assert holds("role_system", endpoint.adapted({"model": "new", "messages": MESSAGES}))


def test_what_is_known_to_be_missing_is_never_sent() -> None:
    endpoint = Endpoint(profile_of("https://bedrock-runtime.eu-west-1.amazonaws.com"), "test")
    body = {"model": "m", "messages": list(MESSAGES), "cache_control": MARK, "diagnostics": {}}
    before = copy.deepcopy(body)
    sent = endpoint.adapted(body)
    assert set(sent) == {"model", "messages"}
    assert not holds("role_system", sent)
    assert body == before


# What stands in for what was left out


def test_marks_are_taken_off_every_block_and_nothing_else() -> None:
    body = {
        "cache_control": MARK,
        "tools": [{"name": "read", "cache_control": MARK}],
        "system": [{"type": "text", "text": "x", "cache_control": MARK}],
        "messages": [
            {"role": "user", "content": "plain"},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "content": [{"type": "text", "text": "y", "cache_control": MARK}],
                        "cache_control": MARK,
                    },
                    {"type": "tool_use", "input": {"cache_control": "an argument"}},
                ],
            },
        ],
    }
    before = copy.deepcopy(body)
    assert without(body, ["explicit_cache"]) == {
        "cache_control": MARK,
        "tools": [{"name": "read"}],
        "system": [{"type": "text", "text": "x"}],
        "messages": [
            {"role": "user", "content": "plain"},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "content": [{"type": "text", "text": "y"}]},
                    {"type": "tool_use", "input": {"cache_control": "an argument"}},
                ],
            },
        ],
    }
    assert body == before


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


BRIEF = text("<system>\nBe brief.\n</system>")
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "y"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [("user", "a"), ("system", "Be brief.")],
            [("user", [text("a"), BRIEF])],
        ),
        (
            [("assistant", "a"), ("system", "Be brief."), ("user", [RESULT])],
            [("assistant", "a"), ("user", [RESULT, BRIEF])],
        ),
        (
            [("user", "a"), ("system", "Be brief."), ("user", "b"), ("assistant", "c")],
            [("user", [text("a"), BRIEF, text("b")]), ("assistant", "c")],
        ),
        (
            [("system", [text("Be"), text("kind.", cache_control=MARK)]), ("assistant", "a")],
            [
                ("user", [text("<system>\nBe\nkind.\n</system>", cache_control=MARK)]),
                ("assistant", "a"),
            ],
        ),
        (
            [("system", "Be brief."), ("user", "a"), ("user", "b")],
            [("user", [BRIEF, text("a")]), ("user", "b")],
        ),
    ],
)
def test_the_user_says_what_the_system_said(
    messages: list[tuple[str, Any]], expected: list[tuple[str, Any]]
) -> None:
    body = {"messages": [{"role": role, "content": content} for role, content in messages]}
    before = copy.deepcopy(body)
    changed = without(body, ["role_system"])["messages"]
    assert [(message["role"], message["content"]) for message in changed] == expected
    assert body == before


def test_a_body_without_a_feature_stays_as_it_is() -> None:
    body = {"messages": [{"role": "user", "content": "a"}]}
    assert without(body, FIELDS) is body


# Counting


@pytest.mark.socket
@pytest.mark.parametrize(
    "answer",
    [
        raw(404, b"404 page not found", content_type="text/plain"),
        json_answer(404, {"detail": "Not Found"}),
        raw(405, b"", content_type="text/plain"),
        error(404, "not_found_error", "no such path"),
    ],
)
async def test_where_nobody_counts_tokens_are_estimated_from_the_second_request_on(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    call = ask(messages=({"role": "user", "content": "x" * 3_000},))
    async with stub_api(answer) as api:
        transport = transport_to(api)
        counts = [await transport.count_tokens(call) for _ in range(3)]
        await transport.aclose()
    assert counts == [1_004] * 3
    assert len(api.requests) == 1
    assert "estimated from now on" in caplog.text


@pytest.mark.socket
@pytest.mark.parametrize(
    ("answer", "is_first_party"),
    [
        (error(404, "not_found_error", "model: claude-haiku-5-5"), False),
        (error(404, "not_found_error", "anything"), True),
        (error(401, "authentication_error"), False),
        (error(500, "api_error"), False),
    ],
)
async def test_another_refusal_to_count_is_told(answer: Answer, *, is_first_party: bool) -> None:
    async with stub_api(answer) as api:
        transport = transport_to(api, profile_of(None) if is_first_party else None)
        with pytest.raises(LLMError):
            await transport.count_tokens(ask())
        assert await transport.count_tokens(ask()) == 42
        await transport.aclose()


async def test_a_proxy_before_the_first_party_may_lack_the_endpoint() -> None:
    endpoint = Endpoint(profile_of(None), "test")
    missing = error_from_response(404, "page not found")
    assert endpoint.lacks_counting(missing, "claude-haiku-5-5")


async def test_a_server_known_not_to_count_is_not_asked() -> None:
    transport = AnthropicTransport(
        api_key=KEY,
        base_url="https://bedrock-runtime.eu-west-1.amazonaws.com",
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _request: 1 / 0)),  # type: ignore[arg-type]
    )
    assert await transport.count_tokens(ask()) == 4
    await transport.aclose()


def test_the_address_of_the_sdks_own_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://mine.services.ai.azure.com/anthropic")
    assert AnthropicTransport(api_key=KEY)._endpoint._profile.name == "Foundry"
    assert AnthropicTransport(api_key=KEY, base_url="http://x")._endpoint._profile.name != "Foundry"


# What is malformed


@pytest.mark.parametrize(
    "messages",
    [
        "Hi",
        True,
        [None],
        [{"role": "system"}],
        [{"role": "system", "content": [1]}],
        [{"role": "user", "content": 5}, {"role": "system", "content": "Be brief."}],
        [{"content": "Hi"}, {"role": "system", "content": "Be brief."}],
    ],
    ids=repr,
)
def test_a_malformed_conversation_is_left_for_the_server_to_refuse(messages: Any) -> None:
    body = {"model": "m", "messages": messages}
    assert without(body, ["role_system"]) is body


def test_a_model_that_is_no_text_is_left_for_the_server_to_refuse() -> None:
    endpoint = Endpoint(profile_of("http://localhost"), "it")
    assert endpoint.adapted({"model": ["m"]}) == {"model": ["m"]}


async def test_a_malformed_conversation_keeps_its_refusal_at_a_server_of_ones_own() -> None:
    async with stub_api(refusing("messages.1.content: Field required")) as api:
        with pytest.raises(RequestRejected, match="Field required"):
            await transport_to(api).send(ask(messages=(MESSAGES[0], {"role": "system"})))
        assert len(api.requests) == 1

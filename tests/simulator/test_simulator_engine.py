from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.http_request import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


HEADERS = {"x-api-key": "key", "anthropic-version": "2026-10-21"}
NOVEMBER_21 = 1_795_219_200.0  # 2026-11-21T00:00:00Z
HELLO = {"role": "user", "content": "Hello"}
PARAMS: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [HELLO]}
COUNTED = {"model": "claude-haiku-5-5", "messages": [HELLO]}


def engine(**options: Any) -> Engine:
    return Engine(**{"clock": VirtualClock(start=NOVEMBER_21), **options})


def request(
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] = HEADERS,
    method: str | None = None,
) -> Any:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return engine().handle(method or ("GET" if body is None else "POST"), path, headers, raw)


def body_of(path: str, body: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = request(path, body).body
    return found


def error_of(response: Any) -> tuple[int, str, str]:
    assert response.body["type"] == "error"
    assert response.body["request_id"] == response.headers["request-id"]
    error = response.body["error"]
    return response.status, error["type"], error["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true"])
def test_a_message_is_answered_with_its_books(path: str) -> None:
    response = request(path, PARAMS)
    assert response.status == 200
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["content-type"] == "application/json"
    message = response.body
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"], message["model"]) == (
        "message",
        "assistant",
        "claude-haiku-5-5",
    )
    assert message["content"][0]["text"].endswith("“Hello”")
    output_tokens = message["usage"].pop("output_tokens")
    assert 0 < output_tokens <= 100
    assert message["usage"] == {
        "input_tokens": request("/v1/messages/count_tokens", COUNTED).body["input_tokens"],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
        "inference_geo": "global",
    }


def test_a_stream_is_answered_with_events() -> None:
    response = request("/v1/messages", {**PARAMS, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.events is not None
    assert [event["type"] for event in response.events][::100] == ["message_start"]


def test_region_and_speed_are_reported_as_asked_for() -> None:
    params = {**PARAMS, "inference_geo": "us", "speed": "standard"}
    usage = request("/v1/messages", params).body["usage"]
    assert (usage["inference_geo"], usage["speed"]) == ("us", "standard")


def test_a_bearer_token_is_as_good_as_a_key() -> None:
    headers = {"authorization": "Bearer token", "anthropic-version": "2023-06-01"}
    assert request("/v1/messages", PARAMS, headers=headers).status == 200


@pytest.mark.parametrize(
    "auth", [{}, {"x-api-key": ""}, {"authorization": "Bearer "}, {"authorization": "Basic x"}]
)
def test_without_credentials_there_is_no_answer(auth: dict[str, str]) -> None:
    headers = {"anthropic-version": "2026-10-21", **auth}
    response = request("/v1/messages", PARAMS, headers=headers)
    assert error_of(response) == (401, "authentication_error", "x-api-key header is required")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ({}, "anthropic-version: header is required"),
        (
            {"anthropic-version": "2020-01-01"},
            'anthropic-version: "2020-01-01" is not a valid version',
        ),
    ],
)
def test_a_version_has_to_be_named_and_known(version: dict[str, str], message: str) -> None:
    response = request("/v1/messages", PARAMS, headers={"x-api-key": "key", **version})
    assert error_of(response) == (400, "invalid_request_error", message)


def test_the_version_decides_on_sampling_parameters() -> None:
    params = {**PARAMS, "model": "claude-haiku-4-5", "temperature": 0.5}
    assert request("/v1/messages", params).status == 400
    old = {**HEADERS, "anthropic-version": "2023-06-01"}
    assert request("/v1/messages", params, headers=old).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/messages"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/claude-haiku-5-5"),
        ("PUT", "/v1/messages/batches"),
        ("POST", "/v1/messages/batches/msgbatch_1"),
        ("GET", "/v1/files/file_1/parts"),
        ("GET", "//["),
        ("HEAD", "/v1/models"),
    ],
)
def test_everything_else_is_not_found(method: str, path: str) -> None:
    assert error_of(request(path, method=method)) == (404, "not_found_error", "Not found")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 200_000]
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    status, kind, message = error_of(request("/v1/messages", body))
    assert (status, kind) == (400, "invalid_request_error")
    assert message.startswith("The request body is not valid JSON: ")


def test_a_body_that_is_no_object_is_refused() -> None:
    assert error_of(request("/v1/messages", b"[]"))[2] == "body: Input should be an object"


def test_escaped_characters_are_no_reason_to_refuse() -> None:
    body = json.dumps({**PARAMS, "messages": [{"role": "user", "content": "ü😀"}]}).encode()
    assert b"\\u" in body
    assert "ü😀" in request("/v1/messages", body).body["content"][0]["text"]


def test_a_body_over_the_limit_is_too_large() -> None:
    response = request("/v1/messages", b" " * (MAX_BODY_BYTES + 1))
    assert error_of(response)[:2] == (413, "request_too_large")


def test_an_invalid_request_is_refused_with_its_fault() -> None:
    response = request("/v1/messages", {**PARAMS, "max_tokens": -1})
    assert error_of(response)[2] == "max_tokens: Input should be greater than or equal to 0"
    counted = request("/v1/messages/count_tokens", PARAMS)
    assert error_of(counted)[2] == "max_tokens: Extra inputs are not permitted"


def test_a_prompt_beyond_the_context_window_is_refused() -> None:
    long = {"role": "user", "content": "word " * 200_000}
    response = request("/v1/messages", {**PARAMS, "model": "claude-haiku-4-5", "messages": [long]})
    status, kind, message = error_of(response)
    assert (status, kind) == (400, "invalid_request_error")
    assert message.startswith("prompt is too long: 250")
    assert message.endswith(" tokens > 200000 maximum")


def test_the_models_are_listed_newest_first_in_pages() -> None:
    everything = request("/v1/models?limit=1000").body
    names = [model["id"] for model in everything["data"]]
    assert not everything["has_more"]
    assert names.index("claude-haiku-5-5") < names.index("claude-haiku-4-5")
    assert "claude-sonnet-4-20250514" not in names
    first = request("/v1/models?limit=3").body
    assert (first["first_id"], first["last_id"], first["has_more"]) == (names[0], names[2], True)
    second = request(f"/v1/models?limit=3&after_id={names[2]}").body
    assert [model["id"] for model in second["data"]] == names[3:6]
    back = request(f"/v1/models?limit=2&before_id={names[3]}").body
    assert [model["id"] for model in back["data"]] == names[1:3]
    assert back["has_more"]
    last = request(f"/v1/models?after_id={names[-1]}").body
    assert last == {"data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=claude-0"])
def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    assert error_of(request(f"/v1/models?{query}"))[0] == 400


def test_importing_the_engine_loads_nothing_that_only_some_requests_need() -> None:
    program = "import sys, sdk_workflow.simulator.engine; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    own = "sdk_workflow.simulator."
    rare = {f"{own}brain", f"{own}schema_faker", "secrets", "jsonschema_rs", "anthropic"}
    assert not loaded & rare


def test_one_model_is_described() -> None:
    described = body_of("/v1/models/claude-sonnet-4-5")
    capabilities = described.pop("capabilities")
    assert described == {
        "type": "model",
        "id": "claude-sonnet-4-5",
        "display_name": "Claude Sonnet 4.5",
        "line": "sonnet",
        "created_at": described["created_at"],
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "lifecycle": "deprecated",
        "retires_at": "2026-11-30T00:00:00Z",
    }
    types = capabilities["thinking"]["types"]
    assert {kind for kind, support in types.items() if support["supported"]} == {
        "enabled",
        "disabled",
    }
    living = body_of("/v1/models/claude-haiku-5-5")
    assert (living["lifecycle"], living["retires_at"]) == ("active", None)


def test_a_model_that_has_retired_stays_on_record_behind_all_others() -> None:
    retired = body_of("/v1/models/claude-opus-4-1")
    assert retired["lifecycle"] == "retired"
    # Every request for it is refused: it can do nothing any more.
    claims = json.dumps(retired["capabilities"])
    assert '"effort": {"supported": false, "low": {"supported": false}' in claims
    assert '"supported": true' not in claims
    living = body_of("/v1/models/claude-haiku-5-5")["capabilities"]
    assert living["effort"]["supported"]
    assert living["effort"]["max"]["supported"]
    assert living["thinking"]["supported"]
    stages = [model["lifecycle"] for model in body_of("/v1/models?limit=1000")["data"]]
    assert stages.index("retired") > stages.index("deprecated")
    assert set(stages[stages.index("retired") :]) == {"retired"}


def test_an_unknown_model_is_not_found() -> None:
    assert error_of(request("/v1/models/no%20such"))[2] == "model: no such"


def test_a_model_retires_with_the_clock() -> None:
    clock = VirtualClock(start=NOVEMBER_21)
    simulator = engine(clock=clock)
    params = {**PARAMS, "model": "claude-sonnet-4-5"}
    assert simulator.create(params).model == "claude-sonnet-4-5"
    clock.advance(9 * 86_400)
    with pytest.raises(ApiError, match="model: claude-sonnet-4-5") as caught:
        simulator.create(params)
    assert str(caught.value.request_id).startswith("req_")


def test_the_same_seed_and_clock_give_the_same_answers() -> None:
    one, two, other = engine(seed=1), engine(seed=1), engine(seed=2)
    assert one.create(PARAMS) == two.create(PARAMS)
    assert one.create(PARAMS).id != other.create(PARAMS).id


def test_a_catalogue_of_ones_own_decides_which_models_exist(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    window = "context_window = 9000\nmax_output_tokens = 900\nmin_cacheable_tokens = 1024\n"
    own.write_text(f"[models.claude-mine-1]\n{window}")
    simulator = engine(catalog=ModelCatalog.load(overrides=own))
    assert simulator.create({**PARAMS, "model": "claude-mine-1"}).model == "claude-mine-1"


def test_ids_differ_from_request_to_request_and_from_run_to_run() -> None:
    simulator = engine()
    later = engine(clock=VirtualClock(start=NOVEMBER_21 + 1))
    made = [simulator.create(PARAMS), simulator.create(PARAMS), later.create(PARAMS)]
    assert len({each.id for each in made}) == len({each.request_id for each in made}) == 3


def test_counting_takes_the_parameters_of_either_endpoint() -> None:
    simulator = engine()
    assert simulator.count_tokens(COUNTED) == simulator.count_tokens(PARAMS)
    with pytest.raises(ApiError, match="messages: Field required"):
        simulator.count_tokens({"model": "claude-haiku-5-5"})


def test_brain_and_counter_can_be_replaced() -> None:
    class Parrot:
        def think(self, params: Mapping[str, Any]) -> Thought:
            return Thought(text=f"{params['messages'][0]['content']}!")

    class Ruler:
        def count(self, params: Mapping[str, Any]) -> int:
            return len(params["messages"][0]["content"])

    simulator = engine(brain=Parrot(), token_counter=Ruler())
    message = simulator.create(PARAMS).message()
    assert message["content"] == [{"type": "text", "text": "Hello!"}]
    assert message["usage"]["input_tokens"] == 5 == simulator.count_tokens(PARAMS)

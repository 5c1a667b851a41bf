"""Versions, beta features, leniency, and every parameter that is honoured, checked or refused."""

from __future__ import annotations

import json
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.simulator.betas import KNOWN_BETAS
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.script_file import parse_script
from sdk_workflow.simulator.simulation import Simulation
from tests.simulator.asking import HEADERS, MODEL, Desk, assistant, call, result, text, tool, user

ASK = user("Hello")
BODY: dict[str, Any] = {"model": MODEL, "max_tokens": 50, "messages": [ASK]}
OLD = {"anthropic-version": "2023-06-01"}


def post(body: Any, **headers: str) -> tuple[int, Any]:
    answered = Desk().http("POST", "/v1/messages", body, headers)
    if answered.status == 200:
        return 200, answered.body
    return answered.status, answered.body["error"]["message"]


def test_every_known_beta_feature_may_be_named() -> None:
    betas = ", ".join(sorted(KNOWN_BETAS))
    assert post(BODY, **{"anthropic-beta": betas})[0] == 200


@pytest.mark.parametrize("name", ["fine-grained-tool-streaming-2025-05-14", "oauth-2025-04-20"])
def test_beta_features_that_known_clients_name_by_themselves_are_known(name: str) -> None:
    assert post(BODY, **{"anthropic-beta": name})[0] == 200


@pytest.mark.parametrize(
    ("header", "names"),
    [("x", "`x`"), ("context-1m-2025-08-07, b ,a", "`a`, `b`")],
)
def test_an_unknown_beta_feature_is_refused_in_the_apis_words(header: str, names: str) -> None:
    message = f"Unexpected value(s) {names} for the `anthropic-beta` header."
    assert post(BODY, **{"anthropic-beta": header}) == (400, message)
    for path in ("/v1/models", "/v1/files"):
        answered = Desk().http("GET", path, None, {"anthropic-beta": header})
        assert answered.body["error"]["message"] == message


def test_an_unknown_beta_feature_is_refused_in_process_too() -> None:
    desk = Desk()
    assert desk.refusal(ASK, betas="x").message.startswith("Unexpected value(s) `x`")
    with pytest.raises(Exception, match="Unexpected value"):
        desk.engine.count_tokens(BODY, betas=frozenset({"x"}))


def test_a_lenient_engine_takes_what_it_does_not_know() -> None:
    desk = Desk(lenient=True)
    headers = {"anthropic-beta": "claude-next-2027-01-01"}
    body = {**BODY, "nonsense": 1, "fallbacks": "default"}
    answered = desk.http("POST", "/v1/messages", body, headers)
    assert answered.status == 200
    counted = desk.http("POST", "/v1/messages/count_tokens", body, headers)
    assert counted.body == {"input_tokens": answered.body["usage"]["input_tokens"]}
    assert desk.http("POST", "/v1/messages", {**BODY, "max_tokens": "x"}, headers).status == 400


CITED = text("Hm", citations=[{"type": "char_location"}])
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"messages": [ASK, assistant(DOCUMENT), ASK]},
            (
                "messages.1.content.0.type: Input should be one of 'text', 'tool_use', 'thinking', "
                "'redacted_thinking'"
            ),
        ),
        (
            {"messages": [user(CITED)]},
            "messages.0.content.0.citations: not supported on user text blocks",
        ),
        (
            {"temperature": 1.0},
            "temperature: not supported under anthropic-version 2026-10-21",
        ),
    ],
)
def test_what_the_old_version_took_the_new_one_refuses(
    changes: dict[str, Any], message: str
) -> None:
    body = {**BODY, "model": "claude-haiku-4-5", **changes}
    assert post(body, **OLD)[0] == 200
    assert post(body) == (400, message)


def test_citations_of_an_assistant_are_taken_by_both_versions() -> None:
    body = {**BODY, "messages": [ASK, assistant(CITED), ASK]}
    assert (post(body)[0], post(body, **OLD)[0]) == (200, 200)


@pytest.mark.parametrize(
    "name",
    ["cache_control", "container", "diagnostics", "inference_geo", "speed"],
)
def test_null_says_nothing_where_the_api_takes_it(name: str) -> None:
    assert post({**BODY, name: None})[0] == 200


def test_null_is_no_value_elsewhere() -> None:
    assert post({**BODY, "system": None}) == (400, "system: Input should be a valid list")


HARMLESS: list[dict[str, Any]] = [
    {"metadata": {"user_id": "u"}},
    {"metadata": {"user_id": None}},
    {"service_tier": "auto"},
    {"user_profile_id": "p"},
    {"workspace_id": "w"},
    {"output_config": {"effort": None, "format": None}},
]


@pytest.mark.parametrize("changes", HARMLESS)
def test_a_harmless_parameter_changes_no_answer(changes: dict[str, Any]) -> None:
    desk, other = Desk(), Desk()
    assert desk.ask(ASK, **changes).preview() == other.ask(ASK).preview()


@pytest.mark.parametrize(
    ("beta", "changes"),
    [
        ("context-management-2025-06-27", {"context_management": {"edits": []}}),
        ("server-side-fallback-2026-07-01", {"fallbacks": "default"}),
        ("server-side-fallback-2026-07-01", {"fallbacks": [{"model": "claude-haiku-4-5"}]}),
        ("mcp-client-2025-11-20", {"mcp_servers": []}),
        (
            "user-profiles-billing-2026-10-01",
            {"billing_policy": {"type": "billing_policy", "bill_to": "self"}},
        ),
        (
            "task-budgets-2026-03-13",
            {"output_config": {"task_budget": {"type": "tokens", "total": 9, "remaining": 1}}},
        ),
    ],
)
def test_a_parameter_of_a_beta_feature_needs_its_header(beta: str, changes: Any) -> None:
    assert Desk().say(ASK, betas=beta, **changes)["content"]
    message = Desk().refusal(ASK, **changes).message
    assert message.endswith("Extra inputs are not permitted")


@pytest.mark.parametrize("fallbacks", ["default", [{"model": "claude-haiku-4-5"}]])
def test_a_scripted_refusal_with_a_fallback_is_said_not_to_be_simulated(fallbacks: Any) -> None:
    script = parse_script([{"refusal": {"category": "cyber"}}])
    simulated = Simulation(Desk(brain=script).engine, clock=VirtualClock(), script=script)
    headers = {**HEADERS, "anthropic-beta": "server-side-fallback-2026-07-01"}
    for more, status, left in (({"fallbacks": fallbacks}, 400, 1), ({"fallbacks": []}, 200, 0)):
        body = json.dumps({**BODY, **more}).encode()
        steps = simulated.handle("POST", "/v1/messages", headers, body)
        answered: Any = next(steps)
        steps.close()
        # What was refused used nothing of the script up.
        assert (answered.status, script.remaining) == (status, left)
    assert "a fallback after a scripted refusal is not simulated" in str(
        Desk(brain=parse_script([{"refusal": {}}])).refusal(
            ASK, betas="server-side-fallback-2026-07-01", fallbacks=fallbacks
        )
    )


def test_context_management_reports_that_nothing_was_edited() -> None:
    params: dict[str, Any] = {"context_management": {"edits": []}}
    message = Desk().say(ASK, betas="context-management-2025-06-27", **params)
    assert message["context_management"] == {"applied_edits": []}


ALL = ",".join(sorted(KNOWN_BETAS))
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"compaction": {"type": "summarize"}}, "compaction: not simulated"),
    (
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        "context_management.edits.0: context edits are not simulated",
    ),
    ({"context_management": 1}, "context_management: Input should be an object"),
    (
        {"mcp_servers": [{"type": "url", "name": "n", "url": "u"}]},
        "mcp_servers: MCP servers are not simulated",
    ),
    ({"mcp_servers": 1}, "mcp_servers: Input should be a valid list"),
    (
        {"fallback_credit_token": "t"},
        "fallback_credit_token: unknown, or no longer redeemable",
    ),
    ({"fallbacks": 1}, "fallbacks: Input should be a valid list"),
    ({"fallbacks": [{}]}, "fallbacks.0.model: Field required"),
    ({"fallbacks": [{"x": 1}]}, "fallbacks.0.x: Extra inputs are not permitted"),
    ({"fallbacks": [{"model": "nope"}]}, "fallbacks.0.model: nope"),
    (
        {"fallbacks": [{"model": MODEL}, {"model": "claude-opus-4-1"}]},
        "fallbacks.1.model: claude-opus-4-1",
    ),
    (
        {"billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}},
        "billing_policy.bill_to: the user profile has no organization that could be billed",
    ),
    ({"container": "c"}, "container: code execution is not simulated"),
    ({"metadata": {"x": 1}}, "metadata.x: Extra inputs are not permitted"),
    ({"metadata": {"user_id": 1}}, "metadata.user_id: Input should be a valid string"),
    (
        {"metadata": {"user_id": "u" * 513}},
        "metadata.user_id: String should have at most 512 characters",
    ),
    ({"user_profile_id": 1}, "user_profile_id: Input should be a valid string"),
    ({"workspace_id": 1}, "workspace_id: Input should be a valid string"),
    (
        {"output_config": {"task_budget": {"type": "tokens"}}},
        "output_config.task_budget.total: Field required",
    ),
    (
        {"output_config": {"task_budget": {"type": "tokens", "total": 0}}},
        "output_config.task_budget.total: Input should be greater than or equal to 1",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_would_change_the_answer_and_is_not_simulated_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    assert Desk().refusal(ASK, betas=ALL, **changes).message == message


def test_counting_ignores_compaction_and_takes_no_output_parameters() -> None:
    headers = {"anthropic-beta": ALL}
    body = {"model": MODEL, "messages": [ASK], "compaction": {"type": "summarize"}}
    assert Desk().http("POST", "/v1/messages/count_tokens", body, headers).status == 200
    for name in ("max_tokens", "thread", "stream", "diagnostics"):
        refused = Desk().http("POST", "/v1/messages/count_tokens", {**body, name: {}}, headers)
        assert refused.body["error"]["message"] == f"{name}: Extra inputs are not permitted"


def test_fast_mode_depends_on_model_day_and_beta_feature() -> None:
    desk = Desk()
    assert desk.say(ASK, model="claude-opus-5-5", speed="fast")["usage"]["speed"] == "fast"
    assert "fast-mode-2026-02-01" in desk.refusal(ASK, model="claude-opus-5", speed="fast").message
    beta = "fast-mode-2026-02-01"
    assert desk.say(ASK, model="claude-opus-5", speed="fast", betas=beta)["content"]
    assert desk.say(ASK, model="claude-opus-4-8", speed="fast")["content"]
    desk.clock.advance(9 * 86_400)
    assert desk.refusal(ASK, model="claude-opus-4-8", speed="fast").message.startswith(
        "speed: 'fast'"
    )


def test_an_answer_ends_where_the_context_window_does() -> None:
    class Chatterbox:
        def think(self, _params: Any) -> Thought:
            return Thought(text="word " * 500)

    desk = Desk(brain=Chatterbox())
    asked = user("a " * 199_880)
    message = desk.say(asked, model="claude-haiku-4-5", max_tokens=1000)
    assert message["stop_reason"] == "model_context_window_exceeded"
    assert sum(message["usage"][name] for name in ("input_tokens", "output_tokens")) <= 200_000


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_hello_needs_no_credentials(method: str) -> None:
    answered = Desk().engine.handle(method, "/api/hello", {}, b"")
    assert (answered.status, answered.body) == (200, {"message": "hello"})


def test_every_answer_names_its_request_and_the_organization() -> None:
    for answered in (Desk().http("GET", "/v1/models"), Desk().http("GET", "/nothing")):
        assert answered.headers["request-id"].startswith("req_")
        assert answered.headers["anthropic-organization-id"]


def test_a_value_that_is_nested_too_deeply_is_refused_and_nothing_worse_happens() -> None:
    desk, said = Desk(), set()
    for depth in (*range(50, 1200, 10), 100_000):
        nested = '{"a":' * depth + "1" + "}" * depth
        tools = f'[{{"name":"t","input_schema":{{"type":"object","default":{nested}}}}}]'
        use = f'{{"type":"tool_use","id":"toolu_1","name":"t","input":{nested}}}'
        uses = f'{{"role":"assistant","content":[{use}]}},{json.dumps(user(result(1)))}'
        for more, parameters in (("", f',"tools":{tools}'), (f",{uses}", "")):
            messages = f"[{json.dumps(ASK)}{more}]"
            body = f'{{"model":"{MODEL}","max_tokens":9,"messages":{messages}{parameters}}}'
            answered = desk.http("POST", "/v1/messages", body.encode())
            assert answered.status in {200, 400}
            said.add("ok" if answered.status == 200 else answered.body["error"]["message"][:35])
    assert said >= {"ok", "The request body is not valid JSON:"}


def test_a_value_that_is_nested_too_deeply_is_refused_in_process_too() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    asked = [ASK, assistant(call(1, a=deep)), user(result(1))]
    assert Desk().refusal(*asked).message == "body: the value is nested too deeply"
    with pytest.raises(ApiError, match="nested too deeply"):
        Desk().engine.count_tokens({**BODY, "messages": asked})


def test_a_brain_that_recurses_without_end_is_a_fault_and_no_refusal() -> None:
    class Bottomless:
        def think(self, params: Any) -> Thought:
            return self.think(params)

    with pytest.raises(RuntimeError, match="brain recursed"):
        Desk(brain=Bottomless()).http("POST", "/v1/messages", BODY)


def test_parameters_may_be_any_kind_of_mapping_and_sequence() -> None:
    desk = Desk()
    schema: Any = MappingProxyType({"type": "object", "properties": MappingProxyType({})})
    tools = (MappingProxyType({"name": "t", "input_schema": schema}),)
    asked = [ASK, assistant(MappingProxyType(call(1, a=MappingProxyType({})))), user(result(1))]
    proxied = tuple(MappingProxyType(message) for message in asked)
    plain = [ASK, assistant(call(1, a={})), user(result(1))]
    definition = tool("t", input_schema={"type": "object", "properties": {}})
    one = desk.ask(*proxied, tools=tools).record.cache
    two = desk.ask(*plain, tools=[definition]).record.cache
    assert one.positions == two.positions
    dated = [ASK, assistant(call(1, a=date(2026, 11, 21))), user(result(1))]
    assert "2026-11-21" in desk.ask(*dated).record.cache.positions[1].label


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/v1/messages", 33, 413),
        ("/v1/messages/batches", 33, 400),
        ("/v1/files", 33, 400),
    ],
)
def test_each_endpoint_has_its_own_limit_of_size(path: str, size: int, status: int) -> None:
    assert Desk().http("POST", path, b" " * (size * 1024 * 1024)).status == status

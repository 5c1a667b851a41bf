from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import sdk_workflow
from sdk_workflow._internal.tracing import Span
from sdk_workflow._internal.version import __version__
from sdk_workflow.core.genai_names import (
    NAMES,
    agent_attributes,
    chat_attributes,
    renamed,
    reply_attributes,
    tool_attributes,
)
from sdk_workflow.core.otlp import traces_data
from sdk_workflow.core.plain_values import plain
from sdk_workflow.types import Call, Reply, ToolCall, Usage
from tests.strict_otlp import parse_otlp, parsed_spans, plain_attributes

OFFSET_NS = 1_700_000_000_000_000_000


class Shelf:
    record_content = False

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def now_ns(self) -> int:
        return 1_000

    def record(self, span: Span) -> None:
        self.spans.append(span)


def finished(name: str = "work", attributes: dict[str, Any] | None = None) -> Span:
    """Return a root span with ids and times that a test can spell out."""
    span = Span(name, Shelf(), None, attributes or {})
    span.trace_id, span.span_id = 0xABC, 0xDEF
    span.start_ns, span.end_ns = 1_000, 4_000
    return span


def document(*spans: Span, **options: Any) -> str:
    return json.dumps(traces_data(spans, offset_ns=OFFSET_NS, resource={"dropped": 3}, **options))


def any_value(value: Any) -> Any:
    return parsed_spans(document(finished(attributes={"x": value})))[0].attributes[0].value


def test_span_equals_the_protobuf_message_field_by_field() -> None:
    span = finished("chat m", chat_attributes(Call(model="m", messages=(), max_tokens=9)))
    span.parent_id = 0x123
    span.events = [(2_000, "first_chunk", {"ok": True})]
    span.fail("overloaded")

    expected = SpanMessage(
        trace_id=(0xABC).to_bytes(16, "big"),
        span_id=(0xDEF).to_bytes(8, "big"),
        parent_span_id=(0x123).to_bytes(8, "big"),
        flags=257,
        name="chat m",
        kind=SpanMessage.SPAN_KIND_CLIENT,
        start_time_unix_nano=OFFSET_NS + 1_000,
        end_time_unix_nano=OFFSET_NS + 4_000,
        attributes=[
            KeyValue(key="gen_ai.operation.name", value=AnyValue(string_value="chat")),
            KeyValue(key="gen_ai.provider.name", value=AnyValue(string_value="anthropic")),
            KeyValue(key="gen_ai.request.model", value=AnyValue(string_value="m")),
            KeyValue(key="gen_ai.request.max_tokens", value=AnyValue(int_value=9)),
            KeyValue(key="gen_ai.request.stream", value=AnyValue(bool_value=False)),
            KeyValue(key="error.type", value=AnyValue(string_value="overloaded")),
        ],
        events=[
            SpanMessage.Event(
                time_unix_nano=OFFSET_NS + 2_000,
                name="first_chunk",
                attributes=[KeyValue(key="ok", value=AnyValue(bool_value=True))],
            )
        ],
        status=Status(code=Status.STATUS_CODE_ERROR, message="overloaded"),
    )
    assert parsed_spans(document(span)) == [expected]


def test_root_span_has_no_parent_no_events_and_an_unset_status() -> None:
    message = traces_data([finished()], offset_ns=0, resource={})["resourceSpans"][0]
    (span,) = message["scopeSpans"][0]["spans"]
    assert "parentSpanId" not in span
    assert "events" not in span
    assert span["status"] == {"code": 0}
    assert span["kind"] == 1


def test_resource_holds_what_was_given_and_the_scope_names_the_library() -> None:
    resource = parse_otlp(document(finished())).resource_spans[0]
    assert plain_attributes(resource.resource.attributes) == {"dropped": 3}
    assert resource.scope_spans[0].scope.version == __version__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, AnyValue(bool_value=True)),
        (130, AnyValue(int_value=130)),
        (-(2**63), AnyValue(int_value=-(2**63))),
        (2**63, AnyValue(string_value=str(2**63))),
        (1.5, AnyValue(double_value=1.5)),
        (math.inf, AnyValue(string_value="inf")),
        (b"raw\xff", AnyValue(string_value="raw\ufffd")),
        ("lone \ud800", AnyValue(string_value="lone ?")),
        (SimpleNamespace(a=1), AnyValue(string_value="namespace(a=1)")),
        (
            ("a", None),
            AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue()])),
        ),
        (
            {"n": 1},
            AnyValue(
                kvlist_value=KeyValueList(values=[KeyValue(key="n", value=AnyValue(int_value=1))])
            ),
        ),
    ],
)
def test_attribute_values_keep_their_type_where_otlp_has_it(value: Any, expected: Any) -> None:
    assert any_value(value) == expected


def test_attribute_without_value_is_left_out() -> None:
    assert not parsed_spans(document(finished(attributes={"x": None})))[0].attributes


def test_object_whose_text_fails_costs_only_itself() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert plain(Broken()) == "<Broken>"


def test_value_that_contains_itself_ends_as_text() -> None:
    knot: list[Any] = []
    knot.append(knot)
    text = json.dumps(plain(knot))
    assert text.count("[") == text.count("]")
    assert "..." in text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.binary()
        | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
        max_leaves=10,
    )
)
def test_any_attribute_gives_a_document_that_parses_strictly(value: Any) -> None:
    assert len(parsed_spans(document(finished(attributes={"x": value})))) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"traceId": "ABC"},
        {"spanId": "0" * 16},
        {"parentSpanId": ""},
        {"kind": "SPAN_KIND_CLIENT"},
        {"startTimeUnixNano": 5},
        {"trace_id": "a" * 32},
        {"surplus": 1},
    ],
)
def test_strict_parser_refuses_what_is_not_otlp(broken: dict[str, Any]) -> None:
    data = json.loads(document(finished()))
    data["resourceSpans"][0]["scopeSpans"][0]["spans"][0].update(broken)
    with pytest.raises(ValueError, match="not OTLP/JSON"):
        parse_otlp(json.dumps(data))


def test_strict_parser_refuses_not_a_number() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        parse_otlp('{"x": NaN}')


def test_chat_attributes_hold_the_request_and_neither_prompt_nor_tools() -> None:
    call = Call(
        model="claude-haiku-5-5",
        messages=({"role": "user", "content": "the secret prompt"},),
        system="the secret system",
        tools=({"name": "secret tool"},),
        parameters={"temperature": 0.2, "output_config": {"effort": "low"}},
        session_id="s1",
    )
    attributes = chat_attributes(call)
    assert attributes["gen_ai.conversation.id"] == "s1"
    assert attributes["gen_ai.request.temperature"] == 0.2
    assert attributes["gen_ai.request.reasoning.level"] == "low"
    assert "gen_ai.request.top_p" not in attributes
    assert "secret" not in repr(attributes)


def test_chat_attributes_survive_a_malformed_output_config() -> None:
    call = Call(model="m", messages=(), parameters={"output_config": "low"})
    assert "gen_ai.request.reasoning.level" not in chat_attributes(call)


def test_reply_attributes_count_cached_tokens_as_input() -> None:
    usage = Usage(
        input_tokens=10,
        output_tokens=7,
        cache_read_input_tokens=100,
        cache_write_5m_input_tokens=15,
        cache_write_1h_input_tokens=5,
    )
    reply = Reply(
        id="msg_1",
        model="m",
        content=({"type": "text", "text": "the secret answer"},),
        stop_reason="end_turn",
        usage=usage,
        request_id="req_1",
        time_to_first_token_ms=250.0,
    )
    assert reply_attributes(reply) == {
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 130,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 20,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "anthropic.request.id": "req_1",
        "sdk_workflow.served_by": "api",
    }


def test_reply_attributes_leave_out_what_the_reply_does_not_say() -> None:
    attributes = reply_attributes(
        Reply(id="msg_1", model="m", content=(), stop_reason=None, usage=Usage())
    )
    assert "gen_ai.response.finish_reasons" not in attributes
    assert "gen_ai.response.time_to_first_chunk" not in attributes


def test_tool_attributes_name_the_tool_and_hide_its_arguments() -> None:
    call = ToolCall(id="toolu_1", name="read", input={"path": "secret.txt"})
    assert tool_attributes(call) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "toolu_1",
    }


def test_agent_attributes_name_the_agent_and_its_conversation() -> None:
    attributes = agent_attributes("helper", model="m", session_id="s1")
    assert attributes["gen_ai.operation.name"] == "invoke_agent"
    assert attributes["gen_ai.agent.name"] == "helper"
    assert attributes["gen_ai.conversation.id"] == "s1"


def test_older_conventions_rename_exactly_what_they_call_differently() -> None:
    changed = {
        name: older
        for name in NAMES.values()
        for older in renamed({name: 1}, "1.36")
        if older != name
    }
    assert changed == {
        "gen_ai.provider.name": "gen_ai.system",
        "gen_ai.usage.cache_write.input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    }


def test_export_for_older_conventions_keeps_kind_and_renames_attributes() -> None:
    span = finished("chat m", chat_attributes(Call(model="m", messages=())))
    (message,) = parsed_spans(document(span, semconv="1.36"))
    attributes = plain_attributes(message.attributes)
    assert attributes["gen_ai.system"] == "anthropic"
    assert "gen_ai.provider.name" not in attributes
    assert message.kind == SpanMessage.SPAN_KIND_CLIENT


def _code_of(path: Path) -> str:
    """Return the source of a module without its docstrings, which may show a name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def test_no_other_module_spells_a_genai_name() -> None:
    package = Path(sdk_workflow.__file__).parent
    spelled = {
        path.name
        for path in package.rglob("*.py")
        if re.search(r"""["']gen_ai\.""", _code_of(path))
    }
    assert spelled == {"genai_names.py"}

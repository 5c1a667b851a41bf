"""Values made from schemas fit them, or the request is refused with the keyword that stood before."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.fitting import fitting_input, fitting_value
from tests.simulator.asking import Desk, user


def fit(schema: dict[str, Any], prompt: str = "Hello there") -> Any:
    value = fitting_value("schema", schema, prompt)
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)
    return value


def refusal(schema: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        fitting_value("schema", schema, "Hello there")
    assert caught.value.status == 400
    return str(caught.value)


STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 40, "maxLength": 41},
        {"type": "string", "pattern": "^[a-z]+[0-9]+$", "minLength": 9, "maxLength": 9},
        {"type": "string", "pattern": "^k", "minLength": 9},
        {"type": "string", "pattern": "^[0-9]+$", "minLength": 40},
        {"type": "array", "items": STRING, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"type": "string", "maxLength": 1}, "minItems": 9,
         "uniqueItems": True},
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"type": "integer", "maximum": 3}, "minItems": 5,
         "uniqueItems": True},
        {"type": "array", "items": {"type": "integer", "minimum": 3, "maximum": 5}, "minItems": 3,
         "uniqueItems": True},
        {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 3},
        {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
        {"type": "array", "prefixItems": [STRING], "contains": {"const": 5}},
        {"type": "array", "contains": {"minimum": 5}, "items": INTEGER, "minItems": 3},
        {"type": "array", "contains": True, "minContains": 2},
        {"type": "array", "contains": {"const": 1}, "minContains": 0},
        {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.5},
        {"type": "number", "multipleOf": 0.1, "exclusiveMinimum": 0.2, "maximum": 0.35},
        {"type": "integer", "multipleOf": 0.5, "minimum": 0.25, "maximum": 1.5},
        {"type": "number", "minimum": 0.25, "maximum": 0.75},
        {"exclusiveMaximum": -2.5, "multipleOf": 2.5},
        {"type": "number", "not": {"const": 1}},
        {"type": "object", "minProperties": 2},
        {"type": "object", "properties": {"a": INTEGER, "b": STRING}, "minProperties": 1},
        {"type": "object", "patternProperties": {"^x": INTEGER}, "minProperties": 3,
         "additionalProperties": False},
        {"type": "object", "propertyNames": {"pattern": "^k_"}, "minProperties": 2},
        {"type": "object", "propertyNames": {"maxLength": 20}, "minProperties": 1},
        {"type": "object", "required": ["a"], "dependentRequired": {"a": ["a"]},
         "patternProperties": {"b": STRING}},
        {"allOf": [{"allOf": [{"$ref": "#/$defs/n"}]}], "$defs": {"n": INTEGER}},
        {"type": "object", "additionalProperties": INTEGER, "minProperties": 2},
        {"type": "object", "properties": {"xa": {"minimum": 3}}, "required": ["xa"],
         "patternProperties": {"^x": INTEGER, "^(?=z)": STRING}},
        {"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c", "a"]}},
        {"type": "string", "not": {"const": "Hello there"}},
        {"enum": [1, 2], "not": {"const": 1}},
        {"anyOf": [{"type": "string", "maxLength": 2}, INTEGER], "not": STRING},
        {"allOf": [{"minimum": 7}, {"minimum": 1}, True], "type": "integer"},
        {"type": "string", "default": 5},
        {"type": "integer", "examples": ["no"]},
        {"$ref": "#/$defs/n", "minimum": 20, "$defs": {"n": {"type": "integer", "minimum": 9}}},
        *({"type": "array", "minItems": 3, "uniqueItems": True,
           "items": {"type": "string", "format": name}}
          for name in ("date", "date-time", "time", "duration", "email", "hostname", "ipv4",
                       "ipv6", "uri", "uuid", "json-pointer", "relative-json-pointer", "regex")),
    ],
)  # fmt: skip
def test_a_value_is_found_for_the_usual_keywords(schema: dict[str, Any]) -> None:
    fit(schema)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "`m"),
        ({"type": "number", "exclusiveMinimum": 5, "exclusiveMaximum": 5}, "`exclusiveM"),
        ({"type": "string", "pattern": "(?=a)b"}, "`pattern`"),
        ({"type": "object", "patternProperties": {"(?=a)b": STRING}, "minProperties": 1,
          "additionalProperties": False}, "`minProperties`"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "`minLength`"),
        ({"not": {}}, "`not`"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True},
         "`uniqueItems`"),
        ({"type": "array", "items": False, "minItems": 1}, "`items`"),
        ({"$ref": "https://example.com/schema"}, "outside of the schema"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"type": "string", "pattern": "("}, "regex"),
    ],
)  # fmt: skip
def test_a_schema_without_a_value_is_refused_with_its_keyword(
    schema: dict[str, Any], keyword: str
) -> None:
    text = refusal(schema)
    assert text.startswith("schema: Schema is too complex for the simulator: ")
    assert keyword in text


def test_a_value_that_grows_beyond_reading_is_refused() -> None:
    schema: dict[str, Any] = {"const": 1}
    for _ in range(8):
        schema = {"type": "array", "items": schema, "minItems": 2, "uniqueItems": True}
    assert "too many values" in refusal(schema)


def test_a_text_of_the_prompt_is_taken_where_it_fits_the_pattern() -> None:
    assert fit({"type": "string", "pattern": "^[A-Z]{2}$"}, "Look up `x` and `AB`") == "AB"


def test_a_number_that_no_computer_holds_is_left_out() -> None:
    assert fit({"type": "number"}, "Add " + "9" * 400) == 1


def test_a_tool_without_a_schema_gets_no_input() -> None:
    assert fitting_input({"name": "bash", "type": "bash_20250124"}, "Hello") == {}


def test_a_forced_tool_and_a_format_that_cannot_be_met_are_a_400() -> None:
    impossible = {"type": "integer", "minimum": 5, "maximum": 3}
    schema = {"type": "object", "properties": {"v": impossible}, "required": ["v"]}
    tool = {"name": "probe", "input_schema": schema}
    forced = {"tools": [tool], "tool_choice": {"type": "any"}, "model": "claude-haiku-4-5"}
    error = Desk().refusal(user("Hello"), **forced)
    assert str(error).startswith("tools.probe.input_schema: Schema is too complex")
    form = {"type": "json_schema", "schema": impossible}
    error = Desk().refusal(user("Hello"), output_config={"format": form})
    assert str(error).startswith("output_config.format.schema: Schema is too complex")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "minProperties": 10**9},
        {"type": "array", "contains": {}, "minContains": 10**9},
        {"type": "object", "patternProperties": {"a": {"minItems": 200}}, "minProperties": 200},
    ],
)
def test_a_demand_for_too_much_is_refused_before_anything_is_made(schema: dict[str, Any]) -> None:
    tool = {"name": "probe", "input_schema": {**schema, "type": "object"}}
    if schema["type"] == "array":
        tool["input_schema"] = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    assert "it demands too many values" in str(Desk().refusal(user("Hello"), tools=[tool]))

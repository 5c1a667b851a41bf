"""What the API demands of JSON schemas: of tools, of strict tools, of a demanded output format.

A schema has to be valid by its own standard. What is sampled under a schema (a strict tool's input,
a formatted answer) has to be closed on top: every object with `additionalProperties: false`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.errors import invalid_request
from sdk_workflow.simulator.parts import dump
from sdk_workflow.simulator.shapes import check_object

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_output_schema", "check_schema"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
# The real API refuses such schemas as too complex; here they would also make answers without end.
_MAX_VALUES = 10_000
_MAX_LENGTH = 100_000
_MAX_DEPTH = 16
_MAX_REFERENCES = 40
_SCHEMAS_BY_NAME = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "contains")


def check_schema(path: str, schema: Any) -> None:
    """Check that a value is a JSON schema that can be worked with."""
    check_object(path, schema)
    reason = _fault(schema)
    if reason is not None:
        raise invalid_request(
            f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12: {reason}"
        )
    if any(inner.get("minLength", 0) > _MAX_LENGTH for inner in _all_schemas(schema)):
        raise invalid_request(f"{path}: Schema is too complex: `minLength` over {_MAX_LENGTH}")
    if _Measure(schema).size_of(schema) > _MAX_VALUES:
        raise invalid_request(f"{path}: Schema is too complex: it demands too many values")


def check_output_schema(path: str, schema: Any) -> None:
    """Check a schema that answers are bound to."""
    check_schema(path, schema)
    for inner in _all_schemas(schema):
        is_object = inner.get("type") == "object"
        if is_object and inner.get("additionalProperties", True) is not False:
            raise invalid_request(
                f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )


def _fault(schema: Mapping[str, Any]) -> str | None:
    """Return why a value is no JSON schema; a check takes about a microsecond."""
    from jsonschema_rs import ValidationError, meta

    try:
        meta.validate({**schema, "$schema": _DRAFT})
    except ValidationError as error:
        return str(error.message)
    except ValueError:
        # Of mappings, it knows dictionaries alone, and of sequences lists and tuples.
        return _fault(json.loads(dump(schema)))
    return None


def _all_schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema within it."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, Mapping):
            continue
        yield each
        for name in _SCHEMAS_BY_NAME:
            inner = each.get(name)
            waiting.extend(inner.values() if isinstance(inner, Mapping) else ())
        for name in _SCHEMA_LISTS:
            waiting.extend(each.get(name) or ())
        waiting.extend(each[name] for name in _SCHEMAS if name in each)


class _Measure:
    """Estimates how many values the smallest value has that fits a schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[tuple[int, int, int], float] = {}

    def size_of(self, schema: Any, depth: int = 0, references: int = 0) -> float:
        if references > _MAX_REFERENCES:
            # A reference that leads to itself and to no value.
            return math.inf
        if depth > _MAX_DEPTH or not isinstance(schema, Mapping):
            return 1
        key = (id(schema), depth, references)
        if key not in self._known:
            self._known[key] = self._measured(schema, depth, references)
        return self._known[key]

    def _measured(self, schema: Mapping[str, Any], depth: int, references: int) -> float:
        if "$ref" in schema:
            return self.size_of(self._referenced(schema["$ref"]), depth, references + 1)
        size: float = 1
        for name in _SCHEMA_LISTS:
            size += sum(self.size_of(each, depth, references + 1) for each in schema.get(name, ()))
        properties = schema.get("properties", {})
        for name in _required_names(schema):
            size += self.size_of(properties.get(name), depth + 1)
        for count, inner in _repeated_schemas(schema):
            size += count * self.size_of(inner, depth + 1) if count else 0
        return size

    def _referenced(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) and part else found
        return found


def _required_names(schema: Mapping[str, Any]) -> set[str]:
    dependent = schema.get("dependentRequired", {}).values()
    return {*schema.get("required", ()), *(name for names in dependent for name in names)}


def _repeated_schemas(schema: Mapping[str, Any]) -> Iterator[tuple[float, Any]]:
    """Yield how often what an array or an object holds has to be there at least."""
    yield schema.get("minItems", 0), schema.get("items")
    if "contains" in schema:
        yield schema.get("minContains", 1), schema["contains"]
    least = schema.get("minProperties", 0)
    yield least, schema.get("additionalProperties")
    for name in ("properties", "patternProperties"):
        for inner in schema.get(name, {}).values():
            yield least, inner

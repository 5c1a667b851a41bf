"""Makes a small value that fits a JSON schema, out of the words of a prompt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.pattern_faker import UnreadablePatternError, matches, text_for
from sdk_workflow.simulator.schema_merge import MAX_DEPTH, merged, resolved, type_of
from sdk_workflow.simulator.schema_numbers import number_for
from sdk_workflow.simulator.schema_strings import string_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SchemaFaker", "SchemaTooLargeError"]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]|\.\d)")
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)")
_PLACE = re.compile(r"\b(?:in|to|from|for|at|of|near)\s+((?:[A-Z][\w'-]*)(?:\s+[A-Z][\w'-]*)*)")
_DISTINCT_TRIES = 8
# What a value may cost, in characters; a number or a table counts as some.
_MAX_COST = 400_000
_COST_OF_VALUE = 20


class SchemaTooLargeError(ValueError):
    """A schema demands more values than anyone would read."""


class SchemaFaker:
    """Fits values to schemas; numbers and quoted words of the prompt are used up in their order.

    Args:
        prompt: Where strings and numbers are taken from.
        text: What stands in for a string when the prompt names no better one.

    Example:
        >>> schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        >>> SchemaFaker("Add 2 and 3.").fake(schema)
        {'a': 2}
    """

    def __init__(self, prompt: str, text: str | None = None) -> None:
        self._prompt = prompt
        self._text = prompt if text is None else text
        self._root: Mapping[str, Any] = {}
        self._variant = 0
        self._start()

    def fake(self, schema: Mapping[str, Any], *, variant: int = 0) -> Any:
        """Return a value with no more than the schema demands.

        `not`, `if` and what looks around in a `pattern` are not understood: a schema that needs
        them may get a value that does not fit.

        Args:
            schema: What the value should fit.
            variant: Which value: others for other variants, where the schema takes several.

        Raises:
            SchemaTooLargeError: It would be a very large value.
        """
        self._start()
        self._root = schema
        self._variant = variant
        return self._value(schema, "", 0)

    def _start(self) -> None:
        numbers = (float(found) for found in _NUMBER.findall(self._prompt))
        self._numbers = [number for number in numbers if math.isfinite(number)]
        quoted = ["".join(groups) for groups in _QUOTED.findall(self._prompt)]
        self._strings = quoted or [str(found) for found in _PLACE.findall(self._prompt)]
        self._cost = 0

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        self._pay(_COST_OF_VALUE)
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return None
        schema = resolved(schema, self._root, depth=depth, variant=self._variant)
        if "const" in schema:
            return schema["const"]
        # Neither a default nor an example has to fit: they are what is tried first.
        if "default" in schema and self._variant == 0:
            return schema["default"]
        for key in ("enum",) if self._variant else ("enum", "examples"):
            if schema.get(key):
                return self._pick(schema[key])
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = type_of(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in {"integer", "number"}:
            wanted = self._numbers.pop(0) if self._numbers else 1.0
            return number_for(schema, wanted, is_integer=kind == "integer", variant=self._variant)
        if kind == "boolean":
            return self._variant % 2 == 0
        if kind == "null":
            return None
        text = string_for(schema, self._candidates(name), self._variant)
        self._pay(len(text))
        return text

    def _pay(self, cost: int) -> None:
        self._cost += cost
        if self._cost > _MAX_COST:
            raise SchemaTooLargeError("The schema demands too many values.")

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = _item_schemas(schema)
        if not schema.get("uniqueItems"):
            return [self._value(item, name, depth + 1) for item in items]
        values: list[Any] = []
        seen: set[str] = set()
        for item in items:
            value = self._distinct(item, name, depth, seen)
            seen.add(_identity(value))
            values.append(value)
        return values

    def _distinct(self, item: Any, name: str, depth: int, seen: set[str]) -> Any:
        """Return a value that is not there yet, if one is found in a few tries."""
        value = self._value(item, name, depth + 1)
        start = self._variant
        for ahead in range(_DISTINCT_TRIES):
            if _identity(value) not in seen:
                break
            self._variant = start + len(seen) + ahead
            value = self._value(item, name, depth + 1)
        self._variant = start
        return value

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        least = int(schema.get("minProperties", 0))
        for name in _names(schema, least):
            made[name] = self._value(_property_schema(schema, name), name, depth + 1)
        return made

    def _pick(self, values: Any) -> Any:
        """Prefer the value that the prompt names."""
        if self._variant:
            return values[self._variant % len(values)]
        prompt = self._prompt.lower()
        return next((v for v in values if isinstance(v, str) and v.lower() in prompt), values[0])

    def _candidates(self, name: str) -> Iterator[str]:
        named = self._named(name)
        if named:
            yield named
        while self._strings:
            yield self._strings.pop(0)
        yield self._text

    def _named(self, name: str) -> str | None:
        """Return what the prompt gives for an argument: `city: Paris`, `city = Paris`."""
        if not name:
            return None
        found = re.search(rf"\b{re.escape(name)}\s*[:=]\s*([^\s,;]+)", self._prompt, re.IGNORECASE)
        return found[1].strip("\"'`.") if found else None


def _identity(value: Any) -> str:
    """Return a text that tells values apart as JSON does: 1 is not true."""
    return json.dumps(value, sort_keys=True, default=str)


def _item_schemas(schema: Mapping[str, Any]) -> list[Any]:
    """Return the schema of each item that an array has to have."""
    prefix = list(schema.get("prefixItems") or ())
    rest = schema["items"] if isinstance(schema.get("items"), Mapping) else {}
    contained = schema.get("contains")
    count = int(schema.get("minItems", 0))
    needed = 0 if contained is None else int(schema.get("minContains", 1))
    if not needed:
        return [*prefix[:count], *[rest] * (count - len(prefix))]
    wanted = merged(rest, [contained]) if isinstance(contained, Mapping) else rest
    # What has to be contained stands behind the prefix, whose items have schemas of their own.
    return [*prefix, *[wanted] * needed, *[rest] * (count - len(prefix) - needed)]


def _names(schema: Mapping[str, Any], least: int) -> list[str]:
    """Return the names that an object has to have, and as many more as it needs."""
    names = dict.fromkeys(schema.get("required") or ())
    dependent: Mapping[str, Any] = schema.get("dependentRequired") or {}
    waiting = list(names)
    while waiting:
        for name in dependent.get(waiting.pop(), ()):
            if name not in names:
                names[name] = None
                waiting.append(name)
    if len(names) < least:
        for name in _further_names(schema, least):
            names[name] = None
            if len(names) >= least:
                break
    return list(names)


def _further_names(schema: Mapping[str, Any], count: int) -> Iterator[str]:
    yield from schema.get("properties") or ()
    for pattern in schema.get("patternProperties") or ():
        yield from _names_like(pattern, count)
    if schema.get("additionalProperties") is not False:
        shape = schema.get("propertyNames")
        pattern = shape.get("pattern") if isinstance(shape, Mapping) else None
        yield from _names_like(pattern, count) if pattern else ()
        yield from (f"property_{number}" for number in range(1, count + 1))


def _names_like(pattern: str, count: int) -> Iterator[str]:
    try:
        names = [text_for(pattern, variant=number) for number in range(count)]
        yield from names
        # An expression without an end takes any.
        yield from (f"{name}{number}" for number, name in enumerate(names))
    except UnreadablePatternError:
        return


def _property_schema(schema: Mapping[str, Any], name: str) -> Any:
    """Return what holds for a property: its own schema, and that of every pattern of its name."""
    found = []
    if name in (schema.get("properties") or {}):
        found.append(schema["properties"][name])
    for pattern, inner in (schema.get("patternProperties") or {}).items():
        if matches(pattern, name):
            found.append(inner)
    if not found:
        rest = schema.get("additionalProperties")
        return rest if isinstance(rest, Mapping) else {}
    tables = [each for each in found if isinstance(each, Mapping)]
    return merged(tables[0], tables[1:]) if len(tables) > 1 else found[0]

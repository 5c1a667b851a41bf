"""Reads a JSON schema as one flat table: follows references, takes choices, puts parts together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MAX_DEPTH", "merged", "resolved", "type_of"]

MAX_DEPTH = 12
_TIGHTER: dict[str, Any] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
_TABLES = ("properties", "patternProperties", "dependentRequired")
# Speak of the place where the schema is used, and say little about a value that fits.
_ASIDE = frozenset({"default", "examples"})
_TYPES_BY_KEYWORD = {
    "object": (
        "properties",
        "required",
        "minProperties",
        "patternProperties",
        "dependentRequired",
    ),
    "array": ("items", "prefixItems", "contains", "minItems", "uniqueItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def resolved(
    schema: Mapping[str, Any], root: Mapping[str, Any], *, depth: int, variant: int
) -> Mapping[str, Any]:
    """Return a schema without references and choices.

    Args:
        schema: What is to be read.
        root: The whole document, for references.
        depth: How deep in a value it stands; deep down, choices end the recursion.
        variant: Which choice is taken, counted around.
    """
    for _ in range(MAX_DEPTH):
        if "$ref" in schema:
            parts = [_referenced(str(schema["$ref"]), root)]
            schema = merged(_without(schema, "$ref"), parts)
        elif schema.get("allOf"):
            parts = [
                resolved(part, root, depth=depth, variant=variant)
                for part in schema["allOf"]
                if isinstance(part, Mapping)
            ]
            schema = merged({k: v for k, v in schema.items() if k != "allOf"}, parts)
        elif schema.get("anyOf") or schema.get("oneOf"):
            name = "anyOf" if schema.get("anyOf") else "oneOf"
            choice = _chosen(schema[name], depth, variant)
            schema = merged(_without(schema, name), [choice])
        else:
            break
    return schema


def merged(schema: Mapping[str, Any], parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table of a schema and of others that hold with it; of two bounds, the tighter."""
    found: dict[str, Any] = {}
    for part in (schema, *parts):
        for name, value in part.items():
            found[name] = _together(name, found[name], value) if name in found else value
    return found


def type_of(schema: Mapping[str, Any]) -> str:
    """Return the type of the values that a schema takes, as far as its keywords tell."""
    kind = schema.get("type")
    if isinstance(kind, (list, tuple)):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None:
        kind = next(
            (
                kind
                for kind, keywords in _TYPES_BY_KEYWORD.items()
                if any(keyword in schema for keyword in keywords)
            ),
            "string",
        )
    return str(kind)


def _together(name: str, one: Any, other: Any) -> Any:
    if name in _TIGHTER:
        return _TIGHTER[name](one, other)
    if name in _TABLES:
        return {**one, **other}
    if name == "required":
        return list(dict.fromkeys([*one, *other]))
    return other


def _without(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name and key not in _ASIDE}


def _referenced(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) and part else found
    return found if isinstance(found, Mapping) else {}


def _chosen(options: Any, depth: int, variant: int) -> Mapping[str, Any]:
    """Take one choice; deep down the first that ends the recursion."""
    options = [option for option in options if isinstance(option, Mapping)]
    if depth > MAX_DEPTH // 2:
        options.sort(key=lambda option: "$ref" in option or type_of(option) in {"object", "array"})
        variant = 0
    return options[variant % len(options)] if options else {}

"""A value that is sure to fit a schema: made, checked, and refused where none is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.errors import invalid_request
from sdk_workflow.simulator.parts import dump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema_rs import Draft202012Validator

    from sdk_workflow.simulator.errors import ApiError

__all__ = ["FORMAT_PATH", "fitting_input", "fitting_value"]

FORMAT_PATH = "output_config.format.schema"

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VARIANTS = 8
_MAX_REASON = 200


def fitting_value(
    path: str, schema: Mapping[str, Any], prompt: str, text: str | None = None
) -> Any:
    """Return a value that fits a schema, made of the words of a prompt.

    Args:
        path: Where the schema stands in the request, for the refusal.
        schema: A valid JSON schema.
        prompt: Where strings and numbers are taken from.
        text: What stands in for a string when the prompt names no better one.

    Raises:
        ApiError: 400 with the keyword that no value was found for.

    Example:
        >>> fitting_value("x", {"type": "string", "pattern": "^[a-z]{2}-[0-9]$"}, "Hello")
        'aa-0'
    """
    # Loaded here, since most conversations need no schema: 7 ms of the engine's import.
    from sdk_workflow.simulator.schema_faker import SchemaFaker, SchemaTooLargeError

    faker = SchemaFaker(prompt, text)
    validator = _validator(path, schema)
    failed = ""
    for variant in range(_VARIANTS):
        try:
            value = faker.fake(schema, variant=variant)
        except SchemaTooLargeError as error:
            raise _too_complex(path, "it demands too many values") from error
        misfit = next(iter(validator.iter_errors(value)), None)
        if misfit is None:
            return value
        failed = failed or _keyword(misfit.schema_path)
    raise _too_complex(path, f"no value was found that fits its {failed}")


def fitting_input(tool: Mapping[str, Any], prompt: str) -> Mapping[str, Any]:
    """Return arguments that fit the schema of a tool; none for a tool that has no schema.

    Raises:
        ApiError: 400 with the keyword that no value was found for.
    """
    path = f"tools.{tool['name']}.input_schema"
    value = fitting_value(path, {"type": "object", **(tool.get("input_schema") or {})}, prompt)
    return value if isinstance(value, dict) else {}


def _validator(path: str, schema: Mapping[str, Any]) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator

    # Its mappings have to be dictionaries; references lead nowhere but into the schema.
    document = {**json.loads(dump(schema)), "$schema": _DRAFT}
    try:
        return Draft202012Validator(document, validate_formats=True, retriever=_retrieve_nothing)
    except ValueError as error:
        reason = str(error).partition("\n")[0][:_MAX_REASON]
        raise _too_complex(path, f"it cannot be worked with: {reason}") from error


def _retrieve_nothing(address: str) -> Any:
    raise ValueError(f"{address!r} is outside of the schema")


def _keyword(schema_path: list[str | int]) -> str:
    names = [each for each in schema_path if isinstance(each, str)]
    return f"`{names[-1]}`" if names else "schema"


def _too_complex(path: str, reason: str) -> ApiError:
    return invalid_request(f"{path}: Schema is too complex for the simulator: {reason}")

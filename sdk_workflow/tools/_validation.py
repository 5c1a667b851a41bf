"""Checks a call's arguments against the tool's JSON schema. It reaches nothing but its inputs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import InvalidToolInput, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sdk_workflow.types import ToolSpec

_MAX_VIOLATIONS = 10
_MAX_VIOLATION_CHARACTERS = 300


class Violation(Protocol):
    """One breach of a schema, as the validator reports it."""

    @property
    def message(self) -> str:
        """What is wrong."""
        ...

    @property
    def instance_path(self) -> list[str | int]:
        """Where it is wrong: keys and indices from the top."""
        ...


class Validator(Protocol):
    """A compiled schema."""

    def iter_errors(self, instance: Any) -> Iterator[Violation]:
        """Yield the violations of one value."""
        ...


@trace_function(name="tool.compile_schema")
def compile_schema(spec: ToolSpec) -> Validator:
    """Compile the tool's schema; a schema that refers to another document is refused.

    Raises:
        ToolFailed: If the schema itself is invalid.
    """
    import jsonschema_rs

    try:
        # The linear-time engine: no pattern of a schema can be made to run for minutes.
        return jsonschema_rs.validator_for(
            dict(spec.input_schema),
            retriever=_refuse_to_fetch,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except ValueError as error:
        reason = getattr(error, "message", str(error))
        raise ToolFailed(
            f"The input schema of tool {spec.name!r} is invalid: {reason}",
            code="invalid_tool_schema",
            hint="Its author has to mend it; use another tool.",
        ) from error


def check_arguments(validator: Validator, name: str, arguments: Any) -> None:
    """Refuse arguments that the schema does not allow, naming every place.

    Raises:
        InvalidToolInput: If they do not fit, or cannot be checked because they are no JSON.
    """
    try:
        violations = list(islice(validator.iter_errors(arguments), _MAX_VIOLATIONS + 1))
    except ValueError as error:  # not JSON: too deep, a lone surrogate, a foreign type
        raise InvalidToolInput(
            f"The arguments of tool {name!r} are not valid JSON: {error}",
            hint="Call it again with plain JSON values.",
        ) from error
    if violations:
        raise InvalidToolInput(
            f"The arguments of tool {name!r} do not fit its schema:\n{_listing(violations)}",
            hint="Correct these arguments and call it again.",
        )


def locate(path: Iterable[str | int]) -> str:
    """Return the place of a value inside the arguments.

    Example:
        >>> locate(["edits", 0, "path"])
        'edits[0].path'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the arguments"


def _listing(violations: list[Violation]) -> str:
    lines = [
        f"- {locate(each.instance_path)}: {_short(each.message)}"
        for each in violations[:_MAX_VIOLATIONS]
    ]
    if len(violations) > _MAX_VIOLATIONS:
        lines.append("- and more.")
    return "\n".join(lines)


def _short(message: str) -> str:
    if len(message) <= _MAX_VIOLATION_CHARACTERS:
        return message
    # The message starts with the value, which may be long, and ends with the reason.
    half = _MAX_VIOLATION_CHARACTERS // 2
    return f"{message[:half]} ... {message[-half:]}"


def _refuse_to_fetch(uri: str) -> NoReturn:
    raise ValueError(f"it refers to {uri!r}, and schemas are never fetched.")


def plain_arguments(arguments: Mapping[str, Any]) -> Any:
    """Return a mapping as the plain dictionary that the validator wants; other values as they are."""
    try:
        return dict(arguments)
    except (TypeError, ValueError):
        return arguments

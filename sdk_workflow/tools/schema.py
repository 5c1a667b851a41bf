"""Turns a typed function into a tool: its signature becomes the schema, its docstring the words.

It reads functions only; it neither registers nor runs anything.
"""

from __future__ import annotations

import functools
import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints, overload

from sdk_workflow.exceptions import InvalidToolInput, UsageError
from sdk_workflow.tools._validation import locate
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from sdk_workflow.types import EffectClass

__all__ = ["tool"]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_seconds: float | None = None,
    effect: EffectClass = "other",
    reconcile: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_seconds: float | None = None,
    effect: EffectClass = "other",
    reconcile: Callable[..., Any] | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Turn a typed function, sync or async, into a tool; bare or with arguments.

    Args:
        function: The function; given by Python when the decorator is used bare.
        name: What the model calls it; defaults to the function's name.
        description: What the model is told; defaults to the docstring without its sections.
        timeout_seconds: Its own time limit; None for the dispatcher's.
        effect: What running it twice does; it decides about a call that a crash has cut off.
        reconcile: Answers for such a call; see `Tool`.

    Raises:
        UsageError: If the signature cannot be turned into a schema, or there is no description.

    Example:
        >>> @tool
        ... def add(first: int, second: int = 1) -> int:
        ...     '''Add two numbers.
        ...
        ...     Args:
        ...         first: The number to start from.
        ...     '''
        ...     return first + second
        >>> add.spec.input_schema["properties"]["first"]
        {'description': 'The number to start from.', 'type': 'integer'}
        >>> add.run(first=2)
        3
    """

    def decorate(target: Callable[..., Any]) -> Tool:
        model, spec = _described(target, name, description)
        return Tool(
            spec=spec,
            run=_converting(target, model),
            timeout_seconds=timeout_seconds,
            effect=effect,
            reconcile=reconcile,
        )

    return decorate if function is None else decorate(function)


def _described(
    target: Callable[..., Any], name: str | None, description: str | None
) -> tuple[type[BaseModel], ToolSpec]:
    """Return the model of a function's arguments, and what a language model is told."""
    chosen = name or str(getattr(target, "__name__", type(target).__name__))
    summary, arguments = _read_docstring(target)
    words = summary if description is None else description
    if not words.strip():
        raise UsageError(
            f"Tool {chosen!r} has no description, so a model cannot know when to use it.",
            hint="Give the function a docstring, or pass description=.",
        )
    model = _model_of(target, chosen, arguments)
    spec = ToolSpec(name=chosen, description=words, input_schema=_schema_of(model, chosen))
    return model, spec


def _read_docstring(target: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    from docstring_parser import parse

    docstring = parse(inspect.getdoc(target) or "")
    parts = (docstring.short_description, docstring.long_description)
    summary = "\n\n".join(part for part in parts if part)
    return summary, {
        each.arg_name: each.description for each in docstring.params if each.description
    }


def _model_of(
    target: Callable[..., Any], name: str, descriptions: Mapping[str, str]
) -> type[BaseModel]:
    """Build the model that checks and converts the arguments.

    A field is called `argument_0` and so on, and bears the parameter's name as its alias: so a
    parameter may have any name, also one that a pydantic model keeps for itself.
    """
    from pydantic import ConfigDict, Field, create_model

    parameters = inspect.signature(target).parameters.values()
    hints = _hints(target, name)
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        _check_parameter(parameter, name)
        default = ... if parameter.default is parameter.empty else parameter.default
        words: dict[str, Any] = {}
        if parameter.name in descriptions:
            words["description"] = descriptions[parameter.name]
        fields[f"argument_{index}"] = (
            hints[parameter.name],
            Field(default, alias=parameter.name, **words),
        )
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(name, __config__=config, **fields)


def _check_parameter(parameter: inspect.Parameter, name: str) -> None:
    if parameter.kind not in _NAMED:
        shown = parameter.replace(annotation=parameter.empty, default=parameter.empty)
        raise UsageError(
            f"Parameter {str(shown)!r} of tool {name!r} cannot be given by name.",
            hint="Write every parameter out as an ordinary one: no *args, no **kwargs, no '/'.",
        )
    if parameter.annotation is parameter.empty:
        raise UsageError(
            f"Parameter {parameter.name!r} of tool {name!r} has no type annotation.",
            hint=(
                "Wrap the bound method: tool(instance.method)."
                if parameter.name == "self"
                else "Annotate it, for example as str; the model is told its type."
            ),
        )


def _hints(target: Callable[..., Any], name: str) -> dict[str, Any]:
    function = inspect.unwrap(target)
    while isinstance(function, functools.partial):
        function = function.func
    source: Any = function if inspect.isroutine(function) else type(function).__call__
    # A return type needs no schema, and is often imported for type checkers only.
    annotations = dict(getattr(source, "__annotations__", {}))
    annotations.pop("return", None)
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=annotations),
            globalns=getattr(source, "__globals__", {}),
            include_extras=True,
        )
    except NameError as error:
        raise UsageError(
            f"An annotation of tool {name!r} cannot be resolved: {error}.",
            hint="Define or import the type at module level, outside of TYPE_CHECKING.",
        ) from error


def _schema_of(model: type[BaseModel], name: str) -> dict[str, Any]:
    from pydantic.errors import PydanticInvalidForJsonSchema
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        """Leaves out the titles that only repeat the names, since each costs tokens."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            del schema
            return False

    try:
        schema = model.model_json_schema(schema_generator=Untitled)
    except PydanticInvalidForJsonSchema as error:
        raise UsageError(
            f"A parameter of tool {name!r} has a type that JSON cannot express: {error.message}",
            hint="Use str, int, float, bool, list, dict, Literal, an Enum or a pydantic model.",
        ) from error
    schema.pop("title", None)
    return {"type": "object", "properties": {}, **schema}


def _converting(target: Callable[..., Any], model: type[BaseModel]) -> Callable[..., Any]:
    """Wrap the function so that it receives what its annotations promise (dates, enums, models)."""
    if inspect.iscoroutinefunction(target):

        @functools.wraps(target)
        async def run_async(**arguments: Any) -> Any:
            return await target(**_convert(model, arguments))

        return run_async

    @functools.wraps(target)
    def run(**arguments: Any) -> Any:
        return target(**_convert(model, arguments))

    return run


def _convert(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic import ValidationError

    try:
        values = model.model_validate(arguments)
    except ValidationError as error:
        details = "\n".join(f"- {locate(each['loc'])}: {each['msg']}" for each in error.errors())
        raise InvalidToolInput(
            f"The arguments of tool {model.__name__!r} do not fit its parameters:\n{details}",
            hint="Correct these arguments and call it again.",
        ) from error
    return {
        field.alias or attribute: getattr(values, attribute)
        for attribute, field in model.model_fields.items()
        if attribute in values.model_fields_set
    }

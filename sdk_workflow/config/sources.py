"""Collects settings from flags, variables and `.env`, each with the place it came from.

It knows names, not what a value must look like: `settings` validates. What is wrong with a source
becomes a `Problem`, so that all of them can be reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow._internal.suggest import closest
from sdk_workflow._internal.toml import decode_utf8, read_optional_bytes
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from dotenv.parser import Original

__all__ = [
    "GivenKind",
    "Layer",
    "Origin",
    "OriginKind",
    "Problem",
    "Sourced",
    "dotenv_layer",
    "flag_layer",
    "unknown_name",
    "variable_layer",
]

GivenKind = Literal["flag", "argument"]
OriginKind = Literal["flag", "argument", "environment", "dotenv", "project", "user", "default"]

PREFIX = "SDK_WORKFLOW_"
# The official SDK's own variables; ours, with the prefix, win over them in the same source.
FOREIGN_SETTINGS = ("api_key", "auth_token", "base_url")
FOREIGN_VARIABLES = {f"ANTHROPIC_{name.upper()}": name for name in FOREIGN_SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from: the kind of source, and the place as one would look it up.

    Example:
        >>> Origin(kind="dotenv", location=".env line 3").location
        '.env line 3'
    """

    kind: OriginKind
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """A raw value and its origin."""

    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend: what and where, and how."""

    what: str
    fix: str

    @classmethod
    def from_error(cls, error: ConfigError) -> Problem:
        """Take over what a reader of files found."""
        return cls(what=error.message, fix=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source says, by the name of the setting."""

    values: Mapping[str, Sourced] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def flag_layer(
    flags: Mapping[str, Any], known: Collection[str], *, given_as: GivenKind = "flag"
) -> Layer:
    """Read keyword values, given as flags or as arguments; None means that one was not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    spelt = {name: _flag(name) if given_as == "flag" else name for name in given}
    kind = "" if given_as == "flag" else "argument "  # a flag is known by its dashes
    return Layer(
        values={
            name: Sourced(value=value, origin=Origin(kind=given_as, location=kind + spelt[name]))
            for name, value in given.items()
            if name in known
        },
        problems=tuple(
            unknown_name(f"The {given_as} {spelt[name]}", name, known)
            for name in given
            if name not in known
        ),
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def unknown_name(what: str, name: str, known: Iterable[str]) -> Problem:
    """Return the problem of a name that is no setting; `what` says where it stands."""
    return _unknown(what, closest(name, known))


def variable_layer(environ: Mapping[str, str], known: Collection[str]) -> Layer:
    """Read the process environment; an empty variable counts as unset."""
    located = {
        name: Sourced(
            value=value,
            origin=Origin(kind="environment", location=f"environment variable {name}"),
        )
        for name, value in environ.items()
    }
    return _variables(located, known)


def dotenv_layer(path: Path, known: Collection[str]) -> Layer:
    """Read a `.env` file if there is one; text like `${NAME}` is taken as it stands."""
    try:
        content = read_optional_bytes(path)
        if content is None:
            return Layer()
        text = decode_utf8(content, path)
    except ConfigError as error:
        return Layer(problems=(Problem.from_error(error),))
    # 18 ms of import, paid only where a .env exists.
    from io import StringIO

    from dotenv.parser import parse_stream

    located: dict[str, Sourced] = {}
    problems: list[Problem] = []
    for binding in parse_stream(StringIO(text)):
        line = _line(binding.original)
        if binding.error:
            problems.append(_malformed_line(path, line))
        elif binding.key is not None:
            origin = Origin(kind="dotenv", location=f"{path.name} line {line}")
            located[binding.key] = Sourced(value=binding.value or "", origin=origin)
    layer = _variables(located, known)
    return Layer(values=layer.values, problems=(*problems, *layer.problems))


def _line(original: Original) -> int:
    """Return where a binding starts: the parser counts the blank lines above as part of it."""
    text = original.string
    blank = len(text) - len(text.lstrip())
    return original.line + text.count("\n", 0, blank)


def _malformed_line(path: Path, line: int) -> Problem:
    # The line itself stays out of the message: it may hold a secret.
    return Problem(
        what=f"{path} line {line} cannot be read as NAME=value.",
        fix="Mend or remove that line; close every quote that it opens.",
    )


def _variables(located: Mapping[str, Sourced], known: Collection[str]) -> Layer:
    names = FOREIGN_VARIABLES | {PREFIX + setting.upper(): setting for setting in known}
    values = {
        setting: located[variable]
        for variable, setting in names.items()
        if variable in located and located[variable].value
    }
    problems = [
        _unknown_variable(variable, source.origin, known)
        for variable, source in located.items()
        if variable.startswith(PREFIX) and variable not in names
    ]
    return Layer(values=values, problems=tuple(problems))


def _unknown_variable(variable: str, origin: Origin, known: Collection[str]) -> Problem:
    """Compare without the prefix: it is so long that every name would look like every other."""
    what = f"{variable} in {origin.location}"
    if origin.kind == "environment":
        what = f"The {origin.location}"
    match = closest(variable.removeprefix(PREFIX), known)
    return _unknown(what, None if match is None else PREFIX + match.upper())


def _unknown(what: str, meant: str | None) -> Problem:
    fix = "Remove it." if meant is None else f"Did you mean {meant!r}?"
    return Problem(what=f"{what} is not a setting.", fix=fix)

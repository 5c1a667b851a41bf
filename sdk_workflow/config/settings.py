"""The settings: what each one may be, and how sources are merged into one validated record.

Precedence: flags, environment variables, `./.env`, the project's file, the user's file, defaults.
It knows no CLI and no model; `model_names` looks at those.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from typing_extensions import override

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.config.home import home_folder
from sdk_workflow.config.setting_types import (
    DOLLARS_RULE,
    HEADER_RULE,
    SECONDS_RULE,
    Count,
    Dollars,
    Limit,
    Name,
    Seconds,
    Secret,
    check_url,
    expand_user,
    not_above,
    refuse_bool,
    split_names,
    whole_number,
)
from sdk_workflow.config.settings_file import project_file, user_file
from sdk_workflow.config.sources import (
    Origin,
    Problem,
    dotenv_layer,
    flag_layer,
    variable_layer,
)
from sdk_workflow.config.trust import loosened_budget, overreaching
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_settings import PydanticBaseSettingsSource

    from sdk_workflow.config.sources import GivenKind, Layer, Sourced

__all__ = [
    "LoadedSettings",
    "Origin",
    "SettingDescription",
    "Settings",
    "load_settings",
    "load_settings_with_origins",
    "mask",
]

SHOWN_SECRET_MIN_LENGTH = 20
SHOWN_VALUE_LENGTH = 80


def mask(secret: str) -> str:
    """Return a stand-in for a secret: at most its last four characters, none of a short one.

    Example:
        >>> mask("sk-ant-api03-not-a-real-key"), mask("hunter2")
        ('****-key', '****')
    """
    return "****" + (secret[-4:] if len(secret) >= SHOWN_SECRET_MIN_LENGTH else "")


class Settings(BaseSettings):
    """Every setting, validated. `load_settings` fills it from all sources.

    `max_tokens` limits one reply, `max_turns` the model calls of one message, `timeout_seconds` one
    whole run, `tool_timeout_seconds` one tool call. `backend="auto"` takes the API where a key is
    set. Secrets show in no repr and no error.

    `request_timeout_seconds` limits one model call with all its retries and fallbacks, the other
    three waits for the server. `fallback_models` are asked in turn where the model cannot answer,
    and the simulator after them only with `fallback_to_simulator`.

    `cache_mode` says which caches may act: `off` none; `exact` answers a repeated request from
    memory; `semantic` also one that means the same; `full` all, with the API's prompt cache
    whatever `prompt_cache` says. `prompt_cache` lets the optimiser place breakpoints in every mode
    but off: they never change an answer. `cache_dir` keeps answers for later processes.
    `embedding_model` is a folder, or "auto" for what is installed.

    `budget_usd` is what all processes of this state folder may spend together under the name
    `budget_scope`, from the first run with a limit on; at `budget_soft_usd` a warning is given. A
    call that finds no room waits where that can help, is refused at once (`on_exhausted="reject"`),
    or gets fewer output tokens ("clamp").

    `monitor` lets `sdk_workflow monitor` see what a process does, by files in the state folder.
    `log_level` is the least level that `Runtime.logger` writes.

    `permissions` says what becomes of a tool call that no rule of `allow` covers; `network_hosts`
    are the only hosts that the `network` tool reaches.

    Example:
        >>> settings = Settings(model="claude-haiku-5-5", api_key="sk-ant-not-a-real-key")
        >>> settings.model, settings.max_turns, settings.api_key
        ('claude-haiku-5-5', 25, SecretStr('**********'))
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Annotated[
        Literal["dev", "staging", "prod"], Field(description="dev, staging or prod")
    ] = "dev"
    model: Annotated[str, Field(min_length=1, description="the name of a model")] = (
        "claude-sonnet-5-5"
    )
    max_tokens: Annotated[Count, whole_number()] = 4096
    max_turns: Annotated[Count, whole_number(1000)] = 25
    timeout_seconds: Annotated[Seconds | None, Field(description=SECONDS_RULE)] = None
    system: Annotated[str | None, Field(description="text")] = None
    tools: Annotated[
        tuple[Name, ...],
        BeforeValidator(split_names),
        Field(description="names of tools, such as read,bash"),
    ] = ()
    backend: Annotated[
        Literal["auto", "anthropic", "simulator"],
        Field(description="auto, anthropic or simulator"),
    ] = "auto"
    concurrency: Annotated[Count, whole_number(1000)] = 8
    tool_timeout_seconds: Limit = 120.0
    max_retries: Annotated[Count, whole_number(20, minimum=0)] = 4
    request_timeout_seconds: Limit = 600.0
    connect_timeout_seconds: Limit = 5.0
    first_token_timeout_seconds: Limit = 120.0
    idle_timeout_seconds: Limit = 60.0
    fallback_models: Annotated[
        tuple[Name, ...], BeforeValidator(split_names), Field(description="names of models")
    ] = ()
    fallback_to_simulator: Annotated[bool, Field(description="true or false")] = False
    cache_mode: Annotated[
        Literal["off", "exact", "semantic", "full"],
        Field(description="off, exact, semantic or full"),
    ] = "exact"
    prompt_cache: Annotated[bool, Field(description="true or false")] = True
    cache_dir: Annotated[
        Annotated[Path, AfterValidator(expand_user)] | None, Field(description="a folder")
    ] = None
    cache_ttl_seconds: Annotated[Count, whole_number()] = 3600
    cache_max_entries: Annotated[Count, whole_number(1_000_000)] = 1000
    similarity_threshold: Annotated[
        float,
        BeforeValidator(refuse_bool),
        Field(ge=0.9, le=1, allow_inf_nan=False, description="a number from 0.9 to 1"),
    ] = 0.95
    budget_usd: Annotated[Dollars | None, Field(description=DOLLARS_RULE)] = None
    budget_soft_usd: Annotated[
        Dollars | None,
        AfterValidator(not_above("budget_usd")),
        Field(description=f"{DOLLARS_RULE}, not above budget_usd"),
    ] = None
    budget_scope: Annotated[Name, Field(description="the name of a budget")] = "default"
    on_exhausted: Annotated[
        Literal["wait", "reject", "clamp"], Field(description="wait, reject or clamp")
    ] = "wait"
    embedding_model: Annotated[Name, Field(description="auto, or the folder of a model")] = "auto"
    monitor: Annotated[bool, Field(description="true or false")] = True
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
        Field(description="DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    ] = "INFO"
    sandbox: Annotated[Literal["required", "off"], Field(description="required or off")] = (
        "required"
    )
    permissions: Annotated[
        Literal["allow", "ask", "deny"], Field(description="allow, ask or deny")
    ] = "allow"
    allow: Annotated[
        tuple[Name, ...],
        BeforeValidator(split_names),
        Field(description="rules of what may run, such as read,bash(git log *)"),
    ] = ()
    network_hosts: Annotated[
        tuple[Name, ...],
        BeforeValidator(split_names),
        Field(description="hosts of the network tool, such as docs.python.org,*.example.com"),
    ] = ()
    api_key: Annotated[Secret | None, Field(description=HEADER_RULE)] = None
    auth_token: Annotated[Secret | None, Field(description=HEADER_RULE)] = None
    base_url: Annotated[
        Annotated[str, AfterValidator(check_url)] | None,
        Field(description="an http or https address without a user name in it"),
    ] = None
    home: Annotated[
        Path,
        AfterValidator(expand_user),
        Field(description="a folder", default_factory=home_folder),
    ]

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take keywords only: its other sources tell no places and let misspelt names pass.

        `load_settings` reads and merges the sources of `sources` and `settings_file` instead.
        """
        return (init_settings,)


class SettingDescription(TypedDict):
    """One setting as `config show` prints it; a secret is masked."""

    value: Any
    kind: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The settings, and for each of them where its value came from.

    Example:
        >>> loaded = load_settings_with_origins(environ={"SDK_WORKFLOW_MAX_TURNS": "3"})
        >>> loaded.settings.max_turns, loaded.origins["max_turns"].location
        (3, 'environment variable SDK_WORKFLOW_MAX_TURNS')
    """

    settings: Settings
    origins: Mapping[str, Origin]

    def describe(self) -> dict[str, SettingDescription]:
        """Return every setting as plain JSON values, with its origin and without any secret."""
        described: dict[str, SettingDescription] = {}
        for name, origin in self.origins.items():
            value = getattr(self.settings, name)
            described[name] = {
                "value": _plain(value),
                "kind": origin.kind,
                "origin": origin.location,
            }
        return described


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return mask(value.get_secret_value())
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings merged from all sources.

    Args:
        flags: Values that win over everything, by setting; None values count as not given.
        cwd: The project folder, with `.env` and `sdk_workflow.toml` or `pyproject.toml`; the
            current one by default.
        environ: The environment variables; those of the process by default.

    Raises:
        ConfigError: A source is unreadable or malformed, a name is unknown, or a value is invalid
            (`invalid_settings`); the message lists all of it, with places.
    """
    return load_settings_with_origins(flags, cwd=cwd, environ=environ, given_as="argument").settings


def load_settings_with_origins(
    flags: Mapping[str, Any] | None = None,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given_as: GivenKind = "flag",
) -> LoadedSettings:
    """Return the settings merged from all sources, and the origin of each value.

    Takes and raises the same as `load_settings`; `given_as` says how messages name the flags: as
    those of a command line (`--max-turns`), or as arguments of a call.
    """
    folder = Path.cwd() if cwd is None else cwd
    variables = os.environ if environ is None else environ
    layers = _layers(
        flag_layer(flags or {}, tuple(Settings.model_fields), given_as=given_as), folder, variables
    )
    merged: dict[str, Sourced] = {}
    for layer in reversed(layers):
        merged.update(layer.values)
    problems = [problem for layer in layers for problem in layer.problems]
    problems += [*overreaching(merged), *loosened_budget(layers)]
    values = {name: sourced.value for name, sourced in merged.items()}
    values["home"] = _home(_first("home", layers[:2]), folder) or values.get("home")
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems += _invalid_values(error, merged)
        # Not chained: pydantic's own report would name inputs, and those may be secret.
        raise _error(problems) from None
    if problems:
        raise _error(problems)
    default = Origin(kind="default", location="default")
    origins = {
        name: merged[name].origin if name in merged else default for name in Settings.model_fields
    }
    return LoadedSettings(settings=settings, origins=origins)


def _layers(given: Layer, folder: Path, variables: Mapping[str, str]) -> list[Layer]:
    """Return every source's layer, the strongest first."""
    known = tuple(Settings.model_fields)
    direct = [
        given,
        variable_layer(variables, known),
        dotenv_layer(folder / ".env", known),
    ]
    # Not from .env: a folder that moves the state folder would speak with the user's voice.
    home = _home(_first("home", direct[:2]), folder)
    files = [project_file(folder), *([] if home is None else [user_file(home)])]
    chosen = _first("environment", direct)
    for file in files:
        chosen = chosen or file.top_level("environment")
    environment = Settings.model_fields["environment"].default if chosen is None else chosen.value
    return [*direct, *(file.layer(environment, known) for file in files)]


def _first(name: str, layers: Iterable[Layer]) -> Sourced | None:
    return next((layer.values[name] for layer in layers if name in layer.values), None)


def _home(chosen: Sourced | None, folder: Path) -> Path | None:
    """Return the state folder as an absolute path; None where what was chosen is no path.

    A relative path starts at the project folder.
    """
    if chosen is None:
        return home_folder({})
    try:
        return folder / Path(chosen.value).expanduser()
    except (TypeError, RuntimeError):  # no path at all; `~somebody` who does not exist
        return None


def _invalid_values(error: ValidationError, merged: Mapping[str, Sourced]) -> list[Problem]:
    names = dict.fromkeys(str(item["loc"][0]) for item in error.errors(include_input=False))
    return [_invalid_value(name, merged[name]) for name in names]


def _invalid_value(name: str, sourced: Sourced) -> Problem:
    field = Settings.model_fields[name]
    shown = _shown(name, sourced.value)
    near = did_you_mean(str(sourced.value), map(str, get_args(field.annotation)))
    return Problem(
        what=f"{name} = {shown} ({sourced.origin.location}) is not {field.description}.",
        fix=near or f"Set {name} to {field.description}, or remove it.",
    )


def _shown(name: str, value: object) -> str:
    if name in {"api_key", "auth_token"}:
        return mask(str(value))
    if name == "base_url":
        value = re.sub(r"//.*@", "//****@", str(value))
    shown = repr(value)
    return shown if len(shown) <= SHOWN_VALUE_LENGTH else shown[:SHOWN_VALUE_LENGTH] + "..."


def _error(problems: Sequence[Problem]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(problems[0].what, code="invalid_settings", hint=problems[0].fix)
    lines = [f"- {problem.what} {problem.fix}" for problem in problems]
    return ConfigError(
        "\n".join([f"{len(problems)} settings need mending:", *lines]),
        code="invalid_settings",
        hint="Mend all of them, then start again.",
    )

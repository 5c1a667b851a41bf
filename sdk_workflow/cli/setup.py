"""From arguments to a runtime that is ready to answer, with everything checked before it starts."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow._internal.ids import new_session_id
from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.cli.permission_prompt import check_permissions
from sdk_workflow.exceptions import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sdk_workflow.cli.arguments import ExecutionArgs
    from sdk_workflow.cli.console import Console
    from sdk_workflow.config.settings import LoadedSettings
    from sdk_workflow.events import EventSink
    from sdk_workflow.runtime import Runtime

__all__ = ["Prepared", "check_names", "chosen_tools", "prepare"]

# The library offers no tool unless asked; at a prompt, looking around is what people expect.
_DEFAULT_TOOLS = ("read", "bash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A runtime, and the tools that its sessions offer.

    `session_id` is the session of a single prompt; `has_limit` says whether it has a limit of its
    own, now or from before.
    """

    runtime: Runtime
    tools: tuple[str, ...]
    session_id: str
    has_limit: bool


def prepare(args: ExecutionArgs, console: Console, *, sinks: Sequence[EventSink] = ()) -> Prepared:
    """Load the settings, check what can be checked, and wire the runtime.

    Args:
        args: What the command line asks for.
        console: Where notices go.
        sinks: Who sees what happens to the calls.

    Raises:
        UsageError: If a flag names a model, tool or folder that does not exist.
        ConfigError: If the settings are unusable.
    """
    from sdk_workflow.config.settings import load_settings_with_origins
    from sdk_workflow.runtime import build_runtime
    from sdk_workflow.wiring.budgets import session_scope

    _check_folder(args.cwd)
    loaded = load_settings_with_origins(args.flags)
    check_names(loaded)
    settings = loaded.settings
    check_permissions(args, settings)
    backend = settings.backend
    if backend == "auto" and settings.api_key is None and settings.auth_token is None:
        backend = "simulator"
        console.notice(
            "No API key is set: the built-in simulator answers. "
            "Set ANTHROPIC_API_KEY to ask the real model."
        )
    if backend != "simulator":
        _announce_choices_of_folder(loaded, console)
    # Python would print its warnings by itself; the sinks tell of the same in our own words.
    for name in ("budget", "fallback"):
        logging.getLogger(f"sdk_workflow.{name}").addHandler(logging.NullHandler())
    session_id = _session_id(args)
    limit = _limit(args, settings.home, session_id)
    is_kept = limit is not None and args.input_file is None
    runtime = build_runtime(
        settings,
        backend=backend,
        sinks=sinks,
        max_cost_usd=limit,
        cost_scope=session_scope(session_id) if is_kept else None,
    )
    return Prepared(
        runtime=runtime,
        tools=chosen_tools(loaded),
        session_id=session_id,
        has_limit=limit is not None,
    )


def _session_id(args: ExecutionArgs) -> str:
    named = args.session_id if args.resume_id is None else args.resume_id
    return new_session_id() if named is None else named


def _limit(args: ExecutionArgs, home: Path, session_id: str) -> float | None:
    """Return what the run may cost: what is asked for, else what its session was kept under."""
    is_known = args.session_id is not None or args.resume_id is not None
    if args.budget_usd is not None or not is_known:
        return args.budget_usd
    from sdk_workflow.wiring.journals import remembered_limit

    return remembered_limit(home, session_id)


def chosen_tools(loaded: LoadedSettings) -> tuple[str, ...]:
    """Return the tools of the settings, or those that the command line offers by itself."""
    is_default = loaded.origins["tools"].kind == "default"
    return _DEFAULT_TOOLS if is_default else loaded.settings.tools


def check_names(loaded: LoadedSettings) -> None:
    """Refuse settings that name a model or a tool that does not exist.

    Raises:
        UsageError: If a flag named it.
        ConfigError: If another source did; the message says which.
    """
    from sdk_workflow.config.model_names import check_models
    from sdk_workflow.config.models import default_catalog

    settings = loaded.settings
    check_models(settings, default_catalog(settings.home), origins=loaded.origins)
    for name in chosen_tools(loaded):
        _check_tool(name, loaded)
    _check_rules(loaded)


def _check_rules(loaded: LoadedSettings) -> None:
    from sdk_workflow.config.model_names import located
    from sdk_workflow.tools.permissions import Rule

    try:
        for rule in loaded.settings.allow:
            Rule.parse(rule)
    except UsageError as error:
        wrong = ConfigError(error.message, code=error.code, hint=error.hint)
        raise located("allow", wrong, loaded.origins) from error


def _check_tool(name: str, loaded: LoadedSettings) -> None:
    from sdk_workflow.config.model_names import located
    from sdk_workflow.tools.builtin import BUILTIN_TOOLS

    if name in BUILTIN_TOOLS:
        return
    known = f"The tools are {', '.join(BUILTIN_TOOLS)}."
    error = ConfigError(
        f"There is no tool {name!r}.",
        code="unknown_tool",
        hint=f"{did_you_mean(name, BUILTIN_TOOLS)} {known}".strip(),
    )
    raise located("tools", error, loaded.origins)


def _announce_choices_of_folder(loaded: LoadedSettings, console: Console) -> None:
    """Say where prompts go, and on whose account, where a file of the folder decided it."""
    from sdk_workflow.config.trust import is_of_folder

    for name, what in (
        ("base_url", f"Prompts and tool results go to {loaded.settings.base_url}"),
        ("api_key", "The key of this folder is used"),
        ("auth_token", "The token of this folder is used"),
        ("system", "The system prompt of this folder is used"),
    ):
        origin = loaded.origins[name]
        if is_of_folder(origin):
            console.problem(f"{what} ({origin.location}).")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"--cwd {str(folder)!r} is not a folder.", hint="Name an existing folder.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(
            f"--cwd {str(folder)!r} cannot be read.",
            hint="Check its rights, or name another folder.",
        )

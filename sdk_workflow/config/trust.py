"""What a folder may decide: a repository somebody cloned must not get at the user's key or machine.

`.env` and the project file lie in the folder one happens to stand in. They may set what a project
needs, by a list: what is not on it is the user's own. They may take rights away from an agent, never
give it any, and send no key of the user's elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.config.sources import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sdk_workflow.config.sources import Layer, Origin, Sourced

__all__ = ["is_of_folder", "loosened_budget", "overreaching"]

_FOLDER_KINDS = frozenset({"dotenv", "project"})

_FREE = frozenset(
    {"environment", "model", "max_tokens", "max_turns", "timeout_seconds", "system", "backend"}
    | {"concurrency", "tool_timeout_seconds", "max_retries", "request_timeout_seconds"}
    | {"connect_timeout_seconds", "first_token_timeout_seconds", "idle_timeout_seconds"}
    | {"fallback_models", "fallback_to_simulator", "cache_mode", "prompt_cache"}
    | {"cache_ttl_seconds", "cache_max_entries", "similarity_threshold", "api_key", "auth_token"}
    # Within the limit of the user: `loosened_budget` looks at those.
    | {"budget_usd", "budget_soft_usd", "budget_scope", "on_exhausted", "monitor", "log_level"}
)
# Only to take rights away.
_STRICT_VALUES = {"sandbox": "required", "permissions": "deny"}
# To look is all that a folder may offer by itself.
_FREE_TOOLS = frozenset({"read"})

_DANGERS = {
    "home": "would move the user's own settings and prices.",
    "base_url": "would send a key that this folder did not bring to an address that it chose.",
    "cache_dir": "could answer with what this folder brought.",
    "embedding_model": "could answer with what this folder brought.",
    "sandbox": "would run commands without confinement.",
    "tools": "would give the model tools that can change things; a folder may offer read only.",
    "permissions": "would let tool calls pass that the user may not want; a folder may say deny.",
    "allow": "would let tool calls pass that the user may not want.",
    "network_hosts": "would open hosts to the network tool.",
}
_ANY_DANGER = "is for the user to decide, not for a folder."


def overreaching(merged: Mapping[str, Sourced]) -> Iterator[Problem]:
    """Yield the settings of the folder that only the user may make."""
    for name, sourced in merged.items():
        if is_of_folder(sourced.origin) and not _may_set(name, merged):
            yield Problem(
                what=f"{name}{_shown(name, sourced.value)} ({sourced.origin.location}) "
                f"{_DANGERS.get(name, _ANY_DANGER)}",
                fix=f"Set SDK_WORKFLOW_{name.upper()} yourself if you trust this folder, or "
                "remove the line.",
            )


def loosened_budget(layers: Iterable[Layer]) -> Iterator[Problem]:
    """Yield what a file of the folder would let runs spend beyond the user's own limit.

    Args:
        layers: All sources, the strongest first.
    """
    found = [each.values for each in layers]
    limit = next((values["budget_usd"] for values in found if _has_limit_of_user(values)), None)
    if limit is None:
        return
    for name in ("budget_usd", "budget_scope"):
        chosen = next((values[name] for values in found if name in values), None)
        if chosen is None or not is_of_folder(chosen.origin):
            continue
        if name == "budget_scope" or _dollars(chosen.value) > _dollars(limit.value):
            yield Problem(
                what=f"{name} ({chosen.origin.location}) would go around your own limit "
                f"(budget_usd, {limit.origin.location}).",
                fix=f"Set SDK_WORKFLOW_{name.upper()} yourself if you want that, or remove the line.",
            )


def _has_limit_of_user(values: Mapping[str, Sourced]) -> bool:
    return "budget_usd" in values and not is_of_folder(values["budget_usd"].origin)


def _dollars(value: object) -> float:
    """Return an amount that may not have been checked yet; what is none is refused elsewhere."""
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def is_of_folder(origin: Origin) -> bool:
    """Tell whether a value was set by a file of the folder."""
    return origin.kind in _FOLDER_KINDS


def _may_set(name: str, merged: Mapping[str, Sourced]) -> bool:
    value = merged[name].value
    if name in _STRICT_VALUES:
        return bool(value == _STRICT_VALUES[name])
    if name == "tools":
        return _named(value) <= _FREE_TOOLS
    if name == "base_url":
        return not _has_key_of_user(merged)
    return name in _FREE


def _shown(name: str, value: object) -> str:
    """Return the value of `tools`: no other one is needed to see what is wrong."""
    return f" = {value!r}" if name == "tools" else ""


def _named(value: object) -> frozenset[str]:
    """Return the tools of a raw value: a list of a file, or names with commas."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        return frozenset()  # no names at all: validation says so
    return frozenset(str(name).strip() for name in names) - {""}


def _has_key_of_user(merged: Mapping[str, Sourced]) -> bool:
    keys = (merged[name] for name in ("api_key", "auth_token") if name in merged)
    return any(not is_of_folder(key.origin) for key in keys)

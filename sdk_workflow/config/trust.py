"""What a folder may not decide: a repository somebody cloned must not get at the user's key.

`.env` and the project file lie in the folder one happens to stand in. They may set what a project
needs, but neither send a key of the user's elsewhere nor take the walls around commands away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.config.sources import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sdk_workflow.config.sources import Layer, Origin, Sourced

__all__ = ["is_of_folder", "loosened_budget", "overreaching"]

_FOLDER_KINDS = frozenset({"dotenv", "project"})


def overreaching(merged: Mapping[str, Sourced]) -> Iterator[Problem]:
    """Yield the settings of the folder that only the user may make."""
    base_url, sandbox, home = (merged.get(name) for name in ("base_url", "sandbox", "home"))
    if home is not None and is_of_folder(home.origin):
        yield Problem(
            what=f"home ({home.origin.location}) would move the user's own settings and prices.",
            fix="Set SDK_WORKFLOW_HOME in the environment, or remove the line.",
        )
    if base_url is not None and is_of_folder(base_url.origin) and _has_key_of_user(merged):
        yield Problem(
            what=f"base_url ({base_url.origin.location}) would send a key that this folder "
            "did not bring to an address that it chose.",
            fix="Set SDK_WORKFLOW_BASE_URL yourself if you trust it, or remove the line.",
        )
    for name in ("cache_dir", "embedding_model"):
        chosen = merged.get(name)
        if chosen is not None and is_of_folder(chosen.origin):
            yield Problem(
                what=f"{name} ({chosen.origin.location}) could answer with what this folder brought.",
                fix=f"Set SDK_WORKFLOW_{name.upper()} yourself if you trust it, or remove the line.",
            )
    if sandbox is not None and is_of_folder(sandbox.origin) and sandbox.value == "off":
        yield Problem(
            what=f"sandbox ({sandbox.origin.location}) would run commands without confinement.",
            fix="Set SDK_WORKFLOW_SANDBOX=off yourself if you trust this folder.",
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


def _has_key_of_user(merged: Mapping[str, Sourced]) -> bool:
    keys = (merged[name] for name in ("api_key", "auth_token") if name in merged)
    return any(not is_of_folder(key.origin) for key in keys)

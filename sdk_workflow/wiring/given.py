"""The settings of a runtime: those that are handed in, or those of all sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.settings import Settings
    from sdk_workflow.config.sources import Origin

__all__ = ["given_settings"]


def given_settings(
    settings: Settings | None, overrides: Mapping[str, Any]
) -> tuple[Settings, Mapping[str, Origin]]:
    """Return the settings with the overrides, and where their values came from, as far as known.

    Args:
        settings: What is given; read from all sources by default.
        overrides: Single settings that go before every other source.

    Raises:
        ConfigError: If a setting is unusable.
    """
    if settings is not None:
        return (_changed(settings, overrides) if overrides else settings), {}
    from sdk_workflow.config.settings import load_settings_with_origins

    loaded = load_settings_with_origins(overrides, given_as="argument")
    return loaded.settings, loaded.origins


def _changed(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings with some values replaced and validated; None counts as not given."""
    from pydantic import ValidationError

    names = list(type(settings).model_fields)
    for name in overrides:
        if name not in names:
            raise ConfigError(
                f"{name!r} is not a setting.",
                code="invalid_settings",
                hint=did_you_mean(name, names) or f"The settings are {', '.join(names)}.",
            )
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return type(settings)(**{**dict(settings), **given})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        name = str(found[0]["loc"][0])
        # Not chained: pydantic's own report may show a secret.
        raise ConfigError(
            f"The value given for {name!r} is unusable: {found[0]['msg']}.",
            code="invalid_settings",
            hint=f"Set {name} to {type(settings).model_fields[name].description}.",
        ) from None

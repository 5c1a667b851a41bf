"""Whether the models that the settings name exist, and how to say where a wrong name stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.config.sources import Origin
    from sdk_workflow.exceptions import SdkWorkflowError

__all__ = ["check_models", "located"]


def check_models(
    settings: Settings, catalog: ModelCatalog, *, origins: Mapping[str, Origin] | None = None
) -> None:
    """Refuse settings that name a model which does not exist: `model` and `fallback_models`.

    A server of one's own (`base_url`) has models of its own, so every name passes there.

    Args:
        settings: The settings.
        catalog: The known models.
        origins: Where the values came from, to say so.

    Raises:
        UsageError: If a flag named an unknown model (`unknown_model`).
        ConfigError: If another source did.

    Example:
        >>> from sdk_workflow.config.models import default_catalog
        >>> from sdk_workflow.config.settings import Settings
        >>> check_models(Settings(model="sonett"), default_catalog())
        Traceback (most recent call last):
        sdk_workflow.exceptions.ConfigError: model: 'sonett' is not a model that is known here.
    """
    if settings.base_url is not None:
        return
    for setting, names in (
        ("model", (settings.model,)),
        ("fallback_models", settings.fallback_models),
    ):
        for name in names:
            try:
                catalog.resolve(name)
            except ConfigError as error:
                raise located(setting, error, origins or {}) from error


def located(setting: str, error: ConfigError, origins: Mapping[str, Origin]) -> SdkWorkflowError:
    """Return the error as one of the flag, or with the name and the place of the setting."""
    origin = origins.get(setting)
    if origin is None:
        place = setting
    elif origin.kind == "flag":
        return UsageError(f"{origin.location}: {error}", code=error.code, hint=error.hint)
    else:
        place = f"{setting} ({origin.location})"
    return ConfigError(f"{place}: {error}", code=error.code, hint=error.hint)

"""Who answers the calls: the API, or the simulator in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import ConfigError, UsageError

if TYPE_CHECKING:
    from sdk_workflow.config.settings import Settings

__all__ = ["Backend", "choose_backend"]

Backend = Literal["auto", "anthropic", "simulator"]
"""Whom to ask; "auto" is the API, and needs a key."""


def choose_backend(
    settings: Settings, backend: Backend = "auto"
) -> Literal["anthropic", "simulator"]:
    """Return who answers.

    Raises:
        UsageError: If there is no such backend.
        ConfigError: If the API is to answer and there are no credentials.
    """
    backends = get_args(Backend)
    if backend not in backends:
        raise UsageError(
            f"There is no backend {backend!r}.",
            code="unknown_backend",
            hint=did_you_mean(str(backend), backends) or f"Choose one of {', '.join(backends)}.",
        )
    if backend == "simulator":
        return "simulator"
    if settings.api_key is None and settings.auth_token is None:
        raise ConfigError(
            "No API key is set.",
            code="api_key_missing",
            hint="Set ANTHROPIC_API_KEY, or choose backend='simulator' to try without a key.",
        )
    return "anthropic"

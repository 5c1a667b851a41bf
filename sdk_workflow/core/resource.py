"""What an export says about the process that it comes from: OpenTelemetry's resource attributes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sdk_workflow._internal.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["resource_attributes"]

# https://opentelemetry.io/docs/specs/otel/resource/sdk/: operators set these for every service.
_SERVICE_VARIABLE = "OTEL_SERVICE_NAME"
_ATTRIBUTES_VARIABLE = "OTEL_RESOURCE_ATTRIBUTES"


def resource_attributes(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the attributes; what is `given` goes before the environment, and that before ours.

    Args:
        given: What the application says about itself, such as `{"service.name": "shop"}`.
        environ: Where the standard variables are looked for; the process's own by default.

    Example:
        >>> resource_attributes({}, {"OTEL_RESOURCE_ATTRIBUTES": "host.name=a%20b"})["host.name"]
        'a b'
    """
    environ = os.environ if environ is None else environ
    named = environ.get(_SERVICE_VARIABLE)
    return {
        "service.name": "sdk_workflow",
        "service.version": __version__,
        **_listed(environ.get(_ATTRIBUTES_VARIABLE, "")),
        **({"service.name": named} if named else {}),
        **given,
    }


def _listed(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(",") if "=" in item)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}

"""What the servers that speak the Messages API can do, as dated data, found by their address.

A profile is where a transport starts from. What a server refuses in spite of it is left out from
then on: `adaptation` does that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sdk_workflow.exceptions import ConfigError

__all__ = ["CapabilityProfile", "profile_of"]

_NEWEST = "2026-10-21"
_OLDER = "2023-06-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityProfile:
    """What one kind of endpoint can do; whatever is not known to be missing is expected to work.

    Attributes:
        name: Which kind.
        threads: Conversations that the server keeps.
        auto_cache: `cache_control` at the top of a request places a breakpoint by itself.
        explicit_cache: `cache_control` on content blocks.
        diagnostics: `diagnostics` explains what the prompt cache did.
        count_tokens: The endpoint that counts a prompt.
        batches: The endpoint for batches.
        models: The list of models.
        files: The endpoint for files.
        role_system: Messages with the role `system` inside a conversation.
        fast: `speed: fast`.
        ratelimit_headers: Responses show what is left of the limits.
        api_versions: What `anthropic-version` may be, the newest first.

    Example:
        >>> profile_of("https://europe-west1-aiplatform.googleapis.com/v1").batches
        False
    """

    name: str
    threads: bool = True
    auto_cache: bool = True
    explicit_cache: bool = True
    diagnostics: bool = True
    count_tokens: bool = True
    batches: bool = True
    models: bool = True
    files: bool = True
    role_system: bool = True
    fast: bool = True
    ratelimit_headers: bool = True
    api_versions: tuple[str, ...] = (_NEWEST, _OLDER)

    @property
    def is_first_party(self) -> bool:
        """Whether it is Anthropic's own API, whose errors can be taken at their word."""
        return self is FIRST_PARTY


FIRST_PARTY = CapabilityProfile(name="first party")
_GOOGLE_CLOUD = replace(
    FIRST_PARTY, name="Google Cloud", diagnostics=False, fast=False, ratelimit_headers=False
)
_FOUNDRY = replace(_GOOGLE_CLOUD, name="Foundry", batches=False, models=False)
_BEDROCK = replace(_FOUNDRY, name="Bedrock", threads=False, files=False)
_VERTEX = replace(_BEDROCK, name="Vertex", api_versions=("vertex-2023-10-16",))
_BEDROCK_LEGACY = replace(
    _BEDROCK,
    name="Bedrock, legacy",
    auto_cache=False,
    role_system=False,
    count_tokens=False,
    api_versions=("bedrock-2023-05-31",),
)
_COMPATIBLE = CapabilityProfile(name="Anthropic-compatible", fast=False, ratelimit_headers=False)
# As of November 2026.
_BY_HOST: tuple[tuple[re.Pattern[str], CapabilityProfile], ...] = (
    (re.compile(r"api\.anthropic\.com"), FIRST_PARTY),
    (re.compile(r"claude\.googleapis\.com"), _GOOGLE_CLOUD),
    (re.compile(r".*\.services\.ai\.azure\.com"), _FOUNDRY),
    (re.compile(r"bedrock-mantle\..*\.api\.aws"), _BEDROCK),
    (re.compile(r"bedrock-runtime[.-].*\.amazonaws\.com"), _BEDROCK_LEGACY),
    (re.compile(r"(?:.*-)?aiplatform\.googleapis\.com"), _VERTEX),
)


def profile_of(base_url: str | None) -> CapabilityProfile:
    """Return what is known about the server at an address; None is Anthropic's own API.

    Raises:
        ConfigError: If it is no address.

    Example:
        >>> profile_of(None).name, profile_of("http://localhost:11434").name
        ('first party', 'Anthropic-compatible')
    """
    if base_url is None:
        return FIRST_PARTY
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError as error:
        raise ConfigError(
            f"The base URL cannot be read: {error}.",
            code="invalid_base_url",
            hint="Set base_url or ANTHROPIC_BASE_URL to an http or https address.",
        ) from error
    found = (profile for pattern, profile in _BY_HOST if pattern.fullmatch(host))
    return next(found, _COMPATIBLE)

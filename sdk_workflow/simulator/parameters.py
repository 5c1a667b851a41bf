"""The parameters of a request: which exist, which need a beta feature, which may be null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.message_rules import with_contents

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BETA_FIELDS", "cleaned", "fields_for"]

_PROMPT_FIELDS = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
     "cache_control", "speed", "user_profile_id", "workspace_id"}
)  # fmt: skip
_OUTPUT_FIELDS = frozenset(
    {"max_tokens", "stream", "stop_sequences", "metadata", "service_tier", "inference_geo",
     "container", "diagnostics", "temperature", "top_p", "top_k"}
)  # fmt: skip
_NULLABLE = frozenset(
    {"cache_control", "container", "diagnostics", "inference_geo", "speed", "compaction",
     "context_management", "fallbacks", "fallback_credit_token", "thread", "billing_policy"}
)  # fmt: skip

BETA_FIELDS: dict[str, frozenset[str]] = {
    "billing_policy": frozenset({"user-profiles-billing-2026-10-01"}),
    "compaction": frozenset({"compact-2026-09-04"}),
    "context_management": frozenset({"context-management-2025-06-27", "compact-2026-01-12"}),
    "fallback_credit_token": frozenset(
        {"fallback-credit-2026-06-01", "fallback-credit-2026-07-01"}
    ),
    "fallbacks": frozenset({"server-side-fallback-2026-06-01", "server-side-fallback-2026-07-01"}),
    "mcp_servers": frozenset(
        {"mcp-client-2025-04-04", "mcp-client-2025-11-20", "mcp-client-2026-09-15"}
    ),
    "thread": frozenset({"message-threads-2026-08-12"}),
}
"""Parameters that exist only under one of these beta features."""

_COUNTED_BETA_FIELDS = frozenset(
    {"billing_policy", "compaction", "context_management", "mcp_servers"}
)


def fields_for(
    betas: frozenset[str], *, is_count: bool = False, is_lenient: bool = False
) -> frozenset[str]:
    """Return the parameters that a request may have.

    Args:
        betas: The beta features that the request names.
        is_count: Whether this is `count_tokens`.
        is_lenient: Whether a parameter of a beta feature may come without its header.
    """
    opened = {name for name, needed in BETA_FIELDS.items() if is_lenient or needed & betas}
    if is_count:
        return _PROMPT_FIELDS | (opened & _COUNTED_BETA_FIELDS)
    return _PROMPT_FIELDS | _OUTPUT_FIELDS | opened


def cleaned(
    params: Mapping[str, Any],
    betas: frozenset[str],
    *,
    is_count: bool = False,
    is_lenient: bool = False,
) -> dict[str, Any]:
    """Return the parameters in one form: without nulls that say nothing, each message with content.

    Leniently, without unknown parameters.
    """
    kept = {
        name: value for name, value in params.items() if value is not None or name not in _NULLABLE
    }
    if "messages" in kept:
        kept["messages"] = with_contents(kept["messages"], betas)
    if not is_lenient:
        return kept
    known = fields_for(betas, is_count=is_count, is_lenient=True)
    return {name: value for name, value in kept.items() if name in known}

"""What the API demands of the parameters that only beta features have, and which of them exist here.

Whatever would change the answer and is not simulated is refused, never ignored. `fallbacks` are
checked and then rest: only a script lets a model decline, and `script` refuses that together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.errors import invalid_request
from sdk_workflow.simulator.shapes import (
    check_choice,
    check_list,
    check_object,
    check_text,
    refuse_extra,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_features", "check_harmless", "check_thread"]

_MAX_USER_ID = 512
_FALLBACK_FIELDS = frozenset({"model", "max_tokens", "thinking", "output_config", "speed"})


def check_features(params: Mapping[str, Any], *, is_count: bool) -> None:
    """Check the parameters of beta features; which of them may be there is known by now."""
    for name, check in _CHECKS.items():
        if name in params and not (is_count and name == "compaction"):
            check(params[name])


def check_harmless(params: Mapping[str, Any]) -> None:
    """Check what names a user, a place or a level of service, and cannot change an answer."""
    metadata = params.get("metadata", {})
    check_object("metadata", metadata)
    refuse_extra("metadata.", metadata, frozenset({"user_id"}))
    if metadata.get("user_id") is not None:
        check_text("metadata.user_id", metadata["user_id"])
        if len(metadata["user_id"]) > _MAX_USER_ID:
            raise invalid_request(
                f"metadata.user_id: String should have at most {_MAX_USER_ID} characters"
            )
    check_choice("service_tier", params.get("service_tier", "auto"), ("auto", "standard_only"))
    check_choice("inference_geo", params.get("inference_geo", "global"), ("global", "us"))
    for name in ("user_profile_id", "workspace_id"):
        if name in params:
            check_text(name, params[name])
    if "container" in params:
        raise invalid_request("container: code execution is not simulated")
    if "diagnostics" in params:
        _check_diagnostics(params["diagnostics"])


def _check_diagnostics(diagnostics: Any) -> None:
    check_object("diagnostics", diagnostics)
    refuse_extra("diagnostics.", diagnostics, frozenset({"previous_message_id"}))
    if diagnostics.get("previous_message_id") is not None:
        check_text("diagnostics.previous_message_id", diagnostics["previous_message_id"])


def _check_compaction(_config: Any) -> None:
    raise invalid_request("compaction: not simulated")


def _check_credit(_token: Any) -> None:
    raise invalid_request("fallback_credit_token: unknown, or no longer redeemable")


def _check_servers(servers: Any) -> None:
    check_list("mcp_servers", servers)
    if servers:
        raise invalid_request("mcp_servers: MCP servers are not simulated")


def _check_context_management(config: Any) -> None:
    check_object("context_management", config)
    refuse_extra("context_management.", config, frozenset({"edits"}))
    edits = config.get("edits", [])
    check_list("context_management.edits", edits)
    if edits:
        raise invalid_request("context_management.edits.0: context edits are not simulated")


def _check_fallbacks(fallbacks: Any) -> None:
    if fallbacks == "default":
        return
    check_list("fallbacks", fallbacks)
    for index, each in enumerate(fallbacks):
        path = f"fallbacks.{index}"
        check_object(path, each)
        refuse_extra(f"{path}.", each, _FALLBACK_FIELDS)
        require(path, each, "model")
        check_text(f"{path}.model", each["model"])


def _check_billing(policy: Any) -> None:
    check_object("billing_policy", policy)
    refuse_extra("billing_policy.", policy, frozenset({"type", "bill_to"}))
    check_choice("billing_policy.type", policy.get("type"), ("billing_policy",))
    payer = policy.get("bill_to", "self")
    check_choice("billing_policy.bill_to", payer, ("self", "user_profile"))
    if payer == "user_profile":
        raise invalid_request(
            "billing_policy.bill_to: the user profile has no organization that could be billed"
        )


def check_thread(thread: Any) -> None:
    """Check the form of `thread`; whether there is such a thread is another question."""
    check_object("thread", thread)
    kind = thread.get("type")
    check_choice("thread.type", kind, ("create", "continue"))
    fields = {"type", "previous_message_id"} if kind == "continue" else {"type"}
    refuse_extra(f"thread.{kind}.", thread, frozenset(fields))
    if kind == "continue":
        require("thread.continue", thread, "previous_message_id")
        check_text("thread.continue.previous_message_id", thread["previous_message_id"])


_CHECKS: dict[str, Callable[[Any], None]] = {
    "compaction": _check_compaction,
    "fallback_credit_token": _check_credit,
    "context_management": _check_context_management,
    "mcp_servers": _check_servers,
    "fallbacks": _check_fallbacks,
    "billing_policy": _check_billing,
    "thread": check_thread,
}

"""What the API demands of `messages` and `system`: roles, their order, and what each may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.block_rules import check_block, check_text_block
from sdk_workflow.simulator.cache_rules import check_marker
from sdk_workflow.simulator.errors import invalid_request
from sdk_workflow.simulator.pair_rules import check_pairs
from sdk_workflow.simulator.shapes import (
    check_choice,
    check_list,
    check_object,
    refuse_extra,
    require,
)
from sdk_workflow.simulator.thinking_rules import check_effort

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MessageRules", "check_messages", "check_system", "with_contents"]

TOOL_CHANGES_BETAS = frozenset(
    {"mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15"}
)

_ROLES = ("user", "assistant", "system")
_MAX_MESSAGES = 100_000
_BLOCKS_OF_ROLE = {
    "user": ("text", "image", "document", "search_result", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
    "system": ("text",),
}
_TOOL_CHANGES = ("tool_addition", "tool_removal")
_EFFORT_BETA = "mid-conversation-output-config-2026-07-01"
_CLEAR_BETA = "mid-conversation-system-clear-at-2026-08-21"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRules:
    """What depends on the model, the API version and the beta features of a request.

    `is_strict` holds from version 2026-10-21 on: no documents from the assistant, no citations on
    a user's text.
    """

    allows_system: bool = False
    allows_prefill: bool = False
    is_strict: bool = True
    betas: frozenset[str] = frozenset()

    def blocks_of(self, role: str) -> tuple[str, ...]:
        """Return the types of blocks that a role may hold."""
        allowed = _BLOCKS_OF_ROLE[role]
        if role == "assistant" and not self.is_strict:
            return (*allowed, "document")
        if role == "system" and TOOL_CHANGES_BETAS & self.betas:
            return (*allowed, *_TOOL_CHANGES)
        return allowed

    def fields_of(self, role: str) -> frozenset[str]:
        """Return the fields that a message of a role may have."""
        fields = {"role", "content"}
        if role == "system":
            fields |= {"output_config"} if _EFFORT_BETA in self.betas else set()
            fields |= {"clear_at"} if _CLEAR_BETA in self.betas else set()
        return frozenset(fields)


def with_contents(messages: Any, betas: frozenset[str]) -> Any:
    """Return the messages; a system message that only says an effort gets an empty content."""
    if _EFFORT_BETA not in betas or not isinstance(messages, (list, tuple)):
        return messages
    return [{**each, "content": ""} if _only_says_effort(each) else each for each in messages]


def _only_says_effort(message: Any) -> bool:
    if not isinstance(message, Mapping) or message.get("role") != "system":
        return False
    return "content" not in message and message.get("output_config") is not None


def check_system(system: Any) -> None:
    """Check the top-level `system`: a string or text blocks."""
    if isinstance(system, str):
        return
    check_list("system", system)
    for index, block in enumerate(system):
        path = f"system.{index}"
        check_object(path, block)
        check_choice(f"{path}.type", block.get("type"), ("text",))
        check_marker(f"{path}.", block)
        check_text_block(path, block)


def check_messages(messages: Any, rules: MessageRules) -> None:
    """Check the whole conversation."""
    check_list("messages", messages)
    if not messages:
        raise invalid_request("messages: at least one message is required")
    if len(messages) > _MAX_MESSAGES:
        raise invalid_request(f"messages: List should have at most {_MAX_MESSAGES} items")
    for index, message in enumerate(messages):
        is_last = index == len(messages) - 1
        _check_message(f"messages.{index}", message, rules, is_last=is_last)
    if messages[0]["role"] != "user":
        raise invalid_request('messages: first message must use the "user" role')
    _check_system_role(messages, allowed=rules.allows_system)
    if messages[-1]["role"] == "assistant" and not rules.allows_prefill:
        raise invalid_request(
            "messages: This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    check_pairs(messages)


def _check_message(path: str, message: Any, rules: MessageRules, *, is_last: bool) -> None:
    check_object(path, message)
    require(path, message, "role", "content")
    check_choice(f"{path}.role", message["role"], _ROLES)
    content, role = message["content"], message["role"]
    refuse_extra(f"{path}.", message, rules.fields_of(role))
    _check_system_fields(path, message)
    if not content and not (is_last and role == "assistant") and not _says_effort(message):
        raise invalid_request(
            f"{path}: all messages must have non-empty content "
            "except for the optional final assistant message"
        )
    if isinstance(content, str):
        return
    check_list(f"{path}.content", content)
    for index, block in enumerate(content):
        check_block(f"{path}.content.{index}", block, rules.blocks_of(role))
        has_citations = block["type"] == "text" and block.get("citations") is not None
        if has_citations and role != "assistant" and rules.is_strict:
            raise invalid_request(
                f"{path}.content.{index}.citations: not supported on {role} text blocks"
            )


def _check_system_fields(path: str, message: Mapping[str, Any]) -> None:
    if message.get("clear_at") is not None:
        check_choice(f"{path}.clear_at", message["clear_at"], ("next_user_message", "never"))
    config = message.get("output_config")
    if config is not None:
        check_object(f"{path}.output_config", config)
        refuse_extra(f"{path}.output_config.", config, frozenset({"effort"}))
        check_effort(f"{path}.output_config", config)


def _says_effort(message: Mapping[str, Any]) -> bool:
    return bool(message["content"] in ("", []) and (message.get("output_config") or {}))


def _check_system_role(messages: Sequence[Mapping[str, Any]], *, allowed: bool) -> None:
    """Demand that system messages stand between a user's and an assistant's, or at the end.

    Several in a row count as one, like all consecutive messages of one role.
    """
    for index, message in enumerate(messages):
        if message["role"] != "system":
            continue
        if not allowed:
            raise invalid_request(
                f"messages.{index}.role: role 'system' is not supported on this model"
            )
        if messages[index - 1]["role"] == "assistant":
            raise invalid_request(
                f"messages.{index}: a system message must come after a user message or after an "
                "assistant one that ends in server tool use"
            )
        following = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
        if following == "user":
            raise invalid_request(
                f"messages.{index}: a system message must be last or come before an assistant one"
            )

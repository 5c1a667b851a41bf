"""Checks a request as the API does, and refuses with its envelope and its `path: message` texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.cache_rules import check_breakpoints, check_marker
from sdk_workflow.simulator.errors import ApiError, invalid_request, not_found
from sdk_workflow.simulator.feature_rules import check_features, check_harmless
from sdk_workflow.simulator.message_rules import MessageRules, check_messages, check_system
from sdk_workflow.simulator.parameters import fields_for
from sdk_workflow.simulator.prompt import thinking_of
from sdk_workflow.simulator.shapes import (
    REQUIRED,
    check_boolean,
    check_integer,
    check_list,
    check_object,
    check_text,
    refuse_extra,
)
from sdk_workflow.simulator.thinking_rules import (
    OFF,
    check_output_config,
    check_sampling,
    check_speed,
    check_thinking,
)
from sdk_workflow.simulator.tool_changes import available_tools
from sdk_workflow.simulator.tool_rules import check_tool_choice, check_tools

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sdk_workflow.config.models import Model, ModelCatalog

__all__ = [
    "LATEST_VERSION",
    "VERSIONS",
    "Ground",
    "check_fields",
    "check_request",
    "check_size",
    "find_model",
]

LATEST_VERSION = "2026-10-21"
VERSIONS = ("2023-06-01", LATEST_VERSION)

_LONG_OUTPUT_BETA = "output-300k-2026-03-24"
_LONG_OUTPUT_TOKENS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the rules depend on beside the request itself.

    Args:
        version: The `anthropic-version` of the request, one of `VERSIONS`.
        betas: The beta features that it names.
        is_count: Whether this is `count_tokens`, which takes no `max_tokens`.
        is_batch: Whether the request is part of a batch.
        is_lenient: Whether parameters of beta features may come without their header.
    """

    version: str = LATEST_VERSION
    betas: frozenset[str] = frozenset()
    is_count: bool = False
    is_batch: bool = False
    is_lenient: bool = False

    @property
    def is_latest(self) -> bool:
        """Whether the rules of the newest version hold."""
        return self.version == LATEST_VERSION


def check_request(
    params: Any,
    catalog: ModelCatalog,
    *,
    today: date,
    version: str = LATEST_VERSION,
    is_count: bool = False,
    ground: Ground | None = None,
) -> Model:
    """Check a whole request and return its model.

    Args:
        params: The decoded body.
        catalog: The models that exist.
        today: The day on which a model may have been retired.
        version: The `anthropic-version` of the request, where no `ground` is given.
        is_count: Whether this is `count_tokens`, where no `ground` is given.
        ground: All that the rules depend on beside the request.

    Raises:
        ApiError: The refusal: 400, or 404 for a model that does not exist or was retired.
    """
    ground = ground or Ground(version=version, is_count=is_count)
    check_fields(params, ground)
    model = find_model(params["model"], catalog, today)
    check_features(params, is_count=ground.is_count)
    _check_fallback_models(params.get("fallbacks"), catalog, today)
    check_harmless(params)
    if not ground.is_count:
        _check_output(params, model, ground)
    _check_prompt(params, model, ground, today)
    return model


def _check_fallback_models(fallbacks: Any, catalog: ModelCatalog, today: date) -> None:
    for index, fallback in enumerate(() if fallbacks in (None, "default") else fallbacks):
        try:
            find_model(fallback["model"], catalog, today)
        except ApiError as error:
            raise invalid_request(f"fallbacks.{index}.{error.message}") from error


def check_fields(params: Any, ground: Ground) -> None:
    """Check that a request has the parameters that it needs, and no others."""
    check_object("body", params)
    fields = fields_for(ground.betas, is_count=ground.is_count, is_lenient=ground.is_lenient)
    refuse_extra("", params, fields)
    for name in ("model", "messages") if ground.is_count else ("model", "max_tokens", "messages"):
        if name not in params:
            raise invalid_request(f"{name}: {REQUIRED}")
    check_text("model", params["model"])
    if ground.is_batch and "thread" in params:
        raise invalid_request("thread: not supported in a batch", "thread_unsupported_request")


def find_model(name: str, catalog: ModelCatalog, today: date) -> Model:
    """Return the living model of that id.

    Raises:
        ApiError: 404. Names of tiers are this library's, not the API's, and so unknown to it.
    """
    model = catalog.get(name)
    if model is None or name not in {model.id, *model.aliases} or model.is_retired(today):
        raise not_found(f"model: {name}")
    return model


def check_size(prompt_tokens: int, model: Model) -> None:
    """Refuse a prompt that does not fit into the model's context window."""
    if prompt_tokens > model.context_window:
        raise invalid_request(
            f"prompt is too long: {prompt_tokens} tokens > {model.context_window} maximum"
        )


def _check_output(params: Mapping[str, Any], model: Model, ground: Ground) -> None:
    check_integer("max_tokens", params["max_tokens"], 0)
    most = model.max_output_tokens
    if ground.is_batch and _LONG_OUTPUT_BETA in ground.betas:
        most = max(most, _LONG_OUTPUT_TOKENS)
    if params["max_tokens"] > most:
        raise invalid_request(
            f"max_tokens: {params['max_tokens']} > {most}, which is the maximum "
            f"allowed number of output tokens for {params['model']}"
        )
    check_boolean("stream", params.get("stream", False))
    if ground.is_batch and params.get("stream"):
        raise invalid_request("stream: not supported in a batch")
    _check_stop_sequences(params.get("stop_sequences", ()))


def _check_prompt(params: Mapping[str, Any], model: Model, ground: Ground, today: date) -> None:
    check_marker("", params)
    check_messages(params["messages"], _message_rules(model, ground))
    check_system(params.get("system", ""))
    check_tools(params.get("tools", ()))
    tools = available_tools(params, ground.betas)
    if "tool_choice" in params:
        check_tool_choice(params["tool_choice"], tools, may_force=model.forced_tool_choice)
    check_output_config(params.get("output_config", {}), ground.betas)
    check_thinking(params, model, ground.betas)
    check_speed(params, model, ground.betas, today=today)
    check_sampling(params, model, version=ground.version, takes_none=ground.is_latest)
    _check_prefill(params, model)
    check_breakpoints(params)
    if params.get("max_tokens") == 0:
        _check_prewarm(params, ground)


def _message_rules(model: Model, ground: Ground) -> MessageRules:
    return MessageRules(
        allows_system=model.system_role_messages,
        allows_prefill=model.prefill,
        is_strict=ground.is_latest,
        betas=ground.betas,
    )


def _check_prefill(params: Mapping[str, Any], model: Model) -> None:
    """Refuse a prefilled answer that would have to begin with thinking."""
    last = params["messages"][-1]
    if last["role"] != "assistant" or thinking_of(params, model)["type"] in OFF:
        return
    content = last["content"]
    first = content[0]["type"] if content and not isinstance(content, str) else "text"
    if first not in {"thinking", "redacted_thinking"}:
        raise invalid_request(
            f"messages.{len(params['messages']) - 1}.content.0.type: Expected `thinking` or "
            f"`redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final "
            "`assistant` message must start with a thinking block."
        )


def _check_prewarm(params: Mapping[str, Any], ground: Ground) -> None:
    """Refuse what makes no sense where only the prompt cache is to be filled.

    Thinking with a budget has been refused by then: the budget has to be below `max_tokens`.
    """
    choice = (params.get("tool_choice") or {}).get("type")
    conflicts = {
        "stream": bool(params.get("stream")),
        "output_config.format": (params.get("output_config") or {}).get("format") is not None,
        "tool_choice": choice in {"any", "tool"},
        "batches": ground.is_batch,
    }
    for name, is_there in conflicts.items():
        if is_there:
            raise invalid_request(f"max_tokens: 0 cannot be combined with {name}")


def _check_stop_sequences(sequences: Any) -> None:
    check_list("stop_sequences", sequences)
    for index, sequence in enumerate(sequences):
        check_text(f"stop_sequences.{index}", sequence)
        if not sequence.strip():
            raise invalid_request("stop_sequences: each stop sequence must contain non-whitespace")

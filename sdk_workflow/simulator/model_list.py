"""The answers of `GET /v1/models` and `GET /v1/models/{id}`, read from the catalogue."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.errors import not_found
from sdk_workflow.simulator.paging import page_of
from sdk_workflow.simulator.thinking_rules import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import Model, ModelCatalog

__all__ = ["list_models", "model_info", "model_info_by_name"]

_UNKNOWN_DAY = date(1970, 1, 1)
_THINKING = ("adaptive", "between_tools", "disabled", "enabled")
_CONTEXT_EDITS = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")


def model_info(model: Model, *, today: date) -> dict[str, Any]:
    """Return one model; the release day is the epoch where the catalogue does not know it."""
    retires = None if model.retires is None else _day(model.retires)
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display_name(model),
        "line": model.tier,
        "created_at": _day(model.released or _UNKNOWN_DAY),
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        "lifecycle": _lifecycle(model, today),
        "retires_at": retires,
        "capabilities": _capabilities(model, is_retired=model.is_retired(today)),
    }


def model_info_by_name(name: str, catalog: ModelCatalog, *, today: date) -> dict[str, Any]:
    """Return the model of an id; one that has retired stays on record.

    Raises:
        ApiError: 404.
    """
    model = catalog.get(name)
    if model is None or name not in {model.id, *model.aliases}:
        raise not_found(f"model: {name}")
    return model_info(model, today=today)


def list_models(catalog: ModelCatalog, query: Mapping[str, str], *, today: date) -> dict[str, Any]:
    """Return one page of the models, the newest version first, those that have retired last.

    Args:
        catalog: The models that exist.
        query: `limit`, and one of `after_id` and `before_id`.
        today: The day on which a model may have been retired.

    Raises:
        ApiError: 400 for a limit or an id that cannot be meant.
    """
    found = (catalog.get(name) for name in catalog.names())
    models = [model for model in found if model is not None]
    models.sort(key=lambda model: (not model.is_retired(today), model.version, model.id))
    infos = [model_info(model, today=today) for model in reversed(models)]
    return page_of(infos, query, kind="model")


def _lifecycle(model: Model, today: date) -> str:
    if model.is_retired(today):
        return "retired"
    return "active" if model.retires is None else "deprecated"


def _capabilities(model: Model, *, is_retired: bool) -> dict[str, Any]:
    """Return what the simulator does for a model: what it refuses is not claimed.

    Of a model that has retired, it refuses every request.
    """
    no = {"supported": False}
    yes = no if is_retired else {"supported": True}
    types = {kind: yes if kind in model.thinking_types else no for kind in _THINKING}
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": no,
        "context_management": {"supported": False, **dict.fromkeys(_CONTEXT_EDITS, no)},
        "effort": {**yes, **dict.fromkeys(EFFORTS, yes)},
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": False, "code_execution": no, "web_search": no},
        "structured_outputs": yes,
        "thinking": {
            "supported": types["adaptive"]["supported"] or types["enabled"]["supported"],
            "types": types,
        },
    }


def _display_name(model: Model) -> str:
    words = model.id.split("-")
    name = [word.capitalize() for word in words if not word.isdecimal()]
    version = ".".join(word for word in words if word.isdecimal())
    return " ".join([*name, version]).strip()


def _day(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"

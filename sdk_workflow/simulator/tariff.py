"""What a simulated request costs, and which class of models its limits and its pace are those of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_day
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Money

__all__ = ["Tariff"]


class Tariff:
    """The catalogue's prices and classes on the day that a clock shows.

    Args:
        catalog: The models with their prices.
        clock: Says which day's prices hold.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> from sdk_workflow.config.models import default_catalog
        >>> tariff = Tariff(default_catalog(), VirtualClock(start=1_795_219_200))
        >>> usage = {"input_tokens": 1_000_000, "service_tier": "batch"}
        >>> tariff.cost("claude-opus-5-5", usage).usd
        2.0
    """

    def __init__(self, catalog: ModelCatalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def cost(self, model: str, usage: Mapping[str, Any]) -> Money | None:
        """Return exactly what an answer cost; None where no price is known.

        Args:
            model: The model that answered.
            usage: The answer's `usage`; its service tier, speed and place count.
        """
        return self._catalog.price(
            model,
            Usage.from_api(usage),
            at=utc_day(self._clock),
            batch=usage.get("service_tier") == "batch",
            geo=usage.get("inference_geo"),
            fast=usage.get("speed") == "fast",
        )

    def class_of(self, model_name: str | None) -> tuple[str, float]:
        """Return the class of a model, and how many tokens it makes of a text."""
        model = None if model_name is None else self._catalog.get(model_name)
        if model is None:
            return model_name or "", 1.0
        return model.tier or model.id, model.token_factor

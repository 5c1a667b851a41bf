"""What stands around each call, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdk_workflow.wiring.transports import make_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Clock, CountMiddleware, Middleware
    from sdk_workflow.wiring.managers import Managers

__all__ = ["LayerParts", "make_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerParts:
    """What the layers are made of.

    Attributes:
        settings: Limits, retries, fallbacks, caches.
        backend: Who answers.
        clock: Where times come from.
        catalog: Models by their names.
        on_event: Sees what happens to the calls.
        cache: Answers instead of the model; None where no response cache is on.
        managers: Keep the limits, and estimate prompts for the pacing.
    """

    settings: Settings
    backend: Literal["anthropic", "simulator"]
    clock: Clock
    catalog: ModelCatalog
    on_event: EventSink
    managers: Managers
    cache: CacheManager | None = None


def make_layers(parts: LayerParts) -> tuple[Sequence[Middleware], Sequence[CountMiddleware]]:
    """Return the layers around each call and around each count, the first outermost.

    A count has limits of its own on the server, so that it is not paced with the calls.
    """
    from sdk_workflow.core.backoff import Backoff
    from sdk_workflow.middleware.deadline import limit_time
    from sdk_workflow.middleware.rate_limit import RateLimitMiddleware
    from sdk_workflow.middleware.retry import RetryMiddleware
    from sdk_workflow.middleware.tracing import trace_call, trace_count

    limit = parts.settings.request_timeout_seconds
    in_time = limit_time(limit)
    retry = RetryMiddleware(
        backoff=Backoff(max_retries=parts.settings.max_retries),
        clock=parts.clock,
        max_wait_seconds=limit,
        on_event=parts.on_event,
    )
    calls: list[Middleware] = [
        trace_call,
        in_time,
        *_response_cache(parts),
        *_fallback(parts),
        *_prompt_cache(parts),  # behind the fallback: another model has another minimum
        retry,
        RateLimitMiddleware(
            clock=parts.clock, counter=parts.managers.token_counter, max_wait_seconds=limit
        ),
        *parts.managers.budgets.layers(parts.on_event),  # innermost: every attempt may be billed
    ]
    return calls, (trace_count, in_time, retry)


def _response_cache(parts: LayerParts) -> list[Middleware]:
    if parts.cache is None:
        return []
    from sdk_workflow.middleware.response_cache import ResponseCacheMiddleware

    return [ResponseCacheMiddleware(parts.cache, on_event=parts.on_event)]


def _fallback(parts: LayerParts) -> list[Middleware]:
    settings = parts.settings
    may_simulate = settings.fallback_to_simulator and parts.backend != "simulator"
    if not settings.fallback_models and not may_simulate:
        return []
    from sdk_workflow.middleware.fallback import FallbackMiddleware

    simulator = make_transport(settings, "simulator", parts.clock).send if may_simulate else None
    models = [_model_id(name, parts.catalog) for name in settings.fallback_models]
    return [FallbackMiddleware(models, simulator=simulator, on_event=parts.on_event)]


def _prompt_cache(parts: LayerParts) -> list[Middleware]:
    mode = parts.settings.cache_mode
    if mode == "off" or not (parts.settings.prompt_cache or mode == "full"):
        return []
    from sdk_workflow.core.cache import PromptCacheOptimizer
    from sdk_workflow.middleware.prompt_cache import PromptCacheMiddleware

    optimizer = PromptCacheOptimizer(catalog=parts.catalog, clock=parts.clock)
    return [PromptCacheMiddleware(optimizer, on_event=parts.on_event)]


def _model_id(name: str, catalog: ModelCatalog) -> str:
    """Return the id to send; a server of one's own has models that the catalogue does not know."""
    known = catalog.get(name)
    return name if known is None else known.id

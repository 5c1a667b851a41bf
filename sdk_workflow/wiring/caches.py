"""The response caches of a runtime, as its settings ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.semantic_cache import SemanticCache
    from sdk_workflow.protocols import Clock

__all__ = ["make_cache"]

_MAX_BYTES_IN_MEMORY = 64 * 2**20


def make_cache(
    settings: Settings,
    backend: Literal["anthropic", "simulator"],
    clock: Clock,
    catalog: ModelCatalog,
) -> CacheManager | None:
    """Return the caches with what an earlier process left in `cache_dir`; None where they are off.

    Raises:
        StorageError: If the folder cannot be made or is open to others.
        ConfigError: If `embedding_model` names no usable model.
    """
    if settings.cache_mode == "off":
        return None
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.lru_cache import LRUCache

    manager = CacheManager(
        LRUCache(
            settings.cache_max_entries,
            settings.cache_ttl_seconds,
            max_weight=_MAX_BYTES_IN_MEMORY,
            weigher=lambda _key, stored: stored.weight,
            clock=clock,
        ),
        _semantic_cache(settings, clock),
        None,  # breakpoints are placed by a layer of their own
        namespace=settings.base_url or "",
        backend="simulator" if backend == "simulator" else "api",
        catalog=catalog,
        clock=clock,
        ttl_seconds=settings.cache_ttl_seconds,
    )
    if settings.cache_dir is not None:
        from sdk_workflow.core.caching.private_files import make_private_folder

        make_private_folder(settings.cache_dir)
        manager.load_from_disk(settings.cache_dir)
    return manager


def _semantic_cache(settings: Settings, clock: Clock) -> SemanticCache | None:
    if settings.cache_mode == "exact":
        return None
    from pathlib import Path

    from sdk_workflow.core.semantic_cache import SemanticCache

    chosen = settings.embedding_model
    return SemanticCache(
        settings.similarity_threshold,
        embedder=chosen if chosen == "auto" else Path(chosen).expanduser(),
        ttl_seconds=settings.cache_ttl_seconds,
        clock=clock,
    )

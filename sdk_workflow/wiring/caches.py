"""The response caches of a runtime, as its settings ask for them."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING, Literal

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import ConfigError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.semantic_cache import SemanticCache
    from sdk_workflow.protocols import Clock

__all__ = ["close_cache", "make_cache"]

_logger = logging.getLogger("sdk_workflow.cache")

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
        namespace=_server(settings),
        backend="simulator" if backend == "simulator" else "api",
        catalog=catalog,
        clock=clock,
        ttl_seconds=settings.cache_ttl_seconds,
    )
    if settings.cache_dir is not None:
        _check_folder(settings.cache_dir)
        manager.load_from_disk(settings.cache_dir)
    return manager


@trace_function(name="cache.close")
def close_cache(cache: CacheManager, folder: Path | None) -> None:
    """Keep what the caches hold in the folder, if there is one, and let go of them."""
    from sdk_workflow.core.caching.totals import add_to_totals

    try:
        if folder is not None:
            cache.persist_to_disk(folder)
            add_to_totals(folder, cache.get_cache_report())
    except StorageError as error:
        _logger.warning("The answers of this run were not kept. %s %s", error, error.hint)
    finally:
        cache.close()


def _check_folder(folder: Path) -> None:
    from sdk_workflow.core.caching.private_files import make_private_folder

    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"cache_dir {str(folder)!r} is a file, not a folder.",
            code="cache_dir_unusable",
            hint="Name a folder; it is made where it is missing.",
        )
    make_private_folder(folder)
    if os.name == "posix" and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"Other users can write into cache_dir {str(folder)!r}, and so choose its answers.",
            code="cache_dir_unusable",
            hint="Name a folder of your own, or take the right away with chmod go-w.",
        )


def _server(settings: Settings) -> str:
    """Return the address that the transport sends to; settings made by hand may not name it."""
    return settings.base_url or os.environ.get("ANTHROPIC_BASE_URL") or ""


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

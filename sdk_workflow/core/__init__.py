"""The engines: client, caches, metrics, tracer, profiler and log; each is loaded at first use.

They do not know one another. This module knows only where each lives.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.lazy import lazy_attributes

if TYPE_CHECKING:
    from sdk_workflow._internal.trace_function import trace_function
    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.core.cache import PromptCacheOptimizer
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.logging import JsonFormatter, JsonHandler, StructuredLogger
    from sdk_workflow.core.lru_cache import LRUCache
    from sdk_workflow.core.metrics import MetricsEngine
    from sdk_workflow.core.performance import PerformanceTracer, SpanSummary
    from sdk_workflow.core.profiling import Hotspot, ProfileComparison, Profiler, ProfileReport
    from sdk_workflow.core.semantic_cache import SemanticCache

__all__ = [
    "MODULE_REGISTRY",
    "AgentClientManager",
    "CacheManager",
    "Hotspot",
    "JsonFormatter",
    "JsonHandler",
    "LRUCache",
    "MetricsEngine",
    "PerformanceTracer",
    "ProfileComparison",
    "ProfileReport",
    "Profiler",
    "PromptCacheOptimizer",
    "SemanticCache",
    "SpanSummary",
    "StructuredLogger",
    "trace_function",
]

MODULE_REGISTRY: dict[str, str] = {
    "AgentClientManager": "sdk_workflow.core.agent_client",
    "CacheManager": "sdk_workflow.core.cache_manager",
    "Hotspot": "sdk_workflow.core.profiling",
    "JsonFormatter": "sdk_workflow.core.logging",
    "JsonHandler": "sdk_workflow.core.logging",
    "LRUCache": "sdk_workflow.core.lru_cache",
    "MetricsEngine": "sdk_workflow.core.metrics",
    "PerformanceTracer": "sdk_workflow.core.performance",
    "ProfileComparison": "sdk_workflow.core.profiling",
    "ProfileReport": "sdk_workflow.core.profiling",
    "Profiler": "sdk_workflow.core.profiling",
    "PromptCacheOptimizer": "sdk_workflow.core.cache",
    "SemanticCache": "sdk_workflow.core.semantic_cache",
    "SpanSummary": "sdk_workflow.core.performance",
    "StructuredLogger": "sdk_workflow.core.logging",
    "trace_function": "sdk_workflow._internal.trace_function",
}
"""Public name -> the module that defines it."""

# Former name -> present name. None so far: nothing has been renamed since the first release.
_FORMER_NAMES: dict[str, str] = {}

_import_module_lazy, __dir__ = lazy_attributes(__name__, MODULE_REGISTRY)


def _handle_deprecated_import(name: str) -> Any:
    """Return what a former name stands for now, and warn at the line that used it."""
    current = _FORMER_NAMES[name]
    warnings.warn(
        f"{__name__}.{name} is now called {current}; the former name will be removed in 1.0.",
        DeprecationWarning,
        stacklevel=3,  # past this function and __getattr__
    )
    return _import_module_lazy(current)


def __getattr__(name: str) -> Any:
    if name in _FORMER_NAMES:
        return _handle_deprecated_import(name)
    return _import_module_lazy(name)

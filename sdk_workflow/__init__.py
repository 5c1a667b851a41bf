"""The layer between agent code and Claude: cheaper, inside a budget, durable, visible.

    from sdk_workflow import run_sync
    print(run_sync("Which of these files is longest?", tools=["read", "bash"]).text)

The public names load at first use; `import sdk_workflow` alone loads no third-party library.
"""

from __future__ import annotations

from sdk_workflow._internal.lazy import lazy_attributes
from sdk_workflow._internal.version import __version__ as __version__

TYPE_CHECKING = False  # type checkers take the name for `typing.TYPE_CHECKING`, which costs 5 ms
if TYPE_CHECKING:
    from sdk_workflow.agent.options import RunOptions as RunOptions
    from sdk_workflow.agent.session import AgentSession as AgentSession
    from sdk_workflow.agent.state import SessionState as SessionState
    from sdk_workflow.config.models import ModelCatalog as ModelCatalog
    from sdk_workflow.config.settings import Settings as Settings
    from sdk_workflow.config.settings import load_settings as load_settings
    from sdk_workflow.core.agent_client import AgentClientManager as AgentClientManager
    from sdk_workflow.core.cache import PromptCacheOptimizer as PromptCacheOptimizer
    from sdk_workflow.core.cache_manager import CacheManager as CacheManager
    from sdk_workflow.core.logging import StructuredLogger as StructuredLogger
    from sdk_workflow.core.lru_cache import LRUCache as LRUCache
    from sdk_workflow.core.metrics import MetricsEngine as MetricsEngine
    from sdk_workflow.core.performance import PerformanceTracer as PerformanceTracer
    from sdk_workflow.core.performance import trace_function as trace_function
    from sdk_workflow.core.profiling import Profiler as Profiler
    from sdk_workflow.core.semantic_cache import SemanticCache as SemanticCache
    from sdk_workflow.exceptions import SdkWorkflowError as SdkWorkflowError
    from sdk_workflow.managers.checkpoint_manager import CheckpointManager as CheckpointManager
    from sdk_workflow.managers.cost_manager import CostManager as CostManager
    from sdk_workflow.managers.session_manager import SessionManager as SessionManager
    from sdk_workflow.managers.token_manager import TokenManager as TokenManager
    from sdk_workflow.runtime import Runtime as Runtime
    from sdk_workflow.runtime import build_runtime as build_runtime
    from sdk_workflow.runtime import open_session as open_session
    from sdk_workflow.runtime import run as run
    from sdk_workflow.runtime import run_sync as run_sync
    from sdk_workflow.tools.registry import Tool as Tool
    from sdk_workflow.tools.schema import tool as tool
    from sdk_workflow.types import Call as Call
    from sdk_workflow.types import Money as Money
    from sdk_workflow.types import Reply as Reply
    from sdk_workflow.types import RunResult as RunResult
    from sdk_workflow.types import Usage as Usage

_SOURCES = {
    "AgentClientManager": "sdk_workflow.core.agent_client",
    "AgentSession": "sdk_workflow.agent.session",
    "CacheManager": "sdk_workflow.core.cache_manager",
    "Call": "sdk_workflow.types",
    "CheckpointManager": "sdk_workflow.managers.checkpoint_manager",
    "CostManager": "sdk_workflow.managers.cost_manager",
    "LRUCache": "sdk_workflow.core.lru_cache",
    "MetricsEngine": "sdk_workflow.core.metrics",
    "ModelCatalog": "sdk_workflow.config.models",
    "Money": "sdk_workflow.types",
    "PerformanceTracer": "sdk_workflow.core.performance",
    "Profiler": "sdk_workflow.core.profiling",
    "PromptCacheOptimizer": "sdk_workflow.core.cache",
    "Reply": "sdk_workflow.types",
    "RunOptions": "sdk_workflow.agent.options",
    "RunResult": "sdk_workflow.types",
    "Runtime": "sdk_workflow.runtime",
    "SdkWorkflowError": "sdk_workflow.exceptions",
    "SemanticCache": "sdk_workflow.core.semantic_cache",
    "SessionManager": "sdk_workflow.managers.session_manager",
    "SessionState": "sdk_workflow.agent.state",
    "Settings": "sdk_workflow.config.settings",
    "StructuredLogger": "sdk_workflow.core.logging",
    "TokenManager": "sdk_workflow.managers.token_manager",
    "Tool": "sdk_workflow.tools.registry",
    "Usage": "sdk_workflow.types",
    "build_runtime": "sdk_workflow.runtime",
    "load_settings": "sdk_workflow.config.settings",
    "open_session": "sdk_workflow.runtime",
    "run": "sdk_workflow.runtime",
    "run_sync": "sdk_workflow.runtime",
    "tool": "sdk_workflow.tools.schema",
    "trace_function": "sdk_workflow.core.performance",
}

__all__ = sorted([*_SOURCES, "__version__"])  # noqa: PLE0605 - one list for both, kept in one place

__getattr__, __dir__ = lazy_attributes(__name__, _SOURCES)

"""The composition root: wires the parts of `wiring` into one runtime.

Two tenants are two runtimes: nothing here is global.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.portal import Portal
from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow.agent.options import RunOptions
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.config.model_names import check_models
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.tools.lazy_sandbox import LazySandbox
from sdk_workflow.tools.permissions import Permissions
from sdk_workflow.wiring.backends import Backend, choose_backend
from sdk_workflow.wiring.budgets import Allowance
from sdk_workflow.wiring.caches import close_cache, make_cache
from sdk_workflow.wiring.client import make_client
from sdk_workflow.wiring.given import given_settings
from sdk_workflow.wiring.instruments import Instruments
from sdk_workflow.wiring.layers import LayerParts
from sdk_workflow.wiring.managers import Managers
from sdk_workflow.wiring.observing import Observed, make_feed, tell_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from typing_extensions import Self

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.logging import StructuredLogger
    from sdk_workflow.core.profiling import Profiler
    from sdk_workflow.core.token_counter import CalibratingTokenCounter
    from sdk_workflow.events import EventSink
    from sdk_workflow.managers.checkpoint_manager import CheckpointManager
    from sdk_workflow.managers.cost_manager import CostManager
    from sdk_workflow.managers.session_manager import SessionManager
    from sdk_workflow.managers.token_manager import TokenManager
    from sdk_workflow.monitor.feed import RunFeed
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import RunResult

__all__ = [
    "Backend",
    "Runtime",
    "build_runtime",
    "choose_backend",
    "open_session",
    "run",
    "run_sync",
]

_SESSION_OPTIONS = (
    "working_directory",
    "session_id",
    "journal",
    "memory",
    "sinks",
    "sandbox",
    "ask",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything that one tenant needs, wired together; an async context manager.

    Attributes:
        settings: The validated configuration.
        backend: Who answers: "anthropic" or "simulator".
        client: Sends the calls.
        catalog: Models, prices and limits.
        tracer: Records the spans of every session of this runtime.
        cache: The response caches; None with `cache_mode="off"`.
        metrics: Counts what happens to every call and session.
        clock: Where times come from.
        managers: Makes the managers below when they are first needed.
        instruments: Makes the logger and the profiler when they are first needed.
        feed: Shows all of this to `sdk_workflow monitor`; None with `monitor=False`.
    """

    settings: Settings
    backend: Literal["anthropic", "simulator"]
    client: AgentClientManager
    catalog: ModelCatalog
    tracer: PerformanceTracer
    cache: CacheManager | None
    metrics: MetricsEngine
    clock: Clock
    managers: Managers
    instruments: Instruments
    feed: RunFeed | None = None

    @property
    def tokens(self) -> TokenManager:
        """Counts the tokens of every call, and warns before a context window overflows."""
        return self.managers.tokens

    @property
    def costs(self) -> CostManager:
        """Counts what every call costs; with `max_cost_usd` or `budget_usd` it keeps that limit."""
        return self.managers.costs

    @property
    def checkpoints(self) -> CheckpointManager:
        """Keeps versions of sessions in the state folder."""
        return self.managers.checkpoints

    @property
    def sessions(self) -> SessionManager:
        """Knows every session that was kept in the state folder, by this runtime or another."""
        return self.managers.sessions

    @property
    def token_counter(self) -> CalibratingTokenCounter:
        """Estimates the size of prompts, and learns from every reply."""
        return self.managers.token_counter

    @property
    def logger(self) -> StructuredLogger:
        """Writes JSON lines to the state folder, with the ids of the ambient span."""
        return self.instruments.logger

    @property
    def profiler(self) -> Profiler:
        """Finds out where CPU time goes between its start and its stop."""
        return self.instruments.profiler

    def session(self, **options: Any) -> AgentSession:
        """Open a conversation.

        Args:
            **options: Arguments of `AgentSession` that differ from the settings, and `ask`, who
                is asked about tool calls where the settings say so. With
                `journal=True` the session is kept in the state folder: what a session of that
                `session_id` has reached before is taken up, and a run that is cut off can be
                resumed.

        Raises:
            UsageError: If an argument is unusable.
            StorageError: If the session is kept, and is in use, damaged or cannot be opened.
        """
        if options.get("journal") is True:
            return self._kept(options)
        if options.get("journal") is False:
            options = {**options, "journal": None}
        return self._session(**options)

    def resume(self, session_id: str, **options: Any) -> AgentSession:
        """Open a conversation that was kept, as `session` does; `AgentSession.resume` goes on.

        Raises:
            SessionNotFound: If there is none of that id.
            UsageError, StorageError: As `session`.
        """
        return self._kept({**options, "session_id": session_id}, must_exist=True)

    def _kept(self, options: dict[str, Any], *, must_exist: bool = False) -> AgentSession:
        from sdk_workflow.wiring.journals import open_kept_session

        return open_kept_session(
            self._session,
            self.settings.home,
            options,
            must_exist=must_exist,
            clock=self.clock,
            managers=self.managers,
        )

    def _session(self, **options: Any) -> AgentSession:
        settings = self.settings
        defaults: dict[str, Any] = {
            "model": settings.model,
            "system": settings.system,
            "tools": settings.tools,
            "options": RunOptions(
                max_tokens=settings.max_tokens,
                max_turns=settings.max_turns,
                timeout_seconds=settings.timeout_seconds,
            ),
            "sandbox": LazySandbox(settings.sandbox),
            "tool_timeout_seconds": settings.tool_timeout_seconds,
            "catalog": self.catalog,
            "tracer": self.tracer,
            "clock": self.clock,
        }
        ask = options.pop("ask", None)
        if "permissions" not in options:
            defaults["permissions"] = Permissions(
                settings.permissions, rules=settings.allow, ask=ask, hosts=settings.network_hosts
            )
        feed = () if self.feed is None else (self.feed.on_event,)
        sinks = (*options.pop("sinks", ()), self.metrics.on_event, *feed)
        return AgentSession(self.client, sinks=sinks, **{**defaults, **options})

    async def close(self) -> None:
        """Close the client and the managers, and keep what the caches hold in `cache_dir`.

        Answers that cannot be kept cost the next run money, but not this one its result: that is a
        warning in the log.
        """
        try:
            await self.client.close()
        finally:
            if self.feed is not None:
                self.feed.close()
            self.managers.close()
            self.instruments.close()
            if self.cache is not None:
                close_cache(self.cache, self.settings.cache_dir)

    async def __aenter__(self) -> Self:
        """Return the runtime itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the runtime."""
        await self.close()


def build_runtime(
    settings: Settings | None = None,
    *,
    backend: Backend | None = None,
    clock: Clock | None = None,
    tracer: PerformanceTracer | None = None,
    sinks: Sequence[EventSink] = (),
    max_cost_usd: float | None = None,
    cost_scope: str | None = None,
    **overrides: Any,
) -> Runtime:
    """Wire a runtime from the settings.

    Args:
        settings: The configuration; read from flags, environment and files by default.
        backend: Who answers; "auto" asks the API and needs a key. The settings' own by default.
        clock: Where times come from; the machine's clock by default.
        tracer: Records the spans; a new one by default.
        sinks: Who sees what happens to the calls of every session: finished, failed, retried,
            answered by another model.
        max_cost_usd: What this runtime may spend at the most, besides the limit that it shares with
            others (`budget_usd`).
        cost_scope: The name under which the state folder keeps what was spent of `max_cost_usd`, so
            that a later runtime goes on with it; counted in memory by default.
        **overrides: Settings that go before every other source, such as `model="haiku"`.

    Raises:
        ConfigError: If a setting is unusable or names an unknown model, or no key is set and the
            simulator was not asked for.
        UsageError: If there is no such backend, or a limit is no amount of dollars.
    """
    settings, origins = given_settings(settings, overrides)
    clock = clock or SystemClock()
    chosen = choose_backend(settings, backend or settings.backend)
    catalog = default_catalog(settings.home)
    check_models(settings, catalog, origins=origins)
    watching = SinkSet(sinks)
    managers = Managers(
        settings,
        chosen,
        clock,
        catalog,
        on_event=watching.emit,
        allowance=Allowance(max_cost_usd, cost_scope),
    )
    return _wired(settings, chosen, managers, watching, clock, catalog, tracer)


async def run(prompt: str, **options: Any) -> RunResult:
    """Answer one prompt in a session of its own.

    Args:
        prompt: What to do.
        **options: Settings (`model`, `tools`, `max_turns`, ...), `backend`, `max_cost_usd`, and
            arguments of `AgentSession` (`working_directory`, `sinks`, `session_id`, `memory`, `sandbox`,
            `journal=True` to keep the session on disk). With `permissions="ask"`, `ask` is a
            function of a tool call that returns "yes", "always", "no" or "stop".

    Raises:
        SdkWorkflowError: As `build_runtime` and `AgentSession.message`.

    Example:
        >>> import anyio, functools
        >>> result = anyio.run(functools.partial(run, "Hello", backend="simulator"))
        >>> result.served_by
        'simulator'
    """
    async with open_session(**options) as session:
        return await session.message(prompt)


def run_sync(prompt: str, **options: Any) -> RunResult:
    """Do what `run` does, for callers without an event loop.

    Example:
        >>> run_sync("Hello", backend="simulator").stop_reason
        'end_turn'
    """
    portal = Portal()
    try:
        return portal.call(lambda: run(prompt, **options))
    finally:
        portal.close()


@asynccontextmanager
async def open_session(**options: Any) -> AsyncIterator[AgentSession]:
    """Open a session on a runtime of its own, and close both at the end.

    Args:
        **options: As `run`.
    """
    session_options = {name: options.pop(name) for name in _SESSION_OPTIONS if name in options}
    if not isinstance(options.get("tools"), (str, type(None))):
        # Functions and Tool objects are no settings: all tools of a session go to it directly.
        session_options["tools"] = options.pop("tools")
    if session_options.get("journal"):  # what is given goes before what a kept session remembers
        kept = ("model", "system", "tools")
        session_options |= {name: options[name] for name in kept if options.get(name) is not None}
    # A runtime with one session: who looks on sees what happens to its calls as well.
    async with (
        build_runtime(sinks=session_options.get("sinks", ()), **options) as runtime,
        runtime.session(**session_options) as session,
    ):
        yield session


def _wired(  # noqa: PLR0917 - the parts of a runtime, in the order of its attributes
    settings: Settings,
    backend: Literal["anthropic", "simulator"],
    managers: Managers,
    watching: SinkSet,
    clock: Clock,
    catalog: ModelCatalog,
    tracer: PerformanceTracer | None,
) -> Runtime:
    cache = make_cache(settings, backend, clock, catalog)
    tracer = tracer or PerformanceTracer(clock=clock, open_telemetry="bridge")
    metrics = MetricsEngine(clock=clock, on_loop=lambda loop: tell_loop(feed, loop))
    feed = make_feed(
        Observed(
            settings=settings,
            backend=backend,
            clock=clock,
            catalog=catalog,
            metrics=metrics,
            tracer=tracer,
            managers=managers,
        )
    )
    watching.add(metrics.on_event)
    watching.add(managers.on_event)
    if feed is not None:
        watching.add(feed.on_event)
    parts = LayerParts(
        settings=settings,
        backend=backend,
        clock=clock,
        catalog=catalog,
        on_event=watching.emit,
        managers=managers,
        cache=cache,
    )
    return Runtime(
        settings=settings,
        backend=backend,
        client=make_client(parts),
        catalog=catalog,
        tracer=tracer,
        cache=cache,
        metrics=metrics,
        clock=clock,
        managers=managers,
        instruments=Instruments(settings, clock),
        feed=feed,
    )

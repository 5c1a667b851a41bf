"""The composition root: wires the parts of `wiring` into one runtime.

Two tenants are two runtimes: nothing here is global.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.portal import Portal
from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.agent.options import RunOptions
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.config.model_names import check_models
from sdk_workflow.config.models import default_catalog
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import ConfigError, UsageError
from sdk_workflow.tools.lazy_sandbox import LazySandbox
from sdk_workflow.wiring.caches import close_cache, make_cache
from sdk_workflow.wiring.client import make_client
from sdk_workflow.wiring.layers import LayerParts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from typing_extensions import Self

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.config.sources import Origin
    from sdk_workflow.core.agent_client import AgentClientManager
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.events import EventSink
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

Backend = Literal["auto", "anthropic", "simulator"]

_SESSION_OPTIONS = (
    "working_directory",
    "session_id",
    "journal",
    "memory",
    "sinks",
    "sandbox",
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
    """

    settings: Settings
    backend: Literal["anthropic", "simulator"]
    client: AgentClientManager
    catalog: ModelCatalog
    tracer: PerformanceTracer
    cache: CacheManager | None
    metrics: MetricsEngine
    clock: Clock

    def session(self, **options: Any) -> AgentSession:
        """Open a conversation.

        Args:
            **options: Arguments of `AgentSession` that differ from the settings. With
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
            self._session, self.settings.home, options, must_exist=must_exist, clock=self.clock
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
        sinks = (*options.pop("sinks", ()), self.metrics.on_event)
        return AgentSession(self.client, sinks=sinks, **{**defaults, **options})

    async def close(self) -> None:
        """Close the client, and keep what the caches hold in `cache_dir`; once is enough.

        Answers that cannot be kept cost the next run money, but not this one its result: that is a
        warning in the log.
        """
        try:
            await self.client.close()
        finally:
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
        **overrides: Settings that go before every other source, such as `model="haiku"`.

    Raises:
        ConfigError: If a setting is unusable or names an unknown model, or no key is set and the
            simulator was not asked for.
        UsageError: If there is no such backend.
    """
    settings, origins = _settings(settings, overrides)
    clock = clock or SystemClock()
    chosen = choose_backend(settings, backend or settings.backend)
    catalog = default_catalog(settings.home)
    check_models(settings, catalog, origins=origins)
    cache = make_cache(settings, chosen, clock, catalog)
    metrics = MetricsEngine(clock=clock)
    parts = LayerParts(
        settings=settings,
        backend=chosen,
        clock=clock,
        catalog=catalog,
        on_event=SinkSet((*sinks, metrics.on_event)).emit,
        cache=cache,
    )
    return Runtime(
        settings=settings,
        backend=chosen,
        client=make_client(parts),
        catalog=catalog,
        tracer=tracer or PerformanceTracer(clock=clock),
        cache=cache,
        metrics=metrics,
        clock=clock,
    )


def choose_backend(
    settings: Settings, backend: Backend = "auto"
) -> Literal["anthropic", "simulator"]:
    """Return who answers.

    Raises:
        UsageError: If there is no such backend.
        ConfigError: If the API is to answer and there are no credentials.
    """
    backends = get_args(Backend)
    if backend not in backends:
        raise UsageError(
            f"There is no backend {backend!r}.",
            code="unknown_backend",
            hint=did_you_mean(str(backend), backends) or f"Choose one of {', '.join(backends)}.",
        )
    if backend == "simulator":
        return "simulator"
    if settings.api_key is None and settings.auth_token is None:
        raise ConfigError(
            "No API key is set.",
            code="api_key_missing",
            hint="Set ANTHROPIC_API_KEY, or choose backend='simulator' to try without a key.",
        )
    return "anthropic"


async def run(prompt: str, **options: Any) -> RunResult:
    """Answer one prompt in a session of its own.

    Args:
        prompt: What to do.
        **options: Settings (`model`, `tools`, `max_turns`, ...), `backend`, and arguments of
            `AgentSession` (`working_directory`, `sinks`, `session_id`, `memory`, `sandbox`,
            `journal=True` to keep the session on disk).

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
    # A runtime with one session: who looks on sees what happens to its calls as well.
    async with (
        build_runtime(sinks=session_options.get("sinks", ()), **options) as runtime,
        runtime.session(**session_options) as session,
    ):
        yield session


def _settings(
    settings: Settings | None, overrides: Mapping[str, Any]
) -> tuple[Settings, Mapping[str, Origin]]:
    """Return the settings with the overrides, and where their values came from, as far as known."""
    if settings is not None:
        return (_changed(settings, overrides) if overrides else settings), {}
    from sdk_workflow.config.settings import load_settings_with_origins

    loaded = load_settings_with_origins(overrides, given_as="argument")
    return loaded.settings, loaded.origins


def _changed(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings with some values replaced and validated; None counts as not given."""
    from pydantic import ValidationError

    names = list(type(settings).model_fields)
    for name in overrides:
        if name not in names:
            raise ConfigError(
                f"{name!r} is not a setting.",
                code="invalid_settings",
                hint=did_you_mean(name, names) or f"The settings are {', '.join(names)}.",
            )
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return type(settings)(**{**dict(settings), **given})
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        name = str(found[0]["loc"][0])
        # Not chained: pydantic's own report may show a secret.
        raise ConfigError(
            f"The value given for {name!r} is unusable: {found[0]['msg']}.",
            code="invalid_settings",
            hint=f"Set {name} to {type(settings).model_fields[name].description}.",
        ) from None

"""The managers of a runtime, each made when it is first needed, and the events that they live on."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow.events import ModelCallFinished, shows_no_text
from sdk_workflow.wiring.budgets import Allowance, Budgets

if TYPE_CHECKING:
    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.token_counter import CalibratingTokenCounter
    from sdk_workflow.events import Event, EventSink
    from sdk_workflow.managers.checkpoint_manager import CheckpointManager
    from sdk_workflow.managers.cost_manager import CostManager
    from sdk_workflow.managers.session_manager import SessionManager
    from sdk_workflow.managers.token_manager import TokenManager
    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.open_files import OpenFiles

__all__ = ["Managers"]

# Importing those that count takes 20 ms, 6 % of a run of one prompt, which never asks them.
_CALLS_IN_HAND = 4
_LARGE_PROMPT_TOKENS = 50_000  # a context window may be filling: that cannot wait


class Managers:
    """Makes and feeds the managers; `on_event` is the sink that the client's events go to.

    The first few calls are kept in hand until somebody asks what they took; then, and from the
    fifth call on, they are counted, each at the time at which it ended.

    Args:
        settings: The state folder, and the limits.
        backend: Who answers.
        clock: Where times come from.
        catalog: Models and prices.
        on_event: Is told what the managers have to say: `ContextFilling`.
        allowance: What the runtime may spend by itself.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Literal["anthropic", "simulator"],
        clock: Clock,
        catalog: ModelCatalog,
        *,
        on_event: EventSink,
        allowance: Allowance | None = None,
    ) -> None:
        self._home = settings.home
        self._clock = _Times(clock)
        self._catalog = catalog
        self._emit = on_event
        self.budgets = Budgets(
            settings, backend, self._clock, catalog, allowance=allowance or Allowance()
        )
        self._lock = threading.RLock()  # around making: two threads may need the same one first
        self._in_hand: list[tuple[ModelCallFinished, float, float]] = []
        self._sinks: SinkSet | None = None
        self._sessions: SessionManager | None = None
        self._checkpoints: CheckpointManager | None = None

    @property
    def costs(self) -> CostManager:
        """Counts what every call costs."""
        self._catch_up()
        return self.budgets.costs

    @property
    def made_costs(self) -> CostManager | None:
        """The cost manager, where somebody has needed it already: it is not made for those who watch."""
        found: CostManager | None = vars(self.budgets).get("costs")
        return found

    @property
    def tokens(self) -> TokenManager:
        """Counts the tokens of every call."""
        self._catch_up()
        return self._tokens

    @cached_property
    def token_counter(self) -> CalibratingTokenCounter:
        """Estimates prompts, and learns from every reply."""
        from sdk_workflow.core.token_counter import CalibratingTokenCounter

        return CalibratingTokenCounter(self._catalog)

    @property
    def checkpoints(self) -> CheckpointManager:
        """Keeps versions of sessions in the state folder."""
        with self._lock:
            if self._checkpoints is None:
                from sdk_workflow.managers.checkpoint_manager import CheckpointManager

                self._checkpoints = CheckpointManager(
                    self._home, clock=self._clock, files=self.files
                )
            return self._checkpoints

    @property
    def sessions(self) -> SessionManager:
        """Knows the sessions in the state folder; fed with those that this runtime keeps."""
        with self._lock:
            if self._sessions is None:
                from sdk_workflow.managers.session_manager import SessionManager

                self._sessions = SessionManager(
                    self._home, clock=self._clock, catalog=self._catalog
                )
            return self._sessions

    @property
    def files(self) -> OpenFiles:
        """The session files that are open in this runtime."""
        with self._lock:
            return self._files

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Let the managers count a finished call."""
        if not isinstance(event, ModelCallFinished):
            return
        if self._sessions is not None:
            self._sessions.on_event(event)
        if self._sinks is not None:
            self._sinks.emit(event)
            return
        is_large = event.reply.usage.prompt_tokens > _LARGE_PROMPT_TOKENS
        with self._lock:
            self._in_hand.append((event, self._clock.now(), self._clock.monotonic()))
        if is_large or len(self._in_hand) > _CALLS_IN_HAND:
            self._catch_up()

    def close(self) -> None:
        """Write what is to be written, and let go of every file."""
        if self._sessions is not None:
            self._sessions.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        self.budgets.close()

    def _catch_up(self) -> None:
        """Count what is in hand; from now on, calls are counted as they come."""
        with self._lock:
            if self._sinks is None:
                self._sinks = SinkSet(
                    (
                        self.budgets.costs.on_event,
                        self._tokens.on_event,
                        self.token_counter.on_event,
                    )
                )
            in_hand, self._in_hand = self._in_hand, []
            for event, now, monotonic in in_hand:
                self._clock.tell(now, monotonic)
                self._sinks.emit(event)
            self._clock.tell()

    @cached_property
    def _tokens(self) -> TokenManager:
        from sdk_workflow.managers.token_manager import TokenManager

        return TokenManager(catalog=self._catalog, sinks=(self._emit,), clock=self._clock)

    @cached_property
    def _files(self) -> OpenFiles:
        from sdk_workflow.storage.open_files import OpenFiles

        return OpenFiles(self._home, durability="full", key=None, clock=self._clock, limit=32)


class _Times(threading.local):
    """A clock that a thread can set back for itself, to count what was in hand."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: tuple[float, float] | None = None

    def tell(self, *times: float) -> None:
        """Return these times of day and of the machine from now on; without any, the true ones."""
        self._told = (times[0], times[1]) if times else None

    def now(self) -> float:
        return self._clock.now() if self._told is None else self._told[0]

    def monotonic(self) -> float:
        return self._clock.monotonic() if self._told is None else self._told[1]

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

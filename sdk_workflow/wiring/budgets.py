"""What a runtime may spend: its own limit, the one that it shares with others, and what they stand on.

Both count in a scope of the ledger; made-up answers of the simulator count in scopes of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.events import EventSink
    from sdk_workflow.managers.cost_manager import CostManager
    from sdk_workflow.protocols import Clock, Ledger, Middleware

__all__ = ["Allowance", "Budgets", "session_scope"]

LEDGER_FILE = "ledger.sqlite"

_WAIT_SHARE = 0.95
_GRACE_SECONDS = 300.0
_RAISE_OWN = (
    "Give a higher limit (--budget, max_cost_usd), lower max_tokens, or shorten the prompt."
)
_RAISE_SHARED = (
    "Raise budget_usd (config show --origin says where it is set), lower max_tokens, or shorten "
    "the prompt."
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one runtime may spend by itself.

    Attributes:
        max_cost_usd: The limit; None for none.
        scope: The name under which the ledger of the state folder keeps what was spent, so that a
            later process goes on with it; None to count in memory.
    """

    max_cost_usd: float | None = None
    scope: str | None = None


def session_scope(session_id: str) -> str:
    """Return the name of the budget of one kept session."""
    return f"session/{session_id}"


class Budgets:
    """The cost managers of one runtime: one keeps the books, and each that has a limit holds it.

    Args:
        settings: The shared limits, and what happens where they leave no room.
        backend: Who answers.
        clock: Where times come from.
        catalog: Models and prices.
        allowance: What the runtime may spend by itself.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Literal["anthropic", "simulator"],
        clock: Clock,
        catalog: ModelCatalog,
        *,
        allowance: Allowance,
    ) -> None:
        if allowance.scope is not None and allowance.max_cost_usd is None:
            raise UsageError(
                f"cost_scope={allowance.scope!r} names a budget without a limit.",
                hint="Pass max_cost_usd as well.",
            )
        self.allowance = allowance
        self._settings = settings
        self._prefix = "simulated/" if backend == "simulator" else ""
        self._clock = clock
        self._catalog = catalog

    @cached_property
    def costs(self) -> CostManager:
        """The books of this runtime; under a limit of its own, or else the shared ones, its keeper."""
        if self.allowance.max_cost_usd is not None:
            scope = self.allowance.scope
            return self._manager(
                hard=self.allowance.max_cost_usd,
                scope=scope or "runtime",
                ledger=None if scope is None else self._ledger,
            )
        return self._shared or self._manager(scope="runtime")

    def layers(self, on_event: EventSink) -> list[Middleware]:
        """Return the layers that keep the limits; none where there is no limit."""
        found: list[Middleware] = []
        if not self._has_any:
            return found
        from sdk_workflow.middleware.budget import BudgetMiddleware

        if self.allowance.max_cost_usd is not None:
            found.append(BudgetMiddleware(self.costs, on_event=on_event, hint=_RAISE_OWN))
        if self._shared is not None:
            found.append(BudgetMiddleware(self._shared, on_event=on_event, hint=_RAISE_SHARED))
        return found

    def forfeit(self, hold_ids: Iterable[str]) -> None:
        """Count holds of calls in full that nobody knows the outcome of.

        Args:
            hold_ids: As the journal of their run names them.

        Raises:
            StorageError: If the ledger cannot be written.
        """
        if not self._lasting_scopes:
            return
        from sdk_workflow.middleware.budget import hold_names

        settings = self._settings
        attempts = (1 + settings.max_retries) * (1 + len(settings.fallback_models))
        now = self._clock.now()
        for name in [name for each in hold_ids for name in hold_names(each, attempts)]:
            for scope in self._lasting_scopes:
                self._ledger.forfeit(scope, name, now=now)

    def close(self) -> None:
        """Let go of the ledger; the next use opens it again."""
        if "_ledger" in vars(self):
            self._ledger.close()

    @property
    def _has_any(self) -> bool:
        return self.allowance.max_cost_usd is not None or self._has_shared

    @property
    def _has_shared(self) -> bool:
        settings = self._settings
        return settings.budget_usd is not None or settings.budget_soft_usd is not None

    @property
    def _lasting_scopes(self) -> Sequence[str]:
        """The scopes that outlive the process, as the ledger names them."""
        scopes = [self.allowance.scope, self._shared_scope if self._has_shared else None]
        return [self._prefix + scope for scope in scopes if scope is not None]

    @property
    def _shared_scope(self) -> str:
        return f"shared/{self._settings.budget_scope}"

    @cached_property
    def _shared(self) -> CostManager | None:
        if not self._has_shared:
            return None
        settings = self._settings
        return self._manager(
            soft=settings.budget_soft_usd,
            hard=settings.budget_usd,
            scope=self._shared_scope,
            ledger=self._ledger,
        )

    @cached_property
    def _ledger(self) -> Ledger:
        from sdk_workflow.storage.ledger_file import LedgerFile

        return LedgerFile(self._settings.home / LEDGER_FILE)

    def _manager(
        self,
        *,
        scope: str,
        soft: float | None = None,
        hard: float | None = None,
        ledger: Ledger | None = None,
    ) -> CostManager:
        from sdk_workflow.managers.cost_manager import CostManager

        seconds = self._settings.request_timeout_seconds
        return CostManager(
            soft_limit_usd=soft,
            hard_limit_usd=hard,
            on_exhausted=self._settings.on_exhausted,
            ledger=ledger,
            price_book=self._catalog,
            scope=self._prefix + scope,
            clock=self._clock,
            hold_seconds=seconds + _GRACE_SECONDS,
            # A little less than the call has: else its time limit would hide what it waited for.
            max_wait_seconds=seconds * _WAIT_SHARE,
        )

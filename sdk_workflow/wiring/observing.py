"""What a runtime shows of itself to the monitor: joins the engines and managers to one feed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.monitor.alarms import LoopNoticed
from sdk_workflow.monitor.feed import RunFeed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.measures.live import LiveFigures
    from sdk_workflow.core.metrics import Loop, MetricsEngine
    from sdk_workflow.core.performance import PerformanceTracer
    from sdk_workflow.monitor.feed_writer import FolderWriter
    from sdk_workflow.protocols import Clock
    from sdk_workflow.wiring.managers import Managers
    from sdk_workflow.wiring.spending import Spending

__all__ = ["Observed", "make_feed", "tell_loop"]

_EVERY_SECOND = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the monitor may look at.

    Attributes:
        settings: The state folder, and whether there is a monitor at all.
        backend: Who answers.
        clock: The clock of all of it.
        catalog: The context windows of models.
        metrics: The figures.
        tracer: The spans.
        managers: The costs and the budget; None where only the metrics know of costs.
    """

    settings: Settings
    backend: Literal["anthropic", "simulator"]
    clock: Clock
    catalog: ModelCatalog
    metrics: MetricsEngine
    tracer: PerformanceTracer
    managers: Managers | None = None


def make_feed(observed: Observed) -> RunFeed | None:
    """Return the feed of a runtime; None where the settings switch it off.

    It takes 20 us: what writes is imported and made by the first write.
    """
    if not observed.settings.monitor:
        return None
    clock = observed.clock
    started, pid = (clock.now(), clock.monotonic()), os.getpid()

    def make_writer() -> FolderWriter:
        # A forked child has begun when it was forked, as far as this can be told.
        is_own = os.getpid() == pid
        return _make_writer(observed, started if is_own else (clock.now(), clock.monotonic()))

    return RunFeed(make_writer, clock=clock)


def tell_loop(feed: RunFeed | None, loop: Loop) -> None:
    """Tell the feed, where there is one, about a loop that the metrics have noticed."""
    if feed is not None:
        feed.on_event(LoopNoticed(session_id=loop.session_id, tool=loop.tool, times=loop.count))


def _make_writer(observed: Observed, started_at: tuple[float, float]) -> FolderWriter:
    from sdk_workflow.core.measures.live import LiveFigures
    from sdk_workflow.monitor.feed_writer import FolderWriter, Told
    from sdk_workflow.monitor.live_document import Source
    from sdk_workflow.monitor.session_board import SessionBoard
    from sdk_workflow.wiring.spending import Spending

    figures = LiveFigures(observed.metrics, observed.clock)
    spending = Spending(observed.managers, observed.settings, observed.clock)
    tracer = observed.tracer
    sources = (
        Source(lambda: _with_burn(figures, spending)),
        Source(lambda: _with_costs(figures, spending), _EVERY_SECOND),
        Source(lambda: {**figures.history(), "budget": spending.budget()}, _EVERY_SECOND),
        Source(lambda: {"spans": tracer.latest_spans()}, _EVERY_SECOND),
    )
    board = SessionBoard(
        window_of=lambda model: _window_of(observed.catalog, model),
        costs_of=spending.by_session,
    )
    told = Told(
        home=observed.settings.home,
        backend=observed.backend,
        sources=sources,
        board=board,
        dropped_spans=lambda: tracer.dropped_spans,
        started_at=started_at,
    )
    return FolderWriter(told, clock=observed.clock)


def _with_burn(figures: LiveFigures, spending: Spending) -> Mapping[str, Any]:
    found = figures.traffic()
    usd_per_hour = spending.usd_per_hour()
    if usd_per_hour is not None:
        found["burn"]["usd_per_hour"] = usd_per_hour
    return found


def _with_costs(figures: LiveFigures, spending: Spending) -> Mapping[str, Any]:
    """Return what goes by name and the windows, with what each call has cost where that is known.

    The metrics know the cost of a run when it ends; the cost manager that of each call.
    """
    spending.look()
    found: dict[str, Any] = {**figures.series(), **figures.windows()}
    by_model = spending.by_model()
    if by_model is None:
        return found
    found["models"] = [{**row, "cost_usd": by_model.get(row["model"])} for row in found["models"]]
    for name, window in found["windows"].items():
        window["cost_usd"] = spending.within(name)
    return found


def _window_of(catalog: ModelCatalog, model: str) -> int | None:
    known = catalog.get(model)
    return None if known is None else known.context_window

"""Fills a cache before it is asked: each distinct request once, a few at a time."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.caching.requests import as_call
from sdk_workflow.exceptions import SdkWorkflowError, UnpricedModel, UsageError
from sdk_workflow.types import Money, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sdk_workflow.core.caching.cascade import Cascade
    from sdk_workflow.core.caching.lookup import CacheLookup
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call

__all__ = ["WarmError", "WarmProgress", "WarmReport", "Warming"]

_logger = logging.getLogger("sdk_workflow.cache")


class WarmError(TypedDict):
    """An item that failed: its place in the list, and the stable name of what happened."""

    index: int
    error: str


class WarmReport(TypedDict):
    """What became of the items of a list; the counts add up to `total`.

    `present` were in the cache already, `duplicates` ask for the same as an earlier item, `refused`
    counts by rule what may not be cached, `over_budget` was not sent any more.
    """

    total: int
    stored: int
    present: int
    duplicates: int
    refused: dict[str, int]
    over_budget: int
    errors: list[WarmError]
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmProgress:
    """How far a warming has come."""

    done: int
    total: int
    cost_usd: float


class Warming:
    """One pass over a list of requests.

    Args:
        cascade: What is warmed.
        send: Asks the model; None where every request comes with its answer.
        on_progress: Told after each item; one that raises is logged and told no more.
        max_cost_usd: No further request is sent once the answers have cost so much.
    """

    def __init__(
        self,
        cascade: Cascade,
        *,
        send: Proceed | None = None,
        on_progress: Callable[[WarmProgress], object] | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        self._cascade = cascade
        self._send = send
        self._on_progress = on_progress
        self._max_cost_usd = max_cost_usd
        self._seen: set[str] = set()
        self._outcomes: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._errors: list[WarmError] = []
        self._cost = Money()
        self._done = 0

    @trace_function(name="cache.warm")
    async def run(self, items: Sequence[Any], concurrency: int) -> WarmReport:
        """Handle every item, `concurrency` at a time, and return what became of them.

        Raises:
            UsageError: If `concurrency` is below 1.
        """
        if concurrency < 1:
            raise UsageError(
                f"concurrency is {concurrency!r}, so nothing would ever be asked.",
                hint="Pass 1 or more.",
            )
        import anyio

        # One iterator for all workers: the next item goes to whoever is free.
        pending = enumerate(items)
        async with anyio.create_task_group() as tasks:
            for _ in range(min(concurrency, len(items))):
                tasks.start_soon(self._work, pending, len(items))
        return WarmReport(
            total=len(items),
            stored=self._outcomes["stored"],
            present=self._outcomes["present"],
            duplicates=self._outcomes["duplicate"],
            refused=dict(self._refused),
            over_budget=self._outcomes["over_budget"],
            errors=sorted(self._errors, key=lambda error: error["index"]),
            cost_usd=self._cost.usd,
        )

    async def _work(self, pending: Iterator[tuple[int, Any]], total: int) -> None:
        for index, item in pending:
            try:
                self._outcomes[await self._handle(item)] += 1
            except Exception as error:  # noqa: BLE001 - one item must not stop the others
                name = error.code if isinstance(error, SdkWorkflowError) else type(error).__name__
                self._errors.append(WarmError(index=index, error=name))
            self._done += 1
            self._tell(total)

    async def _handle(self, item: Any) -> str:
        request, response = item if isinstance(item, tuple) else (item, None)
        look = self._cascade.look_exact(as_call(request))
        if look.key is None:
            return self._refuse(str(look.reason))
        if look.key.exact in self._seen:
            return "duplicate"
        self._seen.add(look.key.exact)
        if response is None and look.reply is not None:
            return "present"
        if response is None and self._is_spent():
            return "over_budget"
        if response is None:
            response = await self._ask(look.call)
        return await self._keep(look, response)

    async def _keep(self, look: CacheLookup, response: Any) -> str:
        if isinstance(response, Reply) and response.cache_hit is not None:
            return "present"
        kept = self._cascade.keep(look, response)
        if isinstance(kept, str):
            return self._refuse(kept)
        await self._cascade.alearn(look, kept)
        return "stored"

    async def _ask(self, call: Call) -> Reply:
        if self._send is None:
            raise UsageError(
                "A request came without an answer, and there is nobody to ask.",
                code="no_answer",
                hint="Pass pairs of a request and its answer, or `send`.",
            )
        reply = await self._send(call)
        price = self._cascade.price(call, reply)
        if price is not None:
            self._cost += price
        elif self._max_cost_usd is not None and reply.cache_hit is None:
            self._max_cost_usd = 0.0  # nobody knows any more how much has been spent
            raise UnpricedModel(
                f"The model {reply.model!r} has no known price, so its cost cannot be limited.",
                hint="Add its price to models.toml, or leave max_cost_usd out.",
            )
        return reply

    def _is_spent(self) -> bool:
        return self._max_cost_usd is not None and self._cost.usd >= self._max_cost_usd

    def _refuse(self, rule: str) -> str:
        self._refused[rule] += 1
        return "refused"

    def _tell(self, total: int) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(WarmProgress(done=self._done, total=total, cost_usd=self._cost.usd))
        except Exception:
            _logger.warning("on_progress failed, and is told no more.", exc_info=True)
            self._on_progress = None

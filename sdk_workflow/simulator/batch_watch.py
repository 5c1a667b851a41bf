"""Does for the items of a message batch what a simulation does for requests that come alone.

Each is journaled and priced by itself, at the price of batches, and may use a scripted ending. The
rate limits of single requests leave it alone, as the API's do; what it costs is spent all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.admission import refusal_error
from sdk_workflow.simulator.engine_response import EngineResponse
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.progress import Progress, Request, cache_facts, journal_facts
from sdk_workflow.simulator.script_endings import with_ending
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.protocols import Clock
    from sdk_workflow.simulator.batches import BatchItem
    from sdk_workflow.simulator.generation import Generation
    from sdk_workflow.simulator.journal import Journal, JournalEntry
    from sdk_workflow.simulator.limits import Limiter
    from sdk_workflow.simulator.script import ScriptedReplies
    from sdk_workflow.simulator.tariff import Tariff

__all__ = ["ITEM_PATH", "BatchWatch"]

ITEM_PATH = "/v1/messages/batches"


class BatchWatch:
    """Stands between a batch and the engine that answers its items.

    Args:
        clock: The engine's clock.
        tariff: What items cost.
        journal: Where they are recorded; nowhere by default.
        limiter: Who has spent what; nobody is limited by default.
        script: The engine's brain, where it is scripted.
    """

    def __init__(
        self,
        clock: Clock,
        tariff: Tariff,
        *,
        journal: Journal | None = None,
        limiter: Limiter | None = None,
        script: ScriptedReplies | None = None,
    ) -> None:
        self._clock = clock
        self._tariff = tariff
        self._journal = journal
        self._limiter = limiter
        self._script = script

    def answer(self, item: BatchItem, key: str, ask: Callable[[], Generation]) -> Mapping[str, Any]:
        """Return the message that answers an item.

        Args:
            item: What is asked.
            key: Whose batch it is.
            ask: Lets the engine answer; it raises the `ApiError` of a refusal.

        Raises:
            ApiError: The item is refused, by the engine or because the key has spent its limit.
        """

        def respond() -> EngineResponse:
            self._check_spending(request)
            return self._ended(ask)

        request = Request(path=ITEM_PATH, ask=respond, params=item.params, key=key)
        entry = self._opened(item, request)
        try:
            response = request.ask()
        except ApiError as error:
            _note_error(entry, error)
            raise
        self._book(entry, request, response)
        response.begin()
        message: Mapping[str, Any] = response.body  # type: ignore[assignment] # never bytes
        return message

    def _opened(self, item: BatchItem, request: Request) -> JournalEntry | None:
        if self._journal is None:
            return None
        facts = journal_facts(request)
        entry = self._journal.open(
            time=self._clock.now(), batch_id=item.batch_id, custom_id=item.custom_id, **facts
        )
        entry.ending = "complete"
        entry.first_byte_seconds = entry.duration_seconds = 0.0
        return entry

    def _check_spending(self, request: Request) -> None:
        if self._limiter is None:
            return
        model_class, _ = self._tariff.class_of(request.model)
        refusal = self._limiter.spent(request.key, model_class)
        if refusal is not None:
            raise refusal_error(refusal)

    def _ended(self, ask: Callable[[], Generation]) -> EngineResponse:
        """Let the engine answer, with the ending that the script has for it."""
        generation = ask()
        body = generation.preview()
        response = EngineResponse(status=200, headers={}, body=body, generation=generation)
        taken = None if self._script is None else self._script.last_taken
        return response if taken is None else with_ending(response, taken.reply)

    def _book(self, entry: JournalEntry | None, request: Request, response: EngineResponse) -> None:
        progress = Progress(request=request, index=0, started=0.0)
        progress.take(response)
        cost = self._tariff.cost(request.model or "", progress.usage)
        if self._limiter is not None and cost is not None:
            self._limiter.spend(request.key, cost.usd)
        if entry is None or progress.record is None:
            return
        entry.status, entry.request_id = 200, progress.record.request_id
        entry.message_id, entry.cost = progress.message_id, cost
        entry.usage = Usage.from_api(progress.usage)
        entry.cache = cache_facts(progress.record)


def _note_error(entry: JournalEntry | None, error: ApiError) -> None:
    if entry is None:
        return
    entry.status, entry.request_id = error.status, error.request_id or ""
    entry.error_type, entry.error_code = error.kind, error.error_code

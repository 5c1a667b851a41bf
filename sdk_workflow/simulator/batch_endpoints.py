"""The endpoints of message batches: HTTP requests in, answers of the store out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.batches import located

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.simulator.batches import BatchItem, BatchStore
    from sdk_workflow.simulator.http_request import HttpRequest

__all__ = ["BatchEndpoints"]


class BatchEndpoints:
    """Creates, lists, shows, cancels and deletes batches for HTTP requests.

    Args:
        store: Where they are kept.
        answer: Answers an item of the batch that a request has created, or raises its refusal.
    """

    def __init__(
        self,
        store: BatchStore,
        answer: Callable[[BatchItem, HttpRequest], Mapping[str, Any]],
    ) -> None:
        self._store = store
        self._answer = answer

    def create(self, request: HttpRequest, now: float) -> dict[str, Any]:
        """Accept a batch."""

        def answer(item: BatchItem) -> Mapping[str, Any]:
            return self._answer(item, request)

        return self._store.create(request.params, answer, workspace=request.workspace, now=now)

    def shown(self, request: HttpRequest, batch_id: str, now: float) -> dict[str, Any]:
        """Return one batch, after it was cancelled or deleted where the method says so."""
        operation = {"GET": self._store.get, "POST": self._store.cancel}.get(
            request.method, self._store.delete
        )
        body = operation(batch_id, workspace=request.workspace, now=now)
        return located(body, request.headers.get("host"))

    def page(self, request: HttpRequest, now: float) -> dict[str, Any]:
        """Return one page of batches."""
        page = self._store.page(request.query, workspace=request.workspace, now=now)
        data = [located(batch, request.headers.get("host")) for batch in page["data"]]
        return {**page, "data": data}

    def results(self, request: HttpRequest, batch_id: str, now: float) -> bytes:
        """Return the results of a batch that has ended, one JSON object a line."""
        return self._store.results(batch_id, workspace=request.workspace, now=now)

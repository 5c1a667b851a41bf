"""Message batches: accepted at once, processed after a while, their results kept as JSON lines.

The clock decides when a batch ends; nothing runs in between. A batch whose time has come is
processed when it is next looked at, each item through the engine, as of then. A look processes no
more than some items, so that other requests need not wait for it: a large batch takes several.
"""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.ids import new_id
from sdk_workflow.simulator.errors import ApiError, invalid_request, not_found
from sdk_workflow.simulator.paging import page_of, timestamp
from sdk_workflow.simulator.shapes import (
    check_list,
    check_object,
    check_text,
    refuse_extra,
    require,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["BATCH_SECONDS", "EXPIRY_SECONDS", "BatchItem", "BatchStore", "located"]

BATCH_SECONDS = 60.0
EXPIRY_SECONDS = 24 * 3600.0

_MAX_REQUESTS = 100_000
_MAX_WAITING = 200_000
_MAX_RESULT_BYTES = 64 * 1024 * 1024
_ITEMS_PER_LOOK = 2_000  # about 0.4 s
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OUTCOMES = ("processing", "succeeded", "errored", "canceled", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One request of a batch, under the name that its results will have."""

    batch_id: str
    custom_id: str
    params: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class _Batch:
    id: str
    workspace: str
    requests: Sequence[Mapping[str, Any]]
    answer: Callable[[BatchItem], Mapping[str, Any]]
    created: float
    due: float
    canceled: float | None = None
    ended: float | None = None
    lines: list[str] = field(default_factory=list)
    results: bytes = b""
    counts: Counter[str] = field(default_factory=Counter)


class BatchStore:
    """The batches of all workspaces.

    Args:
        ids: Makes the ids of batches.
        seconds: How long a batch is processed; from `EXPIRY_SECONDS` on, it expires instead.
        max_batches: Beyond this many, the oldest that have ended are forgotten.
    """

    def __init__(
        self, ids: random.Random, *, seconds: float = BATCH_SECONDS, max_batches: int = 1_000
    ) -> None:
        self._ids = ids
        self._seconds = seconds
        self._max_batches = max_batches
        self._items_left = 0
        self._batches: OrderedDict[str, _Batch] = OrderedDict()

    def create(
        self,
        body: Mapping[str, Any],
        answer: Callable[[BatchItem], Mapping[str, Any]],
        *,
        workspace: str,
        now: float,
    ) -> dict[str, Any]:
        """Accept a batch.

        Args:
            body: The request's body: `requests`, each with `custom_id` and `params`.
            answer: Answers one item, or raises the `ApiError` of its refusal.
            workspace: Whose batch it is.
            now: The time.

        Raises:
            ApiError: 400 where the list of requests is not of the right form.
        """
        _check(body)
        batch = _Batch(
            id=new_id("msgbatch", self._ids),
            workspace=workspace,
            requests=body["requests"],
            answer=answer,
            created=now,
            due=now + self._seconds,
        )
        self._make_room()
        self._batches[batch.id] = batch
        return self._shown(batch)

    def get(self, batch_id: str, *, workspace: str, now: float) -> dict[str, Any]:
        """Return a batch.

        Raises:
            ApiError: 404.
        """
        return self._shown(self._found(batch_id, workspace, now))

    def page(self, query: Mapping[str, str], *, workspace: str, now: float) -> dict[str, Any]:
        """Return one page of a workspace's batches, the newest first."""
        self._items_left = _ITEMS_PER_LOOK
        own = [b for b in reversed(self._batches.values()) if b.workspace == workspace]
        return page_of([self._shown(self._as_of(b, now)) for b in own], query, kind="batch")

    def cancel(self, batch_id: str, *, workspace: str, now: float) -> dict[str, Any]:
        """Begin to cancel a batch; it has ended when it is next looked at later.

        Raises:
            ApiError: 404, or 400 where it has ended.
        """
        batch = self._found(batch_id, workspace, now)
        if batch.ended is not None:
            raise invalid_request(f"Batch {batch_id} cannot be canceled: it has ended.")
        if batch.canceled is None:
            batch.canceled = now
        return self._shown(batch)

    def delete(self, batch_id: str, *, workspace: str, now: float) -> dict[str, Any]:
        """Forget a batch that has ended.

        Raises:
            ApiError: 404, or 400 where it has not ended.
        """
        batch = self._found(batch_id, workspace, now)
        if batch.ended is None:
            raise invalid_request(
                f"Batch {batch_id} cannot be deleted while it is processed; cancel it first."
            )
        del self._batches[batch_id]
        return {"id": batch_id, "type": "message_batch_deleted"}

    def results(self, batch_id: str, *, workspace: str, now: float) -> bytes:
        """Return the results of a batch that has ended, one JSON object a line.

        Raises:
            ApiError: 404, or 400 where there are no results yet.
        """
        batch = self._found(batch_id, workspace, now)
        if batch.ended is None:
            raise invalid_request(f"Batch {batch_id} has no results yet: it is still processed.")
        return batch.results

    def _found(self, batch_id: str, workspace: str, now: float) -> _Batch:
        batch = self._batches.get(batch_id)
        if batch is None or batch.workspace != workspace:
            raise not_found(f"Batch not found: {batch_id}")
        self._items_left = _ITEMS_PER_LOOK
        return self._as_of(batch, now)

    def _as_of(self, batch: _Batch, now: float) -> _Batch:
        """Process a batch whose time has come, as far as this look may."""
        expires = batch.created + EXPIRY_SECONDS
        if batch.ended is not None:
            return batch
        if batch.canceled is not None and batch.canceled < now:
            _fill(batch, {"type": "canceled"})
            _end(batch, batch.canceled)
        elif batch.canceled is None and expires <= min(now, batch.due):
            _fill(batch, {"type": "expired"})
            _end(batch, expires)
        elif batch.canceled is None and batch.due <= now:
            self._process(batch, now)
        return batch

    def _process(self, batch: _Batch, now: float) -> None:
        is_first_look = not batch.lines
        start = len(batch.lines)
        for request in batch.requests[start : start + self._items_left]:
            _note(batch, request, _result(batch, request))
        self._items_left -= len(batch.lines) - start
        if len(batch.lines) == len(batch.requests):
            _end(batch, batch.due if is_first_look else now)

    def _make_room(self) -> None:
        """Forget the oldest batches that have ended until there is room for one more."""
        held = sum(len(batch.results) for batch in self._batches.values())
        for name, batch in list(self._batches.items()):
            if len(self._batches) < self._max_batches and held <= _MAX_RESULT_BYTES:
                break
            if batch.ended is not None:
                held -= len(batch.results)
                del self._batches[name]
        waiting = sum(len(batch.requests) for batch in self._batches.values())
        if len(self._batches) >= self._max_batches or waiting > _MAX_WAITING:
            raise ApiError(429, "rate_limit_error", "Too many batches are being processed")

    @staticmethod
    def _shown(batch: _Batch) -> dict[str, Any]:
        is_over = batch.ended is not None
        status = "ended" if is_over else "in_progress" if batch.canceled is None else "canceling"
        # As with the API, nothing is counted before the whole batch has ended.
        counts = dict.fromkeys(_OUTCOMES, 0) | (batch.counts if is_over else {})
        counts["processing"] = len(batch.requests)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": timestamp(batch.created),
            "expires_at": timestamp(batch.created + EXPIRY_SECONDS),
            "ended_at": None if batch.ended is None else timestamp(batch.ended),
            "cancel_initiated_at": None if batch.canceled is None else timestamp(batch.canceled),
            "archived_at": None,
            "results_url": f"/v1/messages/batches/{batch.id}/results" if is_over else None,
        }


def _fill(batch: _Batch, outcome: Mapping[str, Any]) -> None:
    """Give an outcome to all that was not processed so far."""
    for request in batch.requests[len(batch.lines) :]:
        _note(batch, request, outcome)


def _end(batch: _Batch, ended: float) -> None:
    batch.ended = ended
    batch.results = "".join(batch.lines).encode("utf-8", "replace")
    batch.requests, batch.lines = (), []


def _note(batch: _Batch, request: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    batch.counts[result["type"]] += 1
    line = {"custom_id": request["custom_id"], "result": result}
    batch.lines.append(json.dumps(line, ensure_ascii=False) + "\n")


def _result(batch: _Batch, request: Mapping[str, Any]) -> dict[str, Any]:
    item = BatchItem(batch_id=batch.id, custom_id=request["custom_id"], params=request["params"])
    try:
        return {"type": "succeeded", "message": batch.answer(item)}
    except ApiError as error:
        return {"type": "errored", "error": error.envelope()}


def _check(body: Mapping[str, Any]) -> None:
    refuse_extra("", body, frozenset({"requests"}))
    if "requests" not in body:
        raise invalid_request("requests: Field required")
    check_list("requests", body["requests"])
    if not 1 <= len(body["requests"]) <= _MAX_REQUESTS:
        raise invalid_request(f"requests: List should have between 1 and {_MAX_REQUESTS} items")
    seen: set[str] = set()
    for index, request in enumerate(body["requests"]):
        path = f"requests.{index}"
        check_object(path, request)
        refuse_extra(f"{path}.", request, frozenset({"custom_id", "params"}))
        require(path, request, "custom_id", "params")
        check_text(f"{path}.custom_id", request["custom_id"])
        check_object(f"{path}.params", request["params"])
        if not _CUSTOM_ID.fullmatch(request["custom_id"]):
            raise invalid_request(
                f"{path}.custom_id: String should match pattern '^{_CUSTOM_ID.pattern}$'"
            )
        if request["custom_id"] in seen:
            raise invalid_request(f"{path}.custom_id: every custom_id must be unique")
        seen.add(request["custom_id"])


def located(batch: Mapping[str, Any], host: str | None) -> dict[str, Any]:
    """Put the address of a server before the path of a batch's results."""
    path = batch.get("results_url")
    address = {} if path is None or not host else {"results_url": f"http://{host}{path}"}
    return {**batch, **address}

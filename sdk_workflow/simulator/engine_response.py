"""One answer of the engine, before a skin makes bytes of it, and the headers that all of them have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdk_workflow.simulator.generation import Generation
    from sdk_workflow.simulator.http_request import HttpRequest
    from sdk_workflow.simulator.records import RequestRecord

__all__ = ["EngineResponse", "answered", "headers_of"]

_ORGANIZATION = "5d1a0000-0000-4000-8000-000000000000"  # whoever asks
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResponse:
    """One HTTP answer: `events` where it is a stream, else `body`: a JSON value, or raw bytes.

    Where a message is answered, `record` tells about its request, and `generation` is the message.
    Call `begin` when the first byte leaves, unless the answer was asked for without `is_deferred`;
    reading `events` calls it by itself.
    """

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any] | bytes = field(default_factory=dict)
    events: Iterator[dict[str, Any]] | None = None
    generation: Generation | None = field(default=None, compare=False, repr=False)

    @property
    def record(self) -> RequestRecord | None:
        """What the engine tells about the request, where a message answers it."""
        return None if self.generation is None else self.generation.record

    def begin(self) -> None:
        """Note that the first byte leaves; a plain answer is complete with that."""
        if self.generation is None:
            return
        if self.events is None:
            self.generation.life.finish()
        else:
            self.generation.begin()

    def withdraw(self) -> None:
        """Note that the request is refused after all, as if the engine had never seen it."""
        if self.generation is not None:
            self.generation.life.withdraw()

    def drop(self) -> None:
        """Note that no more of the answer will leave: what never began writes nothing."""
        if self.generation is not None:
            self.generation.drop()


def answered(
    request: HttpRequest, body: Mapping[str, Any] | bytes, content_type: str = _JSON
) -> EngineResponse:
    """Return a successful answer to a request."""
    return EngineResponse(status=200, headers=headers_of(request.id, content_type), body=body)


def headers_of(request_id: str, content_type: str = _JSON) -> dict[str, str]:
    """Return the headers that every answer has."""
    return {
        "content-type": content_type,
        "request-id": request_id,
        "anthropic-organization-id": _ORGANIZATION,
        "x-sdk-workflow-backend": "simulator",  # a made-up answer must not pass for a real one
    }

"""Lets a request past the rate limits, or turns its answer into the API's refusal."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.limits import Refusal
from sdk_workflow.types import Usage

if TYPE_CHECKING:
    from sdk_workflow.protocols import Clock
    from sdk_workflow.simulator.engine import Engine, EngineResponse
    from sdk_workflow.simulator.limits import Limiter, Ticket
    from sdk_workflow.simulator.progress import Progress

__all__ = ["Gate", "refusal_error"]

_RATE_LIMITED = 429


class Gate:
    """The rate limits in front of an engine.

    A request that the engine refuses takes nothing: only answers count.

    Args:
        limiter: What holds.
        engine: Words the refusals.
        clock: The simulation's clock.
    """

    def __init__(self, limiter: Limiter, engine: Engine, clock: Clock) -> None:
        self.limiter = limiter
        self._engine = engine
        self._clock = clock

    def admit(
        self, progress: Progress, response: EngineResponse, model_class: str
    ) -> EngineResponse:
        """Return the engine's answer or a refusal in its place, with what is left in its headers."""
        request, now = progress.request, self._clock.monotonic()
        if response.status < 400:  # noqa: PLR2004 - HTTP classes
            admission = self._admission(progress, model_class, now)
            if isinstance(admission, Refusal):
                progress.withdraw()
                response = self._refused(admission)
            else:
                progress.ticket = admission
        epoch = self._clock.now()
        left = self.limiter.headers(request.key, model_class, now=now, epoch=epoch)
        return dataclasses.replace(response, headers={**response.headers, **left})

    def _admission(self, progress: Progress, model_class: str, now: float) -> Ticket | Refusal:
        usage = Usage.from_api(progress.usage)
        params = progress.request.params or {}
        return self.limiter.admit(
            progress.request.key,
            model_class,
            input_tokens=usage.prompt_tokens - usage.cache_read_input_tokens,
            max_tokens=params.get("max_tokens", 0),
            now=now,
        )

    def _refused(self, refusal: Refusal) -> EngineResponse:
        response = self._engine.refuse(refusal_error(refusal))
        if refusal.retry_after_seconds is None:
            return response
        wait = {"retry-after": str(refusal.retry_after_seconds)}
        return dataclasses.replace(response, headers={**response.headers, **wait})


def refusal_error(refusal: Refusal) -> ApiError:
    """Return the API's error for a limit that is reached."""
    details = None if refusal.error_code is None else {"error_code": refusal.error_code}
    return ApiError(_RATE_LIMITED, "rate_limit_error", refusal.message, details=details)

"""Asks another model where the one of the call cannot answer, and says so each time.

The simulator is the last of them only where it was asked for: a made-up answer must not pass for a
real one, so it carries `served_by` "simulator", and a warning and an event go before it.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from sdk_workflow._internal.held_emit import NotingEmit, is_seen
from sdk_workflow._internal.tracing import trace_span
from sdk_workflow.events import FallbackUsed
from sdk_workflow.exceptions import (
    LLMError,
    OverloadedError,
    RateLimitError,
    ServiceUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call, Reply

__all__ = ["SIMULATOR", "FallbackMiddleware"]

SIMULATOR = "simulator"
"""What `FallbackUsed.fallback` says where answers are made up."""

_logger = logging.getLogger("sdk_workflow.fallback")
# What another model may be spared from. A rejected request would be rejected again.
_OF_THE_MODEL = (OverloadedError, ServiceUnavailable, RateLimitError)


class FallbackMiddleware:
    """Tries other models in turn, each through the whole rest of the chain.

    Once anything of a streamed reply has been shown, its error is final. Where every model fails,
    the first one's error is raised.

    Args:
        models: Ids of models, in the order to try them.
        simulator: Answers where all of them failed; None, the default, for nobody.
        on_event: Sees `FallbackUsed`.

    Example:
        >>> import anyio
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> transport = SimulatorTransport()
        >>> async def busy_opus(call):
        ...     if "opus" in call.model:
        ...         raise OverloadedError("busy")
        ...     return await transport.send(call)
        >>> call = Call(model="claude-opus-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> anyio.run(FallbackMiddleware(["claude-haiku-5-5"]), call, busy_opus).model
        'claude-haiku-5-5'
    """

    def __init__(
        self,
        models: Sequence[str] = (),
        *,
        simulator: Proceed | None = None,
        on_event: EventSink | None = None,
    ) -> None:
        self._models = tuple(models)
        self._simulator = simulator
        self._on_event = on_event

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        """Send the call to its own model, and to the others where that fails.

        Raises:
            LLMError: The error of the call's own model, where no other one could answer.
        """
        emit = NotingEmit(call.emit) if is_seen(call.emit) else None
        noted = call if emit is None else dataclasses.replace(call, emit=emit)
        try:
            return await proceed(noted)
        except _OF_THE_MODEL as error:
            first = error
        if not first.retryable or (emit is not None and emit.has_shown):
            raise first
        for attempt, ask in self._others(noted, proceed):
            self._tell(call, first, attempt.model if ask is proceed else SIMULATOR)
            try:
                with trace_span("fallback.call"):
                    return await ask(attempt)
            except LLMError as error:
                _logger.warning("The fallback failed as well: %s", error)
                if emit is not None and emit.has_shown:
                    raise
        raise first

    def _others(self, call: Call, proceed: Proceed) -> Iterator[tuple[Call, Proceed]]:
        for model in self._models:
            if model != call.model:
                yield dataclasses.replace(call, model=model), proceed
        if self._simulator is not None:
            yield call, self._simulator

    def _tell(self, call: Call, error: LLMError, fallback: str) -> None:
        if fallback == SIMULATOR:
            _logger.warning(
                "%s could not answer (%s): the simulator makes an answer up.", call.model, error
            )
        else:
            _logger.warning("%s could not answer (%s): asking %s.", call.model, error, fallback)
        if self._on_event is not None:
            self._on_event(
                FallbackUsed(session_id=call.session_id, call=call, error=error, fallback=fallback)
            )

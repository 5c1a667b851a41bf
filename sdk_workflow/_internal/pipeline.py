"""Composing a chain of middleware around a transport, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.types import Call

__all__ = ["Ask", "Layer", "compose"]

ResultT = TypeVar("ResultT")

Ask = Callable[["Call"], Awaitable[ResultT]]
"""Whatever can be asked about a call."""

Layer = Callable[["Call", Ask[ResultT]], Awaitable[ResultT]]
"""One concern around it: a `Middleware`, where the result is a reply."""


def compose(layers: Sequence[Layer[ResultT]], ask: Ask[ResultT]) -> Ask[ResultT]:
    """Return one callable that runs `layers`, the first outermost, around `ask`."""
    for layer in reversed(layers):
        ask = _wrap(layer, ask)
    return ask


def _wrap(layer: Layer[ResultT], proceed: Ask[ResultT]) -> Ask[ResultT]:
    async def run(call: Call) -> ResultT:
        return await layer(call, proceed)

    return run

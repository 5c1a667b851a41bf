"""The client of a runtime: the way to the backend, with the layers around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.wiring.layers import make_layers
from sdk_workflow.wiring.transports import make_transport

if TYPE_CHECKING:
    from sdk_workflow.wiring.layers import LayerParts

__all__ = ["make_client"]


def make_client(parts: LayerParts) -> AgentClientManager:
    """Return a client whose sinks see what happens to the calls."""
    calls, counts = make_layers(parts)
    return AgentClientManager(
        make_transport(parts.settings, parts.backend, parts.clock),
        middleware=calls,
        counting=counts,
        sinks=(parts.on_event,),
        clock=parts.clock,
    )

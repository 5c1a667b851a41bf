"""Who answers: the official SDK, or the simulator in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.protocols import Clock, Transport

__all__ = ["make_transport"]


def make_transport(
    settings: Settings, backend: Literal["anthropic", "simulator"], clock: Clock
) -> Transport:
    """Return the way to the backend."""
    if backend == "simulator":
        from sdk_workflow.simulator.transport import SimulatorTransport

        return SimulatorTransport(clock=clock)
    from sdk_workflow.transports.anthropic_sdk import AnthropicTransport
    from sdk_workflow.transports.timeouts import Timeouts

    return AnthropicTransport(
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        auth_token=settings.auth_token.get_secret_value() if settings.auth_token else None,
        base_url=settings.base_url,
        max_retries=0,  # one owner of retries: two would multiply
        timeouts=Timeouts(
            connect_seconds=settings.connect_timeout_seconds,
            first_token_seconds=settings.first_token_timeout_seconds,
            idle_seconds=settings.idle_timeout_seconds,
            total_seconds=settings.request_timeout_seconds,
        ),
        clock=clock,
    )

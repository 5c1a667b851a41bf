"""The simulator as a test holds it: conditions, journal, and a client in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.simulator.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.protocols import Clock, Middleware
    from sdk_workflow.simulator.journal import Journal, JournalEntry
    from sdk_workflow.simulator.physics import Physics
    from sdk_workflow.simulator.script import ScriptedReplies
    from sdk_workflow.simulator.verdict import Verdict

__all__ = ["Simulator"]


class Simulator:
    """A simulated Messages API of one test, in this process and over HTTP.

    Args:
        script: What is answered: a `ScriptedReplies`, a list or the name of a file; the simulator's
            own rules by default.
        faults: What goes wrong, as `parse_faults` takes it.
        limits: Rate limits, as `Limits.parse` takes them.
        physics: How long answers take; nothing takes time by default.
        clock: Where time comes from; the machine's clock by default.
        seed: Varies wording, ids and chance.
        lenient: Whether beta features and parameters that are unknown are tolerated.
        middleware: Layers around each call of `client`, the first outermost.

    Raises:
        UsageError: A script, a fault or a limit is malformed.

    Example:
        >>> import anyio
        >>> simulator = Simulator(script=["Hello!"])
        >>> async def greet() -> str:
        ...     async with simulator.session(model="haiku") as session:
        ...         return (await session.message("Hi")).text
        >>> anyio.run(greet), simulator.requests[0].prompt_preview
        ('Hello!', 'Hi')
    """

    def __init__(
        self,
        *,
        script: Any = None,
        faults: Any = None,
        limits: Any = None,
        physics: Physics | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        lenient: bool = False,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.simulation = Simulation.build(
            clock=clock,
            seed=seed,
            script=script,
            faults=faults,
            limits=limits,
            physics=physics,
            lenient=lenient,
        )
        self.clock = self.simulation.clock
        self.transport = SimulatorTransport(self.simulation)
        self.client = AgentClientManager(self.transport, middleware=middleware, clock=self.clock)

    @property
    def journal(self) -> Journal:
        """Every request that reached the simulator."""
        if self.simulation.journal is None:
            raise ValueError("The simulation has lost its journal.")
        return self.simulation.journal

    @property
    def requests(self) -> list[JournalEntry]:
        """The entries of the journal, oldest first."""
        return self.journal.entries()

    @property
    def script(self) -> ScriptedReplies:
        """The replies; add more with `extend`."""
        if self.simulation.script is None:
            raise ValueError("The simulation has lost its script.")
        return self.simulation.script

    def session(self, **options: Any) -> AgentSession:
        """Open a conversation with the simulator.

        Args:
            **options: Arguments of `AgentSession`; the model is `haiku` by default.
        """
        from sdk_workflow.agent.session import AgentSession

        return AgentSession(self.client, **{"model": "haiku", "clock": self.clock, **options})

    def serving(self) -> AbstractContextManager[str]:
        """Serve over HTTP while the block runs; its value is the URL. Needs the extra `server`.

        Raises:
            ConfigError: The extra is not installed.
        """
        from sdk_workflow.simulator.app import SimulatorServer

        return SimulatorServer(self.simulation, seconds_to_finish=1).running()

    def verdict(self, **options: Any) -> Verdict:
        """Judge the client of the requests so far.

        Args:
            **options: As `judge`: `accepted`, `min_backoff_seconds`, ...
        """
        return judge(self.journal, **{"now": self.clock.now(), **options})

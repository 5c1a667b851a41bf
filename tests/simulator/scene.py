"""A simulation with a client that does what a test tells it to, and the verdict on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.simulator.steps import Answer, Send, Stall
from sdk_workflow.simulator.verdict import judge
from tests.simulator.simulated import NOVEMBER_21, params, simulation

if TYPE_CHECKING:
    from sdk_workflow.simulator.simulation import Simulation
    from sdk_workflow.simulator.verdict import Verdict

TEXT = 'one "two" three\nfour five six seven eight nine'


class Scene:
    """A simulation with a client that does what the test tells it to."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(NOVEMBER_21)
        self.simulated: Simulation = simulation(clock=self.clock, **options)

    def send(self, asked: dict[str, Any] | None = None, *, stream: bool = False) -> Any:
        """Return the answer of one request: its body, or the text of its stream."""
        texts = []
        for step in self.simulated.create(asked or params(), is_streamed=stream):
            if isinstance(step, Answer):
                return step
            if isinstance(step, Send) and "text" in step.event.get("delta", {}):
                texts.append(step.event["delta"]["text"])
            if isinstance(step, Stall):
                break
        return "".join(texts)

    def verdict(self, **options: Any) -> Verdict:
        journal = self.simulated.journal
        assert journal is not None
        return judge(journal, now=self.clock.now(), **options)

    def codes(self, **options: Any) -> set[str]:
        return set(self.verdict(**options).codes)


def go_on(text: str) -> dict[str, Any]:
    talk = [
        *params()["messages"],
        {"role": "assistant", "content": text},
        {"role": "user", "content": "Go on."},
    ]
    return {**params(), "messages": talk}

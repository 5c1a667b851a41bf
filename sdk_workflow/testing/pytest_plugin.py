"""The pytest plugin: fixtures that hand a simulated Messages API to a test.

    @pytest.mark.simulator(script=["Hello!"], faults="529@0")
    def test_greeting(simulator_url, simulator_verdict): ...

It loads nothing of the library before a fixture is used.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdk_workflow.simulator.verdict import Verdict
    from sdk_workflow.testing.simulator import Simulator

__all__ = ["simulator", "simulator_url", "simulator_verdict"]

_MARKER = (
    "simulator(script=..., faults=..., limits=..., physics=..., clock=..., seed=..., lenient=...): "
    "the conditions of the `simulator` fixtures (sdk_workflow.testing.Simulator)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Simulator:
    """Return a simulator of the test's own, under the conditions of its `simulator` marker."""
    from sdk_workflow._internal.suggest import did_you_mean
    from sdk_workflow.exceptions import UsageError
    from sdk_workflow.testing.simulator import Simulator

    options: dict[str, Any] = {}
    known = tuple(inspect.signature(Simulator).parameters)
    # The closest marker last, so that a test may change one option of its class or module.
    for marker in reversed(list(request.node.iter_markers("simulator"))):
        if marker.args:
            raise UsageError(
                f"The marker `simulator` has the positional argument {marker.args[0]!r}.",
                hint="Give its arguments by name, such as faults='529@0'.",
            )
        for name in marker.kwargs:
            if name not in known:
                # In the message: pytest shows no hints.
                guess = did_you_mean(name, known)
                raise UsageError(
                    f"The marker `simulator` has the unknown argument {name!r}. {guess}".rstrip(),
                    hint=f"There are {', '.join(known)}.",
                )
        options.update(marker.kwargs)
    return Simulator(**options)


@pytest.fixture
def simulator_url(simulator: Simulator) -> Iterator[str]:
    """Serve the test's simulator on the loopback interface, and return its URL."""
    with simulator.serving() as url:
        yield url


@pytest.fixture
def simulator_verdict(simulator: Simulator) -> Callable[..., Verdict]:
    """Return a function that judges the client so far: `simulator_verdict().assert_resilient()`."""
    return simulator.verdict

"""The simulator over HTTP: an ASGI application, and a server on the loopback interface.

Needs the extra `server`. It carries bytes and knows no rule of the API.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.lazy import require
from sdk_workflow.exceptions import ConfigError
from sdk_workflow.simulator.asgi import SimulatorApp
from sdk_workflow.simulator.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdk_workflow.simulator.engine import Engine

__all__ = ["LOOPBACK", "SimulatorServer", "create_app", "serve"]

LOOPBACK = "127.0.0.1"
_SECONDS_TO_FINISH = 5
_BACKLOG = 2048
_PURPOSE = "The simulator's HTTP server"


def create_app(engine: Engine | Simulation) -> SimulatorApp:
    """Return the ASGI application that answers from an engine, or from one with conditions."""
    if isinstance(engine, Simulation):
        return SimulatorApp(engine)
    from sdk_workflow._internal.clock import SystemClock

    return SimulatorApp(Simulation(engine, clock=SystemClock()))


class SimulatorServer:
    """One HTTP server around an engine.

    Args:
        engine: What answers: an engine, or one with faults, limits and a journal around it; None
            makes a simulation on the machine's clock.
        host: The interface to listen on; nothing but this machine unless it is named.
        port: The port; 0 picks a free one.
        seconds_to_finish: How long answers that have begun may take when the server is stopped.

    Raises:
        ConfigError: The extra `server` is not installed.
    """

    def __init__(
        self,
        engine: Engine | Simulation | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        seconds_to_finish: int = _SECONDS_TO_FINISH,
    ) -> None:
        uvicorn = require("uvicorn", extra="server", purpose=_PURPOSE)
        from sdk_workflow.simulator.resettable import ResettableProtocol

        self._host = host
        self._port = port
        self._server: Any = uvicorn.Server(
            uvicorn.Config(
                create_app(Simulation.build() if engine is None else engine),
                http=ResettableProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=seconds_to_finish,
            )
        )

    def run(self, *, on_ready: Callable[[str], None] | None = None) -> None:
        """Serve until `stop`, SIGINT or SIGTERM; answers that have begun may finish.

        Args:
            on_ready: Is told the server's URL once it takes connections.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        with self._listening() as listener, self._ended_by_signals():
            if on_ready is not None:
                on_ready(_url(listener))
            self._server.run(sockets=[listener])

    def stop(self) -> None:
        """End `run` from any thread."""
        self._server.should_exit = True

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve in a thread of its own while the block runs; its value is the server's URL.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        urls: list[str] = []
        errors: list[BaseException] = []
        is_settled = threading.Event()

        def note(url: str) -> None:
            urls.append(url)
            is_settled.set()

        def serve_here() -> None:
            try:
                self.run(on_ready=note)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors.append(error)
            finally:
                is_settled.set()

        thread = threading.Thread(target=serve_here, name="sdk_workflow simulator", daemon=True)
        thread.start()
        is_settled.wait()
        if not urls:
            thread.join()
            raise errors[0]
        try:
            yield urls[0]
        finally:
            self.stop()
            thread.join()

    def _listening(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"The simulator cannot listen on {self._host!r}, port {self._port}: {error}.",
                code="address_unavailable",
                hint=_hint_for(error),
            ) from error

    @contextlib.contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        """Let a signal end the server and nothing else: uvicorn raises it again when it is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, lambda *_: self.stop()) for each in signals}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def serve(
    host: str = LOOPBACK,
    port: int = 0,
    engine: Engine | Simulation | None = None,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the simulator over HTTP until SIGINT or SIGTERM.

    Args:
        host: The interface to listen on.
        port: The port; 0 picks a free one.
        engine: What answers; None makes a simulation on the machine's clock.
        on_ready: Is told the server's URL once it takes connections.

    Raises:
        ConfigError: The extra `server` is not installed, or the address cannot be listened on.
    """
    SimulatorServer(engine, host=host, port=port).run(on_ready=on_ready)


def _hint_for(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in {errno.EADDRINUSE, errno.EACCES}:
        return "Choose another port, or 0 for any free one."
    return f"Give an address of this machine, such as {LOOPBACK}."


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

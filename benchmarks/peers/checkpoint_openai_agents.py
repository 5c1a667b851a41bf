"""openai-agents' SQLiteSession under the growing conversation; runs in an environment of its own.

    python -m benchmarks.peers.checkpoint_openai_agents

It keeps items, not versions: only the newest message is written, and only the latest state is read.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.peers.growth import run

if TYPE_CHECKING:
    from pathlib import Path


class OpenAIAgentsStore:
    """One session of a session database, on an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        session: Any = import_module("agents").SQLiteSession
        self._session = session("growing", str(folder / "sessions.sqlite"))
        self._loop = asyncio.new_event_loop()

    def save(self, messages: list[dict[str, Any]]) -> None:
        """Add the newest item."""
        self._loop.run_until_complete(self._session.add_items(messages[-1:]))

    def load(self) -> int:
        """Return how many items there are."""
        return len(self._loop.run_until_complete(self._session.get_items()))

    def load_version(self, version: int) -> int | None:
        """Return None: there are no versions."""
        del version
        return None

    def close(self) -> None:
        """Close the database."""
        self._session.close()
        self._loop.close()


if __name__ == "__main__":
    run(OpenAIAgentsStore)

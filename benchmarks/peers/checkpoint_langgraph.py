"""LangGraph's SqliteSaver under the growing conversation; runs in an environment of its own.

python -m benchmarks.peers.checkpoint_langgraph
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.peers.growth import run

if TYPE_CHECKING:
    from pathlib import Path

_THREAD = "growing"


class LangGraphStore:
    """One thread of a checkpoint database."""

    def __init__(self, folder: Path) -> None:
        sqlite = import_module("langgraph.checkpoint.sqlite")
        self._empty: Any = import_module("langgraph.checkpoint.base").empty_checkpoint
        self._context = sqlite.SqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite"))
        self._saver = self._context.__enter__()
        self._config: dict[str, Any] = {"configurable": {"thread_id": _THREAD, "checkpoint_ns": ""}}
        self._ids: list[str] = []

    def save(self, messages: list[dict[str, Any]]) -> None:
        """Put one checkpoint, as the graph does after each superstep."""
        versions = {"messages": len(messages)}
        checkpoint = {
            **self._empty(),
            "channel_values": {"messages": messages},
            "channel_versions": versions,
        }
        metadata = {"source": "loop", "step": len(messages), "parents": {}}
        self._config = self._saver.put(self._config, checkpoint, metadata, versions)

    def load(self) -> int:
        """Return how many messages the latest checkpoint has."""
        config = {"configurable": {"thread_id": _THREAD, "checkpoint_ns": ""}}
        return len(self._saver.get_tuple(config).checkpoint["channel_values"]["messages"])

    def load_version(self, version: int) -> int | None:
        """Return how many messages an earlier checkpoint has."""
        if not self._ids:  # the newest comes first
            found = self._saver.list({"configurable": {"thread_id": _THREAD, "checkpoint_ns": ""}})
            self._ids = [each.checkpoint["id"] for each in found][::-1]
        place = {"thread_id": _THREAD, "checkpoint_ns": "", "checkpoint_id": self._ids[version - 1]}
        state = self._saver.get_tuple({"configurable": place})
        return len(state.checkpoint["channel_values"]["messages"])

    def close(self) -> None:
        """Close the database."""
        self._context.__exit__(None, None, None)


if __name__ == "__main__":
    run(LangGraphStore)

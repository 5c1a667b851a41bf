"""Builds live documents and event lines, and writes them where a process would."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sdk_workflow.monitor.run_folder import EVENTS_FILE, LIVE_FILE, RunName, run_folders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["NOW", "Home", "call_line", "live", "time_text"]

NOW = 1_795_252_380.0
"""2026-11-21T09:13:00Z"""


def time_text(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def window(requests: int, **changes: Any) -> dict[str, Any]:
    return {
        "requests": requests, "errors": requests // 50, "cancelled": 0,
        "input_tokens": requests * 1850, "output_tokens": requests * 240,
        "cost_usd": round(requests * 0.0061, 6), "saved_usd": round(requests * 0.0019, 6),
        "p50_ms": 812.0, "p95_ms": 2410.0, "p99_ms": 3905.0,
        **changes,
    }  # fmt: skip


def live(
    pid: int = 4242, *, now: float = NOW, requests: int = 120, uptime: float = 725, **changes: Any
) -> dict[str, Any]:
    """Return a document as a process in the middle of its work writes it."""
    wave = [max(round(3 + 2.6 * math.sin(at / 5 + now / 3)), 0) for at in range(60)]
    document: dict[str, Any] = {
        "schema": "sdk_workflow.live/1", "sequence": 12, "written_at": time_text(now - 0.1),
        "state": "running",
        "process": {
            "pid": pid, "start_key": "abc123", "started_at": time_text(now - uptime),
            "command": "run", "backend": "anthropic", "version": "0.1.0", "python": "3.11.7",
            "cwd": "/srv/agents/tides",
        },
        "uptime_seconds": uptime,
        "budget": budget(0.42),
        "burn": {"usd_per_hour": 3.64, "tokens_per_minute": 21_000.0},
        "traffic": {
            "requests": requests, "in_flight": 3, "running_tools": 1, "active_runs": 2,
            "requests_per_second": 2.8, "error_rate": 0.02, "retries": 4,
            "retry_wait_seconds": 6.5, "fallbacks": 1,
        },
        "windows": {
            "1m": window(requests // 12), "5m": window(requests // 3),
            "1h": window(requests), "total": window(requests),
        },
        "history": [
            {"at": time_text(now - 60 + at), "requests": value, "errors": 0,
             "cost_usd": value * 0.0061, "p95_ms": 1800.0 + 90 * value if value else None}
            for at, value in enumerate(wave)
        ],
        "tokens": {"input": requests * 1850, "output": requests * 240,
                   "cache_read": requests * 5200, "cache_write_5m": requests * 310,
                   "cache_write_1h": requests * 12},
        "saved_usd": round(requests * 0.0019, 6),
        "models": [model("claude-sonnet-5", requests), model("claude-haiku-4-5", requests // 3)],
        "caches": [
            {"tier": "lru", "hits": 31, "misses": 89, "hit_rate": 0.258, "saved_usd": 0.19},
            {"tier": "semantic", "hits": 6, "misses": 83, "hit_rate": 0.067, "saved_usd": 0.037},
        ],
        "tools": [
            tool("bash", 64, errors=3), tool("read_file", 41), tool("write_file", 12),
        ],
        "sessions": [
            session("tides-2026", now), session("harbour-log", now - 40, status="completed"),
        ],
        "spans": [
            {"name": name, "started_at": time_text(now - at), "duration_ms": 640.0 + 90 * at,
             "status": "ok", "error": None, "trace_id": "0af7", "span_id": "b7ad"}
            for at, name in enumerate(("chat claude-sonnet-5", "execute_tool bash", "invoke_agent"))
        ],
        "errors": [
            {"type": "rate_limited", "count": 4, "last_at": time_text(now - 33),
             "last_message": "Rate limit reached for requests per minute."},
        ],
        "alarms": [],
        "lost": {"spans": 0, "events": 0, "writes": 0},
    }  # fmt: skip
    return {**document, **changes}


def budget(share: float, *, now: float = NOW, limit: float = 5.0) -> dict[str, Any]:
    return {
        "limit_usd": limit, "soft_limit_usd": limit * 0.8, "spent_usd": limit * share,
        "held_usd": 0.02, "used_share": share,
        "projected_end_at": time_text(now + limit * (1 - share) * 990),
        "is_exhausted": share >= 1,
    }  # fmt: skip


def model(name: str, calls: int, **changes: Any) -> dict[str, Any]:
    return {
        "model": name, "calls": calls, "cached": calls // 5, "errors": calls // 50,
        "p50_ms": 812.0, "p95_ms": 2410.0, "p99_ms": 3905.0, "first_token_p50_ms": 320.0,
        "first_token_p95_ms": 910.0, "tokens_per_second_p50": 74.2, "input_tokens": calls * 1850,
        "output_tokens": calls * 240, "cache_read_tokens": calls * 5200,
        "cache_write_tokens": calls * 322, "cost_usd": round(calls * 0.0061, 6),
        **changes,
    }  # fmt: skip


def tool(name: str, calls: int, *, errors: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "tool": name, "calls": calls, "errors": errors, "error_rate": errors / (calls or 1),
        "p50_ms": 35.0, "p95_ms": 240.0, "loops": 0,
        **changes,
    }  # fmt: skip


def session(name: str, at: float, *, status: str = "active", **changes: Any) -> dict[str, Any]:
    return {
        "session_id": name, "status": status, "model": "claude-sonnet-5", "turns": 7,
        "cost_usd": 0.31, "context_share": 0.36, "started_at": time_text(at - 300),
        "last_active_at": time_text(at),
        **changes,
    }  # fmt: skip


def loop_alarm(now: float = NOW) -> dict[str, Any]:
    return {
        "kind": "loop", "at": time_text(now - 12), "session_id": "tides-2026",
        "text": "bash ran 5 times with the same arguments",
    }  # fmt: skip


def call_line(at: float, **facts: Any) -> dict[str, Any]:
    """Return the line of a call that was answered."""
    return {
        "at": time_text(at), "kind": "call_finished", "session_id": "s1", "model": "m",
        "input_tokens": 100, "output_tokens": 10, "duration_ms": 500.0,
        **facts,
    }  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Home:
    """A state folder, and which of its processes are said to run."""

    path: Path
    alive: set[RunName] = field(default_factory=set)

    def write(
        self, document: object, *, pid: int = 4242, key: str = "abc123", is_alive: bool = True
    ) -> RunName:
        """Write any JSON value, or text or bytes as they are, as what a process wrote last."""
        name = RunName(pid, key)
        if is_alive:
            self.alive.add(name)
        else:
            self.alive.discard(name)
        if isinstance(document, bytes):
            content = document
        else:
            text = document if isinstance(document, str) else json.dumps(document)
            content = text.encode("utf-8", "surrogatepass")
        temporary = self.folder(name) / "new"
        temporary.write_bytes(content)
        temporary.replace(self.folder(name) / LIVE_FILE)
        return name

    def write_events(
        self, lines: Iterable[object], *, name: RunName, file: str = EVENTS_FILE, end: str = ""
    ) -> None:
        """Write an event file: values as JSON lines, and an end that may be torn."""
        text = "".join(f"{json.dumps(line)}\n" for line in lines) + end
        (self.folder(name) / file).write_text(text, "utf-8")

    def folder(self, name: RunName) -> Path:
        """Return the folder of a process; it is there then."""
        folder = run_folders(self.path) / name.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def is_alive(self, name: RunName) -> bool:
        return name in self.alive

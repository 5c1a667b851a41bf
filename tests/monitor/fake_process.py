"""Writes like a busy process, to look at the monitor in a terminal by hand.

    python -m tests.monitor.fake_process HOME STATE... [--seconds N]

STATE is one of busy, budget, alarm, ended, died, torn, hostile; each is a process in the list. They
"run" as children that only wait, and end with this one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sdk_workflow.monitor.run_folder import RunName, start_key
from tests.monitor import live_files as files

_WAIT = [sys.executable, "-c", "import sys; sys.stdin.read()"]
_EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eright\r\n[bold]x[/bold]"


def document(state: str, pid: int, tick: int, started: float) -> object:
    now = time.time()
    uptime = now - started + 700
    live = files.live(pid, now=now, requests=120 + tick, uptime=uptime)
    live["process"]["command"] = "agent.py" if state == "busy" else "run"
    live["budget"] = {"busy": None, "budget": files.budget(0.962, now=now)}.get(
        state, files.budget(0.42, now=now)
    )
    live["sequence"] = tick
    changes: dict[str, Any] = {
        "ended": {"state": "ended"},
        "alarm": {
            "alarms": [files.loop_alarm(now)],
            "tools": [files.tool("bash", 64, errors=21, loops=2), files.tool("read_file", 41)],
            "errors": [
                {"type": "rate_limited", "count": 14, "last_at": files.time_text(now - 3),
                 "last_message": "Rate limit reached for requests per minute."},
                {"type": "overloaded", "count": 3, "last_at": files.time_text(now - 71),
                 "last_message": "Overloaded."},
            ],
            "lost": {"spans": 12, "events": 0, "writes": 1},
        },
        "hostile": {
            "sessions": [files.session(_EVIL, now)],
            "models": [files.model(_EVIL, 10**6)],
            "process": {**live["process"], "command": _EVIL, "cwd": _EVIL},
        },
    }  # fmt: skip
    return {**live, **changes.get(state, {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("states", nargs="+")
    parser.add_argument("--seconds", type=float, default=600)
    given = parser.parse_args()
    home, started = files.Home(path=given.home), time.time()
    children = [subprocess.Popen(_WAIT, stdin=subprocess.PIPE) for _ in given.states]
    keys = [start_key(child.pid) or "0" for child in children]
    tick = 0
    while time.time() - started < given.seconds:
        for state, child, key in zip(given.states, children, keys, strict=True):
            if tick and state in {"died", "ended", "torn"}:
                continue
            name = home.write(document(state, child.pid, tick, started), pid=child.pid, key=key)
            if state == "torn":
                (home.folder(RunName(*name)) / "live.json").write_text('{"schema": "sdk_wor')
            if state in {"died", "ended"}:
                child.kill()
                child.wait()
        tick += 1
        threading.Event().wait(0.2)


if __name__ == "__main__":
    main()

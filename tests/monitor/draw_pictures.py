"""Draws the pictures of docs/monitor.md: `python -m tests.monitor.draw_pictures docs`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group

from sdk_workflow.cli.monitor.picture import Snapshot, draw
from sdk_workflow.cli.monitor.view_state import ViewState
from sdk_workflow.monitor.live_shape import live_document
from sdk_workflow.monitor.processes import SeenProcess
from sdk_workflow.monitor.run_folder import RunName
from tests.monitor import live_files as files
from tests.monitor.live_files import NOW

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the pictures would otherwise load from elsewhere.
_FONTS = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)


def seen(pid: int, *, status: Any = "running", command: str = "run", **changes: Any) -> SeenProcess:
    live = files.live(pid, **changes)
    live["process"]["command"] = command
    return SeenProcess(
        name=RunName(pid, "a1"), folder=Path(), status=status, live=live_document(live)
    )


def troubled(pid: int) -> SeenProcess:
    errors = [
        {"type": "rate_limited", "count": 14, "last_at": files.time_text(NOW - 3),
         "last_message": "Rate limit reached for requests per minute."},
        {"type": "overloaded", "count": 3, "last_at": files.time_text(NOW - 71),
         "last_message": "Overloaded."},
    ]  # fmt: skip
    tools = [files.tool("bash", 64, errors=21, loops=2), files.tool("read_file", 41)]
    return seen(
        pid, command="agent.py", requests=310, uptime=1580, budget=files.budget(0.962),
        alarms=[files.loop_alarm()], errors=errors, tools=tools,
    )  # fmt: skip


def save(path: Path, processes: Sequence[SeenProcess], state: ViewState, size: Any) -> None:
    picture = draw(Snapshot(processes=processes, now=NOW), state, *size)
    console = Console(record=True, width=size[0], file=io.StringIO(), color_system="standard")
    console.print(Group(*picture.lines))
    svg = console.export_svg(title="sdk_workflow monitor", unique_id=path.stem)
    path.write_text(_FONTS.sub("", svg), "utf-8")


def main() -> None:
    folder = Path(sys.argv[1])
    processes = [
        troubled(5120),
        seen(4242, uptime=725),
        seen(3977, status="died", requests=48, uptime=310, burn={}),
        seen(3604, status="ended", requests=911, uptime=4210, budget=None),
    ]
    save(folder / "monitor-list.svg", processes, ViewState(), (110, 14))
    opened = ViewState(opened=RunName(5120, "a1"))
    save(folder / "monitor-one.svg", processes, opened, (150, 36))


if __name__ == "__main__":
    main()

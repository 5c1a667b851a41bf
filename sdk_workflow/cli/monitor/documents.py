"""The monitor's versioned JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.cli.monitor.rows import row_of, totals_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.monitor.processes import SeenProcess
    from sdk_workflow.monitor.replay import Replay
    from sdk_workflow.monitor.run_folder import RunName

__all__ = ["MONITOR_SCHEMA", "dump", "processes_document", "replay_object"]

MONITOR_SCHEMA = "sdk_workflow.monitor/1"


def processes_document(
    processes: Sequence[SeenProcess],
    now: float,
    replays: Mapping[RunName, Replay] | None = None,
    total: Replay | None = None,
) -> dict[str, Any]:
    """Return what is known of processes.

    Args:
        processes: The processes.
        now: Seconds since the Unix epoch.
        replays: What each of them did since some time, if that was asked for.
        total: What all of them did since then.
    """
    found = []
    for process in processes:
        replay = (replays or {}).get(process.name)
        found.append(
            {
                "pid": process.name.pid,
                "start_key": process.name.key,
                "status": process.status,
                "problem": process.problem,
                "folder": str(process.folder),
                "live": process.live,
                "replay": None if replay is None else replay_object(replay, now),
            }
        )
    return {
        "schema": MONITOR_SCHEMA,
        "at": utc_text(now),
        "totals": totals_of(row_of(process, now) for process in processes)._asdict(),
        "replay": None if total is None else replay_object(total, now),
        "processes": found,
    }


def dump(document: Mapping[str, Any], indent: int | None = None) -> str:
    """Return JSON in ASCII: what a terminal could take for something else is escaped."""
    return json.dumps(document, indent=indent, allow_nan=False)


def replay_object(replay: Replay, now: float) -> dict[str, Any]:
    """Return what happened since some time, with its rates."""
    minutes = max(now - replay.since, 1) / 60
    totals = {name: value for name, value in sorted(replay.totals.items()) if value}
    calls, errors = replay.totals["calls"], replay.totals["call_errors"]
    return {
        "since": utc_text(replay.since),
        "first_at": None if replay.first_at is None else utc_text(replay.first_at),
        "calls_per_minute": calls / minutes,
        "usd_per_hour": replay.totals["cost_usd"] * 60 / minutes,
        "error_rate": errors / ((calls + errors) or 1),
        "totals": totals,
        "by": {
            group: [
                {"name": name, **{key: value for key, value in sorted(sums.items()) if value}}
                for name, sums in sorted(names.items())
            ]
            for group, names in replay.groups.items()
        },
        "skipped_lines": replay.skipped_lines,
        "is_cut": replay.is_cut,
    }

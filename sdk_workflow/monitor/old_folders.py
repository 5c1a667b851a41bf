"""Removes what processes that are long over have left; never the folder of one that still runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow.monitor.run_folder import RunName, is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["remove_old_folders"]

_KEPT = 20
_KEPT_SECONDS = 7 * 86_400.0
# A process on another machine, or in another container, that shares the folder looks dead here.
_UNTOUCHED_SECONDS = 3_600.0


def remove_old_folders(own: Path, *, now: float) -> int:
    """Remove the folders of dead processes beyond the last 20, and those over a week old.

    Whatever was touched in the last hour stays, and what cannot be removed, too.

    Args:
        own: The folder of this process, beside the others.
        now: Seconds since the Unix epoch.

    Returns:
        How many were removed.
    """
    removed = 0
    dead = sorted(_dead(own), reverse=True)
    for place, (touched_at, folder) in enumerate(dead):
        age = now - touched_at
        if age >= _UNTOUCHED_SECONDS and (place >= _KEPT or age > _KEPT_SECONDS):
            removed += _remove(folder)
    return removed


def _dead(own: Path) -> Iterator[tuple[float, Path]]:
    """Yield when the folders of dead processes were last touched, and which they are."""
    try:
        with os.scandir(own.parent) as entries:
            found = [entry for entry in entries if entry.name != own.name]
    except OSError:
        return
    for entry in found:
        name = RunName.parse(entry.name)
        if name is None or not entry.is_dir(follow_symlinks=False) or is_running(name):
            continue
        try:
            touched_at = max(
                [entry.stat().st_mtime, *(item.stat().st_mtime for item in os.scandir(entry.path))]
            )
        except OSError:
            continue
        yield touched_at, Path(entry.path)


def _remove(folder: Path) -> bool:
    """Remove a folder of plain files; one that holds another folder is none of ours."""
    try:
        for item in folder.iterdir():
            item.unlink()
        folder.rmdir()
    except OSError:
        return False
    return True

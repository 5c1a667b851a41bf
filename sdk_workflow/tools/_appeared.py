"""Finds protected names that came into being while a command ran, and moves them out of the way.

What exists when a command starts is read-only to it (`_protected`). What it creates under such a name,
links included, gets a name that no program acts on, for the user to look at. It changes nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections import deque
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import ToolError
from sdk_workflow.tools import _paths
from sdk_workflow.tools._protected import (
    GIT_NESTED,
    GIT_OBEYED,
    MAX_FOLDERS,
    PLACEHOLDER_MODE,
    SKIPPED,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sdk_workflow.tools.workspace import Workspace

Identity = tuple[int, int, str]
"""Device, inode, and where a link leads to."""

# A repository that a command made keeps the settings that git itself writes there.
_HARMLESS_SETTINGS = re.compile(
    r"""\s*(?:
        | [#;].*
        | \[ (?: core | user | init | (?:remote|branch) \s+ "[\w./-]+" ) \]
        | (?: repositoryformatversion | filemode | bare | logallrefupdates | ignorecase
            | precomposeunicode | symlinks | defaultbranch | name | email | url | fetch | remote
            | merge | rebase
          ) \s* = (?! .*:: ) \s* [\w\s./:+*@<>,=-]*
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_MAX_SETTINGS_BYTES = 65_536


def protected_names(root: Path) -> dict[str, Identity]:
    """Return what a workspace holds under protected names, by its path in there."""
    found: dict[str, Identity] = {}
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([("", ())])
    budget = MAX_FOLDERS
    while waiting and budget:
        folder, names = waiting.popleft()
        budget -= 1
        for entry in _entries(root / folder):
            relative, path = f"{folder}{entry.name}", (*names, entry.name.casefold())
            part = next((each for each in _paths.PROTECTED if path[-len(each) :] == each), None)
            is_folder = entry.is_dir(follow_symlinks=False)
            if part == (".git",) and is_folder:
                found.update(_of_repository(root, relative))
            elif part is not None:
                found.update(_identified(root, relative))
            elif is_folder and entry.name not in SKIPPED:
                waiting.append((f"{relative}/", path))
    return found


def set_aside(workspace: Workspace, before: Mapping[str, Identity]) -> list[tuple[str, str]]:
    """Move aside what has appeared since; return each old path with its new one.

    Args:
        workspace: The folder, which no command works in any more.
        before: What `protected_names` returned when the command started.
    """
    moved: list[tuple[str, str]] = []
    known = set(before.values())
    for path, identity in protected_names(workspace.root).items():
        is_known = before.get(path) == identity or (
            identity in known and not _has_more_names(workspace.root / path)
        )
        if is_known or _is_harmless(workspace.root / path):
            continue
        aside = f"{path}.held-{secrets.token_hex(4)}"
        with contextlib.suppress(ToolError, OSError):  # gone meanwhile
            workspace.rename(path, aside)
            moved.append((path, aside))
    return moved


def _of_repository(root: Path, folder: str) -> dict[str, Identity]:
    """Return what git obeys in a repository, and in those nested in it."""
    found: dict[str, Identity] = {}
    nested = [
        f"{folder}/{kind}/{entry.name}"
        for kind in GIT_NESTED
        if not (root / folder / kind).is_symlink()
        for entry in _entries(root / folder / kind)
        if entry.is_dir(follow_symlinks=False)
    ]
    for place in (folder, *nested):
        for name in GIT_OBEYED:
            found.update(_identified(root, f"{place}/{name}"))
    return found


def _identified(root: Path, relative: str) -> dict[str, Identity]:
    try:
        status = (root / relative).lstat()
        is_link = stat.S_ISLNK(status.st_mode)
        target = str((root / relative).readlink()) if is_link else ""
    except OSError:
        return {}
    if stat.S_IMODE(status.st_mode) == PLACEHOLDER_MODE and stat.S_ISDIR(status.st_mode):
        return {}  # stands for nothing, and goes away with the command that needs it
    return {relative: (status.st_dev, status.st_ino, target)}


def _has_more_names(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _is_harmless(path: Path) -> bool:
    """Tell whether this is what git makes by itself: plain settings, or hooks that are samples."""
    if path.is_symlink():
        return False
    if path.name == "hooks" and path.is_dir():
        return all(entry.name.endswith(".sample") for entry in _entries(path))
    if path.name not in {"config", "commondir"} or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_SETTINGS_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError):
        return False
    if path.name == "commondir":
        return path.parents[1].name == "worktrees" and text == "../..\n"
    is_short = len(text) <= _MAX_SETTINGS_BYTES
    return is_short and all(map(_HARMLESS_SETTINGS.fullmatch, text.splitlines()))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from list(entries)
    except OSError:  # gone, or closed to the user and so to the command
        return

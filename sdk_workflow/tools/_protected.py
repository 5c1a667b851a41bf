"""Finds the files in a workspace that no command may change, because programs act on them.

The names are those that the write tool refuses (`_paths.PROTECTED`). Of a repository only what git
executes or obeys counts, so that commits still work. It looks; it changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow.tools import _paths

if TYPE_CHECKING:
    from collections.abc import Iterator

# Looking into 1,000 folders takes about 10 ms; the nearest to the top come first.
MAX_FOLDERS = 1000
_MAX_FOUND = 256
SKIPPED = frozenset({"node_modules", "__pycache__"})
GIT_OBEYED = ("config", "config.worktree", "hooks", "commondir")
PLACEHOLDER_MODE = 0o1555  # so unusual that it tells our own empty folders from all others
GIT_NESTED = ("modules", "worktrees")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """What to keep as it is.

    `pinned` are folders that stay writable but must not be moved away, or a copy could take the
    place of what is protected in them. `read_only` are files and folders; `placeholders` are those
    among them that do not exist, and stand there as empty folders only while a command runs.
    """

    pinned: list[str] = field(default_factory=list)
    read_only: list[str] = field(default_factory=list)
    placeholders: list[str] = field(default_factory=list)


def find_protected(root: Path) -> Protected:
    """Return what a command in a workspace must not change, without following links."""
    found = Protected()
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(str(root), ())])
    budget = MAX_FOLDERS
    while waiting and budget and len(found.read_only) < _MAX_FOUND:
        folder, names = waiting.popleft()
        budget -= 1
        for entry in _entries(folder):
            path = (*names, entry.name.casefold())
            if _take(found, entry, path):
                continue
            if entry.is_dir(follow_symlinks=False) and entry.name not in SKIPPED:
                waiting.append((entry.path, path))
    return found


def _take(found: Protected, entry: os.DirEntry[str], names: tuple[str, ...]) -> bool:
    """Note an entry that is protected, and tell whether it was; a link is left alone."""
    part = next((each for each in _paths.PROTECTED if names[-len(each) :] == each), None)
    if part is None:
        return False
    if entry.is_symlink():  # what it points to may be anything, and a mount would follow it
        return True
    if part == (".git",) and entry.is_dir(follow_symlinks=False):
        _take_repository(found, Path(entry.path))
        return True
    if len(part) > 1:
        _pin(found, str(Path(entry.path).parent))
    found.read_only.append(entry.path)
    return True


def _take_repository(found: Protected, folder: Path) -> None:
    _pin(found, str(folder))
    for name in GIT_OBEYED:
        path = folder / name
        if path.is_symlink():
            continue
        is_placeholder = name == "hooks" and _stands_for_nothing(path)
        if is_placeholder:
            found.placeholders.append(str(path))
        if is_placeholder or path.exists():
            found.read_only.append(str(path))
    for kind in GIT_NESTED:
        nested = folder / kind
        for entry in () if nested.is_symlink() else _entries(str(nested)):
            if entry.is_dir(follow_symlinks=False) and len(found.read_only) < _MAX_FOUND:
                _take_nested(found, Path(entry.path))


def _stands_for_nothing(path: Path) -> bool:
    """Tell whether a folder is missing and can be made, or is a command's placeholder already."""
    try:
        return stat.S_IMODE(path.lstat().st_mode) == PLACEHOLDER_MODE
    except OSError:
        return os.access(path.parent, os.W_OK)


def _take_nested(found: Protected, folder: Path) -> None:
    """Keep what is there of a submodule's or a work tree's own settings."""
    existing = [folder / name for name in GIT_OBEYED if (folder / name).exists()]
    read_only = [str(path) for path in existing if not path.is_symlink()]
    if read_only:
        _pin(found, str(folder))
        found.read_only.extend(read_only)


def _pin(found: Protected, folder: str) -> None:
    if folder not in found.pinned:
        found.pinned.append(folder)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from list(entries)
    except OSError:  # gone, or closed to the user and so to the command
        return

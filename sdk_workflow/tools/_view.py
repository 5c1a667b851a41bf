"""What a confined command sees of the files: one promise, which every sandbox keeps its own way.

Read-only the system and the Python that runs us; writable the working directory, but for what is
protected in it, and a private /tmp; nothing else. It decides; mounting is the sandboxes' business.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_workflow.tools._protected import find_protected
from sdk_workflow.tools._secrets import system_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TEMPORARY_BYTES = 1 << 30
TEMPORARY = "/tmp"  # noqa: S108 # nosec B108 # a mount point of the sandbox

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix"),
    "/run/current-system",  # NixOS: a link to where its programs are
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The files of one command.

    `system` and `python` are readable; `hidden` is covered although it lies in something visible,
    the outermost first. `pinned`, `read_only` and `placeholders` are those of `Protected`.
    """

    cwd: str
    system: tuple[str, ...]
    python: tuple[str, ...]
    hidden: tuple[str, ...]
    pinned: tuple[str, ...]
    read_only: tuple[str, ...]
    placeholders: tuple[str, ...]

    def reachable(self, path: str) -> str:
        """Return a search path without the entries that cannot be seen.

        A shell runs the first program that it finds, and stops there when that may not be run.
        """
        folders = (*self.system, *self.python, self.cwd)
        entries = (entry for entry in path.split(":") if entry)
        return ":".join(each for each in entries if _is_beneath(each, folders))


def view_of(cwd: Path, hidden: Iterable[Path]) -> View:
    """Return what a command in a working directory sees.

    Args:
        cwd: The working directory.
        hidden: Files and folders that no command may see, beside the secrets of the machine.
    """
    system = tuple(path for path in _SYSTEM if not Path(path).is_relative_to(cwd))
    python = tuple(path for path in _python_folders() if not Path(path).is_relative_to(cwd))
    covered = _visible((*hidden, *system_secrets()), cwd, (*system, *python, str(cwd)))
    protected = find_protected(cwd)
    return View(
        cwd=str(cwd),
        system=system,
        python=python,
        hidden=covered,
        pinned=_not_beneath(protected.pinned, covered),
        read_only=_not_beneath(protected.read_only, covered),
        placeholders=_not_beneath(protected.placeholders, covered),
    )


def _python_folders() -> list[str]:
    """Return where this Python lives, unless that would open the user's whole home."""
    home = Path.home().resolve()
    spelled = [Path(sys.prefix), Path(sys.base_prefix)]
    candidates = {*spelled, *(path.resolve() for path in spelled)}
    folders = (path for path in candidates if not home.is_relative_to(path.resolve()))
    return sorted(str(path) for path in folders if not _is_beneath(str(path), _SYSTEM))


def _visible(hidden: Iterable[Path], cwd: Path, shown: Sequence[str]) -> tuple[str, ...]:
    """Return what must be covered, outermost first; nothing covers the working directory itself."""
    paths = {path for path in hidden if path != cwd and _is_beneath(str(path), shown)}
    return tuple(map(str, sorted(paths, key=lambda path: (len(path.parts), path))))


def _not_beneath(paths: Iterable[str], folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if not _is_beneath(path, folders))


def _is_beneath(path: str, folders: Iterable[str]) -> bool:
    return any(map(Path(path).is_relative_to, folders))

"""Confinement by Landlock and namespaces: for Linux without bubblewrap.

It puts what a command may see (`_view`) into rules; the system calls are `_landlock`'s, made by the
launcher.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from sdk_workflow.tools._view import TEMPORARY, view_of
from sdk_workflow.tools.sandbox_process import LauncherSandbox, Orders, try_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.tools._view import View

__all__ = ["LandlockSandbox", "find_landlock"]

_PROBE_SECONDS = 10.0
_MARK = "confined"
# Other processes' memory and environment stay closed: Landlock denies tracing them.
_PROC = "/proc"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class LandlockSandbox(LauncherSandbox):
    """Runs commands that may read the system, and write the working directory only.

    The system's programs and the Python that runs us are readable; the working directory is
    writable, without what is protected in it; /tmp is empty, private and gone afterwards. Nothing
    else is there, and there is no network.

    Args:
        hidden: Files and folders that are covered wherever they would be allowed.

    Example:
        >>> LandlockSandbox(hidden=[]).name
        'landlock'
    """

    name = "landlock"

    def __init__(self, *, hidden: Sequence[Path]) -> None:
        self._hidden = tuple(hidden)

    @override
    def orders(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_seconds: float
    ) -> Orders:
        """Return what the launcher is told."""
        view = view_of(cwd, self._hidden)
        return Orders(
            argv=list(argv),
            cwd=view.cwd,
            env={**env, "PATH": view.reachable(env.get("PATH", "")), "TMPDIR": TEMPORARY},
            timeout_seconds=timeout_seconds,
            placeholders=view.placeholders,
            rules=_rules(view),
        )


def _rules(view: View) -> Mapping[str, Any]:
    hide = {*_closed_folders(view), TEMPORARY, *view.hidden} - {view.cwd, *view.python}
    return {
        "read": [*view.system, *view.python, _PROC],
        "write": [view.cwd, TEMPORARY, *_DEVICES],
        "hide": sorted(hide, key=lambda path: (len(Path(path).parts), path)),
        "keep": view.cwd,
        "keep_read": list(view.python),
        "pin": list(view.pinned),
        "protect": list(view.read_only),
    }


def _closed_folders(view: View) -> list[str]:
    """Return what lies in the root and is not for the command: Landlock alone leaves it connect.

    A socket in the file system is reached without opening it, so it must not be there at all.
    """
    if view.cwd == "/":
        return []
    shown = (*view.system, _PROC, "/dev", "/run/current-system")
    folders = (path for path in Path("/").iterdir() if path.is_dir() and not path.is_symlink())
    return [str(path) for path in folders if not any(Path(each) == path for each in shown)]


def find_landlock(hidden: Sequence[Path]) -> LandlockSandbox | None:
    """Return the sandbox if it really works here, else None.

    It works when a command runs and cannot list a folder that it was not given.

    Args:
        hidden: Files and folders that a command must not see; they exist.
    """
    if sys.platform != "linux":
        return None
    sandbox = LandlockSandbox(hidden=hidden)
    with tempfile.TemporaryDirectory() as allowed:
        orders = sandbox.orders(
            ["/bin/sh", "-c", f"ls / 2>/dev/null || echo {_MARK}"],
            cwd=Path(allowed).resolve(),
            env={"PATH": "/usr/bin:/bin"},
            timeout_seconds=_PROBE_SECONDS,
        )
        return sandbox if try_command(orders).strip() == _MARK else None

"""Confinement by bubblewrap: own namespaces, an almost empty system, no network.

It knows how to say so on bubblewrap's command line; what is visible is `_view`'s decision, and
running it is `sandbox_process`'s business.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from sdk_workflow.tools._view import TEMPORARY, TEMPORARY_BYTES, view_of
from sdk_workflow.tools.sandbox_process import LauncherSandbox, Orders, try_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sdk_workflow.tools._view import View

__all__ = ["BubblewrapSandbox", "find_bubblewrap"]

_PROBE_SECONDS = 10.0
_MARK = "confined"
# Since 0.8: without it a command could make namespaces of its own, and reach more of the kernel.
_NO_NESTING = ("--disable-userns",)


class BubblewrapSandbox(LauncherSandbox):
    """Runs commands under `bwrap`.

    The system's programs and the Python that runs us are visible but read-only; the working
    directory is writable, without what is protected in it; /tmp is empty, private and gone
    afterwards. Nothing else is there.

    Args:
        program: Path of `bwrap`.
        hidden: Files and folders that are covered wherever they would be visible.
        options: Further options, where this version of bubblewrap has them.

    Example:
        >>> sandbox = BubblewrapSandbox("/usr/bin/bwrap", hidden=[])
        >>> sandbox.name
        'bubblewrap'
        >>> orders = sandbox.orders(["true"], cwd=Path("/srv/ws"), env={}, timeout_seconds=3)
        >>> orders.argv[-3:]
        ['/srv/ws', '--', 'true']
    """

    name = "bubblewrap"

    def __init__(
        self, program: str, *, hidden: Sequence[Path], options: Sequence[str] = ()
    ) -> None:
        self._program = program
        self._hidden = tuple(hidden)
        self._options = tuple(options)

    @override
    def orders(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_seconds: float
    ) -> Orders:
        """Return what the launcher is told."""
        view = view_of(cwd, self._hidden)
        return Orders(
            argv=self._argv(argv, view),
            cwd="/",
            env={**env, "PATH": view.reachable(env.get("PATH", "")), "TMPDIR": TEMPORARY},
            timeout_seconds=timeout_seconds,
            wrapper="bwrap",
            placeholders=view.placeholders,
        )

    def _argv(self, command: Sequence[str], view: View) -> list[str]:
        # The root is an empty folder of bubblewrap's own: a command could fill it, to no effect.
        seal = () if view.cwd == "/" else ("--remount-ro", "/")
        return [
            self._program,
            *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"),
            *("--unshare-uts", "--hostname", "sandbox"),
            *("--die-with-parent", "--new-session"),
            *self._options,
            *(word for mount in _mounts(view) for word in mount),
            *seal,
            *("--chdir", view.cwd, "--", *command),
        ]


def _mounts(view: View) -> Iterator[tuple[str, ...]]:
    """Return the mounts, the outermost first: a later one covers an earlier one."""
    mounts = [
        *((path, _shown(path)) for path in view.system),
        *((path, ("--ro-bind", path, path)) for path in view.python),
        *((path, _cover(path)) for path in view.hidden),
        ("/dev", ("--dev", "/dev")),
        ("/proc", ("--proc", "/proc")),
        (view.cwd, ("--bind", view.cwd, view.cwd)),
    ]
    if view.cwd != TEMPORARY:
        mounts.append((TEMPORARY, ("--size", str(TEMPORARY_BYTES), "--tmpfs", TEMPORARY)))
    for _, words in sorted(mounts, key=lambda mount: len(Path(mount[0]).parts)):
        yield words
    for path in view.pinned:
        yield ("--bind-try", path, path)
    for path in view.read_only:
        yield ("--ro-bind-try", path, path)


def _shown(path: str) -> tuple[str, ...]:
    """Return how a folder of the system is shown; /bin is often a link into /usr."""
    place = Path(path)
    if place.is_symlink():
        return ("--symlink", str(place.readlink()), path)
    return ("--ro-bind-try", path, path)


def _cover(path: str) -> tuple[str, ...]:
    if Path(path).is_dir():
        return ("--tmpfs", path)
    return ("--ro-bind", "/dev/null", path)


def find_bubblewrap(hidden: Sequence[Path]) -> BubblewrapSandbox | None:
    """Return the sandbox if it really works here, else None.

    Args:
        hidden: Files and folders that a command must not see; they exist.
    """
    program = shutil.which("bwrap")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for options in (_NO_NESTING, ()):
            sandbox = BubblewrapSandbox(program, hidden=hidden, options=options)
            orders = sandbox.orders(
                ["/bin/sh", "-c", f"echo {_MARK}"],
                cwd=Path(folder).resolve(),
                env={},
                timeout_seconds=_PROBE_SECONDS,
            )
            if try_program(orders).strip() == _MARK:
                return sandbox
    return None

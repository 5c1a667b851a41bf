"""Confines the calling process for good: no network, a few folders, nothing else of the files.

Runs in the launcher, between fork and exec, on the standard library alone. Every step that fails
raises, so that a command is never started half confined.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Kernel", "LinuxKernel", "confine"]

# Numbers of <linux/landlock.h>, <linux/sched.h>, <linux/prctl.h> and <sys/mount.h>; the system
# calls have the same numbers on every architecture.
_SYS_CREATE_RULESET = 444
_SYS_ADD_RULE = 445
_SYS_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_ALL_OF_ABI_1 = (1 << 13) - 1
_REFER = 1 << 13  # since ABI 2
_TRUNCATE = 1 << 14  # since ABI 3
_IOCTL_DEV = 1 << 15  # since ABI 5
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_NET_ALL = 0b11  # bind and connect TCP, since ABI 4
_SCOPE_ALL = 0b11  # abstract unix sockets and signals, since ABI 6
_ABI_REFER, _ABI_TRUNCATE, _ABI_NET, _ABI_IOCTL, _ABI_SCOPE = 2, 3, 4, 5, 6

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NAMESPACES = _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWIPC

_PR_SET_NO_NEW_PRIVS = 38
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_NOATIME, _MS_NODIRATIME, _MS_BIND, _MS_REC = 1024, 2048, 4096, 16384
_MS_PRIVATE, _MS_RELATIME = 1 << 18, 1 << 21
_ST_RELATIME = 4096  # of <sys/statvfs.h>; the others have the numbers of their mount flags

_TMPFS_LIMIT = b"size=1g"  # its default would be a half of the memory

_READ_ONLY = _EXECUTE | _READ_FILE | _READ_DIR


class Kernel(Protocol):
    """The system calls that confinement needs; each raises `OSError` when it fails."""

    def landlock_abi(self) -> int:
        """Return the version of Landlock."""
        ...

    def unshare(self, flags: int) -> None:
        """Leave namespaces."""
        ...

    def mount(self, source: str, target: str, kind: str, flags: int) -> None:
        """Mount."""
        ...

    def create_ruleset(self, files: int, net: int, scoped: int) -> int:
        """Return the descriptor of a new ruleset that handles these rights."""
        ...

    def add_path(self, ruleset: int, path: int, allowed: int) -> None:
        """Allow rights beneath an open path."""
        ...

    def restrict_self(self, ruleset: int) -> None:
        """Give up new privileges, then everything that the ruleset handles and does not allow."""
        ...


def confine(rules: Mapping[str, Any], kernel: Kernel) -> None:
    """Confine the calling process.

    Args:
        rules: `read` and `write` list what may be read and executed, or also written; `hide`
            lists what is covered although it may lie in one of them, the outermost first, but for
            `keep`, a folder beneath it, and the read-only `keep_read`; `pin` lists folders that cannot be moved, `protect`
            what cannot be written. Missing paths are skipped.
        kernel: The system calls.

    Raises:
        OSError: If a step fails; the process must then not go on.
    """
    _leave_namespaces(kernel)
    for path in rules["hide"]:
        _cover(kernel, path, {**dict.fromkeys(rules["keep_read"], True), rules["keep"]: False})
    for path in rules["pin"]:
        _bind(kernel, path)
    for path in rules["protect"]:
        _make_read_only(kernel, path)
    abi = kernel.landlock_abi()
    handled = handled_rights(abi)
    ruleset = kernel.create_ruleset(
        handled,
        _NET_ALL if abi >= _ABI_NET else 0,
        _SCOPE_ALL if abi >= _ABI_SCOPE else 0,
    )
    try:
        _allow(kernel, ruleset, rules["read"], _READ_ONLY & handled)
        _allow(kernel, ruleset, rules["write"], handled)
        kernel.restrict_self(ruleset)
    finally:
        os.close(ruleset)


def handled_rights(abi: int) -> int:
    """Return the file rights that a version of Landlock knows."""
    rights = _ALL_OF_ABI_1
    if abi >= _ABI_REFER:
        rights |= _REFER
    if abi >= _ABI_TRUNCATE:
        rights |= _TRUNCATE
    if abi >= _ABI_IOCTL:
        rights |= _IOCTL_DEV
    return rights


def _leave_namespaces(kernel: Kernel) -> None:
    """Enter namespaces without a network, as the same user."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_NAMESPACES)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    kernel.mount("none", "/", "", _MS_REC | _MS_PRIVATE)


def _cover(kernel: Kernel, path: str, keep: Mapping[str, bool]) -> None:
    """Cover a path with nothing, but show the folders of `keep` in it, where True read-only."""
    if not Path(path).is_dir():
        if Path(path).exists():
            kernel.mount("/dev/null", path, "", _MS_BIND)
        return
    beneath = [each for each in keep if Path(path) in Path(each).parents and Path(each).is_dir()]
    kept = [(os.open(each, os.O_PATH | os.O_CLOEXEC), each) for each in beneath]
    try:
        kernel.mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV)
        for descriptor, each in kept:
            Path(each).mkdir(parents=True, exist_ok=True)
            kernel.mount(f"/proc/self/fd/{descriptor}", each, "", _MS_BIND | _MS_REC)
            if keep[each]:  # beneath a folder that may be written, rules cannot take that away
                _remount_read_only(kernel, each)
    finally:
        for descriptor, _ in kept:
            os.close(descriptor)


def _bind(kernel: Kernel, path: str) -> bool:
    """Mount a path upon itself, so that it cannot be moved; tell whether it is there."""
    if Path(path).is_symlink() or not Path(path).exists():
        return False
    kernel.mount(path, path, "", _MS_BIND)
    return True


def _make_read_only(kernel: Kernel, path: str) -> None:
    if _bind(kernel, path):
        _remount_read_only(kernel, path)


def _remount_read_only(kernel: Kernel, path: str) -> None:
    # The kernel lets nobody drop a restriction that the mount had before.
    flags = os.statvfs(path).f_flag
    kept = flags & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME)
    kept |= _MS_RELATIME if flags & _ST_RELATIME else 0
    kernel.mount("none", path, "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _allow(kernel: Kernel, ruleset: int, paths: Iterable[str], allowed: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue  # what the user cannot reach needs no permission
        try:
            rights = allowed if Path(path).is_dir() else allowed & _OF_A_FILE
            kernel.add_path(ruleset, descriptor, rights)
        finally:
            os.close(descriptor)


class LinuxKernel:
    """The real system calls, by ctypes."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def landlock_abi(self) -> int:
        """Return the version of Landlock."""
        return self._syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)

    def unshare(self, flags: int) -> None:
        """Leave namespaces."""
        _check(self._libc.unshare(ctypes.c_int(flags)), "unshare")

    def mount(self, source: str, target: str, kind: str, flags: int) -> None:
        """Mount; an empty kind is none."""
        done = self._libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(kind) or None,
            ctypes.c_ulong(flags),
            _TMPFS_LIMIT if kind == "tmpfs" else None,
        )
        _check(done, f"mount {target}")

    def create_ruleset(self, files: int, net: int, scoped: int) -> int:
        """Return the descriptor of a new ruleset; what is 0 is not told to an older kernel."""
        size = 24 if scoped else 16 if net else 8
        attributes = (ctypes.c_uint64 * 3)(files, net, scoped)
        return self._syscall(_SYS_CREATE_RULESET, attributes, size, 0)

    def add_path(self, ruleset: int, path: int, allowed: int) -> None:
        """Allow rights beneath an open path."""
        attributes = allowed.to_bytes(8, sys.byteorder) + path.to_bytes(4, sys.byteorder)
        self._syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, attributes, 0)

    def restrict_self(self, ruleset: int) -> None:
        """Give up new privileges, then everything that the ruleset does not allow."""
        zero = ctypes.c_ulong(0)
        done = self._libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero)
        _check(done, "prctl")
        self._syscall(_SYS_RESTRICT_SELF, ruleset, 0)

    def _syscall(self, number: int, *arguments: Any) -> int:
        words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        return _check(self._libc.syscall(ctypes.c_long(number), *words), f"system call {number}")


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result

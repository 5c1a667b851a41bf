"""Tells objects that they live in a forked process now, where only the forking thread exists."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Renewable", "renew_after_fork"]


class Renewable(Protocol):
    """Something with locks that a thread of the parent process may hold for ever."""

    def renew(self) -> None:
        """Replace the locks, and forget work that nobody does any more."""
        ...


_held: WeakSet[Renewable] = WeakSet()


def renew_after_fork(owner: Renewable) -> None:
    """Have `owner` renewed in every child process that is forked while it lives."""
    _held.add(owner)


def _renew_all() -> None:
    for owner in list(_held):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

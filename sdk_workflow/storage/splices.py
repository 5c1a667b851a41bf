"""The difference between two byte strings as one splice, and a table of pieces to apply many.

Replaying 60 splices one after another copies 1 MB each time (15 to 25 ms); the pieces are joined
once at the end instead (under 1 ms).
"""

from __future__ import annotations

from typing import NamedTuple

from sdk_workflow.storage.errors import Damage

__all__ = ["Pieces", "Splice", "difference"]


class Splice(NamedTuple):
    """Keep `prefix` bytes at the start and `suffix` bytes at the end; `middle` comes between.

    A tuple, because a load makes hundreds: a frozen dataclass takes three times as long.
    """

    prefix: int
    suffix: int
    middle: bytes


def difference(old: bytes, new: bytes) -> Splice:
    """Return the splice that turns one byte string into another.

    Example:
        >>> difference(b"[1,2]", b"[1,2,3]")
        Splice(prefix=4, suffix=1, middle=b',3')
    """
    shortest = min(len(old), len(new))
    prefix = _common_prefix(old, new, shortest)
    suffix = _common_suffix(old, new, shortest - prefix)
    return Splice(prefix, suffix, new[prefix : len(new) - suffix])


def _common_prefix(old: bytes, new: bytes, limit: int) -> int:
    # Bisection over slices: copying and comparing in C takes 0.1 ms for 1 MB, a loop 50.
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(old: bytes, new: bytes, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    return low


class Pieces:
    """A byte string as a list of slices of the strings that it was made of.

    Example:
        >>> pieces = Pieces(b"[1,2]")
        >>> pieces.apply(difference(b"[1,2]", b"[1,2,3]"))
        >>> pieces.joined()
        b'[1,2,3]'
    """

    __slots__ = ("_length", "_parts")

    def __init__(self, data: bytes = b"") -> None:
        self._parts = [memoryview(data)] if data else []
        self._length = len(data)

    def __len__(self) -> int:
        """Return the length of the whole string."""
        return self._length

    def apply(self, splice: Splice) -> None:
        """Change the string by a splice.

        Raises:
            Damage: If the string is shorter than what the splice keeps of it.
        """
        prefix, suffix, middle = splice
        dropped = self._length - prefix - suffix
        if prefix < 0 or suffix < 0 or dropped < 0:
            raise Damage("a change in it does not fit the version before")
        tail = self._cut(suffix) if suffix else ()
        if dropped:
            self._cut(dropped)
        if middle:
            self._parts.append(memoryview(middle))
        self._parts.extend(tail)
        self._length = prefix + len(middle) + suffix

    def joined(self) -> bytes:
        """Return the whole string."""
        data = b"".join(self._parts)
        self._parts = [memoryview(data)]
        return data

    def _cut(self, size: int) -> list[memoryview]:
        """Take `size` bytes off the end; edits are near it, so few pieces are touched."""
        parts = self._parts
        taken: list[memoryview] = []
        while size:
            last = parts.pop()
            spare = len(last) - size
            if spare > 0:
                parts.append(last[:spare])
                last = last[spare:]
            size -= len(last)
            taken.append(last)
        taken.reverse()
        return taken

"""Random identifiers, cheap enough for the hot path and safe across a fork."""

from __future__ import annotations

import os
import random

__all__ = ["new_id", "new_session_id", "new_span_id", "new_trace_id", "random_bits"]

# An own generator: an application that seeds `random` would repeat our ids in every run.
_random = random.Random()  # noqa: S311 # nosec B311 # ids need to be distinct, not unguessable

random_bits = _random.getrandbits
"""As many random bits as asked for: bound once, because a call around it costs a span 80 ns."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"
_LOWER = "0123456789abcdefghjkmnpqrstvwxyz"


def _reseed() -> None:
    _random.seed()  # from the system's randomness


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)


def new_trace_id() -> int:
    """Return a W3C trace id: 128 bits, never zero."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """Return a W3C span id: 64 bits, never zero."""
    return _random.getrandbits(64) or 1


def new_id(prefix: str, source: random.Random | None = None, length: int = 24) -> str:
    """Return `prefix` and an underscore, then `length` random letters and digits.

    Args:
        prefix: What the id names, such as `"msg"`.
        source: A seeded generator where ids have to be repeatable.
        length: Letters and digits behind the underscore.
    """
    return f"{prefix}_{''.join((source or _random).choices(_ALPHABET, k=length))}"


def new_session_id() -> str:
    """Return an id that can name a file: lower case only, for file systems that ignore case."""
    return f"ses_{''.join(_random.choices(_LOWER, k=24))}"

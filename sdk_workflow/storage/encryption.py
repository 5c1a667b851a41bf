"""AES-256-GCM for what a session file holds, bound to its place; or nothing, with the same face.

The key is 32 random bytes that the caller keeps. What stays readable: ids, versions, times, sizes
and kinds of records.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any, Protocol

from sdk_workflow._internal.lazy import require
from sdk_workflow.exceptions import UsageError
from sdk_workflow.storage.errors import Damage

__all__ = ["SCHEME", "AesGcm", "Plain", "Sealer", "sealer_for"]

SCHEME = "aes-256-gcm"

_KEY_BYTES = 32
_NONCE_BYTES = 12  # random: safe for 2**32 messages under one key (NIST SP 800-38D, 8.3)


class Sealer(Protocol):
    """Turns plain bytes into what is stored, and back."""

    def seal(self, data: bytes, *place: str | int) -> bytes:
        """Return what to store; it opens only at the same place."""
        ...

    def unseal(self, data: bytes, *place: str | int) -> bytes:
        """Return the plain bytes, or raise `Damage`."""
        ...

    def tag(self, digest: bytes) -> bytes:
        """Return what to store of a hash of plain bytes, so that it gives nothing away."""
        ...

    @property
    def facts(self) -> dict[str, str] | None:
        """What the file says of its encryption; None where there is none."""
        ...


class Plain:
    """Stores bytes as they are."""

    facts: dict[str, str] | None = None

    def seal(self, data: bytes, *_place: str | int) -> bytes:
        """Return the bytes."""
        return data

    def unseal(self, data: bytes, *_place: str | int) -> bytes:
        """Return the bytes."""
        return data

    def tag(self, digest: bytes) -> bytes:
        """Return the hash."""
        return digest


class AesGcm:
    """Encrypts with one key for one session.

    Args:
        key: 32 random bytes.
        session_id: The session; its bytes open nowhere else.

    Raises:
        UsageError: If the key is not 32 bytes.
        ConfigError: If the extra `crypto` is not installed.

    Example:
        >>> sealer = AesGcm(bytes(32), "review-42")
        >>> sealer.unseal(sealer.seal(b"hello", "frame", 1), "frame", 1)
        b'hello'
    """

    def __init__(self, key: bytes, session_id: str) -> None:
        if type(key) is not bytes or len(key) != _KEY_BYTES:
            raise UsageError(
                f"An encryption key is {_KEY_BYTES} bytes; this one is "
                f"{len(key) if type(key) is bytes else type(key).__name__}.",
                code="invalid_key",
                hint="Make one with secrets.token_bytes(32) and keep it where secrets are kept.",
            )
        aead = require(
            "cryptography.hazmat.primitives.ciphers.aead",
            extra="crypto",
            purpose="An encrypted checkpoint",
        )
        self._cipher: Any = aead.AESGCM(key)
        self._session_id = session_id
        self._tag_key = hmac.digest(key, b"sdk_workflow state tag", hashlib.sha256)
        check = hmac.digest(key, b"sdk_workflow key of " + session_id.encode(), hashlib.sha256)
        self.facts: dict[str, str] | None = {"scheme": SCHEME, "check": check.hex()}

    def seal(self, data: bytes, *place: str | int) -> bytes:
        """Return a random nonce and the encrypted bytes with their tag."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = self._cipher.encrypt(nonce, data, self._place(place))
        return nonce + sealed

    def unseal(self, data: bytes, *place: str | int) -> bytes:
        """Return the plain bytes.

        Raises:
            Damage: If they were changed, or belong elsewhere.
        """
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = self._cipher.decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], self._place(place)
            )
        except (InvalidTag, ValueError) as error:
            raise Damage("its encrypted bytes were changed") from error
        return plain

    def tag(self, digest: bytes) -> bytes:
        """Return the hash under a key: a plain one would confirm a guess of the content."""
        return hmac.digest(self._tag_key, digest, hashlib.sha256)

    def _place(self, place: tuple[str | int, ...]) -> bytes:
        return "|".join((self._session_id, *map(str, place))).encode()


def sealer_for(key: bytes | None, session_id: str) -> Sealer:
    """Return what stores a session's bytes: encrypted where there is a key."""
    return Plain() if key is None else AesGcm(key, session_id)

"""The most tokens that a picture can have, from its size in pixels.

Of the picture's bytes only the few are read that tell its size; nothing is decoded.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["LARGEST_PICTURE_TOKENS", "picture_tokens"]

# The API takes one token for 28 x 28 pixels, edges rounded up, where it took one for 750 pixels
# before: a grid of 27 pixels is finer than both. What it saves by scaling large pictures down
# differs by model and is left out.
_GRID_PIXELS = 27
_LARGEST_EDGE = 8_000  # the API refuses a longer one
LARGEST_PICTURE_TOKENS = (-(-_LARGEST_EDGE // _GRID_PIXELS)) ** 2
"""What a picture counts for whose size is not known: 88,209."""

_SEARCHED_CHARACTERS = 400_000  # a JPEG's size may stand behind a colour profile and a preview
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, 0xFF, *range(0xD0, 0xD8)})  # markers without a length


def picture_tokens(source: Any) -> int:
    """Return the most tokens of a picture, given as the API's `source` of an image block.

    Example:
        >>> picture_tokens({"type": "url", "url": "https://example.com/picture.png"})
        88209
        >>> header = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000640000004b0")
        >>> picture_tokens({"type": "base64", "data": base64.b64encode(header).decode()})
        2700
    """
    is_inline = isinstance(source, Mapping) and source.get("type") == "base64"
    data = source.get("data") if is_inline else None
    size = _size_of(data[:_SEARCHED_CHARACTERS]) if isinstance(data, str) else None
    if size is None or not 0 < min(size) <= max(size) <= _LARGEST_EDGE:
        return LARGEST_PICTURE_TOKENS
    width, height = size
    return -(-width // _GRID_PIXELS) * -(-height // _GRID_PIXELS)


def _size_of(encoded: str) -> tuple[int, int] | None:
    """Return width and height; None where the bytes do not tell."""
    try:
        data = base64.b64decode(encoded[: len(encoded) // 4 * 4])
        for start, read in _FORMATS.items():
            if data.startswith(start):
                return read(data)
    except (binascii.Error, struct.error, IndexError, ValueError):
        pass
    return None


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[8:16]
    if kind == b"WEBPVP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:  # noqa: PLR2004 - what every marker starts with
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # noqa: PLR2004 - filling
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + length
    return None


_FORMATS = {b"\x89PNG\r\n\x1a\n": _png, b"GIF8": _gif, b"RIFF": _webp, b"\xff\xd8": _jpeg}

"""Compression of frames: one id per codec, stored with every frame.

Nothing inflates to more than was announced.
"""

from __future__ import annotations

import sys
import zlib
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.lazy import require
from sdk_workflow.storage.errors import Damage

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["GZIP", "MAX_RAW_BYTES", "NONE", "ZSTD", "compress", "decompress", "preferred_codec"]

NONE, GZIP, ZSTD = 0, 1, 2

# A state is a conversation, not an archive: far above any context window, far below memory.
MAX_RAW_BYTES = 256 * 1024 * 1024

_GZIP_CONTAINER = 31  # window bits of zlib that ask for gzip's header, whose time stays 0
# A keyframe of 1 MB costs 10 ms at level 1 and 20 to 100 at level 6 for 9 % fewer bytes.
_KEYFRAME_LEVEL, _DELTA_LEVEL, _ZSTD_LEVEL = 1, 6, 3


@lru_cache(maxsize=1)
def preferred_codec() -> int:
    """Return what keyframes are packed with: zstd where it is installed, else gzip.

    A keyframe of 1 MB takes 4 ms to pack and 0.6 to unpack with zstd, 11 and 2.9 with gzip.
    """
    try:
        import_module(_zstd_name())
    except ImportError:
        return GZIP
    return ZSTD


def compress(data: bytes, codec: int, *, is_delta: bool) -> tuple[int, bytes]:
    """Return the codec used and the compressed bytes; what would grow is stored as it is.

    A delta is gzip whatever the codec: one of 2 KB unpacks in 5 us, from zstd in 10, and a load
    unpacks up to 128 of them.
    """
    if is_delta or codec == GZIP:
        level = _DELTA_LEVEL if is_delta else _KEYFRAME_LEVEL
        encoder = zlib.compressobj(level, wbits=_GZIP_CONTAINER)
        used, packed = GZIP, encoder.compress(data) + encoder.flush()
    else:
        used, packed = ZSTD, _zstd().compress(data, _ZSTD_LEVEL)
    return (used, packed) if len(packed) < len(data) else (NONE, data)


def decompress(data: bytes, codec: int, raw_bytes: int) -> bytes:
    """Return exactly `raw_bytes` bytes, never holding more of them.

    Raises:
        Damage: If the data is not what `compress` made of that many bytes.
        ConfigError: If it needs zstd and that is not installed.
    """
    if not 0 <= raw_bytes <= MAX_RAW_BYTES:
        raise Damage(f"it claims to hold {raw_bytes} bytes")
    if codec == NONE:
        raw = data
    elif codec == GZIP:
        raw = _inflate(data, raw_bytes)
    elif codec == ZSTD:
        raw = _inflate_zstd(data, raw_bytes)
    else:
        raise Damage(f"it names a codec that does not exist: {codec}")
    if len(raw) != raw_bytes:
        raise Damage(f"it does not hold the {raw_bytes} bytes that it claims")
    return raw


def _inflate(data: bytes, raw_bytes: int) -> bytes:
    decoder = zlib.decompressobj(_GZIP_CONTAINER)
    try:
        # One more than announced, so that the end of the stream is reached and its sum checked.
        raw = decoder.decompress(data, raw_bytes + 1)
    except zlib.error as error:
        raise Damage(f"it is not gzip data ({error})") from error
    if not decoder.eof or decoder.unused_data:
        raise Damage("its gzip data does not end where it should")
    return raw


def _inflate_zstd(data: bytes, raw_bytes: int) -> bytes:
    zstd = _zstd()
    decoder = zstd.ZstdDecompressor()
    try:
        raw: bytes = decoder.decompress(data, raw_bytes + 1)
    except zstd.ZstdError as error:
        raise Damage(f"it is not zstd data ({error})") from error
    if not decoder.eof or decoder.unused_data:
        raise Damage("its zstd data does not end where it should")
    return raw


def _zstd_name() -> str:
    return "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def _zstd() -> ModuleType | Any:
    return require(_zstd_name(), extra="zstd", purpose="A checkpoint that was packed with zstd")

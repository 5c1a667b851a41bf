from __future__ import annotations

import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.exceptions import ConfigError
from sdk_workflow.storage import codecs
from sdk_workflow.storage.codecs import GZIP, NONE, ZSTD, compress, decompress
from sdk_workflow.storage.errors import Damage

TEXT = b"a conversation, a conversation, and a conversation again. " * 50


@given(
    data=st.binary(max_size=200) | st.just(TEXT),
    codec=st.sampled_from([NONE, GZIP, ZSTD]),
    is_delta=st.booleans(),
)
def test_what_was_packed_is_unpacked(data: bytes, codec: int, *, is_delta: bool) -> None:
    used, packed = compress(data, codec or GZIP, is_delta=is_delta)
    assert decompress(packed, used, len(data)) == data
    assert len(packed) <= len(data)


def test_each_kind_of_frame_has_its_codec() -> None:
    assert compress(TEXT, ZSTD, is_delta=False)[0] == ZSTD
    assert compress(TEXT, ZSTD, is_delta=True)[0] == GZIP
    assert compress(TEXT, GZIP, is_delta=False)[0] == GZIP
    assert compress(b"x", GZIP, is_delta=False) == (NONE, b"x")


def test_gzip_bytes_are_the_same_every_time_and_open_with_any_tool() -> None:
    _, packed = compress(TEXT, GZIP, is_delta=False)
    assert packed[4:8] == bytes(4)  # no time in the header
    assert zlib.decompress(packed, 31) == TEXT


@pytest.mark.parametrize("codec", [GZIP, ZSTD])
def test_a_bomb_is_not_inflated_beyond_what_was_announced(codec: int) -> None:
    _, bomb = compress(bytes(50_000_000), codec, is_delta=False)
    tracemalloc.start()
    with pytest.raises(Damage):
        decompress(bomb, codec, 1000)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    with pytest.raises(Damage, match="claims to hold"):
        decompress(bomb, codec, 10**12)


@pytest.mark.parametrize("codec", [GZIP, ZSTD])
@pytest.mark.parametrize("change", ["cut", "flip", "more", "longer", "shorter"])
def test_packed_bytes_that_were_changed_are_damage(codec: int, change: str) -> None:
    _, packed = compress(TEXT, codec, is_delta=False)
    size = len(TEXT) + {"longer": 1, "shorter": -1}.get(change, 0)
    data = {
        "cut": packed[:-3],
        "flip": packed[:2] + bytes([packed[2] ^ 255]) + packed[3:],
        "more": packed + b"x",
    }.get(change, packed)
    with pytest.raises(Damage):
        decompress(data, codec, size)


@pytest.mark.parametrize(("codec", "size"), [(9, 3), (NONE, 4), (NONE, -1)])
def test_a_row_that_claims_nonsense_is_damage(codec: int, size: int) -> None:
    with pytest.raises(Damage):
        decompress(b"abc", codec, size)


def test_without_zstd_keyframes_are_gzip_and_a_zstd_frame_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, packed = compress(TEXT, ZSTD, is_delta=False)
    assert codecs.preferred_codec.__wrapped__() == ZSTD
    for name in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert codecs.preferred_codec.__wrapped__() == GZIP
    with pytest.raises(ConfigError) as caught:
        decompress(packed, ZSTD, len(TEXT))
    assert "zstd" in caught.value.hint

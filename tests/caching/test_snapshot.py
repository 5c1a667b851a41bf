"""The form of a cache file: what was written is read again, and nothing else is believed."""

from __future__ import annotations

import array
import dataclasses
import gzip
import json
import sys
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sdk_workflow.core.caching import snapshot as snapshot_module
from sdk_workflow.core.caching.snapshot import (
    Snapshot,
    SnapshotEntry,
    _Seals,
    decode_snapshot,
    encode_snapshot,
    merge,
)
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.exceptions import StorageError
from sdk_workflow.types import Money, Usage
from tests.caching.fakes import NOW, SECRET, entry, stored

VECTOR = array.array("f", [0.6, 0.8]).tobytes()
WHOLE = Snapshot(
    entries=(entry("a", vector=VECTOR), entry("b"), SnapshotEntry(stored=stored("c"))),
    wrong={"d": NOW},
    embedder="tag",
    dimension=2,
)
DATA = encode_snapshot(WHOLE, SECRET)

TIMES = st.floats(allow_nan=False, allow_infinity=False)
REPLIES = st.builds(
    StoredReply,
    key=st.text(),
    message_json=st.text().map(
        lambda text: json.dumps(
            {"id": "i", "model": "m", "stop_reason": "end_turn",
             "content": [{"type": "text", "text": text}]}
        )
    ),
    usage=st.builds(Usage, input_tokens=st.integers(0), output_tokens=st.integers(0)),
    saved=st.none() | st.integers(0).map(Money),
    created=TIMES,
    expires=TIMES,
)  # fmt: skip
ENTRIES = st.builds(
    SnapshotEntry,
    stored=REPLIES,
    scope=st.none() | st.text(),
    text=st.none() | st.text(),
    vector=st.none() | st.binary(min_size=12, max_size=12),
)
SNAPSHOTS = st.builds(
    Snapshot,
    entries=st.lists(ENTRIES, max_size=4, unique_by=lambda each: each.stored.key).map(tuple),
    wrong=st.dictionaries(st.text(), TIMES, max_size=2),
    embedder=st.none() | st.text(),
    dimension=st.just(3),
)


@given(snapshot=SNAPSHOTS, secret=st.binary())
def test_what_is_written_is_read_again(snapshot: Snapshot, secret: bytes) -> None:
    assert decode_snapshot(encode_snapshot(snapshot, secret), secret) == snapshot


def test_a_vector_of_another_length_is_left_out() -> None:
    odd = Snapshot(entries=(entry("a", vector=b"123"), entry("b", vector=VECTOR)), dimension=2)
    read = decode_snapshot(encode_snapshot(odd, SECRET), SECRET)
    assert [each.vector for each in read.entries] == [None, VECTOR]


def test_numbers_are_written_with_the_low_byte_first(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = array.array("f", [0.6, 0.8])
    swapped.byteswap()
    monkeypatch.setattr(sys, "byteorder", "big")
    big = dataclasses.replace(WHOLE, entries=(entry("a", vector=swapped.tobytes()),))
    data = encode_snapshot(big, SECRET)
    assert VECTOR in data
    assert decode_snapshot(data, SECRET).entries == big.entries


def refusal(data: bytes, secret: bytes = SECRET) -> StorageError:
    with pytest.raises(StorageError) as caught:
        decode_snapshot(data, secret)
    return caught.value


@pytest.mark.parametrize("length", range(0, len(DATA), 7))
def test_a_file_cut_anywhere_is_refused(length: int) -> None:
    assert refusal(DATA[:length]).code == "cache_damaged"


@pytest.mark.parametrize("position", range(0, len(DATA), 5))
def test_a_changed_byte_is_noticed_wherever_it_is(position: int) -> None:
    changed = bytearray(DATA)
    changed[position] ^= 1
    try:
        assert decode_snapshot(bytes(changed), SECRET) == WHOLE  # in gzip's own header, say
    except StorageError as error:
        assert error.code.startswith("cache_")  # noqa: PT017 - either outcome is right


def test_more_behind_the_end_is_refused() -> None:
    assert "length" in str(refusal(DATA + b"x"))


def test_a_later_version_is_told_from_damage() -> None:
    error = refusal(DATA.replace(b'"version":1', b'"version":2'))
    assert error.code == "cache_version"
    assert "version 2" in str(error)
    assert "Update" in error.hint


def test_the_file_of_another_tenant_is_told_from_damage() -> None:
    assert refusal(DATA, b"another secret").code == "cache_of_another_tenant"


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}\n", b"x" * 10_000, b"\x80\x04pickle.\n", b'["schema"]\n', b"[" * 5000]
)
def test_what_is_no_cache_file_is_refused(data: bytes) -> None:
    assert refusal(data).code == "cache_damaged"


def rebuilt(lines: list[bytes] | None = None, **changes: Any) -> bytes:
    """Return a file as somebody who knows the secret could forge it."""
    seals = _Seals(SECRET)
    head, _, body = DATA.partition(b"\n")
    header = {**json.loads(head[33:]), **changes}
    if lines is not None:
        text = b"".join(lines)
        packed = gzip.compress(text)
        body = body[: 2 * 4] + packed
        counts = {"records": len(lines), "packed_bytes": len(packed), "unpacked_bytes": len(text)}
        header = {**header, **counts, **changes}
    return seals.line(header) + body


def lines_of(data: bytes) -> list[bytes]:
    _, _, body = data.partition(b"\n")
    return gzip.decompress(body[2 * 4 :]).splitlines(keepends=True)


LINES = lines_of(DATA)


def test_a_forged_file_without_changes_is_the_file() -> None:
    assert decode_snapshot(rebuilt(LINES), SECRET) == WHOLE


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": "1"},
        {"vectors": -1},
        {"vectors": True},
        {"vectors": 10**30},
        {"dimension": None},
        {"dimension": 10**12},
        {"records": 10**9},
        {"packed_bytes": 10**12},
        {"unpacked_bytes": 1},
        {"unpacked_bytes": 10**12},
        {"vectors_seal": "é"},
        {"vectors_seal": 5},
        {"embedder": 5},
    ],
    ids=str,
)
def test_a_header_that_promises_what_is_not_there_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(rebuilt(LINES, **changes)).code == "cache_damaged"


def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot_module, "MAX_UNPACKED_BYTES", 1_000)
    assert "would unpack to 100,000 bytes" in str(refusal(rebuilt([b"\n" * 100_000], records=1)))


def test_a_file_that_unpacks_to_more_than_it_says_is_never_unpacked() -> None:
    bomb = rebuilt([b"0" * 10_000_000], unpacked_bytes=100)
    assert len(bomb) < 20_000
    assert "what was announced" in str(refusal(bomb))


def sealed(record: Any) -> bytes:
    return _Seals(SECRET).line(record)


GOOD = json.loads(LINES[1][33:])


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        LINES[0].replace(b"It is so", b"It is no"),
        b"0" * 32 + LINES[0][32:],
        sealed([]),
        sealed(5),
        sealed({}),
        sealed({**GOOD, "vector": 7}),
        sealed({**GOOD, "vector": "0"}),
        sealed({**GOOD, "scope": 5}),
        sealed({**GOOD, "text": ["x"]}),
        sealed({**GOOD, "usage": {}}),
        sealed({"wrong": "d"}),
        sealed({"wrong": "d", "at": "x"}),
    ],
    ids=range(13),
)
def test_a_damaged_record_is_dropped_and_counted_and_the_others_stay(line: bytes) -> None:
    read = decode_snapshot(rebuilt([line, *LINES[1:]]), SECRET)
    assert read.dropped == 1
    assert [each.stored.key for each in read.entries] == ["b", "c"]
    assert read.wrong == {"d": NOW}


def test_a_record_as_deep_as_the_stack_is_dropped() -> None:
    deep = b"[" * 100_000
    line = _Seals(SECRET).seal(deep).encode() + b" " + deep + b"\n"
    assert decode_snapshot(rebuilt([line, *LINES[1:]]), SECRET).dropped == 1


def test_the_file_shows_no_text_of_the_prompt_to_a_glance() -> None:
    assert b"text of a" not in DATA


def merged(mine: Snapshot, other: Snapshot, **options: Any) -> Snapshot:
    return merge(mine, other, **{"now": NOW, "max_entries": 10, **options})


def keys(snapshot: Snapshot) -> list[str]:
    return [each.stored.key for each in snapshot.entries]


def test_the_newest_reply_of_a_key_wins_on_either_side() -> None:
    old, new = entry("a", created=NOW - 9), entry("a", created=NOW - 1, text="New.")
    for mine, other in ((old, new), (new, old)):
        both = merged(Snapshot(entries=(mine,)), Snapshot(entries=(other,)))
        assert [each.stored for each in both.entries] == [new.stored]


def test_a_vector_is_of_the_key_and_survives_a_newer_reply() -> None:
    old = Snapshot(entries=(entry("a", vector=VECTOR, created=NOW - 9),), embedder="t", dimension=2)
    bare = SnapshotEntry(stored=stored("a", created=NOW - 1))
    for both in (merged(Snapshot(entries=(bare,)), old), merged(old, Snapshot(entries=(bare,)))):
        (found,) = both.entries
        assert found == SnapshotEntry(
            stored=bare.stored, scope="scope", text="text of a", vector=VECTOR
        )
        assert (both.embedder, both.dimension) == ("t", 2)


def test_vectors_of_two_embedders_never_mix() -> None:
    mine = Snapshot(entries=(entry("a", vector=VECTOR),), embedder="mine", dimension=2)
    other = Snapshot(entries=(entry("b", vector=VECTOR),), embedder="other", dimension=2)
    both = merged(mine, other)
    vectors = {each.stored.key: each.vector for each in both.entries}
    assert (both.embedder, vectors) == ("mine", {"a": VECTOR, "b": None})
    assert {each.text for each in both.entries} == {"text of a", "text of b"}


def test_what_has_expired_is_left_out() -> None:
    mine = Snapshot(entries=(entry("a", expires=NOW), entry("b", expires=NOW + 1)))
    assert keys(merged(mine, Snapshot())) == ["b"]


def test_what_was_found_wrong_comes_back_from_nowhere() -> None:
    reported = Snapshot(wrong={"a": NOW - 5})
    old, fresh = (Snapshot(entries=(entry("a", created=NOW - at),)) for at in (5, 4))
    assert keys(merged(reported, old)) == keys(merged(old, reported)) == []
    assert keys(merged(reported, fresh)) == ["a"]
    assert merged(reported, Snapshot(wrong={"a": NOW - 9, "b": NOW})).wrong == {
        "a": NOW - 5,
        "b": NOW,
    }


def test_reports_are_forgotten_after_ninety_days() -> None:
    day = 86_400
    mine = Snapshot(wrong={"old": NOW - 90 * day, "new": NOW - 89 * day})
    assert list(merged(mine, Snapshot()).wrong) == ["new"]


def test_of_too_many_the_newest_stay() -> None:
    mine = Snapshot(
        entries=tuple(
            entry(name, created=NOW - at) for name, at in zip("abc", (3, 1, 2), strict=False)
        )
    )
    assert keys(merged(mine, Snapshot(), max_entries=2)) == ["b", "c"]


def test_damage_on_both_sides_adds_up() -> None:
    assert merged(Snapshot(dropped=1), Snapshot(dropped=2)).dropped == 3

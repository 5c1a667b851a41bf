from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.splices import Pieces, Splice, difference

TEXT = st.text("ab,", max_size=30).map(str.encode)


@given(TEXT, TEXT)
def test_a_difference_applied_gives_the_new_string_and_keeps_all_it_can(
    old: bytes, new: bytes
) -> None:
    splice = difference(old, new)
    pieces = Pieces(old)
    pieces.apply(splice)
    assert pieces.joined() == new
    removed = old[splice.prefix : len(old) - splice.suffix]
    assert not (removed and splice.middle and removed[0] == splice.middle[0])
    assert not (removed and splice.middle and removed[-1] == splice.middle[-1])


@given(st.lists(TEXT, min_size=1, max_size=12))
def test_many_splices_in_a_row_give_the_last_string(strings: list[bytes]) -> None:
    pieces = Pieces()
    before = b""
    for index, text in enumerate(strings):
        pieces.apply(difference(before, text))
        before = text
        if index % 3 == 0:
            assert pieces.joined() == text
    assert pieces.joined() == before


@pytest.mark.parametrize(
    "splice", [Splice(3, 3, b""), Splice(-1, 0, b""), Splice(0, -1, b""), Splice(6, 0, b"x")]
)
def test_a_splice_that_does_not_fit_is_damage(splice: Splice) -> None:
    with pytest.raises(Damage, match="does not fit"):
        Pieces(b"12345").apply(splice)

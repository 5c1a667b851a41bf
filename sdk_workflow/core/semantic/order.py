"""Says whether two texts put the same words in another order that changes who does what to whom.

Harmless are: equals changing places around "and", "or" or a comma, and one phrase moving as a whole
to another place, as long as it is not joined there the other way round.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow.core.semantic.lexicon import (
    COMMUTATIVE,
    FINITE_VERBS,
    FRAME_WORDS,
    JOINERS,
    NEGATIONS,
)
from sdk_workflow.core.semantic.stems import stem
from sdk_workflow.core.semantic.word_lists import word_set
from sdk_workflow.core.semantic.words import LIGHT_STEMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.core.semantic.prepared import PreparedText

__all__ = ["is_reordered"]

_MAX_JOINTS = 12  # the comparison takes time in proportion to their square
_SYMMETRIC = frozenset({"differ", "compar", "similar"})  # it does not matter where these stand
_SEQUENTIAL = frozenset(map(stem, word_set("then than but before after to from into while")))
_IMMOBILE = frozenset(stem(word) for word in FINITE_VERBS) | COMMUTATIVE
_LOOSE = LIGHT_STEMS | frozenset(stem(word) for word in FRAME_WORDS - NEGATIONS)
_JOINERS = frozenset(stem(word) for word in JOINERS)


class _Move(NamedTuple):
    """Where a reads `left` then `right`, b has `found`: the same words in another order."""

    left: list[str]
    right: list[str]
    found: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether b reads `right` then `left`, each in its own order."""
        return self.found == self.right + self.left

    @property
    def is_loose(self) -> bool:
        """Whether one side is made of words that bind nothing."""
        return _LOOSE.issuperset(self.left) or _LOOSE.issuperset(self.right)


class _Line(NamedTuple):
    """The words that order is judged by, and where they stand in the text."""

    words: Sequence[str]
    places: Mapping[str, int]
    plain: Sequence[str]

    def gap(self, left: str, right: str) -> Sequence[str]:
        """Return what stands between two of the words."""
        return self.plain[self.places[left] + 1 : self.places[right]]

    def is_list(self, words: Sequence[str]) -> bool:
        """Return whether words that follow one another here are joined as equals."""
        return all(_joins_equals(self.gap(left, right)) for left, right in pairwise(words))

    def modified_by(self, word: str) -> str | None:
        """Return the word right after a word, if nothing stands between them."""
        place = self.words.index(word) + 1
        if place == len(self.words):
            return None
        following = self.words[place]
        return None if self.gap(word, following) else following.partition("~")[0]


def _joins_equals(gap: Sequence[str]) -> bool:
    return not COMMUTATIVE.isdisjoint(gap) and _SEQUENTIAL.isdisjoint(gap)


def is_reordered(a: PreparedText, b: PreparedText, renamed: Mapping[str, str]) -> bool:
    """Return whether the order of the words that both texts share makes them mean other things.

    Args:
        a: One text.
        b: The other text.
        renamed: Words of b to the words of a that they are forms of.
    """
    has_same_words = a.bag == b.bag
    if has_same_words and _swaps_equals(a.plain, b.plain):
        return False
    first, second = _line(a, {}), _line(b, renamed)
    if has_same_words:
        return _is_rearranged(a, b, first, second)
    move = _find_move(first.words, second.words)
    if move is None or _is_list(first, second, move):
        return False
    return not move.is_clean or _is_turned_round(first, second, move)


def _line(text: PreparedText, renamed: Mapping[str, str]) -> _Line:
    standing = [
        (renamed.get(word, word), place)
        for word, place in zip(text.sequence, text.places, strict=True)
        if word not in _SYMMETRIC
    ]
    return _Line([word for word, _ in standing], dict(standing), text.plain)


def _swaps_equals(a: Sequence[str], b: Sequence[str]) -> bool:
    """Return whether b is a with what stands around one "and", "or" or the like exchanged."""
    start = next(
        (place for place, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), 0
    )
    joints_a = [place for place in range(start + 1, len(a)) if a[place] in COMMUTATIVE]
    joints_b = [place for place in range(start + 1, len(b)) if b[place] in COMMUTATIVE]
    if max(len(joints_a), len(joints_b)) > _MAX_JOINTS:
        return False
    return any(
        a[joint_a + 1 : joint_a + 1 + joint_b - start] == b[start:joint_b]
        and b[joint_b + 1 : joint_b + 1 + joint_a - start] == a[start:joint_a]
        and a[joint_a + 1 + joint_b - start :] == b[joint_b + 1 + joint_a - start :]
        for joint_a in joints_a
        for joint_b in joints_b
    )


def _is_rearranged(a: PreparedText, b: PreparedText, first: _Line, second: _Line) -> bool:
    """Judge texts of the very same words, where each word counts, prepositions included."""
    move = _find_move(_number(a.plain), _number(b.plain))
    if move is None:
        return False
    content = _find_move(first.words, second.words)
    if content is not None and _is_list(first, second, content):
        return False
    if not move.is_clean:
        return True
    is_phrase = move.left[0] in _JOINERS or move.right[0] in _JOINERS
    return not (is_phrase or move.is_loose)


def _number(words: Sequence[str]) -> list[str]:
    """Return the words whose place matters, the second "new" told apart from the first."""
    counts: dict[str, int] = {}
    numbered = []
    for word in words:
        if word in _IMMOBILE:
            continue
        count = counts[word] = counts.get(word, -1) + 1
        numbered.append(f"{word}~{count}" if count else word)
    return numbered


def _find_move(a: Sequence[str], b: Sequence[str]) -> _Move | None:
    """Return the part that stands in another order, None if the shared words keep theirs."""
    known = set(b)
    shared = [word for word in a if word in known]
    index = {word: place for place, word in enumerate(shared)}
    order = [index[word] for word in b if word in index]
    changed = [place for place, origin in enumerate(order) if place != origin]
    if not changed:
        return None
    start, end = changed[0], changed[-1] + 1
    size = end - order.index(start)
    return _Move(
        shared[start : start + size],
        shared[start + size : end],
        [shared[origin] for origin in order[start:end]],
    )


def _is_list(a: _Line, b: _Line, move: _Move) -> bool:
    return a.is_list(move.left + move.right) and b.is_list(move.found)


def _is_turned_round(a: _Line, b: _Line, move: _Move) -> bool:
    """Return whether two phrases changed places and are still joined by the same word."""
    gap_a = a.gap(move.left[-1], move.right[0])
    gap_b = b.gap(move.right[-1], move.left[0])
    if _joins_equals(gap_a) and _joins_equals(gap_b):
        return False
    if any(word in _JOINERS and word in gap_b for word in gap_a):
        return True
    if gap_a == gap_b:
        return not move.is_loose
    return _is_reattached(a, b, move.left[-1]) or _is_reattached(b, a, move.right[-1])


def _is_reattached(a: _Line, b: _Line, word: str) -> bool:
    """Return whether a word stands right before one word here and before another one there."""
    here, there = a.modified_by(word), b.modified_by(word)
    return here is not None and there is not None and here != there

"""Two prepared texts side by side, and the words that only one of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.semantic.stems import are_related

if TYPE_CHECKING:
    from sdk_workflow.core.semantic.prepared import PreparedText

__all__ = ["Pair"]

_MAX_ACRONYM = 6
_MAX_COMPARISONS = 100
"""Texts with more words apart want different answers anyway."""


class Pair:
    """Two texts and their difference.

    `words_a` and `words_b` are the stems that only one text has, `only_a` and `only_b` the concepts
    without a counterpart, `renamed` those of b to the forms of the same word in a.
    """

    __slots__ = ("a", "b", "only_a", "only_b", "renamed", "words_a", "words_b")

    def __init__(self, a: PreparedText, b: PreparedText) -> None:
        self.a = a
        self.b = b
        self.words_a = a.words - b.words
        self.words_b = b.words - a.words
        self.only_a = _without(a, b)
        self.only_b = _without(b, a)
        self.renamed: dict[str, str] = {}
        if 0 < len(self.only_a) * len(self.only_b) <= _MAX_COMPARISONS:
            self._match()

    def _match(self) -> None:
        """Take out what is the same in another form: inflection, slip, joined words, initials."""
        if _is_one_name(self.only_a, self.only_b) or _is_one_name(self.only_b, self.only_a):
            self.only_a, self.only_b = [], []
            return
        for word in list(self.only_b):
            match = next((other for other in self.only_a if are_related(word, other)), None)
            if match is not None:
                self.renamed[word] = match
                self.only_a.remove(match)
                self.only_b.remove(word)


def _without(text: PreparedText, other: PreparedText) -> list[str]:
    return [
        concept
        for concept in text.concepts
        if concept not in other.concepts and concept not in other.words
    ]


def _is_one_name(parts: list[str], whole: list[str]) -> bool:
    """Say whether one word stands for several: "email" for "e mail", "nlp" for its initials."""
    if len(whole) != 1:
        return False
    name = whole[0]
    if "".join(parts) == name:
        return True
    return 1 < len(parts) == len(name) <= _MAX_ACRONYM and name == "".join(
        [part[0] for part in parts]
    )

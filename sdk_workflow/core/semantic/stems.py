"""Reduces an English word to its stem and says whether two stems are forms of one word.

The stemmer only has to be consistent: both texts go through it, nobody reads its output.
"""

from __future__ import annotations

import re

from sdk_workflow.core.semantic.irregular import IRREGULAR_FORMS
from sdk_workflow.core.semantic.word_lists import word_set

__all__ = ["are_related", "stem"]

_SHORT = 3
_MIN_SHARED = 4
_MIN_TYPO_LENGTH = 6
_VOWELS = frozenset("aeiouy")
_HISSING_PLURAL = re.compile(r"(?:[sxz]|[cs]h|o)es$")
_DOUBLE = re.compile(r"([bdfglmnprtz])\1$")
_SPELLINGS = (
    (re.compile(r"(?<=[a-z]{3})is(?=$|at|er)"), "iz"),  # organise, organisation
    (re.compile(r"(?<=[a-z]{2})ys$"), "yz"),  # analyse
    (re.compile(r"(?<=[a-z]{2})our(?=$|it|abl|al|ful)"), "or"),  # colour, favourite
    (re.compile(r"(?<=[bt])r$"), "er"),  # centre, fibre: their e is gone by now
    (re.compile(r"ogu$"), "og"),  # catalogue
    (re.compile(r"(?<=[ef])enc$"), "ens"),  # defence
)

# What may follow the common part of two forms of one word. Endings that turn the meaning round
# (less, ee) or make another thing of it (et, age) are left out on purpose.
_ENDINGS = word_set("""
    a able abl ac al ali ally an anc ant ar ary at ate ated ation ations ative ator ators
    ed en enc ent er ers est ful fulli i ia ial ian ians ibl ic ical icali ier iest ified ing ion
    ions ional is ish ism ist ists ition ity iti iv ive iz izat ization ized izer li ly ment ments
    n ness nes or ors ous s sion t th tion tions ty ud uri y
    """) | {""}


def stem(word: str) -> str:
    """Return the stem of a lower-case word: no plural, tense, final e or British spelling.

    >>> stem("organisations"), stem("studied"), stem("colours"), stem("ran")
    ('organization', 'studi', 'color', 'run')
    """
    base = IRREGULAR_FORMS.get(word, word)
    if len(base) > _SHORT:
        single = _without_plural(base)
        base = IRREGULAR_FORMS.get(single, _without_inflection(single))
    if len(base) > _SHORT:
        base = _DOUBLE.sub(r"\1", base.removesuffix("e"))
    if len(base) <= _SHORT:
        return base
    if base.endswith("y"):
        base = base[:-1] + "i"
    for pattern, american in _SPELLINGS:
        base = pattern.sub(american, base)
    return base


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > len("ties"):
        return word[:-3] + "y"
    if _HISSING_PLURAL.search(word) and len(word) > len("does"):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_inflection(word: str) -> str:
    for ending in ("ing", "ed", "ly"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) >= _SHORT and not _VOWELS.isdisjoint(base):
            return base
    return word


def are_related(one: str, other: str) -> bool:
    """Return whether two stems are forms of one word, or the same word with a slip of the pen.

    >>> are_related("india", "indian"), are_related("serch", "search"), are_related("python", "java")
    (True, True, False)
    """
    if one == other:
        return True
    shared = _count_shared(one, other)
    left, right = one[shared:], other[shared:]
    if shared >= _MIN_SHARED and left in _ENDINGS and right in _ENDINGS:
        return True
    is_long = shared > 0 and max(len(one), len(other)) >= _MIN_TYPO_LENGTH
    return is_long and _is_slip(left, right, follows=shared)


def _count_shared(one: str, other: str) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _is_slip(left: str, right: str, *, follows: int) -> bool:
    """Say whether one letter is missing, two changed places, or one vowel is another one."""
    if left[1:] == right or left == right[1:]:
        return True
    if left[2:] == right[2:] and left[:2] == right[1::-1]:
        return True
    return follows >= _SHORT and left[1:] == right[1:] and {left[0], right[0]} <= _VOWELS

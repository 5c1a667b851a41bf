"""What one token means on its own: its stem, its concept and the classes it belongs to.

Texts repeat the same few thousand tokens, so what was read is remembered, up to a bound.
"""

from __future__ import annotations

from string import ascii_letters
from typing import NamedTuple

from sdk_workflow.core.semantic.cases import is_cased_form
from sdk_workflow.core.semantic.lexicon import (
    AUXILIARIES,
    CONTRACTIONS,
    FRAME_WORDS,
    FUNCTION_WORDS,
    LIGHT_WORDS,
    NEGATIONS,
    QUANTIFIERS,
    QUESTION_WORDS,
)
from sdk_workflow.core.semantic.numbers import (
    CURRENCIES,
    DATES,
    UNITS,
    read_number_word,
    read_numeral,
    read_roman,
)
from sdk_workflow.core.semantic.stems import stem
from sdk_workflow.core.semantic.synonyms import CONCEPTS
from sdk_workflow.core.semantic.word_lists import word_set

__all__ = ["LIGHT_STEMS", "Word", "read_token"]

LIGHT_STEMS = frozenset(stem(word) for word in LIGHT_WORDS)

_MAX_REMEMBERED = 20_000
_MARKS = frozenset('.?!:;,/&()-"')
_NEVER_NAMES = frozenset({"I"})
_PRONOUN_LOOKALIKES = {"US": "usa", "IT": "information-technology"}
_CLITICS = {"re": "are", "ve": "have", "ll": "will", "m": "am", "d": "would"}
_BEFORE_IS = word_set("what who where when how why that there he she it")


class Word(NamedTuple):
    """One word as the guard sees it; `concept` is empty where the word carries no meaning."""

    text: str
    stem: str
    concept: str = ""
    is_special: bool = False
    """Whether anything below is set: most words have none of it, and are passed quickly."""
    is_capitalised: bool = False
    is_mark: bool = False
    is_frame: bool = False
    opens_question: bool = False
    is_code: bool = False
    """Whether it looks like a name out of code: camelCase, or letters and digits mixed."""
    negates: bool = False
    quantifier: str = ""
    number: str = ""
    unit: str = ""
    date: str = ""
    form: str = ""
    """The word as it is written, where its case may tell it from another: "CO", "mW"."""


_remembered: dict[str, tuple[Word, ...]] = {}


def read_token(token: str) -> tuple[Word, ...]:
    """Return the words of a token: two for a contraction or "5km", one otherwise.

    >>> [word.text for word in read_token("don't")], read_token("Cars")[0].concept
    (['do', 'not'], 'car')
    """
    words = _remembered.get(token)
    if words is None:
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.clear()
        words = _remembered[token] = _read(token)
    return words


def _read(token: str) -> tuple[Word, ...]:
    if token in _MARKS:
        return (Word(token, token, is_special=True, is_mark=True),)
    if token in CURRENCIES:
        return (Word(token, token, is_special=True, unit=CURRENCIES[token]),)
    if not token.isalpha() and any(letter.isdigit() for letter in token):
        return _read_digits(token)
    lower = _PRONOUN_LOOKALIKES.get(token) or token.lower()
    roman = read_roman(token)
    if roman is not None:
        return (Word(lower, lower, str(roman), is_special=True, number=str(roman)),)
    is_capitalised = token[0].isupper() and token not in _NEVER_NAMES
    words = tuple(
        _read_word(part, is_capitalised=is_capitalised) for part in _expand_contraction(lower)
    )
    if is_cased_form(token):
        words = (words[0]._replace(form=token, is_special=True), *words[1:])
    if len(token) == 1 or token[1:].islower() or token.isupper():
        return words
    return (words[0]._replace(is_code=True, is_special=True), *words[1:])


def _expand_contraction(lower: str) -> tuple[str, ...]:
    known = CONTRACTIONS.get(lower)
    word, mark, rest = lower.partition("'")
    if known or not mark:
        return known or (lower,)
    if rest == "t" and word.endswith("n"):
        return (word[:-1], "not") if len(word) > 1 else ("not",)
    if rest in _CLITICS:
        return (word, _CLITICS[rest])
    if rest == "s":
        return (word, "is") if word in _BEFORE_IS else (word, "'s")
    return (word + rest,)


def _read_digits(token: str) -> tuple[Word, ...]:
    value, letters = read_numeral(token)
    unit = UNITS.get(letters, "")
    ending = token[len(token.rstrip(ascii_letters)) :]
    form = ending if is_cased_form(ending) else ""
    number = Word(token.lower(), value, value, is_special=True, number=value, unit=unit, form=form)
    if not letters or unit:
        return (number,)
    return (number._replace(is_code=True), _read_word(letters, is_capitalised=False))


def _read_word(lower: str, *, is_capitalised: bool) -> Word:
    number = read_number_word(lower) or ""
    unit = UNITS.get(lower, "")
    date = DATES.get(lower, "")
    quantifier = QUANTIFIERS.get(lower, "")
    negates = lower in NEGATIONS
    base = stem(lower)
    return Word(
        lower,
        base,
        number or unit or date or _concept(lower, base),
        is_special=bool(number or unit or date or quantifier or negates),
        is_capitalised=is_capitalised,
        is_frame=lower in FRAME_WORDS,
        opens_question=lower in QUESTION_WORDS or lower in AUXILIARIES,
        negates=negates,
        quantifier=quantifier,
        number=number,
        unit=unit,
        date=date,
    )


def _concept(lower: str, base: str) -> str:
    is_empty = (
        lower in FUNCTION_WORDS or base in LIGHT_STEMS or lower in NEGATIONS or lower in QUANTIFIERS
    )
    return "" if is_empty else CONCEPTS.get(base, base)

"""The form in which the guard keeps a text: all that can change its answer, worked out once."""

from __future__ import annotations

from typing import NamedTuple

from sdk_workflow.core.semantic.identifiers import find_identifiers
from sdk_workflow.core.semantic.lexicon import ARTICLES, DIRECTIONS, OBJECT_PRONOUNS, POSSESSIVES
from sdk_workflow.core.semantic.numbers import AMBIGUOUS_DATES, join_numbers
from sdk_workflow.core.semantic.questions import find_questions
from sdk_workflow.core.semantic.symbols import find_number_rows, find_symbols
from sdk_workflow.core.semantic.synonyms import CONCEPTS
from sdk_workflow.core.semantic.text import (
    find_day_halves,
    find_operators,
    find_quotations,
    fold,
    strip_courtesy,
    tokenise,
)
from sdk_workflow.core.semantic.word_lists import word_set
from sdk_workflow.core.semantic.words import Word, read_token

__all__ = ["Exact", "PreparedText", "prepare"]

_SIDE_MARKS = frozenset(",/&")
_KEEPING_SENTENCE = frozenset(",-/&")
_GIVING = word_set("to for with by from at on about")
_VERSION_WORDS = frozenset({"version", "v", "release"})


class Exact(NamedTuple):
    """What a text says by more than its words: signs, the order of numbers, and letter case."""

    symbols: tuple[str, ...]
    number_rows: tuple[str, ...]
    """Numbers joined to a date, time, fraction or sum, each as one."""
    forms: frozenset[str]
    """Words whose case may tell them apart, as they are written: "CO", "mW", "Turkey's"."""
    quotations: tuple[str, ...]
    is_lower: bool
    """Whether the text has no capital, or nothing else: then case says nothing."""


class PreparedText(NamedTuple):
    """A text as `find_veto` compares it. Made by `prepare`; its repr shows none of the text.

    Example:
        >>> prepare("Please tell me: is the road from Oslo to Bergen open?").concepts
        ('road', 'oslo', 'bergen', 'open')
    """

    spoken: str
    """The words, lower-cased, without marks and courtesy."""
    words: frozenset[str]
    """Stems of all words; the second "more" is "more~1"."""
    plain: tuple[str, ...]
    """Stems in their order, without articles, with the marks that join."""
    bag: tuple[str, ...]
    """The stems of `plain`, sorted, without marks."""
    concepts: tuple[str, ...]
    """What the text is about, each once."""
    sequence: tuple[str, ...]
    """Every word with a meaning in its order, told apart like `words`."""
    places: tuple[int, ...]
    """Where in `plain` the words of `sequence` stand."""
    entities: frozenset[str]
    numbers: tuple[str, ...]
    units: frozenset[str]
    dates: frozenset[str]
    negations: int
    quantifiers: frozenset[str]
    directions: frozenset[tuple[str, str]]
    """A preposition and the concept that it leads to."""
    recipients: frozenset[str]
    """Persons after a preposition, such as "to you"."""
    identifiers: frozenset[str]
    questions: tuple[str, ...]
    exact: Exact

    def __repr__(self) -> str:
        """Show no word of the text: a repr ends up in logs."""
        return f"<PreparedText of {len(self.plain)} words>"


def prepare(text: str) -> PreparedText:
    """Return a text in the form that `find_veto` and the calibrator read.

    Args:
        text: A question or statement in English. Other languages are accepted; fewer rules bite.
    """
    clean = strip_courtesy(fold(text))
    words = [word for token in tokenise(clean) for word in read_token(token)]
    special = [word for word in words if word.is_special]
    has_numbers = any(word.number for word in special) or any(word.text == "one" for word in words)
    if has_numbers:
        words = _with_joined_numbers(words)
    line = _read_line(words)
    return PreparedText(
        spoken=" ".join([word.text for word in words if not word.is_mark]),
        words=frozenset(_tell_apart(line.plain)),
        plain=tuple(line.plain),
        bag=tuple(sorted([word for word in line.plain if word not in _SIDE_MARKS])),
        concepts=tuple(dict.fromkeys(line.concepts)),
        sequence=tuple(_tell_apart(line.sequence)),
        places=tuple(line.places),
        entities=frozenset(line.entities),
        dates=frozenset(line.dates),
        directions=frozenset(line.directions),
        recipients=frozenset(line.recipients),
        identifiers=find_identifiers(clean, is_likely=any(word.is_code for word in special)),
        questions=find_questions(
            [word.text for word in words],
            [place for place, word in enumerate(words) if word.opens_question],
        ),
        numbers=_find_numbers(words, clean) if has_numbers else (),
        units=frozenset([word.unit for word in special if word.unit]),
        quantifiers=frozenset([word.quantifier for word in special if word.quantifier]),
        negations=sum(word.negates for word in special),
        exact=_find_exact(clean, special, has_numbers=has_numbers),
    )


class _Line:
    """What the words of a text give in the order in which they stand."""

    __slots__ = (
        "concepts",
        "dates",
        "directions",
        "entities",
        "places",
        "plain",
        "recipients",
        "sequence",
    )

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.sequence: list[str] = []
        self.places: list[int] = []
        self.concepts: list[str] = []
        self.entities: list[str] = []
        self.dates: list[str] = []
        self.directions: list[tuple[str, str]] = []
        self.recipients: list[str] = []


def _read_line(words: list[Word]) -> _Line:
    line = _Line()
    is_start, lead = True, ""
    for word in words:
        if word.is_mark:
            if word.text in _SIDE_MARKS:
                line.plain.append(word.text)
            is_start = word.text not in _KEEPING_SENTENCE
            continue
        is_name = word.is_capitalised and not is_start
        if word.is_frame and not (word.date and is_name):
            lead = _read_frame(line, word, lead)
        else:
            lead = _read_meaning(line, word, lead, is_name=is_name)
        is_start = False
    return line


def _read_frame(line: _Line, word: Word, lead: str) -> str:
    """Take in a function word; return the preposition that leads to what comes next."""
    text = word.text
    if text in ARTICLES:
        return lead
    if text in OBJECT_PRONOUNS and line.plain and line.plain[-1] in _GIVING:
        line.recipients.append(text)
    line.plain.append(word.stem)
    if text in DIRECTIONS:
        return text
    return lead if text in POSSESSIVES else ""


def _read_meaning(line: _Line, word: Word, lead: str, *, is_name: bool) -> str:
    """Take in a word with a meaning; a name stands for itself, never for a group of synonyms.

    A common noun written with a capital, such as "TV" or "App", is no name.
    """
    concept = word.stem if is_name and not word.is_special and word.concept else word.concept
    line.places.append(len(line.plain))
    line.plain.append(word.stem)
    line.sequence.append(concept or word.stem)
    if word.date and (is_name or word.text not in AMBIGUOUS_DATES):
        line.dates.append(word.date)
    if lead:
        line.directions.append((lead, concept or word.stem))
    if concept:
        line.concepts.append(concept)
        if is_name and word.stem not in CONCEPTS:
            line.entities.append(concept)
    return ""


def _tell_apart(words: list[str]) -> list[str]:
    """Return the words with the second and later ones of a kind numbered."""
    if len(set(words)) == len(words):
        return words
    counts: dict[str, int] = {}
    result = []
    for word in words:
        count = counts[word] = counts.get(word, -1) + 1
        result.append(f"{word}~{count}" if count else word)
    return result


def _with_joined_numbers(words: list[Word]) -> list[Word]:
    """Return the words with "two million" as one number, and "one" as a number before a measure."""
    result: list[Word] = []
    for word in words:
        previous = result[-1] if result else None
        if previous is not None and previous.text == "one" and word.unit + word.number:
            previous = result[-1] = _as_number("one", "1")
        if previous is not None and word.number and previous.number and not previous.unit:
            value = join_numbers(previous.number, word.text, word.number)
            if value is not None:
                result[-1] = _as_number(f"{previous.text} {word.text}", value)
                continue
        result.append(word)
    return result


def _as_number(text: str, value: str) -> Word:
    return Word(text, value, value, is_special=True, number=value)


def _find_numbers(words: list[Word], text: str) -> tuple[str, ...]:
    """Return the numbers, sorted: each once, unless the text calculates with them.

    What follows the word "version" is told from a count; "am" and "pm" belong to their number.
    """
    operators = find_operators(text)
    numbers = find_day_halves(text)
    previous = ""
    for word in words:
        if word.number:
            is_version = previous in _VERSION_WORDS and not word.number.startswith("v")
            numbers.append(f"v{word.number}" if is_version else word.number)
        previous = word.text
    return tuple(sorted(numbers + operators if operators else set(numbers)))


def _find_exact(text: str, special: list[Word], *, has_numbers: bool) -> Exact:
    forms = [word.form for word in special if word.form]
    if "-" in text:  # the letter of "X-ray" and "T-shirt" is written in either case
        forms = [form for form in forms if len(form) > 1 or f"{form}-" not in text]
    return Exact(
        symbols=find_symbols(text),
        number_rows=find_number_rows(text) if has_numbers else (),
        forms=frozenset(forms),
        quotations=tuple(find_quotations(text)) if "'" in text or '"' in text else (),
        is_lower=text.islower(),
    )

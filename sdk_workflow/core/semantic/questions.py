"""Says what a text asks for: a thing, manner, cause, time, place, person, amount, or yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.semantic.lexicon import (
    ADVICE,
    AUXILIARIES,
    DEGREES,
    FUNCTION_WORDS,
    LIGHT_WORDS,
    QUESTION_WORDS,
)
from sdk_workflow.core.semantic.word_lists import word_set

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_questions", "have_other_questions"]

_MARKS = frozenset('.?!:;,("-')
_ENDS = frozenset(".?!")
# After these a question word opens a question of its own: "who and how", "in which", "of what".
_LEADS = word_set("and or but so then in at by for to from of on with about")
_KINDS = {"who": "person", "whom": "person", "when": "time", "where": "place", "why": "cause"}
_HEADS = {
    "manner": word_set("way ways method methods step steps tips trick tricks procedure"),
    "cause": word_set("cause causes caused reason reasons"),
    "time": word_set("time year date day month age"),
}
_REACH = 7
_INTERCHANGEABLE = frozenset({"thing", "person", "place"})


def find_questions(tokens: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    """Return the kinds of the questions in a text, sorted; empty if it asks none.

    Args:
        tokens: The words, lower-cased, and the marks.
        places: Where in them the question words and auxiliaries stand: only these are looked at.

    >>> find_questions(["why", "do", "cats", "purr", "and", "when", "?"], [0, 1, 5])
    ('cause', 'time')
    """
    kinds: list[str] = []
    closed, closed_place = "", 0
    for place in places:
        token = tokens[place]
        previous = tokens[place - 1] if place else "."
        is_open = token in QUESTION_WORDS
        if previous not in _MARKS and not (is_open and previous in _LEADS):
            continue
        if closed and (not is_open or not _ENDS.isdisjoint(tokens[closed_place:place])):
            kinds.append(closed)
        closed = ""
        if is_open:
            kinds.append(_open_kind(token, tokens[place + 1 : place + _REACH]))
        else:
            closed, closed_place = _closed_kind(token, tokens[place + 1 : place + 2]), place
    if closed:
        kinds.append(closed)
    return tuple(sorted(kinds))


def have_other_questions(a: Sequence[str], b: Sequence[str]) -> bool:
    """Return whether two texts, by the kinds of their questions, cannot share an answer.

    Texts without a question are taken for any: "opening hours" may ask for a time or a thing.
    """
    if not a or not b:
        return False
    return len(a) != len(b) or not (set(a) ^ set(b) <= _INTERCHANGEABLE)


def _closed_kind(word: str, following: Sequence[str]) -> str:
    """Tell advice from fact; "is there" asks for a thing."""
    if "there" in following:
        return "thing"
    return "advice" if word in ADVICE else "fact"


def _open_kind(word: str, following: Sequence[str]) -> str:
    if word == "how":
        return _kind_of_how(following)
    if word in _KINDS:
        return _KINDS[word]
    if _asks_what_to_do(following):
        return "manner"
    return _kind_of_noun(following)


def _kind_of_how(following: Sequence[str]) -> str:
    head = following[0] if following else ""
    if head in {"many", "much"}:
        return "amount"
    if head == "come":
        return "cause"
    return "degree" if head in DEGREES else "manner"


def _asks_what_to_do(following: Sequence[str]) -> bool:
    """Say whether it goes on like "should I do" or "can be done"."""
    later = following[2:]
    return bool(later) and following[0] in AUXILIARIES and ("do" in later or "done" in later)


def _kind_of_noun(following: Sequence[str]) -> str:
    if following and following[0] == "if":
        return "condition"
    for token in following:
        for kind in ("manner", "cause"):
            if token in _HEADS[kind]:
                return kind
        if token in _MARKS:
            break
    nouns = (word for word in following if word not in FUNCTION_WORDS and word not in LIGHT_WORDS)
    return "time" if next(nouns, "") in _HEADS["time"] else "thing"
